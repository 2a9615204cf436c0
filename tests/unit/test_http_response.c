/* The head of a response, byte by byte, and what a function may put into it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/http_response.h"

#include <stdio.h>
#include <time.h>

#define SOME_TIME INT64_C(784111777)
#define SOME_DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void require_head(const struct azfn__http_response *response, const char *head, const char *body)
{
    struct azfn__buffer found;
    struct azfn_span found_body;
    azfn__buffer_init(&found, 4096);
    azfn__http_response_encode(response, SOME_TIME, &found, &found_body);
    assert_false(found.has_failed);
    if (!azfn_span_equals(azfn__buffer_span(&found), head)) {
        fail_msg("expected:\n%s\nfound:\n%.*s", head, AZFN_SPAN_ARGS(azfn__buffer_span(&found)));
    }
    assert_true(azfn_span_equals(found_body, body));
    azfn__buffer_clean_up(&found);
}

static void a_response_has_its_lines_in_order(void **state)
{
    (void)state;
    const struct azfn__http_response response = {
        .status = 200,
        .content_type = AZFN__SPAN("text/plain"),
        .header_lines = AZFN__SPAN("X-A: b\r\nX-C: d\r\n"),
        .body = AZFN__SPAN("hello"),
    };
    require_head(&response,
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-A: b\r\nX-C: d\r\n"
                 "Content-Length: 5\r\n" SOME_DATE "\r\n",
                 "hello");
}

static void an_absent_body_has_a_length_of_zero(void **state)
{
    (void)state;
    const struct azfn__http_response response = {.status = 500};
    require_head(&response, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n" SOME_DATE "\r\n", "");
}

static void head_counts_the_body_and_does_not_send_it(void **state)
{
    (void)state;
    const struct azfn__http_response response = {.status = 200, .body = AZFN__SPAN("hello"), .is_head_request = true};
    require_head(&response, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" SOME_DATE "\r\n", "");
}

static void no_content_has_neither_length_nor_body(void **state)
{
    (void)state;
    struct azfn__http_response response = {.status = 204, .body = AZFN__SPAN("hello")};
    require_head(&response, "HTTP/1.1 204 No Content\r\n" SOME_DATE "\r\n", "");
    response.status = 304;
    require_head(&response, "HTTP/1.1 304 Not Modified\r\n" SOME_DATE "\r\n", "");
}

static void the_last_response_says_close(void **state)
{
    (void)state;
    struct azfn__http_response response = {.status = 413, .is_last = true};
    require_head(&response,
                 "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n" SOME_DATE "\r\n", "");
    response.is_http_1_0 = true;
    require_head(&response,
                 "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n" SOME_DATE "\r\n", "");
}

static void http_1_0_is_told_that_the_connection_stays(void **state)
{
    (void)state;
    const struct azfn__http_response response = {.status = 200, .is_http_1_0 = true};
    require_head(&response,
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n" SOME_DATE "\r\n", "");
}

static void it_is_appended_to_what_is_there(void **state)
{
    (void)state;
    const struct azfn__http_response response = {.status = 299};
    struct azfn__buffer found;
    struct azfn_span body;
    azfn__buffer_init(&found, 4096);
    azfn__buffer_append_text(&found, "before");
    azfn__http_response_encode(&response, SOME_TIME, &found, &body);
    assert_true(azfn_span_equals(azfn__buffer_span(&found),
                                 "beforeHTTP/1.1 299 Unknown\r\nContent-Length: 0\r\n" SOME_DATE "\r\n"));
    azfn__buffer_clean_up(&found);
}

static void a_head_that_does_not_fit_fails(void **state)
{
    (void)state;
    const struct azfn__http_response response = {.status = 200, .body = AZFN__SPAN("hello")};
    struct azfn__buffer found;
    struct azfn_span body;
    azfn__buffer_init(&found, 100);
    azfn__http_response_encode(&response, SOME_TIME, &found, &body);
    assert_true(found.has_failed);
    assert_int_equal(found.length, 0);
    azfn__buffer_clean_up(&found);
}

/* Every status and the longest numbers stay within what was reserved (the sanitizers look on). */
static void every_status_fits(void **state)
{
    (void)state;
    for (unsigned status = 100; status < 600; status++) {
        const struct azfn__http_response response = {
            .status = (uint16_t)status,
            .content_type = AZFN__SPAN("a"),
            .body = azfn__span("", SIZE_MAX),
            .is_head_request = true,
            .is_http_1_0 = true,
        };
        struct azfn__buffer found;
        struct azfn_span body;
        char line[64];
        azfn__buffer_init(&found, 4096);
        azfn__http_response_encode(&response, INT64_MAX, &found, &body);
        int length = snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status,
                              azfn__http_reason_phrase((uint16_t)status));
        assert_true(azfn__span_starts_with(azfn__buffer_span(&found), azfn__span(line, (size_t)length)));
        assert_true(found.length < 256);
        azfn__buffer_clean_up(&found);
    }
    assert_string_equal(azfn__http_reason_phrase(404), "Not Found");
    assert_string_equal(azfn__http_reason_phrase(299), "Unknown");
}

static void require_date(int64_t now_s, const char *date)
{
    const struct azfn__http_response response = {.status = 204};
    struct azfn__buffer found;
    struct azfn_span body;
    char expected[128];
    azfn__buffer_init(&found, 4096);
    azfn__http_response_encode(&response, now_s, &found, &body);
    snprintf(expected, sizeof(expected), "HTTP/1.1 204 No Content\r\nDate: %s\r\n\r\n", date);
    if (!azfn_span_equals(azfn__buffer_span(&found), expected)) {
        fail_msg("expected %s, found %.*s", expected, AZFN_SPAN_ARGS(azfn__buffer_span(&found)));
    }
    azfn__buffer_clean_up(&found);
}

static void dates_are_those_of_the_c_library(void **state)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    (void)state;
    /* about every nine hours of 430 years, so that every day and the leap days of 2000, 2100 and 2400 are there */
    for (int64_t now_s = 0; now_s < INT64_C(13569465600); now_s += 32771) {
        time_t time = (time_t)now_s;
        struct tm parts;
        char date[64];
        assert_non_null(gmtime_r(&time, &parts));
        snprintf(date, sizeof(date), "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[parts.tm_wday], parts.tm_mday,
                 months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
        require_date(now_s, date);
    }
}

static void dates_end_where_the_format_ends(void **state)
{
    (void)state;
    require_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    require_date(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    require_date(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
    require_date(INT64_C(4294967296), "Sun, 07 Feb 2106 06:28:16 GMT");
    require_date(INT64_C(951782399), "Mon, 28 Feb 2000 23:59:59 GMT");
    require_date(INT64_C(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
    require_date(INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
    require_date(INT64_C(253402300800), "Fri, 31 Dec 9999 23:59:59 GMT");
    require_date(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

static void names_of_the_connection_are_reserved(void **state)
{
    static const char *const refused[] = {
        "",           "Connection", "connection",        "CONTENT-LENGTH",    "Date",   "Keep-Alive",
        "Proxy-",     "proxy-x",    "Proxy-Connection",  "TE",                "te",     "Trailer",
        "Upgrade",    "X Y",        "Transfer-Encoding", "transfer-encoding", "X:",     "X\r\nY",
        "Caf\xc3\xa9", "X\x7f",     "(X)",               "X\t",               "\"X\"", "X/Y",
    };
    static const char *const allowed[] = {
        "X",    "Content-Type", "Set-Cookie", "Location", "Proxy", "Proxies",  "Trailers", "TE2",
        "X_Y",  "Dates",        "Content-Encoding", "!#$%&'*+-.^_`|~09azAZ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (azfn__http_header_name_is_allowed(azfn_span_of(refused[i]))) {
            fail_msg("\"%s\" is allowed", refused[i]);
        }
    }
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (!azfn__http_header_name_is_allowed(azfn_span_of(allowed[i]))) {
            fail_msg("\"%s\" is not allowed", allowed[i]);
        }
    }
    assert_false(azfn__http_header_name_is_allowed(azfn__span("X\0Y", 3)));
}

static void values_are_visible_ascii(void **state)
{
    static const char *const invalid[] = {"",      " ",     "\t",       " a",       "a ",    "a\t",
                                          "a\rb",  "a\nb",  "a\r\nb: c", "caf\xc3\xa9", "a\x1b", "a\x7f"};
    static const char *const valid[] = {"a", "a b", "a\tb", "a  b", "~!\"", "text/plain; charset=utf-8"};
    (void)state;
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        if (azfn__http_header_value_is_valid(azfn_span_of(invalid[i]))) {
            fail_msg("\"%s\" is valid", invalid[i]);
        }
    }
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        if (!azfn__http_header_value_is_valid(azfn_span_of(valid[i]))) {
            fail_msg("\"%s\" is not valid", valid[i]);
        }
    }
    assert_false(azfn__http_header_value_is_valid(azfn__span("a\0b", 3)));
    assert_false(azfn__http_header_value_is_valid((struct azfn_span){.data = NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_has_its_lines_in_order),
        cmocka_unit_test(an_absent_body_has_a_length_of_zero),
        cmocka_unit_test(head_counts_the_body_and_does_not_send_it),
        cmocka_unit_test(no_content_has_neither_length_nor_body),
        cmocka_unit_test(the_last_response_says_close),
        cmocka_unit_test(http_1_0_is_told_that_the_connection_stays),
        cmocka_unit_test(it_is_appended_to_what_is_there),
        cmocka_unit_test(a_head_that_does_not_fit_fails),
        cmocka_unit_test(every_status_fits),
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(dates_end_where_the_format_ends),
        cmocka_unit_test(names_of_the_connection_are_reserved),
        cmocka_unit_test(values_are_visible_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
