/* worker/dispatcher.h
 * Calls functions with the requests that admission.h takes, keeps the count of what is in flight, and answers for those
 * that do not answer in time. Owns the invocations. */
#ifndef AZFN_WORKER_DISPATCHER_H
#define AZFN_WORKER_DISPATCHER_H

#include "config/config.h"
#include "worker/broker_client.h"
#include "worker/callers.h"
#include "worker/event_counts.h"
#include "worker/flight_record.h"
#include "worker/invocation.h"

#include <azfn.h>
#include <uv.h>

struct azfn__asks;
struct azfn__blocking_pool;
struct azfn__refusal;

struct azfn__dispatcher_function {
    const struct azfn__config_function *config;
    const struct azfn_function *registered;
    struct azfn__invocation *oldest; /* running, in the order of their deadlines, since all have the same time */
    struct azfn__invocation *newest;
    uint32_t in_flight;
};

struct azfn__dispatcher {
    uv_loop_t *loop;
    const struct azfn__config *config;
    struct azfn__broker_client *broker;
    struct azfn__flight_record *flight_record;
    struct azfn__asks *asks; /* set before functions run that ask for something */
    struct azfn__blocking_pool *pool; /* NULL: no function blocks */
    struct azfn__dispatcher_function *functions; /* as many as config has, in its order */
    uint32_t in_flight;
    struct azfn__http_body_budget bodies; /* of all invocations */
    uv_timer_t deadline_timer;
    struct azfn__invocation *free; /* warm */
    size_t free_count;
    struct azfn__invocation *spare; /* without memory of their own; never given back, since functions may hold them */
    struct azfn__callers callers;
    struct azfn__event_counts event_counts;
};

/* registered has a function for each of config's. All arguments must outlive the dispatcher.
 * Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__dispatcher_init(struct azfn__dispatcher *dispatcher, uv_loop_t *loop,
                                                    const struct azfn__config *config,
                                                    const struct azfn_function *registered, size_t registered_count,
                                                    struct azfn__broker_client *broker,
                                                    struct azfn__flight_record *flight_record);
/* Nothing may be in flight. */
void azfn__dispatcher_clean_up(struct azfn__dispatcher *dispatcher);

static inline struct azfn__dispatcher_function *
azfn__dispatcher_function_of(const struct azfn__dispatcher *dispatcher, const struct azfn__config_function *config)
{
    return &dispatcher->functions[config - dispatcher->config->functions];
}

/* For the next request. NULL without memory. */
struct azfn__invocation *azfn__dispatcher_acquire(struct azfn__dispatcher *dispatcher);
/* Takes it back, from any state. Nothing of it may be used afterwards. */
void azfn__dispatcher_release(struct azfn__dispatcher *dispatcher, struct azfn__invocation *invocation);

/* The request is complete, or its body is streamed, and was not refused: calls the function. The responder is
 * used from now on, perhaps before this returns. */
void azfn__dispatcher_run(struct azfn__dispatcher *dispatcher, struct azfn__invocation *invocation,
                          const struct azfn__responder *responder, void *responder_context);
/* The caller has gone, as far as can be seen: tells the function, once. Not to be called from within a call of the
 * function's code. The answer may still be sent. */
void azfn__dispatcher_cancel(struct azfn__invocation *invocation);
/* Nobody can get the answer any more: it will be thrown away. */
void azfn__dispatcher_abandon(struct azfn__invocation *invocation);

/* A running one is being answered: takes it off the running ones. On a thread of the pool that has to wait until
 * the function has returned. */
void azfn__dispatcher_finish(struct azfn__invocation *invocation);
/* A running one is given up, though the function still has it: takes it off the running ones. */
void azfn__dispatcher_forget(struct azfn__invocation *invocation);

/* Calls code of a function, with the flight record telling which. */
typedef void azfn__call_fn(struct azfn_invocation *handle, void *user_data);
void azfn__dispatcher_call(struct azfn__invocation *invocation, azfn__call_fn *call, void *user_data);

/* A line about an invocation (which may have no function yet), or, with NULL, about none. On a thread of the pool
 * the line is one of the invocation that it runs. */
void azfn__dispatcher_log(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                          enum azfn_log_level level, struct azfn_span text);
/* A security event. What the invocation and its request say is filled in; fields has the rest, or is NULL. */
void azfn__dispatcher_tell(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                           enum azfn__security_event event, const struct azfn__event_fields *fields,
                           struct azfn_span text);
/* What a function has logged and there was no room for: dropped has nothing more to tell then. */
void azfn__dispatcher_tell_dropped(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                                   struct azfn__dropped_logs *dropped);
/* Writes the counts of events that are not told yet. */
void azfn__dispatcher_tell_counts(struct azfn__dispatcher *dispatcher);
void azfn__dispatcher_tell_refusal(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                                   const struct azfn__refusal *refusal);

#endif
