#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/config.h"
#include "config/config_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST(more) "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":" \
                   "{\"defaultExecutablePath\":\"handler\"}}" more "}"
#define HTTP "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\",\"direction\":\"out\"," \
             "\"name\":\"res\"}]}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"}]}"

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
}

static struct azfn__config_file file(const char *path, const char *text)
{
    return (struct azfn__config_file){.path = azfn_span_of(path), .text = azfn_span_of(text)};
}

/* Two functions, "webhook" and "order"; azfn NULL: none. */
static struct azfn__config *make(const char *host, const char *webhook, const char *order, const char *azfn)
{
    static const struct azfn_function functions[] = {{.name = "webhook", .handler = handle},
                                                     {.name = "order", .handler = handle}};
    const struct azfn__config_file files[] = {file("host.json", host), file("webhook/function.json", webhook),
                                              file("order/function.json", order), file("azfn.json", azfn)};
    struct azfn__config *config;
    struct azfn__config_fault fault;
    enum azfn_error error = azfn__config_new(files, azfn ? 4 : 3, functions, 2, &config, &fault);
    if (error != AZFN_OK) {
        fail_msg("%s", fault.message);
    }
    return config;
}

static const struct azfn__config_function *get(const struct azfn__config *config, const char *name)
{
    const struct azfn__config_function *function = azfn__config_find(config, azfn_span_of(name));
    assert_non_null(function);
    return function;
}

static void without_azfn_json_nothing_is_granted_and_limits_have_defaults(void **state)
{
    (void)state;
    struct azfn__config *config = make(HOST(""), HTTP, QUEUE, NULL);
    assert_int_equal(config->function_count, 2);
    assert_int_equal(config->secret_count, 0);
    assert_int_equal(config->destination_count, 0);
    assert_int_equal(config->broker_user, 61801);
    assert_int_equal(config->worker_user, 61802);
    assert_int_equal(config->function_timeout_ms, 0);
    assert_false(config->is_sandbox_report_only);
    assert_true(azfn_span_equals(config->route_prefix, "api"));
    const struct azfn__config_function *webhook = get(config, "webhook");
    assert_int_equal(webhook->timeout_ms, 30000);
    assert_int_equal(webhook->max_concurrent, 1000);
    assert_int_equal(webhook->max_body_bytes, 16 << 20);
    assert_int_equal(webhook->secret_count + webhook->destination_count + webhook->setting_count, 0);
    struct azfn_span name;
    assert_false(azfn__config_setting_at(config, 0, &name));
    azfn__config_destroy(config);
}

static void an_http_function_is_forwarded_by_its_route_and_a_queue_is_not(void **state)
{
    (void)state;
    struct azfn__config *config = make(HOST(""), HTTP, QUEUE, NULL);
    const struct azfn__config_function *webhook = get(config, "webhook");
    struct azfn__route_match match;
    assert_int_equal(webhook->trigger, AZFN__TRIGGER_HTTP);
    assert_true(webhook->is_forwarded);
    assert_int_equal(webhook->methods, (1 << AZFN__METHOD_COUNT) - 1);
    assert_true(azfn_span_equals(webhook->trigger_binding->name, "req"));
    assert_true(azfn_span_equals(webhook->http_output->name, "res"));
    assert_true(azfn__route_match(webhook->route, AZFN__SPAN("/API/Webhook"), &config->arena, &match));
    const struct azfn__config_function *order = get(config, "order");
    assert_int_equal(order->trigger, AZFN__TRIGGER_QUEUE);
    assert_false(order->is_forwarded);
    assert_null(order->route);
    assert_null(order->http_output);
    assert_null(azfn__config_find(config, AZFN__SPAN("Order")));
    assert_null(azfn__config_find(config, AZFN__SPAN("")));
    azfn__config_destroy(config);
}

static void forwarding_is_for_one_http_trigger_and_one_http_output_only(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *function;
        bool is_forwarded;
    } cases[] = {
        {HOST(""), HTTP, true},
        {"{\"version\":\"2.0\",\"customHandler\":{\"description\":{\"defaultExecutablePath\":\"h\"}}}", HTTP, false},
        {"{\"version\":\"2.0\",\"customHandler\":{\"enableProxyingHttpRequest\":true,\"description\":"
         "{\"defaultExecutablePath\":\"h\"}}}",
         HTTP, true},
        {HOST(""), "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"}]}", false},
        {HOST(""),
         "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"a\"},{\"type\":\"HTTP\",\"direction\":\"OUT\",\"name\":"
         "\"$return\"}]}",
         true},
        {HOST(""),
         "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"a\"},{\"type\":\"http\",\"direction\":\"out\",\"name\":"
         "\"b\"},{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"c\"}]}",
         false},
        {HOST(""),
         "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"a\"},{\"type\":\"http\",\"direction\":\"out\",\"name\":"
         "\"b\"},{\"type\":\"blob\",\"direction\":\"in\",\"name\":\"c\"}]}",
         false},
        {HOST(""),
         "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"a\"},{\"type\":\"blob\",\"direction\":\"inout\",\"name\":"
         "\"c\"}]}",
         false},
        {HOST(""),
         "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"a\"},{\"type\":\"queue\",\"direction\":\"out\",\"name\":"
         "\"c\"}]}",
         false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn__config *config = make(cases[i].host, cases[i].function, QUEUE, NULL);
        assert_int_equal(get(config, "webhook")->is_forwarded, cases[i].is_forwarded);
        azfn__config_destroy(config);
    }
}

static void each_output_is_encoded_as_its_type_needs_it(void **state)
{
    (void)state;
    static const struct {
        const char *binding;
        enum azfn__output_encoding encoding;
    } cases[] = {
        {"\"type\":\"queue\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"queue\",\"dataType\":\"string\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"queue\",\"dataType\":\"binary\"", AZFN__OUTPUT_TEXT},
        {"\"type\":\"QUEUE\",\"dataType\":\"Binary\"", AZFN__OUTPUT_TEXT},
        {"\"type\":\"serviceBus\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"eventHub\",\"dataType\":\"binary\"", AZFN__OUTPUT_TEXT},
        {"\"type\":\"blob\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"kafka\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"rabbitMQ\"", AZFN__OUTPUT_BASE64},
        {"\"type\":\"cosmosDB\"", AZFN__OUTPUT_DOCUMENT},
        {"\"type\":\"table\",\"dataType\":\"binary\"", AZFN__OUTPUT_DOCUMENT},
        {"\"type\":\"Http\"", AZFN__OUTPUT_HTTP},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"a\"},{%s,\"direction\":\"out\",\"name\":\"b\"}]}",
                 cases[i].binding);
        struct azfn__config *config = make(HOST(""), HTTP, text, NULL);
        const struct azfn__config_function *order = get(config, "order");
        assert_int_equal(order->binding_count, 2);
        assert_false(order->bindings[1].is_input);
        assert_int_equal(order->bindings[1].encoding, cases[i].encoding);
        azfn__config_destroy(config);
    }
}

static void an_inout_binding_is_an_input_and_an_output(void **state)
{
    (void)state;
    struct azfn__config *config = make(HOST(""), HTTP,
                                       "{\"bindings\":[{\"type\":\"blob\",\"direction\":\"inout\",\"name\":\"b\"},"
                                       "{\"type\":\"eventGridTrigger\",\"name\":\"e\",\"direction\":\"in\"}]}",
                                       NULL);
    const struct azfn__config_function *order = get(config, "order");
    assert_int_equal(order->binding_count, 3);
    assert_true(order->bindings[0].is_input);
    assert_false(order->bindings[1].is_input);
    assert_true(azfn_span_equals(order->bindings[1].name, "b"));
    assert_ptr_equal(order->trigger_binding, &order->bindings[2]);
    assert_int_equal(order->trigger, AZFN__TRIGGER_OTHER);
    azfn__config_destroy(config);
}

static void the_files_of_the_host_may_have_comments_and_unknown_keys(void **state)
{
    (void)state;
    struct azfn__config *config = make(
        "\xef\xbb\xbf// \"version\": 3\n{\"version\":\"2.0\",/* { \n * */\"logging\":{\"a\":[1,{}]},\"customHandler\":"
        "{\"description\":{\"defaultExecutablePath\":\"a//b /* c */\\\"//\"}} // the end\r\n}/**/",
        "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\",\"route\":null,\"methods\":[],\"x\":{}}]}", QUEUE,
        NULL);
    assert_false(config->is_forwarding);
    azfn__config_destroy(config);
}

static void the_profile_for_mcp_proxies_and_has_no_prefix(void **state)
{
    (void)state;
    struct azfn__config *config = make(HOST(",\"configurationProfile\":\"mcp-custom-handler\""), HTTP, QUEUE, NULL);
    assert_true(config->is_proxying);
    assert_int_equal(config->route_prefix.length, 0);
    azfn__config_destroy(config);
    config = make(HOST(",\"configurationProfile\":\"another\""), HTTP, QUEUE, NULL);
    assert_false(config->is_proxying);
    assert_true(azfn_span_equals(config->route_prefix, "api"));
    azfn__config_destroy(config);
}

static void the_route_prefix_is_trimmed_and_may_be_empty(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"", "", "/webhook"},        {"/", "", "/webhook"},       {"/v1/", "v1", "/v1/webhook"},
        {"a/b", "a/b", "/a/b/webhook"}, {"{t}", "{t}", "/x/webhook"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char host[256];
        struct azfn__route_match match;
        snprintf(host, sizeof(host), HOST(",\"extensions\":{\"http\":{\"routePrefix\":\"%s\"}}"), cases[i][0]);
        struct azfn__config *config = make(host, HTTP, QUEUE, NULL);
        assert_true(azfn_span_equals(config->route_prefix, cases[i][1]));
        assert_true(azfn__route_match(get(config, "webhook")->route, azfn_span_of(cases[i][2]), &config->arena, &match));
        azfn__config_destroy(config);
    }
}

static void the_default_timeout_stays_below_the_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t function_timeout_ms;
        uint32_t timeout_ms;
    } cases[] = {
        {"\"-1\"", 0, 30000},          {"-1", 0, 30000},
        {"\"00:05:00\"", 300000, 30000}, {"\"00:00:35\"", 35000, 30000},
        {"\"00:00:34\"", 34000, 29000},  {"\"00:00:07\"", 7000, 2000},
        {"\"00:00:06\"", 6000, 1000},    {"\"00:00:01\"", 1000, 1000},
        {"\"1.02:03:04\"", 93784000, 30000}, {"\"0:0:9\"", 9000, 4000},
        {"null", 0, 30000},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char host[256];
        snprintf(host, sizeof(host), HOST(",\"functionTimeout\":%s"), cases[i].text);
        struct azfn__config *config = make(host, HTTP, QUEUE, NULL);
        assert_int_equal(config->function_timeout_ms, cases[i].function_timeout_ms);
        assert_int_equal(get(config, "order")->timeout_ms, cases[i].timeout_ms);
        azfn__config_destroy(config);
    }
}

static const char POLICY[] =
    "{\"$schema\":\"./azfn.schema.json\",\"secrets\":{"
    "\"webhook-key\":{\"reference\":\"@Microsoft.KeyVault(VaultName=%KEY_VAULT_NAME%;SecretName=webhook-key)\"},"
    "\"partner-key\":{\"reference\":\"@Microsoft.KeyVault(SecretUri=https://v-1.vault.azure.net/secrets/p/"
    "0123456789abcdef0123456789ABCDEF)\"}},"
    "\"destinations\":{"
    "\"orders-queue\":{\"url\":\"https://%STORAGE_ACCOUNT%.queue.core.windows.net/orders/\",\"methods\":[\"POST\"],"
    "\"authenticate\":{\"managedIdentity\":\"https://storage.azure.com\"}},"
    "\"partner\":{\"url\":\"https://api.partner.example:8443/v1/\",\"methods\":[\"GET\",\"POST\"],"
    "\"authenticate\":{\"header\":\"x-api-key\",\"secret\":\"partner-key\"}}},"
    "\"functions\":{\"webhook\":{\"secrets\":[\"webhook-key\"],\"destinations\":[\"orders-queue\"],"
    "\"settings\":[\"ORDER_REGION\",\"KEY_VAULT_NAME\"],\"timeoutMs\":295000,\"maxConcurrent\":64,\"maxBodyBytes\":0},"
    "\"order\":{\"destinations\":[\"partner\",\"orders-queue\"]}},"
    "\"users\":{\"broker\":4294967293,\"worker\":1},\"sandbox\":\"report\"}";

static void azfn_json_grants_what_it_says(void **state)
{
    (void)state;
    struct azfn__config *config = make(HOST(",\"functionTimeout\":\"00:05:00\""), HTTP, QUEUE, POLICY);
    assert_int_equal(config->secret_count, 2);
    assert_true(azfn_span_equals(config->secrets[0].name, "partner-key"));
    assert_int_equal(config->destination_count, 2);
    const struct azfn__config_destination *queue = azfn__config_find_destination(config, AZFN__SPAN("orders-queue"));
    assert_non_null(queue);
    assert_int_equal(queue->methods, 1 << AZFN__METHOD_POST);
    assert_true(azfn_span_equals(queue->managed_identity, "https://storage.azure.com"));
    assert_false(azfn_span_is_present(queue->header));
    const struct azfn__config_destination *partner = azfn__config_find_destination(config, AZFN__SPAN("partner"));
    assert_non_null(partner);
    assert_int_equal(partner->methods, 1 << AZFN__METHOD_GET | 1 << AZFN__METHOD_POST);
    assert_true(azfn_span_equals(partner->secret, "partner-key"));
    assert_false(azfn_span_is_present(partner->managed_identity));
    assert_null(azfn__config_find_secret(config, AZFN__SPAN("other")));

    const struct azfn__config_function *webhook = get(config, "webhook");
    assert_int_equal(webhook->timeout_ms, 295000);
    assert_int_equal(webhook->max_concurrent, 64);
    assert_int_equal(webhook->max_body_bytes, 0);
    assert_int_equal(webhook->secret_count, 1);
    assert_true(azfn_span_equals(webhook->secrets[0], "webhook-key"));
    assert_int_equal(webhook->setting_count, 2);
    const struct azfn__config_function *order = get(config, "order");
    assert_int_equal(order->secret_count, 0);
    assert_int_equal(order->destination_count, 2);
    assert_true(azfn_span_equals(order->destinations[0], "partner"));
    assert_int_equal(order->timeout_ms, 30000);

    assert_int_equal(config->broker_user, 4294967293);
    assert_int_equal(config->worker_user, 1);
    assert_true(config->is_sandbox_report_only);
    azfn__config_destroy(config);
}

static void the_settings_that_are_needed_are_listed_once_each(void **state)
{
    (void)state;
    static const char *const expected[] = {"KEY_VAULT_NAME", "ORDER_REGION", "STORAGE_ACCOUNT"};
    struct azfn__config *config = make(HOST(""), HTTP, QUEUE, POLICY);
    struct azfn_span name;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(azfn__config_setting_at(config, i, &name));
        assert_true(azfn_span_equals(name, expected[i]));
    }
    assert_false(azfn__config_setting_at(config, sizeof(expected) / sizeof(expected[0]), &name));
    azfn__config_destroy(config);
}

#define DESTINATION(more) "{\"url\":\"https://a.example/\",\"methods\":[\"GET\"],\"authenticate\":\"none\"" more "}"

static void a_destination_may_have_no_credential_and_has_limits_and_headers(void **state)
{
    (void)state;
    struct azfn__config *config =
        make(HOST(""), HTTP, QUEUE,
             "{\"destinations\":{\"usual\":" DESTINATION("") ",\"own\":" DESTINATION(
                 ",\"headers\":{\"x-ms-version\":\"2023-11-03\",\"X-Empty\":\"\"},\"timeoutMs\":1,"
                 "\"maxRequestBytes\":0,\"maxResponseBytes\":134217728") "}}");
    const struct azfn__config_destination *usual = azfn__config_find_destination(config, AZFN__SPAN("usual"));
    const struct azfn__config_destination *own = azfn__config_find_destination(config, AZFN__SPAN("own"));
    assert_non_null(usual);
    assert_non_null(own);
    assert_false(azfn_span_is_present(usual->managed_identity));
    assert_false(azfn_span_is_present(usual->header));
    assert_false(azfn_span_is_present(usual->secret));
    assert_int_equal(usual->header_count, 0);
    assert_int_equal(usual->timeout_ms, 30000);
    assert_int_equal(usual->max_request_bytes, 1 << 20);
    assert_int_equal(usual->max_response_bytes, 1 << 20);
    assert_int_equal(own->header_count, 2);
    assert_true(azfn_span_equals(own->headers[0].name, "x-ms-version"));
    assert_true(azfn_span_equals(own->headers[0].value, "2023-11-03"));
    assert_true(azfn_span_equals(own->headers[1].value, ""));
    assert_int_equal(own->timeout_ms, 1);
    assert_int_equal(own->max_request_bytes, 0);
    assert_int_equal(own->max_response_bytes, 128 << 20);
    azfn__config_destroy(config);
}

static void a_secret_is_fetched_at_start_where_it_says_so(void **state)
{
    (void)state;
    static const char REFERENCE[] = "\"reference\":\"@Microsoft.KeyVault(VaultName=vault;SecretName=s)\"";
    static const struct {
        const char *more;
        bool is_preloaded;
    } cases[] = {{"", false}, {",\"preload\":true", true}, {",\"preload\":false", false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "{\"secrets\":{\"k\":{%s%s}}}", REFERENCE, cases[i].more);
        struct azfn__config *config = make(HOST(""), HTTP, QUEUE, text);
        assert_int_equal(config->secrets[0].is_preloaded, cases[i].is_preloaded);
        azfn__config_destroy(config);
    }
}

static void the_identity_is_the_systems_or_a_named_one(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *id;
        size_t offset;
        const char *setting;
    } cases[] = {
        {"clientId", "01234567-89ab-cdef-0123-456789ABCDEF", offsetof(struct azfn__config_identity, client_id), NULL},
        {"clientId", "%CLIENT_ID%", offsetof(struct azfn__config_identity, client_id), "CLIENT_ID"},
        {"principalId", "%PRINCIPAL%", offsetof(struct azfn__config_identity, principal_id), "PRINCIPAL"},
        {"resourceId", "/subscriptions/%SUBSCRIPTION%/resourceGroups/a_(b).c/providers/x",
         offsetof(struct azfn__config_identity, resource_id), "SUBSCRIPTION"},
        {"resourceId", "%RESOURCE%", offsetof(struct azfn__config_identity, resource_id), "RESOURCE"},
    };
    struct azfn__config *config = make(HOST(""), HTTP, QUEUE, "{\"secretsInEnvironment\":\"report\"}");
    assert_false(azfn_span_is_present(config->identity.client_id));
    assert_false(azfn_span_is_present(config->identity.resource_id));
    assert_false(azfn_span_is_present(config->identity.principal_id));
    assert_false(config->refuses_secrets_in_environment);
    azfn__config_destroy(config);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct azfn_span ids[3];
        struct azfn_span name;
        snprintf(text, sizeof(text), "{\"identity\":{\"%s\":\"%s\"},\"secretsInEnvironment\":\"refuse\"}", cases[i].key,
                 cases[i].id);
        config = make(HOST(""), HTTP, QUEUE, text);
        memcpy(ids, &config->identity, sizeof(ids));
        for (size_t k = 0; k < 3; k++) {
            bool is_it = cases[i].offset == k * sizeof(ids[0]);
            assert_true(is_it ? azfn_span_equals(ids[k], cases[i].id) : !azfn_span_is_present(ids[k]));
        }
        assert_int_equal(azfn__config_setting_at(config, 0, &name), cases[i].setting != NULL);
        assert_true(!cases[i].setting || azfn_span_equals(name, cases[i].setting));
        assert_true(config->refuses_secrets_in_environment);
        azfn__config_destroy(config);
    }
}

static void functions_get_the_settings_that_they_are_granted(void **state)
{
    (void)state;
    static const struct azfn_function functions[] = {{.name = "webhook", .handler = handle},
                                                     {.name = "order", .handler = handle}};
    static const char LINES[] = "ORDER_REGION=west\nNOT_NAMED=1\nSTORAGE_ACCOUNT=s\nno line\nKEY_VAULT_NAME==a=b\n";
    const struct azfn__config_file files[] = {file("host.json", HOST("")), file("webhook/function.json", HTTP),
                                              file("order/function.json", QUEUE), file("azfn.json", POLICY),
                                              file(AZFN__CONFIG_SETTINGS, LINES)};
    struct azfn__config *config;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__config_new(files, 5, functions, 2, &config, &fault), AZFN_OK);
    const struct azfn__config_function *webhook = get(config, "webhook");
    assert_int_equal(webhook->setting_count, 2);
    assert_true(azfn_span_equals(webhook->setting_values[0], "west"));
    assert_true(azfn_span_equals(webhook->setting_values[1], "=a=b"));
    assert_non_null(get(config, "order")->setting_values);
    azfn__config_destroy(config);
    const struct azfn__config_file fewer[] = {files[0], files[1], files[2], files[3],
                                              file(AZFN__CONFIG_SETTINGS, "KEY_VAULT_NAME=")};
    assert_int_equal(azfn__config_new(fewer, 5, functions, 2, &config, &fault), AZFN_OK);
    webhook = get(config, "webhook");
    assert_false(azfn_span_is_present(webhook->setting_values[0]));
    assert_true(azfn_span_equals(webhook->setting_values[1], ""));
    assert_true(azfn_span_is_present(webhook->setting_values[1]));
    azfn__config_destroy(config);
}

static void the_platform_is_known_by_lines_of_the_environment(void **state)
{
    (void)state;
    static const struct azfn_function functions[] = {{.name = "order", .handler = handle}};
    static const struct {
        const char *lines;
        bool is_core_tools;
        bool is_easy_auth_on;
    } cases[] = {
        {AZFN__CONFIG_IS_CORE_TOOLS, true, false},
        {AZFN__CONFIG_IS_EASY_AUTH_ON, false, true},
        {AZFN__CONFIG_IS_CORE_TOOLS AZFN__CONFIG_IS_EASY_AUTH_ON, true, true},
        {"X_" AZFN__CONFIG_IS_EASY_AUTH_ON "WEBSITE_AUTH_ENABLED=false\n", false, false},
        {"WEBSITE_AUTH_ENABLED=true", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct azfn__config_file files[] = {file("host.json", HOST("")), file("order/function.json", QUEUE),
                                                  file(AZFN__CONFIG_ENVIRONMENT, cases[i].lines)};
        struct azfn__config *config;
        struct azfn__config_fault fault;
        assert_int_equal(azfn__config_new(files, 3, functions, 1, &config, &fault), AZFN_OK);
        assert_int_equal(config->is_core_tools, cases[i].is_core_tools);
        assert_int_equal(config->is_easy_auth_on, cases[i].is_easy_auth_on);
        azfn__config_destroy(config);
    }
}

#define INSIGHTS AZFN__CONFIG_HAS_APPLICATION_INSIGHTS
#define LOGGING(text) HOST(",\"logging\":{" text "}")
#define LEVELS(text) LOGGING("\"logLevel\":{" text "}")
#define SAMPLING(text) LOGGING("\"applicationInsights\":{\"samplingSettings\":{" text "}}")
#define SETTING(name, value) "AzureFunctionsJobHost__logging__" name "=" value "\n"

static void lines_that_the_host_does_not_pass_on_are_a_weakness(void **state)
{
    (void)state;
    static const struct azfn_function functions[] = {{.name = "order", .handler = handle}};
    static const struct {
        const char *host;
        const char *environment;
        bool samples;
        bool drops;
    } cases[] = {
        /* sampling is on where nothing is said, and of no matter without Application Insights */
        {HOST(""), INSIGHTS, true, false},
        {HOST(""), NULL, false, false},
        {SAMPLING("\"excludedTypes\":\"Request;Trace\""), INSIGHTS, false, false},
        {SAMPLING("\"excludedTypes\":\"trace\""), INSIGHTS, false, false},
        {SAMPLING("\"excludedTypes\":\"Request;Traces\""), INSIGHTS, true, false},
        {SAMPLING("\"excludedTypes\":3"), INSIGHTS, true, false},
        {SAMPLING("\"isEnabled\":false"), INSIGHTS, false, false},
        {SAMPLING("\"isEnabled\":true"), INSIGHTS, true, false},
        {SAMPLING("\"includedTypes\":\"Request\""), INSIGHTS, false, false},
        {SAMPLING("\"includedTypes\":\"Request;Trace\""), INSIGHTS, true, false},
        {HOST(",\"Logging\":{\"APPLICATIONINSIGHTS\":{\"samplingsettings\":{\"ExcludedTypes\":\"Trace\"}}}"),
         INSIGHTS, false, false},
        {HOST(",\"telemetryMode\":\"OpenTelemetry\""), INSIGHTS, false, false},
        {HOST(""), INSIGHTS "AzureFunctionsJobHost__telemetryMode=openTelemetry\n", false, false},
        {HOST(""), INSIGHTS SETTING("applicationInsights__samplingSettings__isEnabled", "False"), false, false},
        {SAMPLING("\"isEnabled\":false"),
         INSIGHTS "azurefunctionsjobhost:logging:applicationinsights:samplingsettings:isenabled=true\n", true, false},
        {SAMPLING("\"excludedTypes\":\"Trace\""),
         INSIGHTS SETTING("applicationInsights__samplingSettings__excludedTypes", ""), true, false},
        /* levels: the longest category that fits */
        {LEVELS("\"default\":\"Warning\""), NULL, false, true},
        {LEVELS("\"Default\":\"none\""), NULL, false, true},
        {LEVELS("\"default\":\"Information\""), NULL, false, false},
        {LEVELS("\"default\":\"Trace\""), NULL, false, false},
        {LEVELS("\"default\":3"), NULL, false, true},
        {LEVELS("\"default\":\"None\",\"Host\":\"Information\""), NULL, false, false},
        {LEVELS("\"Host.Function\":\"Error\",\"Host\":\"Information\""), NULL, false, true},
        {LEVELS("\"host.function.console\":\"Information\",\"Host.Function\":\"Error\""), NULL, false, false},
        {LEVELS("\"Function\":\"Error\",\"Host.Function.Consoles\":\"Error\""), NULL, false, false},
        {LEVELS("\"Host.*.Console\":\"Error\",\"Host\":\"Information\""), NULL, false, true},
        {LEVELS("\"Host.*.Aggregator\":\"Error\""), NULL, false, false},
        {LEVELS("\"Host.Function.Console\":\"Information\""), SETTING("logLevel__default", "None"), false, false},
        {LEVELS("\"Host.Function.Console\":\"Information\""), SETTING("logLevel__Host.Function.Console", "None"), false,
         true},
        {LEVELS("\"default\":\"None\""), SETTING("logLevel__default", "Information"), false, false},
        /* Application Insights' own levels stand above the others, for Application Insights */
        {LOGGING("\"applicationInsights\":{\"logLevel\":{\"default\":\"Error\"},\"samplingSettings\":"
                 "{\"isEnabled\":false}}"),
         INSIGHTS, false, true},
        {LOGGING("\"applicationInsights\":{\"logLevel\":{\"default\":\"Error\"}}"), NULL, false, false},
        {LOGGING("\"logLevel\":{\"default\":\"Error\"},\"applicationInsights\":{\"logLevel\":{\"default\":"
                 "\"Information\"},\"samplingSettings\":{\"isEnabled\":false}}"),
         INSIGHTS, false, false},
        /* of any form; what others than levels and sampling say is not looked at */
        {LOGGING("\"sink\":{\"template\":\"a\\n\\u0000b\"},\"console\":{\"isEnabled\":\"\\t\"}"), NULL, false, false},
        {LOGGING(""), NULL, false, false},
        {HOST(",\"logging\":[\"logLevel\"]"), NULL, false, false},
        {HOST(",\"logging\":null"), NULL, false, false},
        {HOST(""), SETTING("", "") "AzureFunctionsJobHost\n=\n\nAzureFunctionsJobHost__\n", false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *environment = cases[i].environment ? cases[i].environment : "";
        const struct azfn__config_file files[] = {file("host.json", cases[i].host), file("order/function.json", QUEUE),
                                                  file(AZFN__CONFIG_ENVIRONMENT, environment)};
        struct azfn__config *config;
        struct azfn__config_fault fault;
        bool samples = false;
        bool drops = false;
        assert_int_equal(azfn__config_new(files, 3, functions, 1, &config, &fault), AZFN_OK);
        for (size_t k = 0; k < config->weakness_count; k++) {
            samples = samples || azfn_span_equals(config->weaknesses[k].reason, "lines are sampled");
            drops = drops || azfn_span_equals(config->weaknesses[k].reason, "lines are dropped by their level");
        }
        if (samples != cases[i].samples || drops != cases[i].drops) {
            fail_msg("case %zu: samples %d, drops %d", i, samples, drops);
        }
        azfn__config_destroy(config);
    }
}

static void functions_are_sorted_as_the_host_sorts_them(void **state)
{
    (void)state;
    static const char *const expected[] = {"a", "A-1", "A1", "aB", "a_1"};
    static const struct azfn_function functions[] = {{.name = "a_1", .handler = handle}, {.name = "aB", .handler = handle},
                                                     {.name = "A1", .handler = handle},  {.name = "A-1", .handler = handle},
                                                     {.name = "a", .handler = handle}};
    const struct azfn__config_file files[] = {
        file("host.json", HOST("")),    file("A-1/function.json", QUEUE), file("A1/function.json", QUEUE),
        file("a/function.json", QUEUE), file("aB/function.json", QUEUE),  file("a_1/function.json", QUEUE)};
    struct azfn__config *config;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__config_new(files, 6, functions, 5, &config, &fault), AZFN_OK);
    for (size_t i = 0; i < 5; i++) {
        assert_true(azfn_span_equals(config->functions[i].name, expected[i]));
        assert_ptr_equal(azfn__config_find(config, azfn_span_of(expected[i])), &config->functions[i]);
    }
    azfn__config_destroy(config);
}

static void settings_are_taken_out_of_text_from_left_to_right(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *pieces; /* literal|setting|literal|... */
    } cases[] = {
        {"", ""},           {"abc", "abc|"},      {"%A%", "|A|"},       {"x%A%y%B%", "x|A|y|B|"},
        {"100%", "100%|"},  {"%1%A%", "%1|A|"},   {"%%A%", "%|A|"},     {"%A", "%A|"},
        {"% A%", "% A%|"},  {"%A:b.c-d_1%", "|A:b.c-d_1|"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn_span rest = azfn_span_of(cases[i].text);
        struct azfn_span literal;
        struct azfn_span setting;
        char found[128] = "";
        size_t length = 0;
        while (azfn__config_text_next(&rest, &literal, &setting)) {
            length += (size_t)snprintf(found + length, sizeof(found) - length, "%.*s|%.*s%s", AZFN_SPAN_ARGS(literal),
                                       AZFN_SPAN_ARGS(setting), azfn_span_is_present(setting) ? "|" : "");
        }
        assert_string_equal(found, cases[i].pieces);
    }
}

static void a_key_vault_reference_is_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *parts; /* vault suffix name version */
    } cases[] = {
        {"@Microsoft.KeyVault(VaultName=vault;SecretName=s)", "vault - s -"},
        {"@Microsoft.KeyVault(SecretName=s;VaultName=vault;)", "vault - s -"},
        {"@Microsoft.KeyVault(VaultName=vault;SecretName=s;SecretVersion=00112233445566778899aabbccddeeff)",
         "vault - s 00112233445566778899aabbccddeeff"},
        {"@Microsoft.KeyVault(VaultName=%V%;SecretName=%S%-key)", "%V% - %S%-key -"},
        {"@Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/s)", "vault .vault.azure.net s -"},
        {"@Microsoft.KeyVault(SecretUri=https://vault.vault.azure.net/secrets/s/)", "vault .vault.azure.net s -"},
        {"@Microsoft.KeyVault(SecretUri=https://%V%.vault.azure.cn/secrets/s/%VERSION%)",
         "%V% .vault.azure.cn s %VERSION%"},
        {"@Microsoft.KeyVault(SecretUri=https://vault.vault.usgovcloudapi.net/secrets/s/"
         "00112233445566778899aabbccddeeff/)",
         "vault .vault.usgovcloudapi.net s 00112233445566778899aabbccddeeff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn__key_vault_reference reference;
        char found[256];
        assert_null(azfn__key_vault_reference_parse(azfn_span_of(cases[i].text), &reference));
        snprintf(found, sizeof(found), "%.*s %.*s %.*s %.*s", AZFN_SPAN_ARGS(reference.vault),
                 AZFN_SPAN_ARGS(azfn_span_is_present(reference.suffix) ? reference.suffix : AZFN__SPAN("-")),
                 AZFN_SPAN_ARGS(reference.name),
                 AZFN_SPAN_ARGS(azfn_span_is_present(reference.version) ? reference.version : AZFN__SPAN("-")));
        assert_string_equal(found, cases[i].parts);
    }
}

static void methods_have_names(void **state)
{
    (void)state;
    assert_true(azfn_span_equals(azfn__method_name(AZFN__METHOD_GET), "GET"));
    assert_true(azfn_span_equals(azfn__method_name(AZFN__METHOD_TRACE), "TRACE"));
    assert_false(azfn_span_is_present(azfn__method_name(AZFN__METHOD_COUNT)));
    azfn__config_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_azfn_json_nothing_is_granted_and_limits_have_defaults),
        cmocka_unit_test(an_http_function_is_forwarded_by_its_route_and_a_queue_is_not),
        cmocka_unit_test(forwarding_is_for_one_http_trigger_and_one_http_output_only),
        cmocka_unit_test(each_output_is_encoded_as_its_type_needs_it),
        cmocka_unit_test(an_inout_binding_is_an_input_and_an_output),
        cmocka_unit_test(the_files_of_the_host_may_have_comments_and_unknown_keys),
        cmocka_unit_test(the_profile_for_mcp_proxies_and_has_no_prefix),
        cmocka_unit_test(the_route_prefix_is_trimmed_and_may_be_empty),
        cmocka_unit_test(the_default_timeout_stays_below_the_hosts),
        cmocka_unit_test(azfn_json_grants_what_it_says),
        cmocka_unit_test(the_settings_that_are_needed_are_listed_once_each),
        cmocka_unit_test(functions_get_the_settings_that_they_are_granted),
        cmocka_unit_test(a_destination_may_have_no_credential_and_has_limits_and_headers),
        cmocka_unit_test(a_secret_is_fetched_at_start_where_it_says_so),
        cmocka_unit_test(the_identity_is_the_systems_or_a_named_one),
        cmocka_unit_test(the_platform_is_known_by_lines_of_the_environment),
        cmocka_unit_test(lines_that_the_host_does_not_pass_on_are_a_weakness),
        cmocka_unit_test(functions_are_sorted_as_the_host_sorts_them),
        cmocka_unit_test(settings_are_taken_out_of_text_from_left_to_right),
        cmocka_unit_test(a_key_vault_reference_is_taken_apart),
        cmocka_unit_test(methods_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
