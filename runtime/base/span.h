/* base/span.h
 * Comparing, cutting and making views of bytes. A span with data NULL is absent. */
#ifndef AZFN_BASE_SPAN_H
#define AZFN_BASE_SPAN_H

#include <azfn.h>

#include <string.h>

/* A span of a string literal. */
#define AZFN__SPAN(literal) ((struct azfn_span){.data = (literal), .length = sizeof(literal) - 1})

static inline struct azfn_span azfn__span(const void *data, size_t length)
{
    return (struct azfn_span){.data = data, .length = length};
}

static inline struct azfn_span azfn__absent(void)
{
    return (struct azfn_span){.data = NULL, .length = 0};
}

static inline bool azfn__span_equal(struct azfn_span a, struct azfn_span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline unsigned char azfn__lower(unsigned char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool azfn__bytes_equal_ignore_case(const char *a, const char *b, size_t length);

/* ASCII only: what HTTP header names, route literals and query names need. Most differ in length. */
static inline bool azfn__span_equal_ignore_case(struct azfn_span a, struct azfn_span b)
{
    return a.length == b.length && azfn__bytes_equal_ignore_case(a.data, b.data, a.length);
}

bool azfn__span_starts_with(struct azfn_span span, struct azfn_span prefix);
/* Without the blanks and tabs around it. */
static inline struct azfn_span azfn__span_trim(struct azfn_span span)
{
    while (span.length > 0 && (span.data[0] == ' ' || span.data[0] == '\t')) {
        span.data++;
        span.length--;
    }
    while (span.length > 0 && (span.data[span.length - 1] == ' ' || span.data[span.length - 1] == '\t')) {
        span.length--;
    }
    return span;
}
/* From offset to the end; empty when offset is beyond it. */
struct azfn_span azfn__span_from(struct azfn_span span, size_t offset);
bool azfn__span_is_utf8(struct azfn_span span);

#define AZFN__GUID_BYTES 36
/* Its usual form: hexadecimal digits, and dashes where they belong. */
bool azfn__span_is_guid(struct azfn_span span);

#endif
