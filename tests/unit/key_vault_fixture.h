/* unit/key_vault_fixture.h
 * A vault with an identity that gives out "token-1", "token-2", ..., and a module that the test answers for. After
 * cmocka.h. */
#ifndef TESTS_UNIT_KEY_VAULT_FIXTURE_H
#define TESTS_UNIT_KEY_VAULT_FIXTURE_H

#include "broker/key_vault.h"
#include "unit/fake_https.h"
#include "unit/log_lines.h"

#define NOW_MS UINT64_C(1700000000000)
#define VERSION "0123456789abcdef0123456789abcdef"
#define JSON "Content-Type: application/json; charset=utf-8\n"
#define CHALLENGE(audience) \
    "WWW-Authenticate: Bearer authorization=\"https://login.example/t\", resource=\"" audience "\"\n"
#define ID "\"id\":\"https://my-vault.vault.azure.net/secrets/webhook-key/" VERSION "\""
#define GOOD "{\"value\":\"s3\\\"x\"," ID ",\"attributes\":{\"enabled\":true,\"created\":1,\"updated\":2}}"

struct fixture {
    struct azfn__credential_source identity; /* first: one is the other */
    uv_loop_t loop;
    struct log_lines log;
    struct azfn__https_client *https;
    struct azfn__secret_slab *slab;
    struct azfn__credential_cache *tokens;
    struct azfn__credential_source *vault;
    struct azfn__config_secret secrets[8];
    struct azfn__config config;
    struct azfn__setting settings[4];
    struct azfn__settings all_settings;
    struct azfn_span development_suffix;
    struct azfn__config_fault fault;
    unsigned token_fetches;
    char audience[64];          /* of the last of them */
    enum azfn_error no_token;   /* why the identity gives none */
    azfn__on_fetched_fn *held;  /* with holds_token: the fetch that waits */
    void *held_data;
    bool holds_token;
    /* of the last fetch */
    unsigned calls;
    enum azfn_error error;
    uint32_t retry_after_ms;
    uint64_t expires_at_ms;
    size_t value_length;
    char value[64];
    char version[40];
    char reason[512];
    bool is_distrusted;
};

static uint64_t clock_ms;

static uint64_t read_clock(void)
{
    return clock_ms;
}

/* "token-1", "token-2", ... */
static void give_token(struct fixture *fixture, azfn__on_fetched_fn *on_fetched, void *user_data)
{
    char token[32];
    struct azfn__fetch_result result = {.error = fixture->no_token, .reason = "the test says so"};
    if (result.error == AZFN_OK) {
        (void)snprintf(token, sizeof(token), "token-%u", fixture->token_fetches);
        result.credential.value = azfn__secret_new(fixture->slab, azfn_span_of(token));
        result.credential.expires_at_ms = clock_ms + 3600000;
        assert_non_null(result.credential.value);
    }
    on_fetched(&result, user_data);
}

static enum azfn_error fetch_token(struct azfn__credential_source *source, struct azfn_span audience,
                                   azfn__on_fetched_fn *on_fetched, void *user_data)
{
    struct fixture *fixture = (struct fixture *)source;
    fixture->token_fetches++;
    (void)snprintf(fixture->audience, sizeof(fixture->audience), "%.*s", AZFN_SPAN_ARGS(audience));
    if (fixture->holds_token) {
        fixture->held = on_fetched;
        fixture->held_data = user_data;
    } else {
        give_token(fixture, on_fetched, user_data);
    }
    return AZFN_OK;
}

static void set_up(struct fixture *fixture, const char *reference)
{
    const struct azfn__secret_slab_options slots = {.small_count = 8, .medium_count = 1, .large_count = 1};
    const char *reason;
    *fixture = (struct fixture){.calls = 0};
    memset(&fake_https, 0, sizeof(fake_https));
    clock_ms = NOW_MS;
    fixture->identity.fetch = fetch_token;
    set_up_log_lines(&fixture->log);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(azfn__https_client_new(&fixture->loop, &fake_https_api, azfn__absent(), &fixture->https, &reason),
                     AZFN_OK);
    assert_int_equal(azfn__secret_slab_new(&slots, &fixture->slab), AZFN_OK);
    const struct azfn__credential_cache_options options = {
        .loop = &fixture->loop,
        .slab = fixture->slab,
        .log = &fixture->log.sink,
        .source = &fixture->identity,
        .events = &azfn__credential_token_events,
        .refreshes_at_half_life = true,
        .now_ms = read_clock};
    assert_int_equal(azfn__credential_cache_new(&options, &fixture->tokens), AZFN_OK);
    fixture->secrets[0] =
        (struct azfn__config_secret){.name = AZFN__SPAN("webhook-key"), .reference = azfn_span_of(reference)};
    fixture->config = (struct azfn__config){.secrets = fixture->secrets, .secret_count = 1};
    fixture->settings[0] = (struct azfn__setting){.name = AZFN__SPAN("VAULT"), .value = AZFN__SPAN("my-vault")};
    fixture->settings[1] = (struct azfn__setting){.name = AZFN__SPAN("EVIL"), .value = AZFN__SPAN("x.evil.org/")};
    fixture->settings[2] = (struct azfn__setting){.name = AZFN__SPAN("UNSET")};
    fixture->settings[3] = (struct azfn__setting){.name = AZFN__SPAN("DASH"), .value = AZFN__SPAN("-my-vault")};
    fixture->all_settings = (struct azfn__settings){.items = fixture->settings, .count = 4};
}

static enum azfn_error try_make(struct fixture *fixture)
{
    const struct azfn__key_vault_options options = {.https = fixture->https,
                                                    .slab = fixture->slab,
                                                    .tokens = fixture->tokens,
                                                    .config = &fixture->config,
                                                    .settings = &fixture->all_settings,
                                                    .development_suffix = fixture->development_suffix,
                                                    .now_ms = read_clock};
    return azfn__key_vault_new(&options, &fixture->vault, &fixture->fault);
}

static inline void set_up_vault(struct fixture *fixture)
{
    set_up(fixture, "@Microsoft.KeyVault(VaultName=%VAULT%;SecretName=webhook-key)");
    assert_int_equal(try_make(fixture), AZFN_OK);
}

static void clean_up(struct fixture *fixture)
{
    azfn__key_vault_destroy(fixture->vault);
    azfn__credential_cache_destroy(fixture->tokens);
    if (fixture->held) {
        give_token(fixture, fixture->held, fixture->held_data);
    }
    azfn__https_client_destroy(fixture->https);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture->slab), 0);
    azfn__secret_slab_destroy(fixture->slab);
    assert_int_equal(fake_https.pending_count, 0);
    assert_int_equal(count_of(&fixture->log, "s3"), 0);
    clean_up_log_lines(&fixture->log);
}

static void on_fetched(const struct azfn__fetch_result *result, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->calls++;
    fixture->error = result->error;
    fixture->retry_after_ms = result->retry_after_ms;
    const char *id = result->request_id;
    (void)snprintf(fixture->reason, sizeof(fixture->reason), "%s%s%s", result->reason, id ? ", request " : "", id ? id : "");
    fixture->is_distrusted = result->is_distrusted;
    if (result->error == AZFN_OK) {
        struct azfn_span value = azfn__secret_reveal(result->credential.value);
        fixture->value_length = value.length;
        (void)snprintf(fixture->value, sizeof(fixture->value), "%.*s", AZFN_SPAN_ARGS(value));
        memcpy(fixture->version, result->credential.version, sizeof(fixture->version));
        fixture->expires_at_ms = result->credential.expires_at_ms;
        azfn__secret_release(result->credential.value);
    }
}

/* Until the vault is asked, or it has failed before that. */
static void fetch(struct fixture *fixture)
{
    fixture->calls = 0;
    assert_int_equal(fixture->vault->fetch(fixture->vault, AZFN__SPAN("webhook-key"), on_fetched, fixture), AZFN_OK);
    azfn__credential_cache_look(fixture->tokens);
}

static void require_failure(const struct fixture *fixture, enum azfn_error error, const char *reason)
{
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->error, error);
    if (!strstr(fixture->reason, reason)) {
        fail_msg("expected \"%s\" in \"%s\"", reason, fixture->reason);
    }
}

static inline void require_request(const char *url, const char *token)
{
    char header[64];
    assert_int_equal(fake_https.pending_count, 1);
    assert_string_equal(fake_https.pending[0]->url, url);
    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s\n", token);
    assert_non_null(strstr(fake_https.pending[0]->headers, header));
}

#endif
