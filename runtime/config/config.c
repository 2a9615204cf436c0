#include "config/config.h"

#include "base/span.h"
#include "config/config_build.h"
#include "config/config_fault.h"
#include "config/config_files.h"
#include "config/config_policy.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)64 << 20)
#define FUNCTION_FILE AZFN__SPAN("/function.json")

struct azfn_span azfn__method_name(enum azfn__method method)
{
    static const struct azfn_span NAMES[AZFN__METHOD_COUNT] = {
        {"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3}, {"DELETE", 6}, {"OPTIONS", 7}, {"PATCH", 5}, {"TRACE", 5}};
    return (unsigned)method < AZFN__METHOD_COUNT ? NAMES[method] : azfn__absent();
}

uint32_t azfn__config_timeout_limit_ms(const struct azfn__config *config)
{
    if (config->function_timeout_ms == 0) {
        return 0;
    }
    bool has_room = config->function_timeout_ms > AZFN__CONFIG_TIMEOUT_MARGIN_MS + AZFN__CONFIG_TIMEOUT_MIN_MS;
    return has_room ? config->function_timeout_ms - AZFN__CONFIG_TIMEOUT_MARGIN_MS : AZFN__CONFIG_TIMEOUT_MIN_MS;
}

/* As the host sorts them, which decides whose route is tried first: .NET's ordinal order without case
 * compares capital letters. */
static int order_names(struct azfn_span a, struct azfn_span b)
{
    for (size_t i = 0; i < a.length && i < b.length; i++) {
        int left = (unsigned char)a.data[i];
        int right = (unsigned char)b.data[i];
        left -= left >= 'a' && left <= 'z' ? 'a' - 'A' : 0;
        right -= right >= 'a' && right <= 'z' ? 'a' - 'A' : 0;
        if (left != right) {
            return left - right;
        }
    }
    return (a.length > b.length) - (a.length < b.length);
}

static bool is_function_name(struct azfn_span name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = azfn__lower((unsigned char)name.data[i]);
        bool is_letter = c >= 'a' && c <= 'z';
        if (!is_letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_' || c == '-'))) {
            return false;
        }
    }
    return name.length > 0 && name.length <= 128 && !azfn__span_equal_ignore_case(name, AZFN__SPAN("host"));
}

static int order_functions(const void *a, const void *b)
{
    const struct azfn__config_function *left = a;
    const struct azfn__config_function *right = b;
    return order_names(left->name, right->name);
}

static const struct azfn__config_function *find_ignoring_case(const struct azfn__config *config, struct azfn_span name)
{
    struct azfn__config_function key = {.name = name};
    return config->function_count == 0 ? NULL
                                       : bsearch(&key, config->functions, config->function_count,
                                                 sizeof(*config->functions), order_functions);
}

const struct azfn__config_function *azfn__config_find(const struct azfn__config *config, struct azfn_span name)
{
    const struct azfn__config_function *function = find_ignoring_case(config, name);
    return function && azfn__span_equal(function->name, name) ? function : NULL;
}

static int order_secrets(const void *a, const void *b)
{
    const struct azfn__config_secret *left = a;
    const struct azfn__config_secret *right = b;
    return azfn__config_order(left->name, right->name);
}

static int order_destinations(const void *a, const void *b)
{
    const struct azfn__config_destination *left = a;
    const struct azfn__config_destination *right = b;
    return azfn__config_order(left->name, right->name);
}

const struct azfn__config_secret *azfn__config_find_secret(const struct azfn__config *config, struct azfn_span name)
{
    struct azfn__config_secret key = {.name = name};
    return config->secret_count == 0
               ? NULL
               : bsearch(&key, config->secrets, config->secret_count, sizeof(key), order_secrets);
}

const struct azfn__config_destination *azfn__config_find_destination(const struct azfn__config *config,
                                                                     struct azfn_span name)
{
    struct azfn__config_destination key = {.name = name};
    return config->destination_count == 0
               ? NULL
               : bsearch(&key, config->destinations, config->destination_count, sizeof(key), order_destinations);
}

static enum azfn_error refuse_file(struct azfn__config_fault *fault, struct azfn_span path, const char *what)
{
    char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
    azfn__config_say(fault, "%s: %s", azfn__config_shown(shown, sizeof(shown), path), what);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

/* "hello" of "hello/function.json"; absent for another file. */
static struct azfn_span folder_of(struct azfn_span path)
{
    size_t length = path.length > FUNCTION_FILE.length ? path.length - FUNCTION_FILE.length : 0;
    bool is_function = length > 0 && azfn__span_equal(azfn__span_from(path, length), FUNCTION_FILE);
    return is_function ? azfn__span(path.data, length) : azfn__absent();
}

/* The file of that path, once; NULL where there is none. */
static enum azfn_error find_file(struct azfn__config_fault *fault, const struct azfn__config_file *files,
                                 size_t file_count, const char *path, const struct azfn__config_file **out_file)
{
    *out_file = NULL;
    for (size_t i = 0; i < file_count; i++) {
        if (!azfn_span_equals(files[i].path, path)) {
            continue;
        }
        if (*out_file) {
            return refuse_file(fault, files[i].path, "expected once, found twice");
        }
        *out_file = &files[i];
    }
    return AZFN_OK;
}

static enum azfn_error read_function_files(struct azfn__config_build *build, const struct azfn__config_file *files,
                                           size_t file_count)
{
    struct azfn__config *config = build->config;
    for (size_t i = 0; i < file_count; i++) {
        struct azfn_span folder = folder_of(files[i].path);
        if (!azfn_span_is_present(folder)) {
            continue;
        }
        if (!is_function_name(folder)) {
            return refuse_file(build->fault, files[i].path,
                               "expected a folder named with a letter and up to 127 letters, digits, - and _, and not "
                               "host");
        }
        if (config->function_count == AZFN__CONFIG_MAX_FUNCTIONS) {
            return refuse_file(build->fault, files[i].path, "expected at most 4096 functions, found more");
        }
        struct azfn_span name = azfn__arena_copy(&config->arena, folder);
        if (!azfn_span_is_present(name)) {
            return azfn__config_refuse_memory(build->fault);
        }
        size_t at = config->function_count++;
        enum azfn_error error =
            azfn__config_read_function(build, &files[i], name, &build->functions[at], &build->origins[at]);
        if (error != AZFN_OK) {
            return error;
        }
    }
    return AZFN_OK;
}

static enum azfn_error read_functions(struct azfn__config_build *build, const struct azfn__config_file *files,
                                      size_t file_count)
{
    struct azfn__config *config = build->config;
    size_t count = file_count < AZFN__CONFIG_MAX_FUNCTIONS ? file_count : AZFN__CONFIG_MAX_FUNCTIONS;
    build->functions = azfn__arena_alloc(&config->arena, (count + 1) * sizeof(*build->functions));
    build->origins = calloc(count + 1, sizeof(*build->origins));
    if (!build->functions || !build->origins) {
        return azfn__config_refuse_memory(build->fault);
    }
    config->functions = build->functions;
    enum azfn_error error = read_function_files(build, files, file_count);
    if (error != AZFN_OK) {
        return error;
    }
    for (size_t i = 0; i < config->function_count; i++) {
        build->origins[i].function = build->functions[i].name;
    }
    qsort(build->functions, config->function_count, sizeof(*build->functions), order_functions);
    for (size_t i = 1; i < config->function_count; i++) {
        if (order_functions(&build->functions[i - 1], &build->functions[i]) == 0) {
            char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
            azfn__config_say(build->fault, "%.*s/function.json: expected a name of its own, found %s, which differs in "
                                           "case only",
                             AZFN_SPAN_ARGS(build->functions[i].name),
                             azfn__config_shown(shown, sizeof(shown), build->functions[i - 1].name));
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
    }
    return AZFN_OK;
}

static enum azfn_error index_routes(struct azfn__config_build *build)
{
    struct azfn__config *config = build->config;
    const struct azfn__route **routes =
        azfn__arena_alloc(&config->arena, config->function_count * sizeof(struct azfn__route *));
    for (size_t i = 0; routes && i < config->function_count; i++) {
        routes[i] = config->functions[i].is_forwarded ? config->functions[i].route : NULL;
    }
    config->route_index = routes ? azfn__route_index_new(&config->arena, routes, config->function_count) : NULL;
    return config->route_index ? AZFN_OK : azfn__config_refuse_memory(build->fault);
}

/* line has its end. */
static bool has_line(struct azfn_span rest, const char *line)
{
    struct azfn_span wanted = azfn_span_of(line);
    while (rest.length > 0 && !azfn__span_starts_with(rest, wanted)) {
        const char *end = memchr(rest.data, '\n', rest.length);
        rest = end ? azfn__span_from(rest, (size_t)(end - rest.data) + 1) : azfn__absent();
    }
    return rest.length > 0;
}

static enum azfn_error build_all(struct azfn__config_build *build, const struct azfn__config_file *files,
                                 size_t file_count, const struct azfn_function *registered, size_t registered_count)
{
    const struct azfn__config_file *host = NULL;
    const struct azfn__config_file *azfn = NULL;
    const struct azfn__config_file *environment = NULL;
    const struct azfn__config_file *settings = NULL;
    enum azfn_error error = find_file(build->fault, files, file_count, "host.json", &host);
    if (error == AZFN_OK) {
        error = find_file(build->fault, files, file_count, AZFN__CONFIG_ENVIRONMENT, &environment);
    }
    if (error == AZFN_OK) {
        error = find_file(build->fault, files, file_count, AZFN__CONFIG_SETTINGS, &settings);
    }
    if (error == AZFN_OK) {
        error = find_file(build->fault, files, file_count, "azfn.json", &azfn);
    }
    if (error == AZFN_OK) {
        build->environment = environment ? environment->text : azfn__absent();
        error = host ? azfn__config_read_host(build, host)
                     : refuse_file(build->fault, AZFN__SPAN("host.json"), "expected this file, found none");
    }
    if (error == AZFN_OK) {
        error = read_functions(build, files, file_count);
    }
    if (error == AZFN_OK) {
        error = azfn__config_check_registered(build, registered, registered_count);
    }
    if (error == AZFN_OK) {
        azfn__config_set_defaults(build);
        error = azfn ? azfn__config_read_azfn(build, azfn) : AZFN_OK;
    }
    if (error == AZFN_OK) {
        error = azfn__config_check_conflicts(build);
    }
    if (error == AZFN_OK) {
        error = index_routes(build);
    }
    if (error == AZFN_OK) {
        build->config->is_core_tools = has_line(build->environment, AZFN__CONFIG_IS_CORE_TOOLS);
        build->config->is_easy_auth_on = has_line(build->environment, AZFN__CONFIG_IS_EASY_AUTH_ON);
        build->config->has_application_insights = has_line(build->environment, AZFN__CONFIG_HAS_APPLICATION_INSIGHTS);
        error = azfn__config_find_weaknesses(build);
    }
    if (error == AZFN_OK) {
        error = azfn__config_list_settings(build);
    }
    return error == AZFN_OK && settings ? azfn__config_set_settings(build, settings->text) : error;
}

enum azfn_error azfn__config_new(const struct azfn__config_file *files, size_t file_count,
                                 const struct azfn_function *registered, size_t registered_count,
                                 struct azfn__config **out_config, struct azfn__config_fault *out_fault)
{
    struct azfn__config *config = calloc(1, sizeof(*config));
    *out_config = NULL;
    out_fault->message[0] = '\0';
    if (!config) {
        return azfn__config_refuse_memory(out_fault);
    }
    azfn__arena_init(&config->arena, ARENA_BYTES);
    struct azfn__config_build build = {.config = config, .fault = out_fault};
    enum azfn_error error = build_all(&build, files, file_count, registered, registered_count);
    free(build.origins);
    if (error != AZFN_OK) {
        azfn__config_destroy(config);
        return error;
    }
    *out_config = config;
    return AZFN_OK;
}

void azfn__config_destroy(struct azfn__config *config)
{
    if (config) {
        azfn__arena_clean_up(&config->arena);
        free(config);
    }
}

bool azfn__config_setting_at(const struct azfn__config *config, size_t index, struct azfn_span *out_name)
{
    if (index >= config->setting_name_count) {
        return false;
    }
    *out_name = config->setting_names[index];
    return true;
}
