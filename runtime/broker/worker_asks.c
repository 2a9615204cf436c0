#include "broker/worker_asks.h"

#include "base/span.h"
#include "base/trace_id.h"
#include "broker/worker_secrets.h"

#include <stdlib.h>

_Static_assert(AZFN__ASK_UNKNOWN_BYTES == AZFN__HTTPS_UNKNOWN_LENGTH, "body_bytes is passed on as it is");

/* A request to a destination. */
struct request {
    struct azfn__worker_asks *asks;
    struct azfn__destination_request *handle; /* NULL while it is being started */
    uint32_t id;
    size_t credit_bytes; /* of the answer's body, that may be sent to the worker */
    bool is_paused;
};

struct azfn__worker_asks {
    struct azfn__services *services;
    struct azfn__frame_writer *writer;
    struct azfn__worker_secrets secrets;
    struct request *requests[AZFN__ASK_MAX_REQUESTS]; /* by the lower half of their ids */
};

struct azfn__worker_asks *azfn__worker_asks_new(struct azfn__services *services, struct azfn__frame_writer *writer)
{
    struct azfn__worker_asks *asks = calloc(1, sizeof(*asks));
    if (asks) {
        asks->services = services;
        asks->writer = writer;
        azfn__worker_secrets_init(&asks->secrets, services, writer);
    }
    return asks;
}

static void remove_request(struct request *request)
{
    request->asks->requests[azfn__ask_place_of(request->id)] = NULL;
    free(request);
}

void azfn__worker_asks_destroy(struct azfn__worker_asks *asks)
{
    if (!asks) {
        return;
    }
    azfn__worker_secrets_clean_up(&asks->secrets);
    for (size_t i = 0; i < AZFN__ASK_MAX_REQUESTS; i++) {
        if (asks->requests[i]) {
            azfn__destination_request_cancel(asks->requests[i]->handle);
            remove_request(asks->requests[i]);
        }
    }
    free(asks);
}

static void send_number(struct azfn__worker_asks *asks, enum azfn__frame_type type, uint32_t id, size_t number)
{
    bool is_sent = azfn__ask_append_number(azfn__frame_writer_out(asks->writer), type, id, (uint32_t)number);
    (void)is_sent; /* only without memory not: the invocation ends by its deadline */
}

static void on_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data)
{
    struct request *request = user_data;
    struct azfn__worker_asks *asks = request->asks;
    const struct azfn__response_head head = {.id = request->id, .status = status, .headers.count = header_count};
    struct azfn__buffer *out = azfn__frame_writer_out(asks->writer);
    size_t begin = azfn__ask_begin_response(out, &head);
    for (size_t i = 0; i < header_count; i++) {
        azfn__ask_append_header(out, headers[i].name, headers[i].value);
    }
    if (azfn__frame_end(out, begin)) {
        return;
    }
    struct azfn__destination_request *handle = request->handle;
    send_number(asks, AZFN__FRAME_RESPONSE_END, request->id, AZFN_ERROR_LIMIT);
    remove_request(request);
    azfn__destination_request_cancel(handle);
}

static bool on_body(struct azfn_span bytes, void *user_data)
{
    struct request *request = user_data;
    struct azfn__worker_asks *asks = request->asks;
    if (bytes.length > request->credit_bytes || azfn__frame_writer_is_behind(asks->writer)) {
        request->is_paused = true;
        return false;
    }
    while (bytes.length > 0) {
        size_t length = bytes.length < AZFN__ASK_PIECE_BYTES ? bytes.length : AZFN__ASK_PIECE_BYTES;
        const struct azfn__ask_piece piece = {.id = request->id, .bytes = azfn__span(bytes.data, length)};
        if (!azfn__ask_append_piece(azfn__frame_writer_out(asks->writer), AZFN__FRAME_RESPONSE_BODY, &piece)) {
            request->is_paused = true;
            return false; /* no memory */
        }
        request->credit_bytes -= length;
        bytes = azfn__span_from(bytes, length);
    }
    return true;
}

static void on_credit(size_t bytes, void *user_data)
{
    const struct request *request = user_data;
    send_number(request->asks, AZFN__FRAME_REQUEST_WRITE, request->id, bytes);
}

static void on_done(enum azfn_error error, void *user_data)
{
    struct request *request = user_data;
    send_number(request->asks, AZFN__FRAME_RESPONSE_END, request->id, error);
    remove_request(request);
}

/* Of ask, in the destination's words. */
static enum azfn_error start_request(struct request *request, const struct azfn__request_ask *ask,
                                     const struct azfn__policy_asker *asker,
                                     const struct azfn__config_destination *destination)
{
    /* one that has more is refused by their number */
    struct azfn__https_header headers[AZFN__DESTINATION_MAX_HEADERS];
    struct azfn__ask_headers walk = ask->headers;
    for (size_t i = 0; i < AZFN__DESTINATION_MAX_HEADERS &&
                       azfn__ask_next_header(&walk, &headers[i].name, &headers[i].value); i++) {
    }
    const struct azfn__destination_request_options options = {
        .destination = destination,
        .asker = *asker,
        .method = ask->method,
        .path = ask->path,
        .trace_parent = ask->trace_parent.length > 0 ? ask->trace_parent : azfn__absent(),
        .headers = headers,
        .header_count = ask->headers.count,
        .body_bytes = ask->body_bytes,
        .timeout_ms = ask->timeout_ms,
        .callbacks = {.on_head = on_head, .on_body = on_body, .on_credit = on_credit, .on_done = on_done},
        .user_data = request};
    return azfn__destination_request_start(request->asks->services->destinations, &options, &request->handle);
}

static bool take_request(struct azfn__worker_asks *asks, struct azfn_span payload)
{
    struct azfn__request_ask ask;
    if (!azfn__ask_decode_request(payload, &ask)) {
        return false;
    }
    uint32_t index = azfn__ask_place_of(ask.id);
    if (index >= AZFN__ASK_MAX_REQUESTS || asks->requests[index]) {
        return false;
    }
    const struct azfn__policy_asker asker = {.function = ask.function,
                                             .invocation_id = ask.invocation_id,
                                             .trace_id = azfn__trace_id_of(ask.trace_parent)};
    const struct azfn__config_destination *destination =
        azfn__policy_find_destination(asks->services->policy, &asker, ask.destination);
    struct request *request = destination ? calloc(1, sizeof(*request)) : NULL;
    enum azfn_error error = destination ? AZFN_ERROR_NO_MEMORY : AZFN_ERROR_FORBIDDEN;
    if (request) {
        *request = (struct request){.asks = asks, .id = ask.id, .credit_bytes = AZFN__ASK_WINDOW_BYTES};
        error = start_request(request, &ask, &asker, destination);
    }
    if (error != AZFN_OK) {
        free(request);
        send_number(asks, AZFN__FRAME_RESPONSE_END, ask.id, error);
        return true;
    }
    asks->requests[index] = request;
    return true;
}

/* NULL: it has ended, which the worker may not know yet. */
static struct request *find_request(struct azfn__worker_asks *asks, uint32_t id)
{
    uint32_t index = azfn__ask_place_of(id);
    struct request *request = index < AZFN__ASK_MAX_REQUESTS ? asks->requests[index] : NULL;
    return request && request->id == id ? request : NULL;
}

static void resume(struct request *request)
{
    if (request->is_paused) {
        request->is_paused = false;
        azfn__destination_request_resume(request->handle);
    }
}

static bool take_body(struct azfn__worker_asks *asks, struct azfn_span payload)
{
    struct azfn__ask_piece piece;
    if (!azfn__ask_decode_piece(payload, &piece)) {
        return false;
    }
    struct request *request = find_request(asks, piece.id);
    return !request || azfn__destination_request_write(request->handle, piece.bytes, piece.is_last);
}

static bool take_number(struct azfn__worker_asks *asks, const struct azfn__frame *frame)
{
    struct azfn__ask_number number;
    if (!azfn__ask_decode_number(frame->payload, &number)) {
        return false;
    }
    struct request *request = find_request(asks, number.id);
    if (!request) {
        return true;
    }
    if (frame->type == AZFN__FRAME_REQUEST_CANCEL) {
        azfn__destination_request_cancel(request->handle);
        remove_request(request);
        return true;
    }
    if (number.number > AZFN__ASK_WINDOW_BYTES - request->credit_bytes) {
        return false;
    }
    request->credit_bytes += number.number;
    resume(request);
    return true;
}

bool azfn__worker_asks_take(struct azfn__worker_asks *asks, const struct azfn__frame *frame)
{
    switch (frame->type) {
    case AZFN__FRAME_SECRET_ASK:
        return azfn__worker_secrets_take(&asks->secrets, frame->payload);
    case AZFN__FRAME_REQUEST:
        return take_request(asks, frame->payload);
    case AZFN__FRAME_REQUEST_BODY:
        return take_body(asks, frame->payload);
    case AZFN__FRAME_RESPONSE_READ:
    case AZFN__FRAME_REQUEST_CANCEL:
        return take_number(asks, frame);
    default:
        return false;
    }
}

void azfn__worker_asks_resume(struct azfn__worker_asks *asks)
{
    azfn__worker_secrets_resume(&asks->secrets);
    for (size_t i = 0; i < AZFN__ASK_MAX_REQUESTS; i++) {
        if (asks->requests[i]) {
            resume(asks->requests[i]);
        }
    }
}
