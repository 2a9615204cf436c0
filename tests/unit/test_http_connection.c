/* Bytes in, bytes out: what one connection does with its requests, its answers and its client. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"

#include <stdio.h>

static void a_request_may_come_one_byte_at_a_time(void **state)
{
    (void)state;
    static const char text[] = "POST /api/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\n";
    struct client *client = connect_client();
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        send_bytes(client, azfn__span(text + i, 1));
        AWAIT(client->out.length == 0);
    }
    require_reply(client, "abc");
}

static void a_hundred_requests_in_one_write_are_answered_in_order(void **state)
{
    (void)state;
    char text[128];
    struct client *client = connect_client();
    for (int i = 0; i < 100; i++) {
        /* some of them take their time */
        snprintf(text, sizeof(text), "/api/%s?name=%d", i % 9 == 4 ? "later" : "hello", i);
        get(client, text);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof(text), "hello %d", i);
        require_reply(client, text);
    }
}

static void what_a_client_sends_ahead_waits_however_much_it_is(void **state)
{
    (void)state;
    char body[1000];
    memset(body, 'x', sizeof(body));
    struct client *client = connect_client();
    get(client, "/api/hold");
    for (int i = 0; i < 2000; i++) {
        azfn__buffer_append_text(&client->out, "PUT /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
        azfn__buffer_append(&client->out, body, sizeof(body));
    }
    watch(client);
    AWAIT(held_count == 1);
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(client->in.length, 0);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("held")), AZFN_OK);
    require_reply(client, "held");
    for (int i = 0; i < 2000; i++) {
        struct response response = take(client);
        assert_true(azfn__span_equal(response.body, azfn__span(body, sizeof(body))));
    }
}

static void a_client_may_leave_at_any_byte_of_a_request(void **state)
{
    (void)state;
    static const char text[] = "\r\nPOST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcd";
    for (size_t length = 0; length < sizeof(text); length += 3) {
        struct client *client = connect_client();
        send_bytes(client, azfn__span(text, length));
        AWAIT(client->out.length == 0 && fixture.server.connection_count > 0);
        if (length % 2) {
            abort_connection(client);
        } else {
            disconnect(client);
        }
        AWAIT(fixture.server.connection_count == 0);
    }
}

static void a_client_that_has_ended_its_side_still_gets_its_answers(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/later?name=1");
    get(client, "/api/later?name=2");
    get(client, "/api/hello?name=3");
    AWAIT(client->out.length == 0);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    require_reply(client, "hello 1");
    require_reply(client, "hello 2");
    require_reply(client, "hello 3");
    require_end(client);
}

static void require_big(struct client *client)
{
    struct response response = take(client);
    assert_int_equal(response.body.length, BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        if (response.body.data[i] != (char)(i * 7 + i / 251)) {
            fail_msg("byte %zu differs", i);
        }
    }
}

static void a_slow_reader_gets_all_of_a_large_answer(void **state)
{
    (void)state;
    struct client *client = connect_with(4096);
    client->is_slow = true;
    get(client, "/api/big");
    get(client, "/api/hello?name=behind");
    AWAIT(fixture.server.exchange_count == 1 && client->out.length == 0);
    struct client *other = connect_client();
    get(other, "/api/hello?name=other");
    require_reply(other, "hello other");
    assert_int_equal(fixture.server.exchange_count, 1);
    client->is_slow = false;
    watch(client);
    require_big(client);
    require_reply(client, "hello behind");
}

static void a_reader_may_leave_in_the_middle_of_a_large_answer(void **state)
{
    (void)state;
    struct client *client = connect_with(4096);
    client->is_slow = true;
    get(client, "/api/big");
    AWAIT(fixture.server.exchange_count == 1);
    abort_connection(client);
}

static void an_unknown_path_is_404(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/nothing");
    require_refusal(client, "404 Not Found", "");
}

static void a_method_that_is_not_taken_is_405_with_those_that_are(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/echo");
    require_refusal(client, "405 Method Not Allowed", "Allow: POST, PUT\r\n");
}

static void a_request_that_is_no_http_is_400(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /api/hello HTTP/1.1\r\n\r\n",                               /* no Host */
        "GET /api/hello HTTP/1.1\r\nHost: h\r\nBad Header: x\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct client *client = connect_client();
        send_text(client, requests[i]);
        require_refusal(client, "400 Bad Request", "");
        disconnect(client);
    }
}

static void a_body_that_is_too_large_is_413_and_its_sender_can_read_it(void **state)
{
    (void)state;
    static char body[200000];
    memset(body, 'x', sizeof(body));
    struct client *client = connect_client();
    /* all of it is sent before the answer is read: a reset would destroy the answer on its way */
    client->is_slow = true;
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n");
    send_bytes(client, azfn__span(body, sizeof(body)));
    AWAIT(client->out.length == 0);
    client->is_slow = false;
    watch(client);
    require_refusal(client, "413 Content Too Large", "");
    disconnect(client);

    client = connect_client();
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    send_bytes(client, azfn__span(body, 1001));
    require_refusal(client, "413 Content Too Large", "");
    disconnect(client);

    client = connect_client();
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    send_bytes(client, azfn__span(body, 1000));
    assert_int_equal(take(client).body.length, 1000);
}

static void what_follows_a_refused_request_is_not_read_as_another(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "POST /api/nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 49\r\n\r\n"
                       "GET /api/hold HTTP/1.1\r\nHost: h\r\n\r\nGET /api/hold HTTP/1.1\r\nHost: h\r\n\r\n");
    require_refusal(client, "404 Not Found", "");
    assert_int_equal(held_count, 0);
}

static void a_client_that_asks_whether_to_go_on_is_told(void **state)
{
    (void)state;
    struct client *client = connect_client();
    for (int i = 0; i < 2; i++) {
        send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        struct response response = take(client);
        assert_true(azfn_span_equals(response.head, "HTTP/1.1 100 Continue\r\n\r\n"));
        send_text(client, "abc");
        require_reply(client, "abc");
    }
    /* no body that could be waited for */
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    require_reply(client, "");
    send_text(client, "POST /api/echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    require_refusal(client, "413 Content Too Large", "");
}

static void head_is_answered_without_a_body(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "HEAD /api/hello?name=Ada HTTP/1.1\r\nHost: h\r\n\r\n");
    struct response response = take_with(client, false);
    assert_int_equal(content_length(response.head), strlen("hello Ada"));
    get(client, "/api/hello?name=body");
    require_reply(client, "hello body");
    send_text(client, "HEAD /api/nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    response = take_with(client, false);
    assert_true(azfn__span_starts_with(response.head, AZFN__SPAN("HTTP/1.1 404 ")));
    require_end(client);
}

static void http_1_0_ends_with_its_answer_unless_it_asks_not_to(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET /api/hello HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    struct response response = take(client);
    assert_true(says(response.head, "\r\nConnection: keep-alive\r\n"));
    send_text(client, "GET /api/hello HTTP/1.0\r\nHost: h\r\n\r\n");
    response = take(client);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    require_end(client);
}

static void a_client_that_asks_for_the_end_gets_it_after_the_answer(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET /api/later?name=x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                       "GET /api/hold HTTP/1.1\r\nHost: h\r\n\r\n");
    struct response response = take(client);
    assert_true(says(response.head, "\r\nConnection: close\r\n"));
    assert_true(azfn_span_equals(response.body, "hello x"));
    require_end(client);
    assert_int_equal(held_count, 0);
}

static void a_request_that_does_not_end_is_408(void **state)
{
    (void)state;
    static const char *const beginnings[] = {"GET /api/hello HT", "GET /api/hello HTTP/1.1\r\nHost: h\r\n",
                                             "POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcd"};
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.header_timeout_ms = 20;
    limits.body_timeout_ms = 20;
    limits.min_bytes_per_second = 1000;
    restart_with(&limits);
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        struct client *client = connect_client();
        send_text(client, beginnings[i]);
        require_refusal(client, "408 Request Timeout", "");
        disconnect(client);
    }
}

static void a_refused_client_that_does_not_close_is_cut_off(void **state)
{
    (void)state;
    fixture.server.queues.closing.time_ms = 20;
    struct client *client = connect_client();
    get(client, "/api/nothing");
    require_refusal(client, "404 Not Found", "");
    AWAIT(fixture.server.connection_count == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_may_come_one_byte_at_a_time),
        TEST(a_hundred_requests_in_one_write_are_answered_in_order),
        TEST(what_a_client_sends_ahead_waits_however_much_it_is),
        TEST(a_client_may_leave_at_any_byte_of_a_request),
        TEST(a_client_that_has_ended_its_side_still_gets_its_answers),
        TEST(a_slow_reader_gets_all_of_a_large_answer),
        TEST(a_reader_may_leave_in_the_middle_of_a_large_answer),
        TEST(an_unknown_path_is_404),
        TEST(a_method_that_is_not_taken_is_405_with_those_that_are),
        TEST(a_request_that_is_no_http_is_400),
        TEST(a_body_that_is_too_large_is_413_and_its_sender_can_read_it),
        TEST(what_follows_a_refused_request_is_not_read_as_another),
        TEST(a_client_that_asks_whether_to_go_on_is_told),
        TEST(head_is_answered_without_a_body),
        TEST(http_1_0_ends_with_its_answer_unless_it_asks_not_to),
        TEST(a_client_that_asks_for_the_end_gets_it_after_the_answer),
        TEST(a_request_that_does_not_end_is_408),
        TEST(a_refused_client_that_does_not_close_is_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
