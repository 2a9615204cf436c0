/* JSON Pointers (RFC 6901): each leads to exactly one place, or to none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_pointer.h"
#include "base/json_scan.h"
#include "base/span.h"

#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct lead {
    const char *json;
    const char *pointer;
    const char *value; /* NULL: nowhere */
};

/* Copies without a byte behind them: a read beyond the end is then seen by the sanitizer. */
static struct azfn_span copy_of(const char *text)
{
    size_t length = strlen(text);
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    return azfn__span(copy, length);
}

static void require_leads(const struct lead *leads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct azfn_span json = copy_of(leads[i].json);
        struct azfn_span pointer = copy_of(leads[i].pointer);
        struct azfn_span found = azfn__json_pointer_follow(json, pointer);
        if (leads[i].value ? !azfn_span_equals(found, leads[i].value) : azfn_span_is_present(found)) {
            fail_msg("%s in %s: found %.*s, expected %s", leads[i].pointer, leads[i].json, AZFN_SPAN_ARGS(found),
                     leads[i].value ? leads[i].value : "nothing");
        }
        free((char *)json.data);
        free((char *)pointer.data);
    }
}

/* Of section 5 of the RFC. */
static void the_examples_of_the_rfc_lead_where_it_says(void **state)
{
    (void)state;
    static const char document[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
                                   "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";
    static const struct lead leads[] = {
        {document, "", document},  {document, "/foo", "[\"bar\",\"baz\"]"}, {document, "/foo/0", "\"bar\""},
        {document, "/", "0"},      {document, "/a~1b", "1"},                {document, "/c%d", "2"},
        {document, "/e^f", "3"},   {document, "/g|h", "4"},                 {document, "/i\\j", "5"},
        {document, "/k\"l", "6"},  {document, "/ ", "7"},                   {document, "/m~0n", "8"},
    };
    require_leads(leads, COUNT(leads));
}

static void names_are_compared_decoded_and_exactly(void **state)
{
    (void)state;
    static const struct lead leads[] = {
        {"{\"\\u0061\\/b\":1}", "/a~1b", "1"},
        {"{\"m\\u007en\":1}", "/m~0n", "1"},
        {"{\"~1\":1,\"/\":2}", "/~01", "1"},
        {"{\"~1\":1,\"/\":2}", "/~1", "2"},
        {"{\"~\":1}", "/~0", "1"},
        {"{\"~0\":1}", "/~0", NULL},
        {"{\"\\ud83d\\ude00\":1}", "/\xf0\x9f\x98\x80", "1"},
        {"{\"\xc3\xa9\":1}", "/\xc3\xa9", "1"},
        {"{\"a\":1}", "/A", NULL},
        {"{\"a\":1}", "/", NULL},
        {"{\"ab\":1}", "/a", NULL},
        {"{\"a\":1}", "/ab", NULL},
        {"{\"a\\u0000b\":1}", "/a", NULL},
        {"{\"a\":1,\"a\":2}", "/a", "2"},
        {"{\"a\":{\"b\":1},\"a\":{}}", "/a/b", NULL},
        {"{\"0\":1,\"-\":2,\"01\":3}", "/0", "1"},
        {"{\"0\":1,\"-\":2,\"01\":3}", "/-", "2"},
        {"{\"0\":1,\"-\":2,\"01\":3}", "/01", "3"},
    };
    require_leads(leads, COUNT(leads));
}

static void an_index_is_digits_without_a_leading_zero(void **state)
{
    (void)state;
    static const struct lead leads[] = {
        {"[1,[2,{\"a\":[3]}]]", "/1/1/a/0", "3"},
        {" [ 1 , 2 ] ", "/1", "2"},
        {"[0,1,2,3,4,5,6,7,8,9,10]", "/10", "10"},
        {"[1]", "/1", NULL},
        {"[]", "/0", NULL},
        {"[1,2]", "/01", NULL},
        {"[1,2]", "/00", NULL},
        {"[1,2]", "/-1", NULL},
        {"[1,2]", "/+1", NULL},
        {"[1,2]", "/-", NULL},
        {"[1,2]", "/ 1", NULL},
        {"[1,2]", "/1 ", NULL},
        {"[1,2]", "/1.0", NULL},
        {"[1,2]", "/1e0", NULL},
        {"[1,2]", "/", NULL},
        {"[1,2]", "/18446744073709551616", NULL},
        {"[1,2]", "/18446744073709551617", NULL},
        {"[1,2]", "/99999999999999999999999999", NULL},
    };
    require_leads(leads, COUNT(leads));
}

static void what_is_no_pointer_or_goes_on_in_a_value_leads_nowhere(void **state)
{
    (void)state;
    static const struct lead leads[] = {
        {"{\"a\":1}", "a", NULL},       {"{\"a\":1}", "#/a", NULL},     {"{\"a\":1}", " /a", NULL},
        {"{\"a~\":1}", "/a~", NULL},    {"{\"a~2\":1}", "/a~2", NULL},  {"{\"a~/\":{\"b\":1}}", "/a~/b", NULL},
        {"{\"a\":1}", "/a/", NULL},     {"{\"a\":1}", "/a/b", NULL},    {"{\"a\":\"bc\"}", "/a/0", NULL},
        {"{\"a\":null}", "/a/b", NULL}, {"{\"a\":null}", "/a", "null"}, {"{\"a\":{}}", "/a//", NULL},
        {"{\"\":{\"\":1}}", "//", "1"}, {"7", "", "7"},                 {"7", "/", NULL},
        {"\"a\"", "/0", NULL},          {"{\"a\":1}", "/a~", NULL},     {"{\"a\":1}", "/b~3/c", NULL},
    };
    require_leads(leads, COUNT(leads));
    assert_false(azfn_span_is_present(azfn__json_pointer_follow(azfn__absent(), AZFN__SPAN(""))));
    assert_false(azfn_span_is_present(azfn__json_pointer_follow(azfn__absent(), AZFN__SPAN("/a"))));
    assert_false(azfn_span_is_present(azfn__json_pointer_follow(AZFN__SPAN("{}"), azfn__absent())));
}

/* As deep as JSON may be, and any bytes: never beyond the end. */
static void no_document_is_too_deep_or_too_wrong(void **state)
{
    (void)state;
    char json[6 * AZFN__JSON_MAX_DEPTH + 2];
    char pointer[2 * AZFN__JSON_MAX_DEPTH + 1];
    size_t length = 0;
    for (size_t i = 0; i < AZFN__JSON_MAX_DEPTH; i++) {
        memcpy(json + length, "{\"a\":", 5);
        memcpy(pointer + 2 * i, "/a", 3);
        length += 5;
    }
    json[length++] = '7';
    memset(json + length, '}', AZFN__JSON_MAX_DEPTH);
    length += AZFN__JSON_MAX_DEPTH;
    assert_int_equal(azfn__json_scan(azfn__span(json, length), NULL, NULL), AZFN_OK);
    assert_true(azfn_span_equals(azfn__json_pointer_follow(azfn__span(json, length), azfn_span_of(pointer)), "7"));
    for (size_t cut = 0; cut < length; cut++) {
        char *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, json, cut);
        struct azfn_span found = azfn__json_pointer_follow(azfn__span(copy, cut), azfn_span_of(pointer));
        assert_true(!found.data || (found.data >= copy && found.data + found.length <= copy + cut));
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_lead_where_it_says),
        cmocka_unit_test(names_are_compared_decoded_and_exactly),
        cmocka_unit_test(an_index_is_digits_without_a_leading_zero),
        cmocka_unit_test(what_is_no_pointer_or_goes_on_in_a_value_leads_nowhere),
        cmocka_unit_test(no_document_is_too_deep_or_too_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
