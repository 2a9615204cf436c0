/* worker/blocking_job.h
 * An invocation on its way through a thread of the pool: what the function answers there is kept, and carried out on
 * the loop after it has returned; what it logs the loop passes on at once. From the queue to the return the invocation's memory is the
 * thread's alone, but for what http_connection and dispatcher write for themselves: responder, state, lists. */
#ifndef AZFN_WORKER_BLOCKING_JOB_H
#define AZFN_WORKER_BLOCKING_JOB_H

#include "base/buffer.h"
#include "channel/frame.h"
#include "worker/dropped_logs.h"
#include "worker/flight_record.h"
#include "worker/invocation.h"

#include <azfn.h>
#include <stdatomic.h>
#include <uv.h>

#define AZFN__JOB_REFUSED_SETTINGS 64
#define AZFN__JOB_TOLD_MAX_BYTES ((size_t)1 << 20)

struct azfn__refused_setting {
    struct azfn_span name;
    uint64_t times; /* and not yet told */
};

struct azfn__blocking_pool;

struct azfn__blocking_job {
    uv_work_t work;
    struct azfn__blocking_pool *pool;
    struct azfn__invocation *invocation; /* NULL: nothing is left to carry out */
    struct azfn__blocking_job *next_free;
    atomic_bool has_returned;
    bool is_late; /* the loop's: a stand-in has answered, and its thread counts as lost */

    /* The thread's until it has returned. */
    bool has_answered;
    struct azfn__http_response response; /* its spans live in the invocation */
    bool is_loop_slow;                   /* it was waited for in vain */

    /* For the broker's log, guarded by the pool's mutex. */
    struct azfn__buffer told;          /* frames */
    struct azfn__dropped_logs dropped; /* that told had no room for */
    struct azfn__refused_setting *refused_settings; /* as many as there may be, once there is one */
    size_t refused_setting_count;
    uint64_t other_refused_settings; /* how many times it asked for more than these */
    uint64_t told_count;             /* how often something was told */
    uint64_t passed_count;           /* of them: what the loop has passed on */
};

/* Makes it new for the next invocation; what it keeps needs memory until it is cleaned up. */
void azfn__blocking_job_init(struct azfn__blocking_job *job, struct azfn__blocking_pool *pool);
void azfn__blocking_job_clean_up(struct azfn__blocking_job *job);

/* What this thread is running. NULL on the loop. */
struct azfn__blocking_job *azfn__blocking_job_current(void);
/* On the thread: calls the function. */
void azfn__blocking_job_run(struct azfn__blocking_job *job, struct azfn__flight_slot *slot);

/* On the thread: copies the answer for the loop. */
void azfn__blocking_job_keep(struct azfn__blocking_job *job, const struct azfn__http_response *response);
/* On the thread: for the loop to report. It waits, as for an event. */
void azfn__blocking_job_refuse_setting(struct azfn__blocking_job *job, struct azfn_span name);
/* On the thread: a line or an event for the loop to send. It waits until an event is sent, since the function may crash
 * of what it has found; but not for long, and no second time, where the loop does not come to it. */
void azfn__blocking_job_log(struct azfn__blocking_job *job, const struct azfn__log_frame *log);

#endif
