/* When the next worker is started, by what became of the ones before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/restart_schedule.h"

struct fixture {
    uv_loop_t loop;
    struct azfn__restart_schedule schedule;
    unsigned starts;
};

static void on_due(void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->starts++;
}

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.starts = 0};
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(azfn__restart_schedule_init(&fixture->schedule, &fixture->loop, on_due, fixture), AZFN_OK);
}

static void clean_up(struct fixture *fixture)
{
    uv_close((uv_handle_t *)&fixture->schedule.timer, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
}

static void require_wait(struct fixture *fixture, uint64_t delay_ms)
{
    assert_true(uv_is_active((uv_handle_t *)&fixture->schedule.timer));
    assert_int_equal(uv_timer_get_due_in(&fixture->schedule.timer), delay_ms);
}

static void five_failed_starts_in_a_row_are_the_end(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {50, 200, 800};
    struct fixture fixture;
    set_up(&fixture);
    assert_true(azfn__restart_schedule_retry(&fixture.schedule));
    assert_int_equal(fixture.starts, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_true(azfn__restart_schedule_retry(&fixture.schedule));
        require_wait(&fixture, delays_ms[i]);
    }
    assert_int_equal(fixture.starts, 1);
    assert_false(azfn__restart_schedule_retry(&fixture.schedule));
    clean_up(&fixture);
}

static void a_worker_that_is_ready_ends_the_row(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 100; i++) {
        assert_true(azfn__restart_schedule_retry(&fixture.schedule));
        azfn__restart_schedule_succeed(&fixture.schedule);
    }
    assert_int_equal(fixture.starts, 100);
    clean_up(&fixture);
}

static void troubles_wait_longer_and_longer_but_without_end(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {50, 200, 800, 2000, 2000, 2000, 2000};
    struct fixture fixture;
    set_up(&fixture);
    azfn__restart_schedule_replace(&fixture.schedule, uv_now(&fixture.loop));
    assert_int_equal(fixture.starts, 1);
    for (size_t i = 0; i < sizeof(delays_ms) / sizeof(delays_ms[0]); i++) {
        azfn__restart_schedule_succeed(&fixture.schedule); /* each of them was ready */
        azfn__restart_schedule_replace(&fixture.schedule, uv_now(&fixture.loop));
        require_wait(&fixture, delays_ms[i]);
    }
    clean_up(&fixture);
}

static void one_that_lived_long_begins_anew(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 5; i++) {
        azfn__restart_schedule_replace(&fixture.schedule, uv_now(&fixture.loop));
    }
    azfn__restart_schedule_replace(&fixture.schedule, uv_now(&fixture.loop) - 9999);
    assert_int_equal(fixture.starts, 1);
    azfn__restart_schedule_replace(&fixture.schedule, uv_now(&fixture.loop) - 10000);
    assert_int_equal(fixture.starts, 2);
    assert_false(uv_is_active((uv_handle_t *)&fixture.schedule.timer)); /* an earlier wait is over */
    clean_up(&fixture);
}

static void a_wait_ends_with_a_start(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    azfn__restart_schedule_wait(&fixture.schedule, 1);
    assert_int_equal(fixture.starts, 0);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(fixture.starts, 1);
    azfn__restart_schedule_wait(&fixture.schedule, 1);
    azfn__restart_schedule_stop(&fixture.schedule);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(fixture.starts, 1);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_failed_starts_in_a_row_are_the_end),
        cmocka_unit_test(a_worker_that_is_ready_ends_the_row),
        cmocka_unit_test(troubles_wait_longer_and_longer_but_without_end),
        cmocka_unit_test(one_that_lived_long_begins_anew),
        cmocka_unit_test(a_wait_ends_with_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
