#include "channel/payload.h"

#include "base/span.h"

void azfn__payload_append(struct azfn__buffer *out, uint64_t value, size_t byte_count)
{
    char bytes[sizeof(value)];
    for (size_t i = 0; i < byte_count; i++) {
        bytes[i] = (char)(value >> (8 * i) & 0xff);
    }
    azfn__buffer_append(out, bytes, byte_count);
}

void azfn__payload_append_text(struct azfn__buffer *out, struct azfn_span text)
{
    text.length = text.length > UINT16_MAX ? UINT16_MAX : text.length;
    azfn__payload_append(out, text.length, 2);
    azfn__buffer_append_span(out, text);
}

bool azfn__payload_take(struct azfn_span *rest, size_t byte_count, uint64_t *out_value)
{
    if (rest->length < byte_count) {
        return false;
    }
    *out_value = 0;
    for (size_t i = 0; i < byte_count; i++) {
        *out_value |= (uint64_t)(unsigned char)rest->data[i] << (8 * i);
    }
    *rest = azfn__span_from(*rest, byte_count);
    return true;
}

bool azfn__payload_take_text(struct azfn_span *rest, struct azfn_span *out_text)
{
    uint64_t length;
    if (!azfn__payload_take(rest, 2, &length) || rest->length < length) {
        return false;
    }
    *out_text = azfn__span(rest->data, (size_t)length);
    *rest = azfn__span_from(*rest, (size_t)length);
    return true;
}
