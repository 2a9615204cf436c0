/* A worker whose loop is blocked, as the broker sees it from outside: at times of the test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/loop_watch.h"
#include "unit/log_lines.h"

struct fixture {
    uv_loop_t loop;
    struct log_lines log;
    struct azfn__config_function functions[2];
    struct azfn__config config;
    struct azfn__flight_record record;
    struct azfn__loop_watch watch;
    unsigned killed;
};

static void on_blocked(void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->killed++;
}

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.killed = 0};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    set_up_log_lines(&fixture->log);
    fixture->functions[0] = (struct azfn__config_function){.name = AZFN__SPAN("quick"), .timeout_ms = 3000};
    fixture->functions[1] = (struct azfn__config_function){.name = AZFN__SPAN("slow"), .timeout_ms = 9000};
    fixture->config = (struct azfn__config){.functions = fixture->functions, .function_count = 2};
    const struct azfn__loop_watch_options options = {.loop = &fixture->loop,
                                                     .config = &fixture->config,
                                                     .log = &fixture->log.sink,
                                                     .on_blocked = on_blocked,
                                                     .user_data = fixture};
    assert_int_equal(azfn__loop_watch_init(&fixture->watch, &options), AZFN_OK);
    azfn__loop_watch_turn_to(&fixture->watch, &fixture->record);
}

static void clean_up(struct fixture *fixture)
{
    uv_close((uv_handle_t *)&fixture->watch.timer, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    clean_up_log_lines(&fixture->log);
}

static void enter(struct fixture *fixture, const char *name)
{
    azfn__flight_record_enter(&fixture->record.loop, azfn_span_of(name), AZFN__SPAN("id-1"), azfn__absent());
}

static void look_until(struct fixture *fixture, uint64_t *now_ms, uint64_t end_ms)
{
    for (; *now_ms <= end_ms && fixture->killed == 0; *now_ms += 1000) {
        azfn__loop_watch_look(&fixture->watch, *now_ms);
    }
}

static void a_worker_that_goes_on_is_left_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (uint64_t now_ms = 1000; now_ms < 100000; now_ms += 1000) {
        /* in a call at each look, but in another one each time */
        enter(&fixture, "quick");
        azfn__loop_watch_look(&fixture.watch, now_ms);
    }
    azfn__flight_record_leave(&fixture.record.loop);
    for (uint64_t now_ms = 100000; now_ms < 200000; now_ms += 1000) {
        azfn__loop_watch_look(&fixture.watch, now_ms);
    }
    assert_int_equal(fixture.killed, 0);
    assert_int_equal(count_of(&fixture.log, "\n"), 0);
    clean_up(&fixture);
}

static void a_blockage_is_told_once_and_ended_after_its_time(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    enter(&fixture, "quick");
    look_until(&fixture, &now_ms, 1000);
    assert_int_equal(count_of(&fixture.log, "\n"), 0);
    look_until(&fixture, &now_ms, 5000);
    assert_int_equal(fixture.killed, 0);
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    assert_int_equal(count_of(&fixture.log, "blocks the loop since about 1 s"), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"quick\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"invocation_id\":\"id-1\""), 1);
    look_until(&fixture, &now_ms, 6000); /* 3 s of its own and 2 s of grace after it was seen first */
    assert_int_equal(fixture.killed, 1);
    assert_int_equal(count_of(&fixture.log, "the worker is killed"), 1);
    assert_null(fixture.watch.record);
    assert_false(uv_is_active((uv_handle_t *)&fixture.watch.timer));
    clean_up(&fixture);
}

static void the_next_blockage_is_told_again(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    for (uint64_t i = 1; i <= 3; i++) {
        enter(&fixture, "slow");
        look_until(&fixture, &now_ms, i * 10000);
        azfn__flight_record_leave(&fixture.record.loop);
        azfn__loop_watch_look(&fixture.watch, now_ms);
        assert_int_equal(count_of(&fixture.log, "blocks the loop"), i);
    }
    assert_int_equal(fixture.killed, 0);
    clean_up(&fixture);
}

static void a_name_that_is_none_gets_the_longest_time(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    enter(&fixture, "no such function\n");
    look_until(&fixture, &now_ms, 11000);
    assert_int_equal(fixture.killed, 0);
    look_until(&fixture, &now_ms, 12000);
    assert_int_equal(fixture.killed, 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 2);
    clean_up(&fixture);
}

static void another_worker_begins_anew(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    struct azfn__flight_record other = fixture.record;
    enter(&fixture, "quick");
    other.loop = fixture.record.loop; /* the same count */
    look_until(&fixture, &now_ms, 5000);
    azfn__loop_watch_turn_to(&fixture.watch, &other);
    look_until(&fixture, &now_ms, 10000);
    assert_int_equal(fixture.killed, 0);
    assert_int_equal(count_of(&fixture.log, "blocks the loop"), 2);
    clean_up(&fixture);
}

static void the_time_of_a_machine_that_was_stopped_does_not_count(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    enter(&fixture, "quick");
    look_until(&fixture, &now_ms, 1000);
    now_ms += 3600000; /* the worker had no more time than this process */
    azfn__loop_watch_look(&fixture.watch, now_ms);
    assert_int_equal(fixture.killed, 0);
    assert_int_equal(count_of(&fixture.log, "blocks the loop since about 1 s"), 1);
    azfn__flight_record_leave(&fixture.record.loop);
    now_ms += 1000;
    look_until(&fixture, &now_ms, now_ms + 100000);
    assert_int_equal(fixture.killed, 0);
    clean_up(&fixture);
}

static void threads_of_the_pool_are_not_watched(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t now_ms = 1000;
    set_up(&fixture);
    azfn__flight_record_enter(&fixture.record.threads[0], AZFN__SPAN("quick"), AZFN__SPAN("1"), azfn__absent());
    look_until(&fixture, &now_ms, 100000);
    assert_int_equal(count_of(&fixture.log, "\n"), 0);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_goes_on_is_left_alone),
        cmocka_unit_test(a_blockage_is_told_once_and_ended_after_its_time),
        cmocka_unit_test(the_next_blockage_is_told_again),
        cmocka_unit_test(a_name_that_is_none_gets_the_longest_time),
        cmocka_unit_test(another_worker_begins_anew),
        cmocka_unit_test(the_time_of_a_machine_that_was_stopped_does_not_count),
        cmocka_unit_test(threads_of_the_pool_are_not_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
