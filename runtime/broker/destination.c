#include "broker/destination.h"

#include "base/span.h"
#include "broker/destination_parts.h"
#include "config/config_fault.h"
#include "config/config_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES ((size_t)16 << 20)

static const char *text_of(enum azfn__security_event event)
{
    switch ((int)event) {
    case AZFN__EVENT_DESTINATION_DISTRUSTED:
        return "its certificate is not trusted";
    case AZFN__EVENT_DESTINATION_UNAUTHORIZED:
        return "it can't be used";
    case AZFN__EVENT_CREDENTIAL_UNUSABLE:
        return "its credential can't be used";
    case AZFN__EVENT_DESTINATION_UNWATCHED:
        return "its answers are not searched";
    case AZFN__EVENT_DESTINATION_ECHO:
        return "it sends its credential back";
    case AZFN__EVENT_DESTINATION_LIMIT:
        return "a request was refused";
    default:
        return "a request failed";
    }
}

/* Whom a line is about. */
struct subject {
    const struct azfn__destinations *destinations;
    const struct azfn__destination_target *target;
    const struct azfn__policy_asker *asker; /* NULL: those that were counted */
};

static bool say(enum azfn__security_event event, const char *reason, uint64_t count, void *user_data)
{
    const struct subject *subject = user_data;
    struct azfn_span name = subject->target->config->name;
    char times[48] = "";
    struct azfn__event_fields fields = {.destination = name, .reason = azfn_span_of(reason)};
    if (subject->asker) {
        fields.function = subject->asker->function;
        fields.invocation_id = subject->asker->invocation_id;
        fields.trace_id = subject->asker->trace_id;
    }
    if (count > 0) {
        fields.count = AZFN__NUMBER(count);
        (void)snprintf(times, sizeof(times), "%" PRIu64 " more times: ", count);
    }
    return azfn__log_sink_say(subject->destinations->options.log, event, &fields, "%sdestination \"%.*s\": %s: %s",
                              times, AZFN_SPAN_ARGS(name), text_of(event), reason);
}

static void tell_counts(struct azfn__destinations *destinations, uint64_t now_ms)
{
    for (size_t i = 0; destinations->targets && i < destinations->options.config->destination_count; i++) {
        struct azfn__destination_target *target = &destinations->targets[i];
        struct subject subject = {.destinations = destinations, .target = target};
        azfn__event_tally_tell(&target->tally, now_ms, say, &subject);
    }
}

static void on_tell_timer(uv_timer_t *timer);

/* Costs nothing while it runs. */
static void await_counts(struct azfn__destinations *destinations)
{
    uv_loop_t *loop = destinations->options.loop;
    uint64_t due_ms = UINT64_MAX;
    if (!destinations->has_tell_timer) {
        if (uv_timer_init(loop, &destinations->tell_timer) != 0) {
            return;
        }
        destinations->has_tell_timer = true;
        destinations->tell_timer.data = destinations;
        uv_unref((uv_handle_t *)&destinations->tell_timer);
    }
    for (size_t i = 0; i < destinations->options.config->destination_count; i++) {
        uint64_t target_due_ms = azfn__event_tally_due_ms(&destinations->targets[i].tally);
        due_ms = target_due_ms < due_ms ? target_due_ms : due_ms;
    }
    if (due_ms != UINT64_MAX && !uv_is_active((uv_handle_t *)&destinations->tell_timer)) {
        uint64_t now_ms = uv_now(loop);
        destinations->tell_at_ms = due_ms;
        uv_timer_start(&destinations->tell_timer, on_tell_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
    }
}

static void on_tell_timer(uv_timer_t *timer)
{
    struct azfn__destinations *destinations = timer->data;
    tell_counts(destinations, destinations->tell_at_ms);
    await_counts(destinations);
}

void azfn__destination_tell(struct azfn__destinations *destinations, struct azfn__destination_target *target,
                            const struct azfn__policy_asker *asker, enum azfn__security_event event,
                            const char *reason)
{
    struct subject subject = {.destinations = destinations, .target = target, .asker = asker};
    azfn__event_tally_add(&target->tally, event, reason, uv_now(destinations->options.loop),
                          AZFN__EVENT_COUNT_INTERVAL_MS, say, &subject);
    await_counts(destinations);
}

/* From "https://" to the path. A %NAME% has no slash in it. */
static struct azfn_span authority_of(struct azfn_span url)
{
    struct azfn_span rest = azfn__span_from(url, AZFN__SPAN("https://").length);
    const char *slash = rest.length > 0 ? memchr(rest.data, '/', rest.length) : NULL;
    return azfn__span(rest.data, slash ? (size_t)(slash - rest.data) : rest.length);
}

static bool has_percent(struct azfn_span text)
{
    return text.length > 0 && memchr(text.data, '%', text.length) != NULL;
}

/* What is wrong with a URL in which nothing is left to be replaced. */
static const char *check_url(struct azfn_span url)
{
    return has_percent(url) ? "a URL without a % once its settings are in it" : azfn__config_url_check(url);
}

static enum azfn_error refuse_url(const struct azfn__config_destination *destination,
                                  struct azfn__config_fault *fault, const char *expected)
{
    azfn__config_say(fault, "azfn.json: /destinations/%.*s/url: expected %s", AZFN_SPAN_ARGS(destination->name),
                     expected);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

static enum azfn_error replace_settings(struct azfn__destinations *destinations,
                                        struct azfn__destination_target *target, struct azfn__config_fault *fault)
{
    const struct azfn__settings *settings = destinations->options.settings;
    struct azfn_span missing = azfn__absent();
    struct azfn_span authority = azfn__settings_replace(settings, &destinations->arena,
                                                        authority_of(target->config->url), &missing);
    target->url = azfn__settings_replace(settings, &destinations->arena, target->config->url, &missing);
    if (azfn_span_is_present(missing)) {
        char shown[AZFN__CONFIG_SHOWN_ROOM];
        azfn__config_say(fault, "azfn.json: /destinations/%.*s/url: the setting %s is not set",
                         AZFN_SPAN_ARGS(target->config->name), azfn__config_shown(shown, sizeof(shown), missing));
        return AZFN_ERROR_INVALID_ARGUMENT;
    }
    if (!azfn_span_is_present(target->url) || !azfn_span_is_present(authority)) {
        azfn__config_say(fault, "azfn.json: out of memory");
        return AZFN_ERROR_NO_MEMORY;
    }
    const char *expected = check_url(target->url);
    if (expected) {
        return refuse_url(target->config, fault, expected);
    }
    /* the domain is azfn.json's decision: "other.example/" in place of a host's first label would make another one */
    if (!azfn__span_equal(authority, authority_of(target->url))) {
        return refuse_url(target->config, fault, "settings that change the host's first parts only");
    }
    return AZFN_OK;
}

static enum azfn_error resolve(struct azfn__destinations *destinations, struct azfn__destination_target *target,
                               struct azfn__config_fault *fault)
{
    const struct azfn__development *development = destinations->options.development;
    for (size_t i = 0; development->is_on && i < development->destination_count; i++) {
        if (!azfn__span_equal(development->destinations[i].name, target->config->name)) {
            continue;
        }
        const char *expected = check_url(development->destinations[i].url);
        target->url = azfn__arena_copy(&destinations->arena, development->destinations[i].url);
        target->trust = AZFN__HTTPS_TRUST_DEVELOPMENT;
        if (expected) {
            azfn__config_say(fault, "the development file: /destinations/%.*s: expected %s",
                             AZFN_SPAN_ARGS(target->config->name), expected);
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
        return azfn_span_is_present(target->url) ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
    }
    target->trust = AZFN__HTTPS_TRUST_SYSTEM;
    return replace_settings(destinations, target, fault);
}

enum azfn_error azfn__destinations_new(const struct azfn__destinations_options *options,
                                       struct azfn__destinations **out_destinations,
                                       struct azfn__config_fault *out_fault)
{
    const struct azfn__config *config = options->config;
    struct azfn__destinations *destinations = calloc(1, sizeof(*destinations));
    *out_destinations = NULL;
    azfn__config_say(out_fault, "out of memory");
    if (!destinations) {
        return AZFN_ERROR_NO_MEMORY;
    }
    destinations->options = *options;
    azfn__arena_init(&destinations->arena, ARENA_BYTES);
    destinations->targets = calloc(config->destination_count + 1, sizeof(*destinations->targets));
    enum azfn_error error = destinations->targets ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
    for (size_t i = 0; error == AZFN_OK && i < config->destination_count; i++) {
        destinations->targets[i].config = &config->destinations[i];
        error = resolve(destinations, &destinations->targets[i], out_fault);
    }
    if (error != AZFN_OK) {
        azfn__destinations_destroy(destinations);
        return error;
    }
    *out_destinations = destinations;
    return AZFN_OK;
}

void azfn__destinations_tell_counts(struct azfn__destinations *destinations)
{
    tell_counts(destinations, UINT64_MAX);
}

static void free_destinations(struct azfn__destinations *destinations)
{
    for (size_t i = 0; destinations->targets && i < destinations->options.config->destination_count; i++) {
        azfn__event_tally_clear(&destinations->targets[i].tally);
    }
    free(destinations->targets);
    azfn__arena_clean_up(&destinations->arena);
    free(destinations);
}

static void on_closed(uv_handle_t *handle)
{
    free_destinations(handle->data);
}

void azfn__destinations_destroy(struct azfn__destinations *destinations)
{
    if (!destinations) {
        return;
    }
    azfn__destinations_tell_counts(destinations);
    if (destinations->has_tell_timer) {
        uv_close((uv_handle_t *)&destinations->tell_timer, on_closed);
    } else {
        free_destinations(destinations);
    }
}
