#include "broker/services.h"

#include "base/span.h"
#include "broker/identity.h"
#include "broker/key_vault.h"

#include <stdio.h>

#define IDENTITY_MAX_BYTES ((size_t)64 << 10)

static enum azfn_error fail(struct azfn__config_fault *fault, enum azfn_error error, const char *reason)
{
    snprintf(fault->message, sizeof(fault->message), "%s", reason);
    return error;
}

static enum azfn_error load_https(struct azfn__services *services, const struct azfn__services_options *options,
                                  struct azfn__config_fault *fault)
{
    const char *reason = "";
    const struct azfn__https_api *api = azfn__https_module_load(options->module_path, &reason);
    if (!api) {
        snprintf(fault->message, sizeof(fault->message), "can't load %s, which belongs beside the handler: %s",
                 options->module_path, reason);
        return AZFN_ERROR_SYSTEM;
    }
    enum azfn_error error = azfn__https_client_new(options->loop, api, options->development->certificate_authority,
                                                   &services->https, &reason);
    return error == AZFN_OK ? AZFN_OK : fail(fault, error, reason);
}

/* Which of the app's identities azfn.json names. */
static enum azfn_error choose_identity(const struct azfn__services_options *options, struct azfn__arena *arena,
                                       struct azfn__identity_options *identity, struct azfn__config_fault *fault)
{
    const struct azfn__config_identity *config = &options->config->identity;
    const struct {
        struct azfn_span text;
        enum azfn__identity_kind kind;
    } ways[] = {{config->client_id, AZFN__IDENTITY_CLIENT_ID},
                {config->resource_id, AZFN__IDENTITY_RESOURCE_ID},
                {config->principal_id, AZFN__IDENTITY_PRINCIPAL_ID}};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct azfn_span missing = azfn__absent();
        if (!azfn_span_is_present(ways[i].text)) {
            continue;
        }
        identity->kind = ways[i].kind;
        identity->id = azfn__settings_replace(options->settings, arena, ways[i].text, &missing);
        if (!azfn_span_is_present(identity->id)) {
            snprintf(fault->message, sizeof(fault->message), "azfn.json: /identity: the setting %.*s is not set",
                     AZFN_SPAN_ARGS(missing));
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
    }
    return AZFN_OK;
}

static enum azfn_error make_identity(struct azfn__services *services, const struct azfn__services_options *options,
                                     struct azfn__config_fault *fault)
{
    struct azfn__arena arena;
    const char *reason = NULL;
    struct azfn__identity_options identity = {.https = services->https,
                                              .slab = options->slab,
                                              .endpoint = options->identity_endpoint,
                                              .endpoint_header = options->identity_header};
    azfn__arena_init(&arena, IDENTITY_MAX_BYTES);
    enum azfn_error error = choose_identity(options, &arena, &identity, fault);
    if (error == AZFN_OK) {
        error = azfn__identity_new(&identity, &services->identity, &reason);
    }
    azfn__arena_clean_up(&arena);
    if (error != AZFN_OK) {
        return error;
    }
    if (reason) { /* each fetch says so as well, but perhaps not before the first order is lost */
        const struct azfn__event_fields fields = {.reason = azfn_span_of(reason)};
        azfn__log_sink_say(options->log, AZFN__EVENT_TOKEN_FAILED, &fields,
                           "no token of the managed identity can be had: %s", reason);
    }
    const struct azfn__credential_cache_options cache = {.loop = options->loop,
                                                         .slab = options->slab,
                                                         .log = options->log,
                                                         .source = services->identity,
                                                         .events = &azfn__credential_token_events,
                                                         .refreshes_at_half_life = true};
    return azfn__credential_cache_new(&cache, &services->tokens);
}

static enum azfn_error make_vault(struct azfn__services *services, const struct azfn__services_options *options,
                                  struct azfn__config_fault *fault)
{
    const struct azfn__key_vault_options vault = {.https = services->https,
                                                  .slab = options->slab,
                                                  .tokens = services->tokens,
                                                  .config = options->config,
                                                  .settings = options->settings,
                                                  .development_suffix = options->development->vault_suffix};
    return azfn__key_vault_new(&vault, &services->vault, fault);
}

static enum azfn_error make_secrets(struct azfn__services *services, const struct azfn__services_options *options)
{
    const struct azfn__config *config = options->config;
    const struct azfn__credential_cache_options cache = {.loop = options->loop,
                                                         .slab = options->slab,
                                                         .log = options->log,
                                                         .source = services->vault,
                                                         .events = &azfn__credential_secret_events,
                                                         .refresh_ms = config->limits.secret_refresh_ms,
                                                         .stale_limit_ms = config->limits.secret_stale_ms};
    enum azfn_error error = azfn__credential_cache_new(&cache, &services->secrets);
    for (size_t i = 0; error == AZFN_OK && i < config->secret_count; i++) {
        if (config->secrets[i].is_preloaded) {
            azfn__credential_cache_preload(services->secrets, config->secrets[i].name);
        }
    }
    return error;
}

static enum azfn_error make_destinations(struct azfn__services *services, const struct azfn__services_options *options,
                                         struct azfn__config_fault *fault)
{
    const struct azfn__destinations_options destinations = {.loop = options->loop,
                                                            .slab = options->slab,
                                                            .https = services->https,
                                                            .tokens = services->tokens,
                                                            .secrets = services->secrets,
                                                            .policy = services->policy,
                                                            .log = options->log,
                                                            .config = options->config,
                                                            .settings = options->settings,
                                                            .development = options->development};
    return azfn__destinations_new(&destinations, &services->destinations, fault);
}

static enum azfn_error with_text(enum azfn_error error, struct azfn__config_fault *fault)
{
    return error == AZFN_OK || fault->message[0] ? error : fail(fault, error, azfn_error_text(error));
}

enum azfn_error azfn__services_check(const struct azfn__services_options *options,
                                     struct azfn__config_fault *out_fault)
{
    struct azfn__services services = {0};
    struct azfn__identity_options identity = {0};
    struct azfn__arena arena;
    out_fault->message[0] = '\0';
    azfn__arena_init(&arena, IDENTITY_MAX_BYTES);
    enum azfn_error error = choose_identity(options, &arena, &identity, out_fault);
    azfn__arena_clean_up(&arena);
    if (error == AZFN_OK) {
        error = make_vault(&services, options, out_fault);
    }
    if (error == AZFN_OK) {
        error = make_destinations(&services, options, out_fault);
    }
    azfn__destinations_destroy(services.destinations);
    azfn__key_vault_destroy(services.vault);
    return with_text(error, out_fault);
}

enum azfn_error azfn__services_init(struct azfn__services *services, const struct azfn__services_options *options,
                                    struct azfn__config_fault *out_fault)
{
    *services = (struct azfn__services){.config = options->config};
    out_fault->message[0] = '\0';
    enum azfn_error error = azfn__policy_new(options->loop, options->config, options->log, &services->policy);
    if (error == AZFN_OK && options->config->secret_count + options->config->destination_count > 0) {
        error = load_https(services, options, out_fault);
        if (error == AZFN_OK) {
            error = make_identity(services, options, out_fault);
        }
        if (error == AZFN_OK) {
            error = make_vault(services, options, out_fault);
        }
        if (error == AZFN_OK) {
            error = make_secrets(services, options);
        }
        if (error == AZFN_OK) {
            error = make_destinations(services, options, out_fault);
        }
    }
    return with_text(error, out_fault);
}

void azfn__services_end(struct azfn__services *services)
{
    azfn__policy_destroy(services->policy);
    services->policy = NULL;
    if (services->destinations) {
        azfn__destinations_tell_counts(services->destinations);
        azfn__credential_cache_tell_counts(services->secrets);
        azfn__credential_cache_tell_counts(services->tokens);
    }
}
