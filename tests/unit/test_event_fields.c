/* What a line may say beside its text, and what is kept from it by its type. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/event_fields.h"
#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>

/* Of the lines' own members. */
static const char *const other_names[] = {"datetime", "level", "appid", "sequence", "origin", "event", "description"};

static void each_field_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        struct azfn_span name = azfn_span_of(azfn__event_field_info((enum azfn__event_field)i)->name);
        assert_in_range(name.length, 1, 24);
        for (size_t at = 0; at < name.length; at++) {
            assert_true(name.data[at] == '_' || (name.data[at] >= 'a' && name.data[at] <= 'z'));
            assert_false(azfn__span_starts_with(azfn__span_from(name, at), AZFN__SPAN("warn")));
        }
        for (unsigned other = 0; other < i; other++) {
            assert_string_not_equal(name.data, azfn__event_field_info((enum azfn__event_field)other)->name);
        }
        for (size_t other = 0; other < sizeof(other_names) / sizeof(other_names[0]); other++) {
            assert_string_not_equal(name.data, other_names[other]);
        }
    }
}

static void each_field_is_found_by_its_number(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        struct azfn__event_fields fields = {.function = azfn__absent()};
        enum azfn__event_field field = (enum azfn__event_field)i;
        assert_int_equal(azfn__event_fields_set(&fields), 0);
        if (azfn__event_field_is_number(field)) {
            *azfn__event_field_number(&fields, field) = AZFN__NUMBER(0);
        } else {
            bool is_list = azfn__event_field_info(field)->type == AZFN__FIELD_TYPE_LIST;
            *azfn__event_field_text(&fields, field) = AZFN__SPAN("");
            assert_true(azfn__event_fields_set(&fields) == (is_list ? UINT64_C(1) << i : 0));
            *azfn__event_field_text(&fields, field) = AZFN__SPAN("x");
        }
        assert_true(azfn__event_fields_set(&fields) == UINT64_C(1) << i);
    }
    struct azfn__event_fields fields = {.function = AZFN__SPAN("f"), .suppressed = AZFN__SPAN("s")};
    fields.expires_at = AZFN__NUMBER(17);
    assert_true(azfn__event_fields_set(&fields) ==
                (AZFN__FIELD_BIT(FUNCTION) | AZFN__FIELD_BIT(EXPIRES_AT) | AZFN__FIELD_BIT(SUPPRESSED)));
    assert_true(azfn_span_equals(*azfn__event_field_text(&fields, AZFN__FIELD_SUPPRESSED), "s"));
    assert_int_equal(azfn__event_field_number(&fields, AZFN__FIELD_EXPIRES_AT)->value, 17);
    assert_int_equal(azfn__event_field_info(AZFN__FIELD_EXPIRES_AT)->type, AZFN__FIELD_TYPE_TIME);
    assert_int_equal(azfn__event_field_info(AZFN__FIELD_REQUEST_URI)->type, AZFN__FIELD_TYPE_URL);
}

static void require_shown(const char *url, const char *expected)
{
    /* a copy of exactly this size, so that a read beyond it is seen */
    size_t length = strlen(url);
    char *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, url, length);
    struct azfn_span shown = azfn__event_url_shown(azfn__span(exact, length));
    if (!azfn_span_equals(shown, expected)) {
        fail_msg("%s becomes %.*s", url, AZFN_SPAN_ARGS(shown));
    }
    /* what the worker has done the broker does again */
    assert_true(azfn_span_equals(azfn__event_url_shown(shown), expected));
    free(exact);
}

static void a_path_is_shown_without_its_query(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"", ""},
        {"/", "/"},
        {"*", "*"},
        {"/api/hello", "/api/hello"},
        {"/api/hello?code=key", "/api/hello"},
        {"/api/hello#code=key", "/api/hello"},
        {"/api/hello?", "/api/hello"},
        {"?code=key", ""},
        {"#?", ""},
        {"/a?b#c?d", "/a"},
        {"/a#b?c", "/a"},
        {"https://host/a?b=https://c/d", "https://host/a"},
        {"https://host?code=key", "https://host"},
        {"/api/hello%3Fcode=key", "/api/hello"}, /* by somebody who encoded too much */
        {"/api/hello%3fcode=key", "/api/hello"},
        {"/api/hello%23code=key", "/api/hello"},
        {"/100%", "/100%"},
        {"/100%3", "/100%3"},
        {"/%zz%3x", "/%zz%3x"},
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        require_shown(urls[i][0], urls[i][1]);
    }
}

static void an_at_sign_of_a_path_stays(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "/@",
        "/@me",
        "/users/me@example.com/mail",
        "/users/me%40example.com",
        "/mailto:me@example.com",
        "/a:b@c",
        "/a//b@c",
        "/a\\b@c",
        "https://host/@me",
        "https://host:8080/users/@me@you",
        "https://host//me@you",
        "//host/me@you",
    };
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        require_shown(urls[i], urls[i]);
    }
}

static void user_info_is_not_shown_however_it_is_written(void **state)
{
    (void)state;
    static const char *const befores[] = {
        "https://", "HTTPS://", "https:", "https:/", "https:///", "https:\\\\", "https:/\\", "https:\\/", "//", "///",
        "\\\\", "/\\", "\\/", "\\", "", ":", "://", " https://", "\thttps://", "ht\ntps://", "https:\n//", "https:/\t/",
        "/\t/", " //", "/ \\", "a+b.c-1://", "https%3A%2F%2F", "https%3a%2f%2f", "%2F%2f", "https:%5c%5C", "/%2F",
        "/fetch/https://", "/fetch/https%3A%2F%2F", "/fetch/https:/", "/a/b:\\", "https://other/https://",
        "one@", "https://one@", "https://one@two@", "https://one%40", "https://a/b://",
    };
    static const char *const users[] = {
        "KEY@",      "user:KEY@",    ":KEY@",       "KEY%40",      "user:KEY@@",   "KEY@corp:KEY@", "us er:KEY@",
        "KEY%2F@",   "user:%2FKEY@", "user\\KEY@",  "user:\\KEY@", "user:KEY\\@",  "[KEY]:1@",      "user%3AKEY@",
        "\xffKEY@", "KEY%@",        "user:KEY%4@",
    };
    char url[128];
    for (size_t i = 0; i < sizeof(befores) / sizeof(befores[0]); i++) {
        for (size_t j = 0; j < sizeof(users) / sizeof(users[0]); j++) {
            (void)snprintf(url, sizeof(url), "%s%shost:80/p@th?code=KEY", befores[i], users[j]);
            require_shown(url, "host:80/p@th");
        }
        (void)snprintf(url, sizeof(url), "%sKEY@", befores[i]);
        require_shown(url, "");
        (void)snprintf(url, sizeof(url), "%sKEY@?", befores[i]);
        require_shown(url, "");
    }
    /* what is left is read from its start again */
    require_shown("https://KEY@//KEY@host/p@th", "host/p@th");
    require_shown("KEY@\\\\KEY@host", "host");
    require_shown("https://KEY@/p@th", "/p@th");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_has_a_name_of_its_own),
        cmocka_unit_test(each_field_is_found_by_its_number),
        cmocka_unit_test(a_path_is_shown_without_its_query),
        cmocka_unit_test(an_at_sign_of_a_path_stays),
        cmocka_unit_test(user_info_is_not_shown_however_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
