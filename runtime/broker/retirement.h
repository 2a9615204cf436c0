/* broker/retirement.h
 * Workers that another one has replaced: each accepts no more, finishes what it has in flight, and ends. One that
 * takes too long, or that makes them too many, is killed. */
#ifndef AZFN_BROKER_RETIREMENT_H
#define AZFN_BROKER_RETIREMENT_H

#include "broker/worker_process.h"

#include <azfn.h>
#include <uv.h>

#define AZFN__RETIREMENT_MAX_WORKERS 4
/* A killed one takes a place until its end was reported. */
#define AZFN__RETIREMENT_PLACES (AZFN__RETIREMENT_MAX_WORKERS + 1)

struct azfn__retirement_options {
    uv_loop_t *loop;   /* Required. */
    uint32_t limit_ms; /* Required. What each has to finish. */
    /* Required. Its time is over, or its place is needed. azfn__retirement_remove() follows when it has ended. */
    void (*on_expired)(struct azfn__worker_process *worker, const char *reason, void *user_data);
    void *user_data;
};

struct azfn__retirement {
    struct azfn__retirement_options options;
    struct azfn__worker_process *workers[AZFN__RETIREMENT_PLACES]; /* the oldest first */
    uint64_t until_ms[AZFN__RETIREMENT_PLACES];                    /* uv_now(); UINT64_MAX for one that has expired */
    size_t count;
    uv_timer_t timer;
};

/* Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__retirement_init(struct azfn__retirement *retirement,
                                                    const struct azfn__retirement_options *options);

/* Whether another one may come. Has the oldest expire where there are as many as may be. */
bool azfn__retirement_make_room(struct azfn__retirement *retirement);
/* Tells the worker to finish. There has to be room. */
void azfn__retirement_add(struct azfn__retirement *retirement, struct azfn__worker_process *worker);
/* False: it is not among them. */
bool azfn__retirement_remove(struct azfn__retirement *retirement, const struct azfn__worker_process *worker);

#endif
