#include "worker/http_exchange.h"

#include "base/span.h"
#include "worker/http_body.h"
#include "worker/http_pace.h"

#include <stdio.h>

/* Up to this size copying a body behind the head is cheaper than a second part in the system call. */
#define COPIED_BODY_BYTES ((size_t)2 << 10)
/* Of an answer in pieces: what may be queued before the function has to wait. */
#define QUEUED_MAX_BYTES ((size_t)64 << 10)

/* The answer is out. */
static void finish(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    bool has_unread = invocation->state == AZFN__INVOCATION_RECEIVING || connection->is_body_open ||
                      connection->is_body_broken || connection->ahead.length > 0;
    connection->invocation = NULL;
    connection->is_body_open = false;
    connection->is_answer_whole = false;
    azfn__invocation_forget_logs(invocation);
    azfn__dispatcher_release(connection->server->dispatcher, invocation);
    azfn__http_server_note_activity(connection->server);
    if (connection->is_last && has_unread) {
        azfn__http_connection_linger(connection);
    } else if (connection->is_last) {
        azfn__http_connection_close(connection);
    } else {
        azfn__http_connection_become_idle(connection);
    }
}

/* Something was sent, or queued, or could not be. */
static enum azfn_error settle(struct azfn__http_connection *connection, enum azfn_error error)
{
    if (error == AZFN_ERROR_NO_MEMORY) {
        const struct azfn__event_fields fields = {.limit = AZFN__SPAN("memory")};
        azfn__dispatcher_tell(connection->server->dispatcher, connection->invocation, AZFN__EVENT_MEMORY_LIMIT, &fields,
                              AZFN__SPAN("the answer was lost: no memory for it"));
    }
    if (error != AZFN_OK && connection->invocation->state == AZFN__INVOCATION_RUNNING) {
        /* within a call of the function, which is told on the next turn */
        connection->is_broken = true;
        azfn__http_server_wait_turn(connection->server, connection);
        return AZFN_ERROR_STATE;
    }
    if (error != AZFN_OK) {
        azfn__http_connection_close(connection);
        return AZFN_ERROR_STATE;
    }
    if (connection->is_answer_whole && azfn__http_sender_is_idle(&connection->sender)) {
        finish(connection);
        return AZFN_OK;
    }
    if (connection->is_answer_whole && connection->is_body_open) {
        azfn__http_body_discard(connection);
    }
    azfn__http_pace_await(connection);
    return AZFN_OK;
}

void azfn__http_exchange_on_sent(struct azfn__http_sender *sender, int status)
{
    struct azfn__http_connection *connection = azfn__http_connection_of_sender(sender);
    if (connection->phase == AZFN__CONNECTION_CLOSING) {
        return;
    }
    if (status != 0) {
        azfn__http_connection_abort(connection);
        return;
    }
    struct azfn__invocation *invocation = connection->invocation;
    bool is_roomy = azfn__http_sender_queued_bytes(sender) <= QUEUED_MAX_BYTES / 2;
    settle(connection, AZFN_OK);
    if (is_roomy && connection->invocation == invocation) {
        azfn__invocation_tell_writable(invocation);
    }
}

static void encode_head(struct azfn__http_connection *connection, struct azfn__invocation *invocation,
                        const struct azfn__http_response *response, struct azfn_span *out_body)
{
    struct azfn__http_response complete = *response;
    uv_timeval64_t now = {0};
    uv_gettimeofday(&now);
    connection->is_last = connection->is_last || !invocation->request.is_keep_alive ||
                          connection->server->is_draining || connection->is_body_open;
    complete.is_last = connection->is_last;
    complete.is_head_request = invocation->request.method == AZFN__METHOD_HEAD;
    complete.is_http_1_0 = invocation->request.minor_version == 0;
    azfn__http_response_encode(&complete, now.tv_sec, &invocation->head, out_body);
}

static void on_respond(struct azfn__invocation *invocation, const struct azfn__http_response *response, void *context)
{
    struct azfn__http_connection *connection = context;
    struct azfn_span body;
    connection->invocation = invocation; /* a stand-in may answer */
    encode_head(connection, invocation, response, &body);
    if (body.length <= COPIED_BODY_BYTES) {
        azfn__buffer_append_span(&invocation->head, body);
        body = azfn__span("", 0);
    }
    if (invocation->head.has_failed) {
        settle(connection, AZFN_ERROR_NO_MEMORY);
        return;
    }
    const struct azfn_span parts[] = {azfn__buffer_span(&invocation->head), body};
    bool are_kept = body.length == 0 || body.data == invocation->out.data;
    connection->is_answer_whole = true;
    settle(connection, azfn__http_sender_send(&connection->sender, parts, 2, are_kept));
}

static enum azfn_error on_begin(struct azfn__invocation *invocation, const struct azfn__http_response *response,
                                void *context)
{
    struct azfn__http_connection *connection = context;
    struct azfn_span body;
    encode_head(connection, invocation, response, &body);
    if (invocation->head.has_failed) {
        return settle(connection, AZFN_ERROR_NO_MEMORY);
    }
    const struct azfn_span head = azfn__buffer_span(&invocation->head);
    return settle(connection, azfn__http_sender_send(&connection->sender, &head, 1, false));
}

static bool is_writable(const struct azfn__invocation *invocation, void *context)
{
    const struct azfn__http_connection *connection = context;
    (void)invocation;
    return connection->is_broken || azfn__http_sender_queued_bytes(&connection->sender) <= QUEUED_MAX_BYTES;
}

static enum azfn_error on_write(struct azfn__invocation *invocation, struct azfn_span bytes, void *context)
{
    struct azfn__http_connection *connection = context;
    char size[24];
    if (connection->is_broken) {
        return AZFN_ERROR_STATE;
    }
    if (invocation->request.method == AZFN__METHOD_HEAD) {
        return AZFN_OK;
    }
    if (!is_writable(invocation, context)) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    int length = snprintf(size, sizeof(size), "%zx\r\n", bytes.length);
    const struct azfn_span parts[] = {azfn__span(size, (size_t)length), bytes, AZFN__SPAN("\r\n")};
    return settle(connection, azfn__http_sender_send(&connection->sender, parts, 3, false));
}

static void on_end(struct azfn__invocation *invocation, void *context)
{
    struct azfn__http_connection *connection = context;
    const struct azfn_span last = AZFN__SPAN("0\r\n\r\n");
    size_t count = invocation->request.method == AZFN__METHOD_HEAD ? 0 : 1;
    if (connection->is_broken) {
        azfn__http_connection_close(connection); /* the end would make a whole of what lacks a piece */
        return;
    }
    connection->is_answer_whole = true;
    settle(connection, azfn__http_sender_send(&connection->sender, &last, count, true));
}

static void on_abort(struct azfn__invocation *invocation, void *context)
{
    (void)invocation;
    azfn__http_connection_close(context);
}

static void on_read_asked(struct azfn__invocation *invocation, void *context)
{
    (void)invocation;
    azfn__http_body_continue(context);
}

const struct azfn__responder azfn__http_exchange_responder = {
    .respond = on_respond,
    .begin = on_begin,
    .write = on_write,
    .is_writable = is_writable,
    .end = on_end,
    .abort = on_abort,
    .read = on_read_asked,
};

struct azfn__refusal azfn__http_exchange_refusal_of(const struct azfn__http_parser *parser)
{
    static const struct {
        enum azfn__security_event event;
        const char *name;
    } limits[] = {
        [AZFN__HTTP_NO_LIMIT] = {AZFN__EVENT_INVALID_HTTP, NULL},
        [AZFN__HTTP_LIMIT_URL_BYTES] = {AZFN__EVENT_SIZE_LIMIT, "urlBytes"},
        [AZFN__HTTP_LIMIT_HEADER_BYTES] = {AZFN__EVENT_SIZE_LIMIT, "headerBytes"},
        [AZFN__HTTP_LIMIT_HEADER_COUNT] = {AZFN__EVENT_SIZE_LIMIT, "headerCount"},
        [AZFN__HTTP_LIMIT_CHUNK_EXTENSION_BYTES] = {AZFN__EVENT_SIZE_LIMIT, "chunkExtensionBytes"},
        [AZFN__HTTP_LIMIT_TRAILER_BYTES] = {AZFN__EVENT_SIZE_LIMIT, "trailerBytes"},
        [AZFN__HTTP_LIMIT_BODY_BYTES] = {AZFN__EVENT_SIZE_LIMIT, "maxBodyBytes"},
        [AZFN__HTTP_LIMIT_BODY_BYTES_IN_FLIGHT] = {AZFN__EVENT_MEMORY_LIMIT, "bodyBytesInFlight"},
        [AZFN__HTTP_LIMIT_MEMORY] = {AZFN__EVENT_MEMORY_LIMIT, "memory"},
    };
    const struct azfn__http_fault *fault = &parser->fault;
    return (struct azfn__refusal){
        .status = fault->status,
        .event = limits[fault->limit].event,
        .reason = fault->reason,
        .limit = limits[fault->limit].name,
    };
}

void azfn__http_exchange_refuse(struct azfn__http_connection *connection, const struct azfn__refusal *refusal)
{
    struct azfn__invocation *invocation = connection->invocation;
    azfn__dispatcher_tell_refusal(connection->server->dispatcher, invocation, refusal);
    azfn__http_pace_leave(connection);
    azfn__http_connection_enter(connection, AZFN__CONNECTION_EXCHANGING);
    connection->is_last = true;
    invocation->responder = &azfn__http_exchange_responder;
    invocation->responder_context = connection;
    azfn__invocation_answer_status(invocation, refusal->status);
}
