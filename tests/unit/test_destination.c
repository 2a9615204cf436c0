/* Requests to destinations: what goes out, what comes back, and what neither may hold. A server and caches of the
 * test's own are in the place of the https client and the credential caches. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/destination.h"
#include "unit/log_lines.h"
#include "unit/timers.h"

#include <stdio.h>
#include <stdlib.h>

#define GUID "0f8fad5b-d9cb-469f-a165-70867728950e"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define TOKEN "first-token-of-the-app-0123456789"
#define NEW_TOKEN "second-token-of-the-app-9876543210"
#define KEY "key-of-the-partner-42"
#define QUEUE 0
#define PARTNER 1
#define OPEN 2

/* In the place of broker/https_client.c: what was asked for, as text. */
struct azfn__https_client {
    struct azfn__https_request *current;
    size_t started;
    size_t cancelled;
    size_t resumed;
    enum azfn_error start_error;
};

struct azfn__https_request {
    struct azfn__https_client *client;
    struct azfn__https_callbacks callbacks;
    void *user_data;
    char line[1024];
    char headers[8192];
    uint64_t body_bytes;
    uint64_t max_body_bytes;
    uint32_t timeout_ms;
    enum azfn__https_trust trust;
};

enum azfn_error azfn__https_client_start(struct azfn__https_client *client,
                                         const struct azfn__https_request_options *options,
                                         struct azfn__https_request **out_request)
{
    if (client->start_error != AZFN_OK) {
        return client->start_error;
    }
    struct azfn__https_request *request = calloc(1, sizeof(*request));
    assert_non_null(request);
    request->client = client;
    request->callbacks = options->callbacks;
    request->user_data = options->user_data;
    request->body_bytes = options->body_bytes;
    request->max_body_bytes = options->max_body_bytes;
    request->timeout_ms = options->timeout_ms;
    request->trust = options->trust;
    (void)snprintf(request->line, sizeof(request->line), "%.*s %.*s", AZFN_SPAN_ARGS(options->method),
                   AZFN_SPAN_ARGS(options->url));
    for (size_t i = 0; i < options->header_count; i++) {
        size_t length = strlen(request->headers);
        (void)snprintf(request->headers + length, sizeof(request->headers) - length, "%.*s: %.*s\n",
                       AZFN_SPAN_ARGS(options->headers[i].name), AZFN_SPAN_ARGS(options->headers[i].value));
    }
    assert_null(client->current); /* one at a time is what these tests have */
    client->current = request;
    client->started++;
    *out_request = request;
    return AZFN_OK;
}

static void forget(struct azfn__https_request *request)
{
    if (request->client->current == request) {
        request->client->current = NULL;
    }
    free(request);
}

void azfn__https_client_resume(struct azfn__https_client *client, struct azfn__https_request *request)
{
    assert_ptr_equal(client->current, request);
    client->resumed++;
}

void azfn__https_client_cancel(struct azfn__https_client *client, struct azfn__https_request *request)
{
    assert_ptr_equal(client->current, request);
    client->cancelled++;
    forget(request);
}

/* In the place of broker/credential_cache.c: one credential, or nothing yet. */
struct azfn__credential_cache {
    struct azfn__secret_slab *slab;
    struct azfn__credential credential;
    struct azfn__credential_wait *waiting;
    const char *next; /* what there is after a rejection; NULL: it has to be waited for */
    size_t rejected;
    enum azfn_error wait_error;
    struct azfn_span key; /* the last one that was asked for */
};

struct azfn__credential_wait {
    struct azfn__credential_cache *cache;
    azfn__on_credential_fn *on_credential;
    void *user_data;
};

static void set_credential(struct azfn__credential_cache *cache, const char *value)
{
    azfn__secret_release(cache->credential.value);
    cache->credential.value = value ? azfn__secret_new(cache->slab, azfn_span_of(value)) : NULL;
}

const struct azfn__credential *azfn__credential_cache_peek(struct azfn__credential_cache *cache, struct azfn_span key)
{
    cache->key = key;
    return cache->credential.value ? &cache->credential : NULL;
}

enum azfn_error azfn__credential_cache_wait(struct azfn__credential_cache *cache, struct azfn_span key,
                                            azfn__on_credential_fn *on_credential, void *user_data,
                                            struct azfn__credential_wait **out_wait)
{
    assert_true(azfn__span_equal(cache->key, key));
    assert_null(cache->waiting);
    if (cache->wait_error != AZFN_OK) {
        return cache->wait_error;
    }
    cache->waiting = calloc(1, sizeof(*cache->waiting));
    assert_non_null(cache->waiting);
    *cache->waiting =
        (struct azfn__credential_wait){.cache = cache, .on_credential = on_credential, .user_data = user_data};
    *out_wait = cache->waiting;
    return AZFN_OK;
}

void azfn__credential_cache_cancel(struct azfn__credential_wait *wait)
{
    assert_ptr_equal(wait->cache->waiting, wait);
    wait->cache->waiting = NULL;
    free(wait);
}

void azfn__credential_cache_reject(struct azfn__credential_cache *cache, struct azfn_span key)
{
    (void)key;
    cache->rejected++;
    set_credential(cache, cache->next);
}

static void answer_wait(struct azfn__credential_cache *cache, enum azfn_error error, const char *value)
{
    struct azfn__credential_wait *wait = cache->waiting;
    assert_non_null(wait);
    cache->waiting = NULL;
    set_credential(cache, value);
    wait->on_credential(error, error == AZFN_OK ? &cache->credential : NULL, wait->user_data);
    free(wait);
}

struct fixture {
    uv_loop_t loop;
    struct log_lines log;
    struct azfn__secret_slab *slab;
    struct azfn__https_client https;
    struct azfn__credential_cache tokens;
    struct azfn__credential_cache secrets;
    struct azfn_span granted[3];
    struct azfn__config_function function;
    struct azfn__config_header fixed[1];
    struct azfn__config_destination destinations[3];
    struct azfn__config config;
    struct azfn__setting setting;
    struct azfn__settings settings;
    struct azfn__development_destination local;
    struct azfn__development development;
    struct azfn__policy *policy;
    struct azfn__destinations *all;
    struct azfn__destination_request *request;

    /* what the function saw */
    unsigned status;
    char headers[4096];
    char body[200000];
    size_t body_length;
    bool refuses_body;
    bool cancels_in_body;
    size_t credit;
    size_t done;
    enum azfn_error error;
};

static void set_up_config(struct fixture *fixture)
{
    fixture->fixed[0] = (struct azfn__config_header){.name = AZFN__SPAN("x-ms-version"), .value = AZFN__SPAN("2023-11-03")};
    fixture->destinations[QUEUE] =
        (struct azfn__config_destination){.name = AZFN__SPAN("a-queue"),
                                          .url = AZFN__SPAN("https://%ACCOUNT%.queue.example/orders/"),
                                          .methods = 1U << AZFN__METHOD_GET | 1U << AZFN__METHOD_POST |
                                                     1U << AZFN__METHOD_PUT,
                                          .managed_identity = AZFN__SPAN("https://storage.example"),
                                          .headers = fixture->fixed,
                                          .header_count = 1};
    fixture->destinations[PARTNER] =
        (struct azfn__config_destination){.name = AZFN__SPAN("b-partner"),
                                          .url = AZFN__SPAN("https://api.partner.example/v1"),
                                          .methods = 1U << AZFN__METHOD_POST | 1U << AZFN__METHOD_GET,
                                          .header = AZFN__SPAN("x-api-key"),
                                          .secret = AZFN__SPAN("partner-key")};
    fixture->destinations[OPEN] = (struct azfn__config_destination){
        .name = AZFN__SPAN("c-open"), .url = AZFN__SPAN("https://open.example/"), .methods = 1U << AZFN__METHOD_GET};
    for (size_t i = 0; i < 3; i++) {
        fixture->destinations[i].timeout_ms = 30000;
        fixture->destinations[i].max_request_bytes = 100000;
        fixture->destinations[i].max_response_bytes = 1000000;
        fixture->granted[i] = fixture->destinations[i].name;
    }
    fixture->function = (struct azfn__config_function){
        .name = AZFN__SPAN("order"), .destinations = fixture->granted, .destination_count = 3};
    fixture->config = (struct azfn__config){.functions = &fixture->function,
                                            .function_count = 1,
                                            .destinations = fixture->destinations,
                                            .destination_count = 3,
                                            .limits = {.destination_requests = 2}};
    fixture->setting = (struct azfn__setting){.name = AZFN__SPAN("ACCOUNT"), .value = AZFN__SPAN("shop")};
    fixture->settings = (struct azfn__settings){.items = &fixture->setting, .count = 1};
}

static enum azfn_error resolve(struct fixture *fixture, struct azfn__config_fault *fault)
{
    const struct azfn__destinations_options options = {.loop = &fixture->loop,
                                                       .https = &fixture->https,
                                                       .tokens = &fixture->tokens,
                                                       .secrets = &fixture->secrets,
                                                       .slab = fixture->slab,
                                                       .policy = fixture->policy,
                                                       .log = &fixture->log.sink,
                                                       .config = &fixture->config,
                                                       .settings = &fixture->settings,
                                                       .development = &fixture->development};
    azfn__destinations_destroy(fixture->all);
    return azfn__destinations_new(&options, &fixture->all, fault);
}

static void set_up(struct fixture *fixture)
{
    struct azfn__config_fault fault;
    const struct azfn__secret_slab_options slots = {.small_count = 8, .medium_count = 1, .large_count = 1};
    memset(fixture, 0, sizeof(*fixture));
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    set_up_log_lines(&fixture->log);
    assert_int_equal(azfn__secret_slab_new(&slots, &fixture->slab), AZFN_OK);
    fixture->tokens.slab = fixture->slab;
    fixture->secrets.slab = fixture->slab;
    set_credential(&fixture->tokens, TOKEN);
    set_credential(&fixture->secrets, KEY);
    set_up_config(fixture);
    assert_int_equal(azfn__policy_new(&fixture->loop, &fixture->config, &fixture->log.sink, &fixture->policy), AZFN_OK);
    assert_int_equal(resolve(fixture, &fault), AZFN_OK);
}

/* No credential may be anywhere, and nothing may be left. */
static void clean_up(struct fixture *fixture)
{
    assert_null(fixture->https.current);
    assert_null(fixture->tokens.waiting);
    assert_null(fixture->secrets.waiting);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    azfn__destinations_destroy(fixture->all);
    azfn__policy_destroy(fixture->policy);
    set_credential(&fixture->tokens, NULL);
    set_credential(&fixture->secrets, NULL);
    assert_int_equal(azfn__secret_slab_used_count(fixture->slab), 0);
    azfn__secret_slab_destroy(fixture->slab);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    static const char *const CREDENTIALS[] = {TOKEN, NEW_TOKEN, KEY};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(count_of(&fixture->log, CREDENTIALS[i]), 0);
        assert_null(strstr(fixture->headers, CREDENTIALS[i]));
        assert_null(memmem(fixture->body, fixture->body_length, CREDENTIALS[i], strlen(CREDENTIALS[i])));
    }
    clean_up_log_lines(&fixture->log);
}

static void on_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data)
{
    struct fixture *fixture = user_data;
    assert_int_equal(fixture->status, 0);
    fixture->status = status;
    for (size_t i = 0; i < header_count; i++) {
        size_t length = strlen(fixture->headers);
        (void)snprintf(fixture->headers + length, sizeof(fixture->headers) - length, "%.*s: %.*s\n",
                       AZFN_SPAN_ARGS(headers[i].name), AZFN_SPAN_ARGS(headers[i].value));
    }
}

static bool on_body(struct azfn_span bytes, void *user_data)
{
    struct fixture *fixture = user_data;
    assert_int_not_equal(fixture->status, 0);
    assert_true(bytes.length > 0);
    if (fixture->refuses_body) {
        return false;
    }
    assert_true(fixture->body_length + bytes.length <= sizeof(fixture->body));
    memcpy(fixture->body + fixture->body_length, bytes.data, bytes.length);
    fixture->body_length += bytes.length;
    if (fixture->cancels_in_body) {
        azfn__destination_request_cancel(fixture->request);
    }
    return true;
}

static void on_credit(size_t bytes, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->credit += bytes;
}

static void on_done(enum azfn_error error, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->done++;
    fixture->error = error;
}

static struct azfn__destination_request_options request_to(struct fixture *fixture, size_t destination,
                                                           const char *method, const char *path)
{
    return (struct azfn__destination_request_options){
        .destination = &fixture->destinations[destination],
        .asker = {.function = AZFN__SPAN("order"), .invocation_id = AZFN__SPAN(GUID)},
        .method = azfn_span_of(method),
        .path = azfn_span_of(path),
        .timeout_ms = 20000,
        .callbacks = {.on_head = on_head, .on_body = on_body, .on_credit = on_credit, .on_done = on_done},
        .user_data = fixture};
}

static enum azfn_error try_start(struct fixture *fixture, const struct azfn__destination_request_options *options)
{
    return azfn__destination_request_start(fixture->all, options, &fixture->request);
}

static void start(struct fixture *fixture, size_t destination, const char *method, const char *path)
{
    const struct azfn__destination_request_options options = request_to(fixture, destination, method, path);
    assert_int_equal(try_start(fixture, &options), AZFN_OK);
    assert_int_equal(fixture->done, 0);
}

static void start_with_body(struct fixture *fixture, const char *method, uint64_t body_bytes)
{
    struct azfn__destination_request_options options = request_to(fixture, QUEUE, method, "messages");
    options.body_bytes = body_bytes;
    assert_int_equal(try_start(fixture, &options), AZFN_OK);
}

/* What the server does. */
static void answer_head(struct fixture *fixture, uint16_t status, const char *name, const char *value)
{
    struct azfn__https_request *https = fixture->https.current;
    const struct azfn__https_header header = {.name = azfn_span_of(name), .value = azfn_span_of(value)};
    assert_non_null(https);
    https->callbacks.on_head(status, &header, name ? 1 : 0, https->user_data);
}

static bool answer_body(struct fixture *fixture, const char *text, size_t length)
{
    struct azfn__https_request *https = fixture->https.current;
    /* memory of its own, so that what looks behind it is found */
    char *copy = malloc(length);
    assert_true(https && copy);
    memcpy(copy, text, length);
    bool is_taken = https->callbacks.on_body(azfn__span(copy, length), https->user_data);
    free(copy);
    return is_taken;
}

static void answer_end(struct fixture *fixture, enum azfn_error error, bool was_sent)
{
    struct azfn__https_request *https = fixture->https.current;
    assert_non_null(https);
    fixture->https.current = NULL; /* it is gone with on_done */
    https->callbacks.on_done(error, "the server went away", was_sent, https->user_data);
    free(https);
}

static void answer(struct fixture *fixture, uint16_t status)
{
    answer_head(fixture, status, NULL, NULL);
    if (fixture->https.current && fixture->status == status) {
        answer_end(fixture, AZFN_OK, true);
    }
}

/* What on_read gives, as the server sees it. */
static struct azfn_span read_body(struct fixture *fixture, size_t capacity, bool *out_is_last)
{
    static char bytes[200000];
    struct azfn__https_request *https = fixture->https.current;
    size_t length = 0;
    assert_true(https && capacity <= sizeof(bytes));
    https->callbacks.on_read(bytes, capacity, &length, out_is_last, https->user_data);
    return azfn__span(bytes, length);
}

static bool has_line(const char *text, const char *line)
{
    char wanted[512];
    (void)snprintf(wanted, sizeof(wanted), "%s\n", line);
    const char *at = strstr(text, wanted);
    return at && (at == text || at[-1] == '\n');
}

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
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:credential\""), 1);
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
        "first-token-of-first-token-of-the-app" TOKEN, "ffffff" TOKEN "ffffff", "first-token-of-the-app-012345678" TOKEN};
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
                 {"GET", 501, 1}, {"GET", 502, 3}, {"PUT", 503, 3}, {"GET", 504, 3}, {"POST", 503, 1}, {"POST", 429, 1}};
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
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:destination\""), 1);
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
    static char bytes[AZFN__DESTINATION_WINDOW_BYTES];
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
    static char bytes[AZFN__DESTINATION_WINDOW_BYTES];
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
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sys_fail:destination\""), 1);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    azfn__destinations_destroy(fixture.all);
    fixture.all = NULL;
    assert_int_equal(count_of(&fixture.log, "a request failed: 3 more times"), 1);
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
    static const char *const VALUES[] = {"", ".", "other.example/", "other.example/x", "other.example:443", "user@other",
                                         "other.example?", "other.example#", "a b", "other.example\\", "a..b",
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
    fixture.development = (struct azfn__development){.is_on = true, .destinations = &fixture.local, .destination_count = 1};
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
        cmocka_unit_test(credentials_in_headers_are_left_out),
        cmocka_unit_test(a_credential_in_a_body_cuts_it_off),
        cmocka_unit_test(other_bodies_come_through_unchanged),
        cmocka_unit_test(what_was_held_back_at_the_end_waits_for_the_function),
        cmocka_unit_test(a_scheme_does_not_hide_a_credential_and_a_short_one_is_not_searched),
        cmocka_unit_test(an_idempotent_request_is_tried_again),
        cmocka_unit_test(each_status_has_its_way),
        cmocka_unit_test(what_never_left_is_tried_again_whatever_it_is),
        cmocka_unit_test(a_certificate_that_is_not_trusted_is_not_tried_again),
        cmocka_unit_test(an_answer_that_breaks_off_is_not_begun_again),
        cmocka_unit_test(a_server_says_when_to_come_again),
        cmocka_unit_test(a_refused_token_is_replaced_once),
        cmocka_unit_test(a_token_that_somebody_else_had_replaced_is_used),
        cmocka_unit_test(a_refused_key_is_the_functions_answer),
        cmocka_unit_test(a_small_body_is_sent_again_and_needs_no_credit),
        cmocka_unit_test(a_large_body_goes_through_a_window),
        cmocka_unit_test(a_body_without_a_length_gets_credit_and_a_limit),
        cmocka_unit_test(a_body_that_was_all_there_has_a_length),
        cmocka_unit_test(writing_beyond_the_end_breaks_the_protocol),
        cmocka_unit_test(a_request_can_be_cancelled_in_every_state),
        cmocka_unit_test(a_client_that_can_not_start_is_an_error_at_once),
        cmocka_unit_test(requests_share_a_credential_and_the_last_one_wipes_it),
        cmocka_unit_test(failures_are_told_once_and_then_counted),
        cmocka_unit_test(a_setting_can_not_lead_elsewhere),
        cmocka_unit_test(development_has_servers_and_authorities_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
