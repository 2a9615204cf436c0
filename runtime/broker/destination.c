#include "broker/destination.h"

#include "base/span.h"
#include "broker/destination_parts.h"
#include "config/config_fault.h"
#include "config/config_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES ((size_t)16 << 20)
#define TELL_INTERVAL_MS ((uint64_t)5 * 60 * 1000)

static const struct {
    enum azfn__security_event event;
    const char *text;
} troubles[AZFN__DESTINATION_TROUBLES] = {
    [AZFN__DESTINATION_FAILED] = {AZFN__EVENT_DESTINATION_FAILED, "a request failed"},
    [AZFN__DESTINATION_DISTRUSTED] = {AZFN__EVENT_DESTINATION_DISTRUSTED, "it can't be used"},
    [AZFN__DESTINATION_WITHOUT_CREDENTIAL] = {AZFN__EVENT_CREDENTIAL_UNUSABLE, "its credential can't be used"},
    [AZFN__DESTINATION_UNWATCHED] = {AZFN__EVENT_DESTINATION_UNWATCHED, "its answers are not searched"},
    [AZFN__DESTINATION_ECHOED] = {AZFN__EVENT_DESTINATION_ECHO, "it sends its credential back"},
    [AZFN__DESTINATION_CROWDED] = {AZFN__EVENT_DESTINATION_LIMIT, "a request was refused"},
};

/* what may be NULL: only the count of others is told. */
static void say(struct azfn__destinations *destinations, const struct azfn__destination_target *target,
                enum azfn__destination_trouble trouble, const char *what, uint64_t others)
{
    char count[64] = "";
    struct azfn__event_fields fields = {.destination = target->config->name, .reason = azfn_span_of(what)};
    if (others > 0) {
        (void)snprintf(count, sizeof(count), "%s%" PRIu64 " more times", what ? ", and before " : "", others);
        fields.count = AZFN__NUMBER(others);
    }
    azfn__log_sink_say(destinations->options.log, troubles[trouble].event, &fields,
                       "destination \"%.*s\": %s: %s%s", AZFN_SPAN_ARGS(target->config->name), troubles[trouble].text,
                       what ? what : "", count);
}

void azfn__destination_tell(struct azfn__destinations *destinations, struct azfn__destination_target *target,
                            enum azfn__destination_trouble trouble, const char *what)
{
    struct azfn__destination_tally *tally = &target->tallies[trouble];
    uint64_t now_ms = uv_now(destinations->options.loop);
    if (tally->is_told && now_ms - tally->told_at_ms < TELL_INTERVAL_MS) {
        tally->untold++;
        return;
    }
    say(destinations, target, trouble, what, tally->untold);
    *tally = (struct azfn__destination_tally){.is_told = true, .told_at_ms = now_ms};
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
    for (size_t i = 0; destinations->targets && i < destinations->options.config->destination_count; i++) {
        struct azfn__destination_target *target = &destinations->targets[i];
        for (int trouble = 0; trouble < AZFN__DESTINATION_TROUBLES; trouble++) {
            struct azfn__destination_tally *tally = &target->tallies[trouble];
            if (tally->untold > 0) {
                say(destinations, target, (enum azfn__destination_trouble)trouble, NULL, tally->untold);
                tally->untold = 0;
            }
        }
    }
}

void azfn__destinations_destroy(struct azfn__destinations *destinations)
{
    if (!destinations) {
        return;
    }
    azfn__destinations_tell_counts(destinations);
    free(destinations->targets);
    azfn__arena_clean_up(&destinations->arena);
    free(destinations);
}
