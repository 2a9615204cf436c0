/* What comes of each answer of Key Vault. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/key_vault_fixture.h"

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
        {"{\"value\":\"s3\",\"id\":\"https://v/secrets/n/a\\nb\",\"attributes\":{\"enabled\":true}}",
         "id does not name"},
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
        {403, "x-ms-request-id: r-1\n",
         "{\"error\":{\"code\":\"Forbidden\",\"message\":\"hush\",\"innererror\":{\"code\":\"ForbiddenByRbac\"}}}",
         AZFN_ERROR_FORBIDDEN, 0, "403 (ForbiddenByRbac), request r-1"},
        {403, "", "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"hush\"}}}", AZFN_ERROR_FORBIDDEN, 0,
         "403 (Forbidden), request -"},
        {403, "",
         "{\"error\":{\"code\":\"Forbidden\",\"innererror\":{\"code\":\"SecretDisabled\",\"innererror\":null}}}",
         AZFN_ERROR_FORBIDDEN, 0, "SecretDisabled"},
        {403, "", "{\"error\":{\"code\":\"hush\"}}", AZFN_ERROR_FORBIDDEN, 0, "403 (-)"},
        {403, "", "{\"error\":{\"code\":[\"AccessDenied\"]}}", AZFN_ERROR_FORBIDDEN, 0, "403 (-)"},
        {403, "", "hush", AZFN_ERROR_FORBIDDEN, 0, "403 (-)"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_used_only_as_its_attributes_say),
        cmocka_unit_test(an_answer_that_is_none_is_refused),
        cmocka_unit_test(another_version_than_asked_for_is_refused),
        cmocka_unit_test(a_value_has_a_size),
        cmocka_unit_test(each_status_has_its_error_and_only_known_codes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
