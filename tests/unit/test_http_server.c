/* Many connections: how many there are, how long they may take, and how they end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

/* A sanitizer has memory of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_MEMORY 1
#elif defined(__has_feature)
#define HAS_OWN_MEMORY (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define HAS_OWN_MEMORY 0
#endif

static void the_connection_that_is_idle_longest_makes_room_for_a_new_one(void **state)
{
    (void)state;
    struct client *clients[3];
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.connections = 2;
    restart_with(&limits);
    for (size_t i = 0; i < 3; i++) {
        clients[i] = connect_client();
        get(clients[i], "/api/hello");
        require_reply(clients[i], "hello ");
    }
    require_end(clients[0]);
    assert_int_equal(fixture.server.connection_count, 2);
    get(clients[1], "/api/hello");
    require_reply(clients[1], "hello ");
}

static void a_new_connection_is_closed_where_none_is_idle(void **state)
{
    (void)state;
    struct client *clients[2];
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.connections = 1;
    restart_with(&limits);
    clients[0] = connect_client();
    get(clients[0], "/api/hold");
    AWAIT(held_count == 1);
    clients[1] = connect_client();
    require_end(clients[1]);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    require_reply(clients[0], "held");
}

static bool has_answer(const struct client *client)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    return client->in.length > 0;
}

/* Clients whose descriptors are there; they connect when the test says so. */
#define LATE_COUNT 20

static void make_sockets(int fds[LATE_COUNT])
{
    for (size_t i = 0; i < LATE_COUNT; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fds[i] >= 0);
    }
}

static void require_shortage(const char *reason, int64_t count)
{
    require_event(AZFN__EVENT_CONNECTION_LIMIT);
    assert_true(span_is(last_log.fields.limit, "descriptors"));
    assert_true(span_is(last_log.fields.reason, reason));
    assert_int_equal(last_log.fields.count.value, count);
}

static void without_descriptors_idle_connections_make_room_and_new_ones_wait(void **state)
{
    (void)state;
    if (getenv("AZFN_VALGRIND")) {
        skip(); /* it has a limit of descriptors of its own */
    }
    struct client *idle[2];
    struct client *late[LATE_COUNT];
    int fds[LATE_COUNT];
    struct rlimit usual;
    for (size_t i = 0; i < 2; i++) {
        idle[i] = connect_client();
        get(idle[i], "/api/hello");
        require_reply(idle[i], "hello ");
    }
    make_sockets(fds);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    int lowest = fcntl(0, F_DUPFD, 0);
    close(lowest);
    const struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = usual.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);

    /* the two that are idle give theirs to the first two */
    for (size_t i = 0; i < LATE_COUNT; i++) {
        late[i] = connect_by(fds[i]);
        get(late[i], "/api/hold");
    }
    AWAIT(held_count == 2);
    require_end(idle[0]);
    require_end(idle[1]);
    AWAIT(uv_is_active((const uv_handle_t *)&fixture.server.accept_timer));
    AWAIT(!uv_is_active((const uv_handle_t *)&fixture.server.accept_timer)); /* and try again */
    AWAIT(uv_is_active((const uv_handle_t *)&fixture.server.accept_timer));
    assert_int_equal(fixture.server.connection_count, 2);
    azfn__dispatcher_tell_counts(&fixture.dispatcher);
    require_shortage("the connection that was idle longest is closed", 0);
    require_shortage("new connections wait", 0); /* however often it is tried again */
    require_shortage("the connection that was idle longest is closed", 1);
    require_no_log();

    /* each place that becomes free is taken; maxConcurrent is 2 */
    abort_connection(late[0]);
    AWAIT(has_answer(late[2]));
    require_refusal(late[2], "429 Too Many Requests", "");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    for (size_t i = 3; i < LATE_COUNT; i++) {
        require_refusal(late[i], "429 Too Many Requests", "");
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(azfn_http_reply(held[i], 200, NULL, azfn_span_of("held")), AZFN_OK);
    }
}

#if !HAS_OWN_MEMORY
/* What the broker has been told, as bytes of its frames. */
static size_t count_told(const char *text)
{
    static char told[(size_t)1 << 16];
    size_t length = 0;
    size_t count = 0;
    ssize_t got;
    uv_run(&loop, UV_RUN_NOWAIT);
    while (length < sizeof(told) && (got = read(fixture.broker_end, told + length, sizeof(told) - length)) > 0) {
        length += (size_t)got;
    }
    for (const char *at = told; (at = memmem(at, (size_t)(told + length - at), text, strlen(text))); at++) {
        count++;
    }
    return count;
}

/* All that malloc has for pieces as large as a connection; a list of them. */
static void **take_all_memory(struct rlimit *out_usual)
{
    void **taken = NULL;
    void **piece;
    assert_int_equal(getrlimit(RLIMIT_DATA, out_usual), 0);
    /* not 0, which the kernel takes for no limit at all */
    const struct rlimit none = {.rlim_cur = 4096, .rlim_max = out_usual->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &none), 0);
    for (size_t count = 0; (piece = malloc(600)); count++) {
        assert_true(count < 100000);
        *piece = taken;
        taken = piece;
    }
    return taken;
}

static void give_back(void **taken, const struct rlimit *usual)
{
    while (taken) {
        void **next = *taken;
        free(taken);
        taken = next;
    }
    assert_int_equal(setrlimit(RLIMIT_DATA, usual), 0);
}

static void without_memory_a_new_connection_is_closed_and_the_next_is_served(void **state)
{
    (void)state;
    if (getenv("AZFN_VALGRIND")) {
        skip(); /* it keeps memory of its own back */
    }
    struct client *clients[5];
    struct rlimit usual;
    clients[0] = connect_client();
    get(clients[0], "/api/hello");
    require_reply(clients[0], "hello ");
    for (size_t i = 1; i < 5; i++) {
        clients[i] = connect_client();
    }
    void **taken = take_all_memory(&usual);
    AWAIT(uv_is_active((const uv_handle_t *)&fixture.server.accept_timer));
    get(clients[0], "/api/hello"); /* it has all it needs */
    require_reply(clients[0], "hello ");
    give_back(taken, &usual);
    require_end(clients[1]);
    for (size_t i = 2; i < 5; i++) {
        get(clients[i], "/api/hello");
        require_reply(clients[i], "hello ");
    }
    assert_int_equal(count_told("a connection could not be taken: Cannot allocate memory"), 1);
}
#endif

static void an_idle_connection_is_closed_after_its_time(void **state)
{
    (void)state;
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.idle_timeout_ms = 20;
    restart_with(&limits);
    struct client *client = connect_client();
    require_end(client);
}

static void others_get_their_turn_beside_a_client_that_sends_without_end(void **state)
{
    (void)state;
    struct client *greedy = connect_client();
    struct client *modest = connect_client();
    for (int i = 0; i < 3000; i++) {
        get(greedy, "/api/hello");
    }
    get(modest, "/api/hello?name=modest");
    require_reply(modest, "hello modest");
}

static void a_drain_finishes_what_is_in_flight_and_says_close(void **state)
{
    (void)state;
    struct client *busy = connect_client();
    struct client *idle = connect_client();
    get(busy, "/api/hold");
    get(idle, "/api/hello");
    require_reply(idle, "hello ");
    AWAIT(held_count == 1);

    /* one that is still in the socket's queue is taken, later ones are not */
    struct client *queued = connect_client();
    drain();
    AWAIT(fixture.is_accepted);
    get(queued, "/api/hello?name=queued");
    struct response response = take(queued);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    assert_true(azfn_span_equals(response.body, "hello queued"));
    require_end(queued);

    /* the host may use its idle connections still: closing one now would lose a request */
    get(idle, "/api/later?name=idle");
    response = take(idle);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    assert_true(azfn_span_equals(response.body, "hello idle"));
    require_end(idle);

    assert_false(fixture.is_drained);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    response = take(busy);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    AWAIT(fixture.is_drained);
}

static void an_idle_server_is_drained_soon_and_accepts_no_more(void **state)
{
    (void)state;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(server_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    drain();
    drain(); /* once is enough */
    AWAIT(fixture.is_drained);
    assert_true(fixture.is_accepted);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

/* As a function does that blocks: nothing is read meanwhile, so nothing seems to come. */
static void a_request_that_came_while_the_loop_was_held_up_is_not_lost_to_a_drain(void **state)
{
    (void)state;
    const struct azfn_span request = AZFN__SPAN("GET /api/hello?name=late HTTP/1.1\r\nHost: h\r\n\r\n");
    struct client *client = connect_client();
    get(client, "/api/hello");
    require_reply(client, "hello ");
    drain();
    AWAIT(fixture.is_accepted);
    assert_int_equal(send(client->fd, request.data, request.length, MSG_NOSIGNAL), (ssize_t)request.length);
    const struct timespec held_up = {.tv_nsec = 300000000};
    nanosleep(&held_up, NULL);
    AWAIT(fixture.is_drained || client->is_at_end);
    assert_false(fixture.is_drained);
    assert_true(azfn_span_equals(take(client).body, "hello late"));
    AWAIT(fixture.is_drained);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_connection_that_is_idle_longest_makes_room_for_a_new_one),
        TEST(a_new_connection_is_closed_where_none_is_idle),
        TEST(without_descriptors_idle_connections_make_room_and_new_ones_wait),
#if !HAS_OWN_MEMORY
        TEST(without_memory_a_new_connection_is_closed_and_the_next_is_served),
#endif
        TEST(an_idle_connection_is_closed_after_its_time),
        TEST(others_get_their_turn_beside_a_client_that_sends_without_end),
        TEST(a_drain_finishes_what_is_in_flight_and_says_close),
        TEST(an_idle_server_is_drained_soon_and_accepts_no_more),
        TEST(a_request_that_came_while_the_loop_was_held_up_is_not_lost_to_a_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
