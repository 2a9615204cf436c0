#include "worker/router.h"

#include "base/span.h"

#define INVOCATION_ID AZFN__SPAN("X-Azure-Functions-InvocationId")

struct azfn_span azfn__router_invocation_id(const struct azfn__http_request *request)
{
    for (size_t i = request->header_count; i > 0; i--) {
        if (!azfn__span_equal_ignore_case(request->headers[i - 1].name, INVOCATION_ID)) {
            continue;
        }
        struct azfn_span value = request->headers[i - 1].value;
        size_t start = value.length;
        while (start > 0 && value.data[start - 1] != ',') {
            start--;
        }
        return azfn__span_trim(azfn__span_from(value, start));
    }
    return azfn__span("", 0);
}

static const struct azfn__config_function *find_envelope(const struct azfn__config *config,
                                                         const struct azfn__http_request *request)
{
    if (request->method != AZFN__METHOD_POST || azfn_span_is_present(request->query)) {
        return NULL;
    }
    const struct azfn__config_function *function = azfn__config_find(config, azfn__span_from(request->path, 1));
    return function && !function->is_forwarded ? function : NULL;
}

struct azfn__router_result azfn__router_find(const struct azfn__config *config,
                                             const struct azfn__http_request *request, struct azfn__arena *arena,
                                             struct azfn__route_match *out_match)
{
    /* what the host sends until it gets an answer; its invocations all have an id */
    if (request->path.length == 1 && request->method == AZFN__METHOD_GET &&
        azfn__router_invocation_id(request).length == 0) {
        return (struct azfn__router_result){.kind = AZFN__ROUTER_READINESS};
    }
    struct azfn__router_result result = {.function = find_envelope(config, request)};
    if (result.function) {
        bool may_be_forged = config->has_forgeable_envelopes && !config->is_core_tools && !request->is_chunked;
        result.kind = may_be_forged ? AZFN__ROUTER_FORGED : AZFN__ROUTER_ENVELOPE;
        return result;
    }
    struct azfn__route_candidates candidates;
    size_t place = 0;
    azfn__route_index_find(config->route_index, request->path, &candidates);
    while (azfn__route_candidates_next(&candidates, &place)) {
        const struct azfn__config_function *function = &config->functions[place];
        if (!azfn__route_match(function->route, request->path, arena, out_match)) {
            continue;
        }
        if (function->methods & (UINT32_C(1) << request->method)) {
            return (struct azfn__router_result){.kind = AZFN__ROUTER_FORWARDED, .function = function};
        }
        result.kind = AZFN__ROUTER_NOT_METHOD;
        result.allowed |= function->methods;
    }
    return result;
}
