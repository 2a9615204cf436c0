/* worker/http_message.h
 * A request as it was read, and the memory that holds it. Pure. */
#ifndef AZFN_WORKER_HTTP_MESSAGE_H
#define AZFN_WORKER_HTTP_MESSAGE_H

#include "base/buffer.h"
#include "config/config.h"

#include <azfn.h>

struct azfn__http_header {
    struct azfn_span name;  /* as it came */
    struct azfn_span value; /* without blanks around it */
};

/* Who the caller is, as App Service Authentication says it: his claims; with "-ID" behind it his id, with "-IDP" who has
 * authenticated him. */
#define AZFN__PRINCIPAL_HEADER "X-MS-CLIENT-PRINCIPAL"
#define AZFN__TRACE_PARENT_HEADER "traceparent"

/* Valid until the next azfn__http_parser_begin(). */
struct azfn__http_request {
    enum azfn__method method;
    struct azfn_span method_name;
    struct azfn_span target; /* "/api/x?y=1", "http://host/api/x?y=1", or "*" for OPTIONS */
    struct azfn_span path;   /* the target without its host and its query */
    struct azfn_span query;  /* what follows the "?"; absent without one */
    const struct azfn__http_header *headers;
    size_t header_count;
    uint8_t minor_version;   /* 0 or 1 */
    bool is_keep_alive;      /* the connection may be used again */
    bool expects_continue;   /* Expect: 100-continue, and there is a body to wait for */
    bool is_chunked;
    bool has_body;           /* chunked, or a Content-Length above 0 */
    bool names_principal;    /* AZFN__PRINCIPAL_HEADER is there, or that with "-ID" */
    struct azfn_span trace_parent; /* the first AZFN__TRACE_PARENT_HEADER; absent without one */
    uint64_t content_length; /* 0 when chunked */
    struct azfn_span body;   /* complete once the parser said so */
};

/* The value of the first header of that name, compared without regard to case; absent without one. */
struct azfn_span azfn__http_request_header(const struct azfn__http_request *request, struct azfn_span name);

/* What the bodies of all messages that share it may have together. */
struct azfn__http_body_budget {
    uint64_t max_bytes;
    uint64_t used_bytes;
};

/* Where a request's bytes are collected: owned by the invocation, lent to the parser while it reads one.
 * head holds the request line and the header lines, body the body, headers the table of spans. */
struct azfn__http_message {
    struct azfn__buffer head;
    struct azfn__buffer body;
    struct azfn__http_header *headers;
    size_t header_capacity;
    struct azfn__http_body_budget *budget; /* Optional. Must outlive the message. */
    size_t counted_bytes;                  /* the body's part of used_bytes */
};

void azfn__http_message_init(struct azfn__http_message *message);
/* Wipes and keeps small buffers for the next request. */
void azfn__http_message_reset(struct azfn__http_message *message);
void azfn__http_message_clean_up(struct azfn__http_message *message);
/* False: beyond the budget, and nothing was appended. Without memory body.has_failed says so. */
bool azfn__http_message_append_body(struct azfn__http_message *message, const char *data, size_t length);
/* Counts it by its length: what somebody took out of it is no longer in the budget. */
void azfn__http_message_count_body(struct azfn__http_message *message);
/* Room for count headers: by doubling, but for no more than max_count. False: no memory. */
bool azfn__http_message_reserve_headers(struct azfn__http_message *message, size_t count, size_t max_count);

#endif
