#include "broker/worker_asks.h"

#include "base/span.h"

#include <stdlib.h>

#define MAX_REQUESTS 4096
#define MAX_WAITS 65536
#define MAX_HEADERS 128
#define FUNCTION_MAX_BYTES 128
#define INVOCATION_ID_MAX_BYTES 64

/* A secret that is being fetched, or that the worker has yet to make room for. */
struct wait {
    struct wait *next;
    struct wait **from; /* what points to this one */
    struct azfn__worker_asks *asks;
    struct azfn__credential_wait *handle; /* NULL: it is due */
    const struct azfn__config_secret *secret;
    uint32_t id;
    char function[FUNCTION_MAX_BYTES];
    size_t function_length;
    char invocation_id[INVOCATION_ID_MAX_BYTES];
    size_t invocation_id_length;
};

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
    struct wait *waits;
    struct wait *due; /* those that were fetched while the worker did not read */
    size_t wait_count; /* in both */
    struct request *requests[MAX_REQUESTS]; /* by the lower half of their ids */
};

struct azfn__worker_asks *azfn__worker_asks_new(struct azfn__services *services, struct azfn__frame_writer *writer)
{
    struct azfn__worker_asks *asks = calloc(1, sizeof(*asks));
    if (asks) {
        asks->services = services;
        asks->writer = writer;
    }
    return asks;
}

static void put(struct wait **list, struct wait *wait)
{
    wait->next = *list;
    wait->from = list;
    if (wait->next) {
        wait->next->from = &wait->next;
    }
    *list = wait;
}

static void take_out(struct wait *wait)
{
    *wait->from = wait->next;
    if (wait->next) {
        wait->next->from = wait->from;
    }
}

static void forget(struct wait *wait)
{
    wait->asks->wait_count--;
    free(wait);
}

static void remove_request(struct request *request)
{
    request->asks->requests[request->id & UINT16_MAX] = NULL;
    free(request);
}

/* The list itself is of no use any more. */
static void end_waits(struct wait *first)
{
    while (first) {
        struct wait *next = first->next;
        azfn__credential_cache_cancel(first->handle);
        free(first);
        first = next;
    }
}

void azfn__worker_asks_destroy(struct azfn__worker_asks *asks)
{
    if (!asks) {
        return;
    }
    end_waits(asks->waits);
    end_waits(asks->due);
    for (size_t i = 0; i < MAX_REQUESTS; i++) {
        if (asks->requests[i]) {
            azfn__destination_request_cancel(asks->requests[i]->handle);
            remove_request(asks->requests[i]);
        }
    }
    free(asks);
}

/* More than it reads must not be put on its way: thousands may wait for one secret, and get it at the same time. */
static bool is_behind(struct azfn__worker_asks *asks)
{
    if (asks->writer->out.length > AZFN__WORKER_ASKS_PENDING_BYTES) {
        azfn__frame_writer_flush(asks->writer);
    }
    return asks->writer->waiting_bytes > AZFN__WORKER_ASKS_PENDING_BYTES;
}

/* Where the buffer is full it is sent now, and the frame appended again: so that only an end can be lost without memory,
 * with the worker's invocation then ending by its deadline. */
static void answer_secret(struct azfn__worker_asks *asks, const struct azfn__secret_answer *answer)
{
    if (!azfn__ask_append_secret_answer(&asks->writer->out, answer)) {
        azfn__frame_writer_flush(asks->writer);
        const struct azfn__secret_answer failure = {.id = answer->id, .error = AZFN_ERROR_NO_MEMORY};
        if (!azfn__ask_append_secret_answer(&asks->writer->out, answer) &&
            !azfn__ask_append_secret_answer(&asks->writer->out, &failure)) {
            return;
        }
    }
    azfn__frame_writer_touch(asks->writer);
}

static void refuse_secret(struct azfn__worker_asks *asks, uint32_t id, enum azfn_error error)
{
    answer_secret(asks, &(struct azfn__secret_answer){.id = id, .error = error});
}

static void hand_over(struct azfn__worker_asks *asks, uint32_t id, const struct azfn__policy_asker *asker,
                      const struct azfn__config_secret *secret, const struct azfn__credential *credential)
{
    const struct azfn__secret_answer answer = {.id = id,
                                               .error = AZFN_OK,
                                               .version = azfn_span_of(credential->version),
                                               .value = azfn__secret_reveal(credential->value)};
    azfn__policy_record_read(asks->services->policy, asker, secret, credential->version);
    answer_secret(asks, &answer);
}

static void give(struct wait *wait, const struct azfn__credential *credential)
{
    const struct azfn__policy_asker asker = {
        .function = azfn__span(wait->function, wait->function_length),
        .invocation_id = azfn__span(wait->invocation_id, wait->invocation_id_length)};
    hand_over(wait->asks, wait->id, &asker, wait->secret, credential);
    forget(wait);
}

static void on_credential(enum azfn_error error, const struct azfn__credential *credential, void *user_data)
{
    struct wait *wait = user_data;
    wait->handle = NULL;
    take_out(wait);
    if (!credential) {
        refuse_secret(wait->asks, wait->id, error);
        forget(wait);
    } else if (is_behind(wait->asks)) {
        put(&wait->asks->due, wait);
    } else {
        give(wait, credential);
    }
}

/* The first of them. What it waited for may have gone meanwhile: then it waits once more. */
static void serve_due(struct azfn__worker_asks *asks)
{
    struct wait *wait = asks->due;
    struct azfn__credential_cache *secrets = asks->services->secrets;
    const struct azfn__credential *credential = azfn__credential_cache_peek(secrets, wait->secret->name);
    asks->due = wait->next;
    if (asks->due) {
        asks->due->from = &asks->due;
    }
    if (credential) {
        give(wait, credential);
        return;
    }
    enum azfn_error error =
        azfn__credential_cache_wait(secrets, wait->secret->name, on_credential, wait, &wait->handle);
    if (error == AZFN_OK) {
        put(&asks->waits, wait);
    } else {
        refuse_secret(asks, wait->id, error);
        forget(wait);
    }
}

static size_t keep(char *out, size_t capacity, struct azfn_span text)
{
    size_t length = text.length < capacity ? text.length : capacity;
    if (length > 0) {
        memcpy(out, text.data, length);
    }
    return length;
}

static enum azfn_error await_secret(struct azfn__worker_asks *asks, const struct azfn__secret_ask *ask,
                                    const struct azfn__config_secret *secret)
{
    if (asks->wait_count >= MAX_WAITS) {
        return AZFN_ERROR_LIMIT;
    }
    struct wait *wait = calloc(1, sizeof(*wait));
    if (!wait) {
        return AZFN_ERROR_NO_MEMORY;
    }
    wait->asks = asks;
    wait->id = ask->id;
    wait->secret = secret;
    wait->function_length = keep(wait->function, sizeof(wait->function), ask->function);
    wait->invocation_id_length = keep(wait->invocation_id, sizeof(wait->invocation_id), ask->invocation_id);
    enum azfn_error error =
        azfn__credential_cache_wait(asks->services->secrets, secret->name, on_credential, wait, &wait->handle);
    if (error != AZFN_OK) {
        free(wait);
        return error;
    }
    put(&asks->waits, wait);
    asks->wait_count++;
    return AZFN_OK;
}

static bool take_secret_ask(struct azfn__worker_asks *asks, struct azfn_span payload)
{
    struct azfn__secret_ask ask;
    if (!azfn__ask_decode_secret(payload, &ask)) {
        return false;
    }
    const struct azfn__policy_asker asker = {.function = ask.function, .invocation_id = ask.invocation_id};
    const struct azfn__config_secret *secret =
        azfn__policy_find_secret(asks->services->policy, &asker, ask.name);
    if (!secret) {
        refuse_secret(asks, ask.id, AZFN_ERROR_FORBIDDEN);
        return true;
    }
    const struct azfn__credential *credential = azfn__credential_cache_peek(asks->services->secrets, secret->name);
    if (credential) {
        hand_over(asks, ask.id, &asker, secret, credential);
        return true;
    }
    enum azfn_error error = await_secret(asks, &ask, secret);
    if (error != AZFN_OK) {
        refuse_secret(asks, ask.id, error);
    }
    return true;
}

static void send_number(struct azfn__worker_asks *asks, enum azfn__frame_type type, uint32_t id, size_t number)
{
    if (!azfn__ask_append_number(&asks->writer->out, type, id, (uint32_t)number)) {
        azfn__frame_writer_flush(asks->writer);
        if (!azfn__ask_append_number(&asks->writer->out, type, id, (uint32_t)number)) {
            return; /* no memory: the invocation ends by its deadline */
        }
    }
    azfn__frame_writer_touch(asks->writer);
}

static void on_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data)
{
    struct request *request = user_data;
    struct azfn__worker_asks *asks = request->asks;
    const struct azfn__response_head head = {.id = request->id, .status = status, .headers.count = header_count};
    size_t begin = azfn__ask_begin_response(&asks->writer->out, &head);
    for (size_t i = 0; i < header_count; i++) {
        azfn__ask_append_header(&asks->writer->out, headers[i].name, headers[i].value);
    }
    if (azfn__frame_end(&asks->writer->out, begin)) {
        azfn__frame_writer_touch(asks->writer);
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
    if (bytes.length > request->credit_bytes || is_behind(asks)) {
        request->is_paused = true;
        return false;
    }
    while (bytes.length > 0) {
        size_t length = bytes.length < AZFN__ASK_PIECE_BYTES ? bytes.length : AZFN__ASK_PIECE_BYTES;
        const struct azfn__ask_piece piece = {.id = request->id, .bytes = azfn__span(bytes.data, length)};
        if (!azfn__ask_append_piece(&asks->writer->out, AZFN__FRAME_RESPONSE_BODY, &piece)) {
            request->is_paused = true;
            return false; /* only before the first piece: the buffer has room for many */
        }
        request->credit_bytes -= length;
        bytes = azfn__span_from(bytes, length);
    }
    azfn__frame_writer_touch(asks->writer);
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
    struct azfn__https_header headers[MAX_HEADERS];
    struct azfn__ask_headers walk = ask->headers;
    size_t count = 0;
    if (walk.count > MAX_HEADERS) {
        azfn__policy_record_refusal(request->asks->services->policy, asker, destination, "more than 128 headers");
        return AZFN_ERROR_FORBIDDEN;
    }
    while (azfn__ask_next_header(&walk, &headers[count].name, &headers[count].value)) {
        count++;
    }
    const struct azfn__destination_request_options options = {
        .destination = destination,
        .asker = *asker,
        .method = ask->method,
        .path = ask->path,
        .trace_parent = ask->trace_parent.length > 0 ? ask->trace_parent : azfn__absent(),
        .headers = headers,
        .header_count = count,
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
    struct request **place = &asks->requests[(ask.id & UINT16_MAX) % MAX_REQUESTS];
    if ((ask.id & UINT16_MAX) >= MAX_REQUESTS || *place) {
        return false;
    }
    const struct azfn__policy_asker asker = {.function = ask.function, .invocation_id = ask.invocation_id};
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
    *place = request;
    return true;
}

/* NULL: it has ended, which the worker may not know yet. */
static struct request *find_request(struct azfn__worker_asks *asks, uint32_t id)
{
    struct request *request = (id & UINT16_MAX) < MAX_REQUESTS ? asks->requests[id & UINT16_MAX] : NULL;
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
        return take_secret_ask(asks, frame->payload);
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
    while (asks->due && !is_behind(asks)) {
        serve_due(asks);
    }
    for (size_t i = 0; i < MAX_REQUESTS; i++) {
        if (asks->requests[i]) {
            resume(asks->requests[i]);
        }
    }
}
