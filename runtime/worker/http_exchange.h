/* worker/http_exchange.h
 * The answering half of a connection: an invocation's answer, whole or in pieces, becomes bytes on the
 * socket, and when it is out the connection goes on or ends. */
#ifndef AZFN_WORKER_HTTP_EXCHANGE_H
#define AZFN_WORKER_HTTP_EXCHANGE_H

#include "worker/http_connection.h"

/* The context is the connection. */
extern const struct azfn__responder azfn__http_exchange_responder;

/* Answers with a bare status and closes: what follows on this connection can't be trusted, or is a body that
 * nobody wants. reason is for the log. */
void azfn__http_exchange_refuse(struct azfn__http_connection *connection, uint16_t status, const char *reason);

/* The line about a refusal. */
void azfn__http_exchange_log_refusal(struct azfn__http_connection *connection, uint16_t status, const char *reason);

/* For the connection's sender. */
void azfn__http_exchange_on_sent(struct azfn__http_sender *sender, int status);

#endif
