#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ip_address.h"
#include "base/span.h"

static void an_address_comes_without_what_is_around_it(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"203.0.113.7", "203.0.113.7"},
        {"203.0.113.7:49152", "203.0.113.7"},
        {"2001:db8::7", "2001:db8::7"},
        {"::", "::"},
        {"2001:DB8:0:0:0:0:0:7", "2001:DB8:0:0:0:0:0:7"},
        {"::ffff:203.0.113.7", "::ffff:203.0.113.7"},
        {"[2001:db8::7]", "2001:db8::7"},
        {"[2001:db8::7]:1", "2001:db8::7"},
        {"[2001:db8::7]:65535", "2001:db8::7"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (!azfn_span_equals(azfn__ip_address_of(azfn_span_of(pairs[i][0])), pairs[i][1])) {
            fail_msg("not taken: %s", pairs[i][0]);
        }
    }
}

static void anything_else_is_none(void **state)
{
    (void)state;
    const struct azfn_span others[] = {
        AZFN__SPAN(""),
        AZFN__SPAN("unknown"),
        AZFN__SPAN("203.0.113"),
        AZFN__SPAN("203.0.113.256"),
        AZFN__SPAN("203.0.113.7 "),
        AZFN__SPAN("203.0.113.7:"),
        AZFN__SPAN("203.0.113.7:1x"),
        AZFN__SPAN("203.0.113.7:123456"),
        AZFN__SPAN("203.0.113.7, 203.0.113.8"),
        AZFN__SPAN("203.0.113.7\0"),
        AZFN__SPAN("[203.0.113.7]"),
        AZFN__SPAN("["),
        AZFN__SPAN("[]"),
        AZFN__SPAN("]"),
        AZFN__SPAN(":"),
        AZFN__SPAN("[2001:db8::7"),
        AZFN__SPAN("[2001:db8::7]8080"),
        AZFN__SPAN("[2001:db8::7]:"),
        AZFN__SPAN("[2001:db8::7]:80:80"),
        AZFN__SPAN("fe80::1%eth0"),
        AZFN__SPAN("[fe80::1%eth0]"),
        AZFN__SPAN("2001:db8::7::8"),
        AZFN__SPAN("1:2:3:4:5:6:7:8:9"),
        AZFN__SPAN("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"),
    };
    assert_false(azfn_span_is_present(azfn__ip_address_of(azfn__absent())));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (azfn_span_is_present(azfn__ip_address_of(others[i]))) {
            fail_msg("taken: %s", others[i].data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_comes_without_what_is_around_it),
        cmocka_unit_test(anything_else_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
