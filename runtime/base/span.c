#include "base/span.h"

#include "base/ascii.h"
#include "base/bytes.h"

bool azfn__bytes_equal_ignore_case(const char *a, const char *b, size_t length)
{
    size_t i = 0;
    while (length - i >= 8 && azfn__load_8(a + i) == azfn__load_8(b + i)) {
        i += 8;
    }
    for (; i < length; i++) {
        if (a[i] != b[i] && azfn__lower((unsigned char)a[i]) != azfn__lower((unsigned char)b[i])) {
            return false;
        }
    }
    return true;
}

bool azfn__span_starts_with(struct azfn_span span, struct azfn_span prefix)
{
    return span.length >= prefix.length && azfn__span_equal(azfn__span(span.data, prefix.length), prefix);
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

bool azfn__span_is_guid(struct azfn_span span)
{
    if (span.length != AZFN__GUID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < span.length; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? span.data[i] != '-' : !azfn__is_hex(span.data[i])) {
            return false;
        }
    }
    return true;
}
