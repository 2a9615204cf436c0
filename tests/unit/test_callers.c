/* Who calls: told once, then counted, by what App Service Authentication says and only where it is on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

#define ADA "X-MS-CLIENT-PRINCIPAL-ID: ada-1\r\nX-MS-CLIENT-PRINCIPAL-IDP: aad\r\n" \
            "X-MS-CLIENT-PRINCIPAL-NAME: ada@example.com\r\nX-MS-CLIENT-PRINCIPAL: eyJjbGFpbXMiOltdfQ==\r\n"

static const struct azfn_function caller_functions[] = {
    {.name = "envelope", .handler = hello},
    {.name = "hello", .handler = hello},
    {.name = "message", .handler = message},
    {.name = "other", .handler = hello},
};

static const struct azfn__config_file caller_files[] = {
    HOST_JSON,
    {LITERAL("envelope/function.json"),
     LITERAL("{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\",\"direction\":\"out\","
             "\"name\":\"res\"},{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"q\"}]}")},
    {LITERAL("hello/function.json"), LITERAL(HTTP(""))},
    {LITERAL("message/function.json"), LITERAL(QUEUE)},
    {LITERAL("other/function.json"), LITERAL(HTTP(""))},
};

static struct client *client;

static int set_up_callers(void **state)
{
    static const struct app app = APP_OF(caller_functions, caller_files);
    (void)state;
    start_worker(&app, &azfn__config_default_limits);
    fixture.config->is_easy_auth_on = true;
    client = connect_client();
    return 0;
}

static int tear_down_callers(void **state)
{
    require_no_log();
    return tear_down(state);
}

static void call_from(const char *address, const char *function, const char *headers)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "GET /api/%s?name=x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: %s\r\n"
             "X-Azure-Functions-InvocationId: 0b9c\r\n%s\r\n",
             function, address, headers);
    send_text(client, text);
    require_reply(client, "hello x");
}

static void call(const char *function, const char *headers)
{
    call_from("203.0.113.7", function, headers);
}

static void call_as(const char *function, const char *id, const char *provider)
{
    char headers[512];
    snprintf(headers, sizeof(headers), "x-ms-client-principal-id: %s\r\nx-ms-client-principal-idp: %s\r\n", id,
             provider);
    call(function, headers);
}

/* count 0: a line without one. */
static void require_caller(const char *function, const char *id, const char *provider, int64_t count)
{
    const struct azfn__event_fields *fields = &last_log.fields;
    require_event(AZFN__EVENT_CALLER_AUTHENTICATED);
    if (!span_is(fields->principal_id, id)) {
        fail_msg("expected %s, found %.*s", id, AZFN_SPAN_ARGS(fields->principal_id));
    }
    assert_true(span_is(fields->function, function));
    assert_true(span_is(fields->identity_provider, provider));
    assert_int_equal(fields->count.value, count);
    assert_int_equal(fields->count.is_present, count > 0);
    assert_true(span_is(fields->invocation_id, count > 0 ? "" : "0b9c"));
    assert_true(span_is(fields->source_ip, "203.0.113.7"));
}

static void let_five_minutes_pass(void)
{
    uv_timer_t *timer = &fixture.dispatcher.callers.timer;
    uint64_t due_ms = uv_timer_get_due_in(timer);
    assert_true(uv_is_active((uv_handle_t *)timer) && due_ms > 290000 && due_ms <= 300000);
    uv_timer_stop(timer);
    timer->timer_cb(timer);
}

static void the_first_request_is_told_and_later_ones_are_counted(void **state)
{
    (void)state;
    call("hello", "");
    require_no_log();
    for (int i = 0; i < 4; i++) {
        call("hello", ADA);
    }
    require_caller("hello", "ada-1", "aad", 0);
    assert_null(memmem(last_log.text.data, last_log.text.length, "example", 7));
    require_no_log();
    let_five_minutes_pass();
    require_caller("hello", "ada-1", "aad", 3);
    call("hello", ADA);
    let_five_minutes_pass();
    require_caller("hello", "ada-1", "aad", 1);
    let_five_minutes_pass(); /* she did not come, and is forgotten */
    assert_false(uv_is_active((uv_handle_t *)&fixture.dispatcher.callers.timer));
    call("hello", ADA);
    require_caller("hello", "ada-1", "aad", 0);
}

static void each_function_principal_and_provider_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        call_as("hello", "ada", "aad");
        call_as("other", "ada", "aad");
        call_as("hello", "bob", "aad");
        call_as("hello", "ada", "github");
        call("hello", "X-Ms-Client-Principal: eyJ9\r\n");
    }
    require_caller("hello", "ada", "aad", 0);
    require_caller("other", "ada", "aad", 0);
    require_caller("hello", "bob", "aad", 0);
    require_caller("hello", "ada", "github", 0);
    require_caller("hello", "", "", 0);
    require_no_log();
    azfn__callers_tell(&fixture.dispatcher.callers);
    require_caller("hello", "ada", "aad", 1);
    require_caller("other", "ada", "aad", 1);
    require_caller("hello", "bob", "aad", 1);
    require_caller("hello", "ada", "github", 1);
    require_caller("hello", "", "", 1);
    azfn__callers_tell(&fixture.dispatcher.callers);
}

static void who_was_not_seen_for_longest_gives_way_with_his_count(void **state)
{
    (void)state;
    char id[32];
    for (int i = 0; i < AZFN__CALLERS_MAX; i++) {
        snprintf(id, sizeof(id), "user-%d", i);
        call_as("hello", id, "aad");
        require_caller("hello", id, "aad", 0);
    }
    call_as("hello", "user-0", "aad");
    require_no_log();
    call_as("hello", "new", "aad"); /* user-1 has nothing to tell */
    require_caller("hello", "new", "aad", 0);
    call_as("hello", "user-1", "aad");
    require_caller("hello", "user-1", "aad", 0);
    for (int i = 3; i < AZFN__CALLERS_MAX; i++) {
        snprintf(id, sizeof(id), "user-%d", i);
        call_as("hello", id, "aad");
    }
    require_no_log();
    call_as("hello", "newer", "aad");
    require_caller("hello", "user-0", "aad", 1);
    require_caller("hello", "newer", "aad", 0);
    let_five_minutes_pass();
    for (int i = 3; i < AZFN__CALLERS_MAX; i++) {
        snprintf(id, sizeof(id), "user-%d", i);
        require_caller("hello", id, "aad", 1);
    }
    assert_int_equal(fixture.dispatcher.callers.count, AZFN__CALLERS_MAX - 3);
}

static void the_same_caller_from_another_address_is_told(void **state)
{
    (void)state;
    /* the port is another one for each connection */
    static const char *const addresses[] = {"203.0.113.7:50123", "2001:db8::7", "made-up, 203.0.113.7:50124", "",
                                            "[2001:db8::7]:443"};
    static const char *const told[] = {"203.0.113.7", "2001:db8::7", ""};
    for (size_t i = 0; i < 5; i++) {
        call_from(addresses[i], "hello", ADA);
    }
    for (size_t i = 0; i < 3; i++) {
        require_event(AZFN__EVENT_CALLER_AUTHENTICATED);
        assert_true(span_is(last_log.fields.source_ip, told[i]));
    }
    require_no_log();
    azfn__callers_tell(&fixture.dispatcher.callers);
    for (size_t i = 0; i < 2; i++) {
        require_event(AZFN__EVENT_CALLER_AUTHENTICATED);
        assert_true(span_is(last_log.fields.source_ip, told[i]));
        assert_int_equal(last_log.fields.count.value, 1);
    }
}

static void hostile_text_is_cut_and_made_printable(void **state)
{
    (void)state;
    char id[200];
    memset(id, 'a', sizeof(id));
    memcpy(id, "\xc3\xa9\t", 3);
    id[sizeof(id) - 1] = '\0';
    call_as("hello", id, "\xff");
    id[0] = id[1] = id[2] = '?';
    id[AZFN__CALLER_PRINCIPAL_BYTES] = '\0';
    require_caller("hello", id, "?", 0);
}

static void without_easy_auth_nobody_vouches_for_a_caller(void **state)
{
    (void)state;
    static const char *const headers[] = {ADA, "X-MS-CLIENT-PRINCIPAL: e30=\r\n", "x-ms-client-principal-id: ada\r\n",
                                          "X-Ms-Client-Principal-Id: ada\r\n"};
    fixture.config->is_easy_auth_on = false;
    for (size_t i = 0; i < 4; i++) {
        call("hello", headers[i]);
        require_event(AZFN__EVENT_CALLER_UNPROVEN);
        assert_true(span_is(last_log.fields.source_ip, "203.0.113.7"));
        assert_true(span_is(last_log.fields.request_uri, "/api/hello"));
        assert_false(azfn_span_is_present(last_log.fields.principal_id));
        require_no_log();
    }
    call("hello", "X-MS-CLIENT-PRINCIPAL-IDP: aad\r\nX-MS-CLIENT-PRINCIPAL-NAME: ada\r\n"
                          "X-MS-CLIENT-PRINCIPALS: e30=\r\nY-MS-CLIENT-PRINCIPAL: e30=\r\n");
    assert_null(fixture.dispatcher.callers.table);
}

static void post_envelope(const char *path, const char *document)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: 0b9c\r\n"
             "X-MS-CLIENT-PRINCIPAL-ID: of the host's own request\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(document), document);
    send_text(client, text);
    assert_true(azfn__span_starts_with(take(client).head, AZFN__SPAN("HTTP/1.1 200 OK\r\n")));
}

static void post_http(const char *headers)
{
    char text[800];
    snprintf(text, sizeof(text),
             "{\"Data\":{\"req\":{\"Url\":\"http://h/api/envelope\",\"Method\":\"GET\",\"Headers\":{%s}}},"
             "\"Metadata\":{}}",
             headers);
    post_envelope("/envelope", text);
}

static void an_envelope_has_the_clients_headers(void **state)
{
    (void)state;
    post_http("\"Accept\":[\"x-ms-client-principal\"],\"X-MS-CLIENT-PRINCIPAL-NAME\":[\"ada\"]");
    post_http("\"X-MS-CLIENT-PRINCIPA\":[\"ada\"]");
    post_envelope("/message", "{\"Data\":{\"msg\":\"\\\"X-MS-CLIENT-PRINCIPAL-ID\\\"\"},\"Metadata\":{}}");
    post_envelope("/message", "{\"Data\":{\"msg\":{\"Headers\":{\"X-MS-CLIENT-PRINCIPAL-ID\":[\"ada\"]}}}}");
    require_no_log();
    for (int i = 0; i < 2; i++) {
        post_http("\"X-Forwarded-For\":[\"203.0.113.7\"],\"X-MS-CLIENT-PRINCIPAL-ID\":[\"ada\",\"eve\"],"
                          "\"X-MS-CLIENT-PRINCIPAL-IDP\":[\"aad\"],\"X-MS-CLIENT-PRINCIPAL\":[\"e30=\"]");
    }
    require_caller("envelope", "ada", "aad", 0);
    post_http("\"X-Forwarded-For\":[\"203.0.113.7\"],\"x-ms-client-PRINCIPAL-id\":\"bob\"");
    require_caller("envelope", "bob", "", 0);
    azfn__callers_tell(&fixture.dispatcher.callers);
    require_caller("envelope", "ada", "aad", 1);
    fixture.config->is_easy_auth_on = false;
    post_http("\"X-Ms-Client-Principal\":[\"e30=\"]");
    require_event(AZFN__EVENT_CALLER_UNPROVEN);
    assert_true(span_is(last_log.fields.request_uri, "/api/envelope"));
}

/* Wherever the name stands in the text, and whatever is around it. */
static void the_name_is_found_at_every_place(void **state)
{
    (void)state;
    fixture.config->is_easy_auth_on = false;
    for (int before = 0; before < 50; before++) {
        char headers[256];
        snprintf(headers, sizeof(headers), "\"%.*s\":[],\"X-MS-client-PRINCIPAL\":[\"e30=\"]", before,
                 "X-MS-CLIENT-PRINCIPALx-ms-clienlplplplpppalalalalalalalal");
        post_http(headers);
        require_event(AZFN__EVENT_CALLER_UNPROVEN);
        require_no_log();
    }
}

#define CALLER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_callers, tear_down_callers)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALLER_TEST(the_first_request_is_told_and_later_ones_are_counted),
        CALLER_TEST(each_function_principal_and_provider_is_told),
        CALLER_TEST(who_was_not_seen_for_longest_gives_way_with_his_count),
        CALLER_TEST(the_same_caller_from_another_address_is_told),
        CALLER_TEST(hostile_text_is_cut_and_made_printable),
        CALLER_TEST(without_easy_auth_nobody_vouches_for_a_caller),
        CALLER_TEST(an_envelope_has_the_clients_headers),
        CALLER_TEST(the_name_is_found_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
