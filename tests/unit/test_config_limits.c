/* "limits" of azfn.json: what each may be, and what a person is told who writes something else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/config.h"

#include <inttypes.h>
#include <stdio.h>

#define HOST "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":" \
             "{\"defaultExecutablePath\":\"h\"}}}"

/* The table once more, by hand: a number that changes is to be changed on purpose. */
static const struct {
    const char *key;
    size_t offset;
    uint64_t min;
    uint64_t max;
    uint64_t usual;
} limits[] = {
    {"urlBytes", offsetof(struct azfn__config_limits, url_bytes), 256, 1048576, 16384},
    {"headerBytes", offsetof(struct azfn__config_limits, header_bytes), 1024, 1048576, 65536},
    {"headerCount", offsetof(struct azfn__config_limits, header_count), 8, 1024, 128},
    {"chunkExtensionBytes", offsetof(struct azfn__config_limits, chunk_extension_bytes), 0, 1048576, 4096},
    {"trailerBytes", offsetof(struct azfn__config_limits, trailer_bytes), 0, 1048576, 8192},
    {"connections", offsetof(struct azfn__config_limits, connections), 1, 65536, 8192},
    {"pipelinedBytes", offsetof(struct azfn__config_limits, pipelined_bytes), 65536, 16777216, 131072},
    {"requestsInFlight", offsetof(struct azfn__config_limits, requests_in_flight), 1, 100000, 4096},
    {"bodyBytesInFlight", offsetof(struct azfn__config_limits, body_bytes_in_flight), 65536, 68719476736, 536870912},
    {"headerTimeoutMs", offsetof(struct azfn__config_limits, header_timeout_ms), 100, 3600000, 30000},
    {"bodyTimeoutMs", offsetof(struct azfn__config_limits, body_timeout_ms), 100, 3600000, 30000},
    {"sendTimeoutMs", offsetof(struct azfn__config_limits, send_timeout_ms), 100, 3600000, 120000},
    {"minBytesPerSecond", offsetof(struct azfn__config_limits, min_bytes_per_second), 1, 1048576, 240},
    {"idleTimeoutMs", offsetof(struct azfn__config_limits, idle_timeout_ms), 120000, 86400000, 180000},
    {"blockingThreads", offsetof(struct azfn__config_limits, blocking_threads), 1, 64, 4},
    {"blockingQueue", offsetof(struct azfn__config_limits, blocking_queue), 0, 100000, 256},
    {"secretRefreshMs", offsetof(struct azfn__config_limits, secret_refresh_ms), 1000, 86400000, 3600000},
    {"secretStaleMs", offsetof(struct azfn__config_limits, secret_stale_ms), 0, 2592000000, 86400000},
    {"destinationRequests", offsetof(struct azfn__config_limits, destination_requests), 1, 4096, 256},
};
#define LIMIT_COUNT (sizeof(limits) / sizeof(limits[0]))

static enum azfn_error read_limits(const char *text, struct azfn__config_limits *out, struct azfn__config_fault *fault)
{
    struct azfn__config *config;
    const struct azfn__config_file files[] = {{AZFN__SPAN("host.json"), azfn_span_of(HOST)},
                                              {AZFN__SPAN("azfn.json"), azfn_span_of(text)}};
    enum azfn_error error = azfn__config_new(files, text ? 2 : 1, NULL, 0, &config, fault);
    if (error == AZFN_OK) {
        *out = config->limits;
    }
    azfn__config_destroy(config);
    return error;
}

static uint64_t value_of(const struct azfn__config_limits *all, size_t index)
{
    uint64_t value;
    memcpy(&value, (const char *)all + limits[index].offset, sizeof(value));
    return value;
}

static void expect_fault(const char *text, const char *message)
{
    struct azfn__config_limits unused;
    struct azfn__config_fault fault;
    assert_int_equal(read_limits(text, &unused, &fault), AZFN_ERROR_INVALID_ARGUMENT);
    assert_string_equal(fault.message, message);
}

static void each_limit_has_its_default(void **state)
{
    (void)state;
    static const char *const texts[] = {NULL, "{}", "{\"limits\":{}}"};
    for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
        struct azfn__config_limits all = {0};
        struct azfn__config_fault fault;
        assert_int_equal(read_limits(texts[k], &all, &fault), AZFN_OK);
        assert_memory_equal(&all, &azfn__config_default_limits, sizeof(all));
        assert_int_equal(sizeof(all), LIMIT_COUNT * sizeof(uint64_t));
        for (size_t i = 0; i < LIMIT_COUNT; i++) {
            assert_int_equal(value_of(&all, i), limits[i].usual);
        }
    }
}

static void each_limit_is_taken_at_its_ends_and_no_further(void **state)
{
    (void)state;
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const uint64_t ends[] = {limits[i].min, limits[i].max};
        char text[128];
        char message[256];
        struct azfn__config_fault fault;
        for (size_t k = 0; k < 2; k++) {
            struct azfn__config_limits all = {0};
            snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%" PRIu64 "}}", limits[i].key, ends[k]);
            assert_int_equal(read_limits(text, &all, &fault), AZFN_OK);
            for (size_t other = 0; other < LIMIT_COUNT; other++) {
                assert_int_equal(value_of(&all, other), other == i ? ends[k] : limits[other].usual);
            }
        }
        bool is_idle = limits[i].offset == offsetof(struct azfn__config_limits, idle_timeout_ms);
        for (size_t k = is_idle || limits[i].min == 0 ? 1 : 0; k < 2; k++) {
            uint64_t beyond = k == 0 ? limits[i].min - 1 : limits[i].max + 1;
            snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%" PRIu64 "}}", limits[i].key, beyond);
            snprintf(message, sizeof(message),
                     "azfn.json:1: /limits/%s: expected an integer from %" PRIu64 " to %" PRIu64 ", found %" PRIu64,
                     limits[i].key, limits[i].min, limits[i].max, beyond);
            expect_fault(text, message);
        }
    }
}

static void an_idle_timeout_that_would_lose_requests_is_refused_with_the_reason(void **state)
{
    (void)state;
    expect_fault("{\n\"limits\":{\n\"idleTimeoutMs\":119999}}",
                 "azfn.json:3: /limits/idleTimeoutMs: expected at least 120000, found 119999: the host closes its idle "
                 "connections after 60 to 75 s, and where the handler is first, a request that is on its way is lost");
}

static void what_is_no_limit_is_refused_with_what_was_meant(void **state)
{
    (void)state;
    expect_fault("{\"limits\":7}", "azfn.json:1: /limits: expected an object, found 7");
    expect_fault("{\"limits\":{\"headerCount\":\"128\"}}",
                 "azfn.json:1: /limits/headerCount: expected an integer from 8 to 1024, found \"128\"");
    expect_fault("{\"limits\":{\"headerCount\":9,\n\"headerCount\":9}}",
                 "azfn.json:2: /limits/headerCount: expected the key once, found it again");
    expect_fault("{\"limits\":{\n\"headerCounts\":9}}",
                 "azfn.json:2: /limits/headerCounts: expected one of urlBytes, headerBytes, headerCount, "
                 "chunkExtensionBytes, trailerBytes, connections, pipelinedBytes, requestsInFlight, bodyBytesInFlight, "
                 "headerTimeoutMs, bodyTimeoutMs, sendTimeoutMs, minBytesPerSecond, idleTimeoutMs, blockingThreads, "
                 "blockingQueue, secretRefreshMs, secretStaleMs, destinationRequests, found \"headerCounts\" (did you "
                 "mean \"headerCount\"?)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_has_its_default),
        cmocka_unit_test(each_limit_is_taken_at_its_ends_and_no_further),
        cmocka_unit_test(an_idle_timeout_that_would_lose_requests_is_refused_with_the_reason),
        cmocka_unit_test(what_is_no_limit_is_refused_with_what_was_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
