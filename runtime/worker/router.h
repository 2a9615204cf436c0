/* worker/router.h
 * Which function a request is for. The host calls those that get envelopes by POST /<FunctionName>, and
 * forwards HTTP requests with their own path: the first route that matches wins, in the order of the
 * functions' names, as in the host. Pure.
 *
 * The host turns a backslash of a forwarded path into a slash and then resolves "..": a client of the route
 * "items/{name}" can have it call POST /<FunctionName>. Envelopes are chunked, but for Core Tools', and
 * forwarded requests never are (the host refuses chunked ones): where an app's routes make this possible,
 * an envelope has to be chunked. */
#ifndef AZFN_WORKER_ROUTER_H
#define AZFN_WORKER_ROUTER_H

#include "base/arena.h"
#include "config/config.h"
#include "worker/http_parser.h"

#include <azfn.h>

enum azfn__router_kind {
    AZFN__ROUTER_NONE,       /* no function has this path: 404 */
    AZFN__ROUTER_NOT_METHOD, /* one has, but takes other methods: 405 */
    AZFN__ROUTER_FORGED,     /* it looks like an event of the host, but a client may have made it: 400 */
    AZFN__ROUTER_READINESS,
    AZFN__ROUTER_ENVELOPE,
    AZFN__ROUTER_FORWARDED,
};

struct azfn__router_result {
    enum azfn__router_kind kind;
    const struct azfn__config_function *function; /* for the last two */
    uint32_t allowed;                             /* for AZFN__ROUTER_NOT_METHOD: bits as in the configuration */
};

/* out_match is filled in for AZFN__ROUTER_FORWARDED; its values may lie in arena. */
struct azfn__router_result azfn__router_find(const struct azfn__config *config,
                                             const struct azfn__http_request *request, struct azfn__arena *arena,
                                             struct azfn__route_match *out_match);

/* The host's invocation id: the last element of the last such header, since a client's own ones come
 * first in the same line. Empty when there is none. */
struct azfn_span azfn__router_invocation_id(const struct azfn__http_request *request);

#endif
