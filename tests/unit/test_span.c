#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct azfn_span absent = {0};

static void absent_and_empty_are_told_apart(void **state)
{
    (void)state;
    assert_false(azfn_span_is_present(absent));
    assert_false(azfn_span_is_present(azfn_span_of(NULL)));
    assert_true(azfn_span_is_present(azfn_span_of("")));
    assert_int_equal(azfn_span_of("").length, 0);
    assert_true(azfn_span_equals(azfn_span_of(""), ""));
    assert_false(azfn_span_equals(absent, ""));
    assert_false(azfn_span_equals(azfn_span_of(""), NULL));
    assert_false(azfn_span_equals(absent, NULL));
    assert_true(azfn__span_equal(absent, azfn_span_of("")));
}

static void equal_means_the_same_bytes(void **state)
{
    (void)state;
    assert_true(azfn_span_equals(azfn_span_of("abc"), "abc"));
    assert_false(azfn_span_equals(azfn_span_of("abc"), "abd"));
    assert_false(azfn_span_equals(azfn_span_of("abc"), "ab"));
    assert_false(azfn_span_equals(azfn_span_of("ab"), "abc"));
    assert_false(azfn_span_equals(azfn_span_of("abc"), "ABC"));
    assert_true(azfn__span_equal(AZFN__SPAN("a\0b"), azfn__span("a\0b", 3)));
    assert_false(azfn__span_equal(AZFN__SPAN("a\0b"), AZFN__SPAN("a\0c")));
    assert_int_equal(AZFN__SPAN("a\0b").length, 3);
}

static void case_is_ignored_in_ascii_only(void **state)
{
    (void)state;
    assert_true(azfn__span_equal_ignore_case(azfn_span_of("Content-TYPE"), azfn_span_of("content-type")));
    assert_true(azfn__span_equal_ignore_case(absent, azfn_span_of("")));
    assert_false(azfn__span_equal_ignore_case(azfn_span_of("a"), azfn_span_of("ab")));
    assert_false(azfn__span_equal_ignore_case(azfn_span_of("\xc3\x89"), azfn_span_of("\xc3\xa9")));
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char one = (char)a;
            char other = (char)b;
            bool are_letters = ((a | 0x20) >= 'a' && (a | 0x20) <= 'z');
            bool is_same = a == b || (are_letters && (a ^ b) == 0x20);
            assert_int_equal(azfn__span_equal_ignore_case(azfn__span(&one, 1), azfn__span(&other, 1)), is_same);
        }
    }
}

static void a_prefix_is_not_longer_than_the_text(void **state)
{
    (void)state;
    assert_true(azfn__span_starts_with(azfn_span_of("abc"), azfn_span_of("")));
    assert_true(azfn__span_starts_with(azfn_span_of("abc"), azfn_span_of("ab")));
    assert_true(azfn__span_starts_with(azfn_span_of("abc"), azfn_span_of("abc")));
    assert_false(azfn__span_starts_with(azfn_span_of("abc"), azfn_span_of("abcd")));
    assert_false(azfn__span_starts_with(azfn_span_of("abc"), azfn_span_of("b")));
    assert_false(azfn__span_starts_with(absent, azfn_span_of("a")));
    assert_true(azfn__span_starts_with(absent, absent));
}

static void blanks_and_tabs_are_trimmed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""}, {" ", ""}, {"\t \t", ""}, {"a", "a"}, {" a", "a"}, {"a ", "a"}, {"\t a b \t", "a b"}, {"\na\r", "\na\r"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(azfn_span_equals(azfn__span_trim(azfn_span_of(cases[i][0])), cases[i][1]));
    }
    assert_int_equal(azfn__span_trim(absent).length, 0);
}

static void a_span_is_cut_from_an_offset(void **state)
{
    (void)state;
    struct azfn_span span = azfn_span_of("abc");
    assert_true(azfn_span_equals(azfn__span_from(span, 0), "abc"));
    assert_true(azfn_span_equals(azfn__span_from(span, 2), "c"));
    assert_true(azfn_span_equals(azfn__span_from(span, 3), ""));
    assert_true(azfn_span_equals(azfn__span_from(span, 4), ""));
    assert_true(azfn_span_equals(azfn__span_from(span, SIZE_MAX), ""));
    assert_null(azfn__span_from(absent, 1).data);
}

static void a_span_is_printed_whole(void **state)
{
    (void)state;
    char text[16];
    (void)snprintf(text, sizeof(text), "%.*s|%.*s", AZFN_SPAN_ARGS(azfn__span("abcdef", 3)), AZFN_SPAN_ARGS(absent));
    assert_string_equal(text, "abc|");
}

static bool is_utf8(const unsigned char *bytes, size_t length)
{
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    bool answer = azfn__span_is_utf8(azfn__span(copy, length));
    free(copy);
    return answer;
}

/* The other way round: from the code points to the bytes. */
static size_t encode(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0 | c >> 6);
        out[1] = (unsigned char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 | c >> 12);
        out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | c >> 18);
    out[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (c & 0x3f));
    return 4;
}

static void every_code_point_but_a_surrogate_is_utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        unsigned char bytes[4];
        size_t length = encode(c, bytes);
        bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
        if (azfn__span_is_utf8(azfn__span(bytes, length)) == is_surrogate) {
            fail_msg("U+%04X", (unsigned)c);
        }
    }
    unsigned char beyond[4];
    assert_false(is_utf8(beyond, encode(0x110000, beyond)));
}

/* Behind each lead all second and third bytes: accepted as often as there are code points. */
static void nothing_else_is_utf8(void **state)
{
    (void)state;
    static const unsigned char last[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    size_t two = 0;
    size_t three = 0;
    size_t four = 0;
    for (unsigned lead = 0x80; lead < 0x100; lead++) {
        unsigned char bytes[4] = {(unsigned char)lead};
        assert_false(is_utf8(bytes, 1));
        for (unsigned tail = 0; tail < 0x10000; tail++) {
            bytes[1] = (unsigned char)(tail >> 8);
            bytes[2] = (unsigned char)tail;
            two += bytes[2] == 0 && azfn__span_is_utf8(azfn__span(bytes, 2));
            /* a sequence of two with an ASCII byte behind it is right, but was counted */
            three += bytes[2] >= 0x80 && azfn__span_is_utf8(azfn__span(bytes, 3));
            for (size_t i = 0; i < COUNT(last) && bytes[1] >= 0x80 && bytes[2] >= 0x80; i++) {
                bytes[3] = last[i];
                four += lead >= 0xf0 && azfn__span_is_utf8(azfn__span(bytes, 4));
            }
        }
    }
    assert_int_equal(two, 0x800 - 0x80);
    assert_int_equal(three, 0x10000 - 0x800 - 0x800);
    assert_int_equal(four, (0x110000 - 0x10000) / 64 * 2);
}

static void one_wrong_byte_is_seen_at_every_place(void **state)
{
    (void)state;
    for (size_t length = 1; length < 40; length++) {
        for (size_t wrong = 0; wrong < length; wrong++) {
            unsigned char text[40];
            memset(text, 'a', sizeof(text));
            assert_true(is_utf8(text, length));
            text[wrong] = 0xff;
            assert_false(is_utf8(text, length));
            text[wrong] = 0xc3; /* cut at the end, or without its second byte */
            assert_false(is_utf8(text, length));
        }
    }
    assert_true(azfn__span_is_utf8(absent));
    assert_true(azfn__span_is_utf8(azfn_span_of("")));
}

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_string_equal(azfn_error_name(AZFN_OK), "AZFN_OK");
    assert_string_equal(azfn_error_name(AZFN_ERROR_LIMIT), "AZFN_ERROR_LIMIT");
    assert_string_equal(azfn_error_text(AZFN_ERROR_LIMIT), "a limit was reached");
    for (int i = 0; i <= (int)AZFN_ERROR_SYSTEM; i++) {
        assert_non_null(azfn_error_text((enum azfn_error)i));
        assert_memory_equal(azfn_error_name((enum azfn_error)i), "AZFN_", 5);
    }
    assert_string_equal(azfn_error_text((enum azfn_error)((int)AZFN_ERROR_SYSTEM + 1)), "unknown error");
    assert_string_equal(azfn_error_name((enum azfn_error)((int)AZFN_ERROR_SYSTEM + 1)), "AZFN_ERROR_UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_empty_are_told_apart),
        cmocka_unit_test(equal_means_the_same_bytes),
        cmocka_unit_test(case_is_ignored_in_ascii_only),
        cmocka_unit_test(a_prefix_is_not_longer_than_the_text),
        cmocka_unit_test(blanks_and_tabs_are_trimmed),
        cmocka_unit_test(a_span_is_cut_from_an_offset),
        cmocka_unit_test(a_span_is_printed_whole),
        cmocka_unit_test(every_code_point_but_a_surrogate_is_utf8),
        cmocka_unit_test(nothing_else_is_utf8),
        cmocka_unit_test(one_wrong_byte_is_seen_at_every_place),
        cmocka_unit_test(every_error_has_a_name_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
