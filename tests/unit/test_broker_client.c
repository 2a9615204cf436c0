/* What the worker tells the log while the broker does not keep up, and at the worker's end: what was dropped is told by
 * its kind, what else is on its way does not count, and nothing that the broker still takes is lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/broker_client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)64 << 10)
#define PIECE_BYTES ((size_t)16 << 10)
#define LONG_ENOUGH_MS 60000

static struct {
    uv_loop_t loop;
    struct azfn__broker_client client;
    int broker_end;
    uv_poll_t broker; /* reads while it is started */
    struct azfn__frame_reader frames;
    size_t asks;
    size_t lines;
    size_t events;
    struct azfn__dropped_logs dropped; /* as it was told */
    char suppressed[4][64];
    size_t told_count;
} world;

static void on_drain(void *user_data)
{
    (void)user_data;
}

static void take_told(const struct azfn__log_frame *log)
{
    assert_true(world.told_count < 4);
    snprintf(world.suppressed[world.told_count++], 64, "%.*s", AZFN_SPAN_ARGS(log->fields.suppressed));
    bool are_lines = azfn_span_equals(log->fields.suppressed, "lines");
    *(are_lines ? &world.dropped.lines : &world.dropped.events) += (uint64_t)log->fields.count.value;
    assert_true(memmem(log->text.data, log->text.length, "the broker did not take them in time", 36) != NULL);
}

static void take_frames(void)
{
    struct azfn__frame frame;
    struct azfn__log_frame log;
    while (azfn__frame_reader_next(&world.frames, &frame) == AZFN_OK) {
        if (frame.type != AZFN__FRAME_LOG) {
            world.asks++;
            continue;
        }
        assert_true(azfn__frame_decode_log(frame.payload, &log));
        world.lines += log.event == AZFN__EVENT_NONE;
        world.events += log.event != AZFN__EVENT_NONE && log.event != AZFN__EVENT_LOG_LIMIT;
        if (log.event == AZFN__EVENT_LOG_LIMIT) {
            take_told(&log);
        }
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    char bytes[16384];
    (void)poll;
    (void)status;
    (void)events;
    ssize_t count = read(world.broker_end, bytes, sizeof(bytes));
    if (count > 0) {
        assert_true(azfn__frame_reader_feed(&world.frames, bytes, (size_t)count));
        take_frames();
    }
}

static void start_reading(void)
{
    assert_int_equal(uv_poll_start(&world.broker, UV_READABLE, on_readable), 0);
}

static int set_up(void **state)
{
    (void)state;
    static const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_drain};
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    memset(&world, 0, sizeof(world));
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(azfn__broker_client_start(&world.client, &world.loop, ends[0], &callbacks), AZFN_OK);
    world.broker_end = ends[1];
    assert_int_equal(uv_poll_init(&world.loop, &world.broker, ends[1]), 0);
    azfn__frame_reader_init(&world.frames);
    return 0;
}

static void close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static int clean_up(void **state)
{
    (void)state;
    uv_walk(&world.loop, close_handle, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world.loop), 0);
    azfn__frame_reader_clean_up(&world.frames);
    azfn__frame_reader_clean_up(&world.client.reader);
    azfn__buffer_clean_up(&world.client.writer.out);
    close(world.broker_end);
    return 0;
}

static void say(enum azfn__security_event event)
{
    static const char text[1024] = {0};
    const struct azfn__log_frame log = {.event = event, .text = azfn__span(text, sizeof(text))};
    azfn__broker_client_log(&world.client, &log);
}

/* Until the first one is dropped. */
static size_t say_until_full(enum azfn__security_event event)
{
    const struct azfn__dropped_logs *dropped = &world.client.dropped;
    const uint64_t *kind = event == AZFN__EVENT_NONE ? &dropped->lines : &dropped->events;
    uint64_t before = *kind;
    size_t count = 0;
    do {
        say(event);
        count++;
    } while (*kind == before);
    return count;
}

static size_t ask_for_windows(size_t count)
{
    static const char piece[PIECE_BYTES] = {0};
    for (size_t i = 0; i < count * (WINDOW_BYTES / PIECE_BYTES); i++) {
        azfn__frame_append(azfn__frame_writer_out(&world.client.writer), AZFN__FRAME_REQUEST_BODY,
                           azfn__span(piece, sizeof(piece)));
    }
    return count * (WINDOW_BYTES / PIECE_BYTES);
}

static void finish(void)
{
    start_reading();
    azfn__broker_client_finish(&world.client, LONG_ENOUGH_MS);
    /* what the socket has taken */
    uv_run(&world.loop, UV_RUN_NOWAIT);
    on_readable(&world.broker, 0, 0);
    for (int i = 0; i < 64; i++) {
        on_readable(&world.broker, 0, 0);
    }
}

static void uploads_on_their_way_drop_nothing_of_the_log(void **state)
{
    (void)state;
    size_t asks = ask_for_windows(9);
    say(AZFN__EVENT_REQUEST_SUSPICIOUS);
    say(AZFN__EVENT_NONE);
    asks += ask_for_windows(40); /* they wait, and so does what comes now */
    say(AZFN__EVENT_NONE);
    say(AZFN__EVENT_REQUEST_SUSPICIOUS);
    finish();
    assert_int_equal(world.asks, asks);
    assert_int_equal(world.lines, 2);
    assert_int_equal(world.events, 2);
    assert_int_equal(world.told_count, 0);
}

static void a_log_that_nobody_reads_has_room_for_events_when_lines_are_dropped(void **state)
{
    (void)state;
    size_t lines = say_until_full(AZFN__EVENT_NONE);
    assert_in_range(lines, AZFN__FRAME_WRITER_BEHIND_BYTES >> 11, AZFN__FRAME_WRITER_BEHIND_BYTES >> 8);
    size_t events = say_until_full(AZFN__EVENT_REQUEST_SUSPICIOUS);
    say(AZFN__EVENT_REQUEST_SUSPICIOUS);
    for (int i = 0; i < 4; i++) {
        say(AZFN__EVENT_NONE);
    }
    finish();
    assert_int_equal(world.lines, lines - 1);
    assert_int_equal(world.events, events - 1);
    assert_int_equal(world.dropped.lines, 5);
    assert_int_equal(world.dropped.events, 2);
    assert_int_equal(world.told_count, 3);
    assert_string_equal(world.suppressed[0], "lines"); /* the first one, before the events */
    assert_string_equal(world.suppressed[1], "malicious_request:function");
    assert_string_equal(world.suppressed[2], "lines");
}

static void dropped_events_of_several_kinds_are_events(void **state)
{
    (void)state;
    size_t events = say_until_full(AZFN__EVENT_REQUEST_SUSPICIOUS);
    say(AZFN__EVENT_REQUEST_INVALID);
    say(AZFN__EVENT_REQUEST_SUSPICIOUS);
    finish();
    assert_int_equal(world.events, events - 1);
    assert_int_equal(world.dropped.events, 3);
    assert_int_equal(world.told_count, 1);
    assert_string_equal(world.suppressed[0], "events");
}

static void a_count_that_is_dropped_is_counted(void **state)
{
    (void)state;
    struct azfn__log_frame log = {.event = AZFN__EVENT_LOG_LIMIT,
                                  .fields = {.suppressed = AZFN__SPAN("lines"), .count = AZFN__NUMBER(40)}};
    say_until_full(AZFN__EVENT_REQUEST_SUSPICIOUS);
    azfn__broker_client_log(&world.client, &log);
    log.fields.suppressed = AZFN__SPAN("malicious_request:function");
    azfn__broker_client_log(&world.client, &log);
    log = (struct azfn__log_frame){.event = AZFN__EVENT_SETTING_REFUSED, .fields = {.count = AZFN__NUMBER(7)}};
    azfn__broker_client_log(&world.client, &log);
    finish();
    assert_int_equal(world.dropped.lines, 40);
    assert_int_equal(world.dropped.events, 48);
    assert_string_equal(world.suppressed[0], "events");
    assert_string_equal(world.suppressed[1], "lines");
}

static void there_is_room_again_when_the_broker_has_read(void **state)
{
    (void)state;
    size_t lines = 0;
    for (int i = 0; i < 3; i++) {
        lines += say_until_full(AZFN__EVENT_NONE) - 1;
        start_reading();
        while (world.lines < lines || world.dropped.lines < (uint64_t)i + 1) {
            uv_run(&world.loop, UV_RUN_ONCE);
        }
        uv_poll_stop(&world.broker);
        assert_int_equal(world.client.writer.waiting_log_bytes, 0);
    }
    assert_int_equal(world.lines, lines);
}

static void the_end_waits_for_what_is_on_its_way_and_tells_what_is_not(void **state)
{
    (void)state;
    size_t lines = say_until_full(AZFN__EVENT_NONE);
    start_reading();
    azfn__broker_client_finish(&world.client, LONG_ENOUGH_MS);
    assert_int_equal(azfn__frame_writer_pending_bytes(&world.client.writer), 0);
    say(AZFN__EVENT_CALLER_AUTHENTICATED);
    azfn__broker_client_finish(&world.client, LONG_ENOUGH_MS);
    finish();
    assert_int_equal(world.lines, lines - 1);
    assert_int_equal(world.dropped.lines, 1);
    assert_int_equal(world.events, 1);
}

static void the_end_does_not_wait_for_ever(void **state)
{
    (void)state;
    say_until_full(AZFN__EVENT_NONE);
    azfn__broker_client_finish(&world.client, 20);
    assert_true(azfn__frame_writer_pending_bytes(&world.client.writer) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(uploads_on_their_way_drop_nothing_of_the_log, set_up, clean_up),
        cmocka_unit_test_setup_teardown(a_log_that_nobody_reads_has_room_for_events_when_lines_are_dropped, set_up,
                                        clean_up),
        cmocka_unit_test_setup_teardown(dropped_events_of_several_kinds_are_events, set_up, clean_up),
        cmocka_unit_test_setup_teardown(a_count_that_is_dropped_is_counted, set_up, clean_up),
        cmocka_unit_test_setup_teardown(there_is_room_again_when_the_broker_has_read, set_up, clean_up),
        cmocka_unit_test_setup_teardown(the_end_waits_for_what_is_on_its_way_and_tells_what_is_not, set_up, clean_up),
        cmocka_unit_test_setup_teardown(the_end_does_not_wait_for_ever, set_up, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
