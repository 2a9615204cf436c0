/* The lines about a worker that has ended, whatever it wrote into its flight record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/death_report.h"
#include "unit/log_lines.h"

#include "worker/forbidden_call.h"

#include <linux/audit.h>
#include <signal.h>

struct fixture {
    struct log_lines log;
    struct azfn__flight_record record;
    struct azfn__suspects suspects;
    char text[AZFN__DEATH_TEXT_BYTES];
};

static void set_up(struct fixture *fixture)
{
    memset(&fixture->record, 0, sizeof(fixture->record));
    set_up_log_lines(&fixture->log);
}

static void report(struct fixture *fixture, int status)
{
    const struct azfn__death death = {.status = status, .was_ready = true};
    azfn__death_report_write(&fixture->log.sink, &fixture->record, &death, &fixture->suspects, fixture->text);
}

/* What led to it was told, with the loop's function. */
static void an_end_that_is_told_is_no_further_line(void **state)
{
    (void)state;
    const struct azfn__death death = {.status = SIGKILL, .was_ready = true, .is_told = true};
    struct azfn_span on_loop = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ab");
    struct azfn_span on_thread = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ac");
    for (int is_loop_running = 0; is_loop_running < 2; is_loop_running++) {
        struct fixture fixture;
        set_up(&fixture);
        if (is_loop_running) {
            azfn__flight_record_enter(&fixture.record.loop, AZFN__SPAN("first"), on_loop, azfn__absent());
        }
        azfn__flight_record_enter(&fixture.record.threads[2], AZFN__SPAN("other"), on_thread, azfn__absent());
        azfn__death_report_write(&fixture.log.sink, &fixture.record, &death, &fixture.suspects, fixture.text);
        assert_int_equal(count_of(&fixture.log, "\n"), 1);
        assert_int_equal(count_of(&fixture.log, "\"event\":\"sys_crash:worker_beside\",\"function\":\"other\""), 1);
        assert_int_equal(azfn__suspects_have(&fixture.suspects, on_loop), is_loop_running);
        assert_true(azfn__suspects_have(&fixture.suspects, on_thread));
        clean_up_log_lines(&fixture.log);
    }
}

static void a_forbidden_call_is_told_in_any_case(void **state)
{
    (void)state;
    const struct azfn__death death = {.status = SIGSYS, .was_ready = true, .is_told = true};
    struct fixture fixture;
    set_up(&fixture);
    azfn__death_report_write(&fixture.log.sink, &fixture.record, &death, &fixture.suspects, fixture.text);
    assert_int_equal(count_of(&fixture.log, "\"malicious_syscall:worker\""), 1);
    clean_up_log_lines(&fixture.log);
}

static void an_end_before_it_was_ready_is_a_start_that_has_failed(void **state)
{
    (void)state;
    const struct azfn__death death = {.status = SIGSEGV};
    struct fixture fixture;
    set_up(&fixture);
    azfn__death_report_write(&fixture.log.sink, &fixture.record, &death, &fixture.suspects, fixture.text);
    assert_string_equal(fixture.text, "the worker was ended by signal 11 (SIGSEGV) before it was ready");
    assert_int_equal(count_of(&fixture.log, "\"sys_crash:worker_start\""), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    clean_up_log_lines(&fixture.log);
}

static void a_worker_that_ran_nothing_is_one_line(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    report(&fixture, SIGKILL);
    assert_string_equal(fixture.text, "the worker was ended by signal 9 (SIGKILL)");
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\""), 0);
    assert_int_equal(count_of(&fixture.log, "\"signal\":\"SIGKILL\""), 1);
    clean_up_log_lines(&fixture.log);
}

static void all_functions_that_were_running_are_named(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    azfn__flight_record_enter(&fixture.record.threads[2], AZFN__SPAN("first"), AZFN__SPAN("1"), azfn__absent());
    azfn__flight_record_enter(&fixture.record.threads[AZFN__FLIGHT_RECORD_THREADS - 1], AZFN__SPAN("last"),
                              AZFN__SPAN("2"), azfn__absent());
    report(&fixture, SIGSEGV);
    assert_string_equal(fixture.text,
                        "the worker was ended by signal 11 (SIGSEGV); it says it was running the function named here");
    assert_int_equal(count_of(&fixture.log, "\n"), 2);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"first\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"last\""), 1);
    assert_true(strstr(fixture.log.text, "first") < strstr(fixture.log.text, "last"));
    clean_up_log_lines(&fixture.log);
}

static void what_was_running_becomes_suspect(void **state)
{
    (void)state;
    struct azfn_span on_loop = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ab");
    struct azfn_span on_thread = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789AC");
    struct azfn_span finished = AZFN__SPAN("0b9c1d2e-0000-4000-8000-0123456789ad");
    struct fixture fixture;
    set_up(&fixture);
    azfn__flight_record_enter(&fixture.record.loop, AZFN__SPAN("first"), on_loop, azfn__absent());
    azfn__flight_record_enter(&fixture.record.threads[1], AZFN__SPAN("done"), finished, azfn__absent());
    azfn__flight_record_leave(&fixture.record.threads[1]);
    azfn__flight_record_enter(&fixture.record.threads[3], AZFN__SPAN("other"), on_thread, azfn__absent());
    report(&fixture, SIGSEGV);
    assert_int_equal(fixture.suspects.added, 2);
    assert_true(azfn__suspects_have(&fixture.suspects, on_loop));
    assert_true(azfn__suspects_have(&fixture.suspects, on_thread));
    assert_false(azfn__suspects_have(&fixture.suspects, finished));
    clean_up_log_lines(&fixture.log);
}

static void a_lying_record_makes_no_more_lines_than_it_has_slots(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    memset(&fixture.record, '\n', sizeof(fixture.record));
    for (size_t i = 0; i < AZFN__FLIGHT_RECORD_THREADS; i++) {
        fixture.record.threads[i].function_length = 20;
        fixture.record.threads[i].trace_parent_length = 20;
        fixture.record.threads[i].invocation_id_length = i % 2 ? 20 : UINT32_MAX;
    }
    report(&fixture, 7 << 8);
    /* one that lies about a length says nothing; a newline of its own ends no line */
    assert_int_equal(count_of(&fixture.log, "\n"), AZFN__FLIGHT_RECORD_THREADS / 2);
    assert_int_equal(count_of(&fixture.log, "exit code 7"), 1);
    clean_up_log_lines(&fixture.log);
}

static const int forbidden = AZFN__EXIT_FORBIDDEN_CALL << 8;

static void a_forbidden_call_is_named(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.record.forbidden_call =
        (struct azfn__flight_forbidden_call){.has_happened = 1, .architecture = AUDIT_ARCH_X86_64, .number = 42};
    azfn__flight_record_enter(&fixture.record.loop, AZFN__SPAN("webhook"), AZFN__SPAN("1"), azfn__absent());
    report(&fixture, forbidden);
    assert_string_equal(fixture.text,
                        "the worker was ended for a system call that the sandbox forbids; it says the call was connect "
                        "(42); it says it was running the function named here");
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_syscall:worker\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"webhook\""), 1);
    clean_up_log_lines(&fixture.log);
}

static void the_thread_that_made_the_call_comes_first(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.record.forbidden_call = (struct azfn__flight_forbidden_call){.has_happened = 1, .thread = 3};
    azfn__flight_record_enter(&fixture.record.loop, AZFN__SPAN("on-loop"), AZFN__SPAN("1"), azfn__absent());
    azfn__flight_record_enter(&fixture.record.threads[0], AZFN__SPAN("other"), AZFN__SPAN("2"), azfn__absent());
    azfn__flight_record_enter(&fixture.record.threads[2], AZFN__SPAN("culprit"), AZFN__SPAN("3"), azfn__absent());
    azfn__flight_record_enter(&fixture.record.threads[3], AZFN__SPAN("behind"), AZFN__SPAN("4"), azfn__absent());
    report(&fixture, forbidden);
    assert_int_equal(count_of(&fixture.log, "\n"), 4);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_syscall:worker\""), 1);
    const char *line_end = strchr(fixture.log.text, '\n');
    assert_true(strstr(fixture.log.text, "culprit") < line_end);
    for (const char *const *name = (const char *const[]){"on-loop", "other", "behind", NULL}; *name; name++) {
        assert_true(strstr(fixture.log.text, *name) > line_end);
    }
    clean_up_log_lines(&fixture.log);
}

/* What the kernel proves is the exit code, or the signal where the handler was not reached. */
static void a_lie_about_a_call_changes_no_more_than_its_name(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    memset(&fixture.record.forbidden_call, 0xff, sizeof(fixture.record.forbidden_call));
    report(&fixture, forbidden);
    assert_string_equal(fixture.text, "the worker was ended for a system call that the sandbox forbids; it says the "
                                      "call was unknown (-1)");
    assert_int_equal(count_of(&fixture.log, "malicious_syscall:worker"), 1);
    report(&fixture, SIGSEGV);
    assert_string_equal(fixture.text, "the worker was ended by signal 11 (SIGSEGV)");
    assert_int_equal(count_of(&fixture.log, "malicious_syscall:worker"), 1);
    memset(&fixture.record.forbidden_call, 0, sizeof(fixture.record.forbidden_call));
    report(&fixture, SIGSYS);
    assert_string_equal(fixture.text, "the worker was ended for a system call that the sandbox forbids");
    assert_int_equal(count_of(&fixture.log, "malicious_syscall:worker"), 2);
    clean_up_log_lines(&fixture.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_that_ran_nothing_is_one_line),
        cmocka_unit_test(all_functions_that_were_running_are_named),
        cmocka_unit_test(what_was_running_becomes_suspect),
        cmocka_unit_test(a_forbidden_call_is_named),
        cmocka_unit_test(the_thread_that_made_the_call_comes_first),
        cmocka_unit_test(a_lie_about_a_call_changes_no_more_than_its_name),
        cmocka_unit_test(an_end_that_is_told_is_no_further_line),
        cmocka_unit_test(a_forbidden_call_is_told_in_any_case),
        cmocka_unit_test(an_end_before_it_was_ready_is_a_start_that_has_failed),
        cmocka_unit_test(a_lying_record_makes_no_more_lines_than_it_has_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
