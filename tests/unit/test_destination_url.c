/* Where a request to a destination goes, and what a function may send along. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/destination_url.h"

#include <stdio.h>

#define BASE "https://host.example/a/b/"

static void check_joined(const char *base, const char *path, const char *wanted)
{
    struct azfn__buffer url;
    azfn__buffer_init(&url, 16384);
    const char *wrong = azfn__destination_url_join(azfn_span_of(base), azfn_span_of(path), &url);
    if (wrong || !azfn_span_equals(azfn__buffer_span(&url), wanted)) {
        fail_msg("%s + %s: %s", base, path ? path : "(none)", wrong ? wrong : url.data);
    }
    azfn__buffer_clean_up(&url);
}

static void check_refused(struct azfn_span path)
{
    struct azfn__buffer url;
    azfn__buffer_init(&url, 16384);
    if (!azfn__destination_url_join(AZFN__SPAN(BASE), path, &url) || url.length > 0) {
        fail_msg("not refused: %.*s", AZFN_SPAN_ARGS(path));
    }
    azfn__buffer_clean_up(&url);
}

static void a_path_goes_behind_the_base(void **state)
{
    (void)state;
    check_joined(BASE, "", BASE);
    check_joined(BASE, NULL, BASE);
    check_joined(BASE, "c", BASE "c");
    check_joined(BASE, "c/", BASE "c/");
    check_joined(BASE, "c/d?e=f", BASE "c/d?e=f");
    check_joined(BASE, "?e=f", BASE "?e=f");
    check_joined("https://host.example/a", "c", "https://host.example/a/c");
    check_joined("https://host.example/a", "", "https://host.example/a");
    check_joined("https://host.example/a", "?e=f", "https://host.example/a?e=f");
    check_joined("https://host.example", "", "https://host.example");
    check_joined("https://host.example", "c", "https://host.example/c");
    check_joined("https://host.example", "?e=f", "https://host.example/?e=f");
    check_joined("https://host.example:8443", "c", "https://host.example:8443/c");
}

static void what_rfc_3986_allows_is_allowed(void **state)
{
    static const char *const PATHS[] = {
        "messages",
        "2024-01-01/a_b~c.json",
        "a.b.c/...d/.e/f./.well-known",
        "x/y:z@w",
        "users/ada@example.com/messages",
        "Entities(PartitionKey='a',RowKey='b')",
        "a;v=1/b",
        "a!$&'()*+,;=b",
        "caf%C3%A9/%E2%82%AC",
        "a%20b",
        "100%25",
        "a%2520b",
        "a%3Fb%23c",
        "?a=1&b=2/3?4:5@6!$'()*+,;-._~",
        "?a=%00%0d%0a%2e%2e%2f%5c",
        "?a=../../..//x",
        "x?",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        char wanted[200];
        (void)snprintf(wanted, sizeof(wanted), BASE "%s", PATHS[i]);
        check_joined(BASE, PATHS[i], wanted);
    }
}

static void a_path_that_could_lead_elsewhere_is_refused(void **state)
{
    static const char *const PATHS[] = {
        /* segments of dots */
        "..", ".", "../", "./", "../x", "./x", "x/..", "x/.", "x/../y", "x/./y", "x/../../y", "...", "x/..../y",
        "..;", "..;/x", "x/..;v=1/y", ".;x/y", "..%3b/x", "..%253b/x", "x/..%20/y", "..%20", "x/.%20./y", "%20",
        "x/%20/y",
        "x/..?y", "..?", ".?a=b",
        /* encoded, once and more often */
        "%2e", "%2e%2e/x", "%2E%2E/x", ".%2e/x", "x/%2e%2e", "a%2eb", "x%2fy", "x%2Fy", "..%2f", "%2f", "x%5cy", "%5C",
        "%252e%252e/x", "%25252e/x", "x%252fy", "x%255cy", "%25%32%65", "%252%65", "%25%32e", "%25%32%66x",
        "%2525252525252e", "a%252525252520b", "%25u002e", "%25U002f", "%c0%ae%c0%ae/x", "%c0%af", "%e0%80%ae", "%ff",
        "%f0%80%80%af",
        /* slashes */
        "/", "/x", "//host", "//", "x//y", "x//", "///", "/..", "\\", "\\\\host", "x\\y", "..\\x", "x/;/y", ";/x",
        "/%2f", "http:\\\\x",
        /* authorities and schemes */
        "https://other.example/", "http:x", "x:y", "x:y/z", ":", ":8443/x", "@other.example", "user@other.example/x",
        "user:pw@other.example", "javascript:1",
        /* not for a URL */
        "#", "x#y", "x?y#z", " ", "x y", "x\ty", "x\ny", "x\r\nHost: y", "x?a b", "x?a\r\nb", "x\x7fy", "x\x01y",
        "caf\xc3\xa9", "x?caf\xc3\xa9", "\xff", "x\"y", "x<y", "x>y", "x^y", "x`y", "x{y", "x|y", "x}y", "x[y", "x]y",
        "x?a[0]=1", "x?a|b", "x?a\"", "x?\\",
        /* malformed */
        "%", "x%", "%2", "x%2", "%zz", "%2g", "%%32%65", "%u002e", "x?%", "x?%2", "x?%zz", "% 2e", "%+2",
        /* encoded control characters */
        "x%00", "x%0d%0ay", "%09", "x%7f", "x%250d%250a", "x%2500",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        check_refused(azfn_span_of(PATHS[i]));
    }
    check_refused(azfn__span("x\0y", 3));
    check_refused(azfn__span("x?\0", 3));
}

static void a_path_has_8_kib(void **state)
{
    static char path[8194];
    (void)state;
    struct azfn__buffer url;
    azfn__buffer_init(&url, 16384);
    memset(path, 'x', sizeof(path));
    assert_null(azfn__destination_url_join(AZFN__SPAN(BASE), azfn__span(path, 8192), &url));
    assert_int_equal(url.length, strlen(BASE) + 8192);
    azfn__buffer_clean_up(&url);
    check_refused(azfn__span(path, 8193));
    path[2] = '?';
    check_refused(azfn__span(path, 8193));
}

static const char *check_header(const char *name, const char *value, const char *own)
{
    return azfn__destination_header_check(azfn_span_of(name), azfn_span_of(value), azfn_span_of(own));
}

static void ordinary_headers_are_sent(void **state)
{
    static const char *const NAMES[] = {
        "Accept",        "Content-Type", "x-ms-version", "If-None-Match", "Prefer", "x-ms-date",  "Range", "ETag",
        "X-Request-Id",  "traceparent",  "tracestate",   "Hos",           "Hosts",  "X-Forward",  "TEA",   "Proxy",
        "authorization2", "x-ms-copy-source", "x-ms-authorizer", "SOAPAction",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        assert_null(check_header(NAMES[i], "a value, with \"all\" of\tASCII ~", NULL));
    }
    assert_null(check_header("x-empty", "", "x-api-key"));
    assert_null(check_header("x-api-key", "1", NULL));
}

static void headers_that_are_not_the_functions_business_are_refused(void **state)
{
    static const char *const NAMES[] = {
        "Connection", "keep-alive", "TE", "Trailer", "Transfer-Encoding", "upgrade", "Expect", "Host", "hOST",
        "Content-Length", "HTTP2-Settings",
        "Authorization", "AUTHORIZATION", "Cookie", "Cookie2", "Proxy-Authorization", "Proxy-Connection", "proxy-x",
        "X-IDENTITY-HEADER", "x-ms-authorization-auxiliary", "x-ms-copy-source-authorization",
        "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "x-forwarded-proto", "Via", "X-Real-IP", "X-Host",
        "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-HTTP-Method", "X-HTTP-Method-Override",
        "X-Method-Override", "Accept-Encoding",
        /* the same to some servers */
        "Content_Length", "X_Forwarded_For", "transfer_encoding", "Proxy_Authorization",
        /* no names */
        "", " ", "a b", "a:", ":authority", "a\r\nb", "a\r", "a\n", "caf\xc3\xa9", "a(b)", "a\"", "a/b", "a=b", "a{",
        "\x01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (!check_header(NAMES[i], "x", NULL)) {
            fail_msg("not refused: %s", NAMES[i]);
        }
    }
    assert_non_null(azfn__destination_header_check(azfn__span("a\0b", 3), AZFN__SPAN("x"), azfn__absent()));
}

static void a_value_has_no_control_characters(void **state)
{
    static const char *const VALUES[] = {"a\r\nb", "a\r", "a\n", "\n", "a\x01", "a\x7f", "caf\xc3\xa9", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        assert_non_null(check_header("x-name", VALUES[i], NULL));
    }
    assert_non_null(azfn__destination_header_check(AZFN__SPAN("x-name"), azfn__span("a\0b", 3), azfn__absent()));
}

static void the_brokers_own_header_is_refused(void **state)
{
    (void)state;
    assert_non_null(check_header("x-api-key", "1", "x-api-key"));
    assert_non_null(check_header("X-Api-Key", "1", "x-api-key"));
    assert_non_null(check_header("x_api_key", "1", "X-API-Key"));
    assert_null(check_header("x-api-ke", "1", "x-api-key"));
    assert_null(check_header("x-api-key2", "1", "x-api-key"));
}

static void a_header_is_bounded(void **state)
{
    static char text[8193];
    (void)state;
    memset(text, 'x', sizeof(text));
    assert_null(azfn__destination_header_check(azfn__span(text, 256), azfn__span(text, 8192), azfn__absent()));
    assert_non_null(azfn__destination_header_check(azfn__span(text, 257), azfn__span(text, 1), azfn__absent()));
    assert_non_null(azfn__destination_header_check(azfn__span(text, 1), azfn__span(text, 8193), azfn__absent()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_goes_behind_the_base),
        cmocka_unit_test(what_rfc_3986_allows_is_allowed),
        cmocka_unit_test(a_path_that_could_lead_elsewhere_is_refused),
        cmocka_unit_test(a_path_has_8_kib),
        cmocka_unit_test(ordinary_headers_are_sent),
        cmocka_unit_test(headers_that_are_not_the_functions_business_are_refused),
        cmocka_unit_test(a_value_has_no_control_characters),
        cmocka_unit_test(the_brokers_own_header_is_refused),
        cmocka_unit_test(a_header_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
