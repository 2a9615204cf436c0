/* config/route.h
 * A route template of function.json, such as "items/{id:int}/{name?}" or "files/{*path}", as the host's
 * router reads it (ASP.NET Core's route templates). Pure. */
#ifndef AZFN_CONFIG_ROUTE_H
#define AZFN_CONFIG_ROUTE_H

#include "base/arena.h"

#include <azfn.h>

#define AZFN__ROUTE_MAX_PARAMS 16

struct azfn__route;

struct azfn__route_param {
    struct azfn_span name;
    struct azfn_span value; /* decoded; absent where an optional parameter is missing */
};

struct azfn__route_match {
    struct azfn__route_param params[AZFN__ROUTE_MAX_PARAMS];
    size_t param_count;
};

/* Compiles prefix + "/" + template (prefix may be empty). Everything lives in arena; template must outlive
 * it. Knows literals, parameters, several constraints, optional ones, defaults ({x=5}), catch-alls, and
 * segments that mix text and parameters ("v{n}", "{name}.{extension}"). Constraints: int, long, bool,
 * datetime, decimal, double, float, guid, alpha, required, length, minlength, maxlength, min, max, range.
 * A regex constraint is accepted and taken as met: the host has checked it before it forwards.
 * *out_reason (static text) says what is wrong with a template.
 * Errors: AZFN_ERROR_SYNTAX, AZFN_ERROR_LIMIT (too many parameters), AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__route_new(struct azfn__arena *arena, struct azfn_span prefix,
                                              struct azfn_span template_text, struct azfn__route **out_route,
                                              const char **out_reason);

/* Whether some parameter takes any text, also a backslash: none of its constraints says which characters. */
bool azfn__route_has_open_param(const struct azfn__route *route);

/* Matches the path of a request target, percent-encoded, without its query: "/api/items/42". Literals are
 * compared without regard to case; a slash at the end is ignored. Decoded values are taken from arena.
 * %2F stays as it is, as in the host. False: no match. */
bool azfn__route_match(const struct azfn__route *route, struct azfn_span path, struct azfn__arena *arena,
                       struct azfn__route_match *out_match);

#endif
