/* tests/unit/test_loop.h
 * The one loop that a worker and its clients share, and how long a test waits for something on it. */
#ifndef TESTS_UNIT_TEST_LOOP_H
#define TESTS_UNIT_TEST_LOOP_H

#include <stdbool.h>
#include <uv.h>

#define AWAIT_MS 60000

static uv_loop_t loop;
static uv_timer_t watchdog;
static bool is_late;

#define AWAIT(condition)                                                                                     \
    while (!(condition)) {                                                                                   \
        assert_false(is_late);                                                                               \
        uv_run(&loop, UV_RUN_ONCE);                                                                          \
    }

static inline void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    is_late = true;
}

static inline void start_loop(void)
{
    is_late = false;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &watchdog), 0);
    assert_int_equal(uv_timer_start(&watchdog, on_watchdog, AWAIT_MS, 0), 0);
}

static inline void close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* With whatever handles are left on it. */
static inline void stop_loop(void)
{
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

#endif
