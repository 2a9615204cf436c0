/* worker/http_pace.h
 * How long a client may take: for its head once, for its body and for taking the answer as long as enough moves in each
 * period. Who is too slow gets 408, or is cut off. */
#ifndef AZFN_WORKER_HTTP_PACE_H
#define AZFN_WORKER_HTTP_PACE_H

#include "worker/http_connection.h"

/* Its time begins anew, in a queue of the server's. */
static inline void azfn__http_pace_enter(struct azfn__http_connection *connection, struct azfn__deadline_queue *queue)
{
    azfn__http_server_await(connection->server, queue, &connection->pace.deadline);
}

/* Nothing is expected of the client. */
static inline void azfn__http_pace_leave(struct azfn__http_connection *connection)
{
    azfn__deadline_queue_leave(&connection->pace.deadline);
}

/* While a request is answered: the queue for what it waits for. */
void azfn__http_pace_await(struct azfn__http_connection *connection);
/* For the rest of a request: once for its head, and once for its body. */
void azfn__http_pace_await_rest(struct azfn__http_connection *connection);
/* The time of its phase is over, or the server needs the place: closes it, or asks for more in another period. */
void azfn__http_pace_expire(struct azfn__http_connection *connection);

#endif
