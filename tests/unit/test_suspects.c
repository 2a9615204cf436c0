/* What a worker must not run, since one before it died of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/suspects.h"

#include <stdio.h>

static struct azfn_span numbered(char text[AZFN__SUSPECT_ID_BYTES + 1], unsigned number)
{
    snprintf(text, AZFN__SUSPECT_ID_BYTES + 1, "0b9c1d2e-aaaa-4bbb-8CCC-%012x", number);
    return azfn__span(text, AZFN__SUSPECT_ID_BYTES);
}

static void an_invocation_is_known_again(void **state)
{
    (void)state;
    struct azfn__suspects suspects = {0};
    char text[AZFN__SUSPECT_ID_BYTES + 1];
    assert_false(azfn__suspects_have(&suspects, numbered(text, 0)));
    azfn__suspects_add(&suspects, numbered(text, 1));
    assert_true(azfn__suspects_have(&suspects, numbered(text, 1)));
    assert_false(azfn__suspects_have(&suspects, numbered(text, 2)));
    assert_false(azfn__suspects_have(&suspects, azfn__span(text, AZFN__SUSPECT_ID_BYTES - 1)));
    azfn__suspects_add(&suspects, numbered(text, 1));
    assert_int_equal(suspects.added, 1);
}

static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct azfn__suspects suspects = {0};
    char text[AZFN__SUSPECT_ID_BYTES + 1];
    for (unsigned i = 0; i <= AZFN__SUSPECTS_MAX; i++) {
        azfn__suspects_add(&suspects, numbered(text, i));
    }
    assert_false(azfn__suspects_have(&suspects, numbered(text, 0)));
    for (unsigned i = 1; i <= AZFN__SUSPECTS_MAX; i++) {
        assert_true(azfn__suspects_have(&suspects, numbered(text, i)));
    }
}

static void what_is_no_id_of_the_host_is_not_remembered(void **state)
{
    (void)state;
    static const char *const others[] = {
        "", "1", "client-made-up", "0b9c1d2e-aaaa-4bbb-8ccc-0123456789a", "0b9c1d2e-aaaa-4bbb-8ccc-0123456789abc",
        "0b9c1d2e-aaaa-4bbb-8ccc-0123456789ag", "0b9c1d2e+aaaa-4bbb-8ccc-0123456789ab",
        "0b9c1d2eaaaaa-4bbb-8ccc-0123456789ab",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct azfn__suspects suspects = {0};
        azfn__suspects_add(&suspects, azfn_span_of(others[i]));
        assert_int_equal(suspects.added, 0);
        assert_false(azfn__suspects_have(&suspects, azfn_span_of(others[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_invocation_is_known_again),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(what_is_no_id_of_the_host_is_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
