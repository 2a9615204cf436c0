/* The page that outlives a worker: what it says, and what a lying one can't do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/flight_record.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void require_read(const struct azfn__flight_slot *slot, const char *function, const char *id)
{
    struct azfn__event_fields found = {.function = AZFN__SPAN("of before"), .trace_id = AZFN__SPAN("of before")};
    azfn__flight_record_read(slot, &found);
    assert_true(function[0] ? azfn_span_equals(found.function, function) : !azfn_span_is_present(found.function));
    assert_true(id[0] ? azfn_span_equals(found.invocation_id, id) : !azfn_span_is_present(found.invocation_id));
    assert_false(azfn_span_is_present(found.trace_id));
}

static void a_new_page_says_that_nothing_runs(void **state)
{
    (void)state;
    int fd = azfn__flight_record_create();
    assert_true(fd >= 0);
    struct azfn__flight_record *record = azfn__flight_record_map(fd);
    assert_non_null(record);
    require_read(&record->loop, "", "");
    for (size_t i = 0; i < AZFN__FLIGHT_RECORD_THREADS; i++) {
        require_read(&record->threads[i], "", "");
    }
    assert_int_equal(record->loop.calls, 0);
    azfn__flight_record_unmap(record);
    close(fd);
}

static void the_page_names_the_function_that_runs(void **state)
{
    (void)state;
    struct azfn__flight_slot slot = {0};
    azfn__flight_record_enter(&slot, AZFN__SPAN("webhook"), AZFN__SPAN("0b9c"), azfn__absent());
    require_read(&slot, "webhook", "0b9c");
    azfn__flight_record_leave(&slot);
    require_read(&slot, "", "");
    azfn__flight_record_enter(&slot, AZFN__SPAN("order"), (struct azfn_span){0}, azfn__absent());
    require_read(&slot, "order", "");
    assert_int_equal(slot.calls, 2);
}

/* As it came: hostile text that is a trace's id only where it is exactly a traceparent. */
static void the_page_names_the_trace(void **state)
{
    static const struct {
        const char *trace_parent;
        bool is_valid;
    } cases[] = {{"00-" TRACE "-b7ad6b7169203331-01", true},
                 {"00-" TRACE "-b7ad6b7169203331-01-and-more", false},
                 {"00-" TRACE "-b7ad6b7169203331-01-and-more-than-there-is-room-for", false},
                 {"00-" TRACE "-b7ad6b7169203331-0", false},
                 {"no trace", false},
                 {"", false}};
    (void)state;
    struct azfn__flight_slot slot = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn__event_fields found = {0};
        azfn__flight_record_enter(&slot, AZFN__SPAN("webhook"), AZFN__SPAN("1"), azfn_span_of(cases[i].trace_parent));
        azfn__flight_record_read(&slot, &found);
        assert_true(cases[i].is_valid ? azfn_span_equals(found.trace_id, TRACE)
                                      : !azfn_span_is_present(found.trace_id));
        azfn__flight_record_leave(&slot);
        azfn__flight_record_read(&slot, &found);
        assert_false(azfn_span_is_present(found.trace_id));
    }
}

static void names_that_are_too_long_are_cut(void **state)
{
    (void)state;
    static char name[1000];
    memset(name, 'n', sizeof(name));
    struct azfn__flight_slot slot = {0};
    struct azfn__event_fields found = {0};
    azfn__flight_record_enter(&slot, azfn__span(name, sizeof(name)), azfn__span(name, sizeof(slot.invocation_id) + 1),
                              azfn__absent());
    azfn__flight_record_read(&slot, &found);
    assert_int_equal(found.function.length, 128);
    assert_int_equal(found.invocation_id.length, sizeof(slot.invocation_id));
    assert_memory_equal(found.function.data, name, 128);
    assert_memory_equal(found.invocation_id.data, name, sizeof(slot.invocation_id));
    assert_int_equal(slot.calls, 1);
}

static void lengths_that_lie_give_nothing(void **state)
{
    (void)state;
    static const uint32_t lies[] = {129, 130, 255, 256, 4096, 0x7fffffff, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct azfn__flight_slot slot = {.function_length = lies[i]};
        require_read(&slot, "", "");
        slot = (struct azfn__flight_slot){
            .function_length = 4, .function = "fine", .invocation_id_length = lies[i]};
        require_read(&slot, "", "");
        slot = (struct azfn__flight_slot){
            .function_length = 4, .function = "fine", .trace_parent_length = lies[i]};
        require_read(&slot, "", "");
        slot = (struct azfn__flight_slot){.function_length = lies[i], .invocation_id_length = lies[i]};
        require_read(&slot, "", "");
    }
}

static void the_longest_true_lengths_stay_inside_the_page(void **state)
{
    (void)state;
    struct azfn__flight_slot slot = {.function_length = 128, .invocation_id_length = sizeof(slot.invocation_id)};
    struct azfn__event_fields found = {0};
    memset(slot.function, 0xff, sizeof(slot.function));
    azfn__flight_record_read(&slot, &found);
    assert_ptr_equal(found.function.data, slot.function);
    assert_int_equal(found.function.length, 128);
    assert_ptr_equal(found.invocation_id.data, slot.invocation_id);
    assert_int_equal(found.invocation_id.length, sizeof(slot.invocation_id));
}

static void the_page_can_not_be_resized(void **state)
{
    (void)state;
    struct stat status;
    int fd = azfn__flight_record_create();
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, AZFN__FLIGHT_RECORD_BYTES);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

static void what_a_process_wrote_is_there_after_its_death(void **state)
{
    (void)state;
    int fd = azfn__flight_record_create();
    assert_true(fd >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct azfn__flight_record *record = azfn__flight_record_map(fd);
        azfn__flight_record_enter(&record->threads[AZFN__FLIGHT_RECORD_THREADS - 1], AZFN__SPAN("crash"),
                                  AZFN__SPAN("7"), azfn__absent());
        _exit(9);
    }
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    struct azfn__flight_record *record = azfn__flight_record_map(fd);
    assert_non_null(record);
    close(fd);
    require_read(&record->loop, "", "");
    require_read(&record->threads[AZFN__FLIGHT_RECORD_THREADS - 1], "crash", "7");
    assert_int_equal(record->threads[AZFN__FLIGHT_RECORD_THREADS - 1].calls, 1);
    azfn__flight_record_unmap(record);
}

static void mapping_what_is_no_file_fails(void **state)
{
    (void)state;
    assert_null(azfn__flight_record_map(-1));
    assert_int_equal(errno, EBADF);
    azfn__flight_record_unmap(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_page_says_that_nothing_runs),
        cmocka_unit_test(the_page_names_the_function_that_runs),
        cmocka_unit_test(the_page_names_the_trace),
        cmocka_unit_test(names_that_are_too_long_are_cut),
        cmocka_unit_test(lengths_that_lie_give_nothing),
        cmocka_unit_test(the_longest_true_lengths_stay_inside_the_page),
        cmocka_unit_test(the_page_can_not_be_resized),
        cmocka_unit_test(what_a_process_wrote_is_there_after_its_death),
        cmocka_unit_test(mapping_what_is_no_file_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
