#include "worker/http_connection.h"

#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>

/* Requests of one connection before others get their turn. */
#define REQUESTS_PER_TURN 16
/* Bytes that may come ahead of their turn. */
#define AHEAD_MAX_BYTES ((size_t)128 << 10)
#define AHEAD_PAUSE_BYTES ((size_t)48 << 10)
/* Up to this size copying a body behind the head is cheaper than a second part in the system call. */
#define COPIED_BODY_BYTES ((size_t)2 << 10)

/* One thread, and libuv hands the buffer back before it asks for the next: so one serves all connections. */
static char read_buffer[(size_t)64 << 10];

static void process(struct azfn__http_connection *connection, const char *data, size_t length);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

struct azfn__http_connection *azfn__http_connection_of(struct azfn__deadline_link *link)
{
    return (struct azfn__http_connection *)(void *)((char *)link - offsetof(struct azfn__http_connection, deadline));
}

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out_buffer)
{
    (void)handle;
    (void)suggested_size;
    *out_buffer = uv_buf_init(read_buffer, sizeof(read_buffer));
}

/* libuv does not write to what it sends. */
static uv_buf_t buffer_of(struct azfn_span span)
{
    return uv_buf_init((char *)span.data, (unsigned)span.length);
}

static void on_closed(uv_handle_t *handle)
{
    struct azfn__http_connection *connection = handle->data;
    azfn__buffer_clean_up(&connection->ahead);
    free(connection);
}

static void enter_phase(struct azfn__http_connection *connection, enum azfn__http_connection_phase phase)
{
    struct azfn__http_server *server = connection->server;
    server->exchange_count -= connection->phase == AZFN__CONNECTION_EXCHANGING ? 1 : 0;
    server->exchange_count += phase == AZFN__CONNECTION_EXCHANGING ? 1 : 0;
    connection->phase = phase;
}

static void close_connection(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    enter_phase(connection, AZFN__CONNECTION_CLOSING);
    connection->server->connection_count--;
    connection->invocation = NULL;
    azfn__deadline_queue_leave(&connection->deadline);
    if (invocation && invocation->state == AZFN__INVOCATION_RUNNING) {
        azfn__dispatcher_abandon(invocation);
    } else if (invocation) {
        azfn__dispatcher_release(connection->server->dispatcher, invocation);
    }
    /* one that waits for its turn is closed when it comes */
    if (!connection->is_waiting && !connection->is_processing) {
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
    }
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request);
}

/* Closing a socket with unread bytes makes the kernel send a reset, which can overtake our answer. So the
 * client gets the end of our side first, and a moment to close its own. */
static void linger(struct azfn__http_connection *connection)
{
    uv_shutdown_t *request = connection->has_ended ? NULL : malloc(sizeof(*request));
    if (!request || uv_shutdown(request, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        free(request);
        close_connection(connection);
        return;
    }
    enter_phase(connection, AZFN__CONNECTION_LINGERING);
    azfn__buffer_clean_up(&connection->ahead);
    connection->linger_until_ms = uv_now(connection->server->loop) + connection->server->limits.receiving_ms;
    azfn__http_server_await(connection->server, &connection->server->queues.closing, &connection->deadline);
    if (connection->is_paused) {
        connection->is_paused = false;
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read);
    }
}

static void become_idle(struct azfn__http_connection *connection)
{
    enter_phase(connection, AZFN__CONNECTION_READING);
    azfn__http_server_await(connection->server, &connection->server->queues.idle, &connection->deadline);
}

/* The answer is out. */
static void finish_exchange(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    bool was_refused = invocation->state == AZFN__INVOCATION_RECEIVING;
    connection->invocation = NULL;
    azfn__dispatcher_release(connection->server->dispatcher, invocation);
    azfn__http_server_note_activity(connection->server);
    if (connection->is_last) {
        if (was_refused || connection->ahead.length > 0) {
            linger(connection);
        } else {
            close_connection(connection);
        }
        return;
    }
    become_idle(connection);
    if (!connection->is_processing && connection->ahead.length > 0) {
        azfn__http_server_wait_turn(connection->server, connection);
    } else if (!connection->is_processing && connection->has_ended) {
        close_connection(connection);
    }
}

static void log_lost_answer(struct azfn__http_connection *connection)
{
    azfn__dispatcher_log(connection->server->dispatcher, connection->invocation, AZFN_LOG_ERROR, NULL,
                         AZFN__SPAN("the answer was lost: no memory for it"));
}

static void on_written(uv_write_t *request, int status)
{
    struct azfn__http_connection *connection = request->data;
    free(request);
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    if (status != 0) {
        close_connection(connection);
    } else {
        finish_exchange(connection);
    }
}

/* Queues what the socket did not take; it stays in the invocation until it is out. */
static void write_rest(struct azfn__http_connection *connection, struct azfn_span head, struct azfn_span body)
{
    struct azfn__buffer *out = &connection->invocation->out;
    if (body.length > 0 && (!out->data || body.data < out->data || body.data >= out->data + out->capacity)) {
        azfn__buffer_reset(out, SIZE_MAX);
        azfn__buffer_append_span(out, body);
        body = azfn__buffer_span(out);
    }
    uv_write_t *request = malloc(sizeof(*request));
    if (!request || out->has_failed) {
        free(request);
        log_lost_answer(connection);
        close_connection(connection);
        return;
    }
    request->data = connection;
    uv_buf_t parts[] = {buffer_of(head), buffer_of(body)};
    unsigned first = head.length == 0 ? 1 : 0;
    if (uv_write(request, (uv_stream_t *)&connection->tcp, parts + first, 2 - first, on_written) != 0) {
        free(request);
        close_connection(connection);
        return;
    }
    azfn__http_server_await(connection->server, &connection->server->queues.sending, &connection->deadline);
}

static void write_all(struct azfn__http_connection *connection, struct azfn_span head, struct azfn_span body)
{
    uv_buf_t parts[] = {buffer_of(head), buffer_of(body)};
    int status = uv_try_write((uv_stream_t *)&connection->tcp, parts, body.length > 0 ? 2 : 1);
    if (status < 0 && status != UV_EAGAIN) {
        close_connection(connection);
        return;
    }
    size_t written = status > 0 ? (size_t)status : 0;
    if (written == head.length + body.length) {
        finish_exchange(connection);
        return;
    }
    write_rest(connection, azfn__span_from(head, written),
               azfn__span_from(body, written > head.length ? written - head.length : 0));
}

static void on_respond(struct azfn__invocation *invocation, const struct azfn__http_response *response, void *context)
{
    struct azfn__http_connection *connection = context;
    struct azfn__http_response complete = *response;
    struct azfn_span body;
    uv_timeval64_t now = {0};
    uv_gettimeofday(&now);
    connection->is_last = connection->is_last || !invocation->request.is_keep_alive || connection->server->is_draining;
    complete.is_last = connection->is_last;
    complete.is_head_request = invocation->request.method == AZFN__METHOD_HEAD;
    complete.is_http_1_0 = invocation->request.minor_version == 0;
    azfn__http_response_encode(&complete, now.tv_sec, &invocation->head, &body);
    if (body.length <= COPIED_BODY_BYTES) {
        azfn__buffer_append_span(&invocation->head, body);
        body = azfn__span("", 0);
    }
    if (invocation->head.has_failed) {
        log_lost_answer(connection);
        close_connection(connection);
        return;
    }
    write_all(connection, azfn__buffer_span(&invocation->head), body);
}

static void log_refusal(struct azfn__http_connection *connection, unsigned status, const char *reason)
{
    char text[160];
    int length = snprintf(text, sizeof(text), "%u: %s", status, reason);
    const char *event = status == 404 || status == 405 ? "input_validation_fail:route"
                        : status == 429                ? "excess_rate_limit_exceeded:function"
                                                       : "input_validation_fail:http";
    azfn__dispatcher_log(connection->server->dispatcher, connection->invocation, AZFN_LOG_WARNING, event,
                         azfn__span(text, length > 0 ? (size_t)length : 0));
}

/* Answers with a bare status and closes: what follows on this connection can't be trusted, or is a body that
 * nobody wants. */
static void refuse(struct azfn__http_connection *connection, uint16_t status, const char *reason)
{
    struct azfn__invocation *invocation = connection->invocation;
    log_refusal(connection, status, reason);
    azfn__deadline_queue_leave(&connection->deadline);
    enter_phase(connection, AZFN__CONNECTION_EXCHANGING);
    connection->is_last = true;
    invocation->respond = on_respond;
    invocation->respond_context = connection;
    azfn__invocation_answer_status(invocation, status);
}

static void append_allow(struct azfn__invocation *invocation, uint32_t allowed)
{
    const char *separator = "Allow: ";
    for (int method = 0; method < AZFN__METHOD_COUNT; method++) {
        if (allowed & (UINT32_C(1) << method)) {
            azfn__buffer_append_text(&invocation->header_lines, separator);
            azfn__buffer_append_span(&invocation->header_lines, azfn__method_name((enum azfn__method)method));
            separator = ", ";
        }
    }
    azfn__buffer_append_text(&invocation->header_lines, "\r\n");
}

/* The head is there. False: it was answered. */
static bool take_head(struct azfn__http_connection *connection)
{
    const struct azfn_span go_on = AZFN__SPAN("HTTP/1.1 100 Continue\r\n\r\n");
    struct azfn__invocation *invocation = connection->invocation;
    invocation->request = connection->parser.request;
    struct azfn__dispatch_decision decision = azfn__dispatcher_route(connection->server->dispatcher, invocation);
    if (decision.status != 0) {
        if (decision.status == 405) {
            append_allow(invocation, decision.allowed);
        }
        refuse(connection, decision.status, decision.reason);
        return false;
    }
    azfn__http_parser_limit_body(&connection->parser, decision.max_body_bytes);
    if (invocation->request.expects_continue && invocation->request.has_body && invocation->request.minor_version > 0 &&
        invocation->request.content_length <= decision.max_body_bytes) {
        uv_buf_t part = buffer_of(go_on);
        int written = uv_try_write((uv_stream_t *)&connection->tcp, &part, 1);
        /* where nothing fits, the client sends the body after a while all the same; half a line can't be mended */
        if (written != UV_EAGAIN && written != (int)part.len) {
            close_connection(connection);
            return false;
        }
    }
    return true;
}

static void run(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    invocation->request = connection->parser.request;
    azfn__deadline_queue_leave(&connection->deadline);
    enter_phase(connection, AZFN__CONNECTION_EXCHANGING);
    azfn__dispatcher_run(connection->server->dispatcher, invocation, on_respond, connection);
}

static bool begin_request(struct azfn__http_connection *connection)
{
    connection->invocation = azfn__dispatcher_acquire(connection->server->dispatcher);
    if (!connection->invocation) {
        close_connection(connection);
        return false;
    }
    azfn__http_parser_begin(&connection->parser, &connection->invocation->message);
    return true;
}

/* Keeps bytes for later; too many of them stop the reading. */
static void keep_ahead(struct azfn__http_connection *connection, const char *data, size_t length)
{
    azfn__buffer_append(&connection->ahead, data, length);
    if (connection->ahead.has_failed) {
        close_connection(connection);
    } else if (connection->ahead.length > AHEAD_PAUSE_BYTES && !connection->is_paused) {
        connection->is_paused = true;
        uv_read_stop((uv_stream_t *)&connection->tcp);
    }
}

/* Feeds bytes until the phase changes. Returns how many were taken. */
static size_t read_request(struct azfn__http_connection *connection, const char *data, size_t length)
{
    size_t taken = 0;
    for (;;) {
        size_t count = 0;
        enum azfn__http_parser_state state =
            azfn__http_parser_feed(&connection->parser, data + taken, length - taken, &count);
        taken += count;
        switch (state) {
        case AZFN__HTTP_NEED_MORE:
            if (connection->deadline.queue != &connection->server->queues.receiving &&
                azfn__http_parser_is_inside(&connection->parser)) {
                azfn__http_server_await(connection->server, &connection->server->queues.receiving,
                                        &connection->deadline);
            }
            return taken;
        case AZFN__HTTP_HEAD:
            if (!take_head(connection)) {
                return taken;
            }
            break;
        case AZFN__HTTP_COMPLETE:
            run(connection);
            return taken;
        case AZFN__HTTP_REFUSED:
            connection->invocation->request = connection->parser.request;
            refuse(connection, connection->parser.refusal_status, connection->parser.refusal_reason);
            return taken;
        }
    }
}

static void process(struct azfn__http_connection *connection, const char *data, size_t length)
{
    size_t taken = 0;
    connection->is_processing = true;
    for (unsigned requests = 0; taken < length && connection->phase == AZFN__CONNECTION_READING; requests++) {
        if (requests == REQUESTS_PER_TURN) {
            break;
        }
        if (connection->invocation || begin_request(connection)) {
            taken += read_request(connection, data + taken, length - taken);
        }
    }
    connection->is_processing = false;
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        if (!connection->is_waiting) {
            uv_close((uv_handle_t *)&connection->tcp, on_closed);
        }
        return;
    }
    if (connection->phase == AZFN__CONNECTION_LINGERING) {
        return;
    }
    if (taken < length) {
        keep_ahead(connection, data + taken, length - taken);
    }
    if (connection->phase == AZFN__CONNECTION_READING && connection->ahead.length > 0) {
        azfn__http_server_wait_turn(connection->server, connection);
    } else if (connection->phase == AZFN__CONNECTION_READING && connection->has_ended) {
        close_connection(connection);
    }
}

void azfn__http_connection_turn(struct azfn__http_connection *connection)
{
    connection->is_waiting = false;
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
        return;
    }
    if (connection->phase != AZFN__CONNECTION_READING) {
        return; /* it goes on when its exchange has ended */
    }
    struct azfn__buffer ahead = connection->ahead;
    azfn__buffer_init(&connection->ahead, AHEAD_MAX_BYTES);
    if (connection->is_paused) {
        connection->is_paused = false;
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read);
    }
    process(connection, ahead.data, ahead.length);
    azfn__buffer_clean_up(&ahead);
}

static void cancel(const struct azfn__http_connection *connection)
{
    if (connection->invocation) {
        azfn__dispatcher_cancel(connection->invocation);
    }
}

/* The function is told after the connection has let go of its invocation, which it may answer at once. */
static void abort_connection(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    bool is_running = invocation && invocation->state == AZFN__INVOCATION_RUNNING;
    close_connection(connection);
    if (is_running) {
        azfn__dispatcher_cancel(invocation);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct azfn__http_connection *connection = stream->data;
    if (count == 0 || connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    if (connection->phase == AZFN__CONNECTION_LINGERING) {
        /* the host reads an answer only after it has sent the whole body, however large */
        if (count < 0 || uv_now(connection->server->loop) > connection->linger_until_ms) {
            close_connection(connection);
        } else {
            azfn__http_server_await(connection->server, &connection->server->queues.closing, &connection->deadline);
        }
    } else if (count == UV_EOF && (connection->phase == AZFN__CONNECTION_EXCHANGING || connection->ahead.length > 0)) {
        connection->has_ended = true; /* the host's way to give up; another client may still want its answers */
        cancel(connection);
    } else if (count < 0) {
        abort_connection(connection);
    } else if (connection->phase == AZFN__CONNECTION_EXCHANGING || connection->is_waiting) {
        keep_ahead(connection, buffer->base, (size_t)count);
    } else {
        process(connection, buffer->base, (size_t)count);
    }
}

void azfn__http_connection_expire(struct azfn__http_connection *connection)
{
    if (connection->phase == AZFN__CONNECTION_READING && connection->invocation &&
        azfn__http_parser_is_inside(&connection->parser)) {
        refuse(connection, 408, "the request did not arrive in time");
    } else {
        close_connection(connection);
    }
}

enum azfn_error azfn__http_connection_accept(struct azfn__http_server *server)
{
    struct azfn__http_connection *connection = calloc(1, sizeof(*connection));
    if (!connection || uv_tcp_init(server->loop, &connection->tcp) != 0) {
        free(connection);
        return AZFN_ERROR_NO_MEMORY;
    }
    server->connection_count++;
    connection->server = server;
    connection->tcp.data = connection;
    azfn__buffer_init(&connection->ahead, AHEAD_MAX_BYTES);
    azfn__http_parser_init(&connection->parser, &server->limits.parser);
    if (uv_accept((uv_stream_t *)&server->listener, (uv_stream_t *)&connection->tcp) != 0 ||
        server->connection_count > server->limits.connections ||
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read) != 0) {
        close_connection(connection);
        return AZFN_ERROR_SYSTEM;
    }
    become_idle(connection);
    return AZFN_OK;
}
