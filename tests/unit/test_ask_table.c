/* Ids of asks: each finds its own ask while it waits, and nothing afterwards. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/ask_table.h"

static int items[70000];

static void an_id_finds_its_ask_until_it_is_removed(void **state)
{
    (void)state;
    struct azfn__ask_table table;
    azfn__ask_table_init(&table, 100);
    uint32_t a = azfn__ask_table_add(&table, &items[0]);
    uint32_t b = azfn__ask_table_add(&table, &items[1]);
    assert_true(a != 0 && b != 0 && a != b);
    assert_ptr_equal(azfn__ask_table_find(&table, a), &items[0]);
    assert_ptr_equal(azfn__ask_table_find(&table, b), &items[1]);
    azfn__ask_table_remove(&table, a);
    azfn__ask_table_remove(&table, a);
    azfn__ask_table_remove(&table, 0);
    assert_null(azfn__ask_table_find(&table, a));
    assert_ptr_equal(azfn__ask_table_find(&table, b), &items[1]);
    azfn__ask_table_clean_up(&table);
}

static void a_place_that_is_used_again_has_another_id(void **state)
{
    (void)state;
    struct azfn__ask_table table;
    azfn__ask_table_init(&table, 1);
    uint32_t first = azfn__ask_table_add(&table, &items[0]);
    for (int i = 0; i < 65534; i++) {
        uint32_t id = i == 0 ? first : azfn__ask_table_add(&table, &items[0]);
        assert_true(i == 0 || id != first);
        assert_int_equal(azfn__ask_table_add(&table, &items[1]), 0);
        azfn__ask_table_remove(&table, id);
        assert_null(azfn__ask_table_find(&table, first));
    }
    azfn__ask_table_clean_up(&table);
}

static void it_holds_as_many_as_it_may_and_no_more(void **state)
{
    (void)state;
    struct azfn__ask_table table;
    azfn__ask_table_init(&table, 65536);
    for (size_t i = 0; i < 65536; i++) {
        uint32_t id = azfn__ask_table_add(&table, &items[i]);
        assert_true(id != 0);
        assert_ptr_equal(azfn__ask_table_find(&table, id), &items[i]);
    }
    assert_int_equal(azfn__ask_table_add(&table, &items[65536]), 0);
    azfn__ask_table_clean_up(&table);
}

static void ids_that_nobody_gave_out_find_nothing(void **state)
{
    (void)state;
    struct azfn__ask_table table;
    azfn__ask_table_init(&table, 100);
    assert_null(azfn__ask_table_find(&table, 0));
    assert_null(azfn__ask_table_find(&table, UINT32_MAX));
    uint32_t id = azfn__ask_table_add(&table, &items[0]);
    assert_null(azfn__ask_table_find(&table, id + 1));
    assert_null(azfn__ask_table_find(&table, id + (1U << 16)));
    azfn__ask_table_clean_up(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_finds_its_ask_until_it_is_removed),
        cmocka_unit_test(a_place_that_is_used_again_has_another_id),
        cmocka_unit_test(it_holds_as_many_as_it_may_and_no_more),
        cmocka_unit_test(ids_that_nobody_gave_out_find_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
