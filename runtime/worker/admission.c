#include "worker/admission.h"

#include "base/span.h"
#include "worker/blocking_pool.h"
#include "worker/router.h"

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
const struct azfn__refusal *azfn__admission_check_envelope(struct azfn__invocation *invocation)
{
    const struct azfn__config_function *config = invocation->function->config;
    bool is_http = config->trigger == AZFN__TRIGGER_HTTP;
    struct azfn_span raw = is_http ? invocation->envelope.body : invocation->envelope.trigger;
    if (raw.length <= config->max_body_bytes) {
        return NULL;
    }
    struct azfn_invocation *handle = azfn__invocation_handle(invocation);
    struct azfn_span value = is_http ? azfn_http_body(handle) : azfn_input(handle, NULL);
    return value.length > config->max_body_bytes ? &large_body : NULL;
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

struct azfn__admission azfn__admission_of_head(struct azfn__dispatcher *dispatcher,
                                               struct azfn__invocation *invocation)
{
    struct azfn__router_result found =
        azfn__router_find(dispatcher->config, &invocation->request, &invocation->arena, &invocation->route);
    invocation->id = azfn__router_invocation_id(&invocation->request);
    switch (found.kind) {
    case AZFN__ROUTER_NONE:
        return (struct azfn__admission){.refusal = no_path};
    case AZFN__ROUTER_NOT_METHOD:
        return (struct azfn__admission){.refusal = not_method, .allowed = found.allowed};
    case AZFN__ROUTER_FORGED:
        return (struct azfn__admission){.refusal = forged};
    case AZFN__ROUTER_READINESS:
        invocation->mode = AZFN__MODE_READINESS;
        return (struct azfn__admission){0};
    case AZFN__ROUTER_ENVELOPE:
        invocation->mode = AZFN__MODE_ENVELOPE;
        break;
    case AZFN__ROUTER_FORWARDED:
        invocation->mode = AZFN__MODE_FORWARDED;
        break;
    }
    invocation->function = azfn__dispatcher_function_of(dispatcher, found.function);
    if (has_too_many_parameters(invocation->request.query)) {
        return (struct azfn__admission){.refusal = many_parameters};
    }
    const struct azfn__refusal *limit = find_full(dispatcher, invocation->function);
    if (limit) {
        return (struct azfn__admission){.refusal = *limit};
    }
    return (struct azfn__admission){
        .max_body_bytes = wire_limit(invocation),
        .streams_body = invocation->mode == AZFN__MODE_FORWARDED && invocation->function->registered->streams_body &&
                        !invocation->function->registered->blocking};
}

const struct azfn__refusal *azfn__admission_check_run(const struct azfn__dispatcher *dispatcher,
                                                      const struct azfn__invocation *invocation)
{
    /* a retry that function.json asks for comes in an envelope, and runs */
    if (invocation->mode == AZFN__MODE_FORWARDED &&
        azfn__suspects_have(&dispatcher->flight_record->suspects, invocation->id)) {
        return &repeated;
    }
    const struct azfn__refusal *limit = find_full(dispatcher, invocation->function);
    bool needs_thread = invocation->function->registered->blocking;
    return limit ? limit : needs_thread && azfn__blocking_pool_is_full(dispatcher->pool) ? &pool_full : NULL;
}
