#include "broker/policy.h"

#include "base/span.h"
#include "config/config_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TELL_INTERVAL_MS ((uint64_t)5 * 60 * 1000)
/* What the worker asks for may be anything. */
#define MAX_REFUSALS ((size_t)256)
#define SHOWN_BYTES 64
#define UNKNOWN SIZE_MAX
#define NOT_GRANTED "azfn.json does not grant it"

enum kind { KIND_SECRET, KIND_DESTINATION, KIND_COUNT };

static const char *const nouns[KIND_COUNT] = {"secret", "destination"};
static const enum azfn__security_event granted_events[KIND_COUNT] = {AZFN__EVENT_SECRET_READ, AZFN__EVENT_DESTINATION_USED};
static const enum azfn__security_event refused_events[KIND_COUNT] = {AZFN__EVENT_SECRET_REFUSED, AZFN__EVENT_DESTINATION_REFUSED};

/* One name that azfn.json grants to one function. */
struct grant {
    size_t item; /* its place in the configuration's table */
    uint64_t untold;
    bool is_told;
    char version[40]; /* the one that was told */
};

/* Those of a function are side by side, sorted by item and so by name. */
struct grant_table {
    size_t *first; /* by the function's place in the configuration; one more for the end */
    struct grant *grants;
};

struct refusal {
    size_t function; /* UNKNOWN: one that is not in the configuration; item as well */
    size_t item;
    enum kind kind;
    const char *rule; /* of the destination's rules; NULL: not granted */
    uint64_t untold;
};

struct azfn__policy {
    const struct azfn__config *config;
    struct azfn__log_sink *log;
    uv_timer_t tell_timer; /* runs while there may be something to tell or to forget */
    struct grant_table tables[KIND_COUNT];
    struct refusal refusals[MAX_REFUSALS];
    size_t refusal_count;
    uint64_t others; /* refusals beyond these, not told */
    bool are_others_told;
};

/* What the worker sent must not read like our own words. */
struct shown {
    char text[SHOWN_BYTES + 4];
};

static struct shown show(struct azfn_span text)
{
    struct shown shown;
    size_t length = text.length < SHOWN_BYTES ? text.length : SHOWN_BYTES;
    for (size_t i = 0; i < length; i++) {
        char c = text.data[i];
        shown.text[i] = c < ' ' || c > '~' || c == '"' ? '?' : c;
    }
    memcpy(shown.text + length, length < text.length ? "..." : "", length < text.length ? 4 : 1);
    return shown;
}

static size_t item_count(const struct azfn__config *config, enum kind kind)
{
    return kind == KIND_SECRET ? config->secret_count : config->destination_count;
}

static struct azfn_span item_name(const struct azfn__config *config, enum kind kind, size_t item)
{
    if (item == UNKNOWN) {
        return AZFN__SPAN("(unknown)");
    }
    return kind == KIND_SECRET ? config->secrets[item].name : config->destinations[item].name;
}

static struct azfn_span function_name(const struct azfn__config *config, size_t function)
{
    return function == UNKNOWN ? AZFN__SPAN("(unknown)") : config->functions[function].name;
}

static size_t find_function(const struct azfn__config *config, struct azfn_span name)
{
    const struct azfn__config_function *function = azfn__config_find(config, name);
    return function ? (size_t)(function - config->functions) : UNKNOWN;
}

static size_t find_item(const struct azfn__config *config, enum kind kind, struct azfn_span name)
{
    if (kind == KIND_SECRET) {
        const struct azfn__config_secret *secret = azfn__config_find_secret(config, name);
        return secret ? (size_t)(secret - config->secrets) : UNKNOWN;
    }
    const struct azfn__config_destination *destination = azfn__config_find_destination(config, name);
    return destination ? (size_t)(destination - config->destinations) : UNKNOWN;
}

/* What is told of a secret or a destination. */
struct telling {
    enum azfn__security_event event;
    enum kind kind;
    struct azfn__policy_asker asker;
    struct azfn_span item; /* absent: none */
    const char *version;   /* of a secret; NULL or empty: none */
    const char *reason;    /* NULL: none */
    uint64_t count;        /* 0: one that is told by itself */
};

AZFN_PRINTF(3, 4)
static void tell(const struct azfn__policy *policy, const struct telling *telling, const char *format, ...)
{
    struct azfn__event_fields fields = {.function = telling->asker.function,
                                        .invocation_id = telling->asker.invocation_id,
                                        .trace_id = telling->asker.trace_id,
                                        .secret_version = azfn_span_of(telling->version),
                                        .reason = azfn_span_of(telling->reason)};
    va_list arguments;
    *(telling->kind == KIND_SECRET ? &fields.secret : &fields.destination) = telling->item;
    if (telling->count > 0) {
        fields.count = AZFN__NUMBER(telling->count);
    }
    va_start(arguments, format);
    azfn__log_sink_vsay(policy->log, telling->event, &fields, format, arguments);
    va_end(arguments);
}

static void tell_refused_again(struct azfn__policy *policy, struct refusal *refusal)
{
    struct azfn_span item = item_name(policy->config, refusal->kind, refusal->item);
    struct telling telling = {.event = refusal->rule ? AZFN__EVENT_DESTINATION_RULE : refused_events[refusal->kind],
                              .kind = refusal->kind,
                              .asker = {.function = function_name(policy->config, refusal->function)},
                              .item = item,
                              .reason = refusal->rule ? refusal->rule : NOT_GRANTED,
                              .count = refusal->untold};
    tell(policy, &telling, "%" PRIu64 " more times: %s \"%s\": %s", refusal->untold, nouns[refusal->kind],
         show(item).text, telling.reason);
    refusal->untold = 0;
}

static void tell_granted_again(struct azfn__policy *policy, enum kind kind, size_t function, struct grant *grant)
{
    struct azfn_span item = item_name(policy->config, kind, grant->item);
    const struct telling telling = {.event = granted_events[kind],
                                    .kind = kind,
                                    .asker = {.function = function_name(policy->config, function)},
                                    .item = item,
                                    .version = grant->version,
                                    .count = grant->untold};
    tell(policy, &telling, "%s \"%.*s\"%s%s used %" PRIu64 " more times", nouns[kind], AZFN_SPAN_ARGS(item),
         grant->version[0] ? " of version " : "", grant->version, grant->untold);
    grant->untold = 0;
}

static void tell_others(const struct azfn__policy *policy, uint64_t count)
{
    const struct telling telling = {.event = AZFN__EVENT_OTHERS_REFUSED, .item = azfn__absent(), .count = count};
    if (count > 0) {
        tell(policy, &telling, "%" PRIu64 " more refusals of other kinds", count);
    } else {
        tell(policy, &telling,
             "the worker was refused %zu different things: the count of all others is told every five minutes",
             MAX_REFUSALS);
    }
}

static void on_tell_timer(uv_timer_t *timer);

/* Costs nothing while it runs. */
static void tell_later(struct azfn__policy *policy)
{
    if (!uv_is_active((uv_handle_t *)&policy->tell_timer)) {
        uv_timer_start(&policy->tell_timer, on_tell_timer, TELL_INTERVAL_MS, 0);
    }
}

/* A refusal that did not come again is forgotten, and so is an event at once when it does. */
static void tell_counts(struct azfn__policy *policy)
{
    size_t kept = 0;
    for (size_t i = 0; i < policy->refusal_count; i++) {
        struct refusal *refusal = &policy->refusals[i];
        if (refusal->untold > 0) {
            tell_refused_again(policy, refusal);
            policy->refusals[kept++] = *refusal;
        }
    }
    policy->refusal_count = kept;
    if (policy->others > 0) {
        tell_others(policy, policy->others);
    }
    policy->are_others_told = policy->others > 0;
    policy->others = 0;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        const struct grant_table *table = &policy->tables[kind];
        for (size_t f = 0; f < policy->config->function_count; f++) {
            for (size_t i = table->first[f]; i < table->first[f + 1]; i++) {
                if (table->grants[i].untold > 0) {
                    tell_granted_again(policy, (enum kind)kind, f, &table->grants[i]);
                }
            }
        }
    }
}

static void on_tell_timer(uv_timer_t *timer)
{
    struct azfn__policy *policy = timer->data;
    tell_counts(policy);
    if (policy->refusal_count > 0 || policy->are_others_told) {
        tell_later(policy);
    }
}

static void free_policy(struct azfn__policy *policy)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        free(policy->tables[kind].first);
        free(policy->tables[kind].grants);
    }
    free(policy);
}

static int order_grants(const void *a, const void *b)
{
    const struct grant *left = a;
    const struct grant *right = b;
    return (left->item > right->item) - (left->item < right->item);
}

static enum azfn_error make_table(struct grant_table *table, const struct azfn__config *config, enum kind kind)
{
    size_t total = 0;
    for (size_t f = 0; f < config->function_count; f++) {
        const struct azfn__config_function *function = &config->functions[f];
        total += kind == KIND_SECRET ? function->secret_count : function->destination_count;
    }
    table->first = calloc(config->function_count + 1, sizeof(*table->first));
    table->grants = calloc(total + 1, sizeof(*table->grants));
    if (!table->first || !table->grants) {
        return AZFN_ERROR_NO_MEMORY;
    }
    size_t next = 0;
    for (size_t f = 0; f < config->function_count; f++) {
        const struct azfn__config_function *function = &config->functions[f];
        const struct azfn_span *names = kind == KIND_SECRET ? function->secrets : function->destinations;
        size_t count = kind == KIND_SECRET ? function->secret_count : function->destination_count;
        table->first[f] = next;
        for (size_t i = 0; i < count; i++) {
            size_t item = find_item(config, kind, names[i]);
            if (item < item_count(config, kind)) {
                table->grants[next++].item = item;
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
    policy->log = log;
    enum azfn_error error = AZFN_OK;
    for (int kind = 0; error == AZFN_OK && kind < KIND_COUNT; kind++) {
        error = make_table(&policy->tables[kind], config, (enum kind)kind);
    }
    if (error == AZFN_OK && uv_timer_init(loop, &policy->tell_timer) != 0) {
        error = AZFN_ERROR_SYSTEM;
    }
    if (error != AZFN_OK) {
        free_policy(policy);
        return error;
    }
    policy->tell_timer.data = policy;
    uv_unref((uv_handle_t *)&policy->tell_timer);
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
        tell_counts(policy);
        uv_close((uv_handle_t *)&policy->tell_timer, on_closed);
    }
}

/* True: it is to be told now. Later ones of the same key are counted. */
static bool note_refusal(struct azfn__policy *policy, const struct refusal *key)
{
    tell_later(policy);
    for (size_t i = 0; i < policy->refusal_count; i++) {
        struct refusal *refusal = &policy->refusals[i];
        if (refusal->function == key->function && refusal->item == key->item && refusal->kind == key->kind &&
            refusal->rule == key->rule) {
            refusal->untold++;
            return false;
        }
    }
    if (policy->refusal_count < MAX_REFUSALS) {
        policy->refusals[policy->refusal_count++] = *key;
        return true;
    }
    if (policy->are_others_told) {
        policy->others++;
        return false;
    }
    policy->are_others_told = true;
    tell_others(policy, 0);
    return false;
}

static void refuse(struct azfn__policy *policy, const struct azfn__policy_asker *asker, enum kind kind,
                   struct azfn_span name)
{
    const struct refusal key = {.function = find_function(policy->config, asker->function),
                                .item = find_item(policy->config, kind, name),
                                .kind = kind};
    if (!note_refusal(policy, &key)) {
        return;
    }
    const struct telling telling = {.event = refused_events[kind],
                                    .kind = kind,
                                    .asker = *asker,
                                    .item = name,
                                    .reason = key.function == UNKNOWN ? "there is no such function"
                                              : key.item == UNKNOWN   ? "there is none of that name in azfn.json"
                                                                      : NOT_GRANTED};
    tell(policy, &telling, "function \"%s\" asked for %s \"%s\": %s", show(asker->function).text, nouns[kind],
         show(name).text, telling.reason);
}

static struct grant *find_grant(const struct azfn__policy *policy, enum kind kind, size_t function,
                                struct azfn_span name)
{
    const struct grant_table *table = &policy->tables[kind];
    size_t low = function == UNKNOWN ? 0 : table->first[function];
    size_t high = function == UNKNOWN ? 0 : table->first[function + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = azfn__config_order(item_name(policy->config, kind, table->grants[middle].item), name);
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
    const struct grant *grant = find_grant(policy, KIND_SECRET, function, secret);
    if (!grant) {
        refuse(policy, asker, KIND_SECRET, secret);
    }
    return grant ? &policy->config->secrets[grant->item] : NULL;
}

const struct azfn__config_destination *azfn__policy_find_destination(struct azfn__policy *policy,
                                                                     const struct azfn__policy_asker *asker,
                                                                     struct azfn_span destination)
{
    size_t function = find_function(policy->config, asker->function);
    const struct grant *grant = find_grant(policy, KIND_DESTINATION, function, destination);
    if (!grant) {
        refuse(policy, asker, KIND_DESTINATION, destination);
    }
    return grant ? &policy->config->destinations[grant->item] : NULL;
}

static void record(struct azfn__policy *policy, const struct azfn__policy_asker *asker, enum kind kind,
                   struct azfn_span name, const char *version)
{
    size_t function = find_function(policy->config, asker->function);
    struct grant *grant = find_grant(policy, kind, function, name);
    if (!grant) {
        return;
    }
    if (grant->is_told && strncmp(grant->version, version, sizeof(grant->version) - 1) == 0) {
        grant->untold++;
        tell_later(policy);
        return;
    }
    if (grant->untold > 0) {
        tell_granted_again(policy, kind, function, grant);
    }
    (void)snprintf(grant->version, sizeof(grant->version), "%s", version);
    grant->is_told = true;
    const struct telling telling = {
        .event = granted_events[kind], .kind = kind, .asker = *asker, .item = name, .version = grant->version};
    tell(policy, &telling, "%s \"%.*s\"%s%s used", nouns[kind], AZFN_SPAN_ARGS(name),
         grant->version[0] ? " of version " : "", grant->version);
}

void azfn__policy_record_read(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                              const struct azfn__config_secret *secret, const char *version)
{
    record(policy, asker, KIND_SECRET, secret->name, version);
}

void azfn__policy_record_use(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                             const struct azfn__config_destination *destination)
{
    record(policy, asker, KIND_DESTINATION, destination->name, "");
}

void azfn__policy_record_refusal(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                                 const struct azfn__config_destination *destination, const char *what)
{
    const struct refusal key = {.function = find_function(policy->config, asker->function),
                                .item = (size_t)(destination - policy->config->destinations),
                                .kind = KIND_DESTINATION,
                                .rule = what};
    if (note_refusal(policy, &key)) {
        const struct telling telling = {.event = AZFN__EVENT_DESTINATION_RULE,
                                        .kind = KIND_DESTINATION,
                                        .asker = *asker,
                                        .item = destination->name,
                                        .reason = what};
        tell(policy, &telling, "function \"%s\" asked destination \"%.*s\" for what its rules refuse: %s",
             show(asker->function).text, AZFN_SPAN_ARGS(destination->name), what);
    }
}
