/* azfn_request(): a request to a destination as the worker sees it. */
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/request_state.h"

#define BODY_MAX_BYTES ((size_t)128 << 20)

struct azfn_request *azfn__request_handle_of(const struct azfn__request_state *state)
{
    return (struct azfn_request *)state;
}

struct azfn__request_state *azfn__request_state_of(struct azfn__invocation *invocation,
                                                   const struct azfn_request *handle)
{
    struct azfn__request_state *state = invocation ? invocation->requests : NULL;
    while (state && azfn__request_handle_of(state) != handle) {
        state = state->next;
    }
    return state;
}

static struct azfn__frame_writer *writer_of(const struct azfn__request_state *state)
{
    return &state->invocation->dispatcher->asks->broker->writer;
}

void azfn__request_send_number(const struct azfn__request_state *state, enum azfn__frame_type type, size_t number)
{
    bool is_sent = azfn__ask_append_number(azfn__frame_writer_out(writer_of(state)), type, state->id, (uint32_t)number);
    (void)is_sent; /* only without memory not: the invocation ends by its deadline */
}

static void pump(struct azfn__request_state *state)
{
    if (state->id != 0) {
        azfn__request_upload_pump(&state->upload, writer_of(state), state->id);
    }
}

static enum azfn_error send_head(struct azfn__request_state *state, const char *destination,
                                 const struct azfn_request_options *options)
{
    struct azfn__invocation *invocation = state->invocation;
    struct azfn__asks *asks = invocation->dispatcher->asks;
    uint32_t remaining_ms = azfn_remaining_ms(azfn__invocation_handle(invocation));
    bool has_own_time = options->timeout_ms > 0 && options->timeout_ms < remaining_ms;
    if (!azfn__broker_client_has_room(asks->broker) || options->header_count > UINT16_MAX) {
        return AZFN_ERROR_LIMIT;
    }
    state->id = azfn__ask_table_add(&asks->requests, state);
    const struct azfn__request_ask ask = {
        .id = state->id,
        .timeout_ms = has_own_time ? options->timeout_ms : remaining_ms,
        .body_bytes = azfn__request_upload_length(options),
        .function = invocation->function->config->name,
        .invocation_id = invocation->id,
        .trace_parent = azfn__invocation_trace_parent(invocation),
        .destination = azfn_span_of(destination),
        .method = azfn_span_of(options->method),
        .path = options->path,
        .headers.count = options->header_count};
    struct azfn__buffer *out = azfn__frame_writer_out(&asks->broker->writer);
    size_t begin = azfn__ask_begin_request(out, &ask);
    for (size_t i = 0; i < options->header_count; i++) {
        azfn__ask_append_header(out, azfn_span_of(options->headers[i].name), options->headers[i].value);
    }
    if (!azfn__frame_end(out, begin) || state->id == 0) {
        azfn__ask_table_remove(&asks->requests, state->id);
        return AZFN_ERROR_LIMIT;
    }
    return AZFN_OK;
}

enum azfn_error azfn_request(struct azfn_invocation *handle, const char *destination,
                             const struct azfn_request_options *options, azfn_on_response_fn *on_response,
                             void *user_data, struct azfn_request **out_request)
{
    struct azfn__invocation *invocation = azfn__invocation_running_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (!destination || !options || !options->method || !on_response || (options->header_count && !options->headers)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "azfn_request");
    }
    struct azfn__request_state *state = azfn__invocation_alloc(invocation, sizeof(*state));
    if (!state) {
        return AZFN_ERROR_NO_MEMORY;
    }
    *state = (struct azfn__request_state){.invocation = invocation,
                                          .on_response = on_response,
                                          .user_data = user_data,
                                          .window_bytes = AZFN__ASK_WINDOW_BYTES,
                                          .streams_response = options->streams_response};
    azfn__buffer_init(&state->body, BODY_MAX_BYTES);
    enum azfn_error error = azfn__request_upload_init(&state->upload, options);
    if (error == AZFN_OK) {
        error = send_head(state, destination, options);
    }
    if (error != AZFN_OK) {
        azfn__request_upload_clean_up(&state->upload);
        return azfn__invocation_refuse(invocation, error, "azfn_request");
    }
    state->next = invocation->requests;
    invocation->requests = state;
    pump(state);
    if (out_request) {
        *out_request = azfn__request_handle_of(state);
    }
    return AZFN_OK;
}

static bool is_writable(const struct azfn__request_state *state)
{
    return state->is_over || azfn__request_upload_is_writable(&state->upload);
}

static void call_on_writable(struct azfn_invocation *handle, void *user_data)
{
    struct azfn__request_state *state = user_data;
    azfn_on_writable_fn *on_writable = state->on_writable;
    if (on_writable && is_writable(state)) {
        state->on_writable = NULL;
        on_writable(handle, state->on_writable_data);
    }
}

static void tell_writable(struct azfn__request_state *state)
{
    if (state->on_writable && is_writable(state)) {
        azfn__dispatcher_call(state->invocation, call_on_writable, state);
    }
}

enum azfn_error azfn_request_write(struct azfn_invocation *handle, struct azfn_request *request,
                                   struct azfn_span bytes)
{
    struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_running_of(handle), request);
    if (!state || state->is_over) {
        return AZFN_ERROR_STATE;
    }
    enum azfn_error error = azfn__request_upload_write(&state->upload, bytes);
    if (error == AZFN_ERROR_NO_MEMORY) {
        return azfn__invocation_refuse(state->invocation, error, "azfn_request_write");
    }
    pump(state);
    return error;
}

enum azfn_error azfn_request_on_writable(struct azfn_invocation *handle, struct azfn_request *request,
                                         azfn_on_writable_fn *on_writable, void *user_data)
{
    struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_running_of(handle), request);
    if (!state || !on_writable || state->upload.is_whole || state->on_writable) {
        return AZFN_ERROR_STATE;
    }
    state->on_writable = on_writable;
    state->on_writable_data = user_data;
    return is_writable(state) ? azfn_delay(handle, 0, call_on_writable, state) : AZFN_OK;
}

enum azfn_error azfn_request_end(struct azfn_invocation *handle, struct azfn_request *request)
{
    struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_running_of(handle), request);
    if (!state) {
        return AZFN_ERROR_STATE;
    }
    enum azfn_error error = azfn__request_upload_end(&state->upload);
    pump(state);
    return error;
}

static void give_up(struct azfn__request_state *state)
{
    azfn__ask_table_remove(&state->invocation->dispatcher->asks->requests, state->id);
    state->id = 0;
    state->is_over = true;
}

static bool take_end(struct azfn__request_state *state, uint32_t number)
{
    struct azfn__invocation *invocation = state->invocation;
    uint16_t generation = invocation->generation;
    enum azfn_error error;
    if (!azfn__ask_error_of(number, &error) || (error == AZFN_OK && state->status == 0)) {
        return false;
    }
    give_up(state);
    state->error = state->body.has_failed ? AZFN_ERROR_NO_MEMORY : error;
    azfn__request_upload_clean_up(&state->upload);
    azfn__request_respond(state, state->error); /* for one that streams only where there was no head */
    if (invocation->generation == generation && invocation->state == AZFN__INVOCATION_RUNNING) {
        tell_writable(state);
    }
    if (invocation->generation == generation && invocation->state == AZFN__INVOCATION_RUNNING) {
        azfn__request_deliver(state);
    }
    return true;
}

static bool take_number(struct azfn__asks *asks, const struct azfn__frame *frame)
{
    struct azfn__ask_number number;
    if (!azfn__ask_decode_number(frame->payload, &number)) {
        return false;
    }
    struct azfn__request_state *state = azfn__ask_table_find(&asks->requests, number.id);
    if (!state) {
        return true;
    }
    if (frame->type == AZFN__FRAME_RESPONSE_END) {
        return take_end(state, number.number);
    }
    state->upload.credit_bytes += number.number;
    pump(state);
    tell_writable(state);
    return true;
}

bool azfn__request_asks_take(struct azfn__asks *asks, const struct azfn__frame *frame)
{
    struct azfn__response_head head;
    struct azfn__ask_piece piece;
    struct azfn__request_state *state;
    switch (frame->type) {
    case AZFN__FRAME_RESPONSE:
        if (!azfn__ask_decode_response(frame->payload, &head)) {
            return false;
        }
        state = azfn__ask_table_find(&asks->requests, head.id);
        return !state || azfn__request_take_head(state, &head);
    case AZFN__FRAME_RESPONSE_BODY:
        if (!azfn__ask_decode_piece(frame->payload, &piece)) {
            return false;
        }
        state = azfn__ask_table_find(&asks->requests, piece.id);
        return !state || azfn__request_take_piece(state, piece.bytes);
    case AZFN__FRAME_RESPONSE_END:
    case AZFN__FRAME_REQUEST_WRITE:
        return take_number(asks, frame);
    default:
        return false;
    }
}

void azfn__request_asks_stop(struct azfn__invocation *invocation)
{
    for (struct azfn__request_state *state = invocation->requests; state; state = state->next) {
        if (state->id != 0) {
            azfn__request_send_number(state, AZFN__FRAME_REQUEST_CANCEL, 0);
            give_up(state);
        }
        azfn__request_upload_clean_up(&state->upload);
    }
}

void azfn__request_asks_release(struct azfn__invocation *invocation)
{
    for (struct azfn__request_state *state = invocation->requests; state; state = state->next) {
        azfn__buffer_clean_up(&state->body);
    }
}
