/* What a worker prints, however it comes in pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/worker_output.h"

#include "unit/log_lines.h"

#define LONGEST 4096

static int set_up(void **state)
{
    static struct log_lines lines;
    set_up_log_lines(&lines);
    *state = &lines;
    return 0;
}

static int tear_down(void **state)
{
    clean_up_log_lines(*state);
    return 0;
}

static void lines_end_at_either_character_in_any_pieces(void **state)
{
    static const char text[] = "one\ntwo\rthree\r\n\nfour";
    struct log_lines *lines = *state;
    struct azfn__worker_output output;
    azfn__worker_output_init(&output, &lines->sink, AZFN__ORIGIN_WORKER_STDOUT);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        azfn__worker_output_take(&output, azfn__span(text + i, 1));
    }
    assert_int_equal(count_of(lines, "\"description\""), 3);
    azfn__worker_output_end(&output);
    azfn__worker_output_end(&output);
    assert_int_equal(count_of(lines, "\"description\""), 4);
    assert_int_equal(count_of(lines, "\"level\":\"INFO\""), 4);
    assert_int_equal(count_of(lines, "\"origin\":\"worker-stdout\",\"description\":\"three\""), 1);
    assert_int_equal(count_of(lines, "\"description\":\"four\""), 1);
    azfn__worker_output_clean_up(&output);
}

static void what_is_too_long_is_cut_and_its_rest_left_out(void **state)
{
    static char text[LONGEST + 100];
    struct log_lines *lines = *state;
    struct azfn__worker_output output;
    azfn__worker_output_init(&output, &lines->sink, AZFN__ORIGIN_WORKER_STDERR);
    memset(text, 'x', sizeof(text));
    azfn__worker_output_take(&output, azfn__span(text, sizeof(text)));
    azfn__worker_output_take(&output, AZFN__SPAN("rest\nnext\n"));
    assert_int_equal(count_of(lines, "xxx[cut]\""), 1);
    assert_int_equal(count_of(lines, "rest"), 0);
    assert_int_equal(count_of(lines, "\"origin\":\"worker-stderr\",\"description\":\"next\""), 1);
    assert_int_equal(count_of(lines, "\"level\":\"ERROR\""), 2);
    azfn__worker_output_clean_up(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_end_at_either_character_in_any_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_long_is_cut_and_its_rest_left_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
