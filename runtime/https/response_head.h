/* https/response_head.h
 * The headers of an answer, collected line by line. */
#ifndef AZFN_HTTPS_RESPONSE_HEAD_H
#define AZFN_HTTPS_RESPONSE_HEAD_H

#include "https/https_module.h"

#define AZFN__HTTPS_MAX_HEADERS 512

struct azfn__https_response_head {
    char *bytes; /* name, value, name, value, ... as the lengths say */
    size_t length;
    size_t capacity;
    struct azfn__https_header_lengths {
        uint32_t name;
        uint32_t value;
    } *lengths;
    size_t count;
    size_t lengths_capacity;
    bool is_chunked;
};

void azfn__https_response_head_clear(struct azfn__https_response_head *head);
/* line: with its end. Errors: AZFN_ERROR_SYNTAX, AZFN_ERROR_LIMIT (too many), AZFN_ERROR_NO_MEMORY. */
enum azfn_error azfn__https_response_head_add(struct azfn__https_response_head *head, struct azfn_span line);
/* head->count headers, to be freed with azfn__https_free(); they point into head. NULL: no memory. */
struct azfn__https_header *azfn__https_response_head_view(const struct azfn__https_response_head *head);

#endif
