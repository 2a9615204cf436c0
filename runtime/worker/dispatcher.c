#include "worker/dispatcher.h"

#include "base/span.h"
#include "worker/admission.h"
#include "worker/asks.h"
#include "worker/blocking_pool.h"

#include <stdio.h>
#include <stdlib.h>

/* Kept warm for the next requests; the rest keep no memory of their own. */
#define MAX_FREE 64
static void on_deadline_timer(uv_timer_t *timer);

enum azfn_error azfn__dispatcher_init(struct azfn__dispatcher *dispatcher, uv_loop_t *loop,
                                      const struct azfn__config *config, const struct azfn_function *registered,
                                      size_t registered_count, struct azfn__broker_client *broker,
                                      struct azfn__flight_record *flight_record)
{
    *dispatcher = (struct azfn__dispatcher){
        .loop = loop, .config = config, .broker = broker, .flight_record = flight_record,
        .bodies = {.max_bytes = config->limits.body_bytes_in_flight}};
    dispatcher->functions = calloc(config->function_count ? config->function_count : 1,
                                   sizeof(*dispatcher->functions));
    if (!dispatcher->functions) {
        return AZFN_ERROR_NO_MEMORY;
    }
    for (size_t i = 0; i < config->function_count; i++) {
        dispatcher->functions[i].config = &config->functions[i];
    }
    for (size_t i = 0; i < registered_count; i++) {
        const struct azfn__config_function *function = azfn__config_find(config, azfn_span_of(registered[i].name));
        if (function) {
            azfn__dispatcher_function_of(dispatcher, function)->registered = &registered[i];
        }
    }
    dispatcher->deadline_timer.data = dispatcher;
    if (uv_timer_init(loop, &dispatcher->deadline_timer) != 0 ||
        azfn__callers_init(&dispatcher->callers, dispatcher) != AZFN_OK ||
        azfn__event_counts_init(&dispatcher->event_counts, dispatcher) != AZFN_OK) {
        free(dispatcher->functions);
        return AZFN_ERROR_SYSTEM;
    }
    return AZFN_OK;
}

static void free_list(struct azfn__invocation *first)
{
    while (first) {
        struct azfn__invocation *next = first->newer;
        azfn__invocation_clean_up(first);
        free(first);
        first = next;
    }
}

void azfn__dispatcher_clean_up(struct azfn__dispatcher *dispatcher)
{
    free_list(dispatcher->free);
    free_list(dispatcher->spare);
    azfn__callers_clean_up(&dispatcher->callers);
    azfn__event_counts_clean_up(&dispatcher->event_counts);
    free(dispatcher->functions);
    dispatcher->free = NULL;
    dispatcher->spare = NULL;
    dispatcher->functions = NULL;
}

struct azfn__invocation *azfn__dispatcher_acquire(struct azfn__dispatcher *dispatcher)
{
    struct azfn__invocation *invocation = dispatcher->free ? dispatcher->free : dispatcher->spare;
    if (invocation) {
        dispatcher->free_count -= dispatcher->free ? 1 : 0;
        *(dispatcher->free ? &dispatcher->free : &dispatcher->spare) = invocation->newer;
        invocation->newer = NULL;
        return invocation;
    }
    invocation = malloc(sizeof(*invocation));
    if (invocation) {
        azfn__invocation_init(invocation, dispatcher);
        invocation->message.budget = &dispatcher->bodies;
    }
    return invocation;
}

void azfn__dispatcher_release(struct azfn__dispatcher *dispatcher, struct azfn__invocation *invocation)
{
    if (invocation->is_in_call) {
        invocation->is_released = true;
        return;
    }
    azfn__invocation_flush_logs(invocation); /* what the answer has not taken along */
    struct azfn__invocation **list = &dispatcher->free;
    if (dispatcher->free_count == MAX_FREE) {
        azfn__invocation_shed(invocation);
        list = &dispatcher->spare;
    } else {
        azfn__invocation_reset(invocation);
        dispatcher->free_count++;
    }
    invocation->newer = *list;
    *list = invocation;
}

static void arm_deadline_timer(struct azfn__dispatcher *dispatcher)
{
    uint64_t earliest = UINT64_MAX;
    for (size_t i = 0; i < dispatcher->config->function_count; i++) {
        const struct azfn__invocation *oldest = dispatcher->functions[i].oldest;
        if (oldest && oldest->deadline_ms < earliest) {
            earliest = oldest->deadline_ms;
        }
    }
    if (earliest != UINT64_MAX) {
        uint64_t now = uv_now(dispatcher->loop);
        uv_timer_start(&dispatcher->deadline_timer, on_deadline_timer, earliest > now ? earliest - now : 0, 0);
    }
}

static void start_running(struct azfn__dispatcher *dispatcher, struct azfn__invocation *invocation)
{
    struct azfn__dispatcher_function *function = invocation->function;
    uv_update_time(dispatcher->loop); /* what an earlier one took, of those that came together, is not this one's */
    invocation->state = AZFN__INVOCATION_RUNNING;
    invocation->deadline_ms = uv_now(dispatcher->loop) + function->config->timeout_ms;
    invocation->older = function->newest;
    invocation->newer = NULL;
    if (function->newest) {
        function->newest->newer = invocation;
    } else {
        function->oldest = invocation;
    }
    function->newest = invocation;
    function->in_flight++;
    dispatcher->in_flight++;
    /* it is left running when this one has ended, so most requests do not touch it */
    if (!uv_is_active((uv_handle_t *)&dispatcher->deadline_timer) ||
        uv_now(dispatcher->loop) + uv_timer_get_due_in(&dispatcher->deadline_timer) > invocation->deadline_ms) {
        uv_timer_start(&dispatcher->deadline_timer, on_deadline_timer, function->config->timeout_ms, 0);
    }
}

void azfn__dispatcher_forget(struct azfn__invocation *invocation)
{
    struct azfn__dispatcher_function *function = invocation->function;
    *(invocation->older ? &invocation->older->newer : &function->oldest) = invocation->newer;
    *(invocation->newer ? &invocation->newer->older : &function->newest) = invocation->older;
    invocation->older = NULL;
    invocation->newer = NULL;
    function->in_flight--;
    invocation->dispatcher->in_flight--;
}

void azfn__dispatcher_finish(struct azfn__invocation *invocation)
{
    struct azfn__blocking_job *job = azfn__blocking_job_current();
    if (job) {
        job->has_answered = true;
        return;
    }
    azfn__dispatcher_forget(invocation);
    invocation->state = AZFN__INVOCATION_ANSWERED;
    azfn__invocation_stop_delays(invocation);
    azfn__asks_stop(invocation);
}

static void on_deadline_timer(uv_timer_t *timer)
{
    struct azfn__dispatcher *dispatcher = timer->data;
    uint64_t now = uv_now(dispatcher->loop);
    for (size_t i = 0; i < dispatcher->config->function_count; i++) {
        struct azfn__invocation *invocation;
        while ((invocation = dispatcher->functions[i].oldest) && invocation->deadline_ms <= now) {
            if (invocation->job) {
                azfn__blocking_pool_expire(invocation->job);
                continue;
            }
            azfn__dispatcher_finish(invocation);
            const struct azfn__event_fields fields = {.limit = AZFN__SPAN("timeoutMs")};
            azfn__dispatcher_tell(dispatcher, invocation, AZFN__EVENT_TIMEOUT, &fields,
                                  AZFN__SPAN("the function did not answer within its timeoutMs"));
            azfn__invocation_flush_logs(invocation);
            azfn__invocation_answer_timeout(invocation);
        }
    }
    arm_deadline_timer(dispatcher);
}

void azfn__dispatcher_call(struct azfn__invocation *invocation, azfn__call_fn *call, void *user_data)
{
    struct azfn__dispatcher *dispatcher = invocation->dispatcher;
    azfn__flight_record_enter(&dispatcher->flight_record->loop, invocation->function->config->name, invocation->id,
                              azfn__invocation_trace_parent(invocation));
    invocation->is_in_call = true;
    call(azfn__invocation_handle(invocation), user_data);
    invocation->is_in_call = false;
    azfn__flight_record_leave(&dispatcher->flight_record->loop);
    if (invocation->is_released) {
        azfn__dispatcher_release(dispatcher, invocation);
    }
}

static void refuse(struct azfn__invocation *invocation, const struct azfn__refusal *refusal)
{
    azfn__dispatcher_tell_refusal(invocation->dispatcher, invocation, refusal);
    invocation->state = AZFN__INVOCATION_ANSWERED;
    azfn__invocation_answer_status(invocation, refusal->status);
}

/* An HTTP caller sees the status only where it is inside the envelope's answer: one of the envelope itself makes the
 * host fail, with 500. A message fails, and is tried again. */
static void refuse_large_body(struct azfn__invocation *invocation, const struct azfn__refusal *refusal)
{
    if (!invocation->function->config->http_output) {
        refuse(invocation, refusal);
        return;
    }
    azfn__dispatcher_tell_refusal(invocation->dispatcher, invocation, refusal);
    start_running(invocation->dispatcher, invocation);
    azfn_http_reply(azfn__invocation_handle(invocation), 413, NULL, AZFN__SPAN("413 Content Too Large\n"));
}

/* False: it was refused. */
static bool read_envelope(struct azfn__invocation *invocation)
{
    char reason[128];
    size_t offset = 0;
    enum azfn_error error =
        azfn__envelope_read(invocation->request.body, invocation->function->config->trigger_binding->name,
                            &invocation->envelope, &offset);
    if (error != AZFN_OK) {
        const struct azfn__refusal refusal = {400, AZFN__EVENT_INVALID_ENVELOPE, reason, NULL};
        invocation->envelope = (struct azfn__envelope){.data = {0}};
        snprintf(reason, sizeof(reason), "the body is no envelope of the host: %s at byte %zu", azfn_error_text(error),
                 offset);
        refuse(invocation, &refusal);
        return false;
    }
    const struct azfn__refusal *refusal = azfn__admission_check_envelope(invocation);
    if (refusal) {
        refuse_large_body(invocation, refusal);
    }
    return !refusal;
}

void azfn__dispatcher_run(struct azfn__dispatcher *dispatcher, struct azfn__invocation *invocation,
                          const struct azfn__responder *responder, void *responder_context)
{
    invocation->responder = responder;
    invocation->responder_context = responder_context;
    if (invocation->mode == AZFN__MODE_READINESS) {
        invocation->state = AZFN__INVOCATION_ANSWERED;
        const struct azfn__http_response ready = {.status = 200, .body = azfn__span("", 0)};
        azfn__invocation_send(invocation, &ready);
        return;
    }
    const struct azfn__refusal *refusal = azfn__admission_check_run(dispatcher, invocation);
    if (refusal) {
        refuse(invocation, refusal);
        return;
    }
    if (invocation->mode == AZFN__MODE_ENVELOPE && !read_envelope(invocation)) {
        return;
    }
    const struct azfn_function *registered = invocation->function->registered;
    azfn__callers_note(&dispatcher->callers, invocation);
    start_running(dispatcher, invocation);
    if (registered->blocking) {
        azfn__blocking_pool_submit(dispatcher->pool, invocation);
        return;
    }
    azfn__dispatcher_call(invocation, registered->handler, registered->user_data);
}

void azfn__dispatcher_cancel(struct azfn__invocation *invocation)
{
    azfn_on_cancelled_fn *on_cancelled = invocation->on_cancelled;
    if (invocation->state != AZFN__INVOCATION_RUNNING) {
        return;
    }
    atomic_store(&invocation->is_cancelled, true);
    if (on_cancelled) {
        invocation->on_cancelled = NULL;
        azfn__dispatcher_call(invocation, on_cancelled, invocation->on_cancelled_data);
    }
}

void azfn__dispatcher_abandon(struct azfn__invocation *invocation)
{
    invocation->responder = NULL;
    invocation->responder_context = NULL;
}
