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
    {LITERAL("host.json"), LITERAL("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,"
                                   "\"description\":{\"defaultExecutablePath\":\"handler\"}}}")},
    {LITERAL("envelope/function.json"),
     LITERAL("{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\",\"direction\":\"out\","
             "\"name\":\"res\"},{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"q\"}]}")},
    {LITERAL("hello/function.json"), LITERAL(HTTP(""))},
    {LITERAL("message/function.json"), LITERAL(QUEUE)},
    {LITERAL("other/function.json"), LITERAL(HTTP(""))},
};

struct world {
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
};

static void open_world(struct world *world, bool is_easy_auth_on)
{
    const struct app app = {caller_functions, 4, caller_files, 5};
    set_up_app(&world->fixture, &azfn__config_default_limits, &app);
    world->fixture.config->is_easy_auth_on = is_easy_auth_on;
    connect_to(&world->fixture, &world->client);
    start_reading(&world->reader);
}

static void close_world(struct world *world)
{
    require_no_log(&world->fixture, &world->reader);
    stop_reading(&world->reader);
    disconnect(&world->client);
    clean_up(&world->fixture);
}

static void call_from(struct world *world, const char *address, const char *function, const char *headers)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "GET /api/%s?name=x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: %s\r\n"
             "X-Azure-Functions-InvocationId: 0b9c\r\n%s\r\n",
             function, address, headers);
    send_text(&world->client, text);
    require_reply(&world->client, "hello x");
}

static void call(struct world *world, const char *function, const char *headers)
{
    call_from(world, "203.0.113.7", function, headers);
}

static void call_as(struct world *world, const char *function, const char *id, const char *provider)
{
    char headers[512];
    snprintf(headers, sizeof(headers), "x-ms-client-principal-id: %s\r\nx-ms-client-principal-idp: %s\r\n", id,
             provider);
    call(world, function, headers);
}

/* count 0: a line without one. */
static void require_caller(struct world *world, const char *function, const char *id, const char *provider,
                           int64_t count)
{
    const struct azfn__event_fields *fields = &world->reader.log.fields;
    require_event(&world->fixture, &world->reader, AZFN__EVENT_CALLER_AUTHENTICATED);
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

static void let_five_minutes_pass(struct world *world)
{
    uv_timer_t *timer = &world->fixture.dispatcher.callers.timer;
    uint64_t due_ms = uv_timer_get_due_in(timer);
    assert_true(uv_is_active((uv_handle_t *)timer) && due_ms > 290000 && due_ms <= 300000);
    uv_timer_stop(timer);
    timer->timer_cb(timer);
}

static void the_first_request_is_told_and_later_ones_are_counted(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, true);
    call(&world, "hello", "");
    require_no_log(&world.fixture, &world.reader);
    for (int i = 0; i < 4; i++) {
        call(&world, "hello", ADA);
    }
    require_caller(&world, "hello", "ada-1", "aad", 0);
    assert_null(memmem(world.reader.log.text.data, world.reader.log.text.length, "example", 7));
    require_no_log(&world.fixture, &world.reader);
    let_five_minutes_pass(&world);
    require_caller(&world, "hello", "ada-1", "aad", 3);
    call(&world, "hello", ADA);
    let_five_minutes_pass(&world);
    require_caller(&world, "hello", "ada-1", "aad", 1);
    let_five_minutes_pass(&world); /* she did not come, and is forgotten */
    assert_false(uv_is_active((uv_handle_t *)&world.fixture.dispatcher.callers.timer));
    call(&world, "hello", ADA);
    require_caller(&world, "hello", "ada-1", "aad", 0);
    close_world(&world);
}

static void each_function_principal_and_provider_is_told(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, true);
    for (int i = 0; i < 2; i++) {
        call_as(&world, "hello", "ada", "aad");
        call_as(&world, "other", "ada", "aad");
        call_as(&world, "hello", "bob", "aad");
        call_as(&world, "hello", "ada", "github");
        call(&world, "hello", "X-Ms-Client-Principal: eyJ9\r\n");
    }
    require_caller(&world, "hello", "ada", "aad", 0);
    require_caller(&world, "other", "ada", "aad", 0);
    require_caller(&world, "hello", "bob", "aad", 0);
    require_caller(&world, "hello", "ada", "github", 0);
    require_caller(&world, "hello", "", "", 0);
    require_no_log(&world.fixture, &world.reader);
    azfn__callers_tell(&world.fixture.dispatcher.callers);
    require_caller(&world, "hello", "ada", "aad", 1);
    require_caller(&world, "other", "ada", "aad", 1);
    require_caller(&world, "hello", "bob", "aad", 1);
    require_caller(&world, "hello", "ada", "github", 1);
    require_caller(&world, "hello", "", "", 1);
    azfn__callers_tell(&world.fixture.dispatcher.callers);
    close_world(&world);
}

static void the_oldest_gives_way_with_its_count(void **state)
{
    (void)state;
    struct world world;
    char id[32];
    open_world(&world, true);
    for (int i = 0; i < AZFN__CALLERS_MAX; i++) {
        snprintf(id, sizeof(id), "user-%d", i);
        call_as(&world, "hello", id, "aad");
        require_caller(&world, "hello", id, "aad", 0);
    }
    call_as(&world, "hello", "user-0", "aad");
    require_no_log(&world.fixture, &world.reader);
    call_as(&world, "hello", "new", "aad");
    require_caller(&world, "hello", "user-0", "aad", 1);
    require_caller(&world, "hello", "new", "aad", 0);
    call_as(&world, "hello", "newer", "aad"); /* user-1 has nothing to tell */
    require_caller(&world, "hello", "newer", "aad", 0);
    call_as(&world, "hello", "new", "aad");
    call_as(&world, "hello", "user-2", "aad");
    let_five_minutes_pass(&world);
    require_caller(&world, "hello", "user-2", "aad", 1);
    require_caller(&world, "hello", "new", "aad", 1);
    assert_int_equal(world.fixture.dispatcher.callers.count, 2);
    close_world(&world);
}

static void the_same_caller_from_another_address_is_told(void **state)
{
    (void)state;
    /* the port is another one for each connection */
    static const char *const addresses[] = {"203.0.113.7:50123", "2001:db8::7", "made-up, 203.0.113.7:50124", "",
                                            "[2001:db8::7]:443"};
    static const char *const told[] = {"203.0.113.7", "2001:db8::7", ""};
    struct world world;
    open_world(&world, true);
    for (size_t i = 0; i < 5; i++) {
        call_from(&world, addresses[i], "hello", ADA);
    }
    for (size_t i = 0; i < 3; i++) {
        require_event(&world.fixture, &world.reader, AZFN__EVENT_CALLER_AUTHENTICATED);
        assert_true(span_is(world.reader.log.fields.source_ip, told[i]));
    }
    require_no_log(&world.fixture, &world.reader);
    azfn__callers_tell(&world.fixture.dispatcher.callers);
    for (size_t i = 0; i < 2; i++) {
        require_event(&world.fixture, &world.reader, AZFN__EVENT_CALLER_AUTHENTICATED);
        assert_true(span_is(world.reader.log.fields.source_ip, told[i]));
        assert_int_equal(world.reader.log.fields.count.value, 1);
    }
    close_world(&world);
}

static void hostile_text_is_cut_and_made_printable(void **state)
{
    (void)state;
    struct world world;
    char id[200];
    open_world(&world, true);
    memset(id, 'a', sizeof(id));
    memcpy(id, "\xc3\xa9\t", 3);
    id[sizeof(id) - 1] = '\0';
    call_as(&world, "hello", id, "\xff");
    id[0] = id[1] = id[2] = '?';
    id[AZFN__CALLER_PRINCIPAL_BYTES] = '\0';
    require_caller(&world, "hello", id, "?", 0);
    close_world(&world);
}

static void without_easy_auth_nobody_vouches_for_a_caller(void **state)
{
    (void)state;
    static const char *const headers[] = {ADA, "X-MS-CLIENT-PRINCIPAL: e30=\r\n", "x-ms-client-principal-id: ada\r\n",
                                          "X-Ms-Client-Principal-Id: ada\r\n"};
    struct world world;
    open_world(&world, false);
    for (size_t i = 0; i < 4; i++) {
        call(&world, "hello", headers[i]);
        require_event(&world.fixture, &world.reader, AZFN__EVENT_CALLER_UNPROVEN);
        assert_true(span_is(world.reader.log.fields.source_ip, "203.0.113.7"));
        assert_true(span_is(world.reader.log.fields.request_uri, "/api/hello"));
        assert_false(azfn_span_is_present(world.reader.log.fields.principal_id));
        require_no_log(&world.fixture, &world.reader);
    }
    call(&world, "hello", "X-MS-CLIENT-PRINCIPAL-IDP: aad\r\nX-MS-CLIENT-PRINCIPAL-NAME: ada\r\n"
                          "X-MS-CLIENT-PRINCIPALS: e30=\r\nY-MS-CLIENT-PRINCIPAL: e30=\r\n");
    assert_null(world.fixture.dispatcher.callers.table);
    close_world(&world);
}

static void post_envelope(struct world *world, const char *path, const char *document)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: 0b9c\r\n"
             "X-MS-CLIENT-PRINCIPAL-ID: of the host's own request\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(document), document);
    send_text(&world->client, text);
    assert_true(azfn__span_starts_with(take(&world->client).head, AZFN__SPAN("HTTP/1.1 200 OK\r\n")));
}

static void post_http(struct world *world, const char *headers)
{
    char text[800];
    snprintf(text, sizeof(text),
             "{\"Data\":{\"req\":{\"Url\":\"http://h/api/envelope\",\"Method\":\"GET\",\"Headers\":{%s}}},"
             "\"Metadata\":{}}",
             headers);
    post_envelope(world, "/envelope", text);
}

static void an_envelope_has_the_clients_headers(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, true);
    post_http(&world, "\"Accept\":[\"x-ms-client-principal\"],\"X-MS-CLIENT-PRINCIPAL-NAME\":[\"ada\"]");
    post_http(&world, "\"X-MS-CLIENT-PRINCIPA\":[\"ada\"]");
    post_envelope(&world, "/message", "{\"Data\":{\"msg\":\"\\\"X-MS-CLIENT-PRINCIPAL-ID\\\"\"},\"Metadata\":{}}");
    post_envelope(&world, "/message", "{\"Data\":{\"msg\":{\"Headers\":{\"X-MS-CLIENT-PRINCIPAL-ID\":[\"ada\"]}}}}");
    require_no_log(&world.fixture, &world.reader);
    for (int i = 0; i < 2; i++) {
        post_http(&world, "\"X-Forwarded-For\":[\"203.0.113.7\"],\"X-MS-CLIENT-PRINCIPAL-ID\":[\"ada\",\"eve\"],"
                          "\"X-MS-CLIENT-PRINCIPAL-IDP\":[\"aad\"],\"X-MS-CLIENT-PRINCIPAL\":[\"e30=\"]");
    }
    require_caller(&world, "envelope", "ada", "aad", 0);
    post_http(&world, "\"X-Forwarded-For\":[\"203.0.113.7\"],\"x-ms-client-PRINCIPAL-id\":\"bob\"");
    require_caller(&world, "envelope", "bob", "", 0);
    azfn__callers_tell(&world.fixture.dispatcher.callers);
    require_caller(&world, "envelope", "ada", "aad", 1);
    world.fixture.config->is_easy_auth_on = false;
    post_http(&world, "\"X-Ms-Client-Principal\":[\"e30=\"]");
    require_event(&world.fixture, &world.reader, AZFN__EVENT_CALLER_UNPROVEN);
    assert_true(span_is(world.reader.log.fields.request_uri, "/api/envelope"));
    close_world(&world);
}

/* Wherever the name stands in the text, and whatever is around it. */
static void the_name_is_found_at_every_place(void **state)
{
    (void)state;
    struct world world;
    open_world(&world, false);
    for (int before = 0; before < 50; before++) {
        char headers[256];
        snprintf(headers, sizeof(headers), "\"%.*s\":[],\"X-MS-client-PRINCIPAL\":[\"e30=\"]", before,
                 "X-MS-CLIENT-PRINCIPALx-ms-clienlplplplpppalalalalalalalal");
        post_http(&world, headers);
        require_event(&world.fixture, &world.reader, AZFN__EVENT_CALLER_UNPROVEN);
        require_no_log(&world.fixture, &world.reader);
    }
    close_world(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_request_is_told_and_later_ones_are_counted),
        cmocka_unit_test(each_function_principal_and_provider_is_told),
        cmocka_unit_test(the_oldest_gives_way_with_its_count),
        cmocka_unit_test(the_same_caller_from_another_address_is_told),
        cmocka_unit_test(hostile_text_is_cut_and_made_printable),
        cmocka_unit_test(without_easy_auth_nobody_vouches_for_a_caller),
        cmocka_unit_test(an_envelope_has_the_clients_headers),
        cmocka_unit_test(the_name_is_found_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
