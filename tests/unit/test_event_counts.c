/* Events that come again and again: told once, then counted; what makes two of them the same; what is forgotten. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

struct world {
    struct fixture fixture;
    struct log_reader reader;
    struct azfn__event_counts *counts;
    struct azfn__invocation *invocation;
};

static void open_world(struct world *world)
{
    set_up(&world->fixture);
    start_reading(&world->reader);
    world->counts = &world->fixture.dispatcher.event_counts;
    world->invocation = azfn__dispatcher_acquire(&world->fixture.dispatcher);
    world->invocation->function = &world->fixture.dispatcher.functions[0];
}

static void close_world(struct world *world)
{
    require_no_log(&world->fixture, &world->reader);
    azfn__dispatcher_release(&world->fixture.dispatcher, world->invocation);
    stop_reading(&world->reader);
    clean_up(&world->fixture);
}

static void refuse(struct world *world, const char *setting, uint64_t times)
{
    const struct azfn__event_fields fields = {.setting = azfn_span_of(setting)};
    azfn__event_counts_add(world->counts, world->invocation, AZFN__EVENT_SETTING_REFUSED, &fields,
                           azfn_span_of("the function asked"), times);
}

static void add_own(struct world *world, const char *limit, const char *reason)
{
    const struct azfn__event_fields fields = {.limit = azfn_span_of(limit), .reason = azfn_span_of(reason)};
    azfn__event_counts_add(world->counts, NULL, AZFN__EVENT_CONNECTION_LIMIT, &fields, azfn_span_of("full"), 1);
}

/* count 0: a line without one. */
static void require_line(struct world *world, enum azfn__security_event event, const char *setting, int64_t count)
{
    require_event(&world->fixture, &world->reader, event);
    const struct azfn__event_fields *fields = &world->reader.log.fields;
    if (!span_is(fields->setting, setting) || fields->count.value != count || fields->count.is_present != (count > 0)) {
        fail_msg("expected %s %d, found %.*s %d", setting, (int)count, AZFN_SPAN_ARGS(fields->setting),
                 (int)fields->count.value);
    }
}

static void require_function(const struct world *world, size_t index)
{
    assert_true(azfn__span_equal(world->reader.log.fields.function,
                                 world->fixture.dispatcher.functions[index].config->name));
}

/* Five minutes are over. */
static void pass_time(struct world *world)
{
    uv_timer_t *timer = &world->counts->timer;
    assert_true(uv_is_active((uv_handle_t *)timer));
    assert_true(uv_timer_get_due_in(timer) > (uint64_t)299 * 1000);
    uv_timer_stop(timer);
    timer->timer_cb(timer);
}

static void the_first_is_told_and_later_ones_are_counted(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    refuse(&world, "A", 1);
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "A", 0);
    for (int i = 0; i < 3; i++) {
        refuse(&world, "A", 2);
    }
    require_no_log(&world.fixture, &world.reader);
    pass_time(&world);
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "A", 6);
    require_function(&world, 0);
    assert_true(span_is(world.reader.log.text, "6 more times: the function asked"));
    refuse(&world, "A", 1);
    azfn__event_counts_tell(world.counts);
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "A", 1);
    pass_time(&world); /* nothing since then */
    assert_int_equal(world.counts->count, 0);
    assert_false(uv_is_active((uv_handle_t *)&world.counts->timer));
    refuse(&world, "A", 3); /* what a thread has counted */
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "A", 0);
    azfn__dispatcher_tell_counts(&world.fixture.dispatcher);
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "A", 2);
    close_world(&world);
}

static void each_event_function_setting_limit_and_reason_is_told(void **state)
{
    (void)state;
    static const char *const own[][2] = {{"connections", "x"}, {"connections", "y"}, {"memory", "x"}, {NULL, "x"}};
    struct world world;
    char one[300];
    char other[300];
    open_world(&world);
    memset(one, 'N', sizeof(one));
    one[299] = '\0';
    memcpy(other, one, sizeof(one));
    other[298] = 'M'; /* far behind what is kept of it */
    const char *const names[] = {"A", "B", one, other};
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 8; i++) {
            world.invocation->function = &world.fixture.dispatcher.functions[i / 4];
            refuse(&world, names[i % 4], 1);
            if (round == 0) {
                require_line(&world, AZFN__EVENT_SETTING_REFUSED, names[i % 4], 0);
                require_function(&world, i / 4);
            }
        }
        for (size_t i = 0; i < 4; i++) {
            add_own(&world, own[i][0], own[i][1]);
            if (round == 0) {
                require_line(&world, AZFN__EVENT_CONNECTION_LIMIT, "", 0);
            }
        }
    }
    require_no_log(&world.fixture, &world.reader);
    azfn__event_counts_tell(world.counts);
    for (size_t i = 0; i < 8; i++) {
        char kept[129];
        snprintf(kept, sizeof(kept), "%s", names[i % 4]);
        require_line(&world, AZFN__EVENT_SETTING_REFUSED, kept, 1);
        require_function(&world, i / 4);
    }
    for (size_t i = 0; i < 4; i++) {
        require_line(&world, AZFN__EVENT_CONNECTION_LIMIT, "", 1);
        assert_true(span_is(world.reader.log.fields.limit, own[i][0] ? own[i][0] : ""));
        assert_true(span_is(world.reader.log.fields.reason, own[i][1]));
    }
    close_world(&world);
}

static void refuse_many(struct world *world)
{
    for (int i = 0; i < AZFN__EVENT_KINDS_OF_FUNCTIONS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "JUNK%d", i);
        refuse(world, name, 1);
        require_line(world, AZFN__EVENT_SETTING_REFUSED, name, 0);
    }
}

static void names_that_fill_the_table_hide_nothing(void **state)
{
    (void)state;
    struct world world;
    open_world(&world);
    refuse_many(&world);
    refuse(&world, "REAL", 1);
    require_line(&world, AZFN__EVENT_OTHERS_REFUSED, "", 0);
    refuse(&world, "REAL", 1);
    refuse(&world, "MORE", 2);
    require_no_log(&world.fixture, &world.reader);
    add_own(&world, "connections", "x"); /* what is not of functions has its own room */
    require_line(&world, AZFN__EVENT_CONNECTION_LIMIT, "", 0);
    pass_time(&world);
    require_line(&world, AZFN__EVENT_OTHERS_REFUSED, "", 3);
    refuse(&world, "REAL", 1); /* the names of before are forgotten */
    require_line(&world, AZFN__EVENT_SETTING_REFUSED, "REAL", 0);
    azfn__event_counts_add_others(world.counts, 5);
    pass_time(&world);
    require_line(&world, AZFN__EVENT_OTHERS_REFUSED, "", 5);
    pass_time(&world);
    refuse_many(&world);
    assert_int_equal(world.counts->of_functions, AZFN__EVENT_KINDS_OF_FUNCTIONS);
    close_world(&world);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_told_and_later_ones_are_counted),
        cmocka_unit_test(each_event_function_setting_limit_and_reason_is_told),
        cmocka_unit_test(names_that_fill_the_table_hide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
