/* unit/credential_fixture.h
 * A cache in front of a source that answers when the test says so, at times of the test's own. After cmocka.h. */
#ifndef TESTS_UNIT_CREDENTIAL_FIXTURE_H
#define TESTS_UNIT_CREDENTIAL_FIXTURE_H

#include "base/span.h"
#include "broker/credential_cache.h"
#include "unit/log_lines.h"

#define START_MS UINT64_C(1700000000000)
#define HOUR_MS UINT64_C(3600000)
#define MAX_PENDING 300
#define NEVER UINT64_MAX
#define KEY AZFN__SPAN("webhook-key")

static uint64_t clock_ms;

static uint64_t read_clock(void)
{
    return clock_ms;
}

struct pending {
    azfn__on_fetched_fn *on_fetched;
    void *user_data;
};

struct fixture {
    struct azfn__credential_source source; /* first: one is the other */
    uv_loop_t loop;
    struct log_lines log;
    struct azfn__secret_slab *slab;
    struct azfn__credential_cache *cache;
    struct pending pending[MAX_PENDING]; /* fetches without an answer, the oldest first */
    size_t pending_count;
    unsigned fetches; /* until now */
    enum azfn_error refusal;       /* what fetch returns */
    const char *immediate_reason;  /* fetch calls back at once, with AZFN_ERROR_FORBIDDEN */
};

/* What became of one who waited. */
struct outcome {
    unsigned calls;
    enum azfn_error error;
    char value[32];
    struct azfn__credential_wait *wait;
};

static enum azfn_error fake_fetch(struct azfn__credential_source *source, struct azfn_span key,
                                  azfn__on_fetched_fn *on_fetched, void *user_data)
{
    struct fixture *fixture = (struct fixture *)source;
    fixture->fetches++;
    assert_true(key.length > 0);
    if (fixture->refusal != AZFN_OK) {
        return fixture->refusal;
    }
    if (fixture->immediate_reason) {
        const struct azfn__fetch_result result = {.error = AZFN_ERROR_FORBIDDEN, .reason = fixture->immediate_reason};
        on_fetched(&result, user_data);
        return AZFN_OK;
    }
    assert_true(fixture->pending_count < MAX_PENDING);
    fixture->pending[fixture->pending_count++] = (struct pending){on_fetched, user_data};
    return AZFN_OK;
}

static const struct azfn__credential_cache_options secrets = {
    .events = &azfn__credential_secret_events,
    .refresh_ms = HOUR_MS,
    .stale_limit_ms = 24 * HOUR_MS,
};
static const struct azfn__credential_cache_options tokens = {
    .events = &azfn__credential_token_events,
    .refreshes_at_half_life = true,
};

static void set_up(struct fixture *fixture, const struct azfn__credential_cache_options *kind)
{
    const struct azfn__secret_slab_options slots = {.small_count = 300, .medium_count = 1, .large_count = 1};
    struct azfn__credential_cache_options options = *kind;
    memset(fixture, 0, sizeof(*fixture));
    clock_ms = START_MS;
    fixture->source.fetch = fake_fetch;
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    set_up_log_lines(&fixture->log);
    assert_int_equal(azfn__secret_slab_new(&slots, &fixture->slab), AZFN_OK);
    options.loop = &fixture->loop;
    options.slab = fixture->slab;
    options.log = &fixture->log.sink;
    options.source = &fixture->source;
    options.now_ms = read_clock;
    assert_int_equal(azfn__credential_cache_new(&options, &fixture->cache), AZFN_OK);
}

static void answer(struct fixture *fixture, const struct azfn__fetch_result *result)
{
    assert_true(fixture->pending_count > 0);
    struct pending pending = fixture->pending[0];
    fixture->pending_count--;
    memmove(fixture->pending, fixture->pending + 1, fixture->pending_count * sizeof(pending));
    pending.on_fetched(result, pending.user_data);
}

static void succeed_until(struct fixture *fixture, const char *value, const char *version, uint64_t expires_at_ms)
{
    struct azfn__fetch_result result = {.credential = {.expires_at_ms = expires_at_ms}, .reason = "fetched"};
    result.credential.value = azfn__secret_new(fixture->slab, azfn_span_of(value));
    assert_non_null(result.credential.value);
    (void)snprintf(result.credential.version, sizeof(result.credential.version), "%s", version);
    answer(fixture, &result);
}

static inline void succeed(struct fixture *fixture, const char *value, const char *version)
{
    succeed_until(fixture, value, version, NEVER);
}

static inline void fail_after(struct fixture *fixture, enum azfn_error error, uint32_t retry_after_ms)
{
    const struct azfn__fetch_result result = {
        .error = error, .retry_after_ms = retry_after_ms, .reason = "the test says so"};
    answer(fixture, &result);
}

static inline void fail_for(struct fixture *fixture, enum azfn_error error, const char *reason, bool is_distrusted)
{
    const struct azfn__fetch_result result = {.error = error, .reason = reason, .is_distrusted = is_distrusted};
    answer(fixture, &result);
}

static void fail_with(struct fixture *fixture, enum azfn_error error)
{
    fail_after(fixture, error, 0);
}

/* Time goes by, and what was due is done. */
static inline void pass(struct fixture *fixture, uint64_t ms)
{
    clock_ms += ms;
    azfn__credential_cache_look(fixture->cache);
}

static void clean_up(struct fixture *fixture)
{
    azfn__credential_cache_destroy(fixture->cache);
    while (fixture->pending_count > 0) {
        fail_with(fixture, AZFN_ERROR_UNAVAILABLE);
    }
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture->slab), 0);
    azfn__secret_slab_destroy(fixture->slab);
    assert_int_equal(count_of(&fixture->log, "top-value"), 0);
    clean_up_log_lines(&fixture->log);
}

static void on_credential(enum azfn_error error, const struct azfn__credential *credential, void *user_data)
{
    struct outcome *outcome = user_data;
    outcome->calls++;
    outcome->error = error;
    assert_true((error == AZFN_OK) == (credential != NULL));
    if (credential) {
        struct azfn_span value = azfn__secret_reveal(credential->value);
        (void)snprintf(outcome->value, sizeof(outcome->value), "%.*s", AZFN_SPAN_ARGS(value));
    }
}

static void ask(struct fixture *fixture, struct outcome *outcome)
{
    *outcome = (struct outcome){.calls = 0};
    assert_int_equal(azfn__credential_cache_wait(fixture->cache, KEY, on_credential, outcome, &outcome->wait), AZFN_OK);
    assert_int_equal(outcome->calls, 0);
}

static void require_outcome(const struct outcome *outcome, enum azfn_error error, const char *value)
{
    assert_int_equal(outcome->calls, 1);
    assert_int_equal(outcome->error, error);
    assert_string_equal(outcome->value, value);
}

/* What peek gives; NULL: nothing. */
static inline void require_peek(struct fixture *fixture, const char *value)
{
    const struct azfn__credential *credential = azfn__credential_cache_peek(fixture->cache, KEY);
    assert_true((credential != NULL) == (value != NULL));
    if (credential) {
        assert_true(azfn_span_equals(azfn__secret_reveal(credential->value), value));
    }
}

/* A first fetch that works. */
static inline void fill_until(struct fixture *fixture, const char *value, const char *version, uint64_t expires_at_ms)
{
    struct outcome outcome;
    ask(fixture, &outcome);
    azfn__credential_cache_look(fixture->cache);
    succeed_until(fixture, value, version, expires_at_ms);
    require_outcome(&outcome, AZFN_OK, value);
}

static inline void fill(struct fixture *fixture, const char *value, const char *version)
{
    fill_until(fixture, value, version, NEVER);
}

#endif
