/* base/json_string.h
 * JSON strings: compared, decoded and written. What is read must have passed azfn__json_scan, see
 * base/json_read.h; what is written may be any bytes. */
#ifndef AZFN_BASE_JSON_STRING_H
#define AZFN_BASE_JSON_STRING_H

#include "base/buffer.h"
#include "base/span.h"

#include <azfn.h>

/* Whether a raw string, with its quotes, decodes to text. No allocation. */
bool azfn__json_string_equals(struct azfn_span raw, struct azfn_span text);
/* The same for a token of a JSON Pointer, in which "~0" stands for "~" and "~1" for "/". */
bool azfn__json_string_equals_token(struct azfn_span raw, struct azfn_span token);
/* Decodes a raw string onto the end of out, all of it or nothing. A lone surrogate escape, which RFC 8259
 * leaves open, becomes U+FFFD; \u0000 becomes a NUL. False when raw is no string or out has failed. */
bool azfn__json_string_decode(struct azfn_span raw, struct azfn__buffer *out);
/* The same where the raw string stands, whose bytes are gone then; absent when it is no string. */
struct azfn_span azfn__json_string_decode_in_place(char *raw, size_t length);
/* The inside of a raw string that has no escapes, without copying; absent otherwise. */
struct azfn_span azfn__json_string_view(struct azfn_span raw);

/* Appends text as a JSON string with its quotes. Escapes what RFC 8259 demands, and U+007F, U+2028 and
 * U+2029; bytes that are not UTF-8 become U+FFFD, one for each. */
void azfn__json_append_string(struct azfn__buffer *out, struct azfn_span text);

#endif
