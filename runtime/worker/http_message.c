#include "worker/http_message.h"

#include "base/span.h"

#include <stdlib.h>

/* What stays for the next request: nearly all of them are smaller. */
#define HEAD_KEPT_BYTES ((size_t)8 << 10)
#define BODY_KEPT_BYTES ((size_t)16 << 10)
#define FIRST_HEADER_CAPACITY ((size_t)16)

void azfn__http_message_init(struct azfn__http_message *message)
{
    /* no maximum of their own: the parser counts against the limits before it appends */
    azfn__buffer_init(&message->head, PTRDIFF_MAX);
    azfn__buffer_init(&message->body, PTRDIFF_MAX);
    message->headers = NULL;
    message->header_capacity = 0;
    message->budget = NULL;
    message->counted_bytes = 0;
}

void azfn__http_message_count_body(struct azfn__http_message *message)
{
    if (message->budget && message->counted_bytes != message->body.length) {
        message->budget->used_bytes = message->budget->used_bytes - message->counted_bytes + message->body.length;
        message->counted_bytes = message->body.length;
    }
}

bool azfn__http_message_append_body(struct azfn__http_message *message, const char *data, size_t length)
{
    const struct azfn__http_body_budget *budget = message->budget;
    if (budget && budget->used_bytes - message->counted_bytes + message->body.length + length > budget->max_bytes) {
        return false;
    }
    azfn__buffer_append(&message->body, data, length);
    azfn__http_message_count_body(message);
    return true;
}

void azfn__http_message_reset(struct azfn__http_message *message)
{
    azfn__buffer_reset(&message->head, HEAD_KEPT_BYTES);
    azfn__buffer_reset(&message->body, BODY_KEPT_BYTES);
    azfn__http_message_count_body(message);
}

void azfn__http_message_clean_up(struct azfn__http_message *message)
{
    azfn__buffer_clean_up(&message->head);
    azfn__buffer_clean_up(&message->body);
    azfn__http_message_count_body(message);
    free(message->headers);
    message->headers = NULL;
    message->header_capacity = 0;
}

bool azfn__http_message_reserve_headers(struct azfn__http_message *message, size_t count, size_t max_count)
{
    size_t capacity = message->header_capacity > 0 ? message->header_capacity : FIRST_HEADER_CAPACITY;
    if (count <= message->header_capacity) {
        return true;
    }
    while (capacity < count) {
        capacity *= 2;
    }
    capacity = capacity > max_count ? max_count : capacity;
    struct azfn__http_header *headers = realloc(message->headers, capacity * sizeof(*headers));
    if (!headers) {
        return false;
    }
    message->headers = headers;
    message->header_capacity = capacity;
    return true;
}

struct azfn_span azfn__http_request_header(const struct azfn__http_request *request, struct azfn_span name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (azfn__span_equal_ignore_case(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return (struct azfn_span){.data = NULL};
}
