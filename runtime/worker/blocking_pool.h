/* worker/blocking_pool.h
 * Runs functions that block on threads of their own: libuv's, of which there is a fixed number, with a bounded
 * queue before them. A thread whose function does not return within its time is lost until it does: the caller gets
 * his answer from a stand-in meanwhile. Lives on the loop's thread; blocking_job.h is the other threads' side. */
#ifndef AZFN_WORKER_BLOCKING_POOL_H
#define AZFN_WORKER_BLOCKING_POOL_H

#include "worker/blocking_job.h"
#include "worker/dispatcher.h"

#include <azfn.h>

struct azfn__blocking_pool_options {
    uint32_t threads; /* Required. At least 1, AZFN__FLIGHT_RECORD_THREADS at the most. */
    uint32_t queue;   /* Required. Invocations that may wait for a thread; 0 for none. */
    /* Optional. Half of the threads are lost: the process should be replaced. reason is valid during the call. */
    void (*on_worn_out)(struct azfn_span reason, void *user_data);
    void *user_data;
};

/* For how long a thread waits at most until the loop has sent an event of its function. */
#define AZFN__BLOCKING_PASSING_MAX_MS 200

struct azfn__blocking_pool {
    struct azfn__dispatcher *dispatcher;
    struct azfn__blocking_pool_options options;
    struct azfn__blocking_job *jobs; /* one for each thread and each place in the queue, and one to start each thread */
    struct azfn__blocking_job *free; /* NULL: all are taken */
    uv_barrier_t start;
    atomic_bool has_failed; /* a thread could not be made ready */
    uint32_t lost;
    bool is_worn_out;

    uv_async_t bell;             /* rung by a thread whose function has told something */
    uv_cond_t passed;            /* something was passed on */
    struct azfn__buffer passing; /* the loop's: what a job has told */
    uv_mutex_t mutex;            /* guards running, and of jobs what they say */
    struct azfn__blocking_job *running[AZFN__FLIGHT_RECORD_THREADS]; /* by the threads' numbers, less one */
};

bool azfn__blocking_pool_is_needed(const struct azfn_function *functions, size_t count);

/* Makes the threads, with all that the C library makes at a thread's first use, and has the dispatcher use them.
 * Nobody may have used libuv's threads before: their number is fixed at the first use. dispatcher must outlive the
 * pool. Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__blocking_pool_start(struct azfn__blocking_pool *pool,
                                                        struct azfn__dispatcher *dispatcher,
                                                        const struct azfn__blocking_pool_options *options);
/* Nothing may run or wait. The threads stay: libuv ends them with the process. */
void azfn__blocking_pool_clean_up(struct azfn__blocking_pool *pool);

/* Of the calling thread, from 1; 0: it is none of the pool's. */
unsigned azfn__blocking_pool_thread_number(void);

/* For the dispatcher: whether another one has to be refused. */
bool azfn__blocking_pool_is_full(const struct azfn__blocking_pool *pool);
/* For the dispatcher: has a thread call the function of a running invocation. The pool must not be full. */
void azfn__blocking_pool_submit(struct azfn__blocking_pool *pool, struct azfn__invocation *invocation);
/* For the dispatcher: the time of a running invocation is over. */
void azfn__blocking_pool_expire(struct azfn__blocking_job *job);

#endif
