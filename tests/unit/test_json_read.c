#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T(literal) {literal, sizeof(literal) - 1}
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* A copy without a byte behind it: a read beyond the end is then seen by the sanitizer. */
static struct azfn_span copy_exactly(struct azfn_span text)
{
    char *copy = malloc(text.length > 0 ? text.length : 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.length);
    return azfn__span(copy, text.length);
}

static void free_copy(struct azfn_span copy)
{
    free((char *)(uintptr_t)copy.data);
}

static void assert_span(struct azfn_span actual, struct azfn_span expected)
{
    if (!actual.data || !azfn__span_equal(actual, expected)) {
        fail_msg("%.*s, not %.*s", AZFN_SPAN_ARGS(actual), AZFN_SPAN_ARGS(expected));
    }
}

static void a_value_has_the_type_of_its_first_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum azfn__json_type type;
    } cases[] = {
        {"null", AZFN__JSON_NULL},       {"true", AZFN__JSON_TRUE},     {"false", AZFN__JSON_FALSE},
        {"0", AZFN__JSON_NUMBER},        {"-1", AZFN__JSON_NUMBER},     {"9e9", AZFN__JSON_NUMBER},
        {"\"\"", AZFN__JSON_STRING},     {"[]", AZFN__JSON_ARRAY},      {" \t\r\n {}", AZFN__JSON_OBJECT},
        {"", AZFN__JSON_NONE},           {"  ", AZFN__JSON_NONE},       {"x", AZFN__JSON_NONE},
        {"]", AZFN__JSON_NONE},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn_span copy = copy_exactly(azfn_span_of(cases[i].text));
        assert_int_equal(azfn__json_type_of(copy), cases[i].type);
        free_copy(copy);
    }
    assert_int_equal(azfn__json_type_of((struct azfn_span){0}), AZFN__JSON_NONE);
}

static void write_walk(struct azfn__json_walk walk, char *out, size_t size)
{
    size_t length = 0;
    out[0] = '\0';
    while (azfn__json_walk_next(&walk)) {
        assert_int_equal(walk.is_object, walk.name.data != NULL);
        length += (size_t)snprintf(out + length, size - length, "%.*s>%.*s|", AZFN_SPAN_ARGS(walk.name),
                                   AZFN_SPAN_ARGS(walk.value));
    }
    assert_false(azfn__json_walk_next(&walk));
    assert_null(walk.name.data);
    assert_null(walk.value.data);
}

static void a_walk_gives_each_member_or_item_once(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"[]", ""},
        {"{}", ""},
        {" [ ] ", ""},
        {"[1]", ">1|"},
        {"[1,2.5e-3,-4]", ">1|>2.5e-3|>-4|"},
        {" [ 1 , \"a,]b\" , [ 2 , [ ] ] , { \"x\" : [ 3 ] } , null ] ", ">1|>\"a,]b\"|>[ 2 , [ ] ]|>{ \"x\" : [ 3 ] }|>null|"},
        {"{\"a\":1,\"b\":[{}],\"a\":\"\\\"}\"}", "\"a\">1|\"b\">[{}]|\"a\">\"\\\"}\"|"},
        {"{ \"a\\\"\" :\n{\"b\":{\"c\":\"]\"}} , \"\":false}", "\"a\\\"\">{\"b\":{\"c\":\"]\"}}|\"\">false|"},
        {"[[[[[[[[[[1]]]]]]]]],\"\\\\\",\"0123456789abcdef\\\\\"]", ">[[[[[[[[[1]]]]]]]]]|>\"\\\\\"|>\"0123456789abcdef\\\\\"|"},
        {"[\"1234567\\\"\",\"12345678\\\"\",\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\\\"\"]",
         ">\"1234567\\\"\"|>\"12345678\\\"\"|>\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\\\"\"|"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[512];
        struct azfn_span copy = copy_exactly(azfn_span_of(cases[i].text));
        assert_int_equal(azfn__json_scan(copy, NULL, NULL), AZFN_OK);
        write_walk(azfn__json_walk(copy), out, sizeof(out));
        assert_string_equal(out, cases[i].expected);
        free_copy(copy);
    }
}

static void what_is_no_container_has_no_steps(void **state)
{
    (void)state;
    static const char *const texts[] = {"null", "1", "\"[1]\"", "", "  "};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct azfn__json_walk walk = azfn__json_walk(azfn_span_of(texts[i]));
        assert_false(azfn__json_walk_next(&walk));
    }
    struct azfn__json_walk walk = azfn__json_walk((struct azfn_span){0});
    assert_false(azfn__json_walk_next(&walk));
}

static void a_walk_goes_on_from_its_cursor(void **state)
{
    (void)state;
    struct azfn_span array = azfn_span_of("  [ 10, [20], \"30\" ,{} ] ");
    static const char *const items[] = {"10", "[20]", "\"30\"", "{}"};
    size_t cursor = 0;
    for (size_t i = 0; i < COUNT(items); i++) {
        struct azfn__json_walk walk = azfn__json_walk_from(array, cursor);
        assert_true(azfn__json_walk_next(&walk));
        assert_span(walk.value, azfn_span_of(items[i]));
        cursor = azfn__json_walk_cursor(&walk, array);
    }
    for (int i = 0; i < 3; i++) {
        struct azfn__json_walk walk = azfn__json_walk_from(array, cursor);
        assert_false(azfn__json_walk_next(&walk));
        cursor = azfn__json_walk_cursor(&walk, array);
    }
    struct azfn__json_walk beyond = azfn__json_walk_from(array, array.length + 1);
    assert_false(azfn__json_walk_next(&beyond));
}

static void any_cursor_is_safe(void **state)
{
    (void)state;
    struct azfn_span copy = copy_exactly(azfn_span_of("{\"a\":[1,\"\\\"\"],\"b\":{\"c\":\"\\\\\"}}"));
    for (size_t cursor = 0; cursor <= copy.length + 1; cursor++) {
        char out[512];
        write_walk(azfn__json_walk_from(copy, cursor), out, sizeof(out));
    }
    free_copy(copy);
}

static void a_member_is_found_by_its_decoded_name(void **state)
{
    (void)state;
    struct azfn_span object = azfn_span_of("{\"a\":1, \"\\u0062\" : 2 ,\"c\\\\d\":3,\"\":4,\"A\":5,\"e\\u0000f\":6,\"\xc3\xa9\":[7]}");
    static const struct {
        struct azfn_span name;
        const char *value;
    } cases[] = {
        {T("a"), "1"}, {T("b"), "2"}, {T("c\\d"), "3"}, {T(""), "4"}, {T("A"), "5"}, {T("e\0f"), "6"}, {T("\xc3\xa9"), "[7]"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_span(azfn__json_member(object, cases[i].name), azfn_span_of(cases[i].value));
    }
    assert_null(azfn__json_member(object, azfn_span_of("x")).data);
    assert_null(azfn__json_member(object, azfn_span_of("\\u0062")).data);
    assert_null(azfn__json_member(object, azfn_span_of("aa")).data);
    assert_null(azfn__json_member(azfn_span_of("{}"), azfn_span_of("a")).data);
}

static void of_repeated_names_the_last_one_counts(void **state)
{
    (void)state;
    struct azfn_span object = azfn_span_of("{\"a\":1,\"b\":{\"a\":9},\"\\u0061\":2,\"a\" :3 ,\"c\":{\"a\":8}}");
    assert_span(azfn__json_member(object, azfn_span_of("a")), azfn_span_of("3"));
}

static void what_is_no_object_has_no_members(void **state)
{
    (void)state;
    static const char *const texts[] = {"[\"a\",1]", "\"a\"", "[{\"a\":1}]", "1", ""};
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_null(azfn__json_member(azfn_span_of(texts[i]), azfn_span_of("a")).data);
    }
    assert_null(azfn__json_member((struct azfn_span){0}, azfn_span_of("a")).data);
}

static const struct {
    struct azfn_span raw;
    struct azfn_span text;
} decoded[] = {
    {T("\"\""), T("")},
    {T(" \"a\" "), T("a")},
    {T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), T("\"\\/\b\f\n\r\t")},
    {T("\"\\u0041\\u00e9\\u20AC\\u0000\\u007f\""), T("A\xc3\xa9\xe2\x82\xac\0\x7f")},
    {T("\"\\u07ff\\u0800\\uffff\""), T("\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
    {T("\"\\ud83d\\ude00\""), T("\xf0\x9f\x98\x80")},
    {T("\"\\uD800\\uDC00\\uDBFF\\uDFFF\""), T("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
    {T("\"\\ud800\""), T("\xef\xbf\xbd")},
    {T("\"\\udc00\""), T("\xef\xbf\xbd")},
    {T("\"\\udc00\\ud800\""), T("\xef\xbf\xbd\xef\xbf\xbd")},
    {T("\"\\ud800\\ud800\\udc00\""), T("\xef\xbf\xbd\xf0\x90\x80\x80")},
    {T("\"\\ud800x\\udc00\""), T("\xef\xbf\xbdx\xef\xbf\xbd")},
    {T("\"\\ud800\\n\\ud800\\u0041\""), T("\xef\xbf\xbd\n\xef\xbf\xbd" "A")},
    {T("\"\\ud800\\ue000\""), T("\xef\xbf\xbd\xee\x80\x80")},
    {T("\"plain and long enough for words \xc3\xa9\\n and more of it\""), T("plain and long enough for words \xc3\xa9\n and more of it")},
    {T("\"\\\\u0041\""), T("\\u0041")},
    {T("\"{\\\"a\\\":\\\"\\\\\\\"\\\"}\""), T("{\"a\":\"\\\"\"}")},
};

static void strings_are_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(decoded); i++) {
        struct azfn_span raw = copy_exactly(decoded[i].raw);
        assert_int_equal(azfn__json_scan(raw, NULL, NULL), AZFN_OK);
        struct azfn__buffer out;
        azfn__buffer_init(&out, 1024);
        azfn__buffer_append_text(&out, "<");
        assert_true(azfn__json_string_decode(raw, &out));
        assert_span(azfn__span_from(azfn__buffer_span(&out), 1), decoded[i].text);
        azfn__buffer_clean_up(&out);
        free_copy(raw);
    }
}

static void strings_are_compared_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(decoded); i++) {
        struct azfn_span raw = copy_exactly(decoded[i].raw);
        for (size_t k = 0; k < COUNT(decoded); k++) {
            struct azfn_span text = copy_exactly(decoded[k].text);
            assert_int_equal(azfn__json_string_equals(raw, text), azfn__span_equal(decoded[i].text, decoded[k].text));
            free_copy(text);
        }
        free_copy(raw);
    }
    assert_false(azfn__json_string_equals(azfn_span_of("\"ab\""), azfn_span_of("a")));
    assert_false(azfn__json_string_equals(azfn_span_of("\"ab\""), azfn_span_of("abc")));
    assert_false(azfn__json_string_equals(azfn_span_of("\"a\\n\""), azfn_span_of("a\n\n")));
    assert_false(azfn__json_string_equals(azfn_span_of("1"), azfn_span_of("1")));
    assert_false(azfn__json_string_equals((struct azfn_span){0}, azfn_span_of("")));
}

static void a_string_without_escapes_is_seen_without_copying(void **state)
{
    (void)state;
    struct azfn_span raw = azfn_span_of("\"a \xc3\xa9\"");
    struct azfn_span view = azfn__json_string_view(raw);
    assert_span(view, azfn_span_of("a \xc3\xa9"));
    assert_ptr_equal(view.data, raw.data + 1);
    view = azfn__json_string_view(azfn_span_of("\"\""));
    assert_non_null(view.data);
    assert_int_equal(view.length, 0);
    static const char *const none[] = {"\"a\\n\"", "1", "", "\"", "null", "[\"a\"]"};
    for (size_t i = 0; i < COUNT(none); i++) {
        assert_null(azfn__json_string_view(azfn_span_of(none[i])).data);
    }
}

static void what_is_no_string_is_not_decoded(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1", "\"", "null", "[\"a\"]", "\"\\\"", "\"\\x\"", "\"ab\\u12\"", "\"\\u12g4\"", "\"\\u@000\"",
                                        "a\"", "\"a"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct azfn_span raw = copy_exactly(azfn_span_of(texts[i]));
        struct azfn__buffer out;
        azfn__buffer_init(&out, 1024);
        assert_false(azfn__json_string_decode(raw, &out));
        assert_int_equal(out.length, 0);
        assert_false(out.has_failed);
        azfn__buffer_clean_up(&out);
        free_copy(raw);
    }
}

static void a_string_fits_into_exactly_its_decoded_length_or_not_at_all(void **state)
{
    (void)state;
    struct azfn_span raw = azfn_span_of("\"ab\\u00e9\\n\\ud83d\\ude00cd\"");
    const size_t decoded_length = 11;
    for (size_t max = 0; max <= decoded_length + 1; max++) {
        struct azfn__buffer out;
        azfn__buffer_init(&out, max);
        assert_int_equal(azfn__json_string_decode(raw, &out), max >= decoded_length);
        assert_int_equal(out.has_failed, max < decoded_length);
        assert_int_equal(out.length, max < decoded_length ? 0 : decoded_length);
        assert_false(max < decoded_length && azfn__json_string_decode(azfn_span_of("\"\""), &out));
        azfn__buffer_clean_up(&out);
    }
}

static void strings_are_decoded_where_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(decoded); i++) {
        struct azfn_span raw = copy_exactly(decoded[i].raw);
        assert_span(azfn__json_string_decode_in_place((char *)(uintptr_t)raw.data, raw.length), decoded[i].text);
        free_copy(raw);
    }
    char none[] = "\"ab\\x\"";
    assert_null(azfn__json_string_decode_in_place(none, sizeof(none) - 1).data);
    assert_null(azfn__json_string_decode_in_place(none, 1).data);
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
    return (*seed >> 8) % below;
}

/* Up to 120 pieces of a string's inside, most of them plain. */
static void append_inside(struct azfn__buffer *out, uint32_t *seed)
{
    static const char *const pieces[] = {"\\\"", "\\\\", "\\u00e9", "\\n", "\xc3\xa9", "{", "}", "[", "]", ","};
    for (uint32_t left = draw(seed, 120); left > 0; left--) {
        uint32_t piece = draw(seed, 3 * COUNT(pieces));
        azfn__buffer_append_text(out, piece < COUNT(pieces) ? pieces[piece] : &"plain"[draw(seed, 5)]);
    }
}

static void a_string_decodes_the_same_into_a_buffer_and_where_it_stands(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 500; round++) {
        struct azfn__buffer raw, out;
        azfn__buffer_init(&raw, 4096);
        azfn__buffer_init(&out, 4096);
        azfn__buffer_append_text(&raw, "\"");
        append_inside(&raw, &seed);
        azfn__buffer_append_text(&raw, "\"");
        assert_int_equal(azfn__json_scan(azfn__buffer_span(&raw), NULL, NULL), AZFN_OK);
        assert_true(azfn__json_string_decode(azfn__buffer_span(&raw), &out));
        assert_true(azfn__json_string_equals(azfn__buffer_span(&raw), azfn__buffer_span(&out)));
        assert_span(azfn__json_string_decode_in_place(raw.data, raw.length), azfn__buffer_span(&out));
        azfn__buffer_clean_up(&raw);
        azfn__buffer_clean_up(&out);
    }
}

static void nothing_of_a_decoded_string_stays_behind_it(void **state)
{
    (void)state;
    static const char raw[] = "\"\\n\\n\\n\\n\\n\\nsecret\\n\\n\"";
    struct azfn__buffer out;
    azfn__buffer_init(&out, 64);
    assert_true(azfn__buffer_reserve(&out, 64));
    memset(out.data, 0, out.capacity);
    assert_true(azfn__json_string_decode(azfn_span_of(raw), &out));
    for (size_t i = out.length; i < out.capacity; i++) {
        assert_int_equal(out.data[i], 0);
    }
    azfn__buffer_clean_up(&out);
}

/* Brackets, quotes and backslashes at all places of what is looked at together. */
static void a_container_is_passed_over_whatever_is_in_it(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (int round = 0; round < 1000; round++) {
        struct azfn__buffer text;
        azfn__buffer_init(&text, 1 << 16);
        for (uint32_t blanks = draw(&seed, 70); blanks > 0; blanks--) {
            azfn__buffer_append_char(&text, ' ');
        }
        azfn__buffer_append_text(&text, "[");
        size_t start = text.length;
        uint32_t depth = 1 + draw(&seed, 90);
        for (uint32_t i = 0; i < depth; i++) {
            azfn__buffer_append_text(&text, draw(&seed, 2) ? "[[]," : "[{\"a{\":{}},");
        }
        azfn__buffer_append_text(&text, "\"");
        append_inside(&text, &seed);
        azfn__buffer_append_text(&text, "\"");
        for (uint32_t i = 0; i < depth; i++) {
            azfn__buffer_append_text(&text, draw(&seed, 4) ? "]" : ",\"]\"]");
        }
        size_t length = text.length - start;
        azfn__buffer_append_text(&text, ",\"]\",7]");
        struct azfn_span copy = copy_exactly(azfn__buffer_span(&text));
        assert_int_equal(azfn__json_scan(copy, NULL, NULL), AZFN_OK);
        struct azfn__json_walk walk = azfn__json_walk(copy);
        assert_true(azfn__json_walk_next(&walk));
        assert_span(walk.value, azfn__span(copy.data + start, length));
        assert_true(azfn__json_walk_next(&walk));
        assert_span(walk.value, azfn_span_of("\"]\""));
        assert_true(azfn__json_walk_next(&walk));
        assert_span(walk.value, azfn_span_of("7"));
        free_copy(copy);
        azfn__buffer_clean_up(&text);
    }
}

static void integers_are_exact(void **state)
{
    (void)state;
    const enum azfn_error syntax = AZFN_ERROR_SYNTAX, range = AZFN_ERROR_RANGE;
    const struct {
        const char *text;
        enum azfn_error signed_error;
        int64_t signed_value;
        enum azfn_error unsigned_error;
        uint64_t unsigned_value;
    } cases[] = {
        {"0", AZFN_OK, 0, AZFN_OK, 0},
        {"-0", AZFN_OK, 0, AZFN_OK, 0},
        {"1", AZFN_OK, 1, AZFN_OK, 1},
        {" 42\n", AZFN_OK, 42, AZFN_OK, 42},
        {"-1", AZFN_OK, -1, range, 0},
        {"9007199254740993", AZFN_OK, 9007199254740993, AZFN_OK, 9007199254740993u},
        {"-9007199254740993", AZFN_OK, -9007199254740993, range, 0},
        {"9223372036854775807", AZFN_OK, INT64_MAX, AZFN_OK, INT64_MAX},
        {"9223372036854775808", range, 0, AZFN_OK, (uint64_t)INT64_MAX + 1},
        {"-9223372036854775807", AZFN_OK, -INT64_MAX, range, 0},
        {"-9223372036854775808", AZFN_OK, INT64_MIN, range, 0},
        {"-9223372036854775809", range, 0, range, 0},
        {"18446744073709551615", range, 0, AZFN_OK, UINT64_MAX},
        {"18446744073709551616", range, 0, range, 0},
        {"18446744073709551620", range, 0, range, 0},
        {"99999999999999999999", range, 0, range, 0},
        {"-99999999999999999999999999", range, 0, range, 0},
        {"100000000000000000000000000000000000000000", range, 0, range, 0},
        {"1.0", syntax, 0, syntax, 0},
        {"1e3", syntax, 0, syntax, 0},
        {"1E0", syntax, 0, syntax, 0},
        {"-0.0", syntax, 0, syntax, 0},
        {"99999999999999999999.5", syntax, 0, syntax, 0},
        {"", syntax, 0, syntax, 0},
        {"-", syntax, 0, syntax, 0},
        {"+1", syntax, 0, syntax, 0},
        {"01", syntax, 0, syntax, 0},
        {"-01", syntax, 0, syntax, 0},
        {"--1", syntax, 0, syntax, 0},
        {"1 2", syntax, 0, syntax, 0},
        {"\"1\"", syntax, 0, syntax, 0},
        {"null", syntax, 0, syntax, 0},
        {"[1]", syntax, 0, syntax, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn_span copy = copy_exactly(azfn_span_of(cases[i].text));
        int64_t signed_value = 77;
        uint64_t unsigned_value = 77;
        assert_int_equal(azfn__json_int64(copy, &signed_value), cases[i].signed_error);
        assert_int_equal(azfn__json_uint64(copy, &unsigned_value), cases[i].unsigned_error);
        assert_true(signed_value == (cases[i].signed_error == AZFN_OK ? cases[i].signed_value : 77));
        assert_true(unsigned_value == (cases[i].unsigned_error == AZFN_OK ? cases[i].unsigned_value : 77));
        free_copy(copy);
    }
    int64_t value = 0;
    assert_int_equal(azfn__json_int64((struct azfn_span){0}, &value), AZFN_ERROR_SYNTAX);
}

static void strings_are_quoted(void **state)
{
    (void)state;
    static const struct {
        struct azfn_span text;
        struct azfn_span quoted;
    } cases[] = {
        {T(""), T("\"\"")},
        {T("abc"), T("\"abc\"")},
        {T("\"\\/"), T("\"\\\"\\\\/\"")},
        {T("\b\f\n\r\t"), T("\"\\b\\f\\n\\r\\t\"")},
        {T("\0\x01\x1f\x7f"), T("\"\\u0000\\u0001\\u001f\\u007f\"")},
        {T("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), T("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")},
        {T("a\xe2\x80\xa8" "b\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xa7"), T("\"a\\u2028b\\u2029\xe2\x80\xaa\xe2\x80\xa7\"")},
        {T("\x80"), T("\"\xef\xbf\xbd\"")},
        {T("a\xffz\xc3"), T("\"a\xef\xbf\xbdz\xef\xbf\xbd\"")},
        {T("\xe2\x82"), T("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
        {T("\xe2\x80"), T("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
        {T("\xe2\x80x"), T("\"\xef\xbf\xbd\xef\xbf\xbdx\"")},
        {T("\xed\xa0\x80"), T("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
        {T("0123456\n789"), T("\"0123456\\n789\"")},
        {T("01234567\x7f" "0123456789"), T("\"01234567\\u007f0123456789\"")},
        {T("{\"a\":\"b\"}"), T("\"{\\\"a\\\":\\\"b\\\"}\"")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn_span text = copy_exactly(cases[i].text);
        struct azfn__buffer out;
        azfn__buffer_init(&out, 1024);
        azfn__json_append_string(&out, text);
        assert_span(azfn__buffer_span(&out), cases[i].quoted);
        assert_int_equal(azfn__json_scan(azfn__buffer_span(&out), NULL, NULL), AZFN_OK);
        azfn__buffer_clean_up(&out);
        free_copy(text);
    }
    struct azfn__buffer out;
    azfn__buffer_init(&out, 2);
    azfn__json_append_string(&out, (struct azfn_span){0});
    assert_span(azfn__buffer_span(&out), azfn_span_of("\"\""));
    azfn__buffer_clean_up(&out);
}

static void a_quoted_string_decodes_to_itself_at_every_offset(void **state)
{
    (void)state;
    static const char text[] = "x\xc3\xa9\"y\\z\n\xe2\x80\xa8\xf0\x9f\x98\x80\x7f\0end of the text";
    for (size_t from = 0; from < sizeof(text); from++) {
        struct azfn_span piece = azfn__span(text + from, sizeof(text) - from);
        if (!azfn__span_is_utf8(piece)) {
            continue;
        }
        struct azfn__buffer quoted, back;
        azfn__buffer_init(&quoted, 1024);
        azfn__buffer_init(&back, 1024);
        azfn__json_append_string(&quoted, piece);
        assert_int_equal(azfn__json_scan(azfn__buffer_span(&quoted), NULL, NULL), AZFN_OK);
        assert_true(azfn__json_string_decode(azfn__buffer_span(&quoted), &back));
        assert_span(azfn__buffer_span(&back), piece);
        assert_true(azfn__json_string_equals(azfn__buffer_span(&quoted), piece));
        azfn__buffer_clean_up(&quoted);
        azfn__buffer_clean_up(&back);
    }
}

static void quoting_fails_where_the_buffer_ends(void **state)
{
    (void)state;
    for (size_t max = 0; max < 12; max++) {
        struct azfn__buffer out;
        azfn__buffer_init(&out, max);
        azfn__json_append_string(&out, azfn_span_of("a\x01\"b")); /* "a\u0001\"b", quoted: 12 bytes */
        assert_int_equal(out.has_failed, max < 12);
        assert_true(out.length <= max);
        azfn__buffer_clean_up(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_has_the_type_of_its_first_byte),
        cmocka_unit_test(a_walk_gives_each_member_or_item_once),
        cmocka_unit_test(what_is_no_container_has_no_steps),
        cmocka_unit_test(a_walk_goes_on_from_its_cursor),
        cmocka_unit_test(any_cursor_is_safe),
        cmocka_unit_test(a_member_is_found_by_its_decoded_name),
        cmocka_unit_test(of_repeated_names_the_last_one_counts),
        cmocka_unit_test(what_is_no_object_has_no_members),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(strings_are_compared_decoded),
        cmocka_unit_test(a_string_without_escapes_is_seen_without_copying),
        cmocka_unit_test(what_is_no_string_is_not_decoded),
        cmocka_unit_test(a_string_fits_into_exactly_its_decoded_length_or_not_at_all),
        cmocka_unit_test(strings_are_decoded_where_they_stand),
        cmocka_unit_test(a_string_decodes_the_same_into_a_buffer_and_where_it_stands),
        cmocka_unit_test(nothing_of_a_decoded_string_stays_behind_it),
        cmocka_unit_test(a_container_is_passed_over_whatever_is_in_it),
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(strings_are_quoted),
        cmocka_unit_test(a_quoted_string_decodes_to_itself_at_every_offset),
        cmocka_unit_test(quoting_fails_where_the_buffer_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
