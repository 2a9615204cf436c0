#include "channel/frame.h"

#include "base/span.h"
#include "channel/payload.h"

#include <sodium.h>

/* One read of the stream may bring the end of one frame and the beginning of many. */
#define READER_MAX_BYTES (AZFN__FRAME_HEADER_BYTES + AZFN__FRAME_MAX_PAYLOAD_BYTES + ((size_t)64 << 10))

static void append_header(struct azfn__buffer *out, enum azfn__frame_type type, size_t payload_length)
{
    azfn__payload_append(out, payload_length, 4);
    azfn__payload_append(out, type, 4);
}

size_t azfn__frame_begin(struct azfn__buffer *out, enum azfn__frame_type type)
{
    size_t begin = out->length;
    append_header(out, type, 0);
    return begin;
}

bool azfn__frame_end(struct azfn__buffer *out, size_t begin)
{
    size_t payload_length = out->length - begin - AZFN__FRAME_HEADER_BYTES;
    if (out->has_failed || payload_length > AZFN__FRAME_MAX_PAYLOAD_BYTES) {
        if (out->data) {
            sodium_memzero(out->data + begin, out->length - begin);
        }
        out->length = begin;
        out->has_failed = false;
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        out->data[begin + i] = (char)(payload_length >> (8 * i) & 0xff);
    }
    return true;
}

void azfn__frame_append(struct azfn__buffer *out, enum azfn__frame_type type, struct azfn_span payload)
{
    if (payload.length > AZFN__FRAME_MAX_PAYLOAD_BYTES) {
        payload.length = AZFN__FRAME_MAX_PAYLOAD_BYTES;
    }
    append_header(out, type, payload.length);
    azfn__buffer_append_span(out, payload);
}

static struct azfn_span cut(struct azfn_span text, size_t max_bytes)
{
    text.length = text.length > max_bytes ? max_bytes : text.length;
    return text;
}

void azfn__frame_append_log(struct azfn__buffer *out, const struct azfn__log_frame *log)
{
    struct azfn_span event = cut(log->event, 256);
    struct azfn_span function = cut(log->function, 128);
    struct azfn_span invocation_id = cut(log->invocation_id, 128);
    size_t overhead = 1 + 4 * 2 + event.length + function.length + invocation_id.length;
    struct azfn_span text = cut(log->text, AZFN__FRAME_MAX_PAYLOAD_BYTES - overhead);

    append_header(out, AZFN__FRAME_LOG, overhead + text.length);
    azfn__buffer_append_char(out, (char)log->level);
    azfn__payload_append_text(out, event);
    azfn__payload_append_text(out, function);
    azfn__payload_append_text(out, invocation_id);
    azfn__payload_append_text(out, text);
}

bool azfn__frame_decode_log(struct azfn_span payload, struct azfn__log_frame *out_log)
{
    if (payload.length < 1 || (unsigned char)payload.data[0] > AZFN_LOG_ERROR) {
        return false;
    }
    out_log->level = (enum azfn_log_level)payload.data[0];
    struct azfn_span rest = azfn__span_from(payload, 1);
    return azfn__payload_take_text(&rest, &out_log->event) && azfn__payload_take_text(&rest, &out_log->function) &&
           azfn__payload_take_text(&rest, &out_log->invocation_id) &&
           azfn__payload_take_text(&rest, &out_log->text) && rest.length == 0;
}

void azfn__frame_reader_init(struct azfn__frame_reader *reader)
{
    azfn__buffer_init(&reader->buffer, READER_MAX_BYTES);
    reader->consumed = 0;
}

void azfn__frame_reader_clean_up(struct azfn__frame_reader *reader)
{
    azfn__buffer_clean_up(&reader->buffer);
    reader->consumed = 0;
}

void azfn__frame_reader_wipe(struct azfn__frame_reader *reader)
{
    azfn__buffer_consume(&reader->buffer, reader->consumed);
    reader->consumed = 0;
}

bool azfn__frame_reader_feed(struct azfn__frame_reader *reader, const void *data, size_t length)
{
    azfn__frame_reader_wipe(reader);
    azfn__buffer_append(&reader->buffer, data, length);
    return !reader->buffer.has_failed;
}

enum azfn_error azfn__frame_reader_next(struct azfn__frame_reader *reader, struct azfn__frame *out_frame)
{
    struct azfn_span rest = azfn__span_from(azfn__buffer_span(&reader->buffer), reader->consumed);
    if (rest.length < AZFN__FRAME_HEADER_BYTES) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    uint64_t length;
    uint64_t type;
    if (!azfn__payload_take(&rest, 4, &length) || !azfn__payload_take(&rest, 4, &type) ||
        length > AZFN__FRAME_MAX_PAYLOAD_BYTES || type > UINT8_MAX) {
        return AZFN_ERROR_SYNTAX;
    }
    if (rest.length < length) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    out_frame->type = (enum azfn__frame_type)type;
    out_frame->payload = azfn__span(rest.data, (size_t)length);
    reader->consumed += AZFN__FRAME_HEADER_BYTES + (size_t)length;
    return AZFN_OK;
}
