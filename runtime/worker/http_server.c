#include "worker/http_server.h"

#include "base/span.h"
#include "worker/http_pace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define QUIET_MS 250
/* Those of the loop, the channel and libraries. */
#define OTHER_DESCRIPTORS 32
#define QUEUE_COUNT 5
/* A refused client that sends nothing for so long is cut off. */
#define CLOSING_MS 2000
/* Connections that are taken before others get their turn. */
#define ACCEPTS_PER_TURN 64
/* When accepting is tried again after the system refused. */
#define ACCEPT_PAUSE_MS 50
/* So long a new connection is not taken for an idle one. */
#define NEW_MS 1000
#define IDLE_TRIES 256
/* The rest of an iteration of the loop, and a whole one in which nothing came. */
#define DRAIN_TURNS 2

static void on_timer(uv_timer_t *timer);
static void on_turn(uv_idle_t *handle);

static struct azfn__deadline_queue *queue_at(struct azfn__http_server *server, int index)
{
    struct azfn__deadline_queue *const queues[QUEUE_COUNT] = {&server->queues.idle, &server->queues.head,
                                                              &server->queues.body, &server->queues.sending,
                                                              &server->queues.closing};
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

static void on_expire_check(uv_check_t *check)
{
    struct azfn__http_server *server = check->data;
    uv_check_stop(check);
    for (int i = 0; i < QUEUE_COUNT; i++) {
        struct azfn__deadline_link *oldest;
        while ((oldest = queue_at(server, i)->oldest) && oldest->deadline_ms <= uv_now(server->loop)) {
            azfn__deadline_queue_leave(oldest);
            azfn__http_pace_expire(azfn__http_connection_of(oldest));
        }
    }
    arm_timer(server);
}

/* What has come in time is read first: it may be that the loop was held up, and not the client. */
static void on_timer(uv_timer_t *timer)
{
    struct azfn__http_server *server = timer->data;
    uv_check_start(&server->expire_check, on_expire_check);
    uv_idle_start(&server->turn, on_turn); /* so that the loop does not sleep */
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
    if (server->drain_turns == 0 && !uv_is_active((uv_handle_t *)&server->expire_check)) {
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

uint64_t azfn__http_server_required_bytes(const struct azfn__http_server *server, uint64_t period_ms)
{
    return server->limits.min_bytes_per_second * period_ms / 1000;
}

/* What became of a connection that there was no room for. */
static const char another_was_closed[] = "the connection that was idle longest is closed";
static const char it_was_closed[] = "the new connection is closed";
static const char it_waits[] = "new connections wait";

static void tell_limit(struct azfn__http_server *server, const char *limit, const char *reason, const char *what)
{
    char text[192];
    const struct azfn__event_fields fields = {.limit = azfn_span_of(limit), .reason = azfn_span_of(reason)};
    snprintf(text, sizeof(text), "%s: %s", what, reason);
    azfn__event_counts_add(&server->dispatcher->event_counts, NULL, AZFN__EVENT_CONNECTION_LIMIT, &fields,
                           azfn_span_of(text), 1);
}

/* One that waits for its turn has sent a request already, and a new one most likely: it was not read yet. */
static bool may_be_closed(const struct azfn__http_server *server, struct azfn__deadline_link *link)
{
    const struct azfn__http_connection *connection = azfn__http_connection_of(link);
    uint64_t idle_since = link->deadline_ms - server->queues.idle.time_ms;
    return !connection->is_waiting && (connection->was_used || uv_now(server->loop) >= idle_since + NEW_MS);
}

/* False: none is idle. */
static bool close_longest_idle(struct azfn__http_server *server)
{
    struct azfn__deadline_link *link = server->queues.idle.oldest;
    for (unsigned tried = 0; link && tried < IDLE_TRIES; tried++, link = link->newer) {
        if (may_be_closed(server, link)) {
            azfn__http_pace_expire(azfn__http_connection_of(link));
            return true;
        }
    }
    return false;
}

static void on_connection(uv_poll_t *poll, int status, int events);

static void on_accept_timer(uv_timer_t *timer)
{
    struct azfn__http_server *server = timer->data;
    if (!uv_is_closing((uv_handle_t *)&server->listener)) {
        uv_poll_start(&server->listener, UV_READABLE, on_connection);
    }
}

/* Which limit accept() has met: a socket that was sabotaged has met none. */
static const char *limit_of(int error)
{
    return error == EMFILE || error == ENFILE   ? "descriptors"
           : error == ENOMEM || error == ENOBUFS ? "memory"
                                                 : NULL;
}

static void tell_shortage(struct azfn__http_server *server, int error, const char *reason)
{
    char text[96];
    snprintf(text, sizeof(text), "a connection could not be taken: %s", strerror(error));
    tell_limit(server, limit_of(error), reason, text);
}

/* Always false. New ones wait in the socket's queue. (libuv would close them all, or ask again without end.) */
static bool pause_accepting(struct azfn__http_server *server)
{
    uv_poll_stop(&server->listener);
    uv_timer_start(&server->accept_timer, on_accept_timer, ACCEPT_PAUSE_MS, 0);
    return false;
}

/* False: not now. Out of descriptors or memory an idle connection gives its own up. */
static bool go_on_after(struct azfn__http_server *server, int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK) {
        return false;
    }
    if (error == EINTR || error == ECONNABORTED) {
        return true;
    }
    bool has_room = limit_of(error) && close_longest_idle(server);
    if (has_room || !server->is_short) { /* once for as long as they wait */
        tell_shortage(server, error, has_room ? another_was_closed : it_waits);
    }
    server->is_short = !has_room;
    return has_room || pause_accepting(server);
}

/* False: not now. */
static bool take_connection(struct azfn__http_server *server)
{
    int fd = accept4(server->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return go_on_after(server, errno);
    }
    server->is_short = false;
    if (server->drain_turns > 0) {
        server->drain_turns = DRAIN_TURNS;
    }
    if (server->connection_count >= server->limits.connections) {
        bool has_room = close_longest_idle(server);
        tell_limit(server, "connections", has_room ? another_was_closed : it_was_closed,
                   "the limit of connections is reached");
        if (!has_room) {
            close(fd);
            return true;
        }
    }
    if (azfn__http_connection_open(server, fd) != AZFN_OK) {
        tell_shortage(server, ENOMEM, it_was_closed);
        return pause_accepting(server);
    }
    return true;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct azfn__http_server *server = poll->data;
    (void)events;
    if (status != 0) {
        tell_shortage(server, -status, it_waits);
        pause_accepting(server);
        return;
    }
    for (unsigned count = 0; count < ACCEPTS_PER_TURN && take_connection(server); count++) {
    }
}

/* Our own limit, with its event, has to come before the system's. */
static uint64_t possible_connections(uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return wanted;
    }
    rlim_t possible = limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : limit.rlim_cur / 2;
    return possible < wanted ? possible : wanted;
}

uint64_t azfn__http_server_descriptors(const struct azfn__http_server *server)
{
    return server->limits.connections + OTHER_DESCRIPTORS;
}

/* libuv ends the process where it can't enlarge its table of descriptors: so the table gets its size now. */
static int reserve_descriptor_table(struct azfn__http_server *server)
{
    int highest = fcntl(server->listener_fd, F_DUPFD_CLOEXEC, (int)server->limits.connections + OTHER_DESCRIPTORS / 2);
    if (highest < 0) {
        return 0; /* few are allowed, so the table is small */
    }
    int status = uv_poll_init(server->loop, &server->table_probe, highest);
    if (status == 0) {
        status = uv_poll_start(&server->table_probe, UV_READABLE, on_connection);
        uv_close((uv_handle_t *)&server->table_probe, NULL);
    }
    close(highest);
    return status;
}

static void take_limits(struct azfn__http_server *server, const struct azfn__config_limits *limits)
{
    server->limits = *limits;
    server->limits.connections = possible_connections(limits->connections);
    server->parser_limits = (struct azfn__http_parser_limits){
        .target_bytes = (uint32_t)limits->url_bytes,
        .header_bytes = (uint32_t)limits->header_bytes,
        .header_count = (uint32_t)limits->header_count,
        .chunk_extension_bytes = (uint32_t)limits->chunk_extension_bytes,
        .trailer_bytes = (uint32_t)limits->trailer_bytes,
    };
    server->queues.idle.time_ms = (uint32_t)limits->idle_timeout_ms;
    server->queues.head.time_ms = (uint32_t)limits->header_timeout_ms;
    server->queues.body.time_ms = (uint32_t)limits->body_timeout_ms;
    server->queues.sending.time_ms = (uint32_t)limits->send_timeout_ms;
    server->queues.closing.time_ms = CLOSING_MS;
}

enum azfn_error azfn__http_server_start(struct azfn__http_server *server, uv_loop_t *loop, int fd,
                                        struct azfn__dispatcher *dispatcher,
                                        const struct azfn__config_limits *limits, int *out_status)
{
    *server = (struct azfn__http_server){.loop = loop, .dispatcher = dispatcher, .listener_fd = fd};
    take_limits(server, limits);
    server->listener.data = server;
    server->accept_timer.data = server;
    server->timer.data = server;
    server->turn.data = server;
    server->accepted_check.data = server;
    server->expire_check.data = server;
    server->quiet_timer.data = server;
    int status = uv_timer_init(loop, &server->timer);
    status = status ? status : uv_timer_init(loop, &server->accept_timer);
    status = status ? status : uv_timer_init(loop, &server->quiet_timer);
    status = status ? status : uv_idle_init(loop, &server->turn);
    status = status ? status : uv_check_init(loop, &server->accepted_check);
    status = status ? status : uv_check_init(loop, &server->expire_check);
    status = status ? status : reserve_descriptor_table(server);
    status = status ? status : uv_poll_init(loop, &server->listener, fd);
    status = status ? status : listen(fd, BACKLOG) != 0 ? -errno : 0;
    status = status ? status : uv_poll_start(&server->listener, UV_READABLE, on_connection);
    *out_status = status;
    return status == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static bool is_quiet(const struct azfn__http_server *server)
{
    /* also functions whose caller has gone: what they do besides answering is not to be cut short */
    return server->exchange_count == 0 && server->dispatcher->in_flight == 0 && !server->waiting &&
           !server->queues.head.oldest && !server->queues.body.oldest;
}

static void on_quiet(uv_timer_t *timer);

static void on_still_quiet(uv_timer_t *timer)
{
    struct azfn__http_server *server = timer->data;
    if (is_quiet(server)) {
        server->on_drained(server->user_data);
    } else {
        uv_timer_start(timer, on_quiet, QUIET_MS, 0);
    }
}

/* Where a function has held the loop up all the while, requests have come that nobody has looked for: the loop does
 * so before the second timer. */
static void on_quiet(uv_timer_t *timer)
{
    const struct azfn__http_server *server = timer->data;
    bool is_over = is_quiet(server);
    uv_timer_start(timer, is_over ? on_still_quiet : on_quiet, is_over ? 1 : QUIET_MS, 0);
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
    uv_timer_stop(&server->accept_timer);
    uv_close((uv_handle_t *)&server->listener, NULL);
    close(server->listener_fd);
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
