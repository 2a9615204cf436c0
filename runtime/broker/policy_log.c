#include "broker/policy_log.h"

#include "base/span.h"
#include "config/config_policy.h"

#include <inttypes.h>
#include <stdio.h>

/* A large app has thousands of grants: as many lines at once as the host's pipe takes, then the next ones. */
#define LINES_AT_ONCE 100
#define NEXT_LINES_MS 1000
#define SHOWN_BYTES 64
#define NOT_GRANTED "azfn.json does not grant it"

static const char *const nouns[AZFN__POLICY_KIND_COUNT] = {"secret", "destination"};
static const enum azfn__security_event granted_events[AZFN__POLICY_KIND_COUNT] = {AZFN__EVENT_SECRET_READ,
                                                                                  AZFN__EVENT_DESTINATION_USED};
static const enum azfn__security_event refused_events[AZFN__POLICY_KIND_COUNT] = {AZFN__EVENT_SECRET_REFUSED,
                                                                                  AZFN__EVENT_DESTINATION_REFUSED};

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

struct azfn_span azfn__policy_item_name(const struct azfn__config *config, enum azfn__policy_kind kind, size_t item)
{
    if (item == AZFN__POLICY_UNKNOWN) {
        return AZFN__SPAN("(unknown)");
    }
    return kind == AZFN__POLICY_SECRET ? config->secrets[item].name : config->destinations[item].name;
}

static struct azfn_span function_name(const struct azfn__config *config, size_t function)
{
    return function == AZFN__POLICY_UNKNOWN ? AZFN__SPAN("(unknown)") : config->functions[function].name;
}

/* What is told of a secret or a destination. */
struct telling {
    enum azfn__security_event event;
    enum azfn__policy_kind kind;
    struct azfn__policy_asker asker;
    struct azfn_span item; /* absent: none */
    const char *version;   /* of a secret; NULL or empty: none */
    const char *reason;    /* NULL: none */
    uint64_t count;        /* 0: one that is told by itself */
};

AZFN_PRINTF(3, 4)
static bool tell(const struct azfn__policy_log *log, const struct telling *telling, const char *format, ...)
{
    struct azfn__event_fields fields = {.function = telling->asker.function,
                                        .invocation_id = telling->asker.invocation_id,
                                        .trace_id = telling->asker.trace_id,
                                        .secret_version = azfn_span_of(telling->version),
                                        .reason = azfn_span_of(telling->reason)};
    va_list arguments;
    *(telling->kind == AZFN__POLICY_SECRET ? &fields.secret : &fields.destination) = telling->item;
    if (telling->count > 0) {
        fields.count = AZFN__NUMBER(telling->count);
    }
    va_start(arguments, format);
    bool is_written = azfn__log_sink_vsay(log->sink, telling->event, &fields, format, arguments);
    va_end(arguments);
    return is_written;
}

static bool tell_refused_again(const struct azfn__policy_log *log, const struct azfn__policy_refusal *refusal)
{
    struct azfn_span item = azfn__policy_item_name(log->config, refusal->kind, refusal->item);
    struct telling telling = {.event = refusal->rule ? AZFN__EVENT_DESTINATION_RULE : refused_events[refusal->kind],
                              .kind = refusal->kind,
                              .asker = {.function = function_name(log->config, refusal->function)},
                              .item = item,
                              .reason = refusal->rule ? refusal->rule : NOT_GRANTED,
                              .count = refusal->untold};
    return tell(log, &telling, "%" PRIu64 " more times: %s \"%s\": %s", refusal->untold, nouns[refusal->kind],
                show(item).text, telling.reason);
}

static bool tell_used_again(const struct azfn__policy_log *log, enum azfn__policy_kind kind,
                            struct azfn__policy_grant *grant)
{
    struct azfn_span item = azfn__policy_item_name(log->config, kind, grant->item);
    const struct telling telling = {.event = granted_events[kind],
                                    .kind = kind,
                                    .asker = {.function = function_name(log->config, grant->function)},
                                    .item = item,
                                    .version = grant->version,
                                    .count = grant->untold};
    bool is_written = tell(log, &telling, "%s \"%.*s\"%s%s used %" PRIu64 " more times", nouns[kind],
                           AZFN_SPAN_ARGS(item), grant->version[0] ? " of version " : "", grant->version,
                           grant->untold);
    grant->untold = is_written ? 0 : grant->untold;
    return is_written;
}

static bool tell_others(const struct azfn__policy_log *log, uint64_t count)
{
    const struct telling telling = {.event = AZFN__EVENT_OTHERS_REFUSED, .item = azfn__absent(), .count = count};
    if (count > 0) {
        return tell(log, &telling, "%" PRIu64 " more refusals of other kinds", count);
    }
    return tell(log, &telling,
                "the worker was refused %zu different things: the count of all others is told every five minutes",
                AZFN__POLICY_MAX_REFUSALS);
}

/* A refusal that did not come again is forgotten, and so is an event at once when it does. */
static void tell_refusals(struct azfn__policy_log *log)
{
    size_t kept = 0;
    for (size_t i = 0; i < log->refusal_count; i++) {
        struct azfn__policy_refusal *refusal = &log->refusals[i];
        if (refusal->untold > 0) {
            refusal->untold = tell_refused_again(log, refusal) ? 0 : refusal->untold;
            log->refusals[kept++] = *refusal;
        }
    }
    log->refusal_count = kept;
    log->are_others_told = log->others > 0;
    if (log->others > 0 && tell_others(log, log->others)) {
        log->others = 0;
    }
}

static size_t count_grants(const struct azfn__policy_log *log)
{
    return log->granted[AZFN__POLICY_SECRET].count + log->granted[AZFN__POLICY_DESTINATION].count;
}

/* Goes on where it has ended, so that it is not always the same ones that a full pipe leaves out. False: one was. */
static bool tell_uses(struct azfn__policy_log *log, size_t max_lines)
{
    size_t secrets = log->granted[AZFN__POLICY_SECRET].count;
    for (size_t lines = 0; log->left > 0 && lines < max_lines; log->left--) {
        bool is_secret = log->next_grant < secrets;
        enum azfn__policy_kind kind = is_secret ? AZFN__POLICY_SECRET : AZFN__POLICY_DESTINATION;
        struct azfn__policy_grant *grant = &log->granted[kind].grants[log->next_grant - (is_secret ? 0 : secrets)];
        if (grant->untold > 0) {
            lines++;
            if (!tell_used_again(log, kind, grant)) {
                return false;
            }
        }
        log->next_grant = (log->next_grant + 1) % count_grants(log);
    }
    return true;
}

static void on_timer(uv_timer_t *timer);

/* Costs nothing while it runs. */
static void tell_later(struct azfn__policy_log *log)
{
    if (!uv_is_active((uv_handle_t *)&log->timer)) {
        uv_timer_start(&log->timer, on_timer, AZFN__EVENT_COUNT_INTERVAL_MS, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__policy_log *log = timer->data;
    if (log->left == 0) {
        tell_refusals(log);
        log->has_untold = false;
        log->left = count_grants(log);
    }
    bool are_written = tell_uses(log, LINES_AT_ONCE);
    if (are_written && log->left > 0) {
        uv_timer_start(timer, on_timer, NEXT_LINES_MS, 0);
        return;
    }
    log->left = 0;
    if (!are_written || log->has_untold || log->refusal_count > 0 || log->are_others_told) {
        tell_later(log);
    }
}

void azfn__policy_log_tell(struct azfn__policy_log *log)
{
    tell_refusals(log);
    log->left = count_grants(log);
    (void)tell_uses(log, SIZE_MAX);
}

enum azfn_error azfn__policy_log_init(struct azfn__policy_log *log, uv_loop_t *loop, const struct azfn__config *config,
                                      struct azfn__log_sink *sink)
{
    *log = (struct azfn__policy_log){.config = config, .sink = sink};
    log->timer.data = log;
    if (uv_timer_init(loop, &log->timer) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    uv_unref((uv_handle_t *)&log->timer);
    return AZFN_OK;
}

/* NULL: it is one of the others, which is counted here. Else a new one has nothing untold, and is to be told. */
static struct azfn__policy_refusal *note_refusal(struct azfn__policy_log *log, const struct azfn__policy_refusal *key,
                                                 bool *out_is_new)
{
    *out_is_new = false;
    for (size_t i = 0; i < log->refusal_count; i++) {
        struct azfn__policy_refusal *refusal = &log->refusals[i];
        if (refusal->function == key->function && refusal->item == key->item && refusal->kind == key->kind &&
            refusal->rule == key->rule) {
            return refusal;
        }
    }
    if (log->refusal_count < AZFN__POLICY_MAX_REFUSALS) {
        *out_is_new = true;
        log->refusals[log->refusal_count] = *key;
        return &log->refusals[log->refusal_count++];
    }
    if (log->are_others_told || !tell_others(log, 0)) {
        log->others++;
    }
    log->are_others_told = true;
    return NULL;
}

static bool tell_refused(const struct azfn__policy_log *log, const struct azfn__policy_asker *asker,
                         const struct azfn__policy_refusal *refusal, struct azfn_span name)
{
    struct telling telling = {.event = refused_events[refusal->kind],
                              .kind = refusal->kind,
                              .asker = *asker,
                              .item = name,
                              .reason = refusal->function == AZFN__POLICY_UNKNOWN ? "there is no such function"
                                        : refusal->item == AZFN__POLICY_UNKNOWN
                                            ? "there is none of that name in azfn.json"
                                            : NOT_GRANTED};
    if (refusal->rule) {
        telling.event = AZFN__EVENT_DESTINATION_RULE;
        telling.reason = refusal->rule;
        return tell(log, &telling, "function \"%s\" asked destination \"%.*s\" for what its rules refuse: %s",
                    show(asker->function).text, AZFN_SPAN_ARGS(name), telling.reason);
    }
    return tell(log, &telling, "function \"%s\" asked for %s \"%s\": %s", show(asker->function).text,
                nouns[refusal->kind], show(name).text, telling.reason);
}

void azfn__policy_log_refusal(struct azfn__policy_log *log, const struct azfn__policy_asker *asker,
                              const struct azfn__policy_refusal *refusal, struct azfn_span name)
{
    bool is_new;
    struct azfn__policy_refusal *noted = note_refusal(log, refusal, &is_new);
    if (noted && !(is_new && tell_refused(log, asker, noted, name))) {
        noted->untold++;
    }
    tell_later(log);
}

static void count_use(struct azfn__policy_log *log, struct azfn__policy_grant *grant)
{
    grant->untold++;
    log->has_untold = true;
    tell_later(log);
}

void azfn__policy_log_use(struct azfn__policy_log *log, const struct azfn__policy_asker *asker,
                          enum azfn__policy_kind kind, struct azfn__policy_grant *grant, const char *version)
{
    if (grant->is_used && strncmp(grant->version, version, sizeof(grant->version) - 1) == 0) {
        count_use(log, grant);
        return;
    }
    if (grant->untold > 0) {
        (void)tell_used_again(log, kind, grant); /* one that can't be written is told with the newer ones */
    }
    grant->is_used = true;
    (void)snprintf(grant->version, sizeof(grant->version), "%s", version);
    struct azfn_span item = azfn__policy_item_name(log->config, kind, grant->item);
    const struct telling telling = {
        .event = granted_events[kind], .kind = kind, .asker = *asker, .item = item, .version = grant->version};
    if (!tell(log, &telling, "%s \"%.*s\"%s%s used", nouns[kind], AZFN_SPAN_ARGS(item),
              grant->version[0] ? " of version " : "", grant->version)) {
        count_use(log, grant);
    }
}
