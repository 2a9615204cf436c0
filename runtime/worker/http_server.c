#include "worker/http_server.h"

#include "base/span.h"
#include "worker/http_connection.h"

#include <sys/resource.h>

#define BACKLOG 4096
#define QUIET_MS 250
/* Those of the loop, the channel and libraries. */
#define OTHER_DESCRIPTORS 32
#define QUEUE_COUNT 4
/* The rest of an iteration of the loop, and a whole one in which nothing came. */
#define DRAIN_TURNS 2

const struct azfn__http_server_limits azfn__http_server_default_limits = {
    .parser = {.target_bytes = 16 << 10, .header_bytes = 64 << 10, .header_count = 128},
    .connections = 8192,
    .idle_ms = 180000,
    .receiving_ms = 60000,
    .sending_ms = 60000,
    .closing_ms = 2000,
};

static void on_timer(uv_timer_t *timer);

static struct azfn__deadline_queue *queue_at(struct azfn__http_server *server, int index)
{
    struct azfn__deadline_queue *const queues[QUEUE_COUNT] = {&server->queues.idle, &server->queues.receiving,
                                                              &server->queues.sending, &server->queues.closing};
    return queues[index];
}

static void arm_timer(struct azfn__http_server *server)
{
    uint64_t earliest = UINT64_MAX;
    for (int i = 0; i < QUEUE_COUNT; i++) {
        const struct azfn__deadline_link *oldest = queue_at(server, i)->oldest;
        earliest = oldest && oldest->deadline_ms < earliest ? oldest->deadline_ms : earliest;
    }
    if (earliest != UINT64_MAX) {
        uint64_t now = uv_now(server->loop);
        uv_timer_start(&server->timer, on_timer, earliest > now ? earliest - now : 0, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__http_server *server = timer->data;
    for (int i = 0; i < QUEUE_COUNT; i++) {
        struct azfn__deadline_link *oldest;
        while ((oldest = queue_at(server, i)->oldest) && oldest->deadline_ms <= uv_now(server->loop)) {
            azfn__deadline_queue_leave(oldest);
            azfn__http_connection_expire(azfn__http_connection_of(oldest));
        }
    }
    arm_timer(server);
}

void azfn__http_server_await(struct azfn__http_server *server, struct azfn__deadline_queue *queue,
                             struct azfn__deadline_link *link)
{
    uint64_t now = uv_now(server->loop);
    azfn__deadline_queue_enter(queue, link, now);
    /* left running when a link leaves, so that a request on a warm connection does not touch it */
    if (!uv_is_active((uv_handle_t *)&server->timer) ||
        now + uv_timer_get_due_in(&server->timer) > link->deadline_ms) {
        uv_timer_start(&server->timer, on_timer, queue->time_ms, 0);
    }
}

static void on_turn(uv_idle_t *handle)
{
    struct azfn__http_server *server = handle->data;
    struct azfn__http_connection *connection = server->waiting;
    server->waiting = NULL;
    if (server->drain_turns == 0) {
        uv_idle_stop(handle);
    }
    while (connection) {
        struct azfn__http_connection *next = connection->next_waiting;
        azfn__http_connection_turn(connection);
        connection = next;
    }
}

void azfn__http_server_wait_turn(struct azfn__http_server *server, struct azfn__http_connection *connection)
{
    if (!connection->is_waiting) {
        connection->is_waiting = true;
        connection->next_waiting = server->waiting;
        server->waiting = connection;
        uv_idle_start(&server->turn, on_turn);
    }
}

static void log_limit(struct azfn__http_server *server, const char *text)
{
    azfn__dispatcher_log(server->dispatcher, NULL, AZFN_LOG_WARNING, "excess_rate_limit_exceeded:connections",
                         azfn_span_of(text));
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct azfn__http_server *server = stream->data;
    if (status != 0) {
        log_limit(server, "a connection could not be taken: the system refused");
        return;
    }
    if (server->drain_turns > 0) {
        server->drain_turns = DRAIN_TURNS; /* newer libuv takes one connection a turn */
    }
    if (server->connection_count >= server->limits.connections && server->queues.idle.oldest) {
        log_limit(server, "the limit of connections is reached: the one that was idle longest is closed");
        azfn__http_connection_expire(azfn__http_connection_of(server->queues.idle.oldest));
    }
    if (azfn__http_connection_accept(server) != AZFN_OK) {
        log_limit(server, "a connection could not be taken: too many are busy, or no memory");
    }
}

/* Our own limit, with its event, has to come before the system's. */
static uint32_t possible_connections(uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return wanted;
    }
    rlim_t possible = limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : limit.rlim_cur / 2;
    return possible < wanted ? (uint32_t)possible : wanted;
}

enum azfn_error azfn__http_server_start(struct azfn__http_server *server, uv_loop_t *loop, int fd,
                                        struct azfn__dispatcher *dispatcher,
                                        const struct azfn__http_server_limits *limits, int *out_status)
{
    *server = (struct azfn__http_server){.loop = loop, .dispatcher = dispatcher, .limits = *limits};
    server->limits.connections = possible_connections(limits->connections);
    server->queues.idle.time_ms = limits->idle_ms;
    server->queues.receiving.time_ms = limits->receiving_ms;
    server->queues.sending.time_ms = limits->sending_ms;
    server->queues.closing.time_ms = limits->closing_ms;
    server->listener.data = server;
    server->timer.data = server;
    server->turn.data = server;
    server->accepted_check.data = server;
    server->quiet_timer.data = server;
    int status = uv_timer_init(loop, &server->timer);
    status = status ? status : uv_timer_init(loop, &server->quiet_timer);
    status = status ? status : uv_idle_init(loop, &server->turn);
    status = status ? status : uv_check_init(loop, &server->accepted_check);
    status = status ? status : uv_tcp_init(loop, &server->listener);
    status = status ? status : uv_tcp_open(&server->listener, fd);
    status = status ? status : uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    *out_status = status;
    return status == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void on_quiet(uv_timer_t *timer)
{
    struct azfn__http_server *server = timer->data;
    /* also functions whose caller has gone: what they do besides answering is not to be cut short */
    if (server->exchange_count == 0 && server->dispatcher->in_flight == 0 && !server->queues.receiving.oldest) {
        server->on_drained(server->user_data);
    } else {
        uv_timer_start(timer, on_quiet, QUIET_MS, 0);
    }
}

void azfn__http_server_note_activity(struct azfn__http_server *server)
{
    if (server->is_draining && server->drain_turns == 0) {
        uv_timer_start(&server->quiet_timer, on_quiet, QUIET_MS, 0);
    }
}

/* The loop polls until nothing has come in a whole iteration: then the socket's queue is empty. */
static void on_accepted_check(uv_check_t *handle)
{
    struct azfn__http_server *server = handle->data;
    if (--server->drain_turns > 0) {
        return;
    }
    uv_check_stop(handle);
    uv_close((uv_handle_t *)&server->listener, NULL);
    server->on_accepted(server->user_data);
    azfn__http_server_note_activity(server);
}

void azfn__http_server_drain(struct azfn__http_server *server, void (*on_accepted)(void *user_data),
                             void (*on_drained)(void *user_data), void *user_data)
{
    if (server->is_draining) {
        return;
    }
    server->is_draining = true;
    server->drain_turns = DRAIN_TURNS;
    server->on_accepted = on_accepted;
    server->on_drained = on_drained;
    server->user_data = user_data;
    uv_check_start(&server->accepted_check, on_accepted_check);
    uv_idle_start(&server->turn, on_turn); /* so that the loop does not sleep */
}
