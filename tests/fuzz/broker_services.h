/* fuzz/broker_services.h
 * What the broker does for functions, for fuzz_channel_broker.c: its own policy, caches and destinations, in front of an
 * identity, a vault and servers that answer what and when the input says. Nothing but the one secret that is granted may
 * reach the worker, and no credential any other place than its own. */
#ifndef TESTS_FUZZ_BROKER_SERVICES_H
#define TESTS_FUZZ_BROKER_SERVICES_H

#include "base/span.h"
#include "broker/services.h"
#include "fuzz/check.h"
#include "fuzz/virtual_clock.h"

#include <sodium.h>
#include <string.h>

#define TOKEN "token-of-the-identity-0123456789"
#define INNER "secret-of-a-destination-42"
#define OPEN "secret-that-is-granted"
#define BIG_BYTES ((size_t)25000)
#define MAX_FETCHES 64
#define PIECE_MAX_BYTES ((size_t)16384)

/* In the place of azfn-https.so's. */
struct azfn__https_request {
    struct azfn__https_request *next;
    struct azfn__https_request **from; /* what points to this one */
    struct azfn__https_callbacks callbacks;
    void *user_data;
    const char *credential; /* what this server knows */
    uint64_t body_bytes;
    uint64_t given_bytes; /* of the request's body */
    bool is_body_whole;
    bool has_head;
    bool is_paused;
    struct azfn__buffer held; /* the piece that comes again */
    bool is_in_call;
    bool is_cancelled;
};

struct fetch {
    struct azfn_span key;
    azfn__on_fetched_fn *on_fetched;
    void *user_data;
};

static struct {
    struct azfn__services services;
    struct azfn__secret_slab *slab;
    struct azfn__credential_source source;
    struct fetch fetches[MAX_FETCHES];
    size_t fetch_count;
    struct azfn__https_request *requests;
    bool has_big_secret;
} others;

static const struct azfn_span granted_names[] = {{"free", 4}, {"partner", 7}, {"queue", 5}};
static const struct azfn_span secret_names[] = {{"closed", 6}, {"inner", 5}, {"open", 4}};
static const struct azfn__config_function functions_of_app[] = {
    {.name = {"asker", 5}, .secrets = &secret_names[2], .secret_count = 1, .destinations = granted_names,
     .destination_count = 3},
    {.name = {"other", 5}},
};
static const struct azfn__config_secret secrets_of_app[] = {
    {.name = {"closed", 6}}, {.name = {"inner", 5}}, {.name = {"open", 4}}};
#define METHODS (1U << AZFN__METHOD_GET | 1U << AZFN__METHOD_POST | 1U << AZFN__METHOD_PUT)
#define DESTINATION_LIMITS .methods = METHODS, .timeout_ms = 30000, .max_request_bytes = 100000, .max_response_bytes = 100000
static const struct azfn__config_destination destinations_of_app[] = {
    {.name = {"free", 4}, .url = {"https://free.example", 20}, DESTINATION_LIMITS},
    {.name = {"partner", 7}, .url = {"https://partner.example/v1/", 27}, .header = {"x-key", 5},
     .secret = {"inner", 5}, DESTINATION_LIMITS},
    {.name = {"queue", 5}, .url = {"https://queue.example/orders/", 29},
     .managed_identity = {"https://storage.example", 23}, DESTINATION_LIMITS},
};
static const struct azfn__config config_of_app = {.functions = functions_of_app,
                                                  .function_count = 2,
                                                  .secrets = secrets_of_app,
                                                  .secret_count = 3,
                                                  .destinations = destinations_of_app,
                                                  .destination_count = 3,
                                                  .limits = {.destination_requests = 6}};

/* Waits that are random would make an input do another thing each time. */
static inline const char *implementation_name(void)
{
    return "not random";
}

static inline uint32_t not_random(void)
{
    return 0;
}

static inline uint32_t half_of(const uint32_t upper_bound)
{
    return upper_bound / 2;
}

static inline void fill(void *const bytes, const size_t length)
{
    memset(bytes, 0, length);
}

static struct randombytes_implementation randomness = {
    .implementation_name = implementation_name, .random = not_random, .uniform = half_of, .buf = fill};

static bool has_text(struct azfn_span bytes, const char *text)
{
    return bytes.length >= strlen(text) && memmem(bytes.data, bytes.length, text, strlen(text)) != NULL;
}

static inline uint64_t wall_ms(void)
{
    return UINT64_C(1700000000000) + virtual_ms;
}

static inline enum azfn_error fake_fetch(struct azfn__credential_source *source, struct azfn_span key,
                                         azfn__on_fetched_fn *on_fetched, void *user_data)
{
    (void)source;
    CHECK(others.fetch_count < MAX_FETCHES && !azfn_span_equals(key, "closed"));
    others.fetches[others.fetch_count++] = (struct fetch){key, on_fetched, user_data};
    return AZFN_OK;
}

static inline struct azfn_span value_of(struct azfn_span key)
{
    static char big[BIG_BYTES];
    if (azfn__span_starts_with(key, AZFN__SPAN("https://"))) {
        return AZFN__SPAN(TOKEN);
    }
    if (azfn_span_equals(key, "inner")) {
        return AZFN__SPAN(INNER);
    }
    memset(big, 'b', sizeof(big));
    return others.has_big_secret ? azfn__span(big, sizeof(big)) : AZFN__SPAN(OPEN);
}

static inline void answer_fetch(size_t index, enum azfn_error error, uint64_t life_ms)
{
    struct fetch fetch = others.fetches[index];
    others.fetches[index] = others.fetches[--others.fetch_count];
    struct azfn__fetch_result result = {.error = error, .reason = "so it is"};
    if (error == AZFN_OK) {
        result.credential.expires_at_ms = life_ms == 0 ? UINT64_MAX : wall_ms() + life_ms;
        result.credential.value = azfn__secret_new(others.slab, value_of(fetch.key));
        result.error = result.credential.value ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
        (void)snprintf(result.credential.version, sizeof(result.credential.version), "%u", (unsigned)(virtual_ms / 4096));
    }
    fetch.on_fetched(&result, fetch.user_data);
}

static inline void step_fetch(struct input *input)
{
    static const enum azfn_error errors[] = {AZFN_OK,
                                             AZFN_OK,
                                             AZFN_OK,
                                             AZFN_ERROR_NOT_FOUND,
                                             AZFN_ERROR_FORBIDDEN,
                                             AZFN_ERROR_UNAVAILABLE,
                                             AZFN_ERROR_TIMEOUT,
                                             AZFN_ERROR_LIMIT};
    unsigned code = take_byte(input);
    if (others.fetch_count > 0) {
        answer_fetch(code / 8 % others.fetch_count, errors[code % 8], take_byte(input) * UINT64_C(1000));
    }
}

static inline enum azfn_error fake_engine_new(const struct azfn__https_engine_options *options,
                                              struct azfn__https_engine **out_engine, const char **out_reason)
{
    (void)options;
    *out_reason = "";
    *out_engine = (struct azfn__https_engine *)&others;
    return AZFN_OK;
}

static inline void free_request(struct azfn__https_request *request)
{
    *request->from = request->next;
    if (request->next) {
        request->next->from = request->from;
    }
    azfn__buffer_clean_up(&request->held);
    free(request);
}

static inline void fake_engine_destroy(struct azfn__https_engine *engine)
{
    (void)engine;
    CHECK(!others.requests);
}

static inline void fake_on_socket(struct azfn__https_engine *engine, int fd, bool is_readable, bool is_writable)
{
    (void)engine;
    (void)fd;
    (void)is_readable;
    (void)is_writable;
}

static inline void fake_on_timer(struct azfn__https_engine *engine)
{
    (void)engine;
}

/* A credential goes to its own destination, each request has its own, and none leaves the prefix. */
static inline const char *check_request(const struct azfn__https_request_options *options)
{
    size_t token_count = 0;
    size_t inner_count = 0;
    for (size_t i = 0; i < options->header_count; i++) {
        const struct azfn__https_header *header = &options->headers[i];
        token_count += azfn__span_equal_ignore_case(header->name, AZFN__SPAN("authorization"));
        inner_count += azfn__span_equal_ignore_case(header->name, AZFN__SPAN("x-key"));
        CHECK(has_text(header->value, TOKEN) == azfn__span_equal_ignore_case(header->name, AZFN__SPAN("authorization")));
        CHECK(!has_text(header->value, INNER) ||
              (azfn_span_equals(header->name, "x-key") &&
               azfn__span_starts_with(options->url, destinations_of_app[1].url)));
    }
    bool is_queue = azfn__span_starts_with(options->url, destinations_of_app[2].url);
    bool is_partner = azfn__span_starts_with(options->url, destinations_of_app[1].url);
    bool is_free = azfn__span_starts_with(options->url, AZFN__SPAN("https://free.example/")) ||
                   azfn__span_equal(options->url, destinations_of_app[0].url);
    CHECK(is_queue + is_partner + is_free == 1 && options->trust == AZFN__HTTPS_TRUST_SYSTEM);
    CHECK(token_count == (is_queue ? 1U : 0U) && (!is_partner || inner_count == 1));
    const char *query = memchr(options->url.data, '?', options->url.length);
    struct azfn_span path =
        azfn__span(options->url.data, query ? (size_t)(query - options->url.data) : options->url.length);
    CHECK(!has_text(path, "/../") && !has_text(path, "\\") && !has_text(azfn__span_from(path, 8), "//"));
    CHECK(options->timeout_ms > 0 && options->timeout_ms <= 30000 && options->max_body_bytes == 100000);
    return is_queue ? TOKEN : is_partner ? INNER : "no credential at all";
}

static inline enum azfn_error fake_start(struct azfn__https_engine *engine,
                                         const struct azfn__https_request_options *options,
                                         struct azfn__https_request **out_request)
{
    (void)engine;
    struct azfn__https_request *request = calloc(1, sizeof(*request));
    CHECK(request != NULL);
    request->credential = check_request(options);
    request->callbacks = options->callbacks;
    request->user_data = options->user_data;
    request->body_bytes = options->body_bytes;
    request->next = others.requests;
    request->from = &others.requests;
    azfn__buffer_init(&request->held, PIECE_MAX_BYTES);
    if (request->next) {
        request->next->from = &request->next;
    }
    others.requests = request;
    *out_request = request;
    return AZFN_OK;
}

static inline void fake_resume(struct azfn__https_request *request)
{
    CHECK(!request->is_cancelled);
    request->is_paused = false;
}

static inline void fake_cancel(struct azfn__https_request *request)
{
    CHECK(!request->is_cancelled);
    request->is_cancelled = true;
    if (!request->is_in_call) {
        free_request(request);
    }
}

static const struct azfn__https_api fake_https = {.version = AZFN__HTTPS_MODULE_VERSION,
                                                  .engine_new = fake_engine_new,
                                                  .engine_destroy = fake_engine_destroy,
                                                  .on_socket = fake_on_socket,
                                                  .on_timer = fake_on_timer,
                                                  .start = fake_start,
                                                  .resume = fake_resume,
                                                  .cancel = fake_cancel};

/* True: it was cancelled meanwhile, and is gone. */
static inline bool leave_call(struct azfn__https_request *request)
{
    request->is_in_call = false;
    if (request->is_cancelled) {
        free_request(request);
        return true;
    }
    return false;
}

static inline void give_head(struct azfn__https_request *request, unsigned code)
{
    static const uint16_t statuses[] = {200, 201, 204, 302, 400, 401, 429, 503};
    static char large[30000];
    memset(large, 'h', sizeof(large));
    const struct azfn__https_header headers[] = {{AZFN__SPAN("x-a"), AZFN__SPAN("b")},
                                                 {AZFN__SPAN("retry-after"), AZFN__SPAN("2")},
                                                 {AZFN__SPAN("x-echo"), azfn_span_of(request->credential)},
                                                 {AZFN__SPAN("set-cookie"), AZFN__SPAN("a session")},
                                                 {AZFN__SPAN("x-large"), azfn__span(large, sizeof(large))},
                                                 {AZFN__SPAN("x-large"), azfn__span(large, sizeof(large))}};
    size_t count = code / 8 % 8 < 6 ? code / 8 % 8 : 6;
    request->has_head = true;
    request->is_in_call = true;
    request->callbacks.on_head(statuses[code % 8], headers, count, request->user_data);
    leave_call(request);
}

static inline void give_body(struct azfn__https_request *request, struct input *input)
{
    static char bytes[PIECE_MAX_BYTES];
    if (request->held.length == 0) {
        unsigned code = take_byte(input);
        const struct input given = take_bytes(input, code % 32);
        memset(bytes, 'x', sizeof(bytes));
        struct azfn_span piece = azfn__span(bytes, code >= 192 ? sizeof(bytes) : 1 + code / 4);
        if (code % 4 == 1) {
            piece = azfn__span(request->credential, 1 + code / 4 % strlen(request->credential)); /* or its beginning */
        } else if (code % 4 == 2 && given.length > 0) {
            piece = azfn__span(given.data, given.length);
        }
        azfn__buffer_append_span(&request->held, piece);
    }
    request->is_in_call = true;
    bool is_taken = request->callbacks.on_body(azfn__buffer_span(&request->held), request->user_data);
    if (!leave_call(request)) {
        request->is_paused = !is_taken;
        if (is_taken) {
            azfn__buffer_reset(&request->held, PIECE_MAX_BYTES);
        }
    }
}

static inline void take_body(struct azfn__https_request *request, unsigned code)
{
    static char bytes[PIECE_MAX_BYTES];
    size_t length = 0;
    size_t capacity = 1 + code * (size_t)64;
    if (request->body_bytes == 0 || request->is_body_whole) {
        return;
    }
    capacity = capacity < sizeof(bytes) ? capacity : sizeof(bytes);
    request->is_in_call = true;
    request->callbacks.on_read(bytes, capacity, &length, &request->is_body_whole, request->user_data);
    CHECK(length <= capacity);
    request->given_bytes += length;
    bool is_known = request->body_bytes != AZFN__HTTPS_UNKNOWN_LENGTH;
    CHECK(!is_known || request->given_bytes <= request->body_bytes);
    CHECK(!is_known || !request->is_body_whole || request->given_bytes == request->body_bytes);
    leave_call(request);
}

static inline void end_request(struct azfn__https_request *request, enum azfn_error error)
{
    *request->from = request->next;
    if (request->next) {
        request->next->from = request->from;
    }
    azfn__buffer_clean_up(&request->held);
    request->callbacks.on_done(error, "so it is", true, request->user_data);
    free(request);
}

static inline void step_server(struct input *input)
{
    static const enum azfn_error errors[] = {AZFN_OK, AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_TIMEOUT, AZFN_ERROR_FORBIDDEN};
    unsigned code = take_byte(input);
    struct azfn__https_request *request = others.requests;
    for (unsigned i = code / 4 % 4; request && request->next && i > 0; i--) {
        request = request->next;
    }
    if (!request) {
        return;
    }
    switch (code % 4) {
    case 0:
        if (!request->has_head) {
            give_head(request, take_byte(input));
        }
        break;
    case 1:
        if (request->has_head && !request->is_paused) {
            give_body(request, input);
        }
        break;
    case 2:
        take_body(request, take_byte(input));
        break;
    default: {
        enum azfn_error error = errors[take_byte(input) % 4];
        bool is_whole = request->has_head && request->held.length == 0;
        end_request(request, error == AZFN_OK && !is_whole ? AZFN_ERROR_UNAVAILABLE : error);
        break;
    }
    }
}

/* Whatever is under way ends. */
static inline void end_all_requests(void)
{
    while (others.fetch_count > 0) {
        answer_fetch(0, AZFN_ERROR_FORBIDDEN, 0);
    }
    while (others.requests) {
        end_request(others.requests, AZFN_ERROR_FORBIDDEN);
    }
}

static inline void make_services(uv_loop_t *loop, struct azfn__log_sink *log)
{
    static const struct azfn__settings settings;
    static const struct azfn__development development;
    const struct azfn__secret_slab_options slots = {.small_count = 32, .large_count = 4};
    struct azfn__config_fault fault;
    const char *reason;
    struct azfn__credential_cache_options cache = {
        .loop = loop, .log = log, .source = &others.source, .now_ms = wall_ms, .refresh_ms = 60000,
        .events = &azfn__credential_secret_events};
    struct azfn__services *services = &others.services;
    CHECK(randombytes_set_implementation(&randomness) == 0);
    services->config = &config_of_app;
    others.source.fetch = fake_fetch;
    CHECK(azfn__secret_slab_new(&slots, &others.slab) == AZFN_OK);
    cache.slab = others.slab;
    CHECK(azfn__policy_new(loop, &config_of_app, log, &services->policy) == AZFN_OK);
    CHECK(azfn__https_client_new(loop, &fake_https, azfn__absent(), &services->https, &reason) == AZFN_OK);
    CHECK(azfn__credential_cache_new(&cache, &services->secrets) == AZFN_OK);
    cache.refreshes_at_half_life = true;
    CHECK(azfn__credential_cache_new(&cache, &services->tokens) == AZFN_OK);
    const struct azfn__destinations_options destinations = {.loop = loop,
                                                            .https = services->https,
                                                            .tokens = services->tokens,
                                                            .secrets = services->secrets,
                                                            .slab = others.slab,
                                                            .policy = services->policy,
                                                            .log = log,
                                                            .config = &config_of_app,
                                                            .settings = &settings,
                                                            .development = &development};
    CHECK(azfn__destinations_new(&destinations, &services->destinations, &fault) == AZFN_OK);
}

/* No worker asks any more. */
static inline void end_services(void)
{
    struct azfn__services *services = &others.services;
    CHECK(!others.requests);
    azfn__destinations_destroy(services->destinations);
    azfn__credential_cache_destroy(services->secrets);
    azfn__credential_cache_destroy(services->tokens);
    end_all_requests();
    azfn__https_client_destroy(services->https);
    azfn__policy_destroy(services->policy);
    CHECK(azfn__secret_slab_used_count(others.slab) == 0);
    azfn__secret_slab_destroy(others.slab);
    memset(services, 0, sizeof(*services));
    others.slab = NULL;
}

#endif
