#include "base/span.h"

#include "base/bytes.h"

bool azfn__span_equal_ignore_case(struct azfn_span a, struct azfn_span b)
{
    if (a.length != b.length) {
        return false;
    }
    for (size_t i = 0; i < a.length; i++) {
        if (azfn__lower((unsigned char)a.data[i]) != azfn__lower((unsigned char)b.data[i])) {
            return false;
        }
    }
    return true;
}

bool azfn__span_starts_with(struct azfn_span span, struct azfn_span prefix)
{
    return span.length >= prefix.length && azfn__span_equal(azfn__span(span.data, prefix.length), prefix);
}

struct azfn_span azfn__span_trim(struct azfn_span span)
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

struct azfn_span azfn__span_from(struct azfn_span span, size_t offset)
{
    size_t start = offset < span.length ? offset : span.length;
    return (struct azfn_span){.data = span.data ? span.data + start : NULL, .length = span.length - start};
}

bool azfn__span_is_utf8(struct azfn_span span)
{
    const unsigned char *text = (const unsigned char *)span.data;
    size_t i = 0;
    while (i < span.length) {
        if (span.length - i >= 8 && (azfn__load_8(text + i) & AZFN__HIGH_BITS) == 0) {
            i += 8;
            continue;
        }
        size_t length = azfn__utf8_length(text + i, span.length - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

struct azfn_span azfn_span_of(const char *text)
{
    return (struct azfn_span){.data = text, .length = text ? strlen(text) : 0};
}

bool azfn_span_equals(struct azfn_span a, const char *text)
{
    return text && a.data && azfn__span_equal(a, azfn_span_of(text));
}
