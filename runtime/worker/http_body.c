#include "worker/http_body.h"

#include "worker/http_exchange.h"
#include "worker/http_pace.h"

/* What waits for the function to ask for it. */
#define UNREAD_PAUSE_BYTES ((size_t)64 << 10)

void azfn__http_body_deliver(struct azfn__http_connection *connection)
{
    struct azfn__invocation *invocation = connection->invocation;
    azfn__invocation_deliver_body(invocation);
    if (connection->invocation != invocation || !connection->is_body_open) {
        return;
    }
    if (invocation->message.body.length > UNREAD_PAUSE_BYTES) {
        azfn__http_connection_pause_reading(connection);
    } else {
        azfn__http_connection_resume_reading(connection);
    }
    azfn__http_pace_await(connection);
}

void azfn__http_body_discard(struct azfn__http_connection *connection)
{
    struct azfn__http_message *message = &connection->invocation->message;
    azfn__buffer_reset(&message->body, UNREAD_PAUSE_BYTES);
    azfn__http_message_count_body(message);
    azfn__http_connection_resume_reading(connection);
}

void azfn__http_body_break(struct azfn__http_connection *connection, enum azfn_error error)
{
    connection->is_body_open = false;
    connection->is_body_broken = true;
    connection->is_last = true;
    connection->invocation->body_reader.error = error;
}

static enum azfn_error error_of(uint16_t status)
{
    return status == 413 ? AZFN_ERROR_LIMIT : status == 503 ? AZFN_ERROR_NO_MEMORY : AZFN_ERROR_SYNTAX;
}

void azfn__http_body_read(struct azfn__http_connection *connection, const char *data, size_t length)
{
    struct azfn__http_parser *parser = &connection->parser;
    size_t taken = 0;
    enum azfn__http_parser_state state = azfn__http_parser_feed(parser, data, length, &taken);
    if (state == AZFN__HTTP_COMPLETE) {
        connection->is_body_open = false;
        connection->invocation->body_reader.is_complete = true;
        if (taken < length) {
            azfn__http_connection_keep_ahead(connection, data + taken, length - taken);
        }
    } else if (state == AZFN__HTTP_REFUSED) {
        const struct azfn__refusal refusal = azfn__http_exchange_refusal_of(parser);
        azfn__dispatcher_tell_refusal(connection->server->dispatcher, connection->invocation, &refusal);
        azfn__http_body_break(connection, error_of(parser->fault.status));
    }
    if (connection->phase == AZFN__CONNECTION_EXCHANGING) {
        if (connection->is_answer_whole && connection->is_body_open) {
            azfn__http_body_discard(connection);
        }
        azfn__http_pace_await(connection);
        azfn__http_body_deliver(connection);
    }
}

void azfn__http_body_continue(struct azfn__http_connection *connection)
{
    const struct azfn__invocation *invocation = connection->invocation;
    if (!connection->is_body_open || invocation->message.body.length > 0) {
        azfn__http_server_wait_turn(connection->server, connection);
    } else {
        azfn__http_connection_resume_reading(connection);
        azfn__http_pace_await(connection);
    }
}
