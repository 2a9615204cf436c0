/* What azfn.h says of JSON: numbers that stay exact, batches that are read once, and a decision where RFC 8259 leaves
 * one open. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <cjson/cJSON.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define T(literal) {literal, sizeof(literal) - 1}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum azfn_error as_signed;
        int64_t signed_value;
        enum azfn_error as_unsigned;
        uint64_t unsigned_value;
    } cases[] = {
        {"0", AZFN_OK, 0, AZFN_OK, 0},
        {"-0", AZFN_OK, 0, AZFN_OK, 0},
        {" 7\n", AZFN_OK, 7, AZFN_OK, 7},
        {"-1", AZFN_OK, -1, AZFN_ERROR_RANGE, 0},
        {"9007199254740993", AZFN_OK, 9007199254740993, AZFN_OK, 9007199254740993},
        {"9223372036854775807", AZFN_OK, INT64_MAX, AZFN_OK, INT64_MAX},
        {"9223372036854775808", AZFN_ERROR_RANGE, 0, AZFN_OK, UINT64_C(9223372036854775808)},
        {"-9223372036854775808", AZFN_OK, INT64_MIN, AZFN_ERROR_RANGE, 0},
        {"-9223372036854775809", AZFN_ERROR_RANGE, 0, AZFN_ERROR_RANGE, 0},
        {"18446744073709551615", AZFN_ERROR_RANGE, 0, AZFN_OK, UINT64_MAX},
        {"18446744073709551616", AZFN_ERROR_RANGE, 0, AZFN_ERROR_RANGE, 0},
        /* as the host quotes them, once and twice */
        {"\"9007199254740993\"", AZFN_OK, 9007199254740993, AZFN_OK, 9007199254740993},
        {"\"\\\"-1\\\"\"", AZFN_OK, -1, AZFN_ERROR_RANGE, 0},
        {"\\\"5\\\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"\\\"5\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"\\\"\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"\\\"\\\"\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"\"\\u0031\"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"-", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"+1", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"01", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"1.0", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"1e3", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"0x10", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"1 2", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"true", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"null", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
        {"[1]", AZFN_ERROR_SYNTAX, 0, AZFN_ERROR_SYNTAX, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t value = 42;
        uint64_t natural = 42;
        struct azfn_span text = azfn_span_of(cases[i].text);
        if (azfn_json_int64(text, &value) != cases[i].as_signed ||
            value != (cases[i].as_signed == AZFN_OK ? cases[i].signed_value : 42) ||
            azfn_json_uint64(text, &natural) != cases[i].as_unsigned ||
            natural != (cases[i].as_unsigned == AZFN_OK ? cases[i].unsigned_value : 42)) {
            fail_msg("%s", cases[i].text);
        }
    }
    int64_t value = 42;
    assert_int_equal(azfn_json_int64(azfn__absent(), &value), AZFN_ERROR_SYNTAX);
    assert_int_equal(azfn_json_int64(AZFN__SPAN("1"), NULL), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(azfn_json_uint64(AZFN__SPAN("1"), NULL), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(azfn_json_double(AZFN__SPAN("1"), NULL), AZFN_ERROR_INVALID_ARGUMENT);
}

static void a_double_is_the_nearest_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0.0}, {"-0", -0.0}, {"0.1", 0.1}, {"-1.5e3", -1500.0}, {"1E-2", 0.01}, {"\"2.5\"", 2.5}, {" 1 ", 1.0},
        {"9007199254740993", 9007199254740992.0}, {"1e-400", 0.0}, {"4.9e-324", 4.9e-324},
        {"1.7976931348623157e308", DBL_MAX}, {"179769313486231570e291", DBL_MAX},
    };
    static const char *const others[] = {
        "", "-", "inf", "Infinity", "nan", "NaN", "0x1p3", "1.", ".5", "+1", "01", "1,5", "1 2", "1e", "true", "null",
        "[1]", "\"\"", "\"x\"", "\"1", "{}",
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double value = 42;
        assert_int_equal(azfn_json_double(azfn_span_of(cases[i].text), &value), AZFN_OK);
        assert_memory_equal(&value, &cases[i].value, sizeof(value));
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        double value = 42;
        assert_int_equal(azfn_json_double(azfn_span_of(others[i]), &value), AZFN_ERROR_SYNTAX);
        assert_true(value == 42);
    }
    double value = 42;
    assert_int_equal(azfn_json_double(AZFN__SPAN("1e309"), &value), AZFN_ERROR_RANGE);
    assert_int_equal(azfn_json_double(AZFN__SPAN("-1e999999999999999999999"), &value), AZFN_ERROR_RANGE);
    char digits[AZFN__JSON_DOUBLE_MAX_BYTES + 1];
    memset(digits, '7', sizeof(digits));
    digits[1] = '.';
    assert_int_equal(azfn_json_double(azfn__span(digits, sizeof(digits)), &value), AZFN_ERROR_LIMIT);
    assert_true(value == 42);
    assert_int_equal(azfn_json_double(azfn__span(digits, sizeof(digits) - 1), &value), AZFN_OK);
    assert_true(value == 7.777777777777777777777777777);
}

/* Each step may look at the array's bracket and at its item: what lies behind it is overwritten at once. So a batch
 * costs one pass, however many events it has. */
static void a_batch_is_read_once(void **state)
{
    (void)state;
    enum { EVENTS = 10000, ROOM = 64 };
    char *batch = malloc((size_t)EVENTS * ROOM);
    size_t length = 1;
    size_t cursor = 0;
    assert_non_null(batch);
    batch[0] = '[';
    for (int i = 0; i < EVENTS; i++) {
        length += (size_t)snprintf(batch + length, ROOM, "%s{\"n\":%d,\"t\":[\"]\",{\"\\\"\":\"}\"}]}", i > 0 ? "," : "",
                                   i);
    }
    batch[length++] = ']';
    struct azfn_span json = azfn_json_checked(azfn__span(batch, length));
    assert_true(azfn_span_is_present(json));
    for (int64_t i = 0; i < EVENTS; i++) {
        int64_t number = -1;
        struct azfn_span item = azfn_json_next_item(json, &cursor);
        assert_int_equal(azfn_json_int64(azfn_json_member(item, "n"), &number), AZFN_OK);
        assert_int_equal(number, i);
        memset(batch + 1, '"', (size_t)(item.data + item.length - batch) - 1);
    }
    assert_false(azfn_span_is_present(azfn_json_next_item(json, &cursor)));
    assert_false(azfn_span_is_present(azfn_json_next_item(json, &cursor)));
    free(batch);
}

static void members_come_in_their_order(void **state)
{
    (void)state;
    struct azfn_span json = AZFN__SPAN(" { \"a\" : 1 , \"\\u0062\":{\"x\":[2]},\"a\":null } ");
    static const char *const expected[][2] = {{"\"a\"", "1"}, {"\"\\u0062\"", "{\"x\":[2]}"}, {"\"a\"", "null"}};
    size_t cursor = 0;
    struct azfn_span name;
    struct azfn_span value;
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(azfn_json_next_member(json, &cursor, &name, &value));
        assert_true(azfn_span_equals(name, expected[i][0]));
        assert_true(azfn_span_equals(value, expected[i][1]));
    }
    assert_false(azfn_json_next_member(json, &cursor, &name, &value));
    assert_false(azfn_span_is_present(name));
    assert_false(azfn_span_is_present(value));
}

static void what_an_author_gets_wrong_is_absent(void **state)
{
    (void)state;
    struct azfn_span name;
    struct azfn_span value;
    size_t cursor = 0;
    size_t far_away = SIZE_MAX;
    struct azfn_span object = AZFN__SPAN("{\"\":1,\"a\":2}");
    struct azfn_span array = AZFN__SPAN("[1,2]");
    assert_false(azfn_span_is_present(azfn_json_member(object, NULL)));
    assert_false(azfn_span_is_present(azfn_json_at(object, NULL)));
    assert_false(azfn_span_is_present(azfn_json_at(azfn__absent(), "/a")));
    assert_false(azfn_span_is_present(azfn_json_member(array, "0")));
    assert_false(azfn_span_is_present(azfn_json_next_item(object, &cursor)));
    assert_false(azfn_span_is_present(azfn_json_next_item(array, NULL)));
    assert_false(azfn_span_is_present(azfn_json_next_item(array, &far_away)));
    assert_false(azfn_span_is_present(azfn_json_next_item(azfn__absent(), &cursor)));
    assert_false(azfn_json_next_member(array, &cursor, &name, &value));
    assert_false(azfn_json_next_member(object, NULL, &name, &value));
    assert_false(azfn_json_next_member(azfn__absent(), &cursor, &name, &value));
    assert_int_equal(cursor, 0);
    assert_true(azfn_span_equals(azfn_json_at(object, "/"), "1"));
}

static void strings_are_given_as_text_and_as_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *text;
        struct azfn_span bytes;
    } cases[] = {
        {"\"\"", "", T("")},
        {"\"aGk=\"", "aGk=", T("hi")},
        {"\"AP8K\"", "AP8K", T("\0\xff\n")},
        {"\"\\u0061Gk\\u003d\"", "aGk=", T("hi")},
        {"\"aGk\"", "aGk", {NULL, 0}},
        {"\"a b\"", "a b", {NULL, 0}},
        {"\"\\\"aGk=\\\"\"", "\"aGk=\"", {NULL, 0}},
        {"\"\\ud800\"", "\xef\xbf\xbd", {NULL, 0}},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", {NULL, 0}},
        {"7", NULL, {NULL, 0}},
        {"null", NULL, {NULL, 0}},
        {"[]", NULL, {NULL, 0}},
    };
    struct azfn__invocation invocation;
    azfn__invocation_init(&invocation, NULL);
    struct azfn_invocation *handle = azfn__invocation_handle(&invocation);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn_span text = azfn_json_string(handle, azfn_span_of(cases[i].json));
        struct azfn_span bytes = azfn_json_bytes(handle, azfn_span_of(cases[i].json));
        assert_true(cases[i].text ? azfn_span_equals(text, cases[i].text) : !azfn_span_is_present(text));
        if (azfn_span_is_present(bytes) != azfn_span_is_present(cases[i].bytes)) {
            fail_msg("%s: %.*s", cases[i].json, AZFN_SPAN_ARGS(bytes));
        }
        assert_true(azfn__span_equal(bytes, cases[i].bytes));
    }
    assert_false(azfn_span_is_present(azfn_json_bytes(handle, azfn__absent())));
    azfn__invocation_clean_up(&invocation);
}

/* RFC 8259 leaves these to the reader: sections 4 (names), 6 (numbers), 8.1 (byte order marks), 8.2 (surrogates) and 9
 * (limits). */
static void what_the_rfc_leaves_open_is_decided(void **state)
{
    (void)state;
    static const struct azfn_span taken[] = {
        T("{\"a\":1,\"a\":2}"), T("{\"a\":1,\"\\u0061\":2}"), T("{\"\":1,\"\":2}"), T("{\"a\\u0000\":1,\"a\":2}"),
        T("1e400"), T("-1e400"), T("1e-400"), T("123456789012345678901234567890"), T("0.1e-99999999999999999999"),
        T("\"\\ud800\""), T("\"\\udfff\""), T("\"\\udc00\\ud800\""), T("\"\\ud800\\\\\""), T("{\"\\ud800\":1}"),
        T("\"\\ufeff\""), T("\"\xef\xbb\xbf\""), T("\"\xef\xb7\x90\""), T("\"\xf4\x8f\xbf\xbf\""), T("\"\x7f\""), T("\"\\u007f\""),
        T("\"\\u0000\""), T("\"\xe2\x80\xa8\""), T("7"), T("null"), T("\"\""), T("\t\r\n 7 \n\r\t"),
    };
    static const struct azfn_span refused[] = {
        T("\xef\xbb\xbf"), T("\xef\xbb\xbf{}"), T("\xef\xbb\xbf 1"), T("{}\xef\xbb\xbf"), T("[\xef\xbb\xbf]"),
        T("\xff\xfe{\0}\0"), T("\xfe\xff\0{\0}"), T("{\0}\0"), T("\0{\0}"), T("{}\0"), T("7\0"), T("\0"), T("\"a\0b\""),
        T("\"\xed\xa0\x80\""), T("\"\xed\xb0\x80\""), T("\"\xc0\x80\""), T("\"\xc1\xbf\""), T("\"\xe0\x9f\xbf\""),
        T("\"\xf0\x8f\xbf\xbf\""), T("\"\xf4\x90\x80\x80\""), T("\"\xf8\x88\x80\x80\x80\""), T("\"\xe9\""), T("NaN"), T("-Infinity"),
        T("\x1e{}"), T("{}\n{}"), T("1/**/"), T("[1,]"), T("{\"a\":1,}"), T("\xc2\xa0" "1"), T("1\xe2\x80\xa8"), T("\f1"),
    };
    for (size_t i = 0; i < COUNT(taken); i++) {
        if (!azfn_span_is_present(azfn_json_checked(taken[i]))) {
            fail_msg("refused: %.*s", AZFN_SPAN_ARGS(taken[i]));
        }
    }
    for (size_t i = 0; i < COUNT(refused); i++) {
        if (azfn_span_is_present(azfn_json_checked(refused[i]))) {
            fail_msg("taken: %.*s", AZFN_SPAN_ARGS(refused[i]));
        }
    }
    assert_true(azfn_span_equals(azfn_json_member(taken[0], "a"), "2"));
    assert_true(azfn_span_equals(azfn_json_member(taken[1], "a"), "2"));
    assert_true(azfn_span_equals(azfn_json_at(taken[2], "/"), "2"));
    assert_true(azfn_span_equals(azfn_json_at(taken[3], "/a"), "2"));
}

static void a_tree_says_the_same_as_the_text(void **state)
{
    (void)state;
    static const char *const trees[][2] = {
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":3}"},
        {"{\"a\":1,\"\\u0061\":2}", "{\"a\":2}"},
        {"{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}"},
        {"[{\"x\":{\"a\":1,\"a\":[{\"b\":1,\"b\":2}]},\"x\":{\"a\":1,\"a\":[{\"b\":1,\"b\":2}]}},{\"\":1,\"\":2}]",
         "[{\"x\":{\"a\":[{\"b\":2}]}},{\"\":2}]"},
        {"{\"a\":1,\"a\":1,\"a\":1,\"a\":1}", "{\"a\":1}"},
        {"[[],{},[{}],1]", "[[],{},[{}],1]"},
        {"\"\\\\u0000\"", "\"\\\\u0000\""},
        {"\"a\\u0000\"", NULL},
        {"{\"a\\u0000b\":1}", NULL},
        {"\"\\\\\\u0000\"", NULL},
        {"\"\\ud800\"", NULL},
        {"[1,]", NULL},
        {"", NULL},
    };
    struct azfn__invocation invocation;
    azfn__invocation_init(&invocation, NULL);
    struct azfn_invocation *handle = azfn__invocation_handle(&invocation);
    for (size_t i = 0; i < COUNT(trees); i++) {
        const cJSON *tree = azfn_json_tree(handle, azfn_span_of(trees[i][0]));
        if ((tree != NULL) != (trees[i][1] != NULL)) {
            fail_msg("%s", trees[i][0]);
        }
        if (tree) {
            char *text = cJSON_PrintUnformatted(tree);
            assert_string_equal(text, trees[i][1]);
            cJSON_free(text);
        }
        /* what a sender writes is no want of memory: the function may still answer */
        assert_int_equal(invocation.first_error, AZFN_OK);
    }
    assert_null(azfn_json_tree(handle, azfn__absent()));
    invocation.arena.limit_bytes = invocation.arena.used_bytes + 100;
    assert_null(azfn_json_tree(handle, AZFN__SPAN("[1,2,3,4]")));
    assert_int_equal(invocation.first_error, AZFN_ERROR_NO_MEMORY);
    azfn__invocation_clean_up(&invocation);
}

/* The number that azfn.h names. */
static void a_document_may_be_128_deep(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {{"[", "]"}, {"{\"a\":", "}"}};
    for (size_t mix = 0; mix < 4; mix++) {
        for (size_t depth = 127; depth <= 130; depth++) {
            struct azfn__buffer text;
            azfn__buffer_init(&text, 4096);
            for (size_t i = 0; i < depth; i++) {
                azfn__buffer_append_text(&text, kinds[mix < 2 ? mix : (i + mix) % 2][0]);
            }
            azfn__buffer_append_text(&text, "0");
            for (size_t i = depth; i-- > 0;) {
                azfn__buffer_append_text(&text, kinds[mix < 2 ? mix : (i + mix) % 2][1]);
            }
            assert_int_equal(azfn_span_is_present(azfn_json_checked(azfn__buffer_span(&text))), depth <= 128);
            struct azfn__invocation invocation;
            azfn__invocation_init(&invocation, NULL);
            const cJSON *tree = azfn_json_tree(azfn__invocation_handle(&invocation), azfn__buffer_span(&text));
            assert_int_equal(tree != NULL, depth <= 128);
            azfn__invocation_clean_up(&invocation);
            azfn__buffer_clean_up(&text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact_or_refused),
        cmocka_unit_test(a_double_is_the_nearest_one),
        cmocka_unit_test(a_batch_is_read_once),
        cmocka_unit_test(members_come_in_their_order),
        cmocka_unit_test(what_an_author_gets_wrong_is_absent),
        cmocka_unit_test(strings_are_given_as_text_and_as_bytes),
        cmocka_unit_test(what_the_rfc_leaves_open_is_decided),
        cmocka_unit_test(a_tree_says_the_same_as_the_text),
        cmocka_unit_test(a_document_may_be_128_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
