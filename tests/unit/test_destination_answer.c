/* What a function sees of an answer: nothing that is a credential. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/destination_fixture.h"

static void credentials_in_headers_are_left_out(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, QUEUE, "GET", "");
    struct azfn__https_header headers[] = {
        {AZFN__SPAN("Content-Type"), AZFN__SPAN("text/plain")},
        {AZFN__SPAN("X-Echo"), AZFN__SPAN("{Bearer " TOKEN "}")},
        {AZFN__SPAN("x-" TOKEN), AZFN__SPAN("1")},
        {AZFN__SPAN("Set-Cookie"), AZFN__SPAN("session=1")},
        {AZFN__SPAN("set-cookie2"), AZFN__SPAN("session=1")},
        {AZFN__SPAN("Authorization"), AZFN__SPAN("Basic x")},
        {AZFN__SPAN("Proxy-Authenticate"), AZFN__SPAN("Basic")},
        {AZFN__SPAN("Connection"), AZFN__SPAN("close")},
        {AZFN__SPAN("Transfer-Encoding"), AZFN__SPAN("chunked")},
        {AZFN__SPAN("WWW-Authenticate"), AZFN__SPAN("Bearer realm=x")},
        {AZFN__SPAN("Location"), AZFN__SPAN("/orders/1")},
    };
    struct azfn__https_request *https = fixture.https.current;
    https->callbacks.on_head(200, headers, sizeof(headers) / sizeof(headers[0]), https->user_data);
    assert_string_equal(fixture.headers,
                        "Content-Type: text/plain\nWWW-Authenticate: Bearer realm=x\nLocation: /orders/1\n");
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_echo:destination\""), 1);
    answer_end(&fixture, AZFN_OK, true);
    assert_int_equal(fixture.error, AZFN_OK);
    clean_up(&fixture);
}

/* The body comes in pieces of that many bytes. */
static void send_in_pieces(struct fixture *fixture, const char *text, size_t length, size_t piece)
{
    for (size_t at = 0; at < length && fixture->https.current; at += piece) {
        size_t left = length - at;
        (void)answer_body(fixture, text + at, left < piece ? left : piece);
    }
}

static void a_credential_in_a_body_cuts_it_off(void **state)
{
    static const char *const BODIES[] = {
        TOKEN, "x" TOKEN, TOKEN "x", "{\"headers\": {\"Authorization\": \"Bearer " TOKEN "\"}}",
        "first-token-of-first-token-of-the-app" TOKEN, "ffffff" TOKEN "ffffff",
        "first-token-of-the-app-012345678" TOKEN, "first-token-o" TOKEN};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    size_t found = 0;
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++) {
        size_t length = strlen(BODIES[i]);
        size_t before = (size_t)(strstr(BODIES[i], TOKEN) - BODIES[i]);
        for (size_t piece = 1; piece <= length; piece++) {
            fixture.status = 0;
            fixture.done = 0;
            fixture.body_length = 0;
            start(&fixture, QUEUE, "GET", "");
            answer_head(&fixture, 200, NULL, NULL);
            send_in_pieces(&fixture, BODIES[i], length, piece);
            assert_null(fixture.https.current);
            assert_int_equal(fixture.done, 1);
            assert_int_equal(fixture.error, AZFN_ERROR_FORBIDDEN);
            /* not a byte of it */
            assert_true(fixture.body_length <= before);
            assert_memory_equal(fixture.body, BODIES[i], fixture.body_length);
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
            found++;
        }
    }
    assert_true(found > 100);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_echo:destination\""), 1);
    clean_up(&fixture);
}

static void other_bodies_come_through_unchanged(void **state)
{
    static const char *const BODIES[] = {
        "f", "first", "first-token-of-the-app-012345678", "first-token-of-the-app-0123456788",
        "ffirst-token-first-token-of-the-app-first-token-of-the-app-01234567fi", "nothing like it"};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(BODIES) / sizeof(BODIES[0]); i++) {
        size_t length = strlen(BODIES[i]);
        for (size_t piece = 1; piece <= length; piece++) {
            fixture.status = 0;
            fixture.done = 0;
            fixture.body_length = 0;
            start(&fixture, QUEUE, "GET", "");
            answer_head(&fixture, 200, NULL, NULL);
            /* each piece is refused once */
            for (size_t at = 0; at < length; at += piece) {
                size_t left = length - at < piece ? length - at : piece;
                fixture.refuses_body = true;
                if (!answer_body(&fixture, BODIES[i] + at, left)) {
                    fixture.refuses_body = false;
                    /* resumed for another reason: still not now */
                    assert_false(answer_body(&fixture, BODIES[i] + at, left));
                    azfn__destination_request_resume(fixture.request);
                    assert_true(answer_body(&fixture, BODIES[i] + at, left));
                }
                fixture.refuses_body = false;
            }
            answer_end(&fixture, AZFN_OK, true);
            assert_int_equal(fixture.done, 1);
            assert_int_equal(fixture.error, AZFN_OK);
            assert_int_equal(fixture.body_length, length);
            assert_memory_equal(fixture.body, BODIES[i], length);
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
        }
    }
    assert_int_equal(count_of(&fixture.log, "malicious_echo"), 0);
    clean_up(&fixture);
}

static void what_was_held_back_at_the_end_waits_for_the_function(void **state)
{
    (void)state;
    for (int is_resumed = 0; is_resumed < 2; is_resumed++) {
        struct fixture fixture;
        set_up(&fixture);
        start(&fixture, QUEUE, "GET", "");
        answer_head(&fixture, 200, NULL, NULL);
        assert_true(answer_body(&fixture, "a first", 7));
        assert_int_equal(fixture.body_length, 2);
        fixture.refuses_body = true;
        answer_end(&fixture, AZFN_OK, true);
        assert_int_equal(fixture.done, 0);
        fixture.refuses_body = false;
        if (is_resumed) {
            azfn__destination_request_resume(fixture.request);
            assert_int_equal(fixture.done, 0);
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
            assert_memory_equal(fixture.body, "a first", 7);
            assert_int_equal(fixture.error, AZFN_OK);
        } else {
            bring_timer_forward(&fixture.loop);
            assert_int_equal(fixture.error, AZFN_ERROR_TIMEOUT);
        }
        assert_int_equal(fixture.done, 1);
        clean_up(&fixture);
    }
}

static void a_scheme_does_not_hide_a_credential_and_a_short_one_is_not_searched(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    set_credential(&fixture.secrets, "ApiKey abcdefghij");
    start(&fixture, PARTNER, "GET", "");
    answer_head(&fixture, 200, NULL, NULL);
    (void)answer_body(&fixture, "you sent abcdefghij", 19);
    assert_int_equal(fixture.error, AZFN_ERROR_FORBIDDEN);
    assert_int_equal(fixture.body_length, 0);
    set_credential(&fixture.secrets, "1234");
    fixture.status = 0;
    fixture.done = 0;
    start(&fixture, PARTNER, "GET", "");
    answer_head(&fixture, 200, NULL, NULL);
    assert_true(answer_body(&fixture, "12345678", 8));
    answer_end(&fixture, AZFN_OK, true);
    assert_int_equal(fixture.error, AZFN_OK);
    assert_int_equal(fixture.body_length, 8);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sys_monitor_disabled:destination\""), 1);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials_in_headers_are_left_out),
        cmocka_unit_test(a_credential_in_a_body_cuts_it_off),
        cmocka_unit_test(other_bodies_come_through_unchanged),
        cmocka_unit_test(what_was_held_back_at_the_end_waits_for_the_function),
        cmocka_unit_test(a_scheme_does_not_hide_a_credential_and_a_short_one_is_not_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
