/* worker/http_body.h
 * The body of a request whose function runs already: read no faster than the function asks for it. */
#ifndef AZFN_WORKER_HTTP_BODY_H
#define AZFN_WORKER_HTTP_BODY_H

#include "worker/http_connection.h"

/* Bytes of the connection while its body is open. */
void azfn__http_body_read(struct azfn__http_connection *connection, const char *data, size_t length);
/* The function asks for more. */
void azfn__http_body_continue(struct azfn__http_connection *connection);
/* Hands the function what it has asked for, and reads on where it may. From the loop. */
void azfn__http_body_deliver(struct azfn__http_connection *connection);
/* The answer is whole, so nobody will read it; but the host takes its answer only after it has sent everything, so it
 * must not be kept waiting. */
void azfn__http_body_discard(struct azfn__http_connection *connection);
/* No more of it can be read; the function gets error when it asks. */
void azfn__http_body_break(struct azfn__http_connection *connection, enum azfn_error error);

#endif
