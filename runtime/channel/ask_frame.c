#include "channel/ask_frame.h"

#include "base/span.h"
#include "channel/payload.h"

static bool take_id(struct azfn_span *rest, uint32_t *out_id)
{
    uint64_t id;
    if (!azfn__payload_take(rest, 4, &id)) {
        return false;
    }
    *out_id = (uint32_t)id;
    return true;
}

enum {
#define KNOWN(name, text) KNOWN_##name,
    AZFN_ERROR_MAP(KNOWN)
#undef KNOWN
    KNOWN_ERROR_COUNT
};

bool azfn__ask_error_of(uint64_t number, enum azfn_error *out_error)
{
    if (number >= KNOWN_ERROR_COUNT) {
        return false;
    }
    *out_error = (enum azfn_error)number;
    return true;
}

bool azfn__ask_append_secret(struct azfn__buffer *out, const struct azfn__secret_ask *ask)
{
    size_t begin = azfn__frame_begin(out, AZFN__FRAME_SECRET_ASK);
    azfn__payload_append(out, ask->id, 4);
    azfn__payload_append_text(out, ask->function);
    azfn__payload_append_text(out, ask->invocation_id);
    azfn__payload_append_text(out, ask->trace_parent);
    azfn__payload_append_text(out, ask->name);
    return azfn__frame_end(out, begin);
}

bool azfn__ask_decode_secret(struct azfn_span payload, struct azfn__secret_ask *out_ask)
{
    return take_id(&payload, &out_ask->id) && azfn__payload_take_text(&payload, &out_ask->function) &&
           azfn__payload_take_text(&payload, &out_ask->invocation_id) &&
           azfn__payload_take_text(&payload, &out_ask->trace_parent) &&
           azfn__payload_take_text(&payload, &out_ask->name) && payload.length == 0;
}

bool azfn__ask_append_secret_answer(struct azfn__buffer *out, const struct azfn__secret_answer *answer)
{
    size_t begin = azfn__frame_begin(out, AZFN__FRAME_SECRET);
    azfn__payload_append(out, answer->id, 4);
    azfn__payload_append(out, answer->error, 1);
    azfn__payload_append_text(out, answer->version);
    azfn__payload_append_text(out, answer->value);
    return azfn__frame_end(out, begin);
}

bool azfn__ask_decode_secret_answer(struct azfn_span payload, struct azfn__secret_answer *out_answer)
{
    uint64_t error;
    return take_id(&payload, &out_answer->id) && azfn__payload_take(&payload, 1, &error) &&
           azfn__ask_error_of(error, &out_answer->error) &&
           azfn__payload_take_text(&payload, &out_answer->version) &&
           azfn__payload_take_text(&payload, &out_answer->value) && payload.length == 0;
}

bool azfn__ask_next_header(struct azfn__ask_headers *headers, struct azfn_span *out_name, struct azfn_span *out_value)
{
    if (headers->count == 0) {
        return false;
    }
    headers->count--;
    return azfn__payload_take_text(&headers->pairs, out_name) && azfn__payload_take_text(&headers->pairs, out_value);
}

void azfn__ask_append_header(struct azfn__buffer *out, struct azfn_span name, struct azfn_span value)
{
    azfn__payload_append_text(out, name);
    azfn__payload_append_text(out, value);
}

/* The rest of the payload: count (2), headers. */
static bool take_headers(struct azfn_span rest, struct azfn__ask_headers *out_headers)
{
    uint64_t count;
    if (!azfn__payload_take(&rest, 2, &count)) {
        return false;
    }
    *out_headers = (struct azfn__ask_headers){.pairs = rest, .count = (size_t)count};
    struct azfn__ask_headers walk = *out_headers;
    struct azfn_span name;
    struct azfn_span value;
    for (size_t i = 0; i < out_headers->count; i++) {
        if (!azfn__ask_next_header(&walk, &name, &value)) {
            return false;
        }
    }
    return walk.pairs.length == 0;
}

size_t azfn__ask_begin_request(struct azfn__buffer *out, const struct azfn__request_ask *ask)
{
    size_t begin = azfn__frame_begin(out, AZFN__FRAME_REQUEST);
    azfn__payload_append(out, ask->id, 4);
    azfn__payload_append(out, ask->timeout_ms, 4);
    azfn__payload_append(out, ask->body_bytes, 8);
    azfn__payload_append_text(out, ask->function);
    azfn__payload_append_text(out, ask->invocation_id);
    azfn__payload_append_text(out, ask->trace_parent);
    azfn__payload_append_text(out, ask->destination);
    azfn__payload_append_text(out, ask->method);
    azfn__payload_append_text(out, ask->path);
    azfn__payload_append(out, ask->headers.count, 2);
    return begin;
}

bool azfn__ask_decode_request(struct azfn_span payload, struct azfn__request_ask *out_ask)
{
    uint64_t timeout_ms;
    if (!take_id(&payload, &out_ask->id) || !azfn__payload_take(&payload, 4, &timeout_ms) ||
        !azfn__payload_take(&payload, 8, &out_ask->body_bytes)) {
        return false;
    }
    out_ask->timeout_ms = (uint32_t)timeout_ms;
    struct azfn_span *const texts[] = {&out_ask->function,    &out_ask->invocation_id, &out_ask->trace_parent,
                                       &out_ask->destination, &out_ask->method,        &out_ask->path};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!azfn__payload_take_text(&payload, texts[i])) {
            return false;
        }
    }
    return take_headers(payload, &out_ask->headers);
}

size_t azfn__ask_begin_response(struct azfn__buffer *out, const struct azfn__response_head *head)
{
    size_t begin = azfn__frame_begin(out, AZFN__FRAME_RESPONSE);
    azfn__payload_append(out, head->id, 4);
    azfn__payload_append(out, head->status, 2);
    azfn__payload_append(out, head->headers.count, 2);
    return begin;
}

bool azfn__ask_decode_response(struct azfn_span payload, struct azfn__response_head *out_head)
{
    uint64_t status;
    if (!take_id(&payload, &out_head->id) || !azfn__payload_take(&payload, 2, &status)) {
        return false;
    }
    out_head->status = (uint16_t)status;
    return take_headers(payload, &out_head->headers);
}

bool azfn__ask_append_piece(struct azfn__buffer *out, enum azfn__frame_type type, const struct azfn__ask_piece *piece)
{
    size_t begin = azfn__frame_begin(out, type);
    azfn__payload_append(out, piece->id, 4);
    azfn__payload_append(out, piece->is_last, 1);
    azfn__buffer_append_span(out, piece->bytes);
    return azfn__frame_end(out, begin);
}

bool azfn__ask_decode_piece(struct azfn_span payload, struct azfn__ask_piece *out_piece)
{
    uint64_t is_last;
    if (!take_id(&payload, &out_piece->id) || !azfn__payload_take(&payload, 1, &is_last) || is_last > 1) {
        return false;
    }
    out_piece->is_last = is_last == 1;
    out_piece->bytes = payload;
    return true;
}

bool azfn__ask_append_number(struct azfn__buffer *out, enum azfn__frame_type type, uint32_t id, uint32_t number)
{
    size_t begin = azfn__frame_begin(out, type);
    azfn__payload_append(out, id, 4);
    azfn__payload_append(out, number, 4);
    return azfn__frame_end(out, begin);
}

bool azfn__ask_decode_number(struct azfn_span payload, struct azfn__ask_number *out_number)
{
    uint64_t number;
    if (!take_id(&payload, &out_number->id) || !azfn__payload_take(&payload, 4, &number) || payload.length != 0) {
        return false;
    }
    out_number->number = (uint32_t)number;
    return true;
}
