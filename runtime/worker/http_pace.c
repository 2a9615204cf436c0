#include "worker/http_pace.h"

#include "base/span.h"
#include "worker/http_body.h"
#include "worker/http_exchange.h"

static const struct azfn__refusal late_head = {408, AZFN__EVENT_SLOW_CLIENT, "the head did not arrive in time",
                                               "headerTimeoutMs"};
static const struct azfn__refusal late_body = {408, AZFN__EVENT_SLOW_CLIENT, "the body did not arrive in time",
                                               "bodyTimeoutMs"};

/* Of a body or an answer: at its end enough bytes must have moved. */
static void begin_period(struct azfn__http_connection *connection, struct azfn__deadline_queue *queue, uint64_t bytes)
{
    connection->pace.period_bytes = bytes;
    uv_update_time(connection->server->loop); /* what the function took before it answered is not the client's */
    azfn__http_pace_enter(connection, queue);
}

/* The answer is whole, and the rest of the body still comes: the host does not read before it has sent that, so it is
 * judged by what it sends. */
static bool is_discarding_body(const struct azfn__http_connection *connection)
{
    return connection->is_answer_whole && connection->is_body_open;
}

void azfn__http_pace_await(struct azfn__http_connection *connection)
{
    struct azfn__http_server_queues *queues = &connection->server->queues;
    if (!azfn__http_sender_is_idle(&connection->sender) && !is_discarding_body(connection)) {
        if (connection->pace.deadline.queue != &queues->sending) {
            begin_period(connection, &queues->sending, azfn__http_sender_sent_bytes(&connection->sender));
        }
    } else if (!connection->is_body_open || connection->is_paused) {
        azfn__http_pace_leave(connection);
    } else if (connection->pace.deadline.queue != &queues->body) {
        begin_period(connection, &queues->body, connection->parser.body_bytes);
    }
}

void azfn__http_pace_await_rest(struct azfn__http_connection *connection)
{
    struct azfn__http_server_queues *queues = &connection->server->queues;
    if (azfn__http_parser_is_in_body(&connection->parser)) {
        if (connection->pace.deadline.queue != &queues->body) {
            begin_period(connection, &queues->body, connection->parser.body_bytes);
        }
    } else if (connection->pace.deadline.queue != &queues->head && azfn__http_parser_is_inside(&connection->parser)) {
        azfn__http_pace_enter(connection, &queues->head);
    }
}

/* In the period that ends. */
static bool has_received_enough(const struct azfn__http_connection *connection)
{
    const struct azfn__http_server *server = connection->server;
    return azfn__http_parser_is_in_body(&connection->parser) &&
           connection->parser.body_bytes - connection->pace.period_bytes >=
               azfn__http_server_required_bytes(server, server->limits.body_timeout_ms);
}

static void cut_off(struct azfn__http_connection *connection, struct azfn_span limit, struct azfn_span why)
{
    const struct azfn__event_fields fields = {.limit = limit};
    azfn__dispatcher_tell(connection->server->dispatcher, connection->invocation, AZFN__EVENT_SLOW_CLIENT, &fields,
                          why);
    azfn__http_connection_abort(connection);
}

static void expire_answer(struct azfn__http_connection *connection)
{
    struct azfn__http_server *server = connection->server;
    uint64_t required = azfn__http_server_required_bytes(server, server->limits.send_timeout_ms);
    uint64_t sent = azfn__http_sender_sent_bytes(&connection->sender);
    if (sent - connection->pace.period_bytes >= required) {
        begin_period(connection, &server->queues.sending, sent);
    } else {
        cut_off(connection, AZFN__SPAN("sendTimeoutMs"), AZFN__SPAN("the client does not take its answer"));
    }
}

void azfn__http_pace_expire(struct azfn__http_connection *connection)
{
    struct azfn__http_server *server = connection->server;
    bool is_inside = connection->phase == AZFN__CONNECTION_READING && connection->invocation &&
                     azfn__http_parser_is_inside(&connection->parser);
    bool is_discarding = is_discarding_body(connection);
    bool is_body = is_discarding || (connection->is_body_open && azfn__http_sender_is_idle(&connection->sender));
    if ((is_inside || is_body) && has_received_enough(connection)) {
        begin_period(connection, &server->queues.body, connection->parser.body_bytes);
    } else if (is_inside) {
        connection->invocation->request = connection->parser.request;
        azfn__http_exchange_refuse(connection, azfn__http_parser_is_in_body(&connection->parser) ? &late_body
                                                                                                  : &late_head);
    } else if (is_discarding) {
        cut_off(connection, AZFN__SPAN("bodyTimeoutMs"),
                AZFN__SPAN("the client neither goes on with its body nor takes its answer"));
    } else if (is_body) {
        azfn__dispatcher_tell_refusal(server->dispatcher, connection->invocation, &late_body);
        azfn__http_body_break(connection, AZFN_ERROR_TIMEOUT);
        azfn__http_body_deliver(connection);
    } else if (connection->phase == AZFN__CONNECTION_EXCHANGING) {
        expire_answer(connection);
    } else {
        azfn__http_connection_abort(connection);
    }
}
