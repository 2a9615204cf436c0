/* What comes back for a request to a destination, and how a function gets it. */
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/request_state.h"

/* Credit is given back in portions, not for each piece. */
#define CREDIT_STEP_BYTES (AZFN__ASK_WINDOW_BYTES / 2)

/* What callbacks get, on their way through azfn__dispatcher_call(). */
struct delivery {
    struct azfn__request_state *state;
    azfn_on_response_fn *on_response;
    azfn_on_piece_fn *on_piece;
    struct azfn_span piece;
    bool is_last;
    enum azfn_error error;
};

static void call_on_response(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_response(handle, delivery->error, azfn__request_handle_of(delivery->state), delivery->state->user_data);
}

void azfn__request_respond(struct azfn__request_state *state, enum azfn_error error)
{
    struct delivery delivery = {.state = state, .on_response = state->on_response, .error = error};
    if (delivery.on_response) {
        state->on_response = NULL;
        azfn__dispatcher_call(state->invocation, call_on_response, &delivery);
    }
}

static void give_credit(struct azfn__request_state *state, size_t bytes)
{
    state->returned_bytes += bytes;
    if (state->id != 0 && state->returned_bytes >= CREDIT_STEP_BYTES) {
        state->window_bytes += state->returned_bytes;
        azfn__request_send_number(state, AZFN__FRAME_RESPONSE_READ, state->returned_bytes);
        state->returned_bytes = 0;
    }
}

static void call_on_piece(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_piece(handle, delivery->error, delivery->piece, delivery->is_last, delivery->state->on_piece_data);
}

/* What has arrived, for a function that has asked, and takes it out of state: *out_piece is the caller's then. */
static bool take_delivery(struct azfn__request_state *state, struct delivery *out_delivery,
                          struct azfn__buffer *out_piece)
{
    if (!state->on_piece || (state->body.length == 0 && !state->is_over)) {
        return false;
    }
    *out_piece = state->body;
    azfn__buffer_init(&state->body, out_piece->max_bytes);
    *out_delivery = (struct delivery){.state = state,
                                      .on_piece = state->on_piece,
                                      .error = state->is_over ? state->error : AZFN_OK,
                                      .piece = azfn__span("", 0),
                                      .is_last = state->is_over};
    if (out_delivery->error == AZFN_OK) {
        out_delivery->piece = azfn__buffer_span(out_piece);
    }
    state->on_piece = NULL;
    state->is_read = out_delivery->is_last;
    return true;
}

void azfn__request_deliver(struct azfn__request_state *state)
{
    struct azfn__invocation *invocation = state->invocation;
    uint16_t generation = invocation->generation;
    struct delivery delivery;
    struct azfn__buffer piece;
    if (!take_delivery(state, &delivery, &piece)) {
        return;
    }
    size_t length = piece.length;
    azfn__dispatcher_call(invocation, call_on_piece, &delivery);
    azfn__buffer_clean_up(&piece);
    if (invocation->generation == generation) {
        give_credit(state, length);
    }
}

/* From a delay, which ends with the invocation; meanwhile it may have come as it arrived. */
static void deliver_what_is_there(struct azfn_invocation *handle, void *user_data)
{
    struct azfn__request_state *state = user_data;
    struct delivery delivery;
    struct azfn__buffer piece;
    if (take_delivery(state, &delivery, &piece)) {
        give_credit(state, piece.length);
        call_on_piece(handle, &delivery);
        azfn__buffer_clean_up(&piece);
    }
}

enum azfn_error azfn_response_read(struct azfn_invocation *handle, struct azfn_request *request,
                                   azfn_on_piece_fn *on_piece, void *user_data)
{
    struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_running_of(handle), request);
    if (!state || !on_piece || !state->streams_response || state->status == 0 || state->on_piece || state->is_read) {
        return AZFN_ERROR_STATE;
    }
    state->on_piece = on_piece;
    state->on_piece_data = user_data;
    if (state->body.length == 0 && !state->is_over) {
        return AZFN_OK;
    }
    enum azfn_error error = azfn_delay(handle, 0, deliver_what_is_there, state);
    state->on_piece = error == AZFN_OK ? on_piece : NULL;
    return error;
}

bool azfn__request_take_head(struct azfn__request_state *state, const struct azfn__response_head *head)
{
    struct azfn__invocation *invocation = state->invocation;
    if (state->status != 0 || head->status == 0) {
        return false;
    }
    state->status = head->status;
    state->headers = azfn__invocation_alloc(invocation, (head->headers.count + 1) * sizeof(*state->headers));
    struct azfn__ask_headers walk = head->headers;
    struct azfn_span name;
    struct azfn_span value;
    while (state->headers && azfn__ask_next_header(&walk, &name, &value)) {
        struct azfn__response_header *header = &state->headers[state->header_count++];
        header->name = azfn__arena_copy(&invocation->arena, name);
        header->value = azfn__arena_copy(&invocation->arena, value);
    }
    if (state->streams_response) {
        azfn__request_respond(state, AZFN_OK);
    }
    return true;
}

bool azfn__request_take_piece(struct azfn__request_state *state, struct azfn_span bytes)
{
    if (state->status == 0 || bytes.length > state->window_bytes) {
        return false;
    }
    state->window_bytes -= bytes.length;
    azfn__buffer_append_span(&state->body, bytes);
    if (state->streams_response) {
        azfn__request_deliver(state);
    } else {
        give_credit(state, bytes.length);
    }
    return true;
}

int azfn_response_status(struct azfn_invocation *handle, const struct azfn_request *request)
{
    const struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_of(handle), request);
    return state ? state->status : 0;
}

struct azfn_span azfn_response_header(struct azfn_invocation *handle, const struct azfn_request *request,
                                      const char *name)
{
    const struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_of(handle), request);
    struct azfn_span wanted = azfn_span_of(name);
    for (size_t i = 0; state && i < state->header_count; i++) {
        if (azfn__span_equal_ignore_case(state->headers[i].name, wanted)) {
            return state->headers[i].value;
        }
    }
    return azfn__absent();
}

struct azfn_span azfn_response_body(struct azfn_invocation *handle, const struct azfn_request *request)
{
    const struct azfn__request_state *state = azfn__request_state_of(azfn__invocation_of(handle), request);
    bool is_there = state && state->status != 0 && !state->streams_response;
    return is_there ? azfn__buffer_span(&state->body) : azfn__absent();
}
