/* Requests to destinations: where they go, what is added to them, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/destination_fixture.h"

static void an_identitys_token_is_added(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct azfn__https_header header = {.name = AZFN__SPAN("Content-Type"), .value = AZFN__SPAN("text/xml")};
    struct azfn__destination_request_options options = request_to(&fixture, QUEUE, "POST", "messages?ttl=60");
    options.headers = &header;
    options.header_count = 1;
    options.trace_parent = AZFN__SPAN(TRACE);
    assert_int_equal(try_start(&fixture, &options), AZFN_OK);
    const struct azfn__https_request *https = fixture.https.current;
    assert_string_equal(https->line, "POST https://shop.queue.example/orders/messages?ttl=60");
    assert_true(has_line(https->headers, "Authorization: Bearer " TOKEN));
    assert_true(has_line(https->headers, "x-ms-version: 2023-11-03"));
    assert_true(has_line(https->headers, "Content-Type: text/xml"));
    assert_true(has_line(https->headers, "traceparent: " TRACE));
    assert_true(has_line(https->headers, "x-ms-client-request-id: " GUID));
    assert_true(has_line(https->headers, "Accept-Encoding: identity"));
    assert_int_equal(https->trust, AZFN__HTTPS_TRUST_SYSTEM);
    assert_int_equal(https->timeout_ms, 20000);
    assert_int_equal(https->max_body_bytes, 1000000);
    assert_true(azfn_span_equals(fixture.tokens.key, "https://storage.example"));
    answer_head(&fixture, 201, "x-ms-request-id", "1");
    assert_true(answer_body(&fixture, "created", 7));
    answer_end(&fixture, AZFN_OK, true);
    assert_int_equal(fixture.status, 201);
    assert_true(has_line(fixture.headers, "x-ms-request-id: 1"));
    assert_memory_equal(fixture.body, "created", 7);
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_OK);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:destination\""), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    clean_up(&fixture);
}

static void a_secret_is_added_as_a_header(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    start(&fixture, PARTNER, "GET", "items");
    assert_string_equal(fixture.https.current->line, "GET https://api.partner.example/v1/items");
    assert_true(has_line(fixture.https.current->headers, "x-api-key: " KEY));
    assert_null(strstr(fixture.https.current->headers, "x-ms-client-request-id"));
    assert_true(azfn_span_equals(fixture.secrets.key, "partner-key"));
    answer(&fixture, 200);
    assert_int_equal(fixture.done, 1);
    clean_up(&fixture);
}

static void nothing_is_added_where_nothing_is_configured(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct azfn__destination_request_options options = request_to(&fixture, OPEN, "GET", "");
    options.trace_parent = AZFN__SPAN("00-00000000000000000000000000000000-b7ad6b7169203331-01\r\nx: y");
    assert_int_equal(try_start(&fixture, &options), AZFN_OK);
    assert_string_equal(fixture.https.current->line, "GET https://open.example/");
    assert_string_equal(fixture.https.current->headers, "Accept-Encoding: identity\n");
    answer_head(&fixture, 302, "Location", "https://elsewhere.example/");
    answer_end(&fixture, AZFN_OK, true);
    /* not followed */
    assert_int_equal(fixture.status, 302);
    assert_int_equal(fixture.https.started, 1);
    clean_up(&fixture);
}

static void what_the_destination_does_not_allow_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct azfn__https_header headers[101];
    struct azfn__destination_request_options options = request_to(&fixture, QUEUE, "DELETE", "x");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options = request_to(&fixture, QUEUE, "get", "x");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options = request_to(&fixture, QUEUE, "", "x");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options = request_to(&fixture, QUEUE, "GET", "../x");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options = request_to(&fixture, QUEUE, "GET", "x");
    options.body_bytes = 100001;
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options.body_bytes = 0;
    options.headers = headers;
    options.header_count = 1;
    headers[0] = (struct azfn__https_header){.name = AZFN__SPAN("Authorization"), .value = AZFN__SPAN("x")};
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    headers[0].name = AZFN__SPAN("X-MS-Version");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    options.destination = &fixture.destinations[PARTNER];
    headers[0].name = AZFN__SPAN("x-api-key");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    for (size_t i = 0; i < 101; i++) {
        headers[i] = (struct azfn__https_header){.name = AZFN__SPAN("x"), .value = AZFN__SPAN("y")};
    }
    options.header_count = 101;
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    static char value[8192];
    memset(value, 'x', sizeof(value));
    for (size_t i = 0; i < 9; i++) {
        headers[i].value = azfn__span(value, sizeof(value));
    }
    options.header_count = 9;
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    assert_int_equal(fixture.https.started, 0);
    assert_int_equal(fixture.done, 0);
    /* the three methods are one rule, the two fixed headers are one of each destination */
    assert_int_equal(count_of(&fixture.log, "\"event\":\"input_validation_fail:destination\""), 8);
    assert_int_equal(count_of(&fixture.log, "sensitive_read"), 0);
    clean_up(&fixture);
}

static void only_so_many_are_in_flight(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    set_credential(&fixture.tokens, NULL);
    struct azfn__destination_request_options options = request_to(&fixture, OPEN, "GET", "");
    struct azfn__destination_request *first;
    struct azfn__destination_request *second;
    struct azfn__destination_request *third;
    assert_int_equal(azfn__destination_request_start(fixture.all, &options, &first), AZFN_OK);
    options = request_to(&fixture, QUEUE, "GET", "");
    assert_int_equal(azfn__destination_request_start(fixture.all, &options, &second), AZFN_OK);
    options = request_to(&fixture, PARTNER, "GET", "");
    assert_int_equal(azfn__destination_request_start(fixture.all, &options, &third), AZFN_ERROR_LIMIT);
    assert_int_equal(azfn__destination_request_start(fixture.all, &options, &third), AZFN_ERROR_LIMIT);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"excess_rate_limit_exceeded:destination\""), 1);
    azfn__destination_request_cancel(second);
    azfn__destination_request_cancel(first);
    assert_int_equal(azfn__destination_request_start(fixture.all, &options, &third), AZFN_OK);
    azfn__destination_request_cancel(third);
    clean_up(&fixture);
}

static void a_request_waits_for_its_credential(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    set_credential(&fixture.tokens, NULL);
    start_with_body(&fixture, "POST", 5);
    assert_int_equal(fixture.https.started, 0);
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("hello"), true));
    answer_wait(&fixture.tokens, AZFN_OK, TOKEN);
    assert_int_equal(fixture.https.started, 1);
    assert_true(has_line(fixture.https.current->headers, "Authorization: Bearer " TOKEN));
    bool is_last;
    assert_true(azfn_span_equals(read_body(&fixture, 100, &is_last), "hello"));
    assert_true(is_last);
    answer(&fixture, 201);
    assert_int_equal(fixture.done, 1);
    clean_up(&fixture);
}

static void a_credential_that_does_not_come_ends_the_request(void **state)
{
    static const struct {
        enum azfn_error found;
        enum azfn_error told;
    } CASES[] = {{AZFN_ERROR_NOT_FOUND, AZFN_ERROR_FORBIDDEN},
                 {AZFN_ERROR_FORBIDDEN, AZFN_ERROR_FORBIDDEN},
                 {AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_UNAVAILABLE},
                 {AZFN_ERROR_LIMIT, AZFN_ERROR_LIMIT}};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    set_credential(&fixture.secrets, NULL);
    for (size_t i = 0; i < 4; i++) {
        fixture.done = 0;
        start(&fixture, PARTNER, "GET", "");
        answer_wait(&fixture.secrets, CASES[i].found, NULL);
        assert_int_equal(fixture.done, 1);
        assert_int_equal(fixture.error, CASES[i].told);
    }
    fixture.done = 0;
    start(&fixture, PARTNER, "GET", "");
    assert_true(bring_timer_forward(&fixture.loop) <= 20000);
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_ERROR_TIMEOUT);
    fixture.secrets.wait_error = AZFN_ERROR_LIMIT;
    const struct azfn__destination_request_options options = request_to(&fixture, PARTNER, "GET", "");
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_LIMIT);
    assert_int_equal(fixture.https.started, 0);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:credential\""), 5); /* for each reason */
    clean_up(&fixture);
}

static void a_secret_that_is_no_header_value_is_never_sent(void **state)
{
    static const char *const VALUES[] = {"", "a-key\n", "a\r\nHost: other.example", "caf\xc3\xa9-and-more"};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    const struct azfn__destination_request_options options = request_to(&fixture, PARTNER, "GET", "");
    for (size_t i = 0; i < 4; i++) {
        set_credential(&fixture.secrets, VALUES[i]);
        assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_FORBIDDEN);
    }
    set_credential(&fixture.secrets, NULL);
    start(&fixture, PARTNER, "GET", "");
    answer_wait(&fixture.secrets, AZFN_OK, "other-key\n");
    assert_int_equal(fixture.done, 1);
    assert_int_equal(fixture.error, AZFN_ERROR_FORBIDDEN);
    assert_int_equal(fixture.https.started, 0);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:credential\""), 1);
    assert_int_equal(count_of(&fixture.log, "a-key"), 0);
    clean_up(&fixture);
}

static void a_request_can_be_cancelled_in_every_state(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    /* in flight */
    start(&fixture, QUEUE, "GET", "x");
    azfn__destination_request_cancel(fixture.request);
    assert_int_equal(fixture.https.cancelled, 1);
    /* before the next try */
    start(&fixture, QUEUE, "GET", "x");
    answer(&fixture, 503);
    azfn__destination_request_cancel(fixture.request);
    /* while it drains */
    start(&fixture, QUEUE, "GET", "x");
    answer_head(&fixture, 200, NULL, NULL);
    assert_true(answer_body(&fixture, "first", 5));
    fixture.refuses_body = true;
    answer_end(&fixture, AZFN_OK, true);
    azfn__destination_request_cancel(fixture.request);
    fixture.refuses_body = false;
    /* in a callback, with more to deliver */
    fixture.status = 0;
    fixture.cancels_in_body = true;
    start(&fixture, QUEUE, "GET", "x");
    answer_head(&fixture, 200, NULL, NULL);
    assert_true(answer_body(&fixture, "first", 5));
    assert_true(answer_body(&fixture, "second", 6));
    assert_null(fixture.https.current);
    /* while it ends */
    start_with_body(&fixture, "PUT", AZFN__HTTPS_UNKNOWN_LENGTH);
    fixture.destinations[QUEUE].max_request_bytes = 1;
    assert_true(azfn__destination_request_write(fixture.request, AZFN__SPAN("xx"), false));
    azfn__destination_request_cancel(fixture.request);
    /* waiting for a credential */
    set_credential(&fixture.tokens, NULL);
    start(&fixture, QUEUE, "GET", "x");
    azfn__destination_request_cancel(fixture.request);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(fixture.done, 0);
    clean_up(&fixture);
}

static void a_client_that_can_not_start_is_an_error_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    const struct azfn__destination_request_options options = request_to(&fixture, QUEUE, "GET", "x");
    fixture.https.start_error = AZFN_ERROR_NO_MEMORY;
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_NO_MEMORY);
    fixture.https.start_error = AZFN_ERROR_INVALID_ARGUMENT;
    assert_int_equal(try_start(&fixture, &options), AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(fixture.done, 0);
    clean_up(&fixture);
}

static void requests_share_a_credential_and_the_last_one_wipes_it(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    size_t used = azfn__secret_slab_used_count(fixture.slab);
    start(&fixture, QUEUE, "GET", "x");
    struct azfn__destination_request *first = fixture.request;
    struct azfn__https_request *first_https = fixture.https.current;
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), used + 1);
    fixture.https.current = NULL;
    start(&fixture, QUEUE, "GET", "y");
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), used + 1);
    azfn__destination_request_cancel(fixture.request);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), used + 1);
    fixture.https.current = first_https;
    azfn__destination_request_cancel(first);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), used);
    clean_up(&fixture);
}

static void failures_are_told_once_and_then_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 4; i++) {
        start(&fixture, QUEUE, "POST", "x");
        answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, true);
        fixture.done = 0;
    }
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:destination_failed\""), 1);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    azfn__destinations_destroy(fixture.all);
    fixture.all = NULL;
    assert_int_equal(count_of(&fixture.log, "3 more times: destination \\\"a-queue\\\": a request failed"), 1);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:destination_failed"), 4);
    clean_up(&fixture);
}

static void counts_are_told_although_nothing_more_happens(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 1000; i++) {
        start(&fixture, QUEUE, "POST", "x");
        answer_end(&fixture, AZFN_ERROR_UNAVAILABLE, true);
        fixture.done = 0;
    }
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:destination_failed"), 1);
    /* two timers: the policy's, of the uses, is there first */
    assert_int_equal(timers_of(&fixture.loop).count, 2);
    bring_timer_forward(&fixture.loop);
    assert_in_range(bring_timer_forward(&fixture.loop), 290000, 300000);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:destination_failed"), 1000);
    clean_up(&fixture);
}

/* Who provokes one of them can't keep another from being seen. */
static void no_trouble_hides_another(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 2; i++) {
        start(&fixture, PARTNER, "GET", "x");
        answer(&fixture, i == 0 ? 401 : 403);
        fixture.status = 0;
        fixture.done = 0;
        start(&fixture, PARTNER, "GET", "x");
        answer_end(&fixture, AZFN_ERROR_FORBIDDEN, false);
        fixture.status = 0;
        fixture.done = 0;
    }
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:destination\",\"function\":\"order\""), 2);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"it refuses its credential with status 401\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"it refuses what was asked with status 403\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_certificate:destination\""), 1);
    clean_up(&fixture);
}

static void check_fault(struct fixture *fixture, const char *wanted)
{
    struct azfn__config_fault fault = {.message = ""};
    assert_int_equal(resolve(fixture, &fault), AZFN_ERROR_INVALID_ARGUMENT);
    if (!strstr(fault.message, wanted)) {
        fail_msg("not in the message: %s: %s", wanted, fault.message);
    }
}

static void a_setting_can_not_lead_elsewhere(void **state)
{
    static const char *const VALUES[] = {"", ".", "other.example/", "other.example/x", "other.example:443",
                                         "user@other", "other.example?", "other.example#", "a b", "other.example\\",
                                         "a..b",
                                         "%ACCOUNT%", "a%2fb", "caf\xc3\xa9", "other.example/?x=", "-/"};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        fixture.setting.value = azfn_span_of(VALUES[i]);
        check_fault(&fixture, "/destinations/a-queue/url");
    }
    fixture.setting.value = azfn__absent();
    check_fault(&fixture, "the setting ACCOUNT is not set");
    fixture.setting.value = AZFN__SPAN("shop");
    fixture.destinations[PARTNER].url = AZFN__SPAN("https://api.partner.example/%ACCOUNT%/v1/");
    struct azfn__config_fault fault;
    assert_int_equal(resolve(&fixture, &fault), AZFN_OK);
    fixture.destinations[QUEUE].url = AZFN__SPAN("https://queue.example/");
    fixture.setting.value = AZFN__SPAN("..");
    check_fault(&fixture, "/destinations/b-partner/url");
    fixture.setting.value = AZFN__SPAN("a?b");
    check_fault(&fixture, "/destinations/b-partner/url");
    clean_up(&fixture);
}

static void development_has_servers_and_authorities_of_its_own(void **state)
{
    (void)state;
    struct fixture fixture;
    struct azfn__config_fault fault;
    set_up(&fixture);
    fixture.setting.value = azfn__absent(); /* not needed then */
    fixture.local = (struct azfn__development_destination){.name = AZFN__SPAN("a-queue"),
                                                           .url = AZFN__SPAN("https://127.0.0.1:10001/shop/orders/")};
    fixture.development.is_on = true;
    fixture.development.destinations = &fixture.local;
    fixture.development.destination_count = 1;
    assert_int_equal(resolve(&fixture, &fault), AZFN_OK);
    start(&fixture, QUEUE, "GET", "x");
    assert_string_equal(fixture.https.current->line, "GET https://127.0.0.1:10001/shop/orders/x");
    assert_int_equal(fixture.https.current->trust, AZFN__HTTPS_TRUST_DEVELOPMENT);
    azfn__destination_request_cancel(fixture.request);
    start(&fixture, OPEN, "GET", "x");
    assert_int_equal(fixture.https.current->trust, AZFN__HTTPS_TRUST_SYSTEM);
    azfn__destination_request_cancel(fixture.request);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    fixture.local.url = AZFN__SPAN("http://127.0.0.1:10001/");
    check_fault(&fixture, "the development file: /destinations/a-queue");
    fixture.development.is_on = false;
    check_fault(&fixture, "the setting ACCOUNT is not set");
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identitys_token_is_added),
        cmocka_unit_test(a_secret_is_added_as_a_header),
        cmocka_unit_test(nothing_is_added_where_nothing_is_configured),
        cmocka_unit_test(what_the_destination_does_not_allow_is_refused),
        cmocka_unit_test(only_so_many_are_in_flight),
        cmocka_unit_test(a_request_waits_for_its_credential),
        cmocka_unit_test(a_credential_that_does_not_come_ends_the_request),
        cmocka_unit_test(a_secret_that_is_no_header_value_is_never_sent),
        cmocka_unit_test(a_request_can_be_cancelled_in_every_state),
        cmocka_unit_test(a_client_that_can_not_start_is_an_error_at_once),
        cmocka_unit_test(requests_share_a_credential_and_the_last_one_wipes_it),
        cmocka_unit_test(failures_are_told_once_and_then_counted),
        cmocka_unit_test(counts_are_told_although_nothing_more_happens),
        cmocka_unit_test(no_trouble_hides_another),
        cmocka_unit_test(a_setting_can_not_lead_elsewhere),
        cmocka_unit_test(development_has_servers_and_authorities_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
