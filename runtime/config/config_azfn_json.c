#include "config/config_build.h"
#include "config/config_reader.h"

#include "base/span.h"
#include "config/config_fault.h"
#include "config/config_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_BROKER_USER 61801
#define DEFAULT_WORKER_USER 61802
#define MAX_USER UINT64_C(4294967293) /* the two above mean "no user" to the kernel */
#define NOBODY 65534

#define MAX_FUNCTIONS 4096
#define MAX_GRANTS 256
#define DEFAULT_TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS 86400000
#define DEFAULT_CONCURRENT 1000
#define MAX_CONCURRENT 100000
#define DEFAULT_BODY_BYTES (UINT64_C(16) << 20)
#define MAX_BODY_BYTES (UINT64_C(1) << 30)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What is being granted: names out of a table, or free ones. */
struct grant {
    const char *expected;
    const struct azfn_span *known; /* the name of the table's first item; NULL: settings */
    size_t known_count;
    size_t stride_bytes;
};

static struct azfn_span find_known(const struct grant *grant, struct azfn_span name)
{
    size_t low = 0;
    size_t high = grant->known_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct azfn_span known;
        memcpy(&known, (const char *)grant->known + middle * grant->stride_bytes, sizeof(known));
        int order = azfn__config_order(known, name);
        if (order == 0) {
            return known;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return azfn__absent();
}

static enum azfn_error read_grant(struct azfn__config_reader *reader, const struct azfn__config_node *item,
                                  const struct grant *grant, struct azfn_span *out_name)
{
    struct azfn_span text;
    enum azfn_error error = azfn__config_text(reader, item, grant->expected, &text);
    if (error != AZFN_OK) {
        return error;
    }
    if (!grant->known) {
        *out_name = text;
        return azfn__config_is_setting_name(text) ? AZFN_OK : azfn__config_expected(reader, item, grant->expected);
    }
    *out_name = find_known(grant, text);
    if (azfn_span_is_present(*out_name)) {
        return AZFN_OK;
    }
    struct azfn_span meant = azfn__config_meant(text, grant->known, grant->known_count, grant->stride_bytes);
    return azfn__config_expected_name(reader, item, grant->expected, text, meant);
}

/* "secrets": ["a", "b"] of one function. Absent: none. */
static enum azfn_error read_grants(struct azfn__config_reader *reader, const struct azfn__config_node *function,
                                   const char *key, const struct grant *grant, const struct azfn_span **out_names,
                                   size_t *out_count)
{
    struct azfn__config_node array;
    size_t count = 0;
    enum azfn_error error = azfn__config_member(reader, function, key, &array);
    if (error != AZFN_OK || !azfn_span_is_present(array.place)) {
        return error;
    }
    error = azfn__config_array(reader, &array, MAX_GRANTS, &count);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn_span *names = azfn__arena_alloc(reader->arena, (count + 1) * sizeof(struct azfn_span));
    if (!names) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(array.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node item;
        bool has_item;
        error = azfn__config_next(reader, &array, &walk, i, &item, &has_item);
        if (error == AZFN_OK) {
            error = read_grant(reader, &item, grant, &names[i]);
        }
        for (size_t k = 0; error == AZFN_OK && k < i; k++) {
            if (azfn__span_equal(names[k], names[i])) {
                error = azfn__config_expected_name(reader, &item, "each name once", names[i], azfn__absent());
            }
        }
    }
    *out_names = names;
    *out_count = count;
    return error;
}

static enum azfn_error read_limit(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                  const char *key, uint64_t min, uint64_t max, struct azfn__config_node *out_node,
                                  uint64_t *out_value)
{
    enum azfn_error error = azfn__config_member(reader, object, key, out_node);
    if (error == AZFN_OK && azfn_span_is_present(out_node->place)) {
        error = azfn__config_integer(reader, out_node, min, max, out_value);
    }
    return error;
}

static enum azfn_error read_limits(const struct azfn__config *config, struct azfn__config_reader *reader,
                                   const struct azfn__config_node *node, struct azfn__config_function *function)
{
    struct azfn__config_node timeout;
    struct azfn__config_node other;
    uint64_t timeout_ms = function->timeout_ms;
    uint64_t concurrent = function->max_concurrent;
    enum azfn_error error = read_limit(reader, node, "timeoutMs", 1, MAX_TIMEOUT_MS, &timeout, &timeout_ms);
    uint32_t limit_ms = azfn__config_timeout_limit_ms(config);
    if (error == AZFN_OK && limit_ms > 0 && timeout_ms > limit_ms) {
        return azfn__config_refuse(reader, &timeout,
                                   "expected at most %" PRIu32 ", which is %d below host.json's functionTimeout of "
                                   "%" PRIu32 " ms, found %" PRIu64,
                                   limit_ms, AZFN__CONFIG_TIMEOUT_MARGIN_MS, config->function_timeout_ms, timeout_ms);
    }
    if (error == AZFN_OK) {
        error = read_limit(reader, node, "maxConcurrent", 1, MAX_CONCURRENT, &other, &concurrent);
    }
    if (error == AZFN_OK) {
        error = read_limit(reader, node, "maxBodyBytes", 0, MAX_BODY_BYTES, &other, &function->max_body_bytes);
    }
    function->timeout_ms = (uint32_t)timeout_ms;
    function->max_concurrent = (uint32_t)concurrent;
    return error;
}

static enum azfn_error read_function_policy(const struct azfn__config *config, struct azfn__config_reader *reader,
                                            const struct azfn__config_node *node,
                                            struct azfn__config_function *function)
{
    static const struct azfn_span KNOWN[] = {{"secrets", 7},       {"destinations", 12}, {"settings", 8},
                                             {"timeoutMs", 9},     {"maxConcurrent", 13}, {"maxBodyBytes", 12}};
    const struct azfn_span *first_secret = config->secret_count > 0 ? &config->secrets->name : &KNOWN[0];
    const struct azfn_span *first_destination = config->destination_count > 0 ? &config->destinations->name : &KNOWN[0];
    const struct grant secrets = {.expected = "the name of one of the secrets above", .known = first_secret,
                                  .known_count = config->secret_count, .stride_bytes = sizeof(*config->secrets)};
    const struct grant destinations = {.expected = "the name of one of the destinations above",
                                       .known = first_destination, .known_count = config->destination_count,
                                       .stride_bytes = sizeof(*config->destinations)};
    const struct grant settings = {.expected = "the name of a setting"};
    enum azfn_error error = azfn__config_check_keys(reader, node, KNOWN, COUNT_OF(KNOWN));
    if (error == AZFN_OK) {
        error = read_grants(reader, node, "secrets", &secrets, &function->secrets, &function->secret_count);
    }
    if (error == AZFN_OK) {
        error = read_grants(reader, node, "destinations", &destinations, &function->destinations,
                            &function->destination_count);
    }
    if (error == AZFN_OK) {
        error = read_grants(reader, node, "settings", &settings, &function->settings, &function->setting_count);
    }
    return error == AZFN_OK ? read_limits(config, reader, node, function) : error;
}

static enum azfn_error read_functions(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                      const struct azfn__config_node *root)
{
    struct azfn__config *config = build->config;
    struct azfn__config_node functions;
    size_t count = 0;
    enum azfn_error error = azfn__config_find_map(reader, root, "functions", MAX_FUNCTIONS, &functions, &count);
    struct azfn__json_walk walk = azfn__json_walk(functions.value);
    bool *seen = calloc(config->function_count + 1, sizeof(*seen));
    if (error == AZFN_OK && !seen) {
        error = azfn__config_refuse_memory(reader->fault);
    }
    for (size_t i = 0; seen && error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        bool has_node;
        error = azfn__config_next(reader, &functions, &walk, i, &node, &has_node);
        if (error != AZFN_OK) {
            break;
        }
        const struct azfn__config_function *found = azfn__config_find(config, node.name);
        if (!found) {
            const struct azfn_span *first = config->function_count > 0 ? &config->functions->name : &node.name;
            struct azfn_span meant =
                azfn__config_meant(node.name, first, config->function_count, sizeof(*config->functions));
            error = azfn__config_expected_name(reader, &node, "the name of a function's folder", node.name, meant);
            break;
        }
        size_t which = (size_t)(found - config->functions);
        error = seen[which] ? azfn__config_refuse(reader, &node, "expected the key once, found it again")
                            : read_function_policy(config, reader, &node, &build->functions[which]);
        seen[which] = true;
    }
    free(seen);
    return error;
}

static enum azfn_error read_user(struct azfn__config_reader *reader, const struct azfn__config_node *users,
                                 const char *key, uid_t *user)
{
    struct azfn__config_node node;
    uint64_t value = *user;
    enum azfn_error error = read_limit(reader, users, key, 1, MAX_USER, &node, &value);
    if (error == AZFN_OK && value == NOBODY) {
        return azfn__config_expected(reader, &node, "a user of its own, which nobody (65534) is not");
    }
    *user = (uid_t)value;
    return error;
}

static enum azfn_error read_users(struct azfn__config *config, struct azfn__config_reader *reader,
                                  const struct azfn__config_node *root)
{
    static const struct azfn_span KNOWN[] = {{"broker", 6}, {"worker", 6}};
    struct azfn__config_node users;
    enum azfn_error error = azfn__config_member(reader, root, "users", &users);
    if (error != AZFN_OK || !azfn_span_is_present(users.place)) {
        return error;
    }
    error = azfn__config_check_keys(reader, &users, KNOWN, COUNT_OF(KNOWN));
    if (error == AZFN_OK) {
        error = read_user(reader, &users, "broker", &config->broker_user);
    }
    if (error == AZFN_OK) {
        error = read_user(reader, &users, "worker", &config->worker_user);
    }
    if (error == AZFN_OK && config->broker_user == config->worker_user) {
        return azfn__config_refuse(reader, &users, "expected two users, found %u for the broker and the worker",
                                   (unsigned)config->broker_user);
    }
    return error;
}

/* One of two words; absent: the first one. */
static enum azfn_error read_choice(struct azfn__config_reader *reader, const struct azfn__config_node *root,
                                   const char *key, const char *usual, const char *other, bool *out_is_other)
{
    char expected[64];
    struct azfn__config_node node;
    struct azfn_span text = azfn_span_of(usual);
    snprintf(expected, sizeof(expected), "\"%s\" or \"%s\"", usual, other);
    enum azfn_error error = azfn__config_member(reader, root, key, &node);
    if (error == AZFN_OK && azfn_span_is_present(node.place)) {
        error = azfn__config_text(reader, &node, expected, &text);
    }
    *out_is_other = azfn_span_equals(text, other);
    if (error == AZFN_OK && !*out_is_other && !azfn_span_equals(text, usual)) {
        return azfn__config_expected(reader, &node, expected);
    }
    return error;
}

static enum azfn_error read_schema(struct azfn__config_reader *reader, const struct azfn__config_node *root)
{
    struct azfn__config_node schema;
    struct azfn_span text;
    enum azfn_error error = azfn__config_member(reader, root, "$schema", &schema);
    bool is_there = error == AZFN_OK && azfn_span_is_present(schema.place);
    return is_there ? azfn__config_text(reader, &schema, "a string", &text) : error;
}

static enum azfn_error read_file(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                 const struct azfn__config_node *root)
{
    static const struct azfn_span KNOWN[] = {{"$schema", 7},   {"secrets", 7}, {"destinations", 12},
                                             {"functions", 9}, {"users", 5},   {"sandbox", 7},
                                             {"limits", 6},    {"identity", 8}, {"secretsInEnvironment", 20}};
    enum azfn_error error = azfn__config_check_keys(reader, root, KNOWN, COUNT_OF(KNOWN));
    if (error == AZFN_OK) {
        error = read_schema(reader, root);
    }
    if (error == AZFN_OK) {
        error = azfn__config_read_secrets(build->config, reader, root);
    }
    if (error == AZFN_OK) {
        error = azfn__config_read_destinations(build->config, reader, root);
    }
    if (error == AZFN_OK) {
        error = read_functions(build, reader, root);
    }
    if (error == AZFN_OK) {
        error = read_users(build->config, reader, root);
    }
    if (error == AZFN_OK) {
        error = azfn__config_read_limits(build->config, reader, root);
    }
    if (error == AZFN_OK) {
        error = azfn__config_read_identity(build->config, reader, root);
    }
    if (error == AZFN_OK) {
        error = read_choice(reader, root, "secretsInEnvironment", "report", "refuse",
                            &build->config->refuses_secrets_in_environment);
    }
    return error == AZFN_OK
               ? read_choice(reader, root, "sandbox", "enforce", "report", &build->config->is_sandbox_report_only)
               : error;
}

void azfn__config_set_defaults(struct azfn__config_build *build)
{
    uint32_t limit_ms = azfn__config_timeout_limit_ms(build->config);
    bool is_limited = limit_ms > 0 && limit_ms < DEFAULT_TIMEOUT_MS;
    for (size_t i = 0; i < build->config->function_count; i++) {
        build->functions[i].timeout_ms = is_limited ? limit_ms : DEFAULT_TIMEOUT_MS;
        build->functions[i].max_concurrent = DEFAULT_CONCURRENT;
        build->functions[i].max_body_bytes = DEFAULT_BODY_BYTES;
    }
    build->config->limits = azfn__config_default_limits;
    build->config->broker_user = DEFAULT_BROKER_USER;
    build->config->worker_user = DEFAULT_WORKER_USER;
}

enum azfn_error azfn__config_read_azfn(struct azfn__config_build *build, const struct azfn__config_file *file)
{
    struct azfn__config_reader reader;
    struct azfn__config_node root;
    enum azfn_error error = azfn__config_reader_open(&reader, &build->config->arena, build->fault, file, false, &root);
    if (error == AZFN_OK) {
        error = read_file(build, &reader, &root);
    }
    azfn__config_reader_close(&reader);
    return error;
}
