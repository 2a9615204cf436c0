#include "channel/frame.h"

#include "base/span.h"

/* One read of the stream may bring the end of one frame and the beginning of many. */
#define READER_MAX_BYTES (AZFN__FRAME_HEADER_BYTES + AZFN__FRAME_MAX_PAYLOAD_BYTES + ((size_t)64 << 10))

static void append_header(struct azfn__buffer *out, enum azfn__frame_type type, size_t payload_length)
{
    uint32_t length = (uint32_t)payload_length;
    char header[AZFN__FRAME_HEADER_BYTES] = {
        (char)(length & 0xff),         (char)((length >> 8) & 0xff), (char)((length >> 16) & 0xff),
        (char)((length >> 24) & 0xff), (char)type,
    };
    azfn__buffer_append(out, header, sizeof(header));
}

void azfn__frame_append(struct azfn__buffer *out, enum azfn__frame_type type, struct azfn_span payload)
{
    if (payload.length > AZFN__FRAME_MAX_PAYLOAD_BYTES) {
        payload.length = AZFN__FRAME_MAX_PAYLOAD_BYTES;
    }
    append_header(out, type, payload.length);
    azfn__buffer_append_span(out, payload);
}

static void append_text(struct azfn__buffer *out, struct azfn_span text)
{
    azfn__buffer_append_char(out, (char)(text.length & 0xff));
    azfn__buffer_append_char(out, (char)(text.length >> 8));
    azfn__buffer_append_span(out, text);
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
    append_text(out, event);
    append_text(out, function);
    append_text(out, invocation_id);
    append_text(out, text);
}

static bool take_text(struct azfn_span *rest, struct azfn_span *out_text)
{
    if (rest->length < 2) {
        return false;
    }
    size_t length = (size_t)(unsigned char)rest->data[0] | (size_t)(unsigned char)rest->data[1] << 8;
    if (rest->length - 2 < length) {
        return false;
    }
    *out_text = azfn__span(rest->data + 2, length);
    *rest = azfn__span_from(*rest, 2 + length);
    return true;
}

bool azfn__frame_decode_log(struct azfn_span payload, struct azfn__log_frame *out_log)
{
    if (payload.length < 1 || (unsigned char)payload.data[0] > AZFN_LOG_ERROR) {
        return false;
    }
    out_log->level = (enum azfn_log_level)payload.data[0];
    struct azfn_span rest = azfn__span_from(payload, 1);
    return take_text(&rest, &out_log->event) && take_text(&rest, &out_log->function) &&
           take_text(&rest, &out_log->invocation_id) && take_text(&rest, &out_log->text) && rest.length == 0;
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

bool azfn__frame_reader_feed(struct azfn__frame_reader *reader, const void *data, size_t length)
{
    azfn__buffer_consume(&reader->buffer, reader->consumed);
    reader->consumed = 0;
    azfn__buffer_append(&reader->buffer, data, length);
    return !reader->buffer.has_failed;
}

enum azfn_error azfn__frame_reader_next(struct azfn__frame_reader *reader, struct azfn__frame *out_frame)
{
    struct azfn_span rest = azfn__span_from(azfn__buffer_span(&reader->buffer), reader->consumed);
    if (rest.length < AZFN__FRAME_HEADER_BYTES) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    const unsigned char *header = (const unsigned char *)rest.data;
    size_t length = (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16 | (size_t)header[3] << 24;
    if (length > AZFN__FRAME_MAX_PAYLOAD_BYTES || header[5] || header[6] || header[7]) {
        return AZFN_ERROR_SYNTAX;
    }
    if (rest.length - AZFN__FRAME_HEADER_BYTES < length) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    out_frame->type = (enum azfn__frame_type)header[4];
    out_frame->payload = azfn__span(rest.data + AZFN__FRAME_HEADER_BYTES, length);
    reader->consumed += AZFN__FRAME_HEADER_BYTES + length;
    return AZFN_OK;
}
