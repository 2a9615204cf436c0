/* Many connections: how many there are, how long they may take, and how they end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"

#include <errno.h>

static void the_connection_that_is_idle_longest_makes_room_for_a_new_one(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[3];
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.connections = 2;
    set_up_with(&fixture, &limits);
    for (size_t i = 0; i < 3; i++) {
        connect_to(&fixture, &clients[i]);
        get(&clients[i], "/api/hello");
        require_reply(&clients[i], "hello ");
    }
    require_end(&clients[0]);
    assert_int_equal(fixture.server.connection_count, 2);
    get(&clients[1], "/api/hello");
    require_reply(&clients[1], "hello ");
    for (size_t i = 0; i < 3; i++) {
        disconnect(&clients[i]);
    }
    clean_up(&fixture);
}

static void a_new_connection_is_closed_where_none_is_idle(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[2];
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.connections = 1;
    set_up_with(&fixture, &limits);
    connect_to(&fixture, &clients[0]);
    get(&clients[0], "/api/hold");
    AWAIT(&fixture, fixture.held_count == 1);
    connect_to(&fixture, &clients[1]);
    require_end(&clients[1]);
    assert_int_equal(azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    require_reply(&clients[0], "held");
    disconnect(&clients[0]);
    disconnect(&clients[1]);
    clean_up(&fixture);
}

static void an_idle_connection_is_closed_after_its_time(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.idle_timeout_ms = 20;
    set_up_with(&fixture, &limits);
    connect_to(&fixture, &client);
    require_end(&client);
    disconnect(&client);
    clean_up(&fixture);
}

static void others_get_their_turn_beside_a_client_that_sends_without_end(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client greedy;
    struct client modest;
    set_up(&fixture);
    connect_to(&fixture, &greedy);
    connect_to(&fixture, &modest);
    for (int i = 0; i < 3000; i++) {
        get(&greedy, "/api/hello");
    }
    get(&modest, "/api/hello?name=modest");
    require_reply(&modest, "hello modest");
    disconnect(&modest);
    disconnect(&greedy);
    clean_up(&fixture);
}

static void a_drain_finishes_what_is_in_flight_and_says_close(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client busy;
    struct client idle;
    struct client queued;
    set_up(&fixture);
    connect_to(&fixture, &busy);
    connect_to(&fixture, &idle);
    get(&busy, "/api/hold");
    get(&idle, "/api/hello");
    require_reply(&idle, "hello ");
    AWAIT(&fixture, fixture.held_count == 1);

    /* one that is still in the socket's queue is taken, later ones are not */
    connect_to(&fixture, &queued);
    azfn__http_server_drain(&fixture.server, on_accepted, on_drained, &fixture);
    AWAIT(&fixture, fixture.is_accepted);
    get(&queued, "/api/hello?name=queued");
    struct response response = take(&queued);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    assert_true(azfn_span_equals(response.body, "hello queued"));
    require_end(&queued);

    /* the host may use its idle connections still: closing one now would lose a request */
    get(&idle, "/api/later?name=idle");
    response = take(&idle);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    assert_true(azfn_span_equals(response.body, "hello idle"));
    require_end(&idle);

    assert_false(fixture.is_drained);
    assert_int_equal(azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    response = take(&busy);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    AWAIT(&fixture, fixture.is_drained);
    disconnect(&busy);
    disconnect(&idle);
    disconnect(&queued);
    clean_up(&fixture);
}

static void an_idle_server_is_drained_soon_and_accepts_no_more(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(fixture.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    azfn__http_server_drain(&fixture.server, on_accepted, on_drained, &fixture);
    azfn__http_server_drain(&fixture.server, on_accepted, on_drained, &fixture); /* once is enough */
    AWAIT(&fixture, fixture.is_drained);
    assert_true(fixture.is_accepted);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    clean_up(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_connection_that_is_idle_longest_makes_room_for_a_new_one),
        cmocka_unit_test(a_new_connection_is_closed_where_none_is_idle),
        cmocka_unit_test(an_idle_connection_is_closed_after_its_time),
        cmocka_unit_test(others_get_their_turn_beside_a_client_that_sends_without_end),
        cmocka_unit_test(a_drain_finishes_what_is_in_flight_and_says_close),
        cmocka_unit_test(an_idle_server_is_drained_soon_and_accepts_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
