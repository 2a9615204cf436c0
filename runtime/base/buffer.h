/* base/buffer.h
 * Bytes that grow up to a maximum said at birth. What it outgrows or gives back is wiped.
 * Appending to a buffer that has failed does nothing: check has_failed once, at the end. */
#ifndef AZFN_BASE_BUFFER_H
#define AZFN_BASE_BUFFER_H

#include <azfn.h>

struct azfn__buffer {
    char *data; /* NULL until something was reserved */
    size_t length;
    size_t capacity;
    size_t max_bytes;
    bool has_failed; /* the maximum or the memory was reached; the content is what fitted before */
};

void azfn__buffer_init(struct azfn__buffer *buffer, size_t max_bytes);
void azfn__buffer_clean_up(struct azfn__buffer *buffer);
/* Wipes the content; gives the memory back when it holds more than keep_bytes. */
void azfn__buffer_reset(struct azfn__buffer *buffer, size_t keep_bytes);

/* Makes room for that many more bytes. False: has_failed is set. */
bool azfn__buffer_reserve(struct azfn__buffer *buffer, size_t more_bytes);
void azfn__buffer_append(struct azfn__buffer *buffer, const void *data, size_t length);
void azfn__buffer_append_span(struct azfn__buffer *buffer, struct azfn_span span);
void azfn__buffer_append_text(struct azfn__buffer *buffer, const char *text);
void azfn__buffer_append_char(struct azfn__buffer *buffer, char c);
void azfn__buffer_append_uint(struct azfn__buffer *buffer, uint64_t value);
/* Removes bytes from the front. */
void azfn__buffer_consume(struct azfn__buffer *buffer, size_t length);
struct azfn_span azfn__buffer_span(const struct azfn__buffer *buffer);

#endif
