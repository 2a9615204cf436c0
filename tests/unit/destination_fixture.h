/* unit/destination_fixture.h
 * Destinations with a server and credential caches of the test's own in the place of the https client and the real
 * caches. After cmocka.h. */
#ifndef TESTS_UNIT_DESTINATION_FIXTURE_H
#define TESTS_UNIT_DESTINATION_FIXTURE_H

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

static inline void forget(struct azfn__https_request *request)
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

static inline void set_credential(struct azfn__credential_cache *cache, const char *value)
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

static inline void answer_wait(struct azfn__credential_cache *cache, enum azfn_error error, const char *value)
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

static inline void set_up_config(struct fixture *fixture)
{
    fixture->fixed[0].name = AZFN__SPAN("x-ms-version");
    fixture->fixed[0].value = AZFN__SPAN("2023-11-03");
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

static inline enum azfn_error resolve(struct fixture *fixture, struct azfn__config_fault *fault)
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

static inline void set_up(struct fixture *fixture)
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
static inline void clean_up(struct fixture *fixture)
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

static inline void on_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count,
                           void *user_data)
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

static inline bool on_body(struct azfn_span bytes, void *user_data)
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

static inline void on_credit(size_t bytes, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->credit += bytes;
}

static inline void on_done(enum azfn_error error, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->done++;
    fixture->error = error;
}

static inline struct azfn__destination_request_options request_to(struct fixture *fixture, size_t destination,
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

static inline enum azfn_error try_start(struct fixture *fixture,
                                        const struct azfn__destination_request_options *options)
{
    return azfn__destination_request_start(fixture->all, options, &fixture->request);
}

static inline void start(struct fixture *fixture, size_t destination, const char *method, const char *path)
{
    const struct azfn__destination_request_options options = request_to(fixture, destination, method, path);
    assert_int_equal(try_start(fixture, &options), AZFN_OK);
    assert_int_equal(fixture->done, 0);
}

static inline void start_with_body(struct fixture *fixture, const char *method, uint64_t body_bytes)
{
    struct azfn__destination_request_options options = request_to(fixture, QUEUE, method, "messages");
    options.body_bytes = body_bytes;
    assert_int_equal(try_start(fixture, &options), AZFN_OK);
}

/* What the server does. */
static inline void answer_head(struct fixture *fixture, uint16_t status, const char *name, const char *value)
{
    struct azfn__https_request *https = fixture->https.current;
    const struct azfn__https_header header = {.name = azfn_span_of(name), .value = azfn_span_of(value)};
    assert_non_null(https);
    https->callbacks.on_head(status, &header, name ? 1 : 0, https->user_data);
}

static inline bool answer_body(struct fixture *fixture, const char *text, size_t length)
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

static inline void answer_end(struct fixture *fixture, enum azfn_error error, bool was_sent)
{
    struct azfn__https_request *https = fixture->https.current;
    assert_non_null(https);
    fixture->https.current = NULL; /* it is gone with on_done */
    https->callbacks.on_done(error, "the server went away", was_sent, https->user_data);
    free(https);
}

static inline void answer(struct fixture *fixture, uint16_t status)
{
    answer_head(fixture, status, NULL, NULL);
    if (fixture->https.current && fixture->status == status) {
        answer_end(fixture, AZFN_OK, true);
    }
}

/* What on_read gives, as the server sees it. */
static inline struct azfn_span read_body(struct fixture *fixture, size_t capacity, bool *out_is_last)
{
    static char bytes[200000];
    struct azfn__https_request *https = fixture->https.current;
    size_t length = 0;
    assert_true(https && capacity <= sizeof(bytes));
    https->callbacks.on_read(bytes, capacity, &length, out_is_last, https->user_data);
    return azfn__span(bytes, length);
}

static inline bool has_line(const char *text, const char *line)
{
    char wanted[512];
    (void)snprintf(wanted, sizeof(wanted), "%s\n", line);
    const char *at = strstr(text, wanted);
    return at && (at == text || at[-1] == '\n');
}

#endif
