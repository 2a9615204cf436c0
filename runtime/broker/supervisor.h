/* broker/supervisor.h
 * Keeps one worker running. One that died before it was ready is tried again, five times in a row at the
 * most: then it is a fault of the configuration. One that died after it was ready is replaced without
 * end, after growing waits: otherwise one poisonous message would be an off switch for the whole app. One that
 * asks for it is replaced after the same waits, while it serves: it ends when the other one is ready. One whose loop
 * is blocked is killed. */
#ifndef AZFN_BROKER_SUPERVISOR_H
#define AZFN_BROKER_SUPERVISOR_H

#include "broker/launcher.h"
#include "broker/loop_watch.h"
#include "broker/restart_schedule.h"
#include "broker/supervisor_log.h"
#include "broker/worker_set.h"

#include <azfn.h>
#include <uv.h>

#define AZFN__DRAIN_LIMIT_MS 25000
/* From its start until a worker has to be ready; and from its loss until its end has to be reported. */
#define AZFN__READY_LIMIT_MS 10000
#define AZFN__LOSS_LIMIT_MS 2000
/* With this exit code the host starts the handler again at once. */
#define AZFN__EXIT_RESTART 200

/* exit_code is what the process has to end with. */
typedef void azfn__on_supervisor_end_fn(int exit_code, void *user_data);

struct azfn__supervisor_options {
    uv_loop_t *loop;                    /* Required. */
    const struct azfn__config *config;  /* Required. Must outlive the supervisor. */
    struct azfn__launcher *launcher;    /* Required. It has become the worker's user. */
    struct azfn__services *services;    /* Required. May be made later, but before the loop runs. */
    struct azfn__log_sink *log;         /* Required. */
    int listener;                       /* Required. Bound; stays the caller's. */
    int config_fd;                      /* Required. The sealed memfd; stays the caller's. */
    azfn__on_supervisor_end_fn *on_end; /* Required. Called once. */
    void (*on_first_ready)(void *user_data); /* Required. Called once. */
    void *user_data;
};

struct azfn__supervisor {
    struct azfn__supervisor_options options;
    struct azfn__worker_set workers;
    struct azfn__restart_schedule schedule;
    struct azfn__loop_watch loop_watch; /* of the worker that serves */
    uv_poll_t launcher_poll;
    uv_timer_t drain_timer;
    uv_timer_t ready_timer; /* while a worker has to become ready */
    uv_timer_t loss_timer;  /* while one has to be reported dead */
    struct azfn__suspects suspects; /* of all workers that died */
    struct azfn__supervisor_log log;
    uint64_t draining_since_ms;
    bool is_replacing;      /* a successor starts, or waits for its time */
    bool was_ready;
    bool is_draining;
    bool has_lost_work; /* while draining, a worker ended before it had finished */
    bool has_ended;
};

/* Starts the first worker. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__supervisor_start(struct azfn__supervisor *supervisor,
                                                     const struct azfn__supervisor_options *options);

/* Has the worker accept no more, finish what is in flight within AZFN__DRAIN_LIMIT_MS, and end. Then on_end is
 * called, with 0 where all was finished and 1 otherwise. A second call ends at once. */
void azfn__supervisor_drain(struct azfn__supervisor *supervisor);

#endif
