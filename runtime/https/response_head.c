#include "https/response_head.h"

#include "https/request_rules.h"
#include "https/wiping_memory.h"

#include <string.h>

void azfn__https_response_head_clear(struct azfn__https_response_head *head)
{
    azfn__https_free(head->bytes);
    azfn__https_free(head->lengths);
    *head = (struct azfn__https_response_head){.bytes = NULL};
}

static bool reserve(struct azfn__https_response_head *head, size_t more_bytes)
{
    if (more_bytes > head->capacity - head->length) {
        size_t capacity = head->capacity * 2 + more_bytes + 512;
        char *bytes = azfn__https_realloc(head->bytes, capacity);
        if (!bytes) {
            return false;
        }
        head->bytes = bytes;
        head->capacity = capacity;
    }
    if (head->count == head->lengths_capacity) {
        size_t capacity = head->lengths_capacity * 2 + 16;
        struct azfn__https_header_lengths *lengths =
            azfn__https_realloc(head->lengths, capacity * sizeof(*lengths));
        if (!lengths) {
            return false;
        }
        head->lengths = lengths;
        head->lengths_capacity = capacity;
    }
    return true;
}

static struct azfn_span trimmed(const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t')) {
        start++;
    }
    while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r' || end[-1] == '\n')) {
        end--;
    }
    return (struct azfn_span){.data = start, .length = (size_t)(end - start)};
}

enum azfn_error azfn__https_response_head_add(struct azfn__https_response_head *head, struct azfn_span line)
{
    const char *end = line.data + line.length;
    const char *colon = memchr(line.data, ':', line.length);
    if (!colon) {
        return AZFN_ERROR_SYNTAX;
    }
    const struct azfn__https_header header = {
        .name = {.data = line.data, .length = (size_t)(colon - line.data)}, .value = trimmed(colon + 1, end)};
    bool is_coding = azfn__https_is_name(header.name, "transfer-encoding");
    /* "gzip" would have libcurl decompress it, though nobody asked for it */
    if (!azfn__https_is_header_valid(&header) || (is_coding && !azfn__https_is_name(header.value, "chunked"))) {
        return AZFN_ERROR_SYNTAX;
    }
    if (head->count >= AZFN__HTTPS_MAX_HEADERS || line.length > UINT32_MAX) {
        return AZFN_ERROR_LIMIT;
    }
    if (!reserve(head, header.name.length + header.value.length)) {
        return AZFN_ERROR_NO_MEMORY;
    }
    memcpy(head->bytes + head->length, header.name.data, header.name.length);
    memcpy(head->bytes + head->length + header.name.length, header.value.data, header.value.length);
    head->length += header.name.length + header.value.length;
    head->is_chunked |= is_coding;
    head->lengths[head->count++] = (struct azfn__https_header_lengths){
        .name = (uint32_t)header.name.length, .value = (uint32_t)header.value.length};
    return AZFN_OK;
}

struct azfn__https_header *azfn__https_response_head_view(const struct azfn__https_response_head *head)
{
    struct azfn__https_header *headers = azfn__https_calloc(head->count, sizeof(*headers));
    const char *at = head->bytes;
    for (size_t i = 0; headers && i < head->count; i++) {
        headers[i].name = (struct azfn_span){.data = at, .length = head->lengths[i].name};
        at += head->lengths[i].name;
        headers[i].value = (struct azfn_span){.data = at, .length = head->lengths[i].value};
        at += head->lengths[i].value;
    }
    return headers;
}
