/* What is told at once, what is counted, and when the counts are told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/event_tally.h"

#include <stdio.h>

#define FAILED AZFN__EVENT_DESTINATION_FAILED
#define ECHO AZFN__EVENT_DESTINATION_ECHO
#define NOW_MS 1000
#define INTERVAL_MS 500

struct said {
    size_t lines;
    uint64_t occurrences;
    enum azfn__security_event event; /* of the last line */
    char reason[16];
    bool refuses;
};

static bool say(enum azfn__security_event event, const char *reason, uint64_t count, void *user_data)
{
    struct said *said = user_data;
    if (said->refuses) {
        return false;
    }
    said->lines++;
    said->occurrences += count > 0 ? count : 1;
    said->event = event;
    (void)snprintf(said->reason, sizeof(said->reason), "%s", reason);
    return true;
}

static void add(struct azfn__event_tally *tally, struct said *said, enum azfn__security_event event,
                const char *reason)
{
    azfn__event_tally_add(tally, event, reason, NOW_MS, INTERVAL_MS, say, said);
}

static void each_event_and_reason_is_told_once_and_then_counted(void **state)
{
    (void)state;
    struct azfn__event_tally tally = {.rows = NULL};
    struct said said = {.lines = 0};
    assert_true(azfn__event_tally_due_ms(&tally) == UINT64_MAX);
    for (int i = 0; i < 5; i++) {
        char reason[] = "a";
        add(&tally, &said, FAILED, reason);
        reason[0] = 'b'; /* it is copied */
        add(&tally, &said, FAILED, reason);
        add(&tally, &said, ECHO, "a");
        assert_int_equal(said.lines, 3);
    }
    assert_true(azfn__event_tally_due_ms(&tally) == NOW_MS + INTERVAL_MS);
    azfn__event_tally_tell(&tally, NOW_MS + INTERVAL_MS - 1, say, &said);
    assert_int_equal(said.lines, 3);
    azfn__event_tally_tell(&tally, NOW_MS + INTERVAL_MS, say, &said);
    assert_int_equal(said.lines, 6);
    assert_int_equal(said.occurrences, 15);
    assert_int_equal(said.event, FAILED); /* the oldest last */
    assert_string_equal(said.reason, "a");
    assert_true(azfn__event_tally_due_ms(&tally) == NOW_MS + 2 * INTERVAL_MS);
    azfn__event_tally_clear(&tally);
}

static void what_does_not_come_again_is_forgotten(void **state)
{
    (void)state;
    struct azfn__event_tally tally = {.rows = NULL};
    struct said said = {.lines = 0};
    add(&tally, &said, FAILED, "a");
    add(&tally, &said, FAILED, "b");
    add(&tally, &said, FAILED, "b");
    azfn__event_tally_tell(&tally, NOW_MS + INTERVAL_MS, say, &said);
    assert_int_equal(tally.count, 1);
    azfn__event_tally_tell(&tally, NOW_MS + 2 * INTERVAL_MS, say, &said);
    assert_int_equal(tally.count, 0);
    assert_true(azfn__event_tally_due_ms(&tally) == UINT64_MAX);
    add(&tally, &said, FAILED, "a");
    assert_int_equal(said.lines, 4);
    azfn__event_tally_clear(&tally);
}

static void what_could_not_be_said_is_said_later(void **state)
{
    (void)state;
    struct azfn__event_tally tally = {.rows = NULL};
    struct said said = {.refuses = true};
    for (int i = 0; i < 3; i++) {
        add(&tally, &said, FAILED, "a");
    }
    azfn__event_tally_tell(&tally, NOW_MS + INTERVAL_MS, say, &said);
    azfn__event_tally_tell(&tally, UINT64_MAX, say, &said);
    said.refuses = false;
    azfn__event_tally_tell(&tally, UINT64_MAX, say, &said);
    assert_int_equal(said.lines, 1);
    assert_int_equal(said.occurrences, 3);
    assert_int_equal(tally.count, 0);
}

static void more_reasons_than_it_keeps_are_counted_with_others_of_the_event(void **state)
{
    (void)state;
    struct azfn__event_tally tally = {.rows = NULL};
    struct said said = {.lines = 0};
    for (int i = 0; i < 1000; i++) {
        char reason[8];
        (void)snprintf(reason, sizeof(reason), "%d", i);
        add(&tally, &said, FAILED, reason);
    }
    assert_int_equal(said.lines, AZFN__EVENT_TALLY_MAX_ROWS);
    add(&tally, &said, ECHO, "a"); /* another event is not hidden by them */
    assert_int_equal(said.lines, AZFN__EVENT_TALLY_MAX_ROWS + 1);
    azfn__event_tally_tell(&tally, UINT64_MAX, say, &said);
    assert_int_equal(said.occurrences, 1001);
    azfn__event_tally_clear(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_and_reason_is_told_once_and_then_counted),
        cmocka_unit_test(what_does_not_come_again_is_forgotten),
        cmocka_unit_test(what_could_not_be_said_is_said_later),
        cmocka_unit_test(more_reasons_than_it_keeps_are_counted_with_others_of_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
