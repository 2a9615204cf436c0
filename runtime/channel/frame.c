#include "channel/frame.h"

#include "base/span.h"
#include "channel/payload.h"

#include <sodium.h>

#define LOG_NUMBER_BYTES 8
/* More than a line shows of them, so that it marks what is cut. */
#define LOG_FIELD_MAX_BYTES 1280
#define LOG_TEXT_MAX_BYTES ((size_t)8 << 10)

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

/* Before a URL is cut, since its half would not be known for user info; there may be nothing of it to show. */
static void show_urls(struct azfn__event_fields *fields)
{
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        if (azfn__event_field_info((enum azfn__event_field)i)->type == AZFN__FIELD_TYPE_URL) {
            struct azfn_span *url = azfn__event_field_text(fields, (enum azfn__event_field)i);
            *url = azfn__event_url_shown(*url);
        }
    }
}

static void append_field(struct azfn__buffer *out, struct azfn__event_fields *fields, enum azfn__event_field field)
{
    azfn__buffer_append_char(out, (char)field);
    if (azfn__event_field_is_number(field)) {
        azfn__payload_append(out, LOG_NUMBER_BYTES, 2);
        azfn__payload_append(out, (uint64_t)azfn__event_field_number(fields, field)->value, LOG_NUMBER_BYTES);
    } else {
        azfn__payload_append_text(out, cut(*azfn__event_field_text(fields, field), LOG_FIELD_MAX_BYTES));
    }
}

void azfn__frame_append_log(struct azfn__buffer *out, const struct azfn__log_frame *log)
{
    const struct azfn__security_event_info *info = azfn__security_event_info(log->event);
    struct azfn__event_fields fields = log->fields;
    show_urls(&fields);
    uint64_t set = azfn__event_fields_set(&fields) & info->fields;
    size_t begin = azfn__frame_begin(out, AZFN__FRAME_LOG);
    azfn__payload_append(out, log->event == AZFN__EVENT_NONE ? log->level : info->level, 1);
    azfn__payload_append(out, log->event, 2);
    azfn__payload_append(out, (uint64_t)__builtin_popcountll(set), 1);
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        if (set >> i & 1) {
            append_field(out, &fields, (enum azfn__event_field)i);
        }
    }
    azfn__payload_append_text(out, cut(log->text, LOG_TEXT_MAX_BYTES));
    bool fits = azfn__frame_end(out, begin); /* as the longest texts do */
    (void)fits;
}

/* *allowed are the fields that may still come: those of the event, in their order. */
static bool take_field(struct azfn_span *rest, struct azfn__event_fields *fields, uint64_t *allowed)
{
    uint64_t id;
    uint64_t value;
    struct azfn_span text;
    if (!azfn__payload_take(rest, 1, &id) || id >= AZFN__EVENT_FIELD_COUNT || !(*allowed >> id & 1) ||
        !azfn__payload_take_text(rest, &text)) {
        return false;
    }
    *allowed &= ~UINT64_C(1) << id;
    enum azfn__event_field field = (enum azfn__event_field)id;
    if (!azfn__event_field_is_number(field)) {
        bool may_be_empty = azfn__event_field_info(field)->type == AZFN__FIELD_TYPE_LIST;
        *azfn__event_field_text(fields, field) = text;
        return text.length <= LOG_FIELD_MAX_BYTES && (text.length > 0 || may_be_empty);
    }
    if (text.length != LOG_NUMBER_BYTES || !azfn__payload_take(&text, LOG_NUMBER_BYTES, &value)) {
        return false;
    }
    *azfn__event_field_number(fields, field) = AZFN__NUMBER(value);
    return true;
}

bool azfn__frame_decode_log(struct azfn_span payload, struct azfn__log_frame *out_log)
{
    struct azfn_span rest = payload;
    uint64_t level;
    uint64_t event;
    uint64_t count;
    *out_log = (struct azfn__log_frame){.event = AZFN__EVENT_NONE};
    if (!azfn__payload_take(&rest, 1, &level) || level > AZFN_LOG_ERROR || !azfn__payload_take(&rest, 2, &event) ||
        event >= AZFN__EVENT_COUNT || !azfn__payload_take(&rest, 1, &count)) {
        return false;
    }
    out_log->level = (enum azfn_log_level)level;
    out_log->event = (enum azfn__security_event)event;
    const struct azfn__security_event_info *info = azfn__security_event_info(out_log->event);
    if (info->source == AZFN__SOURCE_BROKER ||
        (out_log->event != AZFN__EVENT_NONE && out_log->level != info->level)) {
        return false;
    }
    uint64_t allowed = info->fields;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_field(&rest, &out_log->fields, &allowed)) {
            return false;
        }
    }
    return azfn__payload_take_text(&rest, &out_log->text) && rest.length == 0 &&
           out_log->text.length <= LOG_TEXT_MAX_BYTES;
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
