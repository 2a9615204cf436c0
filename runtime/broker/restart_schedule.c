#include "broker/restart_schedule.h"

/* A worker that lived this long has shown that the last trouble is not the next one's cause. */
#define STABLE_AFTER_MS 10000

static const uint32_t delays_ms[] = {0, 50, 200, 800, 2000};

enum azfn_error azfn__restart_schedule_init(struct azfn__restart_schedule *schedule, uv_loop_t *loop,
                                            void (*on_due)(void *user_data), void *user_data)
{
    *schedule = (struct azfn__restart_schedule){.loop = loop, .on_due = on_due, .user_data = user_data};
    schedule->timer.data = schedule;
    return uv_timer_init(loop, &schedule->timer) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void on_timer(uv_timer_t *timer)
{
    const struct azfn__restart_schedule *schedule = timer->data;
    schedule->on_due(schedule->user_data);
}

void azfn__restart_schedule_wait(struct azfn__restart_schedule *schedule, uint32_t delay_ms)
{
    if (delay_ms == 0) {
        uv_timer_stop(&schedule->timer);
        schedule->on_due(schedule->user_data);
    } else {
        uv_timer_start(&schedule->timer, on_timer, delay_ms, 0);
    }
}

static uint32_t delay_after(unsigned earlier)
{
    size_t last = sizeof(delays_ms) / sizeof(delays_ms[0]) - 1;
    return delays_ms[earlier < last ? earlier : last];
}

void azfn__restart_schedule_succeed(struct azfn__restart_schedule *schedule)
{
    schedule->failed_starts = 0;
}

bool azfn__restart_schedule_retry(struct azfn__restart_schedule *schedule)
{
    schedule->failed_starts++;
    if (schedule->failed_starts >= AZFN__MAX_FAILED_STARTS) {
        return false;
    }
    azfn__restart_schedule_wait(schedule, delay_after(schedule->failed_starts - 1));
    return true;
}

void azfn__restart_schedule_replace(struct azfn__restart_schedule *schedule, uint64_t ready_at_ms)
{
    if (uv_now(schedule->loop) - ready_at_ms >= STABLE_AFTER_MS) {
        schedule->troubles = 0;
    }
    azfn__restart_schedule_wait(schedule, delay_after(schedule->troubles++));
}

void azfn__restart_schedule_stop(struct azfn__restart_schedule *schedule)
{
    uv_timer_stop(&schedule->timer);
}
