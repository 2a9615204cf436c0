/* Which function a request is for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/router.h"

#define ID "X-Azure-Functions-InvocationId"
#define FORWARDING "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":" \
                   "{\"defaultExecutablePath\":\"handler\"}}}"
#define ENVELOPES "{\"version\":\"2.0\",\"customHandler\":{\"description\":{\"defaultExecutablePath\":\"handler\"}}}"
#define OUTPUT ",{\"type\":\"http\",\"direction\":\"out\",\"name\":\"res\"}"
#define HTTP(more) "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"" more "}" OUTPUT "]}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"}]}"

#define BIT(method) (UINT32_C(1) << AZFN__METHOD_##method)

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
}

struct app {
    struct azfn__config *config;
    struct azfn__arena arena;
    struct azfn__route_match match;
};

/* Functions alpha, beta and gamma with their function.json. */
static void set_up(struct app *app, const char *host, const char *alpha, const char *beta, const char *gamma)
{
    static const struct azfn_function functions[] = {{.name = "gamma", .handler = handle},
                                                     {.name = "alpha", .handler = handle},
                                                     {.name = "beta", .handler = handle}};
    const struct azfn__config_file files[] = {
        {.path = AZFN__SPAN("host.json"), .text = azfn_span_of(host)},
        {.path = AZFN__SPAN("gamma/function.json"), .text = azfn_span_of(gamma)},
        {.path = AZFN__SPAN("beta/function.json"), .text = azfn_span_of(beta)},
        {.path = AZFN__SPAN("alpha/function.json"), .text = azfn_span_of(alpha)},
    };
    struct azfn__config_fault fault;
    if (azfn__config_new(files, 4, functions, 3, &app->config, &fault) != AZFN_OK) {
        fail_msg("%s", fault.message);
    }
    azfn__arena_init(&app->arena, 1 << 20);
    app->match = (struct azfn__route_match){.param_count = 0};
}

static void clean_up(struct app *app)
{
    azfn__arena_clean_up(&app->arena);
    azfn__config_destroy(app->config);
}

static struct azfn__router_result find(struct app *app, enum azfn__method method, const char *path)
{
    const struct azfn__http_request request = {.method = method, .path = azfn_span_of(path)};
    return azfn__router_find(app->config, &request, &app->arena, &app->match);
}

static void require_found(struct app *app, enum azfn__method method, const char *path, enum azfn__router_kind kind,
                          const char *function)
{
    struct azfn__router_result found = find(app, method, path);
    assert_int_equal(found.kind, kind);
    assert_non_null(found.function);
    assert_true(azfn_span_equals(found.function->name, function));
}

static void require_none(struct app *app, enum azfn__method method, const char *path)
{
    struct azfn__router_result found = find(app, method, path);
    assert_int_equal(found.kind, AZFN__ROUTER_NONE);
    assert_null(found.function);
}

static void the_host_asks_for_readiness_with_a_bare_get(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(""), HTTP(""), QUEUE);
    assert_int_equal(find(&app, AZFN__METHOD_GET, "/").kind, AZFN__ROUTER_READINESS);
    require_none(&app, AZFN__METHOD_HEAD, "/");
    require_none(&app, AZFN__METHOD_POST, "/");
    require_none(&app, AZFN__METHOD_GET, "//");
    clean_up(&app);
}

static void a_function_at_the_root_is_told_from_readiness_by_the_invocation_id(void **state)
{
    (void)state;
    struct app app;
    const struct azfn__http_header header = {.name = AZFN__SPAN(ID), .value = AZFN__SPAN("0b9c")};
    const struct azfn__http_request request = {
        .method = AZFN__METHOD_GET, .path = AZFN__SPAN("/"), .headers = &header, .header_count = 1};
    set_up(&app, "{\"version\":\"2.0\",\"extensions\":{\"http\":{\"routePrefix\":\"\"}},\"customHandler\":"
                 "{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultExecutablePath\":\"handler\"}}}",
           HTTP(",\"route\":\"{*path}\",\"methods\":[\"get\"]"), QUEUE, QUEUE);
    assert_int_equal(find(&app, AZFN__METHOD_GET, "/").kind, AZFN__ROUTER_READINESS);
    struct azfn__router_result found = azfn__router_find(app.config, &request, &app.arena, &app.match);
    assert_int_equal(found.kind, AZFN__ROUTER_FORWARDED);
    assert_true(azfn_span_equals(found.function->name, "alpha"));
    clean_up(&app);
}

static void envelopes_come_by_post_to_the_exact_name(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(""), QUEUE, QUEUE);
    require_found(&app, AZFN__METHOD_POST, "/beta", AZFN__ROUTER_ENVELOPE, "beta");
    require_found(&app, AZFN__METHOD_POST, "/gamma", AZFN__ROUTER_ENVELOPE, "gamma");
    static const char *const other_paths[] = {"/Beta", "/beta/", "//beta", "/bet", "/betas", "/api/beta", "/%62eta"};
    for (size_t i = 0; i < sizeof(other_paths) / sizeof(other_paths[0]); i++) {
        require_none(&app, AZFN__METHOD_POST, other_paths[i]);
    }
    for (int method = 0; method < AZFN__METHOD_COUNT; method++) {
        if (method != AZFN__METHOD_POST) {
            require_none(&app, (enum azfn__method)method, "/beta");
        }
    }
    clean_up(&app);
}

static void an_envelope_has_no_query(void **state)
{
    (void)state;
    struct app app;
    const struct azfn__http_request request = {
        .method = AZFN__METHOD_POST, .path = AZFN__SPAN("/beta"), .query = AZFN__SPAN("")};
    set_up(&app, FORWARDING, HTTP(""), QUEUE, QUEUE);
    assert_int_equal(azfn__router_find(app.config, &request, &app.arena, &app.match).kind, AZFN__ROUTER_NONE);
    clean_up(&app);
}

static void a_forwarded_function_takes_no_envelope(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(""), QUEUE, QUEUE);
    /* a client of the host can't reach this path, and an envelope made by a client must not be believed */
    require_none(&app, AZFN__METHOD_POST, "/alpha");
    require_found(&app, AZFN__METHOD_POST, "/api/alpha", AZFN__ROUTER_FORWARDED, "alpha");
    clean_up(&app);
}

static void without_forwarding_http_comes_in_envelopes_only(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, ENVELOPES, HTTP(""), QUEUE, QUEUE);
    require_found(&app, AZFN__METHOD_POST, "/alpha", AZFN__ROUTER_ENVELOPE, "alpha");
    require_none(&app, AZFN__METHOD_POST, "/api/alpha");
    require_none(&app, AZFN__METHOD_GET, "/api/alpha");
    clean_up(&app);
}

static void a_forwarded_request_gets_the_parameters_of_its_route(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(",\"route\":\"items/{id:int}/{name?}\""), QUEUE, QUEUE);
    require_found(&app, AZFN__METHOD_GET, "/api/items/42/a%20b", AZFN__ROUTER_FORWARDED, "alpha");
    assert_int_equal(app.match.param_count, 2);
    assert_true(azfn_span_equals(app.match.params[0].value, "42"));
    assert_true(azfn_span_equals(app.match.params[1].value, "a b"));
    require_found(&app, AZFN__METHOD_GET, "/API/Items/7", AZFN__ROUTER_FORWARDED, "alpha");
    assert_true(azfn_span_equals(app.match.params[0].value, "7"));
    assert_false(azfn_span_is_present(app.match.params[1].value));
    require_none(&app, AZFN__METHOD_GET, "/api/items/x");
    clean_up(&app);
}

static void a_method_that_the_function_does_not_take_is_told_with_those_it_does(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(",\"methods\":[\"get\",\"DELETE\"]"), QUEUE, QUEUE);
    require_found(&app, AZFN__METHOD_GET, "/api/alpha", AZFN__ROUTER_FORWARDED, "alpha");
    struct azfn__router_result found = find(&app, AZFN__METHOD_POST, "/api/alpha");
    assert_int_equal(found.kind, AZFN__ROUTER_NOT_METHOD);
    assert_null(found.function);
    assert_int_equal(found.allowed, BIT(GET) | BIT(DELETE));
    clean_up(&app);
}

static void functions_that_share_a_path_are_told_apart_by_their_methods(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(",\"route\":\"x\",\"methods\":[\"get\"]"),
           HTTP(",\"route\":\"x\",\"methods\":[\"put\"]"), HTTP(",\"route\":\"x\",\"methods\":[\"put\",\"patch\"]"));
    require_found(&app, AZFN__METHOD_GET, "/api/x", AZFN__ROUTER_FORWARDED, "alpha");
    require_found(&app, AZFN__METHOD_PUT, "/api/x", AZFN__ROUTER_FORWARDED, "beta");
    require_found(&app, AZFN__METHOD_PATCH, "/api/x", AZFN__ROUTER_FORWARDED, "gamma");
    struct azfn__router_result found = find(&app, AZFN__METHOD_POST, "/api/x");
    assert_int_equal(found.kind, AZFN__ROUTER_NOT_METHOD);
    assert_int_equal(found.allowed, BIT(GET) | BIT(PUT) | BIT(PATCH));
    clean_up(&app);
}

static void the_first_function_by_name_wins_where_two_routes_match(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, QUEUE, HTTP(",\"route\":\"{*rest}\""), HTTP(",\"route\":\"items/{id}\""));
    require_found(&app, AZFN__METHOD_GET, "/api/items/1", AZFN__ROUTER_FORWARDED, "beta");
    assert_int_equal(app.match.param_count, 1);
    assert_true(azfn_span_equals(app.match.params[0].value, "items/1"));
    clean_up(&app);
    set_up(&app, FORWARDING, QUEUE, HTTP(",\"route\":\"items/{id}\""), HTTP(",\"route\":\"{*rest}\""));
    require_found(&app, AZFN__METHOD_GET, "/api/items/1", AZFN__ROUTER_FORWARDED, "beta");
    require_found(&app, AZFN__METHOD_GET, "/api/others/1", AZFN__ROUTER_FORWARDED, "gamma");
    clean_up(&app);
}

static void a_request_for_the_server_itself_is_for_no_function(void **state)
{
    (void)state;
    struct app app;
    set_up(&app, FORWARDING, HTTP(""), QUEUE, QUEUE);
    require_none(&app, AZFN__METHOD_OPTIONS, "*");
    clean_up(&app);
}

static void require_id(const struct azfn__http_header *headers, size_t count, const char *id)
{
    const struct azfn__http_request request = {.headers = headers, .header_count = count};
    struct azfn_span found = azfn__router_invocation_id(&request);
    assert_true(azfn_span_is_present(found));
    if (!azfn_span_equals(found, id)) {
        fail_msg("found \"%.*s\", expected \"%s\"", AZFN_SPAN_ARGS(found), id);
    }
}

static void the_last_invocation_id_of_a_line_is_the_hosts(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"0b9c", "0b9c"},
        {"client-made-up, 0b9c", "0b9c"},
        {"a,b,\t0b9c", "0b9c"},
        {",,0b9c", "0b9c"},
        {"client-made-up,", ""}, /* not the client's in its place */
        {",", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const struct azfn__http_header header = {.name = AZFN__SPAN("x-azure-functions-INVOCATIONID"),
                                                 .value = azfn_span_of(lines[i][0])};
        require_id(&header, 1, lines[i][1]);
    }
    require_id(NULL, 0, "");
}

static void of_several_lines_with_an_invocation_id_the_last_one_counts(void **state)
{
    (void)state;
    const struct azfn__http_header headers[] = {
        {.name = AZFN__SPAN("Host"), .value = AZFN__SPAN("127.0.0.1")},
        {.name = AZFN__SPAN(ID), .value = AZFN__SPAN("first, second")},
        {.name = AZFN__SPAN(ID), .value = AZFN__SPAN("third, 0b9c")},
        {.name = AZFN__SPAN(ID "s"), .value = AZFN__SPAN("other")},
    };
    require_id(headers, 4, "0b9c");
    require_id(headers, 2, "second");
    require_id(headers, 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_asks_for_readiness_with_a_bare_get),
        cmocka_unit_test(a_function_at_the_root_is_told_from_readiness_by_the_invocation_id),
        cmocka_unit_test(envelopes_come_by_post_to_the_exact_name),
        cmocka_unit_test(an_envelope_has_no_query),
        cmocka_unit_test(a_forwarded_function_takes_no_envelope),
        cmocka_unit_test(without_forwarding_http_comes_in_envelopes_only),
        cmocka_unit_test(a_forwarded_request_gets_the_parameters_of_its_route),
        cmocka_unit_test(a_method_that_the_function_does_not_take_is_told_with_those_it_does),
        cmocka_unit_test(functions_that_share_a_path_are_told_apart_by_their_methods),
        cmocka_unit_test(the_first_function_by_name_wins_where_two_routes_match),
        cmocka_unit_test(a_request_for_the_server_itself_is_for_no_function),
        cmocka_unit_test(the_last_invocation_id_of_a_line_is_the_hosts),
        cmocka_unit_test(of_several_lines_with_an_invocation_id_the_last_one_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
