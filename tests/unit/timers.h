/* unit/timers.h
 * A loop's timers, found from outside, so that a test need not wait for one. After cmocka.h. */
#ifndef TESTS_UNIT_TIMERS_H
#define TESTS_UNIT_TIMERS_H

#include <uv.h>

struct timers {
    uv_timer_t *next; /* the one that is due first */
    size_t count;     /* of those that run */
};

static void look_at_handle(uv_handle_t *handle, void *user_data)
{
    struct timers *timers = user_data;
    if (handle->type != UV_TIMER || !uv_is_active(handle) || uv_is_closing(handle)) {
        return;
    }
    uv_timer_t *timer = (uv_timer_t *)handle;
    timers->count++;
    if (!timers->next || uv_timer_get_due_in(timer) < uv_timer_get_due_in(timers->next)) {
        timers->next = timer;
    }
}

static struct timers timers_of(uv_loop_t *loop)
{
    struct timers timers = {.next = NULL};
    uv_walk(loop, look_at_handle, &timers);
    return timers;
}

/* The one that is due first comes now. Returns in how many milliseconds it would have come. */
static uint64_t bring_timer_forward(uv_loop_t *loop)
{
    struct timers timers = timers_of(loop);
    assert_non_null(timers.next);
    uint64_t due_in_ms = uv_timer_get_due_in(timers.next);
    assert_int_equal(uv_timer_start(timers.next, timers.next->timer_cb, 0, 0), 0);
    /* one that does not keep the loop going: whoever owns it keeps it */
    bool has_ref = uv_has_ref((uv_handle_t *)timers.next);
    uv_ref((uv_handle_t *)timers.next);
    uv_run(loop, UV_RUN_NOWAIT);
    if (!has_ref) {
        uv_unref((uv_handle_t *)timers.next);
    }
    return due_in_ms;
}

#endif
