/* worker/http_response.h
 * The head of an HTTP/1.1 response as bytes. Pure. */
#ifndef AZFN_WORKER_HTTP_RESPONSE_H
#define AZFN_WORKER_HTTP_RESPONSE_H

#include "base/buffer.h"

#include <azfn.h>

struct azfn__http_response {
    uint16_t status;               /* 200 to 599 */
    struct azfn_span content_type; /* Optional; absent: no such header. A valid value, checked before. */
    struct azfn_span header_lines; /* Optional; complete lines, each with CR LF, checked before. */
    struct azfn_span body;
    bool is_head_request; /* the body is counted, not sent */
    bool is_last;         /* say Connection: close */
    bool is_http_1_0;     /* the request's version: keep-alive has to be said aloud */
    bool is_chunked;      /* body is not known yet and follows in chunks; not for HTTP/1.0 */
};

/* Appends the status line and the headers with the empty line. Content-Length is always there, but for
 * 204 and 304 and chunked ones, and Date. The body is not copied: *out_body is what has to follow on the wire, empty for
 * HEAD, 204 and 304. now_s is the time for Date, in seconds since the epoch. Check out_head->has_failed. */
void azfn__http_response_encode(const struct azfn__http_response *response, int64_t now_s,
                                struct azfn__buffer *out_head, struct azfn_span *out_body);

/* "Not Found"; "Unknown" where RFC 9110 has no name. */
const char *azfn__http_reason_phrase(uint16_t status);

/* Whether name is a token and may be set by a function: not Connection, Content-Length, Date, Keep-Alive,
 * Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade. */
bool azfn__http_header_name_is_allowed(struct azfn_span name);
/* Visible ASCII, blanks and tabs inside; neither empty nor blank at an end (the host drops empty ones). */
bool azfn__http_header_value_is_valid(struct azfn_span value);

#endif
