/* azfn_request(): a request to a destination as the worker sees it. */
#include "base/span.h"
#include "worker/asks.h"
#include "worker/dispatcher.h"

#define PIECE_MAX_BYTES ((size_t)1 << 20)
#define BODY_MAX_BYTES ((size_t)128 << 20)
/* Credit is given back in portions, not for each piece. */
#define CREDIT_STEP_BYTES (AZFN__ASK_WINDOW_BYTES / 2)

struct response_header {
    struct azfn_span name;
    struct azfn_span value;
};

/* What functions hold as a struct azfn_request: an address that is looked up, never followed. */
struct azfn__request_state {
    struct azfn__request_state *next; /* in the invocation's list */
    struct azfn__invocation *invocation;
    uint32_t id;     /* 0: the answer is whole, or given up */
    bool is_over;    /* nothing more comes from the broker */
    enum azfn_error error; /* where is_over */
    azfn_on_response_fn *on_response; /* NULL: was called */
    void *user_data;

    struct azfn__buffer upload; /* what is still to be sent */
    size_t credit_bytes;        /* that may be sent now */
    uint64_t missing_bytes;     /* of a length that was said; UINT64_MAX: none was */
    bool is_upload_whole;       /* upload holds all that is left */
    bool is_upload_sent;
    azfn_on_writable_fn *on_writable; /* NULL: the function does not wait */
    void *on_writable_data;

    bool streams_response;
    uint16_t status; /* 0: no head yet */
    struct response_header *headers;
    size_t header_count;
    struct azfn__buffer body;  /* what has arrived and was not read */
    size_t window_bytes;       /* that may still arrive */
    size_t returned_bytes;     /* credit that is not yet told */
    bool is_read;              /* the function has had the last piece, or the error */
    azfn_on_piece_fn *on_piece; /* NULL: the function has not asked */
    void *on_piece_data;
};

static struct azfn_request *handle_of(const struct azfn__request_state *state)
{
    return (struct azfn_request *)state;
}

/* NULL where the invocation has no such request. */
static struct azfn__request_state *state_of(struct azfn__invocation *invocation, const struct azfn_request *handle)
{
    struct azfn__request_state *state = invocation ? invocation->requests : NULL;
    while (state && handle_of(state) != handle) {
        state = state->next;
    }
    return state;
}

static struct azfn__frame_writer *writer_of(const struct azfn__request_state *state)
{
    return &state->invocation->dispatcher->asks->broker->writer;
}

static void send_number(const struct azfn__request_state *state, enum azfn__frame_type type, size_t number)
{
    bool is_sent = azfn__ask_append_number(azfn__frame_writer_out(writer_of(state)), type, state->id, (uint32_t)number);
    (void)is_sent; /* only without memory not: the invocation ends by its deadline */
}

/* Sends as much of the body as there is credit for. */
static void pump(struct azfn__request_state *state)
{
    struct azfn__frame_writer *writer = writer_of(state);
    size_t sent = 0;
    while (state->id != 0 && !state->is_upload_sent) {
        size_t left = state->upload.length - sent;
        size_t length = left < state->credit_bytes ? left : state->credit_bytes;
        length = length < AZFN__ASK_PIECE_BYTES ? length : AZFN__ASK_PIECE_BYTES;
        bool is_last = state->is_upload_whole && length == left;
        if (length == 0 && !is_last) {
            break;
        }
        const struct azfn__ask_piece piece = {.id = state->id,
                                              .is_last = is_last,
                                              .bytes = azfn__span_from(azfn__buffer_span(&state->upload), sent)};
        struct azfn__ask_piece cut = piece;
        cut.bytes.length = length;
        if (!azfn__ask_append_piece(azfn__frame_writer_out(writer), AZFN__FRAME_REQUEST_BODY, &cut)) {
            break; /* no memory: the invocation ends by its deadline */
        }
        sent += length;
        state->credit_bytes -= length;
        state->is_upload_sent = is_last;
    }
    azfn__buffer_consume(&state->upload, sent);
}

static enum azfn_error send_head(struct azfn__request_state *state, const char *destination,
                                 const struct azfn_request_options *options, bool has_body)
{
    struct azfn__invocation *invocation = state->invocation;
    struct azfn__asks *asks = invocation->dispatcher->asks;
    uint32_t remaining_ms = azfn_remaining_ms(azfn__invocation_handle(invocation));
    bool has_own_time = options->timeout_ms > 0 && options->timeout_ms < remaining_ms;
    uint64_t body_bytes = !has_body ? 0 : options->streams_body ? options->body_bytes : options->body.length;
    if (!azfn__broker_client_has_room(asks->broker) || options->header_count > UINT16_MAX) {
        return AZFN_ERROR_LIMIT;
    }
    state->id = azfn__ask_table_add(&asks->requests, state);
    const struct azfn__request_ask ask = {
        .id = state->id,
        .timeout_ms = has_own_time ? options->timeout_ms : remaining_ms,
        .body_bytes = has_body && body_bytes == 0 ? AZFN__ASK_UNKNOWN_BYTES : body_bytes,
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
    bool has_length = options->streams_body && options->body_bytes > 0;
    if (has_length && (options->body_bytes == UINT64_MAX || options->body.length > options->body_bytes)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "azfn_request");
    }
    struct azfn__request_state *state = azfn__invocation_alloc(invocation, sizeof(*state));
    if (!state) {
        return AZFN_ERROR_NO_MEMORY;
    }
    *state = (struct azfn__request_state){.invocation = invocation,
                                          .on_response = on_response,
                                          .user_data = user_data,
                                          .credit_bytes = AZFN__ASK_WINDOW_BYTES,
                                          .window_bytes = AZFN__ASK_WINDOW_BYTES,
                                          .missing_bytes = UINT64_MAX,
                                          .is_upload_whole = !options->streams_body,
                                          .streams_response = options->streams_response};
    azfn__buffer_init(&state->upload, BODY_MAX_BYTES);
    azfn__buffer_init(&state->body, BODY_MAX_BYTES);
    azfn__buffer_append_span(&state->upload, options->body);
    state->missing_bytes = has_length ? options->body_bytes - options->body.length : UINT64_MAX;
    bool has_body = options->streams_body || options->body.length > 0;
    state->is_upload_sent = !has_body;
    enum azfn_error error =
        state->upload.has_failed ? AZFN_ERROR_LIMIT : send_head(state, destination, options, has_body);
    if (error != AZFN_OK) {
        azfn__buffer_clean_up(&state->upload);
        return azfn__invocation_refuse(invocation, error, "azfn_request");
    }
    state->next = invocation->requests;
    invocation->requests = state;
    pump(state);
    if (out_request) {
        *out_request = handle_of(state);
    }
    return AZFN_OK;
}

/* What callbacks get, on their way through azfn__dispatcher_call(). */
struct delivery {
    struct azfn__request_state *state;
    azfn_on_response_fn *on_response;
    azfn_on_piece_fn *on_piece;
    azfn_on_writable_fn *on_writable;
    struct azfn_span piece;
    bool is_last;
    enum azfn_error error;
};

static void call_on_response(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_response(handle, delivery->error, handle_of(delivery->state), delivery->state->user_data);
}

static void respond(struct azfn__request_state *state, enum azfn_error error)
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
        send_number(state, AZFN__FRAME_RESPONSE_READ, state->returned_bytes);
        state->returned_bytes = 0;
    }
}

static void call_on_piece(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_piece(handle, delivery->error, delivery->piece, delivery->is_last, delivery->state->on_piece_data);
}

/* Hands the function what has arrived, if it has asked. From the loop; the invocation may be over afterwards. */
static void deliver(struct azfn__request_state *state)
{
    struct azfn__invocation *invocation = state->invocation;
    if (!state->on_piece || (state->body.length == 0 && !state->is_over)) {
        return;
    }
    struct azfn__buffer piece = state->body;
    azfn__buffer_init(&state->body, piece.max_bytes);
    struct delivery delivery = {.state = state,
                                .on_piece = state->on_piece,
                                .error = state->is_over ? state->error : AZFN_OK,
                                .piece = azfn__span("", 0),
                                .is_last = state->is_over};
    if (delivery.error == AZFN_OK) {
        delivery.piece = azfn__buffer_span(&piece);
    }
    state->on_piece = NULL;
    state->is_read = delivery.is_last;
    uint16_t generation = invocation->generation;
    size_t length = piece.length;
    azfn__dispatcher_call(invocation, call_on_piece, &delivery);
    azfn__buffer_clean_up(&piece);
    if (invocation->generation == generation) {
        give_credit(state, length);
    }
}

static void deliver_what_is_there(struct azfn_invocation *handle, void *user_data)
{
    const struct azfn__invocation *invocation = azfn__invocation_of(handle);
    for (struct azfn__request_state *state = invocation->requests; state; state = state->next) {
        /* meanwhile it may have come as it arrived, and been asked for once more */
        if (state != user_data || !state->on_piece || (state->body.length == 0 && !state->is_over)) {
            continue;
        }
        struct delivery delivery = {.state = state,
                                    .on_piece = state->on_piece,
                                    .error = state->is_over ? state->error : AZFN_OK,
                                    .is_last = state->is_over};
        struct azfn__buffer piece = state->body;
        azfn__buffer_init(&state->body, piece.max_bytes);
        delivery.piece = delivery.error == AZFN_OK ? azfn__buffer_span(&piece) : azfn__span("", 0);
        state->on_piece = NULL;
        state->is_read = delivery.is_last;
        give_credit(state, piece.length);
        call_on_piece(handle, &delivery);
        azfn__buffer_clean_up(&piece);
        return;
    }
}

enum azfn_error azfn_response_read(struct azfn_invocation *handle, struct azfn_request *request,
                                   azfn_on_piece_fn *on_piece, void *user_data)
{
    struct azfn__request_state *state = state_of(azfn__invocation_running_of(handle), request);
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

static void call_on_writable(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    delivery->on_writable(handle, delivery->state->on_writable_data);
}

static bool is_writable(const struct azfn__request_state *state)
{
    return state->is_over || state->upload.length < AZFN__ASK_WINDOW_BYTES;
}

static void tell_writable(struct azfn__request_state *state)
{
    struct delivery delivery = {.state = state, .on_writable = state->on_writable};
    if (delivery.on_writable && is_writable(state)) {
        state->on_writable = NULL;
        azfn__dispatcher_call(state->invocation, call_on_writable, &delivery);
    }
}

static void tell_writable_later(struct azfn_invocation *handle, void *user_data)
{
    const struct azfn__invocation *invocation = azfn__invocation_of(handle);
    for (struct azfn__request_state *state = invocation->requests; state; state = state->next) {
        azfn_on_writable_fn *on_writable = state->on_writable;
        if (state == user_data && on_writable && is_writable(state)) {
            state->on_writable = NULL;
            on_writable(handle, state->on_writable_data);
            return;
        }
    }
}

enum azfn_error azfn_request_write(struct azfn_invocation *handle, struct azfn_request *request,
                                   struct azfn_span bytes)
{
    struct azfn__request_state *state = state_of(azfn__invocation_running_of(handle), request);
    if (!state || state->is_upload_whole || state->is_over) {
        return AZFN_ERROR_STATE;
    }
    /* the broker takes a body of another length than was said for an attack */
    if (bytes.length > PIECE_MAX_BYTES || bytes.length > state->missing_bytes) {
        return AZFN_ERROR_LIMIT;
    }
    if (!is_writable(state)) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    azfn__buffer_append_span(&state->upload, bytes);
    if (state->upload.has_failed) {
        return azfn__invocation_refuse(state->invocation, AZFN_ERROR_NO_MEMORY, "azfn_request_write");
    }
    state->missing_bytes -= state->missing_bytes != UINT64_MAX ? bytes.length : 0;
    pump(state);
    return AZFN_OK;
}

enum azfn_error azfn_request_on_writable(struct azfn_invocation *handle, struct azfn_request *request,
                                         azfn_on_writable_fn *on_writable, void *user_data)
{
    struct azfn__request_state *state = state_of(azfn__invocation_running_of(handle), request);
    if (!state || !on_writable || state->is_upload_whole || state->on_writable) {
        return AZFN_ERROR_STATE;
    }
    state->on_writable = on_writable;
    state->on_writable_data = user_data;
    return is_writable(state) ? azfn_delay(handle, 0, tell_writable_later, state) : AZFN_OK;
}

enum azfn_error azfn_request_end(struct azfn_invocation *handle, struct azfn_request *request)
{
    struct azfn__request_state *state = state_of(azfn__invocation_running_of(handle), request);
    if (!state || state->is_upload_whole) {
        return AZFN_ERROR_STATE;
    }
    if (state->missing_bytes > 0 && state->missing_bytes != UINT64_MAX) {
        return AZFN_ERROR_INVALID_ARGUMENT;
    }
    state->is_upload_whole = true;
    pump(state);
    return AZFN_OK;
}

static bool take_head(struct azfn__request_state *state, const struct azfn__response_head *head)
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
        struct response_header *header = &state->headers[state->header_count++];
        header->name = azfn__arena_copy(&invocation->arena, name);
        header->value = azfn__arena_copy(&invocation->arena, value);
    }
    if (state->streams_response) {
        respond(state, AZFN_OK);
    }
    return true;
}

static bool take_piece(struct azfn__request_state *state, struct azfn_span bytes)
{
    if (state->status == 0 || bytes.length > state->window_bytes) {
        return false;
    }
    state->window_bytes -= bytes.length;
    azfn__buffer_append_span(&state->body, bytes);
    if (state->streams_response) {
        deliver(state);
    } else {
        give_credit(state, bytes.length);
    }
    return true;
}

static void give_up(struct azfn__request_state *state)
{
    azfn__ask_table_remove(&state->invocation->dispatcher->asks->requests, state->id);
    state->id = 0;
    state->is_over = true;
}

static bool take_end(struct azfn__request_state *state, uint32_t error)
{
    struct azfn__invocation *invocation = state->invocation;
    uint16_t generation = invocation->generation;
    if (error > AZFN_ERROR_SYSTEM || (error == AZFN_OK && state->status == 0)) {
        return false;
    }
    give_up(state);
    state->error = state->body.has_failed ? AZFN_ERROR_NO_MEMORY : (enum azfn_error)error;
    azfn__buffer_clean_up(&state->upload);
    respond(state, state->error); /* for one that streams only where there was no head */
    if (invocation->generation == generation && invocation->state == AZFN__INVOCATION_RUNNING) {
        tell_writable(state);
    }
    if (invocation->generation == generation && invocation->state == AZFN__INVOCATION_RUNNING) {
        deliver(state);
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
    state->credit_bytes += number.number;
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
        return !state || take_head(state, &head);
    case AZFN__FRAME_RESPONSE_BODY:
        if (!azfn__ask_decode_piece(frame->payload, &piece)) {
            return false;
        }
        state = azfn__ask_table_find(&asks->requests, piece.id);
        return !state || take_piece(state, piece.bytes);
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
            send_number(state, AZFN__FRAME_REQUEST_CANCEL, 0);
            give_up(state);
        }
        azfn__buffer_clean_up(&state->upload);
    }
}

void azfn__request_asks_release(struct azfn__invocation *invocation)
{
    for (struct azfn__request_state *state = invocation->requests; state; state = state->next) {
        azfn__buffer_clean_up(&state->body);
    }
}

int azfn_response_status(struct azfn_invocation *handle, const struct azfn_request *request)
{
    const struct azfn__request_state *state = state_of(azfn__invocation_of(handle), request);
    return state ? state->status : 0;
}

struct azfn_span azfn_response_header(struct azfn_invocation *handle, const struct azfn_request *request,
                                      const char *name)
{
    const struct azfn__request_state *state = state_of(azfn__invocation_of(handle), request);
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
    const struct azfn__request_state *state = state_of(azfn__invocation_of(handle), request);
    bool is_there = state && state->status != 0 && !state->streams_response;
    return is_there ? azfn__buffer_span(&state->body) : azfn__absent();
}
