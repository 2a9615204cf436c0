/* broker/supervisor.h
 * Keeps one worker running. One that died before it was ready is tried again, five times in a row at the
 * most: then it is a fault of the configuration. One that died after it was ready is replaced without
 * end, after growing waits: otherwise one poisonous message would be an off switch for the whole app. */
#ifndef AZFN_BROKER_SUPERVISOR_H
#define AZFN_BROKER_SUPERVISOR_H

#include "broker/launcher.h"
#include "broker/log_sink.h"
#include "broker/worker_process.h"

#include <azfn.h>
#include <uv.h>

#define AZFN__SUPERVISOR_MAX_FAILED_STARTS 5
#define AZFN__DRAIN_LIMIT_MS 25000
/* From its start until a worker has to be ready; and from its loss until its end has to be reported. */
#define AZFN__READY_LIMIT_MS 10000
#define AZFN__LOSS_LIMIT_MS 2000

/* exit_code is what the process has to end with. */
typedef void azfn__on_supervisor_end_fn(int exit_code, void *user_data);

struct azfn__supervisor_options {
    uv_loop_t *loop;                    /* Required. */
    struct azfn__launcher *launcher;    /* Required. It has become the worker's user. */
    struct azfn__log_sink *log;         /* Required. */
    int listener;                       /* Required. Bound; stays the caller's. */
    int config;                         /* Required. The sealed memfd; stays the caller's. */
    azfn__on_supervisor_end_fn *on_end; /* Required. Called once. */
    void (*on_first_ready)(void *user_data); /* Required. Called once. */
    void *user_data;
};

struct azfn__supervisor {
    struct azfn__supervisor_options options;
    struct azfn__worker_process *worker; /* NULL between two */
    uv_poll_t launcher_poll;
    uv_timer_t restart_timer;
    uv_timer_t drain_timer;
    uv_timer_t watch_timer; /* while a worker has to become ready, or to be reported dead */
    unsigned failed_starts; /* in a row, before ready */
    char last_fault[256];   /* why the last of them failed, as far as somebody said so */
    unsigned crashes;       /* after ready, since one lived long enough */
    bool was_ready;
    bool is_draining;
    bool has_ended;
};

/* Starts the first worker. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__supervisor_start(struct azfn__supervisor *supervisor,
                                                     const struct azfn__supervisor_options *options);

/* Has the worker accept no more, finish what is in flight within AZFN__DRAIN_LIMIT_MS, and end. Then on_end is
 * called with 0. A second call ends at once. */
void azfn__supervisor_drain(struct azfn__supervisor *supervisor);

#endif
