/* What only shows when all files are read. */
#include "config/config_build.h"

#include "base/span.h"
#include "config/config_fault.h"

#include <stdlib.h>

#define WEAKNESSES_OF_THE_APP 4


static enum azfn_error refuse_missing_folder(struct azfn__config_build *build, struct azfn_span name)
{
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    char meant_shown[AZFN__CONFIG_SHOWN_ROOM];
    const struct azfn__config *config = build->config;
    struct azfn_span meant = config->function_count == 0
                                 ? azfn__absent()
                                 : azfn__config_meant(name, &config->functions->name, config->function_count,
                                                      sizeof(*config->functions));
    azfn__config_shown(shown, sizeof(shown), name);
    azfn__config_say(build->fault,
                     "%s/function.json: expected this file for the registered function \"%s\", found none", shown,
                     shown);
    if (azfn_span_is_present(meant)) {
        azfn__config_say_more(build->fault, " (did you mean \"%s\"?)",
                              azfn__config_shown(meant_shown, sizeof(meant_shown), meant));
    }
    azfn__config_say_more(build->fault, ": add the folder, or remove it from the table in main.c");
    return AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn__config_check_registered(struct azfn__config_build *build, const struct azfn_function *registered,
                                              size_t registered_count)
{
    const struct azfn__config *config = build->config;
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    bool *seen = calloc(config->function_count + 1, sizeof(*seen));
    enum azfn_error error = seen ? AZFN_OK : azfn__config_refuse_memory(build->fault);
    for (size_t i = 0; seen && error == AZFN_OK && i < registered_count; i++) {
        struct azfn_span name = azfn_span_of(registered[i].name);
        const struct azfn__config_function *function = azfn__config_find(config, name);
        if (name.length == 0 || !registered[i].handler) {
            azfn__config_say(build->fault, "entry %zu of the table in main.c: expected a name and a handler", i);
            error = AZFN_ERROR_INVALID_ARGUMENT;
        } else if (!function) {
            error = refuse_missing_folder(build, name);
        } else if (seen[function - config->functions]) {
            azfn__config_say(build->fault, "function \"%s\": expected once, found twice in the table in main.c",
                             azfn__config_shown(shown, sizeof(shown), name));
            error = AZFN_ERROR_INVALID_ARGUMENT;
        } else {
            seen[function - config->functions] = true;
        }
    }
    for (size_t i = 0; seen && error == AZFN_OK && i < config->function_count; i++) {
        if (!seen[i]) {
            azfn__config_say(build->fault, "%.*s/function.json: expected a registered function \"%s\", found none: add "
                                           "it to the table in main.c, or remove the folder",
                             AZFN_SPAN_ARGS(config->functions[i].name),
                             azfn__config_shown(shown, sizeof(shown), config->functions[i].name));
            error = AZFN_ERROR_INVALID_ARGUMENT;
        }
    }
    free(seen);
    return error;
}


static enum azfn_error refuse_conflict(const struct azfn__config_build *build,
                                       const struct azfn__config_function *forwarded, struct azfn_span other)
{
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    const struct azfn__config_origin *origin = build->origins;
    while (!azfn__span_equal(origin->function, forwarded->name)) {
        origin++;
    }
    azfn__config_say(build->fault, "%.*s/function.json:%zu: %.*s: expected a route that does not match POST /%s, ",
                     AZFN_SPAN_ARGS(forwarded->name), origin->line, AZFN_SPAN_ARGS(origin->pointer),
                     azfn__config_shown(shown, sizeof(shown), other));
    azfn__config_say_more(build->fault,
                          "found one that does: the host sends the events of %s there, so a client could forge them. "
                          "Set routePrefix in host.json, another route, or methods without post",
                          shown);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

/* What comes for a function that is not forwarded is told by its path alone. */
enum azfn_error azfn__config_check_conflicts(struct azfn__config_build *build)
{
    const struct azfn__config *config = build->config;
    struct azfn__arena arena;
    enum azfn_error error = AZFN_OK;
    azfn__arena_init(&arena, (size_t)1 << 20);
    for (size_t i = 0; error == AZFN_OK && i < config->function_count; i++) {
        const struct azfn__config_function *forwarded = &config->functions[i];
        if (!forwarded->is_forwarded || !(forwarded->methods & (UINT32_C(1) << AZFN__METHOD_POST))) {
            continue;
        }
        for (size_t k = 0; error == AZFN_OK && k < config->function_count; k++) {
            const struct azfn__config_function *other = &config->functions[k];
            struct azfn__route_match match;
            char path[130] = "/";
            memcpy(path + 1, other->name.data, other->name.length);
            if (!other->is_forwarded &&
                azfn__route_match(forwarded->route, azfn__span(path, other->name.length + 1), &arena, &match)) {
                error = refuse_conflict(build, forwarded, other->name);
            }
            azfn__arena_reset(&arena);
        }
    }
    azfn__arena_clean_up(&arena);
    return error;
}


static bool is_open(const struct azfn__config_function *function)
{
    return function->is_forwarded && azfn__route_has_open_param(function->route);
}

/* Another forwarded function that a caller of open could reach without its key: the host checks the key for the route
 * it sees, and then forwards the path that it makes of "..%5C". Keys differ from function to function, but for
 * the admin level's. NULL where there is none. */
static const struct azfn__config_function *find_reachable(const struct azfn__config *config,
                                                          const struct azfn__config_function *open)
{
    for (size_t i = 0; i < config->function_count; i++) {
        const struct azfn__config_function *other = &config->functions[i];
        bool is_guarded = other->auth_level != AZFN__AUTH_ANONYMOUS &&
                          !(other->auth_level == AZFN__AUTH_ADMIN && open->auth_level == AZFN__AUTH_ADMIN);
        if (other != open && other->is_forwarded && is_guarded && (other->methods & open->methods)) {
            return other;
        }
    }
    return NULL;
}

static void add_weakness(struct azfn__config_weakness *found, struct azfn__config *config, struct azfn_span reason,
                         struct azfn_span text)
{
    found[config->weakness_count++] = (struct azfn__config_weakness){.reason = reason, .text = text};
}

/* Of the way that events take to those who look at them. */
static void find_lost_lines(const struct azfn__config_build *build, struct azfn__config_weakness *found)
{
    struct azfn__config *config = build->config;
    if (build->samples_lines && config->has_application_insights) {
        add_weakness(found, config, AZFN__SPAN("lines are sampled"),
                     AZFN__SPAN("host.json: logging.applicationInsights.samplingSettings.excludedTypes has no Trace, or "
                                "an AzureFunctionsJobHost__logging__ setting takes it away: Application Insights gets "
                                "only some of these lines where there are many. Write \"Request;Trace\""));
    }
    if (config->has_application_insights ? build->insights_drop_lines : build->drops_lines) {
        add_weakness(found, config, AZFN__SPAN("lines are dropped by their level"),
                     AZFN__SPAN("host.json: logging.logLevel, or an AzureFunctionsJobHost__logging__ setting, has the "
                                "host drop what this handler writes as Information. Write "
                                "\"Host.Function.Console\": \"Information\""));
    }
}

static enum azfn_error find_ways_around_keys(struct azfn__config_build *build, struct azfn__config_weakness *found)
{
    struct azfn__config *config = build->config;
    for (size_t i = 0; config->is_forwarding && i < config->function_count; i++) {
        const struct azfn__config_function *function = &config->functions[i];
        const struct azfn__config_function *reachable = is_open(function) ? find_reachable(config, function) : NULL;
        config->has_forgeable_envelopes =
            config->has_forgeable_envelopes ||
            (is_open(function) && (function->methods & (UINT32_C(1) << AZFN__METHOD_POST)));
        if (!reachable) {
            continue;
        }
        struct azfn_span text = azfn__arena_format(
            &config->arena,
            "%.*s/function.json: a caller can reach the function %.*s without its key, by ..%%5C in the route's "
            "parameter: give the parameter a constraint, such as {name:alpha}",
            AZFN_SPAN_ARGS(function->name), AZFN_SPAN_ARGS(reachable->name));
        if (!azfn_span_is_present(text)) {
            return azfn__config_refuse_memory(build->fault);
        }
        found[config->weakness_count++] = (struct azfn__config_weakness){
            .reason = AZFN__SPAN("a key can be got around"), .function = function->name, .text = text};
    }
    return AZFN_OK;
}

enum azfn_error azfn__config_find_weaknesses(struct azfn__config_build *build)
{
    struct azfn__config *config = build->config;
    struct azfn__config_weakness *found =
        azfn__arena_alloc(&config->arena, (config->function_count + WEAKNESSES_OF_THE_APP) * sizeof(*found));
    if (!found) {
        return azfn__config_refuse_memory(build->fault);
    }
    config->weaknesses = found;
    find_lost_lines(build, found);
    if (!config->is_forwarding && !config->is_proxying) {
        add_weakness(found, config, AZFN__SPAN("redirects are followed"),
                     AZFN__SPAN("host.json: customHandler.enableForwardingHttpRequest is not true, so the host follows "
                                "a redirect that this handler answers, to anywhere"));
    }
    enum azfn_error error = find_ways_around_keys(build, found);
    if (error == AZFN_OK && config->has_forgeable_envelopes && config->is_core_tools) {
        add_weakness(found, config, AZFN__SPAN("events can be forged"),
                     AZFN__SPAN("FUNCTIONS_CORETOOLS_ENVIRONMENT is set, so that events need not be chunked and a "
                                "client could forge them: for development only"));
    }
    return error;
}
