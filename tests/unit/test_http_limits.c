/* Limits that only show with a whole server, without waiting for a clock: periods end when the test says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"
#include "worker/http_pace.h"

#include <malloc.h>

static struct azfn__http_connection *oldest_of(const struct azfn__deadline_queue *queue)
{
    return azfn__http_connection_of(queue->oldest);
}

static void end_period(struct azfn__http_connection *connection)
{
    azfn__http_pace_leave(connection);
    azfn__http_pace_expire(connection);
}

/* limits: no period ends by itself, and each wants ten bytes. */
static struct azfn__config_limits ten_bytes_a_period(void)
{
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.body_timeout_ms = 1000000;
    limits.send_timeout_ms = 1000000;
    limits.min_bytes_per_second = 1;
    return limits;
}

static void an_idle_connection_costs_at_most_a_kibibyte(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/api/echo", "something that needs memory while it lasts");
    require_reply(client, "something that needs memory while it lasts");
    struct azfn__http_connection *connection = oldest_of(&fixture.server.queues.idle);
    assert_true(malloc_usable_size(connection) <= 1024);
    assert_null(connection->invocation);
    assert_null(connection->ahead.data);
}

/* It ends the process where it can't make it larger. */
static void libuv_has_its_table_of_descriptors_from_the_start(void **state)
{
    (void)state;
    assert_true(loop.nwatchers > fixture.server.limits.connections);
}

static void a_body_goes_on_as_long_as_enough_of_it_comes(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 30\r\n\r\n",
        "POST /api/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct azfn__config_limits limits = ten_bytes_a_period();
        limits.body_timeout_ms = 10000;
        restart_with(&limits);
        struct client *client = connect_client();
        send_text(client, heads[i]);
        AWAIT(fixture.server.queues.body.oldest);
        struct azfn__http_connection *connection = oldest_of(&fixture.server.queues.body);
        send_text(client, "0123456789");
        AWAIT(connection->parser.body_bytes == 10);
        end_period(connection);
        assert_ptr_equal(connection->pace.deadline.queue, &fixture.server.queues.body);
        send_text(client, "abcdefghi");
        AWAIT(connection->parser.body_bytes == 19);
        end_period(connection);
        require_refusal(client, "408 Request Timeout", "");
        disconnect(client);
    }
}

static void what_is_around_chunks_is_no_body(void **state)
{
    (void)state;
    struct azfn__config_limits limits = ten_bytes_a_period();
    limits.body_timeout_ms = 10000;
    restart_with(&limits);
    struct client *client = connect_client();
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    AWAIT(fixture.server.queues.body.oldest);
    struct azfn__http_connection *connection = oldest_of(&fixture.server.queues.body);
    send_text(client, "1e;extension=of-some-length\r\n0");
    AWAIT(connection->parser.body_bytes == 1);
    end_period(connection);
    require_refusal(client, "408 Request Timeout", "");
}

static void the_time_of_a_head_is_not_begun_again_by_its_bytes(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET");
    AWAIT(fixture.server.queues.head.oldest);
    struct azfn__http_connection *connection = oldest_of(&fixture.server.queues.head);
    uint64_t deadline_ms = connection->pace.deadline.deadline_ms;
    uint64_t begun_ms = uv_now(&loop);
    while (uv_now(&loop) == begun_ms) {
        uv_update_time(&loop);
    }
    send_text(client, "X");
    AWAIT(connection->invocation->message.head.length == strlen("GETX"));
    assert_int_equal(connection->pace.deadline.deadline_ms, deadline_ms);
}

/* Here the test holds up the loop; elsewhere a function that takes long. */
static void a_client_is_not_blamed_for_a_loop_that_was_held_up(void **state)
{
    (void)state;
    static const char rest[] = "P/1.1\r\nHost: h\r\n\r\n";
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.header_timeout_ms = 20;
    restart_with(&limits);
    struct client *client = connect_client();
    send_text(client, "GET /api/hello?name=x HTT");
    AWAIT(fixture.server.queues.head.oldest);
    assert_int_equal(send(client->fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL), sizeof(rest) - 1);
    usleep(40000);
    require_reply(client, "hello x");
}

static void an_answer_goes_on_as_long_as_enough_of_it_is_taken(void **state)
{
    (void)state;
    struct azfn__config_limits limits = ten_bytes_a_period();
    restart_with(&limits);
    struct client *client = connect_with(4096);
    client->is_slow = true;
    watch(client);
    get(client, "/api/big");
    AWAIT(fixture.server.queues.sending.oldest);
    struct azfn__http_connection *connection = oldest_of(&fixture.server.queues.sending);
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp);
    client->is_slow = false;
    watch(client);
    AWAIT(uv_stream_get_write_queue_size((uv_stream_t *)&connection->tcp) < left - 1000);
    end_period(connection);
    assert_ptr_equal(connection->pace.deadline.queue, &fixture.server.queues.sending);
    assert_int_equal(connection->pace.period_bytes, azfn__http_sender_sent_bytes(&connection->sender));
    client->is_slow = true;
    watch(client);
    end_period(connection); /* nothing was taken since */
    AWAIT(fixture.server.connection_count == 0);
    require_event(AZFN__EVENT_SLOW_CLIENT);
}

static void what_comes_ahead_is_no_more_than_its_limit(void **state)
{
    (void)state;
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.pipelined_bytes = (uint64_t)100 << 10;
    restart_with(&limits);
    struct client *client = connect_client();
    get(client, "/api/hold");
    AWAIT(held_count == 1);
    struct azfn__http_connection *connection = azfn__invocation_of(held[0])->responder_context;
    for (int i = 0; i < 20000; i++) {
        get(client, "/api/hello?name=ahead");
    }
    size_t most = 0;
    AWAIT(connection->is_paused);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    require_reply(client, "held");
    for (int i = 0; i < 20000; i++) {
        most = connection->ahead.length > most ? connection->ahead.length : most;
        require_reply(client, "hello ahead");
    }
    assert_true(most <= limits.pipelined_bytes);
}

static void requests_of_all_functions_together_are_limited(void **state)
{
    (void)state;
    struct client *client;
    fixture.config->limits.requests_in_flight = 1;
    struct client *holder = connect_client();
    get(holder, "/api/hold");
    AWAIT(held_count == 1);
    for (int i = 0; i < 2; i++) {
        client = connect_client();
        if (i == 0) {
            get(client, "/api/hello");
        } else {
            post(client, "/message", "{\"Data\":{\"msg\":\"1\"},\"Metadata\":{}}");
        }
        require_refusal(client, "429 Too Many Requests", "");
        disconnect(client);
    }
    require_log(AZFN_LOG_WARNING, "hello", "429: the limit requestsInFlight is reached");
    require_log(AZFN_LOG_WARNING, "message", "429: the limit requestsInFlight is reached");
    require_is(AZFN__EVENT_FUNCTION_LIMIT);
    assert_true(span_is(last_log.fields.limit, "requestsInFlight"));
    assert_int_equal(last_log.fields.status.value, 429);
    client = connect_client();
    get(client, "/"); /* the host's question whether the worker is ready is none of them */
    require_reply(client, "");
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    require_reply(holder, "held");
    get(client, "/api/hello");
    require_reply(client, "hello ");
}

static void the_request_that_crosses_the_limit_of_bodies_is_503_and_no_other(void **state)
{
    (void)state;
    fixture.dispatcher.bodies.max_bytes = 10;
    struct client *first = connect_client();
    send_text(first, "POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\n12345");
    AWAIT(fixture.dispatcher.bodies.used_bytes == 5);
    struct client *second = connect_client();
    post(second, "/api/echo", "12345");
    require_reply(second, "12345");
    post(second, "/api/echo", "123456");
    require_refusal(second, "503 Service Unavailable", "");
    require_event(AZFN__EVENT_MEMORY_LIMIT);
    assert_true(span_is(last_log.fields.limit, "bodyBytesInFlight"));
    assert_int_equal(last_log.fields.status.value, 503);
    disconnect(second);
    send_text(first, "67");
    require_reply(first, "1234567");
    assert_int_equal(fixture.dispatcher.bodies.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_connection_costs_at_most_a_kibibyte),
        TEST(libuv_has_its_table_of_descriptors_from_the_start),
        TEST(a_body_goes_on_as_long_as_enough_of_it_comes),
        TEST(what_is_around_chunks_is_no_body),
        TEST(the_time_of_a_head_is_not_begun_again_by_its_bytes),
        TEST(a_client_is_not_blamed_for_a_loop_that_was_held_up),
        TEST(an_answer_goes_on_as_long_as_enough_of_it_is_taken),
        TEST(what_comes_ahead_is_no_more_than_its_limit),
        TEST(requests_of_all_functions_together_are_limited),
        TEST(the_request_that_crosses_the_limit_of_bodies_is_503_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
