/* Events that come again and again: told once, then counted; what makes two of them the same; what is forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

static struct azfn__event_counts *counts;
static struct azfn__invocation *invocation;

static int set_up_counts(void **state)
{
    set_up(state);
    counts = &fixture.dispatcher.event_counts;
    invocation = azfn__dispatcher_acquire(&fixture.dispatcher);
    invocation->function = &fixture.dispatcher.functions[0];
    return 0;
}

static int tear_down_counts(void **state)
{
    require_no_log();
    azfn__dispatcher_release(&fixture.dispatcher, invocation);
    return tear_down(state);
}

static void refuse(const char *setting, uint64_t times)
{
    const struct azfn__event_fields fields = {.setting = azfn_span_of(setting)};
    azfn__event_counts_add(counts, invocation, AZFN__EVENT_SETTING_REFUSED, &fields,
                           azfn_span_of("the function asked"), times);
}

static void add_own(const char *limit, const char *reason)
{
    const struct azfn__event_fields fields = {.limit = azfn_span_of(limit), .reason = azfn_span_of(reason)};
    azfn__event_counts_add(counts, NULL, AZFN__EVENT_CONNECTION_LIMIT, &fields, azfn_span_of("full"), 1);
}

/* count 0: a line without one. */
static void require_line(enum azfn__security_event event, const char *setting, int64_t count)
{
    require_event(event);
    const struct azfn__event_fields *fields = &last_log.fields;
    if (!span_is(fields->setting, setting) || fields->count.value != count || fields->count.is_present != (count > 0)) {
        fail_msg("expected %s %d, found %.*s %d", setting, (int)count, AZFN_SPAN_ARGS(fields->setting),
                 (int)fields->count.value);
    }
}

static void require_function(size_t index)
{
    assert_true(azfn__span_equal(last_log.fields.function, fixture.dispatcher.functions[index].config->name));
}

/* Five minutes are over. */
static void pass_time(void)
{
    uv_timer_t *timer = &counts->timer;
    assert_true(uv_is_active((uv_handle_t *)timer));
    assert_true(uv_timer_get_due_in(timer) > (uint64_t)299 * 1000);
    uv_timer_stop(timer);
    timer->timer_cb(timer);
}

static void the_first_is_told_and_later_ones_are_counted(void **state)
{
    (void)state;
    refuse("A", 1);
    require_line(AZFN__EVENT_SETTING_REFUSED, "A", 0);
    for (int i = 0; i < 3; i++) {
        refuse("A", 2);
    }
    require_no_log();
    pass_time();
    require_line(AZFN__EVENT_SETTING_REFUSED, "A", 6);
    require_function(0);
    assert_true(span_is(last_log.text, "6 more times: the function asked"));
    refuse("A", 1);
    azfn__event_counts_tell(counts);
    require_line(AZFN__EVENT_SETTING_REFUSED, "A", 1);
    pass_time(); /* nothing since then */
    assert_int_equal(counts->count, 0);
    assert_false(uv_is_active((uv_handle_t *)&counts->timer));
    refuse("A", 3); /* what a thread has counted */
    require_line(AZFN__EVENT_SETTING_REFUSED, "A", 0);
    azfn__dispatcher_tell_counts(&fixture.dispatcher);
    require_line(AZFN__EVENT_SETTING_REFUSED, "A", 2);
}

static void each_event_function_setting_limit_and_reason_is_told(void **state)
{
    (void)state;
    static const char *const own[][2] = {{"connections", "x"}, {"connections", "y"}, {"memory", "x"}, {NULL, "x"}};
    char one[300];
    char other[300];
    memset(one, 'N', sizeof(one));
    one[299] = '\0';
    memcpy(other, one, sizeof(one));
    other[298] = 'M'; /* far behind what is kept of it */
    const char *const names[] = {"A", "B", one, other};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 8; i++) {
            invocation->function = &fixture.dispatcher.functions[i / 4];
            refuse(names[i % 4], 1);
            if (round == 0) {
                require_line(AZFN__EVENT_SETTING_REFUSED, names[i % 4], 0);
                require_function(i / 4);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            add_own(own[i][0], own[i][1]);
            if (round == 0) {
                require_line(AZFN__EVENT_CONNECTION_LIMIT, "", 0);
            }
        }
    }
    require_no_log();
    azfn__event_counts_tell(counts);
    for (size_t i = 0; i < 8; i++) {
        char kept[129];
        snprintf(kept, sizeof(kept), "%s", names[i % 4]);
        require_line(AZFN__EVENT_SETTING_REFUSED, kept, 1);
        require_function(i / 4);
    }
    for (size_t i = 0; i < 4; i++) {
        require_line(AZFN__EVENT_CONNECTION_LIMIT, "", 1);
        assert_true(span_is(last_log.fields.limit, own[i][0] ? own[i][0] : ""));
        assert_true(span_is(last_log.fields.reason, own[i][1]));
    }
}

static void refuse_many(void)
{
    for (int i = 0; i < AZFN__EVENT_KINDS_OF_FUNCTIONS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "JUNK%d", i);
        refuse(name, 1);
        require_line(AZFN__EVENT_SETTING_REFUSED, name, 0);
    }
}

static void names_that_fill_the_table_hide_nothing(void **state)
{
    (void)state;
    refuse_many();
    refuse("REAL", 1);
    require_line(AZFN__EVENT_OTHERS_REFUSED, "", 0);
    refuse("REAL", 1);
    refuse("MORE", 2);
    require_no_log();
    add_own("connections", "x"); /* what is not of functions has its own room */
    require_line(AZFN__EVENT_CONNECTION_LIMIT, "", 0);
    pass_time();
    require_line(AZFN__EVENT_OTHERS_REFUSED, "", 3);
    refuse("REAL", 1); /* the names of before are forgotten */
    require_line(AZFN__EVENT_SETTING_REFUSED, "REAL", 0);
    azfn__event_counts_add_others(counts, 5);
    pass_time();
    require_line(AZFN__EVENT_OTHERS_REFUSED, "", 5);
    pass_time();
    refuse_many();
    assert_int_equal(counts->of_functions, AZFN__EVENT_KINDS_OF_FUNCTIONS);
}

#define COUNT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_counts, tear_down_counts)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COUNT_TEST(the_first_is_told_and_later_ones_are_counted),
        COUNT_TEST(each_event_function_setting_limit_and_reason_is_told),
        COUNT_TEST(names_that_fill_the_table_hide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
