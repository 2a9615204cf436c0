/* worker/http_server.h
 * Accepts connections on the socket that the broker has bound, and owns them: how many there are, how long
 * each may take, and how they end when the worker drains. */
#ifndef AZFN_WORKER_HTTP_SERVER_H
#define AZFN_WORKER_HTTP_SERVER_H

#include "config/config_limits.h"
#include "worker/deadline_queue.h"
#include "worker/dispatcher.h"
#include "worker/http_parser.h"

#include <azfn.h>
#include <uv.h>

struct azfn__http_connection;

/* Each has the same time to live. */
struct azfn__http_server_queues {
    struct azfn__deadline_queue idle;
    struct azfn__deadline_queue head;
    struct azfn__deadline_queue body;    /* a period, at whose end enough must have come */
    struct azfn__deadline_queue sending; /* a period, at whose end enough must have gone */
    struct azfn__deadline_queue closing;
};

struct azfn__http_server {
    uv_loop_t *loop;
    struct azfn__dispatcher *dispatcher;
    struct azfn__config_limits limits;
    struct azfn__http_parser_limits parser_limits;
    int listener_fd;
    uv_poll_t listener;
    uv_poll_t table_probe; /* used at the start only */
    uv_timer_t accept_timer; /* runs while the system lacks what a connection needs */
    uv_timer_t timer; /* for the first deadline of all queues */
    uv_idle_t turn;   /* runs while connections wait for their next turn */
    uv_check_t expire_check; /* runs after the timer, once what has come was read */
    uv_check_t accepted_check;
    uv_timer_t quiet_timer;
    struct azfn__http_server_queues queues;
    struct azfn__http_connection *waiting; /* have bytes left to parse */
    uint32_t connection_count;
    bool is_short; /* new connections wait, since the system lacks what they need */
    uint32_t exchange_count; /* connections whose request is being answered */
    bool is_draining;
    uint8_t drain_turns;
    void (*on_accepted)(void *user_data); /* while draining: nothing is left in the socket's queue */
    void (*on_drained)(void *user_data);
    void *user_data;
};

/* How many bytes have to move within a period of body_timeout_ms or send_timeout_ms. */
uint64_t azfn__http_server_required_bytes(const struct azfn__http_server *server, uint64_t period_ms);

/* Listens on fd, which it owns from here on. limits are copied; connections may become fewer, as many as the
 * system has descriptors for. Errors: AZFN_ERROR_SYSTEM, with *out_status as libuv's. */
AZFN_MUST_USE enum azfn_error azfn__http_server_start(struct azfn__http_server *server, uv_loop_t *loop, int fd,
                                                      struct azfn__dispatcher *dispatcher,
                                                      const struct azfn__config_limits *limits, int *out_status);

/* The highest number of descriptors that the process needs, itself included. */
uint64_t azfn__http_server_descriptors(const struct azfn__http_server *server);

/* Takes what still waits in the socket's queue, then accepts no more; each answer says Connection: close.
 * on_drained is called once nothing is in flight and no request has come for a moment: connections that
 * are idle stay open meanwhile, since closing one just when the host uses it would lose a request. */
void azfn__http_server_drain(struct azfn__http_server *server, void (*on_accepted)(void *user_data),
                             void (*on_drained)(void *user_data), void *user_data);

/* For connections: the deadline of their phase. */
void azfn__http_server_await(struct azfn__http_server *server, struct azfn__deadline_queue *queue,
                             struct azfn__deadline_link *link);
/* For connections: azfn__http_connection_turn() is called on the loop's next iteration. */
void azfn__http_server_wait_turn(struct azfn__http_server *server, struct azfn__http_connection *connection);
/* For connections: an exchange has ended. */
void azfn__http_server_note_activity(struct azfn__http_server *server);

#endif
