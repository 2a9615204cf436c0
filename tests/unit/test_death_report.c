/* The lines about a worker that has ended, whatever it wrote into its flight record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/death_report.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct azfn__log_sink log;
    struct azfn__flight_record record;
    struct azfn__suspects suspects;
    char text[AZFN__DEATH_TEXT_BYTES];
    char lines[32768];
    size_t length;
    int out;
};

static void set_up(struct fixture *fixture)
{
    int ends[2];
    *fixture = (struct fixture){.out = -1};
    assert_int_equal(pipe(ends), 0);
    azfn__log_sink_init(&fixture->log);
    fixture->log.streams[1].fd = ends[1];
    fixture->out = ends[0];
}

static void report(struct fixture *fixture, int status)
{
    azfn__death_report_write(&fixture->log, &fixture->record, status, true, &fixture->suspects,
                             fixture->text);
    close(fixture->log.streams[1].fd);
    ssize_t count;
    while ((count = read(fixture->out, fixture->lines + fixture->length,
                         sizeof(fixture->lines) - 1 - fixture->length)) > 0) {
        fixture->length += (size_t)count;
    }
    close(fixture->out);
    for (int i = 0; i < 2; i++) {
        azfn__buffer_clean_up(&fixture->log.streams[i].pending);
    }
    azfn__buffer_clean_up(&fixture->log.line);
}

static size_t count_of(const struct fixture *fixture, const char *wanted)
{
    size_t count = 0;
    for (const char *at = fixture->lines; (at = strstr(at, wanted)); at++) {
        count++;
    }
    return count;
}

static void a_worker_that_ran_nothing_is_one_line(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    report(&fixture, SIGKILL);
    assert_string_equal(fixture.text, "the worker was ended by signal 9 (SIGKILL)");
    assert_int_equal(count_of(&fixture, "\n"), 1);
    assert_int_equal(count_of(&fixture, "\"function\""), 0);
}

static void all_functions_that_were_running_are_named(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    azfn__flight_record_enter(&fixture.record.threads[2], AZFN__SPAN("first"), AZFN__SPAN("1"));
    azfn__flight_record_enter(&fixture.record.threads[AZFN__FLIGHT_RECORD_THREADS - 1], AZFN__SPAN("last"),
                              AZFN__SPAN("2"));
    report(&fixture, SIGSEGV);
    assert_string_equal(fixture.text,
                        "the worker was ended by signal 11 (SIGSEGV); it says it was running the function named here");
    assert_int_equal(count_of(&fixture, "\n"), 2);
    assert_int_equal(count_of(&fixture, "\"function\":\"first\""), 1);
    assert_int_equal(count_of(&fixture, "\"function\":\"last\""), 1);
    assert_true(strstr(fixture.lines, "first") < strstr(fixture.lines, "last"));
}

static void what_was_running_becomes_suspect(void **state)
{
    (void)state;
    struct azfn_span on_loop = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ab");
    struct azfn_span on_thread = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789AC");
    struct azfn_span finished = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ad");
    struct fixture fixture;
    set_up(&fixture);
    azfn__flight_record_enter(&fixture.record.loop, AZFN__SPAN("first"), on_loop);
    azfn__flight_record_enter(&fixture.record.threads[1], AZFN__SPAN("done"), finished);
    azfn__flight_record_leave(&fixture.record.threads[1]);
    azfn__flight_record_enter(&fixture.record.threads[3], AZFN__SPAN("other"), on_thread);
    report(&fixture, SIGSEGV);
    assert_int_equal(fixture.suspects.added, 2);
    assert_true(azfn__suspects_have(&fixture.suspects, on_loop));
    assert_true(azfn__suspects_have(&fixture.suspects, on_thread));
    assert_false(azfn__suspects_have(&fixture.suspects, finished));
}

static void a_lying_record_makes_no_more_lines_than_it_has_slots(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    memset(&fixture.record, '\n', sizeof(fixture.record));
    for (size_t i = 0; i < AZFN__FLIGHT_RECORD_THREADS; i++) {
        fixture.record.threads[i].function_length = 20;
        fixture.record.threads[i].invocation_id_length = i % 2 ? 20 : UINT32_MAX;
    }
    report(&fixture, 7 << 8);
    /* one that lies about a length says nothing; a newline of its own ends no line */
    assert_int_equal(count_of(&fixture, "\n"), AZFN__FLIGHT_RECORD_THREADS / 2);
    assert_int_equal(count_of(&fixture, "exit code 7"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_ran_nothing_is_one_line),
        cmocka_unit_test(all_functions_that_were_running_are_named),
        cmocka_unit_test(what_was_running_becomes_suspect),
        cmocka_unit_test(a_lying_record_makes_no_more_lines_than_it_has_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
