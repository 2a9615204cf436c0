/* Requests that are tried again, and their bodies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/destination_fixture.h"

static void an_idempotent_request_is_tried_again(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "x");
    answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, true);
    assert_null(fixture.https.current);
    assert_true(bring_timer_forward(&fixture.loop) < 400);
    answer(&fixture, 503);
    assert_int_equal(fixture.done, 0);
    assert_true(bring_timer_forward(&fixture.loop) < 800);
    assert_true(has_line(fixture.https.current->headers, "Authorization: Bearer " TOKEN));
    assert_true(fixture.https.current->timeout_ms <= 20000);
    /* the third one is the last: it is the function's answer, whatever it says */
    answer(&fixture, 503);
    assert_int_equal(fixture.https.started, 3);
    assert_int_equal(fixture.status, 503);
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_OK);
    clean_up(&fixture);
}

static void each_status_has_its_way(void **state)
{
    static const struct {
        const char *method;
        uint16_t status;
        size_t tries;
    } CASES[] = {{"GET", 200, 1}, {"GET", 404, 1}, {"GET", 403, 1}, {"GET", 408, 3}, {"GET", 429, 3}, {"GET", 500, 3},
                 {"GET", 501, 1}, {"GET", 502, 3}, {"PUT", 503, 3}, {"GET", 504, 3}, {"POST", 503, 1},
                 {"POST", 429, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture fixture;
        set_up(&fixture);
        start(&fixture, QUEUE, CASES[i].method, "x");
        answer(&fixture, CASES[i].status);
        while (fixture.done == 0) {
            bring_timer_forward(&fixture.loop);
            answer(&fixture, CASES[i].status);
        }
        assert_int_equal(fixture.https.started, CASES[i].tries);
        assert_int_equal(fixture.status, CASES[i].status);
        clean_up(&fixture);
    }
}

static void what_never_left_is_tried_again_whatever_it_is(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start_with_body(&fixture, "POST", 5);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("hello"), true));
    answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, false);
    assert_int_equal(fixture.done, 0);
    bring_timer_forward(&fixture.loop);
    assert_int_equal(fixture.https.started, 2);
    /* this one may have been done */
    answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, true);
    assert_int_equal(fixture.https.started, 2);
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(count_of(&fixture.log, "a request failed: the server went away"), 1);
    clean_up(&fixture);
}

static void a_certificate_that_is_not_trusted_is_not_tried_again(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "x");
    answer_end(&fixture, AZFN_ERROR_FORBIDDEN, false);
    assert_int_equal(fixture.error, AZFN_ERROR_FORBIDDEN);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_certificate:destination\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"order\",\"invocation_id\":\"" GUID "\""), 2);
    clean_up(&fixture);
}

static void an_answer_that_breaks_off_is_not_begun_again(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "x");
    answer_head(&fixture, 200, NULL, NULL);
    assert_true(answer_body(&fixture, "half", 4));
    answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, true);
    assert_int_equal(fixture.https.started, 1);
    assert_int_equal(fixture.error, AZFN_ERROR_UNAVAILABLE);
    clean_up(&fixture);
}

static void a_server_says_when_to_come_again(void **state)
{
    static const struct {
        const char *name;
        const char *value;
        uint64_t at_least_ms; /* 0: not at all */
    } CASES[] = {{"Retry-After", "7", 7000},       {"retry-after", "0", 1},      {"retry-after-ms", "1500", 1500},
                 {"x-ms-retry-after-ms", "9000", 9000}, {"Retry-After", "20", 0}, {"Retry-After", "99999999999", 1},
                 {"Retry-After", "4000000000", 0}, {"Retry-After", "soon", 1},
                 {"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", 1},
                 {"Retry-After", "Fri, 21 Oct 2095 07:28:00 GMT", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture fixture;
        set_up(&fixture);
        start(&fixture, QUEUE, "GET", "x");
        answer_head(&fixture, 429, CASES[i].name, CASES[i].value);
        if (CASES[i].at_least_ms > 0) {
            assert_null(fixture.https.current);
            uint64_t waited_ms = bring_timer_forward(&fixture.loop);
            assert_true(waited_ms + 1 >= CASES[i].at_least_ms && waited_ms < CASES[i].at_least_ms + 400);
            azfn__destination_request_cancel(fixture.request);
        } else {
            assert_int_equal(fixture.status, 429);
            answer_end(&fixture, AZFN_OK, true);
        }
        clean_up(&fixture);
    }
}

static void a_refused_token_is_replaced_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.tokens.next = NEW_TOKEN;
    start_with_body(&fixture, "POST", 5);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("hello"), true));
    bool is_last;
    assert_true(azfn_span_equals(read_body(&fixture, 100, &is_last), "hello"));
    answer(&fixture, 401);
    assert_int_equal(fixture.tokens.rejected, 1);
    assert_int_equal(fixture.https.started, 2);
    assert_true(has_line(fixture.https.current->headers, "Authorization: Bearer " NEW_TOKEN));
    assert_true(azfn_span_equals(read_body(&fixture, 100, &is_last), "hello"));
    answer(&fixture, 401);
    assert_int_equal(fixture.https.started, 2);
    assert_int_equal(fixture.status, 401);
    assert_int_equal(fixture.error, AZFN_OK);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:destination\""), 1);
    /* the next one does not have another token fetched so soon */
    fixture.status = 0;
    fixture.done = 0;
    start(&fixture, QUEUE, "GET", "x");
    answer(&fixture, 401);
    assert_int_equal(fixture.tokens.rejected, 1);
    assert_int_equal(fixture.status, 401);
    clean_up(&fixture);
}

static void a_token_that_somebody_else_had_replaced_is_used(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "x");
    answer(&fixture, 401); /* and nothing new yet */
    assert_int_equal(fixture.tokens.rejected, 1);
    assert_null(fixture.https.current);
    answer_wait(&fixture.tokens, AZFN_OK, TOKEN);
    struct azfn__https_request *first = fixture.https.current;
    struct azfn__destination_request *request = fixture.request;
    fixture.https.current = NULL;
    start(&fixture, QUEUE, "GET", "y");
    set_credential(&fixture.tokens, NEW_TOKEN);
    answer(&fixture, 401);
    assert_int_equal(fixture.tokens.rejected, 1);
    assert_true(has_line(fixture.https.current->headers, "Authorization: Bearer " NEW_TOKEN));
    azfn__destination_request_cancel(fixture.request);
    fixture.https.current = first;
    azfn__destination_request_cancel(request);
    clean_up(&fixture);
}

static void a_token_is_replaced_once_however_many_there_are(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.tokens.next = NEW_TOKEN;
    start(&fixture, QUEUE, "GET", "x");
    answer(&fixture, 401);
    set_credential(&fixture.tokens, TOKEN);
    answer(&fixture, 401);
    assert_int_equal(fixture.https.started, 2);
    assert_int_equal(fixture.status, 401);
    clean_up(&fixture);
}

static void a_refused_key_is_the_functions_answer(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, PARTNER, "GET", "x");
    answer(&fixture, 401);
    assert_int_equal(fixture.status, 401);
    assert_int_equal(fixture.https.started, 1);
    assert_int_equal(fixture.secrets.rejected, 0);
    clean_up(&fixture);
}

static void a_small_body_is_sent_again_and_needs_no_credit(void **state)
{
    (void)state;
    struct fixture fixture;
    bool is_last;
    set_up(&fixture);
    start_with_body(&fixture, "PUT", 10);
    assert_int_equal(fixture.https.current->body_bytes, 10);
    assert_int_equal(read_body(&fixture, 100, &is_last).length, 0);
    assert_false(is_last);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("01234"), false));
    assert_int_equal(fixture.https.resumed, 1);
    assert_true(azfn_span_equals(read_body(&fixture, 3, &is_last), "012"));
    assert_true(azfn_span_equals(read_body(&fixture, 3, &is_last), "34"));
    assert_false(is_last);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("56789"), false));
    assert_true(azfn_span_equals(read_body(&fixture, 100, &is_last), "56789"));
    assert_true(is_last);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN(""), true));
    answer(&fixture, 500);
    bring_timer_forward(&fixture.loop);
    assert_true(azfn_span_equals(read_body(&fixture, 100, &is_last), "0123456789"));
    assert_true(is_last);
    assert_int_equal(fixture.credit, 0);
    answer(&fixture, 201);
    assert_int_equal(fixture.done, 1);
    clean_up(&fixture);
}

static void a_large_body_goes_through_a_window(void **state)
{
    static char bytes[AZFN__ASK_WINDOW_BYTES];
    (void)state;
    struct fixture fixture;
    bool is_last;
    set_up(&fixture);
    start_with_body(&fixture, "PUT", 100000);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, sizeof(bytes)), false));
    assert_false(azfn__destination_request_write(fixture.request, azfn__span(bytes, 1), false));
    assert_memory_equal(read_body(&fixture, 50000, &is_last).data, bytes, 50000);
    assert_int_equal(fixture.credit, 50000);
    assert_false(azfn__destination_request_write(fixture.request, azfn__span(bytes, 50001), false));
    assert_false(azfn__destination_request_write(fixture.request, azfn__span(bytes, 34465), true));
    assert_false(azfn__destination_request_write(fixture.request, azfn__span(bytes, 34463), true));
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 34464), true));
    struct azfn_span rest = read_body(&fixture, 100000, &is_last);
    assert_int_equal(rest.length, 50000);
    assert_memory_equal(rest.data, bytes + 50000, 15536);
    assert_memory_equal(rest.data + 15536, bytes, 34464);
    assert_true(is_last);
    /* it is not there any more */
    answer(&fixture, 503);
    assert_int_equal(fixture.status, 503);
    assert_int_equal(fixture.done, 1);
    clean_up(&fixture);
}

static void a_body_without_a_length_gets_credit_and_a_limit(void **state)
{
    static char bytes[AZFN__ASK_WINDOW_BYTES];
    (void)state;
    struct fixture fixture;
    bool is_last;
    memset(bytes, 'x', sizeof(bytes));
    set_up(&fixture);
    start_with_body(&fixture, "PUT", AZFN__HTTPS_UNKNOWN_LENGTH);
    assert_true(fixture.https.current->body_bytes == AZFN__HTTPS_UNKNOWN_LENGTH);
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 20000), false));
    assert_int_equal(read_body(&fixture, 100000, &is_last).length, 20000);
    assert_int_equal(fixture.credit, 0); /* kept for another try */
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 20000), false));
    assert_int_equal(read_body(&fixture, 100000, &is_last).length, 20000);
    assert_int_equal(fixture.credit, 40000);
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 60000), false));
    assert_int_equal(read_body(&fixture, 100000, &is_last).length, 60000);
    assert_int_equal(fixture.done, 0);
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 1), false));
    assert_int_equal(fixture.done, 0); /* never from within */
    assert_null(fixture.https.current);
    assert_true(azfn__destination_request_write(fixture.request, azfn__span(bytes, 1), false));
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_ERROR_LIMIT);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"input_validation_fail:destination\""), 1);
    clean_up(&fixture);
}

static void a_body_that_was_all_there_has_a_length(void **state)
{
    (void)state;
    struct fixture fixture;
    bool is_last;
    set_up(&fixture);
    set_credential(&fixture.tokens, NULL);
    start_with_body(&fixture, "PUT", AZFN__HTTPS_UNKNOWN_LENGTH);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("hello"), true));
    answer_wait(&fixture.tokens, AZFN_OK, TOKEN);
    assert_int_equal(fixture.https.current->body_bytes, 5);
    assert_int_equal(read_body(&fixture, 100, &is_last).length, 5);
    assert_true(is_last);
    answer(&fixture, 201);
    clean_up(&fixture);
}

static void writing_beyond_the_end_breaks_the_protocol(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "x");
    assert_false(azfn__destination_request_write(fixture.request, AZFN__SPAN("x"), false));
    assert_false(azfn__destination_request_write(fixture.request, AZFN__SPAN("x"), true));
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN(""), true));
    azfn__destination_request_cancel(fixture.request);
    start_with_body(&fixture, "PUT", 5);
    assert_false(azfn__destination_request_write(fixture.request, AZFN__SPAN("123456"), false));
    assert_false(azfn__destination_request_write(fixture.request, AZFN__SPAN("1234"), true));
    azfn__destination_request_cancel(fixture.request);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idempotent_request_is_tried_again),
        cmocka_unit_test(each_status_has_its_way),
        cmocka_unit_test(what_never_left_is_tried_again_whatever_it_is),
        cmocka_unit_test(a_certificate_that_is_not_trusted_is_not_tried_again),
        cmocka_unit_test(an_answer_that_breaks_off_is_not_begun_again),
        cmocka_unit_test(a_server_says_when_to_come_again),
        cmocka_unit_test(a_refused_token_is_replaced_once),
        cmocka_unit_test(a_token_that_somebody_else_had_replaced_is_used),
        cmocka_unit_test(a_token_is_replaced_once_however_many_there_are),
        cmocka_unit_test(a_refused_key_is_the_functions_answer),
        cmocka_unit_test(a_small_body_is_sent_again_and_needs_no_credit),
        cmocka_unit_test(a_large_body_goes_through_a_window),
        cmocka_unit_test(a_body_without_a_length_gets_credit_and_a_limit),
        cmocka_unit_test(a_body_that_was_all_there_has_a_length),
        cmocka_unit_test(writing_beyond_the_end_breaks_the_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
