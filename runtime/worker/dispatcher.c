#include "worker/dispatcher.h"

#include "base/span.h"
#include "worker/asks.h"
#include "worker/blocking_pool.h"
#include "worker/router.h"

#include <stdio.h>
#include <stdlib.h>

/* Kept warm for the next requests; the rest keep no memory of their own. */
#define MAX_FREE 64
#define MAX_QUERY_PARAMETERS 512
#define ENVELOPE_BYTES ((uint64_t)256 << 10)
#define ENVELOPE_FACTOR 4

static const struct azfn__refusal no_path = {404, AZFN__EVENT_INVALID_ROUTE, "no function has this path", NULL};
static const struct azfn__refusal not_method = {405, AZFN__EVENT_INVALID_ROUTE,
                                                "the function does not take this method", NULL};
static const struct azfn__refusal forged = {400, AZFN__EVENT_FORGED_ENVELOPE,
                                            "an event of the host that is not chunked, so a client may have forged it "
                                            "(with Core Tools FUNCTIONS_CORETOOLS_ENVIRONMENT is set)",
                                            NULL};
static const struct azfn__refusal many_parameters = {400, AZFN__EVENT_SIZE_LIMIT,
                                                     "the query has more than 512 parameters", "queryParameters"};
static const struct azfn__refusal full = {429, AZFN__EVENT_FUNCTION_LIMIT, "the function's maxConcurrent is reached",
                                          "maxConcurrent"};
static const struct azfn__refusal all_full = {429, AZFN__EVENT_FUNCTION_LIMIT, "the limit requestsInFlight is reached",
                                              "requestsInFlight"};
static const struct azfn__refusal pool_full = {429, AZFN__EVENT_BLOCKING_LIMIT,
                                               "too many invocations of blocking functions wait for a thread",
                                               "blockingQueue"};
static const struct azfn__refusal repeated = {500, AZFN__EVENT_REPEAT_REFUSED,
                                              "the host sends a request again that a worker died of, so it is not run",
                                              NULL};
static const struct azfn__refusal large_body = {413, AZFN__EVENT_SIZE_LIMIT,
                                                "what the envelope brings is beyond the function's maxBodyBytes",
                                                "maxBodyBytes"};

static void on_deadline_timer(uv_timer_t *timer);

static struct azfn__dispatcher_function *state_of(struct azfn__dispatcher *dispatcher,
                                                  const struct azfn__config_function *config)
{
    return &dispatcher->functions[config - dispatcher->config->functions];
}

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
            state_of(dispatcher, function)->registered = &registered[i];
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

/* NULL: there is room for one more invocation. */
static const struct azfn__refusal *find_full(const struct azfn__dispatcher *dispatcher,
                                             const struct azfn__dispatcher_function *function)
{
    if (dispatcher->in_flight >= dispatcher->config->limits.requests_in_flight) {
        return &all_full;
    }
    return function->in_flight >= function->config->max_concurrent ? &full : NULL;
}

/* An envelope has more than the body: its own members, base64 or escapes, and for JSON the properties once more in the
 * metadata. What the function gets is held against maxBodyBytes once it is known. */
static uint64_t wire_limit(const struct azfn__invocation *invocation)
{
    uint64_t limit = invocation->function->config->max_body_bytes;
    return invocation->mode == AZFN__MODE_ENVELOPE ? ENVELOPE_BYTES + ENVELOPE_FACTOR * limit : limit;
}

/* Decodes only what could be too long. */
static bool is_too_large(struct azfn__invocation *invocation)
{
    const struct azfn__config_function *config = invocation->function->config;
    bool is_http = config->trigger == AZFN__TRIGGER_HTTP;
    struct azfn_span raw = is_http ? invocation->envelope.body : invocation->envelope.trigger;
    if (raw.length <= config->max_body_bytes) {
        return false;
    }
    struct azfn_invocation *handle = azfn__invocation_handle(invocation);
    struct azfn_span value = is_http ? azfn_http_body(handle) : azfn_input(handle, NULL);
    return value.length > config->max_body_bytes;
}

/* Comparing their names with each other is quadratic. */
static bool has_too_many_parameters(struct azfn_span query)
{
    size_t count = 1;
    for (size_t i = 0; query.length > MAX_QUERY_PARAMETERS && i < query.length; i++) {
        count += query.data[i] == '&';
    }
    return count > MAX_QUERY_PARAMETERS;
}

struct azfn__dispatch_decision azfn__dispatcher_route(struct azfn__dispatcher *dispatcher,
                                                      struct azfn__invocation *invocation)
{
    struct azfn__router_result found =
        azfn__router_find(dispatcher->config, &invocation->request, &invocation->arena, &invocation->route);
    invocation->id = azfn__router_invocation_id(&invocation->request);
    switch (found.kind) {
    case AZFN__ROUTER_NONE:
        return (struct azfn__dispatch_decision){.refusal = no_path};
    case AZFN__ROUTER_NOT_METHOD:
        return (struct azfn__dispatch_decision){.refusal = not_method, .allowed = found.allowed};
    case AZFN__ROUTER_FORGED:
        return (struct azfn__dispatch_decision){.refusal = forged};
    case AZFN__ROUTER_READINESS:
        invocation->mode = AZFN__MODE_READINESS;
        return (struct azfn__dispatch_decision){0};
    case AZFN__ROUTER_ENVELOPE:
        invocation->mode = AZFN__MODE_ENVELOPE;
        break;
    case AZFN__ROUTER_FORWARDED:
        invocation->mode = AZFN__MODE_FORWARDED;
        break;
    }
    invocation->function = state_of(dispatcher, found.function);
    if (has_too_many_parameters(invocation->request.query)) {
        return (struct azfn__dispatch_decision){.refusal = many_parameters};
    }
    const struct azfn__refusal *limit = find_full(dispatcher, invocation->function);
    if (limit) {
        return (struct azfn__dispatch_decision){.refusal = *limit};
    }
    return (struct azfn__dispatch_decision){
        .max_body_bytes = wire_limit(invocation),
        .streams_body = invocation->mode == AZFN__MODE_FORWARDED && invocation->function->registered->streams_body &&
                        !invocation->function->registered->blocking};
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
static void refuse_large_body(struct azfn__invocation *invocation)
{
    if (!invocation->function->config->http_output) {
        refuse(invocation, &large_body);
        return;
    }
    azfn__dispatcher_tell_refusal(invocation->dispatcher, invocation, &large_body);
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
    if (is_too_large(invocation)) {
        refuse_large_body(invocation);
        return false;
    }
    return true;
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
    /* a retry that function.json asks for comes in an envelope, and runs */
    if (invocation->mode == AZFN__MODE_FORWARDED &&
        azfn__suspects_have(&dispatcher->flight_record->suspects, invocation->id)) {
        refuse(invocation, &repeated);
        return;
    }
    const struct azfn_function *registered = invocation->function->registered;
    /* others may have begun to run while this one's body was on its way */
    const struct azfn__refusal *limit = find_full(dispatcher, invocation->function);
    if (!limit && registered->blocking && azfn__blocking_pool_is_full(dispatcher->pool)) {
        limit = &pool_full;
    }
    if (limit) {
        refuse(invocation, limit);
        return;
    }
    if (invocation->mode == AZFN__MODE_ENVELOPE && !read_envelope(invocation)) {
        return;
    }
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
