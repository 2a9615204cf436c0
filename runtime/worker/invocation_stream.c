/* Bodies of azfn.h that come or go in pieces. */
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation_answer.h"

#define PIECE_MAX_BYTES ((size_t)1 << 20)
/* A body's buffer stays for the next piece up to this size. */
#define BODY_KEPT_BYTES ((size_t)64 << 10)

/* NULL where there is nothing to write to or to read from any more. */
static struct azfn__invocation *running_of(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation && !azfn__answer_is_given(invocation) ? invocation : NULL;
}

static bool can_stream(const struct azfn__invocation *invocation)
{
    return invocation->mode == AZFN__MODE_FORWARDED && invocation->request.minor_version > 0 && !invocation->job &&
           invocation->responder && invocation->responder->begin;
}

static enum azfn_error begin(struct azfn__invocation *invocation, int status, struct azfn_span content_type)
{
    struct azfn__answer_stream *stream = &invocation->stream;
    enum azfn_error error = azfn__answer_check(invocation, status, content_type, azfn__span("", 0));
    if (error == AZFN_OK && azfn__answer_has_no_body(status)) {
        error = azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "pieces with a status without a body");
    }
    stream->state = AZFN__ANSWER_COLLECTING;
    stream->status = (uint16_t)status;
    stream->content_type = azfn__arena_copy(&invocation->arena, content_type);
    if (error != AZFN_OK || !can_stream(invocation)) {
        return error;
    }
    const struct azfn__http_response response = {.status = (uint16_t)status,
                                                 .content_type = content_type,
                                                 .header_lines = azfn__buffer_span(&invocation->header_lines),
                                                 .is_chunked = true};
    stream->state = AZFN__ANSWER_STREAMING;
    return invocation->responder->begin(invocation, &response, invocation->responder_context);
}

enum azfn_error azfn_http_begin(struct azfn_invocation *handle, int status, const char *content_type)
{
    struct azfn__invocation *invocation = running_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (invocation->stream.state != AZFN__ANSWER_WHOLE) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_STATE, "a second azfn_http_begin()");
    }
    return begin(invocation, status, content_type ? azfn_span_of(content_type) : AZFN__DEFAULT_CONTENT_TYPE);
}

enum azfn_error azfn_http_write(struct azfn_invocation *handle, struct azfn_span bytes)
{
    struct azfn__invocation *invocation = running_of(handle);
    if (!invocation || invocation->stream.state == AZFN__ANSWER_WHOLE) {
        return AZFN_ERROR_STATE;
    }
    struct azfn__answer_stream *stream = &invocation->stream;
    if (invocation->first_error != AZFN_OK) {
        return invocation->first_error;
    }
    if (bytes.length > PIECE_MAX_BYTES) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_LIMIT, "the size of a piece");
    }
    if (!invocation->job && !invocation->responder) {
        return AZFN_ERROR_STATE;
    }
    if (stream->state == AZFN__ANSWER_COLLECTING) {
        azfn__buffer_append_span(&stream->collected, bytes);
        return stream->collected.has_failed
                   ? azfn__invocation_refuse(invocation, AZFN_ERROR_LIMIT, "the size of all pieces")
                   : AZFN_OK;
    }
    return bytes.length > 0 ? invocation->responder->write(invocation, bytes, invocation->responder_context) : AZFN_OK;
}

enum azfn_error azfn_http_on_writable(struct azfn_invocation *handle, azfn_on_writable_fn *on_writable,
                                      void *user_data)
{
    struct azfn__invocation *invocation = running_of(handle);
    if (!invocation || invocation->stream.state == AZFN__ANSWER_WHOLE || invocation->stream.on_writable) {
        return AZFN_ERROR_STATE;
    }
    /* what was queued may be out already, and then nothing would come to say so */
    if (invocation->stream.state == AZFN__ANSWER_COLLECTING || !invocation->responder ||
        invocation->responder->is_writable(invocation, invocation->responder_context)) {
        return azfn_delay(handle, 0, on_writable, user_data);
    }
    invocation->stream.on_writable = on_writable;
    invocation->stream.on_writable_data = user_data;
    return AZFN_OK;
}

void azfn__invocation_tell_writable(struct azfn__invocation *invocation)
{
    azfn_on_writable_fn *on_writable = invocation->stream.on_writable;
    if (invocation->state == AZFN__INVOCATION_RUNNING && on_writable) {
        invocation->stream.on_writable = NULL;
        azfn__dispatcher_call(invocation, on_writable, invocation->stream.on_writable_data);
    }
}

enum azfn_error azfn_http_end(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__answerable_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    struct azfn__answer_stream *stream = &invocation->stream;
    if (stream->state == AZFN__ANSWER_WHOLE) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_STATE, "azfn_http_end() without azfn_http_begin()");
    }
    if (stream->state == AZFN__ANSWER_COLLECTING && invocation->first_error == AZFN_OK) {
        struct azfn_span body = azfn__buffer_span(&stream->collected);
        return azfn__answer_reply(invocation, stream->status, stream->content_type,
                                  body.length > 0 ? body : azfn__span("", 0));
    }
    azfn__dispatcher_finish(invocation);
    if (invocation->first_error != AZFN_OK) {
        return azfn__answer_fail_refused(invocation);
    }
    if (invocation->responder) {
        invocation->responder->end(invocation, invocation->responder_context);
    } else {
        azfn__dispatcher_release(invocation->dispatcher, invocation);
    }
    return AZFN_OK;
}

/* What a function's callback gets, on its way through azfn__dispatcher_call(). */
struct delivery {
    azfn_on_body_fn *on_body;
    void *user_data;
    enum azfn_error error;
    struct azfn_span piece;
    bool is_last;
};

static void call_on_body(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_body(handle, delivery->error, delivery->piece, delivery->is_last, delivery->user_data);
}

void azfn__invocation_deliver_body(struct azfn__invocation *invocation)
{
    struct azfn__body_reader *reader = &invocation->body_reader;
    struct azfn__buffer *body = &invocation->message.body;
    /* one that was collected comes with a delay, and is no more than a part of what the buffer holds */
    if (invocation->state != AZFN__INVOCATION_RUNNING || !reader->on_body || !reader->is_streamed ||
        (body->length == 0 && !reader->is_complete && reader->error == AZFN_OK)) {
        return;
    }
    /* the function may answer in the call, after which the invocation is another's */
    struct azfn__buffer piece = *body;
    uint16_t generation = invocation->generation;
    azfn__buffer_init(body, piece.max_bytes);
    struct delivery delivery = {.on_body = reader->on_body,
                                .user_data = reader->on_body_data,
                                .error = reader->error,
                                .piece = azfn__span("", 0),
                                .is_last = reader->is_complete || reader->error != AZFN_OK};
    if (reader->error == AZFN_OK && piece.length > 0) {
        delivery.piece = azfn__buffer_span(&piece);
    }
    reader->on_body = NULL;
    reader->is_read = delivery.is_last;
    azfn__dispatcher_call(invocation, call_on_body, &delivery);
    if (invocation->generation == generation && !body->data) {
        azfn__buffer_reset(&piece, BODY_KEPT_BYTES);
        *body = piece;
    } else {
        azfn__buffer_clean_up(&piece);
    }
    azfn__http_message_count_body(&invocation->message);
}

/* A body that was collected, or whose caller has gone. */
static void deliver_what_is_there(struct azfn_invocation *handle, void *user_data)
{
    (void)user_data;
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    struct azfn__body_reader *reader = &invocation->body_reader;
    struct azfn_span body = reader->is_streamed ? azfn__buffer_span(&invocation->message.body) : azfn_http_body(handle);
    bool is_cut = reader->is_streamed && !reader->is_complete;
    enum azfn_error error = reader->error == AZFN_OK && is_cut ? AZFN_ERROR_UNAVAILABLE : reader->error;
    azfn_on_body_fn *on_body = reader->on_body;
    if (!on_body) {
        return; /* the caller's leaving has come first */
    }
    reader->on_body = NULL;
    reader->is_read = true;
    on_body(handle, error, error == AZFN_OK && body.length > 0 ? body : azfn__span("", 0), true, reader->on_body_data);
}

enum azfn_error azfn_http_read_body(struct azfn_invocation *handle, azfn_on_body_fn *on_body, void *user_data)
{
    struct azfn__invocation *invocation = running_of(handle);
    if (!invocation || invocation->job || invocation->function->config->trigger != AZFN__TRIGGER_HTTP) {
        return AZFN_ERROR_STATE;
    }
    struct azfn__body_reader *reader = &invocation->body_reader;
    if (reader->on_body || reader->is_read) {
        return AZFN_ERROR_STATE;
    }
    reader->on_body = on_body;
    reader->on_body_data = user_data;
    if (reader->is_streamed && invocation->responder) {
        invocation->responder->read(invocation, invocation->responder_context);
        return AZFN_OK;
    }
    enum azfn_error error = azfn_delay(handle, 0, deliver_what_is_there, NULL);
    reader->on_body = error == AZFN_OK ? on_body : NULL;
    return error;
}

void azfn__invocation_lose_caller(struct azfn__invocation *invocation)
{
    struct azfn__body_reader *reader = &invocation->body_reader;
    if (invocation->state != AZFN__INVOCATION_RUNNING) {
        return;
    }
    if (reader->is_streamed && !reader->is_complete && reader->error == AZFN_OK) {
        reader->error = AZFN_ERROR_UNAVAILABLE;
    }
    azfn__invocation_tell_writable(invocation);
    azfn__invocation_deliver_body(invocation);
}
