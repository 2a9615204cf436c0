/* broker/restart_schedule.h
 * When the next worker may be started: after growing waits, so that neither a fault nor a worker in an attacker's
 * hands makes a storm of processes. */
#ifndef AZFN_BROKER_RESTART_SCHEDULE_H
#define AZFN_BROKER_RESTART_SCHEDULE_H

#include <azfn.h>
#include <uv.h>

#define AZFN__MAX_FAILED_STARTS 5

struct azfn__restart_schedule {
    uv_loop_t *loop;
    uv_timer_t timer;
    void (*on_due)(void *user_data);
    void *user_data;
    unsigned failed_starts; /* in a row, before ready */
    unsigned troubles;      /* after ready, since one lived long enough */
};

/* on_due is called each time that a worker is to be started, perhaps before the call that asked for it returns.
 * Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__restart_schedule_init(struct azfn__restart_schedule *schedule, uv_loop_t *loop,
                                                          void (*on_due)(void *user_data), void *user_data);

/* One is ready: earlier failures do not count any more. */
void azfn__restart_schedule_succeed(struct azfn__restart_schedule *schedule);
/* One ended before it was ready. False: AZFN__MAX_FAILED_STARTS did so in a row, and nothing was scheduled. */
bool azfn__restart_schedule_retry(struct azfn__restart_schedule *schedule);
/* One that became ready at ready_at_ms (uv_now()) has crashed, or has asked to be replaced. */
void azfn__restart_schedule_replace(struct azfn__restart_schedule *schedule, uint64_t ready_at_ms);
void azfn__restart_schedule_wait(struct azfn__restart_schedule *schedule, uint32_t delay_ms);
void azfn__restart_schedule_stop(struct azfn__restart_schedule *schedule);

#endif
