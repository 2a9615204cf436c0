/* azfn-https.so as it is shipped, on a loop, against servers that answer well and badly. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/https_fixture.h"

static void expect_failure(const char *target, enum azfn_error error)
{
    struct call call;
    get(&call, target);
    if (call.error != error) {
        fail_msg("%s: %s, %s", target, azfn_error_name(call.error), call.reason);
    }
    clean_up_call(&call);
}

static void an_answer_comes_with_its_head_and_its_body(void **state)
{
    (void)state;
    struct call call;
    get(&call, "good:/hello");
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 200);
    assert_int_equal(call.head_count, 1);
    assert_true(call.was_sent);
    assert_string_equal(call.headers, "X-Name: value\nx-name: two\nEmpty: \nContent-Length: 5\n");
    assert_true(has_body(&call, "hello"));
    clean_up_call(&call);
}

static void what_is_sent_is_what_the_caller_said(void **state)
{
    (void)state;
    struct call call;
    const struct azfn__https_header headers[] = {
        {AZFN__SPAN("Authorization"), AZFN__SPAN("Bearer abc")},
        {AZFN__SPAN("x-empty"), AZFN__SPAN("")},
        {AZFN__SPAN("content-length"), AZFN__SPAN("77")},
        {AZFN__SPAN("Transfer-Encoding"), AZFN__SPAN("chunked")},
    };
    char expected[256];
    static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "PATCH", "PROPFIND"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        struct azfn__https_request_options options = options_of(&call);
        options.method = azfn_span_of(methods[i]);
        options.headers = headers;
        options.header_count = sizeof(headers) / sizeof(headers[0]);
        make_call(&call, "good:/head/../x?a=%20b#c", options);
        assert_int_equal(call.error, AZFN_OK);
        assert_int_equal(call.status, 200);
        snprintf(expected, sizeof(expected),
                 "%s /head/../x?a=%%20b HTTP/1.1\r\nHost: good.test:%u\r\nUser-Agent: azfn/0.1.0\r\n"
                 "Authorization: Bearer abc\r\nx-empty:%s",
                 methods[i], port_of("good"), i >= 2 && i <= 4 ? "\r\nContent-Length: 0" : "");
        assert_true(has_body(&call, expected));
        clean_up_call(&call);
    }
}

static void a_head_request_has_no_body(void **state)
{
    (void)state;
    struct call call;
    struct azfn__https_request_options options = options_of(&call);
    options.method = AZFN__SPAN("HEAD");
    options.max_body_bytes = 10;
    make_call(&call, "good:/hello", options);
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 200);
    assert_int_equal(call.body_calls, 0);
    clean_up_call(&call);
}

static void answers_without_a_body_have_a_head(void **state)
{
    (void)state;
    struct call call;
    get(&call, "good:/empty");
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 204);
    assert_int_equal(call.head_count, 1);
    assert_int_equal(call.body.length, 0);
    clean_up_call(&call);
    get(&call, "good:/status/503");
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 503);
    clean_up_call(&call);
}

static void interim_answers_and_trailers_are_dropped(void **state)
{
    (void)state;
    struct call call;
    get(&call, "good:/interim");
    assert_int_equal(call.status, 200);
    assert_int_equal(call.head_count, 1);
    assert_string_equal(call.headers, "Content-Length: 5\n");
    assert_true(has_body(&call, "final"));
    clean_up_call(&call);
    get(&call, "good:/chunked/3");
    assert_int_equal(call.error, AZFN_OK);
    assert_string_equal(call.headers, "Transfer-Encoding: chunked\n");
    assert_int_equal(call.body.length, 3000);
    clean_up_call(&call);
}

static void a_certificate_has_to_be_valid_and_of_the_host(void **state)
{
    (void)state;
    static const char *const targets[] = {"elsewhere:/hello", "expired:/hello", "unknown:/hello", "public:/hello"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct call call;
        get(&call, targets[i]);
        assert_int_equal(call.error, AZFN_ERROR_FORBIDDEN);
        assert_false(call.was_sent);
        assert_int_equal(call.head_count, 0);
        clean_up_call(&call);
    }
}

static void tls_1_2_is_enough_and_1_1_is_not(void **state)
{
    (void)state;
    struct call call;
    get(&call, "tls12:/hello");
    assert_int_equal(call.error, AZFN_OK);
    clean_up_call(&call);
    get(&call, "old:/hello");
    assert_int_equal(call.error, AZFN_ERROR_UNAVAILABLE);
    assert_false(call.was_sent);
    clean_up_call(&call);
}

static void the_development_authority_is_trusted_only_where_that_is_said(void **state)
{
    (void)state;
    struct call call;
    /* twice: the second time there is a connection that could be used */
    for (int i = 0; i < 2; i++) {
        struct azfn__https_request_options options = options_of(&call);
        options.trust = AZFN__HTTPS_TRUST_SYSTEM;
        make_call(&call, "good:/hello", options);
        assert_int_equal(call.error, AZFN_ERROR_FORBIDDEN);
        assert_false(call.was_sent);
        clean_up_call(&call);
        get(&call, "good:/hello");
        assert_int_equal(call.error, AZFN_OK);
        clean_up_call(&call);
    }
}

static void a_redirect_is_an_answer_like_others(void **state)
{
    (void)state;
    struct call call;
    get(&call, "good:/redirect");
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 302);
    assert_non_null(strstr(call.headers, "Location: /redirected\n"));
    assert_true(has_body(&call, "elsewhere"));
    clean_up_call(&call);
    get(&call, "good:/count/redirected");
    assert_true(has_body(&call, "0"));
    clean_up_call(&call);
}

static void the_environment_changes_nothing(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof(path), "%s/.netrc", fixture.folder);
    FILE *netrc = fopen(path, "w");
    assert_non_null(netrc);
    fprintf(netrc, "machine good.test login somebody\nmachine 127.0.0.1 login somebody\n");
    fclose(netrc);
    setenv("HOME", fixture.folder, 1);
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv(names[i], "http://127.0.0.1:1", 1);
    }
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    struct call call;
    get(&call, "good:/head");
    assert_int_equal(call.error, AZFN_OK);
    azfn__buffer_append_char(&call.body, '\0');
    assert_null(strstr(call.body.data, "Authorization"));
    clean_up_call(&call);
    struct azfn__https_request_options options = options_of(&call);
    options.trust = AZFN__HTTPS_PLAIN_HTTP;
    make_call(&call, "plain:/hello", options);
    assert_int_equal(call.error, AZFN_OK);
    clean_up_call(&call);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unsetenv(names[i]);
    }
    unsetenv("SSL_CERT_FILE");
    /* set before the module was loaded: see main() */
    snprintf(path, sizeof(path), "%s", getenv("TEST_KEY_LOG"));
    assert_int_not_equal(access(path, F_OK), 0);
}

static void plain_http_is_for_addresses_of_this_machine_and_its_link(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum azfn__https_trust trust;
        bool is_allowed;
    } cases[] = {
        {"http://127.0.0.1:1/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://127.9.8.7:1/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://169.254.169.254/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://[::1]:1/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://[fe80::1]:1/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://[febf::1]:1/", AZFN__HTTPS_PLAIN_HTTP, true},
        {"http://[fec0::1]:1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://[::ffff:127.0.0.1]:1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://[::2]:1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://128.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://169.253.169.254/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://localhost/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://127.0.0.1.example.com/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://127.0.0.1@example.com/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://example.com#@127.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://example.com\\@127.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"https://127.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"http://127.0.0.1/", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"http://127.0.0.1/", AZFN__HTTPS_TRUST_DEVELOPMENT, false},
        {"ftp://127.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"file:///etc/passwd", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"127.0.0.1/", AZFN__HTTPS_PLAIN_HTTP, false},
        {"https://somebody@good.test/", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https://somebody:word@good.test/", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https://good.test/a b", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https://good.test/a\r\nX: y", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https:///", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https://good.test:99999/", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"", AZFN__HTTPS_TRUST_SYSTEM, false},
        {"https://good.test", AZFN__HTTPS_TRUST_SYSTEM, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct call call;
        init_call(&call);
        struct azfn__https_request_options options = options_of(&call);
        options.trust = cases[i].trust;
        enum azfn_error error = try_call(&call, cases[i].url, options);
        if ((error == AZFN_OK) != cases[i].is_allowed) {
            fail_msg("%s", cases[i].url);
        }
        if (error == AZFN_OK) {
            azfn__https_client_cancel(fixture.client, call.request);
        } else {
            assert_int_equal(error, AZFN_ERROR_INVALID_ARGUMENT);
        }
        clean_up_call(&call);
    }
}

static void what_could_become_another_request_is_refused(void **state)
{
    (void)state;
    const struct azfn__https_header cases[] = {
        {AZFN__SPAN("x"), AZFN__SPAN("a\r\nb: c")}, {AZFN__SPAN("x"), AZFN__SPAN("a\nb")},
        {AZFN__SPAN("x"), AZFN__SPAN("a\rb")},      {AZFN__SPAN("x"), AZFN__SPAN("a\0b")},
        {AZFN__SPAN("x"), AZFN__SPAN("a\x7f")},     {AZFN__SPAN("x\r\ny"), AZFN__SPAN("a")},
        {AZFN__SPAN("x y"), AZFN__SPAN("a")},       {AZFN__SPAN("x:"), AZFN__SPAN("a")},
        {AZFN__SPAN(""), AZFN__SPAN("a")},
    };
    struct call call;
    init_call(&call);
    struct azfn__https_request_options options = options_of(&call);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        options.headers = &cases[i];
        options.header_count = 1;
        assert_int_equal(try_call(&call, "good:/hello", options), AZFN_ERROR_INVALID_ARGUMENT);
    }
    options.header_count = 0;
    const struct azfn_span methods[] = {AZFN__SPAN(""), AZFN__SPAN("GET /x HTTP/1.1\r\n"), AZFN__SPAN("G T")};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        options.method = methods[i];
        assert_int_equal(try_call(&call, "good:/hello", options), AZFN_ERROR_INVALID_ARGUMENT);
    }
    options = options_of(&call);
    options.timeout_ms = 0;
    assert_int_equal(try_call(&call, "good:/hello", options), AZFN_ERROR_INVALID_ARGUMENT);
    options = options_of(&call);
    options.method = AZFN__SPAN("HEAD");
    options.body_bytes = 5;
    assert_int_equal(try_call(&call, "good:/hello", options), AZFN_ERROR_INVALID_ARGUMENT);
}

static void a_body_that_is_too_large_is_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        uint64_t max_body_bytes;
        enum azfn_error error;
        unsigned head_count;
    } cases[] = {
        {"good:/bytes/1000", 1000, AZFN_OK, 1},
        {"good:/bytes/1000", 999, AZFN_ERROR_LIMIT, 0}, /* by its Content-Length */
        {"good:/chunked/3", 3000, AZFN_OK, 1},
        {"good:/chunked/3", 2999, AZFN_ERROR_LIMIT, 1},
        {"good:/hello", 0, AZFN_ERROR_LIMIT, 0},
        {"good:/empty", 0, AZFN_OK, 1},
        {"good:/endless", 10000000, AZFN_ERROR_LIMIT, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct call call;
        struct azfn__https_request_options options = options_of(&call);
        options.max_body_bytes = cases[i].max_body_bytes;
        make_call(&call, cases[i].target, options);
        assert_int_equal(call.error, cases[i].error);
        assert_int_equal(call.head_count, cases[i].head_count);
        assert_true(call.body.length <= cases[i].max_body_bytes);
        clean_up_call(&call);
    }
}

static void a_head_that_is_too_large_is_a_limit(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        uint64_t max_head_bytes;
        enum azfn_error error;
    } cases[] = {
        {"good:/long-header/60000", 0, AZFN_OK},
        {"good:/long-header/66000", 0, AZFN_ERROR_LIMIT},
        {"good:/long-header/66000", 70000, AZFN_OK},
        {"good:/long-header/5000000", 0, AZFN_ERROR_LIMIT},
        {"good:/long-header/500", 500, AZFN_ERROR_LIMIT},
        {"good:/many-headers/500", 0, AZFN_OK},
        {"good:/many-headers/600", 0, AZFN_ERROR_LIMIT},
        {"good:/endless-head", 0, AZFN_ERROR_LIMIT},
        {"good:/endless-interim", 0, AZFN_ERROR_LIMIT},
        {"good:/endless-trailers", 0, AZFN_ERROR_LIMIT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct call call;
        struct azfn__https_request_options options = options_of(&call);
        options.max_head_bytes = cases[i].max_head_bytes;
        make_call(&call, cases[i].target, options);
        if (call.error != cases[i].error) {
            fail_msg("%s: %s, %s", cases[i].target, azfn_error_name(call.error), call.reason);
        }
        clean_up_call(&call);
    }
}

static void time_is_a_limit(void **state)
{
    (void)state;
    static const char *const targets[] = {"good:/never", "good:/trickle", "good:/after/9"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct call call;
        struct azfn__https_request_options options = options_of(&call);
        options.timeout_ms = 300;
        uint64_t before_ms = test_now_ms();
        make_call(&call, targets[i], options);
        assert_int_equal(call.error, AZFN_ERROR_TIMEOUT);
        assert_true(call.was_sent);
        assert_in_range(test_now_ms() - before_ms, 300, 5000);
        clean_up_call(&call);
    }
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    (void)state;
    struct call call;
    get(&call, "https://good.test:1/");
    assert_int_equal(call.error, AZFN_ERROR_UNAVAILABLE);
    assert_false(call.was_sent);
    clean_up_call(&call);
    expect_failure("https://no-such-name.invalid/", AZFN_ERROR_UNAVAILABLE);
}

static void an_answer_that_is_cut_off_is_unavailable(void **state)
{
    (void)state;
    expect_failure("good:/truncated", AZFN_ERROR_UNAVAILABLE);
    expect_failure("good:/truncated-chunk", AZFN_ERROR_UNAVAILABLE);
    expect_failure("good:/truncated-head", AZFN_ERROR_UNAVAILABLE);
    expect_failure("good:/nothing", AZFN_ERROR_UNAVAILABLE);
    /* where the end of the connection is the end of the answer, TLS has to say so */
    expect_failure("good:/until-close/cut", AZFN_ERROR_UNAVAILABLE);
    expect_failure("tls12:/until-close/cut", AZFN_ERROR_UNAVAILABLE);
    struct call call;
    get(&call, "tls12:/until-close");
    assert_int_equal(call.error, AZFN_OK);
    clean_up_call(&call);
    get(&call, "good:/until-close");
    assert_int_equal(call.error, AZFN_OK);
    assert_true(has_body(&call, "up to the end"));
    clean_up_call(&call);
}

static void what_is_not_http_is_a_syntax_error(void **state)
{
    (void)state;
    static const char *const kinds[] = {"none", "old", "version", "status", "name", "fold",
                                        "colon", "nul", "control", "length", "coding", "switch"};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char target[64];
        snprintf(target, sizeof(target), "good:/garbage/%s", kinds[i]);
        expect_failure(target, AZFN_ERROR_SYNTAX);
    }
    expect_failure("good:/garbage/chunk", AZFN_ERROR_UNAVAILABLE); /* libcurl says no more than that */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_with_its_head_and_its_body),
        TEST(what_is_sent_is_what_the_caller_said),
        TEST(a_head_request_has_no_body),
        TEST(answers_without_a_body_have_a_head),
        TEST(interim_answers_and_trailers_are_dropped),
        TEST(a_certificate_has_to_be_valid_and_of_the_host),
        TEST(tls_1_2_is_enough_and_1_1_is_not),
        TEST(the_development_authority_is_trusted_only_where_that_is_said),
        TEST(a_redirect_is_an_answer_like_others),
        TEST(the_environment_changes_nothing),
        TEST(plain_http_is_for_addresses_of_this_machine_and_its_link),
        TEST(what_could_become_another_request_is_refused),
        TEST(a_body_that_is_too_large_is_a_limit),
        TEST(a_head_that_is_too_large_is_a_limit),
        TEST(time_is_a_limit),
        TEST(a_server_that_is_not_there_is_unavailable),
        TEST(an_answer_that_is_cut_off_is_unavailable),
        TEST(what_is_not_http_is_a_syntax_error),
    };
    char key_log[128];
    snprintf(key_log, sizeof(key_log), "/tmp/azfn-key-log-%ld", (long)getpid());
    setenv("TEST_KEY_LOG", key_log, 1);
    setenv("SSLKEYLOGFILE", key_log, 1);
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
