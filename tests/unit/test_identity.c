/* The managed identity endpoint: what it is asked, and what comes of each of its answers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/identity.h"
#include "broker/identity_answer.h"
#include "unit/fake_https.h"

#define NOW_MS UINT64_C(1700000000000)
#define ENDPOINT "http://127.0.0.1:42356/msi/token"
#define AUDIENCE AZFN__SPAN("https://vault.azure.net")
#define TOKEN_URL ENDPOINT "?resource=https%3A%2F%2Fvault.azure.net&api-version=2019-08-01"
#define JSON "Content-Type: application/json; charset=utf-8\n"
#define GOOD "{\"access_token\":\"a.b-c_d\",\"expires_on\":\"1700003600\",\"resource\":\"x\",\"token_type\":\"Bearer\"}"

struct fixture {
    uv_loop_t loop;
    struct azfn__https_client *https;
    struct azfn__secret_slab *slab;
    struct azfn__secret *header;
    struct azfn__identity_options options;
    struct azfn__credential_source *identity;
    const char *fault;
    /* of the last fetch */
    unsigned calls;
    enum azfn_error error;
    uint32_t retry_after_ms;
    uint64_t expires_at_ms;
    char token[64];
    char reason[512];
    bool is_distrusted;
};

static uint64_t read_clock(void)
{
    return NOW_MS;
}

static void set_up(struct fixture *fixture)
{
    const struct azfn__secret_slab_options slots = {.small_count = 4, .medium_count = 1, .large_count = 1};
    const char *reason;
    *fixture = (struct fixture){.calls = 0};
    memset(&fake_https, 0, sizeof(fake_https));
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(azfn__https_client_new(&fixture->loop, &fake_https_api, azfn__absent(), &fixture->https, &reason),
                     AZFN_OK);
    assert_int_equal(azfn__secret_slab_new(&slots, &fixture->slab), AZFN_OK);
    fixture->header = azfn__secret_new(fixture->slab, AZFN__SPAN("the-header"));
    fixture->options = (struct azfn__identity_options){.https = fixture->https,
                                                       .slab = fixture->slab,
                                                       .endpoint = AZFN__SPAN(ENDPOINT),
                                                       .endpoint_header = fixture->header,
                                                       .now_ms = read_clock};
}

static void make(struct fixture *fixture)
{
    azfn__identity_destroy(fixture->identity);
    assert_int_equal(azfn__identity_new(&fixture->options, &fixture->identity, &fixture->fault), AZFN_OK);
}

static void clean_up(struct fixture *fixture)
{
    azfn__identity_destroy(fixture->identity);
    azfn__secret_release(fixture->header);
    azfn__https_client_destroy(fixture->https);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture->slab), 0);
    azfn__secret_slab_destroy(fixture->slab);
    assert_int_equal(fake_https.pending_count, 0);
}

static void on_fetched(const struct azfn__fetch_result *result, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->calls++;
    fixture->error = result->error;
    fixture->retry_after_ms = result->retry_after_ms;
    fixture->token[0] = '\0';
    const char *id = result->request_id;
    (void)snprintf(fixture->reason, sizeof(fixture->reason), "%s%s%s", result->reason, id ? ", request " : "", id ? id : "");
    fixture->is_distrusted = result->is_distrusted;
    if (result->error == AZFN_OK) {
        struct azfn_span token = azfn__secret_reveal(result->credential.value);
        (void)snprintf(fixture->token, sizeof(fixture->token), "%.*s", AZFN_SPAN_ARGS(token));
        fixture->expires_at_ms = result->credential.expires_at_ms;
        assert_string_equal(result->credential.version, "");
        azfn__secret_release(result->credential.value);
    }
}

static void fetch(struct fixture *fixture)
{
    fixture->calls = 0;
    assert_int_equal(fixture->identity->fetch(fixture->identity, AUDIENCE, on_fetched, fixture), AZFN_OK);
}

static void require_failure(const struct fixture *fixture, enum azfn_error error, const char *reason)
{
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->error, error);
    if (!strstr(fixture->reason, reason)) {
        fail_msg("expected \"%s\" in \"%s\"", reason, fixture->reason);
    }
}

static void a_token_is_asked_for_with_the_header_and_kept_in_a_slot(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    make(&fixture);
    assert_null(fixture.fault);
    fetch(&fixture);
    assert_int_equal(fixture.calls, 0);
    assert_string_equal(fake_https.pending[0]->url, TOKEN_URL);
    assert_non_null(strstr(fake_https.pending[0]->headers, "X-IDENTITY-HEADER: the-header\n"));
    assert_int_equal(fake_https.pending[0]->options.trust, AZFN__HTTPS_PLAIN_HTTP);
    answer_https(200, JSON, GOOD);
    assert_int_equal(fixture.calls, 1);
    assert_int_equal(fixture.error, AZFN_OK);
    assert_string_equal(fixture.token, "a.b-c_d");
    assert_int_equal(fixture.expires_at_ms, UINT64_C(1700003600000));
    clean_up(&fixture);
}

static void one_of_several_identities_is_named(void **state)
{
    (void)state;
    struct fixture fixture;
    static const struct {
        enum azfn__identity_kind kind;
        const char *id;
        const char *end;
    } cases[] = {
        {AZFN__IDENTITY_CLIENT_ID, "00000000-0000-0000-0000-000000000001",
         "&client_id=00000000-0000-0000-0000-000000000001"},
        {AZFN__IDENTITY_PRINCIPAL_ID, "a b&c=d", "&principal_id=a%20b%26c%3Dd"},
        {AZFN__IDENTITY_RESOURCE_ID, "/subscriptions/x/i", "&mi_res_id=%2Fsubscriptions%2Fx%2Fi"},
    };
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[512];
        fixture.options.kind = cases[i].kind;
        fixture.options.id = azfn_span_of(cases[i].id);
        make(&fixture);
        fetch(&fixture);
        (void)snprintf(url, sizeof(url), "%s%s", TOKEN_URL, cases[i].end);
        assert_string_equal(fake_https.pending[0]->url, url);
        answer_https(200, JSON, GOOD);
        assert_int_equal(fixture.error, AZFN_OK);
    }
    clean_up(&fixture);
}

static void localhost_is_a_number(void **state)
{
    (void)state;
    struct fixture fixture;
    static const char *const cases[][2] = {
        {"http://localhost:42356/msi/token", "http://127.0.0.1:42356/msi/token?"},
        {"http://localhost/", "http://127.0.0.1/?"},
        {"http://169.254.255.2:8081/msi/token/", "http://169.254.255.2:8081/msi/token/?"},
        {"http://[::1]:1/t", "http://[::1]:1/t?"},
    };
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture.options.endpoint = azfn_span_of(cases[i][0]);
        make(&fixture);
        fetch(&fixture);
        assert_int_equal(strncmp(fake_https.pending[0]->url, cases[i][1], strlen(cases[i][1])), 0);
        answer_https(200, JSON, GOOD);
        assert_int_equal(fixture.error, AZFN_OK);
    }
    clean_up(&fixture);
}

static void an_endpoint_elsewhere_is_not_asked(void **state)
{
    (void)state;
    struct fixture fixture;
    static const char *const cases[] = {
        "https://127.0.0.1/t",            "http://example.org/t",           "http://127.0.0.1.example.org/t",
        "http://localhost.example.org/t", "http://1270.0.0.1/t",            "http://127.0.0.1:0/t",
        "http://127.0.0.1:65536/t",       "http://127.0.0.1:80",            "http://10.0.0.1/t",
        "http://169.255.0.1/t",           "http://127.0.0.1@example.org/t", "http://127.0.0.1/t?a=b",
        "http://127.0.0.1/t#a",           "http://127.0.0.1/t\r\nX:",       "http://127.0.1/t",
        "ftp://127.0.0.1/t",              "http://127.0.0.256/t",           "http://",
        "http://127.0.0.1:/t",            "http://127.0.0.1/\xc3\xa4",      "http://[::1].x.org/t",
        "http://127.0.0.1:8x/t",          "http:/127.0.0.1/t",              " http://127.0.0.1/t",
    };
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture.options.endpoint = azfn_span_of(cases[i]);
        make(&fixture);
        if (!fixture.fault) {
            fail_msg("%s was accepted", cases[i]);
        }
        fetch(&fixture);
        require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "loopback");
    }
    assert_int_equal(fake_https.started, 0);
    clean_up(&fixture);
}

static void without_an_identity_the_reason_is_clear(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.options.endpoint = azfn__absent();
    make(&fixture);
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "IDENTITY_ENDPOINT is not set");
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "MSI_ENDPOINT");
    fixture.options.endpoint = AZFN__SPAN(ENDPOINT);
    fixture.options.endpoint_header = NULL;
    make(&fixture);
    assert_non_null(fixture.fault);
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "IDENTITY_HEADER is not set");
    fixture.options.endpoint_header = azfn__secret_new(fixture.slab, AZFN__SPAN("a\r\nX: b"));
    make(&fixture);
    fetch(&fixture);
    require_failure(&fixture, AZFN_ERROR_FORBIDDEN, "visible characters");
    azfn__secret_release(fixture.options.endpoint_header);
    clean_up(&fixture);
}

static void answers_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *reason; /* NULL: it is fine */
    } cases[] = {
        {GOOD, NULL},
        {"{\"access_token\":\"t\",\"expires_on\":1700000060,\"token_type\":\"bEARER\"}", NULL},
        {"{\"access_token\":\"t\\u002b\\/\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", NULL},
        {"", "no JSON"},
        {"<html>", "no JSON"},
        {"[1]", "no JSON"},
        {GOOD "x", "no JSON"},
        {"{\"access_token\":\"t\",\"expires_on\":1700003600", "no JSON"},
        {"{\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "no access_token"},
        {"{\"access_token\":7,\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "no access_token"},
        {"{\"ACCESS_TOKEN\":\"t\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "no access_token"},
        {"{\"access_token\":\"\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "visible"},
        {"{\"access_token\":\"a b\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "visible"},
        {"{\"access_token\":\"a\\r\\nb\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "visible"},
        {"{\"access_token\":\"\\u00e4\",\"expires_on\":1700003600,\"token_type\":\"Bearer\"}", "visible"},
        {"{\"access_token\":\"t\",\"token_type\":\"Bearer\"}", "expires_on"},
        {"{\"access_token\":\"t\",\"expires_on\":\"soon\",\"token_type\":\"Bearer\"}", "expires_on"},
        {"{\"access_token\":\"t\",\"expires_on\":-1,\"token_type\":\"Bearer\"}", "expires_on"},
        {"{\"access_token\":\"t\",\"expires_on\":1.7e9,\"token_type\":\"Bearer\"}", "expires_on"},
        {"{\"access_token\":\"t\",\"expires_on\":18446744073709551615,\"token_type\":\"Bearer\"}", "expires_on"},
        {"{\"access_token\":\"t\",\"expires_on\":1700000059,\"token_type\":\"Bearer\"}", "has expired"},
        {"{\"access_token\":\"t\",\"expires_on\":0,\"token_type\":\"Bearer\"}", "has expired"},
        {"{\"access_token\":\"t\",\"expires_on\":1700003600,\"token_type\":\"Basic\"}", "bearer"},
        {"{\"access_token\":\"t\",\"expires_on\":1700003600}", "bearer"},
    };
    struct fixture fixture;
    set_up(&fixture);
    make(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fetch(&fixture);
        answer_https(200, JSON, cases[i].body);
        if (cases[i].reason) {
            require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, cases[i].reason);
        } else {
            assert_int_equal(fixture.error, AZFN_OK);
        }
    }
    clean_up(&fixture);
}

static void a_token_has_a_size(void **state)
{
    (void)state;
    struct fixture fixture;
    static char body[33 << 10];
    set_up(&fixture);
    make(&fixture);
    for (size_t size = AZFN__TOKEN_MAX_BYTES; size <= AZFN__TOKEN_MAX_BYTES + 1; size++) {
        int start = snprintf(body, sizeof(body), "%s",
                             "{\"expires_on\":1700003600,\"token_type\":\"Bearer\",\"access_token\":\"");
        memset(body + start, 'a', size);
        memcpy(body + start + size, "\"}", 3);
        fetch(&fixture);
        answer_https(200, JSON, body);
        if (size == AZFN__TOKEN_MAX_BYTES) {
            assert_int_equal(fixture.error, AZFN_OK);
        } else {
            require_failure(&fixture, AZFN_ERROR_UNAVAILABLE, "16 KiB");
        }
    }
    memset(body, ' ', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    fetch(&fixture);
    answer_https(200, JSON, body);
    require_failure(&fixture, AZFN_ERROR_LIMIT, "too large");
    clean_up(&fixture);
}

static void each_status_has_its_error_and_no_text_of_the_server(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *headers;
        enum azfn_error error;
        uint32_t retry_after_ms;
        const char *reason;
    } cases[] = {
        {500, "x-ms-request-id: abc-1\r\x01\n", AZFN_ERROR_UNAVAILABLE, 0,
         "answered 500: not available at the moment, request abc-1"},
        {503, "Retry-After: 7\n", AZFN_ERROR_UNAVAILABLE, 7000, "answered 503"},
        {429, "retry-after: 120\n", AZFN_ERROR_UNAVAILABLE, 120000, "answered 429"},
        {429, "x-ms-retry-after-ms: 250\n", AZFN_ERROR_UNAVAILABLE, 250, "answered 429"},
        {429, "Retry-After: Tue, 14 Nov 2023 22:13:30 GMT\n", AZFN_ERROR_UNAVAILABLE, 10000, "answered 429"},
        {429, "Retry-After: Tue, 14 Nov 2000 22:13:30 GMT\n", AZFN_ERROR_UNAVAILABLE, 0, "answered 429"},
        {429, "Retry-After: 99999999999999999999999\n", AZFN_ERROR_UNAVAILABLE, UINT32_MAX, "answered 429"},
        {429, "Retry-After: -1\n", AZFN_ERROR_UNAVAILABLE, 0, "answered 429"},
        {404, "", AZFN_ERROR_UNAVAILABLE, 0, "answered 404"},
        {408, "", AZFN_ERROR_UNAVAILABLE, 0, "answered 408"},
        {410, "", AZFN_ERROR_UNAVAILABLE, 0, "answered 410"},
        {400, "x-ms-correlation-request-id: c-2\n", AZFN_ERROR_FORBIDDEN, 0, "no such identity"},
        {401, "", AZFN_ERROR_FORBIDDEN, 0, "IDENTITY_HEADER is not accepted"},
        {403, "", AZFN_ERROR_FORBIDDEN, 0, "answered 403"},
        {302, "Location: http://127.0.0.1/\n", AZFN_ERROR_UNAVAILABLE, 0, "a redirect, which is not followed"},
        {204, "", AZFN_ERROR_UNAVAILABLE, 0, "answered 204"},
    };
    static const char *const bodies[] = {"{\"statusCode\":1,\"message\":\"hush\"}",
                                         "{\"ExceptionMessage\":\"hush\"}", "hush"};
    struct fixture fixture;
    set_up(&fixture);
    make(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fetch(&fixture);
        answer_https(cases[i].status, cases[i].headers, bodies[i % 3]);
        require_failure(&fixture, cases[i].error, cases[i].reason);
        assert_int_equal(fixture.retry_after_ms, cases[i].retry_after_ms);
        assert_null(strstr(fixture.reason, "hush"));
    }
    assert_int_equal(fake_https.started, sizeof(cases) / sizeof(cases[0]));
    clean_up(&fixture);
}

static void a_connection_that_fails_is_told(void **state)
{
    (void)state;
    static const struct {
        enum azfn_error error;
        enum azfn_error expected;
    } cases[] = {
        {AZFN_ERROR_TIMEOUT, AZFN_ERROR_TIMEOUT},         {AZFN_ERROR_LIMIT, AZFN_ERROR_LIMIT},
        {AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_UNAVAILABLE}, {AZFN_ERROR_SYNTAX, AZFN_ERROR_UNAVAILABLE},
        {AZFN_ERROR_FORBIDDEN, AZFN_ERROR_UNAVAILABLE},   {AZFN_ERROR_NO_MEMORY, AZFN_ERROR_NO_MEMORY},
    };
    struct fixture fixture;
    set_up(&fixture);
    make(&fixture);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fetch(&fixture);
        fail_https(cases[i].error, "it broke", i % 2 == 0 ? GOOD : NULL);
        require_failure(&fixture, cases[i].expected, "it broke");
    }
    fake_https.refusal = AZFN_ERROR_NO_MEMORY;
    assert_int_equal(fixture.identity->fetch(fixture.identity, AUDIENCE, on_fetched, &fixture), AZFN_ERROR_NO_MEMORY);
    clean_up(&fixture);
}

static void what_is_under_way_at_the_end_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    make(&fixture);
    fetch(&fixture);
    assert_int_equal(fixture.identity->fetch(fixture.identity, AUDIENCE, on_fetched, &fixture), AZFN_OK);
    azfn__identity_destroy(fixture.identity);
    fixture.identity = NULL;
    assert_int_equal(fixture.calls, 2);
    assert_int_equal(fixture.error, AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(fake_https.cancelled, 2);
    clean_up(&fixture);
}

static void a_slab_that_is_full_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    struct azfn__secret *all[16];
    size_t count = 0;
    set_up(&fixture);
    make(&fixture);
    while ((all[count] = azfn__secret_new(fixture.slab, AZFN__SPAN("x")))) {
        count++;
    }
    fetch(&fixture);
    answer_https(200, JSON, GOOD);
    require_failure(&fixture, AZFN_ERROR_NO_MEMORY, "locked memory");
    while (count > 0) {
        azfn__secret_release(all[--count]);
    }
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_asked_for_with_the_header_and_kept_in_a_slot),
        cmocka_unit_test(one_of_several_identities_is_named),
        cmocka_unit_test(localhost_is_a_number),
        cmocka_unit_test(an_endpoint_elsewhere_is_not_asked),
        cmocka_unit_test(without_an_identity_the_reason_is_clear),
        cmocka_unit_test(answers_are_read_strictly),
        cmocka_unit_test(a_token_has_a_size),
        cmocka_unit_test(each_status_has_its_error_and_no_text_of_the_server),
        cmocka_unit_test(a_connection_that_fails_is_told),
        cmocka_unit_test(what_is_under_way_at_the_end_is_told),
        cmocka_unit_test(a_slab_that_is_full_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
