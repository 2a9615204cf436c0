/* From a request to a function and back, whatever the function does with its invocation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

static void require_told(enum azfn__security_event event, int status, const char *limit)
{
    require_event(event);
    assert_int_equal(last_log.fields.status.value, status);
    assert_true(span_is(last_log.fields.limit, limit));
    require_no_log();
}

static void the_host_finds_it_ready_and_goes_on_on_the_same_connection(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET / HTTP/1.1\r\nHost: 127.0.0.1:7071\r\n\r\n");
    require_reply(client, "");
    for (int i = 0; i < 3; i++) {
        get(client, "/api/hello?name=Ada");
        require_reply(client, "hello Ada");
    }
    assert_int_equal(fixture.server.connection_count, 1);
}

static void a_function_may_answer_later(void **state)
{
    (void)state;
    struct client *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_client();
        get(clients[i], "/api/later?name=you");
    }
    for (int i = 0; i < 3; i++) {
        require_reply(clients[i], "hello you");
    }
}

static void a_function_that_never_answers_is_answered_for(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/never");
    require_status(client, "504 Gateway Timeout", "", false);
    assert_int_equal(fixture.dispatcher.in_flight, 0);
    /* too late, and the connection has gone on meanwhile */
    get(client, "/api/hello?name=next");
    require_reply(client, "hello next");
    assert_int_equal(held_count, 1);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("late")), AZFN_ERROR_STATE);
    assert_int_equal(azfn_delay(held[0], 1, hello, NULL), AZFN_ERROR_STATE);
    azfn_fail(held[0], "late");
    get(client, "/api/hello?name=last");
    require_reply(client, "hello last");
}

static void an_event_that_is_never_answered_fails(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    require_status(client, "500 Internal Server Error", "", false);
}

static void only_the_first_answer_counts(void **state)
{
    (void)state;
    struct client *client = connect_client();
    second_answer = AZFN_OK;
    get(client, "/api/twice");
    require_reply(client, "first");
    assert_int_equal(second_answer, AZFN_ERROR_STATE);
    get(client, "/api/hello");
    require_reply(client, "hello ");
}

static void an_answer_to_a_client_that_has_left_is_thrown_away(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/hold");
    AWAIT(held_count == 1);
    abort_connection(client);
    AWAIT(fixture.server.connection_count == 0);
    assert_int_equal(fixture.dispatcher.in_flight, 1);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("to nobody")), AZFN_OK);
    assert_int_equal(fixture.dispatcher.in_flight, 0);
}

static void a_deadline_passes_for_a_client_that_has_left(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/never");
    AWAIT(held_count == 1);
    abort_connection(client);
    AWAIT(fixture.dispatcher.in_flight == 0);
    assert_int_equal(azfn_http_reply(held[0], 200, NULL, azfn_span_of("late")), AZFN_ERROR_STATE);
}

static void more_than_a_function_takes_at_once_is_429(void **state)
{
    (void)state;
    struct client *clients[3];
    for (size_t i = 0; i < 2; i++) {
        clients[i] = connect_client();
        get(clients[i], "/api/hold");
        AWAIT(held_count == i + 1);
    }
    clients[2] = connect_client();
    get(clients[2], "/api/hold");
    require_refusal(clients[2], "429 Too Many Requests", "");
    require_told(AZFN__EVENT_FUNCTION_LIMIT, 429, "maxConcurrent");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(azfn_http_reply(held[i], 200, NULL, azfn_span_of("held")), AZFN_OK);
        require_reply(clients[i], "held");
    }
}

static void bodies_that_come_slowly_do_not_get_around_that_limit(void **state)
{
    (void)state;
    struct client *clients[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = connect_client();
        send_text(clients[i],
                  "POST /api/hold HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        take(clients[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        send_text(clients[i], "x");
        AWAIT(held_count == i + 1);
    }
    send_text(clients[2], "x");
    require_status(clients[2], "429 Too Many Requests", "", false);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(azfn_http_reply(held[i], 200, NULL, azfn_span_of("held")), AZFN_OK);
        require_reply(clients[i], "held");
    }
}

static void an_envelope_is_answered_with_one(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/message", "{\"Data\":{\"msg\":\"\\\"text\\\"\"}}");
    require_reply(client, "{\"Outputs\":{\"out\":\"dGV4dA==\"},\"Logs\":[]}");
}

static void a_body_that_is_no_envelope_is_400_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/message", "{}");
    require_status(client, "400 Bad Request", "", false);
    post(client, "/message", "");
    require_status(client, "400 Bad Request", "", false);
    get(client, "/api/hello?name=more");
    require_reply(client, "hello more");
}

static void a_refusal_is_told_to_the_broker(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET /api/nothing HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: made-up, 0b9c\r\n\r\n");
    require_refusal(client, "404 Not Found", "");
    require_event(AZFN__EVENT_INVALID_ROUTE);
    assert_int_equal(last_log.fields.status.value, 404);
    assert_true(span_is(last_log.fields.invocation_id, "0b9c"));
    require_no_log();
}

static void each_refusal_has_its_event(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum azfn__security_event event;
        int status;
        const char *limit;
    } cases[] = {
        {"PATCH /api/echo HTTP/1.1\r\nHost: h\r\n\r\n", AZFN__EVENT_INVALID_ROUTE, 405, ""},
        {"GET /api/hello HTTP/1.1\r\n\r\n", AZFN__EVENT_INVALID_HTTP, 400, ""},
        {"\x16\x03\x01", AZFN__EVENT_INVALID_HTTP, 400, ""},
        {"POST /api/echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", AZFN__EVENT_SIZE_LIMIT, 413,
         "maxBodyBytes"},
        {"POST /message HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", AZFN__EVENT_INVALID_ENVELOPE, 400, ""},
        {"POST /message HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", AZFN__EVENT_FORGED_ENVELOPE, 400, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture.config->has_forgeable_envelopes = cases[i].event == AZFN__EVENT_FORGED_ENVELOPE;
        struct client *client = connect_client();
        send_text(client, cases[i].request);
        take(client);
        require_told(cases[i].event, cases[i].status, cases[i].limit);
        disconnect(client);
    }
}

static void a_time_that_is_over_is_an_event(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/never");
    require_status(client, "504 Gateway Timeout", "", false);
    require_told(AZFN__EVENT_TIMEOUT, 0, "timeoutMs");
    post(client, "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    require_status(client, "500 Internal Server Error", "", false);
    require_told(AZFN__EVENT_TIMEOUT, 0, "timeoutMs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_host_finds_it_ready_and_goes_on_on_the_same_connection),
        TEST(a_function_may_answer_later),
        TEST(a_function_that_never_answers_is_answered_for),
        TEST(an_event_that_is_never_answered_fails),
        TEST(only_the_first_answer_counts),
        TEST(an_answer_to_a_client_that_has_left_is_thrown_away),
        TEST(a_deadline_passes_for_a_client_that_has_left),
        TEST(more_than_a_function_takes_at_once_is_429),
        TEST(bodies_that_come_slowly_do_not_get_around_that_limit),
        TEST(an_envelope_is_answered_with_one),
        TEST(a_body_that_is_no_envelope_is_400_and_the_connection_goes_on),
        TEST(a_refusal_is_told_to_the_broker),
        TEST(each_refusal_has_its_event),
        TEST(a_time_that_is_over_is_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
