/* worker/http_head_guard.h
 * What is checked of a request's lines before llhttp sees them: it takes HTTP/0.9 and 2.0, bare LF and CR,
 * folded lines, two blanks in a row, headers without a name and methods of other protocols. Pure. */
#ifndef AZFN_WORKER_HTTP_HEAD_GUARD_H
#define AZFN_WORKER_HTTP_HEAD_GUARD_H

#include "base/span.h"
#include "config/config.h"
#include "worker/http_fault.h"

#define AZFN__HTTP_SCHEME AZFN__SPAN("http://")

struct azfn__http_request_line {
    enum azfn__method method;
    size_t method_length;
    size_t target_length;
    size_t authority_length; /* of "http://authority/path"; 0 for the origin form, "/path" */
    uint8_t minor_version;
};

/* line is the request line without its CR LF. is_whole is false for one that has grown beyond the limit of
 * the head: then what there is of it decides the status, and it is always refused. */
struct azfn__http_fault azfn__http_guard_request_line(struct azfn_span line, bool is_whole, size_t target_bytes,
                                                      struct azfn__http_request_line *out_line);

/* line ends with LF. Accepted: it ends with CR LF and has no other CR. */
struct azfn__http_fault azfn__http_guard_line_end(struct azfn_span line);

/* line is a header line without its CR LF. What it says is llhttp's and http_header_rules.h's business. */
struct azfn__http_fault azfn__http_guard_header_line(struct azfn_span line);

#endif
