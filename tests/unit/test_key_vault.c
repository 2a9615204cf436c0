/* Key Vault: where each secret of azfn.json is, and what is asked with which token. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/key_vault_fixture.h"

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
    assert_int_equal(fixture.vault->fetch(fixture.vault, AZFN__SPAN("other"), on_fetched, &fixture),
                     AZFN_ERROR_NOT_FOUND);
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
        {"@Microsoft.KeyVault(VaultName=%UNSET%;SecretName=n)",
         "azfn.json: /secrets/webhook-key: the setting UNSET is not set"},
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
    assert_false(fixture.is_distrusted);
    fetch(&fixture);
    fail_https(AZFN_ERROR_FORBIDDEN, "the certificate is not trusted", NULL);
    assert_true(fixture.is_distrusted);
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
        cmocka_unit_test(a_refused_token_is_replaced_once),
        cmocka_unit_test(a_challenge_for_another_audience_gets_nothing),
        cmocka_unit_test(a_scope_is_as_good_as_a_resource),
        cmocka_unit_test(without_a_token_the_vault_is_not_asked),
        cmocka_unit_test(a_connection_that_fails_is_told),
        cmocka_unit_test(what_is_under_way_at_the_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
