/* broker/loop_watch.h
 * Notices a function that blocks the worker's loop, on which everything else waits: it is named in the log, and ended
 * with its worker when its time is over. Looks from outside, once a second, at what the worker writes into its flight
 * record, since a worker that is blocked, or in an attacker's hands, tells nothing. */
#ifndef AZFN_BROKER_LOOP_WATCH_H
#define AZFN_BROKER_LOOP_WATCH_H

#include "broker/log_sink.h"
#include "config/config.h"
#include "worker/flight_record.h"

#include <azfn.h>
#include <uv.h>

#define AZFN__LOOP_WATCH_INTERVAL_MS 1000
/* Beyond the function's timeoutMs, at which the worker would have answered for it. */
#define AZFN__LOOP_WATCH_GRACE_MS 2000

struct azfn__loop_watch_options {
    uv_loop_t *loop;                   /* Required. */
    const struct azfn__config *config; /* Required. For the functions' timeoutMs; must outlive the watch. */
    struct azfn__log_sink *log;        /* Required. */
    void (*on_blocked)(void *user_data); /* Required. The worker has to be killed; nothing is watched any more. */
    void *user_data;
};

struct azfn__loop_watch {
    struct azfn__loop_watch_options options;
    uv_timer_t timer;
    const struct azfn__flight_record *record; /* NULL: nothing to watch */
    bool was_running;                         /* at the last look, */
    uint64_t calls;                           /* this one */
    uint64_t looked_ms;                       /* then */
    uint64_t blocked_ms;                      /* since it was first seen */
    bool is_told;
};

/* Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__loop_watch_init(struct azfn__loop_watch *watch,
                                                    const struct azfn__loop_watch_options *options);
/* Watches that worker from here on, instead of another one. NULL: none. */
void azfn__loop_watch_turn_to(struct azfn__loop_watch *watch, const struct azfn__flight_record *record);
/* One look. The timer does it; tests do it at times of their own. */
void azfn__loop_watch_look(struct azfn__loop_watch *watch, uint64_t now_ms);

#endif
