#include "worker/http_connection.h"

#include "base/span.h"
#include "worker/http_body.h"
#include "worker/http_exchange.h"
#include "worker/http_pace.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

/* Requests of one connection before others get their turn. */
#define REQUESTS_PER_TURN 16
/* One read. */
#define READ_BYTES ((size_t)64 << 10)
/* A refused client that goes on sending is cut off after this. */
#define LINGER_MS 60000

/* One thread, and libuv hands the buffer back before it asks for the next: so one serves all connections. */
static char read_buffer[READ_BYTES];

static void process(struct azfn__http_connection *connection, const char *data, size_t length);
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

struct azfn__http_connection *azfn__http_connection_of(struct azfn__deadline_link *link)
{
    size_t offset = offsetof(struct azfn__http_connection, pace.deadline);
    return (struct azfn__http_connection *)(void *)((char *)link - offset);
}

struct azfn__http_connection *azfn__http_connection_of_sender(struct azfn__http_sender *sender)
{
    return (struct azfn__http_connection *)(void *)((char *)sender - offsetof(struct azfn__http_connection, sender));
}

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out_buffer)
{
    (void)handle;
    (void)suggested_size;
    *out_buffer = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_closed(uv_handle_t *handle)
{
    struct azfn__http_connection *connection = handle->data;
    azfn__buffer_clean_up(&connection->ahead);
    connection->is_closed = true;
    /* one that waits for its turn is freed when it comes */
    if (!connection->is_waiting) {
        free(connection);
    }
}

void azfn__http_connection_enter(struct azfn__http_connection *connection, enum azfn__http_connection_phase phase)
{
    struct azfn__http_server *server = connection->server;
    server->exchange_count -= connection->phase == AZFN__CONNECTION_EXCHANGING ? 1 : 0;
    server->exchange_count += phase == AZFN__CONNECTION_EXCHANGING ? 1 : 0;
    connection->phase = phase;
}

void azfn__http_connection_close(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    azfn__http_connection_enter(connection, AZFN__CONNECTION_CLOSING);
    connection->server->connection_count--;
    connection->invocation = NULL;
    azfn__http_pace_leave(connection);
    if (invocation && invocation->state == AZFN__INVOCATION_RUNNING) {
        azfn__dispatcher_abandon(invocation);
    } else if (invocation) {
        azfn__dispatcher_release(connection->server->dispatcher, invocation);
    }
    uv_close((uv_handle_t *)&connection->tcp, on_closed);
}

void azfn__http_connection_pause_reading(struct azfn__http_connection *connection)
{
    if (!connection->is_paused) {
        connection->is_paused = true;
        uv_read_stop((uv_stream_t *)&connection->tcp);
    }
}

void azfn__http_connection_resume_reading(struct azfn__http_connection *connection)
{
    if (connection->is_paused) {
        connection->is_paused = false;
        uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read);
    }
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status;
    free(request);
}

/* Closing a socket with unread bytes makes the kernel send a reset, which can overtake our answer. So the
 * client gets the end of our side first, and a moment to close its own. */
void azfn__http_connection_linger(struct azfn__http_connection *connection)
{
    uv_shutdown_t *request = connection->has_ended ? NULL : malloc(sizeof(*request));
    if (!request || uv_shutdown(request, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        free(request);
        azfn__http_connection_close(connection);
        return;
    }
    azfn__http_connection_enter(connection, AZFN__CONNECTION_LINGERING);
    azfn__buffer_clean_up(&connection->ahead);
    connection->linger_until_ms = uv_now(connection->server->loop) + LINGER_MS;
    azfn__http_pace_enter(connection, &connection->server->queues.closing);
    azfn__http_connection_resume_reading(connection);
}

void azfn__http_connection_become_idle(struct azfn__http_connection *connection)
{
    azfn__http_connection_enter(connection, AZFN__CONNECTION_READING);
    azfn__http_pace_enter(connection, &connection->server->queues.idle);
    if (!connection->is_processing && connection->ahead.length > 0) {
        azfn__http_server_wait_turn(connection->server, connection);
    } else if (!connection->is_processing && connection->has_ended) {
        azfn__http_connection_close(connection);
    }
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

/* False: the connection is closed. */
static bool tell_to_continue(struct azfn__http_connection *connection)
{
    const struct azfn_span go_on = AZFN__SPAN("HTTP/1.1 100 Continue\r\n\r\n");
    uv_buf_t part = uv_buf_init((char *)go_on.data, (unsigned)go_on.length); /* libuv does not write to it */
    int written = uv_try_write((uv_stream_t *)&connection->tcp, &part, 1);
    /* where nothing fits, the client sends the body after a while all the same; half a line can't be mended */
    if (written != UV_EAGAIN && written != (int)part.len) {
        azfn__http_connection_close(connection);
        return false;
    }
    return true;
}

static void run(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    invocation->request = connection->parser.request;
    azfn__http_pace_leave(connection);
    azfn__http_connection_enter(connection, AZFN__CONNECTION_EXCHANGING);
    azfn__dispatcher_run(connection->server->dispatcher, invocation, &azfn__http_exchange_responder, connection);
}

/* The head is there. False: it was answered, or runs. */
static bool take_head(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    const struct azfn__http_request *request = &invocation->request;
    invocation->request = connection->parser.request;
    struct azfn__admission admission = azfn__admission_of_head(connection->server->dispatcher, invocation);
    if (admission.refusal.status != 0) {
        if (admission.refusal.status == 405) {
            append_allow(invocation, admission.allowed);
        }
        azfn__http_exchange_refuse(connection, &admission.refusal);
        return false;
    }
    azfn__http_parser_limit_body(&connection->parser, admission.max_body_bytes);
    bool is_too_large = request->content_length > admission.max_body_bytes;
    if (request->expects_continue && request->has_body && request->minor_version > 0 && !is_too_large &&
        !tell_to_continue(connection)) {
        return false;
    }
    if (!admission.streams_body || !request->has_body || is_too_large) {
        return true;
    }
    connection->is_body_open = true;
    invocation->body_reader.is_streamed = true;
    run(connection);
    return false;
}

static bool begin_request(struct azfn__http_connection *connection)
{
    connection->invocation = azfn__dispatcher_acquire(connection->server->dispatcher);
    if (!connection->invocation) {
        const struct azfn__event_fields fields = {.limit = AZFN__SPAN("memory")};
        azfn__dispatcher_tell(connection->server->dispatcher, NULL, AZFN__EVENT_MEMORY_LIMIT, &fields,
                              AZFN__SPAN("no memory for a request"));
        azfn__http_connection_close(connection);
        return false;
    }
    connection->was_used = true;
    azfn__http_parser_begin(&connection->parser, &connection->invocation->message);
    return true;
}

/* Where one more read might be too many, there is none. */
void azfn__http_connection_keep_ahead(struct azfn__http_connection *connection, const char *data, size_t length)
{
    azfn__buffer_append(&connection->ahead, data, length);
    if (connection->ahead.has_failed) {
        azfn__http_connection_abort(connection);
    } else if (connection->ahead.length + READ_BYTES > connection->ahead.max_bytes) {
        azfn__http_connection_pause_reading(connection);
    }
}

/* Feeds bytes until the phase changes. Returns how many were taken. */
static size_t read_request(struct azfn__http_connection *connection, const char *data, size_t length)
{
    struct azfn__refusal refusal;
    size_t taken = 0;
    for (;;) {
        size_t count = 0;
        enum azfn__http_parser_state state =
            azfn__http_parser_feed(&connection->parser, data + taken, length - taken, &count);
        taken += count;
        switch (state) {
        case AZFN__HTTP_NEED_MORE:
            azfn__http_pace_await_rest(connection);
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
            refusal = azfn__http_exchange_refusal_of(&connection->parser);
            azfn__http_exchange_refuse(connection, &refusal);
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
    if (connection->phase == AZFN__CONNECTION_CLOSING || connection->phase == AZFN__CONNECTION_LINGERING) {
        return;
    }
    if (connection->is_body_open) {
        azfn__http_body_read(connection, data + taken, length - taken);
        if (connection->is_body_open && connection->has_ended) {
            azfn__http_connection_abort(connection); /* the end was read before the body's turn: no other will come */
        }
        return;
    }
    if (taken < length) {
        azfn__http_connection_keep_ahead(connection, data + taken, length - taken);
    }
    if (connection->phase == AZFN__CONNECTION_READING && connection->ahead.length > 0) {
        azfn__http_server_wait_turn(connection->server, connection);
    } else if (connection->phase == AZFN__CONNECTION_READING && connection->has_ended) {
        azfn__http_connection_close(connection);
    }
}

void azfn__http_connection_turn(struct azfn__http_connection *connection)
{
    connection->is_waiting = false;
    if (connection->is_closed) {
        free(connection);
        return;
    }
    if (connection->is_broken) {
        azfn__http_connection_abort(connection);
    } else if (connection->phase == AZFN__CONNECTION_EXCHANGING) {
        azfn__http_body_deliver(connection); /* bytes that came ahead wait until the exchange has ended */
    }
    if (connection->phase != AZFN__CONNECTION_READING) {
        return;
    }
    struct azfn__buffer ahead = connection->ahead;
    azfn__buffer_init(&connection->ahead, ahead.max_bytes);
    azfn__http_connection_resume_reading(connection);
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
void azfn__http_connection_abort(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    bool is_running = invocation && invocation->state == AZFN__INVOCATION_RUNNING;
    azfn__http_connection_close(connection);
    if (is_running) {
        azfn__dispatcher_cancel(invocation);
        azfn__invocation_lose_caller(invocation);
    }
}

static void take_read(struct azfn__http_connection *connection, ssize_t count)
{
    if (count == 0 || connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    if (connection->phase == AZFN__CONNECTION_LINGERING) {
        /* the host reads an answer only after it has sent the whole body, however large */
        if (count < 0 || uv_now(connection->server->loop) > connection->linger_until_ms) {
            azfn__http_connection_close(connection);
        } else {
            azfn__http_pace_enter(connection, &connection->server->queues.closing);
        }
    } else if (count == UV_EOF && !connection->is_body_open &&
               (connection->phase == AZFN__CONNECTION_EXCHANGING || connection->ahead.length > 0)) {
        connection->has_ended = true; /* the host's way to give up; another client may still want its answers */
        cancel(connection);
    } else if (count < 0) {
        azfn__http_connection_abort(connection);
    } else if (connection->is_body_broken) {
        return; /* until the function has answered, and then it lingers */
    } else if (connection->is_body_open) {
        azfn__http_body_read(connection, read_buffer, (size_t)count);
    } else if (connection->phase == AZFN__CONNECTION_EXCHANGING || connection->is_waiting) {
        azfn__http_connection_keep_ahead(connection, read_buffer, (size_t)count);
    } else {
        process(connection, read_buffer, (size_t)count);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    (void)buffer; /* read_buffer */
    take_read(stream->data, count);
    if (count > 0) {
        sodium_memzero(read_buffer, (size_t)count); /* a caller's key, perhaps, and its request may be over */
    }
}

enum azfn_error azfn__http_connection_open(struct azfn__http_server *server, int fd)
{
    struct azfn__http_connection *connection = calloc(1, sizeof(*connection));
    if (!connection || uv_tcp_init(server->loop, &connection->tcp) != 0) {
        free(connection);
        close(fd);
        return AZFN_ERROR_NO_MEMORY;
    }
    server->connection_count++;
    connection->server = server;
    connection->tcp.data = connection;
    azfn__http_sender_init(&connection->sender, (uv_stream_t *)&connection->tcp, azfn__http_exchange_on_sent);
    azfn__buffer_init(&connection->ahead, server->limits.pipelined_bytes);
    azfn__http_parser_init(&connection->parser, &server->parser_limits);
    if (uv_tcp_open(&connection->tcp, fd) != 0) {
        close(fd);
        azfn__http_connection_close(connection);
        return AZFN_ERROR_SYSTEM;
    }
    if (uv_read_start((uv_stream_t *)&connection->tcp, on_allocate, on_read) != 0) {
        azfn__http_connection_close(connection);
        return AZFN_ERROR_SYSTEM;
    }
    azfn__http_connection_become_idle(connection);
    return AZFN_OK;
}
