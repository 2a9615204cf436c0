/* broker/destination_url.h
 * Where a request to a destination goes: the origin and path prefix of azfn.json, with the function's path behind it,
 * which can't lead anywhere else. Pure. */
#ifndef AZFN_BROKER_DESTINATION_URL_H
#define AZFN_BROKER_DESTINATION_URL_H

#include "base/buffer.h"

#include <azfn.h>

/* Appends base and path (with its query) to out. base ends with "/" or gets one where path is not empty.
 * NULL, or static text that says what is wrong with path: "..", an encoded slash, dot or backslash, a
 * scheme, an "@", a "//", a fragment, a control character, ... */
const char *azfn__destination_url_join(struct azfn_span base, struct azfn_span path, struct azfn__buffer *out);

/* NULL, or static text: the name or value of a header that a function may not send: no token, CR or LF, what belongs to
 * the connection, what carries credentials (Authorization, Cookie, Proxy-*), or own, the name of the header that the
 * broker adds (absent: none). */
const char *azfn__destination_header_check(struct azfn_span name, struct azfn_span value, struct azfn_span own);

#endif
