/* worker/http_exchange.h
 * The answering half of a connection: an invocation's answer, whole or in pieces, becomes bytes on the
 * socket, and when it is out the connection goes on or ends. */
#ifndef AZFN_WORKER_HTTP_EXCHANGE_H
#define AZFN_WORKER_HTTP_EXCHANGE_H

#include "worker/admission.h"
#include "worker/http_connection.h"

/* The context is the connection. */
extern const struct azfn__responder azfn__http_exchange_responder;

/* Tells the log, answers with a bare status and closes: what follows on this connection can't be trusted, or is a body
 * that nobody wants. */
void azfn__http_exchange_refuse(struct azfn__http_connection *connection, const struct azfn__refusal *refusal);

/* Why the parser has refused a request. */
struct azfn__refusal azfn__http_exchange_refusal_of(const struct azfn__http_parser *parser);

/* For the connection's sender. */
void azfn__http_exchange_on_sent(struct azfn__http_sender *sender, int status);

#endif
