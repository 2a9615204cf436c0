/* worker/http_parser.h
 * HTTP/1.1 requests out of bytes, strictly (RFC 9110, 9112), on llhttp. One parser per connection; one
 * request at a time. What llhttp lets through and a handler must not is refused here: other versions and
 * protocols, missing or doubled Host, bare LF, folded lines, sizes beyond the limits, Transfer-Encoding in
 * HTTP/1.0. The result does not depend on how the bytes were cut. Pure. */
#ifndef AZFN_WORKER_HTTP_PARSER_H
#define AZFN_WORKER_HTTP_PARSER_H

#include "worker/http_chunk_guard.h"
#include "worker/http_head_guard.h"
#include "worker/http_message.h"

#include <azfn.h>
#include <llhttp.h>

struct azfn__http_parser_limits {
    uint32_t target_bytes;       /* beyond: 414; also for a request line longer than header_bytes */
    uint32_t header_bytes;       /* all lines from the request line to the empty line; beyond: 431 */
    uint32_t header_count;       /* beyond: 431 */
    uint32_t chunk_extension_bytes; /* of one request; beyond: 400 */
    uint32_t trailer_bytes;      /* of one request; beyond: 431 */
};

enum azfn__http_parser_state {
    AZFN__HTTP_NEED_MORE, /* all bytes were taken */
    AZFN__HTTP_HEAD,      /* the head is there, once per request: set the body's limit, then go on */
    AZFN__HTTP_COMPLETE,  /* the request is there; the bytes that were not taken belong to the next one */
    AZFN__HTTP_REFUSED,   /* answer with parser->fault.status and close; nothing more can be read */
};

enum azfn__http_parser_phase {
    AZFN__HTTP_PHASE_IDLE, /* no begin(), or complete */
    AZFN__HTTP_PHASE_BLANK_LINES,
    AZFN__HTTP_PHASE_REQUEST_LINE,
    AZFN__HTTP_PHASE_HEADERS,
    AZFN__HTTP_PHASE_BODY_START, /* AZFN__HTTP_HEAD was returned */
    AZFN__HTTP_PHASE_BODY,
    AZFN__HTTP_PHASE_CHUNKS,
    AZFN__HTTP_PHASE_REFUSED,
};

/* Not to be moved between begin() and the end of the request. */
struct azfn__http_parser {
    /* Whole from AZFN__HTTP_HEAD on, but for the body. After a refusal: what was read before it, spans may be
     * absent; method and version once the request line was accepted. */
    struct azfn__http_request request;
    struct azfn__http_fault fault; /* 400, 405 never, 413, 414, 431, 501, 503 (no memory), 505 */
    uint64_t body_bytes;           /* so many have come, also of what was taken out of the message */
    /* private */
    llhttp_t llhttp;
    const struct azfn__http_parser_limits *limits;
    struct azfn__http_message *message;
    enum azfn__http_parser_phase phase;
    uint32_t blank_bytes;
    size_t line_start; /* offset in message->head */
    size_t line_count; /* header lines */
    uint64_t max_body_bytes;
    bool is_llhttp_complete;
    bool is_over_budget;
    struct azfn__http_request_line line;
    struct azfn__http_chunk_guard chunk_guard;
};

/* limits must outlive the parser. */
void azfn__http_parser_init(struct azfn__http_parser *parser, const struct azfn__http_parser_limits *limits);
/* Before the first byte of each request: where to put it. Resets the message. */
void azfn__http_parser_begin(struct azfn__http_parser *parser, struct azfn__http_message *message);
/* True from the first byte of a request (blank lines before it do not count) until it is complete. */
bool azfn__http_parser_is_inside(const struct azfn__http_parser *parser);
/* True from AZFN__HTTP_HEAD until it is complete. */
bool azfn__http_parser_is_in_body(const struct azfn__http_parser *parser);
/* Takes bytes until the state changes; *out_taken says how many. After AZFN__HTTP_HEAD call it again with
 * the rest (which may be empty). Between two calls the message's body may be taken out of it. Once complete or
 * refused it takes nothing and says the same again. */
enum azfn__http_parser_state azfn__http_parser_feed(struct azfn__http_parser *parser, const char *data,
                                                    size_t length, size_t *out_taken);
/* After AZFN__HTTP_HEAD: the most that the body may have; beyond: 413. Without this call: none at all. */
void azfn__http_parser_limit_body(struct azfn__http_parser *parser, uint64_t max_body_bytes);

#endif
