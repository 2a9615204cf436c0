#include "base/buffer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MIN_CAPACITY ((size_t)512)

void azfn__buffer_init(struct azfn__buffer *buffer, size_t max_bytes)
{
    *buffer = (struct azfn__buffer){.max_bytes = max_bytes};
}

void azfn__buffer_clean_up(struct azfn__buffer *buffer)
{
    if (buffer->data) {
        sodium_memzero(buffer->data, buffer->length);
        free(buffer->data);
    }
    azfn__buffer_init(buffer, buffer->max_bytes);
}

void azfn__buffer_reset(struct azfn__buffer *buffer, size_t keep_bytes)
{
    if (buffer->capacity > keep_bytes) {
        azfn__buffer_clean_up(buffer);
        return;
    }
    if (buffer->length > 0) {
        sodium_memzero(buffer->data, buffer->length);
    }
    buffer->length = 0;
    buffer->has_failed = false;
}

bool azfn__buffer_reserve(struct azfn__buffer *buffer, size_t more_bytes)
{
    if (buffer->has_failed) {
        return false;
    }
    if (more_bytes <= buffer->capacity - buffer->length) {
        return true;
    }
    if (more_bytes > buffer->max_bytes - buffer->length) {
        buffer->has_failed = true;
        return false;
    }
    size_t needed = buffer->length + more_bytes;
    size_t capacity = buffer->capacity > buffer->max_bytes / 2 ? buffer->max_bytes : buffer->capacity * 2;
    capacity = capacity < MIN_CAPACITY ? MIN_CAPACITY : capacity;
    capacity = capacity < needed ? needed : capacity;
    capacity = capacity > buffer->max_bytes ? buffer->max_bytes : capacity;

    /* not realloc: it would leave the old bytes behind, unwiped */
    char *data = malloc(capacity);
    if (!data) {
        buffer->has_failed = true;
        return false;
    }
    if (buffer->data) {
        memcpy(data, buffer->data, buffer->length);
        sodium_memzero(buffer->data, buffer->length);
        free(buffer->data);
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void azfn__buffer_append(struct azfn__buffer *buffer, const void *data, size_t length)
{
    if (length > 0 && azfn__buffer_reserve(buffer, length)) {
        memcpy(buffer->data + buffer->length, data, length);
        buffer->length += length;
    }
}

void azfn__buffer_append_span(struct azfn__buffer *buffer, struct azfn_span span)
{
    azfn__buffer_append(buffer, span.data, span.length);
}

void azfn__buffer_append_text(struct azfn__buffer *buffer, const char *text)
{
    azfn__buffer_append(buffer, text, strlen(text));
}

void azfn__buffer_append_char(struct azfn__buffer *buffer, char c)
{
    if (azfn__buffer_reserve(buffer, 1)) {
        buffer->data[buffer->length++] = c;
    }
}

void azfn__buffer_append_uint(struct azfn__buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    azfn__buffer_append(buffer, digits + start, sizeof(digits) - start);
}

void azfn__buffer_consume(struct azfn__buffer *buffer, size_t length)
{
    if (length == 0 || !buffer->data) {
        return;
    }
    size_t left = length < buffer->length ? buffer->length - length : 0;
    memmove(buffer->data, buffer->data + (buffer->length - left), left);
    sodium_memzero(buffer->data + left, buffer->length - left);
    buffer->length = left;
}

struct azfn_span azfn__buffer_span(const struct azfn__buffer *buffer)
{
    return (struct azfn_span){.data = buffer->data ? buffer->data : "", .length = buffer->length};
}
