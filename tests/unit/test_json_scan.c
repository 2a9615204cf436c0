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

/* clang-format off */
static const struct azfn_span accepted[] = {
    /* values on their own */
    T("null"), T("true"), T("false"), T("0"), T("-0"), T("7"), T("\"\""), T("\"a\""), T("[]"), T("{}"),
    /* blanks */
    T(" null"), T("null "), T("\t\n\r null\r\n\t "), T("[ ]"), T("{ }"), T("[\n1\n,\n2\n]"), T("[1 ]"), T(" [] "),
    T("{\t\"a\"\t:\t1\t}"), T("{ \"a\" : [ 1 , 2 ] , \"b\" : { } }"), T("[]\n\n\n\n\n\n\n\n\n\n\n\n"),
    /* numbers */
    T("1"), T("-1"), T("10"), T("123456789"), T("-123"), T("0.0"), T("0.1"), T("-0.1"), T("1.0"), T("1.000"),
    T("0e1"), T("0E1"), T("0e+1"), T("0e-1"), T("0e01"), T("1e5"), T("1E5"), T("1e+5"), T("1e-5"), T("1E-05"),
    T("1.5e10"), T("-1.5E-10"), T("-0e0"), T("-0.0e-0"), T("123.456e78"), T("1e400"), T("-1e-400"),
    T("0.4e0066999999999999999999999999999999999999999999999999"), T("123456789012345678901234567890"),
    T("18446744073709551615"), T("-9223372036854775808"), T("[0,-0,1,-1,1.5,1e3]"), T("[1,2]"),
    T("-0.00000000000000000000000000000000000000000000000000000000000000000001"),
    /* strings */
    T("\"\\\"\""), T("\"\\\\\""), T("\"\\/\""), T("\"/\""), T("\"\\b\\f\\n\\r\\t\""), T("\"\\u0000\""), T("\"\\u00e9\""),
    T("\"\\uABCD\""), T("\"\\uabcd\""), T("\"\\ud834\\udd1e\""), T("\"\\uD834\\uDD1E\""), T("\"\\u005C\""),
    T("\"\\u0022\""), T("\"\\\\u0000\""), T("\"\\\\n\""), T("\"\\\"\\\\\\\"\""), T("\"a/*b*/c/*d//e\""), T("\"\x7f\""),
    T("\" \""), T("\"'\""), T("\"\\uFFFE\""), T("\"\\uFFFF\""), T("\"\\u2028\""), T("\"[]{}:,\""),
    T("\"0123456\""), T("\"01234567\""), T("\"012345678\""), T("\"0123456\\n\""), T("\"01234567\\\"89012345\""),
    T("\"0123456789012345678901234567890123456789012345678901234567890123456789\""),
    /* surrogates alone: allowed by the grammar */
    T("\"\\ud800\""), T("\"\\udc00\""), T("\"\\ud800\\ud800\""), T("\"\\udc00\\ud800\""), T("\"\\uDFFFa\""),
    T("\"\\ud800\\n\""), T("\"\\ud800abc\""), T("\"\\uD800\\u0041\""),
    /* UTF-8 */
    T("\"\xc2\x80\""), T("\"\xdf\xbf\""), T("\"\xe0\xa0\x80\""), T("\"\xed\x9f\xbf\""), T("\"\xee\x80\x80\""),
    T("\"\xef\xbf\xbf\""), T("\"\xef\xbf\xbe\""), T("\"\xf0\x90\x80\x80\""), T("\"\xf4\x8f\xbf\xbf\""),
    T("\"\xe2\x80\xa8\xe2\x80\xa9\""), T("\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\""), T("\"\xef\xbb\xbf\""),
    T("\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80 mixed \xe2\x82\xac\""), T("{\"\xc3\xa9\":\"\xc3\xa9\"}"), T("\"1234567\xc3\xa9\""),
    /* arrays and objects */
    T("[[]]"), T("[[],[]]"), T("[{}]"), T("[null]"), T("[\"\"]"), T("[\"a\",\"b\"]"), T("[[[[[]]]]]"), T("[1,[2,[3]],4]"),
    T("[{},{},[]]"), T("{\"a\":1}"), T("{\"\":0}"), T("{\"a\":1,\"a\":1}"), T("{\"a\":1,\"a\":2}"), T("{\"a\":{}}"),
    T("{\"a\":[]}"), T("{\"a\":{\"b\":{\"c\":{}}}}"), T("{\"a\\u0000b\":1}"), T("{\"a\":null,\"b\":true,\"c\":false}"),
    T("{\"a\":[{\"b\":[{}]}]}"), T("{\"\\ud800\":1}"), T("[null,1,\"1\",{}]"), T("{\"x\":[{\"id\":\"0123456789012345678\"}]}"),
    T("{\"min\":-1.0e+28,\"max\":1.0e+28}"), T("[true,false,null]"),
};

static const struct azfn_span refused[] = {
    /* nothing, or more than one */
    T(""), T(" "), T("\n"), T("\0"), T("1 2"), T("[] []"), T("{}{}"), T("nullnull"), T("null,"), T("1,"), T("[]x"), T("{}#"),
    T("\"\"\"\""), T("\"a\"b"), T("[1]]"), T("{\"a\":1}}"), T("1]"), T(","), T(":"), T("[]\0"), T("1\0"), T("{} {"), T("a"),
    /* byte order marks and other encodings */
    T("\xef\xbb\xbf{}"), T("\xef\xbb\xbf"), T("\xef\xbb{}"), T("\xff\xfe[\0]\0"), T("\0[\0]"), T("\xfe\xff\0[\0]"), T("[]\xef\xbb\xbf"),
    /* blanks that are none */
    T("\f[]"), T("[\f]"), T("\v1"), T("[\v1]"), T("\xc2\xa0[]"), T("[\xe2\x80\x83]"), T("\xe2\x81\xa0[]"), T("[\0]"), T("[1\x1f]"),
    /* words */
    T("nul"), T("tru"), T("fals"), T("n"), T("t"), T("f"), T("NULL"), T("True"), T("FALSE"), T("nulll"), T("truee"), T("undefined"),
    T("[nul]"), T("[truth]"), T("[fals,1]"), T("nan"), T("NaN"), T("Infinity"), T("-Infinity"), T("[NaN]"), T("-nan"), T("inf"),
    /* numbers */
    T("+1"), T("-"), T("--1"), T("-+1"), T("01"), T("-01"), T("00"), T("-00"), T("012"), T("1."), T("-1."), T(".5"), T("-.5"), T("."),
    T("1.e1"), T("1..2"), T("1.2.3"), T("1e"), T("1E"), T("1e+"), T("1e-"), T("1e+-1"), T("1e1.5"), T("1ee1"), T("e1"), T("1e1e1"),
    T("0x1"), T("0x"), T("1a"), T("1-1"), T("- 1"), T("1 e1"), T("1_000"), T("1,000"), T("0e"), T("0e+"), T("0.e1"), T("2.e3"), T("0.3e"),
    T("[1 000.0]"), T("[+1]"), T("[-]"), T("[-a]"), T("[01]"), T("[1.]"), T("[.1]"), T("[0.]"), T("[1e]"), T("[1.0e+]"), T("[0e+-1]"),
    T("\xef\xbc\x91"), T("1\xc2\xa0"), T("-x"), T("[1+2]"), T("0b1"), T("1f"), T("9.3e+"),
    /* strings */
    T("\""), T("\"a"), T("\"\\\""), T("\"\\"), T("'a'"), T("a\""), T("\"\\x\""), T("\"\\a\""), T("\"\\v\""), T("\"\\0\""), T("\"\\'\""),
    T("\"\\U0041\""), T("\"\\u\""), T("\"\\u1\""), T("\"\\u12\""), T("\"\\u123\""), T("\"\\u123g\""), T("\"\\u 123\""), T("\"\\u-123\""),
    T("\"\\u+123\""), T("\"\\u00"), T("\"\\u0041"), T("\"\\ud834\\u\""), T("\"\\ud834\\udd\""), T("\"\\ud800\\x\""), T("\"\\u@ABC\""),
    T("\"\\u`abc\""), T("\"\\u0g00\""), T("\"\\u00g0\""), T("\"\\u000g\""), T("\"\\u:abc\""), T("\"\\u/abc\""), T("\"\\uGHIJ\""), T("\"\\\n\""), T("\"\\ \""), T("\"\\\xc3\xa9\""),
    T("\"\0\""), T("\"\n\""), T("\"\t\""), T("\"\r\""), T("\"\x01\""), T("\"\x1f\""), T("\"a\0b\""), T("\"0123456\n\""), T("\"01234567\x1f\""),
    T("\"0123456789\t0123456789\""), T("\"01234567890123456789012345678901234567890\n\""), T("\"\x08\""),
    /* UTF-8 */
    T("\"\x80\""), T("\"\xbf\""), T("\"\xc0\x80\""), T("\"\xc0\xaf\""), T("\"\xc1\xbf\""), T("\"\xc2\""), T("\"\xc2"), T("\"\xc2 \""),
    T("\"\xc3\xc3\""), T("\"\xe0\x80\x80\""), T("\"\xe0\x9f\xbf\""), T("\"\xe2\x82\""), T("\"\xe2\x82"), T("\"\xe2 \xac\""),
    T("\"\xed\xa0\x80\""), T("\"\xed\xbf\xbf\""), T("\"\xed\xa0\xb4\xed\xb4\x9e\""), T("\"\xf0\x80\x80\x80\""), T("\"\xf0\x8f\xbf\xbf\""),
    T("\"\xf0\x9f\x98\""), T("\"\xf0\x9f\x98"), T("\"\xf4\x90\x80\x80\""), T("\"\xf5\x80\x80\x80\""), T("\"\xf8\x88\x80\x80\x80\""),
    T("\"\xfc\x84\x80\x80\x80\x80\""), T("\"\xfe\""), T("\"\xff\""), T("\xff"), T("[\xff]"), T("{\"\xff\":1}"), T("[\xc3\xa9]"),
    T("\"01234567890123\xe9 latin-1\""), T("\"\xe9\""), T("\"\\u00e9\xe9\""), T("\xc3\xa9"), T("1\xff"),
    /* arrays */
    T("["), T("]"), T("[1"), T("[1,"), T("[1,]"), T("[,1]"), T("[,]"), T("[1,,2]"), T("[1 2]"), T("[1;2]"), T("[\"a\" \"b\"]"), T("[1:2]"),
    T("[\"a\":1]"), T("[[1]"), T("[}"), T("[{]}"), T("[1}"), T("[[]"), T("[\"a\""), T("[\"a\","), T("[1,\n]"), T("(1)"), T("[,\"\"]"),
    /* objects */
    T("{"), T("}"), T("{\"a\""), T("{\"a\":"), T("{\"a\":1"), T("{\"a\":1,"), T("{\"a\":1,}"), T("{,}"), T("{,\"a\":1}"), T("{\"a\" 1}"),
    T("{\"a\"}"), T("{\"a\",\"b\"}"), T("{\"a\"::1}"), T("{\"a\":1:2}"), T("{\"a\":1 \"b\":2}"), T("{\"a\":1;\"b\":2}"), T("{\"a\":1,,\"b\":2}"),
    T("{a:1}"), T("{'a':1}"), T("{1:1}"), T("{null:1}"), T("{[]:1}"), T("{\"a\"=1}"), T("{\"a\":}"), T("{:1}"), T("{]"), T("{\"a\":1]"),
    T("{\"a\":[}]"), T("{\"a\":{}"), T("{\"a\x01\":1}"), T("{\"a\\x\":1}"), T("{\"a\":b}"), T("{\"a\":1 ,}"), T("{{}}"), T("{\"a\":\"b\"#}"),
    /* comments */
    T("//\n1"), T("1//"), T("/**/1"), T("[1/**/]"), T("{\"a\":1/**/}"), T("#\n1"), T("{}//x"), T("[1,#\n2]"), T("<null>"),
};
/* clang-format on */

/* A copy without a byte behind it: a read beyond the end is then seen by the sanitizer. */
static char *copy_exactly(struct azfn_span text)
{
    char *copy = malloc(text.length > 0 ? text.length : 1);
    assert_non_null(copy);
    memcpy(copy, text.data, text.length);
    return copy;
}

static enum azfn_error scan_copy(struct azfn_span text, size_t *out_offset)
{
    char *copy = copy_exactly(text);
    enum azfn_error error = azfn__json_scan(azfn__span(copy, text.length), NULL, out_offset);
    free(copy);
    return error;
}

static void what_rfc_8259_allows_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        size_t offset = 0;
        if (scan_copy(accepted[i], &offset) != AZFN_OK) {
            fail_msg("refused at %zu: %.*s", offset, AZFN_SPAN_ARGS(accepted[i]));
        }
        assert_int_equal(offset, accepted[i].length);
    }
}

static void what_rfc_8259_does_not_allow_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        size_t offset = SIZE_MAX;
        if (scan_copy(refused[i], &offset) != AZFN_ERROR_SYNTAX) {
            fail_msg("accepted: %.*s", AZFN_SPAN_ARGS(refused[i]));
        }
        assert_true(offset <= refused[i].length);
    }
}

/* What is wrong must also be found where it is not the first thing, and at each place in a word. */
static void what_is_refused_alone_is_refused_inside_of_an_array(void **state)
{
    (void)state;
    static const char blanks[] = "                ";
    for (size_t i = 0; i < COUNT(refused); i++) {
        /* in these, a bracket or comma of ours would make it right */
        char last = refused[i].length > 0 ? refused[i].data[refused[i].length - 1] : ' ';
        if (memchr(refused[i].data, ',', refused[i].length) || last == ' ' || last == '\n' || last == '"') {
            continue;
        }
        for (int shift = 0; shift < 9; shift++) {
            char text[256];
            int before = snprintf(text, sizeof(text), "[%.*s", shift, blanks);
            size_t length = (size_t)before;
            memcpy(text + length, refused[i].data, refused[i].length);
            length += refused[i].length;
            memcpy(text + length, ",\"end\"]", 7);
            assert_int_not_equal(scan_copy(azfn__span(text, length + 7), NULL), AZFN_OK);
        }
    }
}

static void an_absent_text_is_refused(void **state)
{
    (void)state;
    size_t offset = 1;
    assert_int_equal(azfn__json_scan((struct azfn_span){0}, NULL, &offset), AZFN_ERROR_SYNTAX);
    assert_int_equal(offset, 0);
    assert_int_equal(azfn__json_scan((struct azfn_span){0}, NULL, NULL), AZFN_ERROR_SYNTAX);
}

static void the_offset_is_where_it_went_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {
        {"", 0}, {"x", 0}, {"[1,]", 3}, {"[1 2]", 3}, {"01", 1}, {"1.", 2}, {"[1.]", 3}, {"{\"a\" 1}", 5}, {"{\"a\":1,}", 7},
        {"\"ab\\x\"", 3}, {"\"ab\n\"", 3}, {"\"abc", 4}, {"\"0123456789\x80\"", 11}, {"[tru]", 1}, {"{} {}", 3}, {"[}", 1}, {"{1}", 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t offset = SIZE_MAX;
        assert_int_equal(scan_copy(azfn_span_of(cases[i].text), &offset), AZFN_ERROR_SYNTAX);
        if (offset != cases[i].offset) {
            fail_msg("%s: %zu, not %zu", cases[i].text, offset, cases[i].offset);
        }
    }
}

/* count times open, then inner, then count times close. */
static struct azfn_span nested(size_t count, const char *open, const char *inner, const char *close)
{
    static char text[4096];
    size_t length = 0;
    for (size_t i = 0; i < 2 * count + 1; i++) {
        const char *piece = i < count ? open : i == count ? inner : close;
        assert_true(length + strlen(piece) <= sizeof(text));
        memcpy(text + length, piece, strlen(piece));
        length += strlen(piece);
    }
    return azfn__span(text, length);
}

static void the_depth_limit_is_exact(void **state)
{
    (void)state;
    const size_t max = AZFN__JSON_MAX_DEPTH;
    assert_int_equal(scan_copy(nested(max, "[", "", "]"), NULL), AZFN_OK);
    assert_int_equal(scan_copy(nested(max, "[", "1", "]"), NULL), AZFN_OK);
    assert_int_equal(scan_copy(nested(max, "{\"a\":", "1", "}"), NULL), AZFN_OK);
    assert_int_equal(scan_copy(nested(max / 2, "[{\"a\":", "1", "}]"), NULL), AZFN_OK);
    assert_int_equal(scan_copy(nested(max - 1, "[[],", "{}", "]"), NULL), AZFN_OK);

    size_t offset = 0;
    assert_int_equal(scan_copy(nested(max + 1, "[", "", "]"), &offset), AZFN_ERROR_LIMIT);
    assert_int_equal(offset, max);
    assert_int_equal(scan_copy(nested(max + 1, "{\"a\":", "1", "}"), NULL), AZFN_ERROR_LIMIT);
    assert_int_equal(scan_copy(nested(max, "[", "{}", "]"), NULL), AZFN_ERROR_LIMIT);
}

static void a_million_open_brackets_are_refused_at_the_limit(void **state)
{
    (void)state;
    char *text = malloc(1000000);
    assert_non_null(text);
    memset(text, '[', 1000000);
    size_t offset = 0;
    assert_int_equal(azfn__json_scan(azfn__span(text, 1000000), NULL, &offset), AZFN_ERROR_LIMIT);
    assert_int_equal(offset, AZFN__JSON_MAX_DEPTH);
    free(text);
}

static void a_bracket_must_be_closed_by_its_own_kind_at_every_depth(void **state)
{
    (void)state;
    for (size_t wrong = 0; wrong < AZFN__JSON_MAX_DEPTH; wrong++) {
        char text[2 * AZFN__JSON_MAX_DEPTH];
        memset(text, '[', AZFN__JSON_MAX_DEPTH);
        memset(text + AZFN__JSON_MAX_DEPTH, ']', AZFN__JSON_MAX_DEPTH);
        text[AZFN__JSON_MAX_DEPTH + wrong] = '}';
        size_t offset = 0;
        assert_int_equal(scan_copy(azfn__span(text, sizeof(text)), &offset), AZFN_ERROR_SYNTAX);
        assert_int_equal(offset, AZFN__JSON_MAX_DEPTH + wrong);
    }
}

static const char sample[] =
    "{\"Data\":{\"order\":\"\\\"a \\u00e9 \xc3\xa9 \\ud83d\\ude00\\\"\",\"req\":{\"Url\":\"http://localhost/api\",\"Query\":{},"
    "\"Headers\":{\"Host\":[\"localhost:7071\"]},\"Body\":\"{}\"}},\n  \"Metadata\" : {\"DequeueCount\":\"1\",\"n\":-12.5e+3,"
    "\"big\":9007199254740993,\"t\":true,\"f\":false,\"z\":null,\"list\":[1,[2,{}],[]]}}";

static void every_prefix_of_a_document_is_refused(void **state)
{
    (void)state;
    const size_t length = sizeof(sample) - 1;
    assert_int_equal(scan_copy(azfn__span(sample, length), NULL), AZFN_OK);
    for (size_t i = 0; i < length; i++) {
        size_t offset = 0;
        assert_int_equal(scan_copy(azfn__span(sample, i), &offset), AZFN_ERROR_SYNTAX);
        assert_true(offset <= i);
    }
    for (size_t i = 1; i <= 5; i++) {
        assert_int_equal(scan_copy(azfn__span("12345", i), NULL), AZFN_OK);
    }
}

static void walk_all(struct azfn_span value, struct azfn__buffer *out, size_t depth)
{
    struct azfn__json_walk walk = azfn__json_walk(value);
    while (depth < 8 && azfn__json_walk_next(&walk)) {
        walk_all(walk.value, out, depth + 1);
    }
    int64_t number = 0;
    bool is_number = azfn__json_int64(value, &number) == AZFN_OK;
    bool is_string = azfn__json_string_decode(value, out);
    assert_false(is_number && is_string);
    azfn__buffer_append_span(out, azfn__json_string_view(value));
    azfn__buffer_append_span(out, azfn__json_member(value, azfn_span_of("Url")));
}

static void no_changed_byte_makes_it_read_elsewhere(void **state)
{
    (void)state;
    struct azfn__buffer out;
    azfn__buffer_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof(sample) - 1; i++) {
        for (int byte = 0; byte < 256; byte++) {
            char *copy = copy_exactly(azfn__span(sample, sizeof(sample) - 1));
            copy[i] = (char)byte;
            struct azfn_span text = azfn__span(copy, sizeof(sample) - 1);
            size_t offset = 0;
            enum azfn_error error = azfn__json_scan(text, NULL, &offset);
            assert_true(error == AZFN_OK ? offset == text.length : offset < text.length || error == AZFN_ERROR_SYNTAX);
            walk_all(text, &out, 0);
            azfn__buffer_reset(&out, 1 << 16);
            free(copy);
        }
    }
    azfn__buffer_clean_up(&out);
}

struct report {
    char text[2048];
    size_t length;
    size_t calls;
    size_t stop_at; /* 0: never */
};

static bool write_member(const struct azfn_span *names, size_t depth, struct azfn_span value, void *user_data)
{
    struct report *report = user_data;
    for (size_t i = 0; i < depth; i++) {
        report->length += (size_t)snprintf(report->text + report->length, sizeof(report->text) - report->length, "/%.*s",
                                           AZFN_SPAN_ARGS(names[i]));
    }
    report->length += (size_t)snprintf(report->text + report->length, sizeof(report->text) - report->length, "=%.*s;",
                                       AZFN_SPAN_ARGS(value));
    report->calls++;
    return report->calls != report->stop_at;
}

static enum azfn_error scan_members(const char *text, size_t depth, struct report *report)
{
    char *copy = copy_exactly(azfn_span_of(text));
    struct azfn__json_scan_options options = {.member_depth = depth, .on_member = write_member, .user_data = report};
    enum azfn_error error = azfn__json_scan(azfn__span(copy, strlen(text)), &options, NULL);
    free(copy);
    return error;
}

static void members_are_reported_with_their_path_innermost_first(void **state)
{
    (void)state;
    struct report report = {0};
    assert_int_equal(scan_members("{\"Data\":{\"a\":1, \"b\" : [ 2 ] } , \"Metadata\":{}}", 2, &report), AZFN_OK);
    assert_string_equal(report.text, "/\"Data\"/\"a\"=1;/\"Data\"/\"b\"=[ 2 ];/\"Data\"={\"a\":1, \"b\" : [ 2 ] };/\"Metadata\"={};");
}

static void members_below_the_asked_depth_are_not_reported(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}";
    static const char *const expected[] = {
        "",
        "/\"a\"={\"b\":{\"c\":{\"d\":{\"e\":1}}}};",
        "/\"a\"/\"b\"={\"c\":{\"d\":{\"e\":1}}};/\"a\"={\"b\":{\"c\":{\"d\":{\"e\":1}}}};",
        "/\"a\"/\"b\"/\"c\"={\"d\":{\"e\":1}};/\"a\"/\"b\"={\"c\":{\"d\":{\"e\":1}}};/\"a\"={\"b\":{\"c\":{\"d\":{\"e\":1}}}};",
    };
    for (size_t depth = 0; depth < COUNT(expected); depth++) {
        struct report report = {0};
        assert_int_equal(scan_members(text, depth, &report), AZFN_OK);
        assert_string_equal(report.text, expected[depth]);
    }
    struct report at_most = {0};
    struct report beyond = {0};
    assert_int_equal(scan_members(text, AZFN__JSON_PATH_MAX, &at_most), AZFN_OK);
    assert_int_equal(at_most.calls, AZFN__JSON_PATH_MAX);
    assert_int_equal(scan_members(text, AZFN__JSON_PATH_MAX + 9, &beyond), AZFN_OK);
    assert_string_equal(at_most.text, beyond.text);
}

static void members_inside_of_arrays_are_not_reported(void **state)
{
    (void)state;
    struct report report = {0};
    assert_int_equal(scan_members("{\"a\":[{\"b\":{\"c\":1}},[{\"d\":2}]],\"e\":{\"f\":[{}]}}", 4, &report), AZFN_OK);
    assert_string_equal(report.text, "/\"a\"=[{\"b\":{\"c\":1}},[{\"d\":2}]];/\"e\"/\"f\"=[{}];/\"e\"={\"f\":[{}]};");
    struct report none = {0};
    assert_int_equal(scan_members("[{\"a\":{\"b\":1}}]", 4, &none), AZFN_OK);
    assert_int_equal(none.calls, 0);
    assert_int_equal(scan_members("\"text\"", 4, &none), AZFN_OK);
    assert_int_equal(none.calls, 0);
}

static void a_name_after_a_deep_one_has_its_own_path(void **state)
{
    (void)state;
    struct report report = {0};
    assert_int_equal(scan_members("{\"a\":{\"x\":{\"y\":[{\"q\":0}]}},\"b\":{\"z\":\"\\u0041\"},\"c\":\"t\"}", 3, &report), AZFN_OK);
    assert_string_equal(report.text, "/\"a\"/\"x\"/\"y\"=[{\"q\":0}];/\"a\"/\"x\"={\"y\":[{\"q\":0}]};/\"a\"={\"x\":{\"y\":[{\"q\":0}]}};"
                                     "/\"b\"/\"z\"=\"\\u0041\";/\"b\"={\"z\":\"\\u0041\"};/\"c\"=\"t\";");
}

static void repeated_names_are_reported_in_their_order(void **state)
{
    (void)state;
    struct report report = {0};
    assert_int_equal(scan_members("{\"a\":1,\"a\":2,\"\":3}", 1, &report), AZFN_OK);
    assert_string_equal(report.text, "/\"a\"=1;/\"a\"=2;/\"\"=3;");
}

static void a_callback_stops_the_scan(void **state)
{
    (void)state;
    struct report report = {.stop_at = 2};
    assert_int_equal(scan_members("{\"a\":1,\"b\":2,\"c\":3}", 1, &report), AZFN_ERROR_STATE);
    assert_int_equal(report.calls, 2);
}

static void what_follows_a_fault_is_not_reported(void **state)
{
    (void)state;
    struct report report = {0};
    assert_int_equal(scan_members("{\"a\":1,\"b\":02,\"c\":3}", 1, &report), AZFN_ERROR_SYNTAX);
    assert_int_equal(report.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_rfc_8259_allows_is_accepted),
        cmocka_unit_test(what_rfc_8259_does_not_allow_is_refused),
        cmocka_unit_test(what_is_refused_alone_is_refused_inside_of_an_array),
        cmocka_unit_test(an_absent_text_is_refused),
        cmocka_unit_test(the_offset_is_where_it_went_wrong),
        cmocka_unit_test(the_depth_limit_is_exact),
        cmocka_unit_test(a_million_open_brackets_are_refused_at_the_limit),
        cmocka_unit_test(a_bracket_must_be_closed_by_its_own_kind_at_every_depth),
        cmocka_unit_test(every_prefix_of_a_document_is_refused),
        cmocka_unit_test(no_changed_byte_makes_it_read_elsewhere),
        cmocka_unit_test(members_are_reported_with_their_path_innermost_first),
        cmocka_unit_test(members_below_the_asked_depth_are_not_reported),
        cmocka_unit_test(members_inside_of_arrays_are_not_reported),
        cmocka_unit_test(a_name_after_a_deep_one_has_its_own_path),
        cmocka_unit_test(repeated_names_are_reported_in_their_order),
        cmocka_unit_test(a_callback_stops_the_scan),
        cmocka_unit_test(what_follows_a_fault_is_not_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
