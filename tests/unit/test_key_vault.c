/* Key Vault: where each secret of azfn.json is, what is asked with which token, and what comes of each answer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

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
        .events = {.noun = "token", .fetched = "f", .refreshed = "r", .failed = "x", .stale = "s"},
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

static void set_up_vault(struct fixture *fixture)
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
    (void)snprintf(fixture->reason, sizeof(fixture->reason), "%s", result->reason);
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

static void require_request(const char *url, const char *token)
{
    char header[64];
    assert_int_equal(fake_https.pending_count, 1);
    assert_string_equal(fake_https.pending[0]->url, url);
    (void)snprintf(header, sizeof(header), "Authorization: Bearer %s\n", token);
    assert_non_null(strstr(fake_https.pending[0]->headers, header));
}

static void a_secret_is_asked_for_with_a_token(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_vault(&fixture);
    fetch(&fixture);
    assert_string_equal(fixture.audience, "https://vault.azure.net");
    require_request("https://my-vault.vault.azure.net/secrets/webhook-key?api-version=7.4", "token-1");
    assert_int_equal(fake_https.pending[0]->options.trust, AZFN__HTTPS_TRUST_SYSTEM);
    assert_int_equal(fixture.calls, 0);
    answer_https(200, JSON, GOOD);
    assert_int_equal(fixture.error, AZFN_OK);
    assert_string_equal(fixture.value, "s3\"x");
    assert_string_equal(fixture.version, VERSION);
    assert_true(fixture.expires_at_ms == UINT64_MAX);
    /* the next one has the token at once */
    fetch(&fixture);
    require_request("https://my-vault.vault.azure.net/secrets/webhook-key?api-version=7.4", "token-1");
    answer_https(200, JSON, GOOD);
    assert_int_equal(fixture.token_fetches, 1);
    assert_int_equal(fixture.vault->fetch(fixture.vault, AZFN__SPAN("other"), on_fetched, &fixture), AZFN_ERROR_NOT_FOUND);
    clean_up(&fixture);
}

static void each_reference_has_its_url_and_audience(void **state)
{
    (void)state;
    static const struct {
        const char *reference;
        const char *development;
        const char *url;
        const char *audience;
    } cases[] = {
        {"@Microsoft.KeyVault(SecretUri=https://v-1.vault.azure.net/secrets/n)", "",
         "https://v-1.vault.azure.net/secrets/n?api-version=7.4", "https://vault.azure.net"},
        {"@Microsoft.KeyVault(SecretUri=https://v-1.vault.azure.cn/secrets/n/" VERSION ")", "",
         "https://v-1.vault.azure.cn/secrets/n/" VERSION "?api-version=7.4", "https://vault.azure.cn"},
        {"@Microsoft.KeyVault(SecretUri=https://%VAULT%.vault.usgovcloudapi.net/secrets/n)", "",
         "https://my-vault.vault.usgovcloudapi.net/secrets/n?api-version=7.4", "https://vault.usgovcloudapi.net"},
        {"@Microsoft.KeyVault(VaultName=v-1;SecretName=%VAULT%;SecretVersion=" VERSION ")", "",
         "https://v-1.vault.azure.net/secrets/my-vault/" VERSION "?api-version=7.4", "https://vault.azure.net"},
        {"@Microsoft.KeyVault(SecretUri=https://v-1.vault.azure.cn/secrets/n)", ".vault.localhost:8443",
         "https://v-1.vault.localhost:8443/secrets/n?api-version=7.4", "https://vault.localhost"},
        {"@Microsoft.KeyVault(VaultName=v-1;SecretName=n)", ".vault.localhost:8443",
         "https://v-1.vault.localhost:8443/secrets/n?api-version=7.4", "https://vault.localhost"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        set_up(&fixture, cases[i].reference);
        fixture.development_suffix = azfn_span_of(cases[i].development);
        assert_int_equal(try_make(&fixture), AZFN_OK);
        fetch(&fixture);
        require_request(cases[i].url, "token-1");
        assert_string_equal(fixture.audience, cases[i].audience);
        assert_int_equal(fake_https.pending[0]->options.trust,
                         cases[i].development[0] ? AZFN__HTTPS_TRUST_DEVELOPMENT : AZFN__HTTPS_TRUST_SYSTEM);
        answer_https(200, JSON, GOOD);
        assert_int_equal(fixture.error, AZFN_OK);
        clean_up(&fixture);
    }
}

static void a_reference_that_its_settings_break_is_refused_at_start(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"@Microsoft.KeyVault(VaultName=%UNSET%;SecretName=n)", "azfn.json: /secrets/webhook-key: the setting UNSET is not set"},
        {"@Microsoft.KeyVault(VaultName=%EVIL%;SecretName=n)", "expected a vault name"},
        {"@Microsoft.KeyVault(SecretUri=https://%EVIL%.vault.azure.net/secrets/n)", "expected a vault name"},
        {"@Microsoft.KeyVault(VaultName=%VAULT%%VAULT%%VAULT%%VAULT%;SecretName=n)", "at most 24"},
        {"@Microsoft.KeyVault(VaultName=%DASH%;SecretName=n)", "without a dash at its ends"},
        {"@Microsoft.KeyVault(VaultName=abc;SecretName=%EVIL%)", "expected a secret name"},
        {"@Microsoft.KeyVault(VaultName=abc;SecretName=n;SecretVersion=%VAULT%)", "32 hexadecimal digits"},
        {"@Microsoft.KeyVault(VaultName=abc;SecretName=n;SecretVersion=%EVIL%)", "expected a version"},
        {"https://my-vault.vault.azure.net/secrets/n", "expected @Microsoft.KeyVault"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture fixture;
        set_up(&fixture, cases[i][0]);
        assert_int_equal(try_make(&fixture), AZFN_ERROR_INVALID_ARGUMENT);
        assert_null(fixture.vault);
        if (!strstr(fixture.fault.message, cases[i][1])) {
            fail_msg("expected \"%s\" in \"%s\"", cases[i][1], fixture.fault.message);
        }
        assert_null(strstr(fixture.fault.message, "evil"));
        clean_up(&fixture);
    }
}

static void a_value_is_used_only_as_its_attributes_say(void **state)
{
    (void)state;
    static const struct {
        const char *attributes;
        enum azfn_error error;
        const char *reason;
    } cases[] = {
        {"{\"enabled\":false}", AZFN_ERROR_FORBIDDEN, "is disabled"},
        {"{\"enabled\":true,\"exp\":1700000000}", AZFN_ERROR_FORBIDDEN, "has expired"},
        {"{\"enabled\":true,\"nbf\":1700000001}", AZFN_ERROR_FORBIDDEN, "not valid yet"},
        {"{\"enabled\":\"true\"}", AZFN_ERROR_UNAVAILABLE, "attributes"},
        {"{}", AZFN_ERROR_UNAVAILABLE, "attributes"},
        {"7", AZFN_ERROR_UNAVAILABLE, "attributes"},
        {"{\"enabled\":true,\"exp\":\"never\"}", AZFN_ERROR_UNAVAILABLE, "attributes"},
        {"{\"enabled\":true,\"exp\":18446744073709551615}", AZFN_ERROR_UNAVAILABLE, "attributes"},
        {"{\"enabled\":true,\"nbf\":1700000000,\"exp\":1700000001}", AZFN_OK, ""},
        {"{\"enabled\":true,\"nbf\":null,\"exp\":1700000001}", AZFN_OK, ""},
    };
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"value\":\"s3\"," ID ",\"attributes\":%s}", cases[i].attributes);
        fetch(&fixture);
        answer_https(200, JSON, body);
        require_failure(&fixture, cases[i].error, cases[i].reason);
        if (cases[i].error == AZFN_OK) {
            assert_true(fixture.expires_at_ms == UINT64_C(1700000001000));
        }
    }
    clean_up(&fixture);
}

static void an_answer_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "no JSON object"},
        {"\"s3\"", "no JSON object"},
        {"{\"value\":\"s3\"," ID ",\"attributes\":{\"enabled\":true}", "no JSON object"},
        {GOOD " x", "no JSON object"},
        {"{\"value\":\"s3\",\"attributes\":{\"enabled\":true}}", "id does not name"},
        {"{\"value\":\"s3\",\"id\":\"" VERSION "\",\"attributes\":{\"enabled\":true}}", "id does not name"},
        {"{\"value\":\"s3\",\"id\":\"https://v/secrets/n/\",\"attributes\":{\"enabled\":true}}", "id does not name"},
        {"{\"value\":\"s3\",\"id\":\"https://v/secrets/n/a\\nb\",\"attributes\":{\"enabled\":true}}", "id does not name"},
        {"{" ID ",\"attributes\":{\"enabled\":true}}", "no value"},
        {"{\"value\":null," ID ",\"attributes\":{\"enabled\":true}}", "no value"},
        {"{\"value\":[\"s3\"]," ID ",\"attributes\":{\"enabled\":true}}", "no value"},
    };
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fetch(&fixture);
        answer_https(200, JSON, cases[i][0]);
        require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, cases[i][1]);
    }
    fetch(&fixture);
    answer_https(200, JSON, "{\"value\":\"s3\\u0000x\"," ID ",\"attributes\":{\"enabled\":true}}");
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "NUL");
    fetch(&fixture);
    answer_https(200, JSON, "{\"value\":\"\"," ID ",\"attributes\":{\"enabled\":true}}");
    assert_int_equal(fixture.error, AZFN_OK);
    assert_int_equal(fixture.value_length, 0);
    static const char *const types[] = {"Content-Type: text/html\n", "", "Content-Type: application/jsonp\n"};
    for (size_t i = 0; i < 3; i++) {
        fetch(&fixture);
        answer_https(200, types[i], GOOD);
        require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "not application/json");
    }
    clean_up(&fixture);
}

static void another_version_than_asked_for_is_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, "@Microsoft.KeyVault(VaultName=abc;SecretName=n;SecretVersion=ffffffffffffffffffffffffffffffff)");
    assert_int_equal(try_make(&fixture), AZFN_OK);
    fetch(&fixture);
    answer_https(200, JSON, GOOD);
    require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "version that was asked for");
    clean_up(&fixture);
}

static void a_value_has_a_size(void **state)
{
    (void)state;
    const size_t sizes[] = {25 << 10, (25 << 10) + 1, 70 << 10};
    static char body[80 << 10];
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < 3; i++) {
        int start = snprintf(body, sizeof(body), "{" ID ",\"attributes\":{\"enabled\":true},\"value\":\"");
        memset(body + start, 'a', sizes[i]);
        memcpy(body + (size_t)start + sizes[i], "\"}", 3);
        fetch(&fixture);
        answer_https(200, JSON, body);
        if (i == 0) {
            assert_int_equal(fixture.error, AZFN_OK);
            assert_int_equal(fixture.value_length, 25 << 10);
        } else {
            require_failure(&fixture, AZFN_ERROR_LIMIT, i == 1 ? "25 KiB" : "too large");
        }
    }
    clean_up(&fixture);
}

static void each_status_has_its_error_and_only_known_codes_are_told(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *headers;
        const char *body;
        enum azfn_error error;
        uint32_t retry_after_ms;
        const char *reason;
    } cases[] = {
        {403, "x-ms-request-id: r-1\n", "{\"error\":{\"code\":\"Forbidden\",\"message\":\"hush\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}",
         AZFN_ERROR_FORBIDDEN, 0, "403 (ForbiddenByRbac, request r-1)"},
        {403, "", "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"hush\"}}}", AZFN_ERROR_FORBIDDEN, 0,
         "403 (Forbidden, request -)"},
        {403, "", "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"SecretDisabled\",\"innererror\":null}}}",
         AZFN_ERROR_FORBIDDEN, 0, "SecretDisabled"},
        {403, "", "{\"error\":{\"code\":\"hush\"}}", AZFN_ERROR_FORBIDDEN, 0, "403 (-,"},
        {403, "", "{\"error\":{\"code\":[\"AccessDenied\"]}}", AZFN_ERROR_FORBIDDEN, 0, "403 (-,"},
        {403, "", "hush", AZFN_ERROR_FORBIDDEN, 0, "403 (-,"},
        {404, "", "{\"error\":{\"code\":\"SecretNotFound\"}}", AZFN_ERROR_NOT_FOUND, 0, "404 (SecretNotFound"},
        {429, "Retry-After: 3\n", "", AZFN_ERROR_UNAVAILABLE, 3000, "429"},
        {429, "", "{\"error\":{\"code\":\"Throttled\"}}", AZFN_ERROR_UNAVAILABLE, 1000, "Throttled"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 2000, "429"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 4000, "429"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 8000, "429"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 16000, "429"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 16000, "429"},
        {500, "", "hush", AZFN_ERROR_UNAVAILABLE, 0, "500"},
        {429, "", "", AZFN_ERROR_UNAVAILABLE, 1000, "429"},
        {503, "Retry-After: 9\n", "", AZFN_ERROR_UNAVAILABLE, 9000, "503"},
        {408, "", "", AZFN_ERROR_UNAVAILABLE, 0, "408"},
        {400, "", "{\"error\":{\"code\":\"BadParameter\"}}", AZFN_ERROR_FORBIDDEN, 0, "BadParameter"},
        {307, "Location: https://hush.example/\n", "", AZFN_ERROR_UNAVAILABLE, 0, "a redirect, which is not followed"},
        {204, "", "", AZFN_ERROR_UNAVAILABLE, 0, "204"},
    };
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fetch(&fixture);
        answer_https(cases[i].status, cases[i].headers, cases[i].body);
        require_failure(&fixture, cases[i].error, cases[i].reason);
        assert_int_equal(fixture.retry_after_ms, cases[i].retry_after_ms);
        assert_null(strstr(fixture.reason, "hush"));
        assert_int_equal(fake_https.pending_count, 0);
    }
    clean_up(&fixture);
}

static void a_refused_token_is_replaced_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_vault(&fixture);
    fetch(&fixture);
    clock_ms += 10000;
    answer_https(401, CHALLENGE("https://vault.azure.net"), "");
    assert_int_equal(fixture.calls, 0);
    azfn__credential_cache_look(fixture.tokens);
    require_request("https://my-vault.vault.azure.net/secrets/webhook-key?api-version=7.4", "token-2");
    answer_https(200, JSON, GOOD);
    assert_int_equal(fixture.error, AZFN_OK);
    fetch(&fixture);
    clock_ms += 10000;
    answer_https(401, CHALLENGE("https://vault.azure.net"), "");
    azfn__credential_cache_look(fixture.tokens);
    answer_https(401, CHALLENGE("https://vault.azure.net/"), "");
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "refuses the identity's tokens");
    assert_int_equal(fake_https.started, 4);
    assert_int_equal(fixture.token_fetches, 3);
    clean_up(&fixture);
}

static void a_challenge_for_another_audience_gets_nothing(void **state)
{
    (void)state;
    static const char *const others[] = {
        CHALLENGE("https://evil.example"),
        CHALLENGE("https://vault.azure.net.evil.example"),
        CHALLENGE("https://vault.azure.cn"),
        CHALLENGE("http://vault.azure.net"),
        "WWW-Authenticate: Bearer scope=\"https://evil.example/.default\"\n",
        "WWW-Authenticate: Bearer scope=\"https://vault.azure.net/all\"\n",
        "WWW-Authenticate: Bearer resource=\"https://vault.azure.net\", scope=\"https://evil.example/.default\"\n",
    };
    static const char *const unreadable[] = {
        "",
        "WWW-Authenticate: \n",
        "WWW-Authenticate: Basic realm=\"x\"\n",
        "WWW-Authenticate: Bearer\n",
        "WWW-Authenticate: Bearer authorization=\"https://login.example\"\n",
        "WWW-Authenticate: Bearer resource=\"https://vault.azure.net\n",
        "WWW-Authenticate: Bearer resource=\"https://vault\\.azure.net\"\n",
        "WWW-Authenticate: Bearer resource=\"https://vault.azure.net\" x\n",
        "WWW-Authenticate: Bearer resource=\n",
        "WWW-Authenticate: Bearer =\"https://vault.azure.net\"\n",
        CHALLENGE("https://vault.azure.net") CHALLENGE("https://vault.azure.net"),
    };
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        fetch(&fixture);
        answer_https(401, others[i], "");
        require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "names another audience");
    }
    for (size_t i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++) {
        fetch(&fixture);
        answer_https(401, unreadable[i], "");
        require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "can't be read");
    }
    assert_int_equal(fixture.token_fetches, 1);
    clean_up(&fixture);
}

static void a_scope_is_as_good_as_a_resource(void **state)
{
    (void)state;
    static const char *const challenges[] = {
        "WWW-Authenticate: Bearer scope=\"https://vault.azure.net/.default\"\n",
        "www-authenticate: bearer  Resource=https://vault.azure.net ,\tscope=\"https://vault.azure.net/.default\"\n",
        CHALLENGE("https://vault.azure.net"),
    };
    struct fixture fixture;
    set_up_vault(&fixture);
    for (size_t i = 0; i < sizeof(challenges) / sizeof(challenges[0]); i++) {
        fetch(&fixture);
        answer_https(401, challenges[i], "");
        azfn__credential_cache_look(fixture.tokens);
        answer_https(200, JSON, GOOD);
        assert_int_equal(fixture.error, AZFN_OK);
    }
    clean_up(&fixture);
}

static void without_a_token_the_vault_is_not_asked(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_vault(&fixture);
    fixture.no_token = AZFN_ERROR_FORBIDDEN;
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "no token for https://vault.azure.net");
    clock_ms += 60000;
    fixture.no_token = AZFN_ERROR_NOT_FOUND;
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "no token for https://vault.azure.net");
    assert_int_equal(fake_https.started, 0);
    clean_up(&fixture);
}

static void a_connection_that_fails_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_vault(&fixture);
    fetch(&fixture);
    fail_https(AZFN_ERROR_UNAVAILABLE, "broken off", GOOD);
    require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "broken off");
    fetch(&fixture);
    fail_https(AZFN_ERROR_TIMEOUT, "too slow", NULL);
    require_failure(&fixture, AZFN_ERROR_TIMEOUT, "too slow");
    fetch(&fixture);
    fail_https(AZFN_ERROR_FORBIDDEN, "the certificate is not trusted", NULL);
    require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "the certificate is not trusted");
    fake_https.refusal = AZFN_ERROR_NO_MEMORY;
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_NO_MEMORY, "memory");
    clean_up(&fixture);
}

static void what_is_under_way_at_the_end_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up_vault(&fixture);
    fetch(&fixture);
    azfn__key_vault_destroy(fixture.vault);
    fixture.vault = NULL;
    require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "ends");
    assert_int_equal(fake_https.cancelled, 1);
    clean_up(&fixture);
    /* while it waits for a token */
    set_up_vault(&fixture);
    fixture.holds_token = true;
    fetch(&fixture);
    assert_int_equal(fixture.calls, 0);
    azfn__key_vault_destroy(fixture.vault);
    fixture.vault = NULL;
    require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "ends");
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_asked_for_with_a_token),
        cmocka_unit_test(each_reference_has_its_url_and_audience),
        cmocka_unit_test(a_reference_that_its_settings_break_is_refused_at_start),
        cmocka_unit_test(a_value_is_used_only_as_its_attributes_say),
        cmocka_unit_test(an_answer_that_is_none_is_refused),
        cmocka_unit_test(another_version_than_asked_for_is_refused),
        cmocka_unit_test(a_value_has_a_size),
        cmocka_unit_test(each_status_has_its_error_and_only_known_codes_are_told),
        cmocka_unit_test(a_refused_token_is_replaced_once),
        cmocka_unit_test(a_challenge_for_another_audience_gets_nothing),
        cmocka_unit_test(a_scope_is_as_good_as_a_resource),
        cmocka_unit_test(without_a_token_the_vault_is_not_asked),
        cmocka_unit_test(a_connection_that_fails_is_told),
        cmocka_unit_test(what_is_under_way_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
