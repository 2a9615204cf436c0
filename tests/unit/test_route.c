/* Routes: each expectation was compared with the ASP.NET Core router that the host uses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/route.h"

#include <stdio.h>
#include <string.h>

struct match_case {
    const char *template_text;
    const char *path;
    const char *expected; /* "name=value;other=-", - for absent; NULL: no match */
};

static const struct match_case MATCHES[] = {
    /* literals */
    {"api/hello", "/api/hello", ""},
    {"api/hello", "/API/Hello", ""},
    {"api/hello", "/api/hello/", ""},
    {"api/hello", "/api/hello//", NULL},
    {"api/hello", "/api//hello", NULL},
    {"api/hello", "//api/hello", NULL},
    {"api/hello", "/api", NULL},
    {"api/hello", "/api/hello/x", NULL},
    {"api/hello", "/api/hell", NULL},
    {"api/hello", "/api/hellos", NULL},
    {"api/hello", "api/hello", NULL},
    {"api/hello", "", NULL},
    {"api/hello", "/", NULL},
    {"api/hello", "*", NULL},
    {"api/hello", "/%61pi/h%65llo", ""},
    {"api/hello", "/api%2Fhello", NULL},
    {"api/caf\xc3\xa9", "/api/caf%C3%A9", ""},
    {"api/caf\xc3\xa9", "/api/caf%c3%a9", ""},
    {"api/a b", "/api/a%20b", ""},
    {"{{x}}", "/%7Bx%7D", ""},
    {"", "/", ""},
    {"", "/x", NULL},
    {"/a", "/a", ""},
    {"~/a", "/a", ""},
    {"a/", "/a", ""},
    /* parameters */
    {"api/items/{id:int}/{name?}", "/api/items/42/bob", "id=42;name=bob"},
    {"api/items/{id:int}/{name?}", "/api/items/7", "id=7;name=-"},
    {"api/items/{id:int}/{name?}", "/api/items/7/", "id=7;name=-"},
    {"api/items/{id:int}/{name?}", "/api/items/abc", NULL},
    {"api/items/{id:int}/{name?}", "/api/items", NULL},
    {"api/items/{id:int}/{name?}", "/api/items/5/a/b", NULL},
    {"api/items/{id:int}/{name?}", "/api/items/5/%C3%A9%20%2Fx+", "id=5;name=\xc3\xa9 %2Fx+"},
    {"api/items/{id:int}/{name?}", "/api/items/5/[x]", "id=5;name=[x]"},
    {"api/items/{id:int}/{name?}", "/api/items/5/a:b@c", "id=5;name=a:b@c"},
    {"api/items/{id:int}/{name?}", "/api/items/5/a..", "id=5;name=a.."},
    {"api/items/{id:int}/{name?}", "/api/items/5/100%25", "id=5;name=100%"},
    {"api/items/{id:int}/{name?}", "/api/items/5/%22%3C%3E", "id=5;name=\"<>"},
    {"api/items/{id:int}/{name?}", "/api/items/5/a;b=c", "id=5;name=a;b=c"},
    {"api/items/{id:int}/{name?}", "/api/items/5/%5C", "id=5;name=\\"},
    {"items/{id:int}/{name?}", "/items/3", "id=3;name=-"},
    {"{a}/{b}", "/x/y", "a=x;b=y"},
    {"{a}/{b}", "/x", NULL},
    {"{a?}/b", "/x/b", "a=x"},
    {"{a?}/b", "/b", NULL},
    {"{a?}/{b?}", "/", "a=-;b=-"},
    {"{A}", "/x", "A=x"},
    /* escapes that are none, or that must not become what they stand for */
    {"{a}", "/%", "a=%"},
    {"{a}", "/%4", "a=%4"},
    {"{a}", "/%zz", "a=%zz"},
    {"{a}", "/%2f", "a=%2f"},
    {"{a}", "/%2F%41", "a=%2FA"},
    {"{a}", "/x%00y", "a=x%00y"},
    {"{a}", "/%E9", "a=%E9"},
    {"{a}", "/%C3%28", "a=%C3("},
    {"{a}", "/%ED%A0%80", "a=%ED%A0%80"},
    {"{a}", "/%F0%9F%98%80", "a=\xf0\x9f\x98\x80"},
    {"{a}", "/%F0%9F%98", "a=%F0%9F%98"},
    {"{a}", "/%2541", "a=%41"},
    /* defaults */
    {"{a}/{page:int=1}", "/x", "a=x;page=1"},
    {"{a}/{page:int=1}", "/x/9", "a=x;page=9"},
    {"{a}/{page:int=1}", "/x/y", NULL},
    {"{a=}", "/", "a="},
    {"{a=b:c}", "/", "a=b:c"},
    /* catch-alls */
    {"api/files/{*path}", "/api/files/a/b.txt", "path=a/b.txt"},
    {"api/files/{*path}", "/api/files/a/b/", "path=a/b/"},
    {"api/files/{*path}", "/api/files/a//b", "path=a//b"},
    {"api/files/{*path}", "/api/files", "path=-"},
    {"api/files/{*path}", "/api/files/", "path=-"},
    {"api/files/{*path}", "/api/files//a", NULL},
    {"api/files/{**path}", "/api/files/a%20b/c", "path=a b/c"},
    {"{*route}", "/", "route=-"},
    {"{*route}", "/any/thing", "route=any/thing"},
    {"{*route=home}", "/", "route=home"},
    {"{*n:int}", "/", NULL},
    /* text and parameters in one segment */
    {"v{n}", "/v2", "n=2"},
    {"v{n}", "/V2", "n=2"},
    {"v{n}", "/v", NULL},
    {"v{n}", "/xv2", NULL},
    {"{a}-{b}", "/x-y-z", "a=x-y;b=z"},
    {"{a}-{b}", "/-y", NULL},
    {"{a}-{b}", "/x-", NULL},
    {"{name}.{extension}", "/a.b.c", "name=a.b;extension=c"},
    {"{name}.{extension?}", "/a.b", "name=a;extension=b"},
    {"{name}.{extension?}", "/a", "name=a;extension=-"},
    {"{name}.{extension?}", "/a.", NULL},
    {"{name}.{extension:int?}", "/a.b", NULL},
    {"{a}x", "/bx", "a=b"},
    {"{a}x", "/bxy", NULL},
    {"x{a}x{b}x", "/x1x2x", "a=1;b=2"},
    {"x{a}x{b}x", "/xxxxx", "a=x;b=x"},
    {"x{a}x{b}x", "/xxxx", NULL},
    {"{a}%{b}", "/1%252", "a=1;b=2"},
    /* constraints */
    {"{n:int}", "/2147483647", "n=2147483647"},
    {"{n:int}", "/2147483648", NULL},
    {"{n:int}", "/-2147483648", "n=-2147483648"},
    {"{n:int}", "/+5", "n=+5"},
    {"{n:int}", "/%205%20", "n= 5 "},
    {"{n:int}", "/5.0", NULL},
    {"{n:INT}", "/5", "n=5"},
    {"{n:long}", "/9223372036854775807", "n=9223372036854775807"},
    {"{n:long}", "/9223372036854775808", NULL},
    {"{n:long}", "/-9223372036854775808", "n=-9223372036854775808"},
    {"{n:bool}", "/TRUE", "n=TRUE"},
    {"{n:bool}", "/1", NULL},
    {"{n:datetime}", "/2024-01-02", "n=2024-01-02"},
    {"{n:datetime}", "/2024-01-02T03:04:05Z", "n=2024-01-02T03:04:05Z"},
    {"{n:datetime}", "/1%20Jan%202024%204:30pm", "n=1 Jan 2024 4:30pm"},
    {"{n:datetime}", "/tomorrow", NULL},
    {"{n:datetime}", "/42", NULL},
    {"{n:decimal}", "/1,000.5", "n=1,000.5"},
    {"{n:decimal}", "/5-", "n=5-"},
    {"{n:decimal}", "/1e5", NULL},
    {"{n:decimal}", "/79228162514264337593543950335", "n=79228162514264337593543950335"},
    {"{n:decimal}", "/79228162514264337593543950336", NULL},
    {"{n:double}", "/1e5", "n=1e5"},
    {"{n:double}", "/.5", "n=.5"},
    {"{n:double}", "/1e", NULL},
    {"{n:double}", "/-Infinity", "n=-Infinity"},
    {"{n:float}", "/1e99", "n=1e99"},
    {"{n:float}", "/.", NULL},
    {"{n:guid}", "/00000000-0000-0000-0000-00000000000a", "n=00000000-0000-0000-0000-00000000000a"},
    {"{n:guid}", "/0000000000000000000000000000000a", "n=0000000000000000000000000000000a"},
    {"{n:guid}", "/%7B00000000-0000-0000-0000-000000000000%7D", "n={00000000-0000-0000-0000-000000000000}"},
    {"{n:guid}", "/00000000-0000-0000-0000-00000000000g", NULL},
    {"{n:alpha}", "/abC", "n=abC"},
    {"{n:alpha}", "/ab1", NULL},
    {"{n:length(3)}", "/abc", "n=abc"},
    {"{n:length(3)}", "/ab", NULL},
    {"{n:length(2,3)}", "/abcd", NULL},
    {"{n:length(2)}", "/%F0%9F%98%80", "n=\xf0\x9f\x98\x80"},
    {"{n:length(1)}", "/%C3%A9", "n=\xc3\xa9"},
    {"{n:minlength(2)}", "/a", NULL},
    {"{n:maxlength(2)}", "/abc", NULL},
    {"{n:min(3)}", "/3", "n=3"},
    {"{n:min(3)}", "/2", NULL},
    {"{n:max(3)}", "/4", NULL},
    {"{n:range(1,5)}", "/5", "n=5"},
    {"{n:range(1,5)}", "/6", NULL},
    {"{n:range(-5,5)}", "/-5", "n=-5"},
    {"{n:int:min(1)}", "/0", NULL},
    {"{n:int:min(1)}", "/1", "n=1"},
    {"{n:required}", "/a", "n=a"},
    {"{n:required=}", "/", NULL},
    {"{n:file}", "/a.txt", "n=a.txt"},
    {"{n:file}", "/a", NULL},
    {"{n:nonfile}", "/a.txt", NULL},
    {"{n:nonfile}", "/a", "n=a"},
    {"{n:int?}", "/", "n=-"},
    {"{n:int?}", "/x", NULL},
    {"{n:regex(^\\d{{3}}$)}", "/123", "n=123"},
    {"{n:regex(a|b:c=d(e))}/{m}", "/a/1", "n=a;m=1"},
};

struct fault_case {
    const char *template_text;
    const char *reason;
};

static const struct fault_case FAULTS[] = {
    {"a//b", "two slashes in a row"},
    {"~a", "a ~ at the start"},
    {"a?", "a question mark outside of a parameter"},
    {"a}", "a closing brace without an opening one"},
    {"{a", "an opening brace without a closing one"},
    {"{", "an opening brace without a closing one"},
    {"{a{b}", "a brace inside of a parameter: write {{ or }} for one"},
    {"{}", "a parameter without a name"},
    {"{*}", "a parameter without a name"},
    {"{?}", "a parameter without a name"},
    {"{a/b}", "a character that can't be in the name of a parameter"},
    {"{a*}", "a character that can't be in the name of a parameter"},
    {"{a}/{A}", "two parameters of the same name"},
    {"{a}{b}", "two parameters with nothing between them"},
    {"{*a}/b", "a catch-all parameter that is not the last one"},
    {"x{*a}", "a catch-all parameter that is not a whole segment"},
    {"{*a?}", "a catch-all parameter with a question mark: it may be empty anyway"},
    {"{a=1?}", "an optional parameter with a default value"},
    {"{a?}x", "an optional parameter within a segment that is not its last part after a dot"},
    {"{a}-{b?}", "an optional parameter within a segment that is not its last part after a dot"},
    {"{a:number}", "an unknown constraint"},
    {"{a:length(3}", "an unknown constraint"},
    {"{a:int(3)}", "a constraint that takes no number has one"},
    {"{a:min}", "a constraint lacks its number"},
    {"{a:min(x)}", "a constraint's number is missing, no number or too many"},
    {"{a:min()}", "a constraint's number is missing, no number or too many"},
    {"{a:range(1)}", "a constraint's number is missing, no number or too many"},
    {"{a:range(1,2,3)}", "a constraint's number is missing, no number or too many"},
    {"{a:length(-1)}", "a length in a constraint is out of range"},
    {"{a:length(4,3)}", "the first number of a constraint is above its second one"},
    {"{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "more than 16 parameters"},
};

static void describe(const struct azfn__route_match *match, char *out, size_t room)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < match->param_count && length < room; i++) {
        struct azfn_span value = match->params[i].value;
        value = azfn_span_is_present(value) ? value : AZFN__SPAN("-");
        length += (size_t)snprintf(out + length, room - length, "%s%.*s=%.*s", i == 0 ? "" : ";",
                                   AZFN_SPAN_ARGS(match->params[i].name), AZFN_SPAN_ARGS(value));
    }
}

static void a_path_matches_as_in_the_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(MATCHES) / sizeof(MATCHES[0]); i++) {
        struct azfn__arena arena;
        struct azfn__route *route;
        const char *reason;
        struct azfn__route_match match;
        char found[256] = "no match";
        azfn__arena_init(&arena, 1 << 20);
        enum azfn_error error = azfn__route_new(&arena, (struct azfn_span){0},
                                                azfn_span_of(MATCHES[i].template_text), &route, &reason);
        if (error != AZFN_OK) {
            fail_msg("%s: %s", MATCHES[i].template_text, reason);
        }
        if (azfn__route_match(route, azfn_span_of(MATCHES[i].path), &arena, &match)) {
            describe(&match, found, sizeof(found));
        }
        const char *expected = MATCHES[i].expected ? MATCHES[i].expected : "no match";
        if (strcmp(found, expected) != 0) {
            fail_msg("%s against %s: expected %s, found %s", MATCHES[i].path, MATCHES[i].template_text, expected,
                     found);
        }
        azfn__arena_clean_up(&arena);
    }
}

static void a_faulty_template_is_refused_with_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        struct azfn__arena arena;
        struct azfn__route *route;
        const char *reason = NULL;
        azfn__arena_init(&arena, 1 << 20);
        enum azfn_error error = azfn__route_new(&arena, (struct azfn_span){0}, azfn_span_of(FAULTS[i].template_text),
                                                &route, &reason);
        assert_int_not_equal(error, AZFN_OK);
        assert_null(route);
        assert_string_equal(reason, FAULTS[i].reason);
        azfn__arena_clean_up(&arena);
    }
}

static void a_prefix_stands_before_the_template(void **state)
{
    (void)state;
    struct azfn__arena arena;
    struct azfn__route *route;
    const char *reason;
    struct azfn__route_match match;
    azfn__arena_init(&arena, 1 << 20);
    assert_int_equal(azfn__route_new(&arena, AZFN__SPAN("shop/{tenant}"), AZFN__SPAN("items/{id}"), &route, &reason),
                     AZFN_OK);
    assert_true(azfn__route_match(route, AZFN__SPAN("/shop/acme/items/1"), &arena, &match));
    assert_int_equal(match.param_count, 2);
    assert_true(azfn_span_equals(match.params[0].value, "acme"));
    assert_false(azfn__route_match(route, AZFN__SPAN("/items/1"), &arena, &match));
    azfn__arena_clean_up(&arena);
}

static void a_template_that_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[2000];
    struct azfn__arena arena;
    struct azfn__route *route;
    const char *reason;
    azfn__arena_init(&arena, 1 << 20);
    memset(text, 'a', sizeof(text));
    assert_int_equal(azfn__route_new(&arena, AZFN__SPAN("api"), azfn__span(text, sizeof(text)), &route, &reason),
                     AZFN_ERROR_LIMIT);
    for (size_t i = 1; i < 200; i += 2) {
        text[i] = '/';
    }
    assert_int_equal(azfn__route_new(&arena, AZFN__SPAN("api"), azfn__span(text, 199), &route, &reason),
                     AZFN_ERROR_LIMIT);
    assert_string_equal(reason, "more than 64 segments");
    azfn__arena_clean_up(&arena);
}

static void no_memory_is_no_match_and_no_route(void **state)
{
    (void)state;
    struct azfn__arena arena;
    struct azfn__arena small;
    struct azfn__route *route;
    const char *reason;
    struct azfn__route_match match;
    azfn__arena_init(&arena, 1 << 20);
    azfn__arena_init(&small, 8);
    assert_int_equal(azfn__route_new(&small, AZFN__SPAN("api"), AZFN__SPAN("{{{id}}}"), &route, &reason),
                     AZFN_ERROR_NO_MEMORY);
    assert_int_equal(azfn__route_new(&arena, AZFN__SPAN("api"), AZFN__SPAN("{id}"), &route, &reason), AZFN_OK);
    assert_false(azfn__route_match(route, AZFN__SPAN("/api/12345678"), &small, &match));
    assert_int_equal(match.param_count, 0);
    azfn__arena_clean_up(&small);
    azfn__arena_clean_up(&arena);
}

/* Exponential or cubic matching would not come to an end here. */
static void a_hostile_path_is_matched_in_time(void **state)
{
    (void)state;
    static char path[64 * 1024];
    struct azfn__arena arena;
    struct azfn__route *route;
    const char *reason;
    struct azfn__route_match match;
    azfn__arena_init(&arena, 1 << 24);
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    assert_int_equal(azfn__route_new(&arena, (struct azfn_span){0},
                                     AZFN__SPAN("{a}a{b}a{c}a{d}a{e}a{f}a{g}a{h}aaaaaaaab{i}"), &route, &reason),
                     AZFN_OK);
    for (size_t i = 0; i < 20; i++) {
        assert_false(azfn__route_match(route, azfn__span(path, sizeof(path)), &arena, &match));
    }
    azfn__arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_matches_as_in_the_host),
        cmocka_unit_test(a_faulty_template_is_refused_with_its_reason),
        cmocka_unit_test(a_prefix_stands_before_the_template),
        cmocka_unit_test(a_template_that_is_too_long_is_refused),
        cmocka_unit_test(no_memory_is_no_match_and_no_route),
        cmocka_unit_test(a_hostile_path_is_matched_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
