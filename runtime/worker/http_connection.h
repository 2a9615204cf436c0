/* worker/http_connection.h
 * One connection of the host: bytes in, one request at a time to the dispatcher, answers out in the same
 * order. What a client sends ahead waits, bounded, until it is its turn. */
#ifndef AZFN_WORKER_HTTP_CONNECTION_H
#define AZFN_WORKER_HTTP_CONNECTION_H

#include "worker/http_sender.h"
#include "worker/http_server.h"

#include <azfn.h>
#include <uv.h>

enum azfn__http_connection_phase {
    AZFN__CONNECTION_READING,    /* idle, or within a request */
    AZFN__CONNECTION_EXCHANGING, /* a request is being answered */
    AZFN__CONNECTION_LINGERING,  /* the last answer is out; what still comes is thrown away until the client closes */
    AZFN__CONNECTION_CLOSING,
};

/* Of http_pace.h. */
struct azfn__http_pace {
    struct azfn__deadline_link deadline;
    uint64_t period_bytes; /* when the period of a body or an answer began: received, or sent, so far */
};

struct azfn__http_connection {
    uv_tcp_t tcp;
    struct azfn__http_server *server;
    struct azfn__http_parser parser;
    struct azfn__http_sender sender;
    struct azfn__invocation *invocation; /* NULL while idle */
    struct azfn__buffer ahead;          /* bytes behind the request that is being answered */
    struct azfn__http_pace pace;
    struct azfn__http_connection *next_waiting;
    uint64_t linger_until_ms;
    enum azfn__http_connection_phase phase;
    bool was_used;     /* a request has come */
    bool is_last;      /* close after this answer */
    bool is_processing;   /* process() is on the stack */
    bool is_waiting;      /* in the server's list for the next turn */
    bool is_paused;       /* not reading, since too much is ahead, or waits for the function */
    bool has_ended;       /* the client will send no more */
    bool is_closed;
    bool is_answer_whole; /* nothing will be added to what was sent or queued */
    bool is_broken;       /* nothing can be sent any more: closed on its next turn */
    bool is_body_open;    /* the function runs, and its body still arrives */
    bool is_body_broken;  /* such a body ended in an error: what follows it is thrown away */
};

/* Serves fd, a connected socket that does not block; it is closed whatever this returns.
 * Error: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__http_connection_open(struct azfn__http_server *server, int fd);

/* Its turn to go on with bytes that came ahead. */
void azfn__http_connection_turn(struct azfn__http_connection *connection);

/* For http_exchange.h, http_body.h and http_pace.h. */

void azfn__http_connection_enter(struct azfn__http_connection *connection, enum azfn__http_connection_phase phase);
/* The exchange is over: goes on with the next request, perhaps on a later turn. */
void azfn__http_connection_become_idle(struct azfn__http_connection *connection);
/* The exchange is over, and so is the connection, but the client may still be sending. */
void azfn__http_connection_linger(struct azfn__http_connection *connection);
/* At once. A function that runs is not told. */
void azfn__http_connection_close(struct azfn__http_connection *connection);
/* The same, and tells the function: from the loop, never from within a call of it. */
void azfn__http_connection_abort(struct azfn__http_connection *connection);
/* Keeps bytes until it is their turn; too many of them stop the reading. From the loop: without memory it aborts. */
void azfn__http_connection_keep_ahead(struct azfn__http_connection *connection, const char *data, size_t length);
void azfn__http_connection_pause_reading(struct azfn__http_connection *connection);
void azfn__http_connection_resume_reading(struct azfn__http_connection *connection);
struct azfn__http_connection *azfn__http_connection_of_sender(struct azfn__http_sender *sender);

/* The connection that a link of a queue is embedded in. */
struct azfn__http_connection *azfn__http_connection_of(struct azfn__deadline_link *link);

#endif
