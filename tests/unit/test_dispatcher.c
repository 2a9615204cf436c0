/* From a request to a function and back, whatever the function does with its invocation. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"

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
    set_up(&fixture);
    for (size_t i = 0; i < 2; i++) {
        connect_to(&fixture, &clients[i]);
        get(&clients[i], "/api/hold");
        AWAIT(&fixture, fixture.held_count == i + 1);
    }
    connect_to(&fixture, &clients[2]);
    get(&clients[2], "/api/hold");
    require_refusal(&clients[2], "429 Too Many Requests", "");
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
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    struct azfn__log_frame log;
    char bytes[4096];
    set_up(&fixture);
    connect_to(&fixture, &client);
    send_text(&client, "GET /api/nothing HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: made-up, 0b9c\r\n\r\n");
    require_refusal(&client, "404 Not Found", "");
    ssize_t count = read(fixture.broker_end, bytes, sizeof(bytes));
    assert_true(count > 0);
    azfn__frame_reader_init(&reader);
    assert_true(azfn__frame_reader_feed(&reader, bytes, (size_t)count));
    assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_OK);
    assert_int_equal(frame.type, AZFN__FRAME_LOG);
    assert_true(azfn__frame_decode_log(frame.payload, &log));
    assert_int_equal(log.level, AZFN_LOG_WARNING);
    assert_true(azfn_span_equals(log.event, "input_validation_fail:route"));
    assert_true(azfn_span_equals(log.invocation_id, "0b9c"));
    assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_ERROR_UNAVAILABLE);
    azfn__frame_reader_clean_up(&reader);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
