#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "base/trace_id.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define ZEROS_16 "0000000000000000"

static void the_id_is_a_part_of_a_valid_traceparent(void **state)
{
    (void)state;
    struct azfn_span parent = AZFN__SPAN("00-" TRACE "-" PARENT "-01");
    struct azfn_span id = azfn__trace_id_of(parent);
    assert_true(azfn_span_equals(id, TRACE));
    assert_ptr_equal(id.data, parent.data + 3);
    assert_true(azfn_span_equals(azfn__trace_id_of(AZFN__SPAN("00-" TRACE "-" PARENT "-00")), TRACE));
    assert_true(azfn_span_equals(azfn__trace_id_of(AZFN__SPAN("00-" TRACE "-" PARENT "-ff")), TRACE));
}

static void anything_else_has_none(void **state)
{
    (void)state;
    const struct azfn_span others[] = {
        AZFN__SPAN(""),
        AZFN__SPAN("00-" TRACE "-" PARENT "-0"),
        AZFN__SPAN("00-" TRACE "-" PARENT "-011"),
        AZFN__SPAN("00-" TRACE "-" PARENT "-01-more"),
        AZFN__SPAN("01-" TRACE "-" PARENT "-01"),
        AZFN__SPAN("ff-" TRACE "-" PARENT "-01"),
        AZFN__SPAN("00-" ZEROS_16 ZEROS_16 "-" PARENT "-01"),
        AZFN__SPAN("00-" TRACE "-" ZEROS_16 "-01"),
        AZFN__SPAN("00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01"),
        AZFN__SPAN("00-0af7651916cd43dd8448eb211c80319g-" PARENT "-01"),
        AZFN__SPAN("00-" TRACE "-" PARENT "-0g"),
        AZFN__SPAN("00_" TRACE "-" PARENT "-01"),
        AZFN__SPAN("00-" TRACE "_" PARENT "-01"),
        AZFN__SPAN("00-" TRACE "-" PARENT "_01"),
        AZFN__SPAN("00-0af7651916cd43dd\"448eb211c80319c-" PARENT "-01"),
        AZFN__SPAN("00-0af7651916cd43dd\0448eb211c80319c-" PARENT "-01"),
        AZFN__SPAN("00-" TRACE "-" PARENT "-01, 00-" TRACE "-" PARENT "-01"),
        AZFN__SPAN(" 00-" TRACE "-" PARENT "-1"),
    };
    assert_false(azfn_span_is_present(azfn__trace_id_of(azfn__absent())));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (azfn_span_is_present(azfn__trace_id_of(others[i]))) {
            fail_msg("taken: %s", others[i].data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_is_a_part_of_a_valid_traceparent),
        cmocka_unit_test(anything_else_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
