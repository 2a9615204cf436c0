/* How many lines of which kind are let through, and what is told of the others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/log_limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define START_MS ((uint64_t)1000000)

static struct azfn__log_entry entry_of(enum azfn__log_origin origin, enum azfn__security_event event)
{
    return (struct azfn__log_entry){.origin = origin, .event = event, .description = AZFN__SPAN("x")};
}

/* How many of that many are let through. */
static size_t take(struct azfn__log_limits *limits, enum azfn__log_origin origin, enum azfn__security_event event,
                   size_t many, uint64_t at_ms)
{
    const struct azfn__log_entry entry = entry_of(origin, event);
    size_t taken = 0;
    for (size_t i = 0; i < many; i++) {
        taken += azfn__log_limits_take(limits, &entry, at_ms) ? 1 : 0;
    }
    return taken;
}

/* The first one, which is told. */
static void require_report(struct azfn__log_limits *limits, const char *suppressed, int64_t count, const char *kind,
                           const char *why)
{
    struct azfn__log_drop_report report;
    char description[200];
    size_t index = 0;
    (void)snprintf(description, sizeof(description), "%" PRId64 " log lines were dropped, %s: %s in time", count, kind,
                   why);
    assert_true(azfn__log_limits_report(limits, &index, &report));
    assert_true(azfn_span_equals(report.fields.suppressed, suppressed));
    assert_true(report.fields.count.is_present);
    assert_int_equal(report.fields.count.value, count);
    assert_string_equal(report.description, description);
    azfn__log_limits_told(limits, index);
}

static void a_burst_is_taken_and_then_a_few_each_second(void **state)
{
    (void)state;
    static const struct {
        enum azfn__log_origin origin;
        enum azfn__security_event event;
        size_t burst;
        size_t rate;
    } cases[] = {{AZFN__ORIGIN_BROKER, AZFN__EVENT_WORKER_CRASH, 100, 10},
                 {AZFN__ORIGIN_WORKER, AZFN__EVENT_INVALID_ROUTE, 100, 10},
                 {AZFN__ORIGIN_WORKER, AZFN__EVENT_CALLER_AUTHENTICATED, 512, 10},
                 {AZFN__ORIGIN_BROKER, AZFN__EVENT_SECRET_REFUSED, 100, 10},
                 {AZFN__ORIGIN_BROKER, AZFN__EVENT_NONE, 1000, 200},
                 {AZFN__ORIGIN_WORKER, AZFN__EVENT_NONE, 1000, 200},
                 {AZFN__ORIGIN_WORKER_STDOUT, AZFN__EVENT_NONE, 1000, 200},
                 {AZFN__ORIGIN_WORKER_STDERR, AZFN__EVENT_NONE, 1000, 200}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn__log_limits limits;
        azfn__log_limits_init(&limits, START_MS);
        assert_int_equal(take(&limits, cases[i].origin, cases[i].event, 2000, START_MS), cases[i].burst);
        assert_int_equal(take(&limits, cases[i].origin, cases[i].event, 2000, START_MS + 1000), cases[i].rate);
        assert_int_equal(take(&limits, cases[i].origin, cases[i].event, 2000, START_MS + 1500), cases[i].rate / 2);
        /* and never more than a burst, however long it was quiet */
        assert_int_equal(take(&limits, cases[i].origin, cases[i].event, 2000, START_MS + 100000000), cases[i].burst);
        assert_int_equal(limits.dropped, 8000 - 2 * cases[i].burst - cases[i].rate * 3 / 2);
    }
}

static void the_time_between_two_tokens_is_not_forgotten(void **state)
{
    (void)state;
    struct azfn__log_limits limits;
    azfn__log_limits_init(&limits, START_MS);
    take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_NONE, 1000, START_MS);
    /* a token is worth 5 ms: asking every 9 ms must not give one in 9 */
    size_t taken = 0;
    for (uint64_t ms = 9; ms <= 900; ms += 9) {
        taken += take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_NONE, 2, START_MS + ms);
    }
    assert_int_equal(taken, 900 / 5);
}

static void a_flood_of_one_leaves_all_others_their_share(void **state)
{
    (void)state;
    static const enum azfn__log_origin origins[] = {AZFN__ORIGIN_BROKER, AZFN__ORIGIN_WORKER};
    struct azfn__log_limits limits;
    azfn__log_limits_init(&limits, START_MS);
    take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_INVALID_ROUTE, 100000, START_MS);
    for (size_t i = 0; i < 2; i++) {
        for (int event = AZFN__EVENT_NONE; event < AZFN__EVENT_COUNT; event++) {
            if (origins[i] == AZFN__ORIGIN_WORKER && event == AZFN__EVENT_INVALID_ROUTE) {
                continue;
            }
            assert_true(take(&limits, origins[i], (enum azfn__security_event)event, 100, START_MS) == 100);
        }
    }
    assert_int_equal(take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_INVALID_ROUTE, 1, START_MS), 0);
}

static struct azfn__log_entry line_of(enum azfn__log_origin origin, enum azfn_log_level level)
{
    return (struct azfn__log_entry){.origin = origin, .level = level, .description = AZFN__SPAN("x")};
}

static void lines_that_are_no_events_have_a_share_by_origin_and_level(void **state)
{
    (void)state;
    const struct azfn__log_entry kinds[AZFN__LOG_LINE_KIND_COUNT] = {
        line_of(AZFN__ORIGIN_BROKER, AZFN_LOG_INFORMATION),        line_of(AZFN__ORIGIN_WORKER, AZFN_LOG_INFORMATION),
        line_of(AZFN__ORIGIN_WORKER, AZFN_LOG_WARNING),            line_of(AZFN__ORIGIN_WORKER, AZFN_LOG_ERROR),
        line_of(AZFN__ORIGIN_WORKER_STDOUT, AZFN_LOG_INFORMATION), line_of(AZFN__ORIGIN_WORKER_STDERR, AZFN_LOG_ERROR)};
    static const char *const suppressed[] = {"lines",       "lines:info",   "lines:warn",
                                             "lines:error", "lines:stdout", "lines:stderr"};
    for (size_t flooded = 0; flooded < AZFN__LOG_LINE_KIND_COUNT; flooded++) {
        struct azfn__log_limits limits;
        struct azfn__log_drop_report report;
        size_t index = 0;
        azfn__log_limits_init(&limits, START_MS);
        while (azfn__log_limits_take(&limits, &kinds[flooded], START_MS)) {
        }
        for (size_t i = 0; i < AZFN__LOG_LINE_KIND_COUNT; i++) {
            assert_true(i == flooded || azfn__log_limits_take(&limits, &kinds[i], START_MS));
        }
        assert_true(azfn__log_limits_report(&limits, &index, &report));
        assert_true(azfn_span_equals(report.fields.suppressed, suppressed[flooded]));
    }
}

static void a_count_of_the_brokers_is_never_beyond_the_rate(void **state)
{
    (void)state;
    struct azfn__log_limits limits;
    struct azfn__log_entry entry = entry_of(AZFN__ORIGIN_BROKER, AZFN__EVENT_SECRET_READ);
    azfn__log_limits_init(&limits, START_MS);
    assert_int_equal(take(&limits, entry.origin, entry.event, 2000, START_MS), 100);
    entry.fields.count = AZFN__NUMBER(3);
    assert_true(azfn__log_limits_take(&limits, &entry, START_MS));
    /* the worker can't get around its limit with a number */
    entry.origin = AZFN__ORIGIN_WORKER;
    assert_int_equal(take(&limits, entry.origin, entry.event, 2000, START_MS), 512);
    assert_false(azfn__log_limits_take(&limits, &entry, START_MS));
}

static void the_worker_can_not_use_up_the_brokers_share_of_an_event_of_both(void **state)
{
    (void)state;
    struct azfn__log_limits limits;
    azfn__log_limits_init(&limits, START_MS);
    assert_int_equal(azfn__security_event_info(AZFN__EVENT_WORKER_START_CRASH)->source, AZFN__SOURCE_ANY);
    take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_WORKER_START_CRASH, 1000, START_MS);
    assert_int_equal(take(&limits, AZFN__ORIGIN_BROKER, AZFN__EVENT_WORKER_START_CRASH, 1000, START_MS), 100);
}

static void what_was_dropped_is_told_for_each_kind_and_once(void **state)
{
    (void)state;
    struct azfn__log_limits limits;
    struct azfn__log_drop_report report;
    size_t index = 0;
    azfn__log_limits_init(&limits, START_MS);
    assert_false(azfn__log_limits_report(&limits, &index, &report));

    take(&limits, AZFN__ORIGIN_WORKER_STDERR, AZFN__EVENT_NONE, 1003, START_MS);
    take(&limits, AZFN__ORIGIN_WORKER, AZFN__EVENT_INVALID_ROUTE, 102, START_MS);
    take(&limits, AZFN__ORIGIN_BROKER, AZFN__EVENT_WORKER_CRASH, 101, START_MS);
    struct azfn__log_entry entry = entry_of(AZFN__ORIGIN_WORKER, AZFN__EVENT_INVALID_ROUTE);
    azfn__log_limits_count_unread(&limits, &entry);
    entry = entry_of(AZFN__ORIGIN_WORKER, AZFN__EVENT_NONE);
    azfn__log_limits_count_unread(&limits, &entry);
    assert_int_equal(limits.dropped, 8);

    require_report(&limits, "lines:info", 1, "INFO lines of functions",
                   "0 beyond 200 per second, 1 that were not read");
    require_report(&limits, "lines:stderr", 3, "lines that the worker printed on stderr",
                   "3 beyond 200 per second, 0 that were not read");
    require_report(&limits, "sys_crash:worker", 1, "events of the broker",
                   "1 beyond 10 per second, 0 that were not read");
    require_report(&limits, "input_validation_fail:route", 3, "events of the worker",
                   "2 beyond 10 per second, 1 that were not read");
    index = 0;
    assert_false(azfn__log_limits_report(&limits, &index, &report));
    assert_int_equal(limits.dropped, 0);
}

static void the_longest_report_is_whole(void **state)
{
    (void)state;
    struct azfn__log_limits limits;
    struct azfn__log_drop_report report;
    size_t index = 0;
    azfn__log_limits_init(&limits, START_MS);
    limits.buckets[AZFN__LOG_LINES_STDERR].dropped[AZFN__LOG_BEYOND_RATE] = UINT64_MAX / 2;
    limits.buckets[AZFN__LOG_LINES_STDERR].dropped[AZFN__LOG_UNREAD] = UINT64_MAX / 2;
    assert_true(azfn__log_limits_report(&limits, &index, &report));
    assert_non_null(strstr(report.description, " that were not read in time"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_taken_and_then_a_few_each_second),
        cmocka_unit_test(the_time_between_two_tokens_is_not_forgotten),
        cmocka_unit_test(a_flood_of_one_leaves_all_others_their_share),
        cmocka_unit_test(lines_that_are_no_events_have_a_share_by_origin_and_level),
        cmocka_unit_test(a_count_of_the_brokers_is_never_beyond_the_rate),
        cmocka_unit_test(the_worker_can_not_use_up_the_brokers_share_of_an_event_of_both),
        cmocka_unit_test(what_was_dropped_is_told_for_each_kind_and_once),
        cmocka_unit_test(the_longest_report_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
