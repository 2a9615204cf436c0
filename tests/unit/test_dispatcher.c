/* From a request to a function and back, whatever the function does with its invocation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

static void require_told(struct fixture *fixture, struct log_reader *reader, enum azfn__security_event event, int status,
                         const char *limit)
{
    require_event(fixture, reader, event);
    assert_int_equal(reader->log.fields.status.value, status);
    assert_true(span_is(reader->log.fields.limit, limit));
    require_no_log(fixture, reader);
}

static void the_host_finds_it_ready_and_goes_on_on_the_same_connection(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    send_text(&client, "GET / HTTP/1.1\r\nHost: 127.0.0.1:7071\r\n\r\n");
    require_reply(&client, "");
    for (int i = 0; i < 3; i++) {
        get(&client, "/api/hello?name=Ada");
        require_reply(&client, "hello Ada");
    }
    assert_int_equal(fixture.server.connection_count, 1);
    disconnect(&client);
    clean_up(&fixture);
}

static void a_function_may_answer_later(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[3];
    set_up(&fixture);
    for (int i = 0; i < 3; i++) {
        connect_to(&fixture, &clients[i]);
        get(&clients[i], "/api/later?name=you");
    }
    for (int i = 0; i < 3; i++) {
        require_reply(&clients[i], "hello you");
        disconnect(&clients[i]);
    }
    clean_up(&fixture);
}

static void a_function_that_never_answers_is_answered_for(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    get(&client, "/api/never");
    require_status(&client, "504 Gateway Timeout", "", false);
    assert_int_equal(fixture.dispatcher.in_flight, 0);
    /* too late, and the connection has gone on meanwhile */
    get(&client, "/api/hello?name=next");
    require_reply(&client, "hello next");
    assert_int_equal(fixture.held_count, 1);
    assert_int_equal(azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("late")), AZFN_ERROR_STATE);
    assert_int_equal(azfn_delay(fixture.held[0], 1, hello, NULL), AZFN_ERROR_STATE);
    azfn_fail(fixture.held[0], "late");
    get(&client, "/api/hello?name=last");
    require_reply(&client, "hello last");
    disconnect(&client);
    clean_up(&fixture);
}

static void an_event_that_is_never_answered_fails(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    post(&client, "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    require_status(&client, "500 Internal Server Error", "", false);
    disconnect(&client);
    clean_up(&fixture);
}

static void only_the_first_answer_counts(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    fixture.second_answer = AZFN_OK;
    get(&client, "/api/twice");
    require_reply(&client, "first");
    assert_int_equal(fixture.second_answer, AZFN_ERROR_STATE);
    get(&client, "/api/hello");
    require_reply(&client, "hello ");
    disconnect(&client);
    clean_up(&fixture);
}

static void an_answer_to_a_client_that_has_left_is_thrown_away(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    get(&client, "/api/hold");
    AWAIT(&fixture, fixture.held_count == 1);
    abort_connection(&client);
    AWAIT(&fixture, fixture.server.connection_count == 0);
    assert_int_equal(fixture.dispatcher.in_flight, 1);
    assert_int_equal(azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("to nobody")), AZFN_OK);
    assert_int_equal(fixture.dispatcher.in_flight, 0);
    clean_up(&fixture);
}

static void a_deadline_passes_for_a_client_that_has_left(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    get(&client, "/api/never");
    AWAIT(&fixture, fixture.held_count == 1);
    abort_connection(&client);
    AWAIT(&fixture, fixture.dispatcher.in_flight == 0);
    assert_int_equal(azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("late")), AZFN_ERROR_STATE);
    clean_up(&fixture);
}

static void more_than_a_function_takes_at_once_is_429(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[3];
    struct log_reader reader;
    set_up(&fixture);
    for (size_t i = 0; i < 2; i++) {
        connect_to(&fixture, &clients[i]);
        get(&clients[i], "/api/hold");
        AWAIT(&fixture, fixture.held_count == i + 1);
    }
    connect_to(&fixture, &clients[2]);
    get(&clients[2], "/api/hold");
    require_refusal(&clients[2], "429 Too Many Requests", "");
    start_reading(&reader);
    require_told(&fixture, &reader, AZFN__EVENT_FUNCTION_LIMIT, 429, "maxConcurrent");
    stop_reading(&reader);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(azfn_http_reply(fixture.held[i], 200, NULL, azfn_span_of("held")), AZFN_OK);
        require_reply(&clients[i], "held");
    }
    for (size_t i = 0; i < 3; i++) {
        disconnect(&clients[i]);
    }
    clean_up(&fixture);
}

static void bodies_that_come_slowly_do_not_get_around_that_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client clients[3];
    set_up(&fixture);
    for (size_t i = 0; i < 3; i++) {
        connect_to(&fixture, &clients[i]);
        send_text(&clients[i],
                  "POST /api/hold HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        take(&clients[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        send_text(&clients[i], "x");
        AWAIT(&fixture, fixture.held_count == i + 1);
    }
    send_text(&clients[2], "x");
    require_status(&clients[2], "429 Too Many Requests", "", false);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(azfn_http_reply(fixture.held[i], 200, NULL, azfn_span_of("held")), AZFN_OK);
        require_reply(&clients[i], "held");
    }
    for (size_t i = 0; i < 3; i++) {
        disconnect(&clients[i]);
    }
    clean_up(&fixture);
}

static void an_envelope_is_answered_with_one(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    post(&client, "/message", "{\"Data\":{\"msg\":\"\\\"text\\\"\"}}");
    require_reply(&client, "{\"Outputs\":{\"out\":\"dGV4dA==\"},\"Logs\":[]}");
    disconnect(&client);
    clean_up(&fixture);
}

static void a_body_that_is_no_envelope_is_400_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    set_up(&fixture);
    connect_to(&fixture, &client);
    post(&client, "/message", "{}");
    require_status(&client, "400 Bad Request", "", false);
    post(&client, "/message", "");
    require_status(&client, "400 Bad Request", "", false);
    get(&client, "/api/hello?name=more");
    require_reply(&client, "hello more");
    disconnect(&client);
    clean_up(&fixture);
}

static void a_refusal_is_told_to_the_broker(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up(&fixture);
    start_reading(&reader);
    connect_to(&fixture, &client);
    send_text(&client, "GET /api/nothing HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: made-up, 0b9c\r\n\r\n");
    require_refusal(&client, "404 Not Found", "");
    require_event(&fixture, &reader, AZFN__EVENT_INVALID_ROUTE);
    assert_int_equal(reader.log.fields.status.value, 404);
    assert_true(span_is(reader.log.fields.invocation_id, "0b9c"));
    require_no_log(&fixture, &reader);
    stop_reading(&reader);
    disconnect(&client);
    clean_up(&fixture);
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
    struct fixture fixture;
    struct log_reader reader;
    set_up(&fixture);
    start_reading(&reader);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client client;
        fixture.config->has_forgeable_envelopes = cases[i].event == AZFN__EVENT_FORGED_ENVELOPE;
        connect_to(&fixture, &client);
        send_text(&client, cases[i].request);
        take(&client);
        require_told(&fixture, &reader, cases[i].event, cases[i].status, cases[i].limit);
        disconnect(&client);
    }
    stop_reading(&reader);
    clean_up(&fixture);
}

static void a_time_that_is_over_is_an_event(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up(&fixture);
    start_reading(&reader);
    connect_to(&fixture, &client);
    get(&client, "/api/never");
    require_status(&client, "504 Gateway Timeout", "", false);
    require_told(&fixture, &reader, AZFN__EVENT_TIMEOUT, 0, "timeoutMs");
    post(&client, "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    require_status(&client, "500 Internal Server Error", "", false);
    require_told(&fixture, &reader, AZFN__EVENT_TIMEOUT, 0, "timeoutMs");
    stop_reading(&reader);
    disconnect(&client);
    clean_up(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_finds_it_ready_and_goes_on_on_the_same_connection),
        cmocka_unit_test(a_function_may_answer_later),
        cmocka_unit_test(a_function_that_never_answers_is_answered_for),
        cmocka_unit_test(an_event_that_is_never_answered_fails),
        cmocka_unit_test(only_the_first_answer_counts),
        cmocka_unit_test(an_answer_to_a_client_that_has_left_is_thrown_away),
        cmocka_unit_test(a_deadline_passes_for_a_client_that_has_left),
        cmocka_unit_test(more_than_a_function_takes_at_once_is_429),
        cmocka_unit_test(bodies_that_come_slowly_do_not_get_around_that_limit),
        cmocka_unit_test(an_envelope_is_answered_with_one),
        cmocka_unit_test(a_body_that_is_no_envelope_is_400_and_the_connection_goes_on),
        cmocka_unit_test(a_refusal_is_told_to_the_broker),
        cmocka_unit_test(each_refusal_has_its_event),
        cmocka_unit_test(a_time_that_is_over_is_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
