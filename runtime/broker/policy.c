#include "broker/policy_log.h"

#include "base/span.h"
#include "config/config_policy.h"

#include <stdlib.h>

/* Those of a function are side by side, sorted by item and so by name. */
struct grant_table {
    size_t *first; /* by the function's place in the configuration; one more for the end */
    struct azfn__policy_grant *grants;
};

struct azfn__policy {
    struct azfn__policy_log log; /* first: one is the other */
    const struct azfn__config *config;
    struct grant_table tables[AZFN__POLICY_KIND_COUNT];
};

static size_t item_count(const struct azfn__config *config, enum azfn__policy_kind kind)
{
    return kind == AZFN__POLICY_SECRET ? config->secret_count : config->destination_count;
}

static size_t find_function(const struct azfn__config *config, struct azfn_span name)
{
    const struct azfn__config_function *function = azfn__config_find(config, name);
    return function ? (size_t)(function - config->functions) : AZFN__POLICY_UNKNOWN;
}

static size_t find_item(const struct azfn__config *config, enum azfn__policy_kind kind, struct azfn_span name)
{
    if (kind == AZFN__POLICY_SECRET) {
        const struct azfn__config_secret *secret = azfn__config_find_secret(config, name);
        return secret ? (size_t)(secret - config->secrets) : AZFN__POLICY_UNKNOWN;
    }
    const struct azfn__config_destination *destination = azfn__config_find_destination(config, name);
    return destination ? (size_t)(destination - config->destinations) : AZFN__POLICY_UNKNOWN;
}

static void free_policy(struct azfn__policy *policy)
{
    for (int kind = 0; kind < AZFN__POLICY_KIND_COUNT; kind++) {
        free(policy->tables[kind].first);
        free(policy->tables[kind].grants);
    }
    free(policy);
}

static int order_grants(const void *a, const void *b)
{
    const struct azfn__policy_grant *left = a;
    const struct azfn__policy_grant *right = b;
    return (left->item > right->item) - (left->item < right->item);
}

static enum azfn_error make_table(struct grant_table *table, const struct azfn__config *config,
                                  enum azfn__policy_kind kind)
{
    size_t total = 0;
    for (size_t f = 0; f < config->function_count; f++) {
        const struct azfn__config_function *function = &config->functions[f];
        total += kind == AZFN__POLICY_SECRET ? function->secret_count : function->destination_count;
    }
    table->first = calloc(config->function_count + 1, sizeof(*table->first));
    table->grants = calloc(total + 1, sizeof(*table->grants));
    if (!table->first || !table->grants) {
        return AZFN_ERROR_NO_MEMORY;
    }
    size_t next = 0;
    for (size_t f = 0; f < config->function_count; f++) {
        const struct azfn__config_function *function = &config->functions[f];
        const struct azfn_span *names = kind == AZFN__POLICY_SECRET ? function->secrets : function->destinations;
        size_t count = kind == AZFN__POLICY_SECRET ? function->secret_count : function->destination_count;
        table->first[f] = next;
        for (size_t i = 0; i < count; i++) {
            size_t item = find_item(config, kind, names[i]);
            if (item < item_count(config, kind)) {
                table->grants[next++] = (struct azfn__policy_grant){.function = f, .item = item};
            }
        }
        qsort(table->grants + table->first[f], next - table->first[f], sizeof(*table->grants), order_grants);
    }
    table->first[config->function_count] = next;
    return AZFN_OK;
}

enum azfn_error azfn__policy_new(uv_loop_t *loop, const struct azfn__config *config, struct azfn__log_sink *log,
                                 struct azfn__policy **out_policy)
{
    struct azfn__policy *policy = calloc(1, sizeof(*policy));
    *out_policy = NULL;
    if (!policy) {
        return AZFN_ERROR_NO_MEMORY;
    }
    policy->config = config;
    enum azfn_error error = AZFN_OK;
    for (int kind = 0; error == AZFN_OK && kind < AZFN__POLICY_KIND_COUNT; kind++) {
        error = make_table(&policy->tables[kind], config, (enum azfn__policy_kind)kind);
    }
    if (error == AZFN_OK) {
        error = azfn__policy_log_init(&policy->log, loop, config, log);
    }
    if (error != AZFN_OK) {
        free_policy(policy);
        return error;
    }
    for (int kind = 0; kind < AZFN__POLICY_KIND_COUNT; kind++) {
        policy->log.granted[kind].grants = policy->tables[kind].grants;
        policy->log.granted[kind].count = policy->tables[kind].first[config->function_count];
    }
    *out_policy = policy;
    return AZFN_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free_policy(handle->data);
}

void azfn__policy_destroy(struct azfn__policy *policy)
{
    if (policy) {
        azfn__policy_log_tell(&policy->log);
        uv_close((uv_handle_t *)&policy->log.timer, on_closed);
    }
}

static void refuse(struct azfn__policy *policy, const struct azfn__policy_asker *asker, enum azfn__policy_kind kind,
                   struct azfn_span name)
{
    const struct azfn__policy_refusal refusal = {.function = find_function(policy->config, asker->function),
                                                 .item = find_item(policy->config, kind, name),
                                                 .kind = kind};
    azfn__policy_log_refusal(&policy->log, asker, &refusal, name);
}

static struct azfn__policy_grant *find_grant(const struct azfn__policy *policy, enum azfn__policy_kind kind,
                                             size_t function, struct azfn_span name)
{
    const struct grant_table *table = &policy->tables[kind];
    size_t low = function == AZFN__POLICY_UNKNOWN ? 0 : table->first[function];
    size_t high = function == AZFN__POLICY_UNKNOWN ? 0 : table->first[function + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = azfn__config_order(azfn__policy_item_name(policy->config, kind, table->grants[middle].item), name);
        if (order == 0) {
            return &table->grants[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return NULL;
}

const struct azfn__config_secret *azfn__policy_find_secret(struct azfn__policy *policy,
                                                           const struct azfn__policy_asker *asker,
                                                           struct azfn_span secret)
{
    size_t function = find_function(policy->config, asker->function);
    const struct azfn__policy_grant *grant = find_grant(policy, AZFN__POLICY_SECRET, function, secret);
    if (!grant) {
        refuse(policy, asker, AZFN__POLICY_SECRET, secret);
    }
    return grant ? &policy->config->secrets[grant->item] : NULL;
}

const struct azfn__config_destination *azfn__policy_find_destination(struct azfn__policy *policy,
                                                                     const struct azfn__policy_asker *asker,
                                                                     struct azfn_span destination)
{
    size_t function = find_function(policy->config, asker->function);
    const struct azfn__policy_grant *grant = find_grant(policy, AZFN__POLICY_DESTINATION, function, destination);
    if (!grant) {
        refuse(policy, asker, AZFN__POLICY_DESTINATION, destination);
    }
    return grant ? &policy->config->destinations[grant->item] : NULL;
}

static void record(struct azfn__policy *policy, const struct azfn__policy_asker *asker, enum azfn__policy_kind kind,
                   struct azfn_span name, const char *version)
{
    struct azfn__policy_grant *grant =
        find_grant(policy, kind, find_function(policy->config, asker->function), name);
    if (grant) {
        azfn__policy_log_use(&policy->log, asker, kind, grant, version);
    }
}

void azfn__policy_record_read(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                              const struct azfn__config_secret *secret, const char *version)
{
    record(policy, asker, AZFN__POLICY_SECRET, secret->name, version);
}

void azfn__policy_record_use(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                             const struct azfn__config_destination *destination)
{
    record(policy, asker, AZFN__POLICY_DESTINATION, destination->name, "");
}

void azfn__policy_record_refusal(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                                 const struct azfn__config_destination *destination, const char *what)
{
    const struct azfn__policy_refusal refusal = {.function = find_function(policy->config, asker->function),
                                                 .item = (size_t)(destination - policy->config->destinations),
                                                 .kind = AZFN__POLICY_DESTINATION,
                                                 .rule = what};
    azfn__policy_log_refusal(&policy->log, asker, &refusal, destination->name);
}
