#include "broker/key_vault.h"

#include "base/buffer.h"
#include "base/span.h"
#include "base/wall_clock.h"
#include "broker/credential_fetch.h"
#include "broker/https_exchange.h"
#include "broker/key_vault_answer.h"
#include "broker/key_vault_location.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_ANSWER_BYTES ((size_t)64 << 10)
#define MAX_HEADER_BYTES ((size_t)32 << 10)
#define MAX_RESOLVED_BYTES ((size_t)4 << 20)
#define TIMEOUT_MS 10000
#define REASON_BYTES 256
/* The wait that a vault asks for by a 429 without saying how long: doubled each time in a row. */
#define FIRST_THROTTLE_MS 1000
#define MAX_THROTTLES 4

struct secret {
    struct azfn__key_vault_location location;
    unsigned throttles; /* in a row */
};

struct key_vault {
    struct azfn__credential_source source; /* first: one is the other */
    struct azfn__key_vault_options options;
    struct azfn__arena arena;
    struct secret *secrets;
    size_t secret_count;
    struct azfn__credential_fetch *fetches; /* under way */
};

struct fetch {
    struct azfn__credential_fetch common; /* first: one is the other */
    struct key_vault *vault;
    struct secret *secret;
    struct azfn__credential_wait *wait;
    struct azfn__https_exchange *exchange;
    bool has_new_token; /* since the first one was not accepted */
};

static void on_answer(enum azfn_error error, struct azfn__https_answer *answer, const char *reason, void *user_data);

static void ask_vault(struct fetch *fetch, const struct azfn__credential *token)
{
    struct key_vault *vault = fetch->vault;
    struct azfn__buffer authorization;
    azfn__buffer_init(&authorization, MAX_HEADER_BYTES);
    azfn__buffer_append_text(&authorization, "Bearer ");
    azfn__buffer_append_span(&authorization, azfn__secret_reveal(token->value));
    const struct azfn__https_header headers[] = {
        {.name = AZFN__SPAN("Authorization"), .value = azfn__buffer_span(&authorization)},
        {.name = AZFN__SPAN("Accept"), .value = AZFN__SPAN("application/json")},
    };
    bool is_development = vault->options.development_suffix.length > 0;
    const struct azfn__https_exchange_options options = {
        .client = vault->options.https,
        .url = fetch->secret->location.url,
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .trust = is_development ? AZFN__HTTPS_TRUST_DEVELOPMENT : AZFN__HTTPS_TRUST_SYSTEM,
        .timeout_ms = TIMEOUT_MS,
        .max_body_bytes = MAX_ANSWER_BYTES,
        .now_ms = vault->options.now_ms(),
        .on_answer = on_answer,
        .user_data = fetch,
    };
    enum azfn_error error =
        authorization.has_failed ? AZFN_ERROR_NO_MEMORY : azfn__https_exchange_start(&options, &fetch->exchange);
    azfn__buffer_clean_up(&authorization);
    if (error != AZFN_OK) {
        azfn__credential_fetch_fail(&fetch->common, error, azfn_error_text(error));
    }
}

static void fail_without_token(struct fetch *fetch, enum azfn_error error)
{
    char text[REASON_BYTES];
    (void)snprintf(text, sizeof(text), "there is no token for %.*s: %s",
                   AZFN_SPAN_ARGS(fetch->secret->location.audience), azfn_error_text(error));
    /* that there is no such identity does not mean that there is no such secret */
    azfn__credential_fetch_fail(&fetch->common, error == AZFN_ERROR_NOT_FOUND ? AZFN_ERROR_FORBIDDEN : error, text);
}

static void on_token(enum azfn_error error, const struct azfn__credential *token, void *user_data)
{
    struct fetch *fetch = user_data;
    fetch->wait = NULL;
    if (error == AZFN_OK) {
        ask_vault(fetch, token);
    } else {
        fail_without_token(fetch, error);
    }
}

static void ask(struct fetch *fetch)
{
    struct azfn__credential_cache *tokens = fetch->vault->options.tokens;
    const struct azfn__credential *token = azfn__credential_cache_peek(tokens, fetch->secret->location.audience);
    if (token) {
        ask_vault(fetch, token);
        return;
    }
    enum azfn_error error =
        azfn__credential_cache_wait(tokens, fetch->secret->location.audience, on_token, fetch, &fetch->wait);
    if (error != AZFN_OK) {
        fail_without_token(fetch, error);
    }
}

static void take_secret(struct fetch *fetch, struct azfn__https_answer *answer)
{
    const struct key_vault *vault = fetch->vault;
    struct azfn__key_vault_secret secret;
    struct azfn__fetch_result result = {.reason = "fetched"};
    if (!answer->is_json) {
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_UNAVAILABLE,
                                    "Key Vault's answer is not application/json");
        return;
    }
    result.error = azfn__key_vault_secret_read(answer->body, answer->body_length, fetch->secret->location.version,
                                               vault->options.now_ms(), &secret, &result.reason);
    result.has_expired = secret.is_out_of_time;
    if (result.error == AZFN_OK) {
        result.credential.expires_at_ms = secret.expires_at_ms;
        memcpy(result.credential.version, secret.version, sizeof(result.credential.version));
        result.credential.value = azfn__secret_new(vault->options.slab, secret.value);
        result.error = result.credential.value ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
        result.reason = result.credential.value ? result.reason : "no locked memory is left for it";
    }
    fetch->secret->throttles = 0;
    azfn__credential_fetch_finish(&fetch->common, &result);
}

/* The token is not accepted: one that was revoked, or a vault that is none of ours. */
static void take_challenge(struct fetch *fetch, const struct azfn__https_answer *answer)
{
    struct azfn_span audience = fetch->secret->location.audience;
    switch (azfn__key_vault_challenge_check(answer->challenge, audience)) {
    case AZFN__VAULT_CHALLENGE_OTHER:
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_FORBIDDEN,
                                    "the vault's challenge names another audience");
        return;
    case AZFN__VAULT_CHALLENGE_UNREADABLE:
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_FORBIDDEN,
                                    "the vault refuses the token, and its challenge can't be read");
        return;
    case AZFN__VAULT_CHALLENGE_MATCHES:
        break;
    }
    if (fetch->has_new_token) {
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_FORBIDDEN, "the vault refuses the identity's tokens");
        return;
    }
    fetch->has_new_token = true;
    azfn__credential_cache_reject(fetch->vault->options.tokens, audience);
    ask(fetch);
}

static enum azfn_error error_of_status(uint16_t status)
{
    if (status == 404) {
        return AZFN_ERROR_NOT_FOUND;
    }
    bool may_pass = status < 400 || status == 408 || status == 429 || status >= 500;
    return may_pass ? AZFN_ERROR_UNAVAILABLE : AZFN_ERROR_FORBIDDEN;
}

static uint32_t retry_after(struct secret *secret, const struct azfn__https_answer *answer)
{
    if (answer->status != 429 || answer->retry_after_ms > 0) {
        secret->throttles = 0;
        return answer->retry_after_ms;
    }
    uint32_t wait_ms = (uint32_t)FIRST_THROTTLE_MS << secret->throttles;
    secret->throttles += secret->throttles < MAX_THROTTLES ? 1 : 0;
    return wait_ms;
}

static void on_answer(enum azfn_error error, struct azfn__https_answer *answer, const char *reason, void *user_data)
{
    struct fetch *fetch = user_data;
    char text[REASON_BYTES];
    fetch->exchange = NULL;
    if (error != AZFN_OK) {
        (void)snprintf(text, sizeof(text), "Key Vault: %s", reason);
        azfn__credential_fetch_fail_exchange(&fetch->common, error, text);
        return;
    }
    if (answer->status == 200) {
        take_secret(fetch, answer);
        return;
    }
    if (answer->status == 401) {
        take_challenge(fetch, answer);
        return;
    }
    bool is_redirect = answer->status >= 300 && answer->status < 400;
    (void)snprintf(text, sizeof(text), "Key Vault answered %u (%s)%s", (unsigned)answer->status,
                   azfn__key_vault_error_code(azfn__span(answer->body, answer->body_length)),
                   is_redirect ? ": a redirect, which is not followed" : "");
    const struct azfn__fetch_result result = {.error = error_of_status(answer->status),
                                              .retry_after_ms = retry_after(fetch->secret, answer),
                                              .reason = text,
                                              .request_id = answer->request_id};
    azfn__credential_fetch_finish(&fetch->common, &result);
}

static struct secret *find(const struct key_vault *vault, struct azfn_span name)
{
    for (size_t i = 0; i < vault->secret_count; i++) {
        if (azfn__span_equal(vault->secrets[i].location.name, name)) {
            return &vault->secrets[i];
        }
    }
    return NULL;
}

static enum azfn_error fetch_secret(struct azfn__credential_source *source, struct azfn_span name,
                                    azfn__on_fetched_fn *on_fetched, void *user_data)
{
    struct key_vault *vault = (struct key_vault *)source;
    struct secret *secret = find(vault, name);
    if (!secret) {
        return AZFN_ERROR_NOT_FOUND;
    }
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch) {
        return AZFN_ERROR_NO_MEMORY;
    }
    *fetch = (struct fetch){
        .common = {.on_fetched = on_fetched, .user_data = user_data}, .vault = vault, .secret = secret};
    azfn__credential_fetch_begin(&fetch->common, &vault->fetches);
    ask(fetch);
    return AZFN_OK;
}

enum azfn_error azfn__key_vault_new(const struct azfn__key_vault_options *options,
                                    struct azfn__credential_source **out_vault, struct azfn__config_fault *out_fault)
{
    const struct azfn__config *config = options->config;
    struct key_vault *vault = calloc(1, sizeof(*vault));
    *out_vault = NULL;
    (void)snprintf(out_fault->message, sizeof(out_fault->message), "%s", azfn_error_text(AZFN_ERROR_NO_MEMORY));
    if (!vault) {
        return AZFN_ERROR_NO_MEMORY;
    }
    vault->source.fetch = fetch_secret;
    vault->options = *options;
    vault->options.now_ms = options->now_ms ? options->now_ms : azfn__wall_clock_ms;
    azfn__arena_init(&vault->arena, MAX_RESOLVED_BYTES);
    vault->secrets = calloc(config->secret_count + 1, sizeof(*vault->secrets));
    enum azfn_error error = vault->secrets ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
    for (size_t i = 0; error == AZFN_OK && i < config->secret_count; i++) {
        error = azfn__key_vault_locate(&config->secrets[i], options->settings, options->development_suffix,
                                       &vault->arena, &vault->secrets[i].location, out_fault);
    }
    if (error != AZFN_OK) {
        azfn__key_vault_destroy(&vault->source);
        return error;
    }
    vault->secret_count = config->secret_count;
    out_fault->message[0] = '\0';
    *out_vault = &vault->source;
    return AZFN_OK;
}

void azfn__key_vault_destroy(struct azfn__credential_source *source)
{
    struct key_vault *vault = (struct key_vault *)source;
    if (!vault) {
        return;
    }
    for (struct azfn__credential_fetch *each = vault->fetches, *next; each; each = next) {
        struct fetch *fetch = (struct fetch *)each;
        next = each->next;
        azfn__https_exchange_cancel(fetch->exchange);
        azfn__credential_cache_cancel(fetch->wait);
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_UNAVAILABLE, "the program ends");
    }
    azfn__arena_clean_up(&vault->arena);
    free(vault->secrets);
    free(vault);
}
