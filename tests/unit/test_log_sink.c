/* The log's way out, with pipes in place of the host's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/span.h"
#include "broker/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NO_LIMIT ((size_t)1 << 30)

struct fixture {
    struct azfn__log_sink sink;
    uv_loop_t loop;
    bool has_loop;
    uv_prepare_t alive; /* the sink's own handles do not keep a loop going */
    int readers[2];
    int writers[2];
    struct azfn__buffer read[2];
};

static void set_up(struct fixture *fixture)
{
    *fixture = (struct fixture){.has_loop = false};
    azfn__log_sink_init(&fixture->sink);
    for (int i = 0; i < 2; i++) {
        int ends[2];
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        fixture->readers[i] = ends[0];
        fixture->writers[i] = ends[1];
        fixture->sink.streams[i].fd = ends[1];
        azfn__buffer_init(&fixture->read[i], NO_LIMIT);
    }
}

static void on_prepare(uv_prepare_t *handle)
{
    (void)handle;
}

static void attach(struct fixture *fixture)
{
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(uv_prepare_init(&fixture->loop, &fixture->alive), 0);
    assert_int_equal(uv_prepare_start(&fixture->alive, on_prepare), 0);
    assert_int_equal(azfn__log_sink_attach(&fixture->sink, &fixture->loop), AZFN_OK);
    fixture->has_loop = true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void clean_up(struct fixture *fixture)
{
    for (int i = 0; i < 2; i++) {
        if (fixture->sink.streams[i].writable) {
            uv_close((uv_handle_t *)fixture->sink.streams[i].writable, on_closed);
        }
    }
    if (fixture->has_loop) {
        uv_close((uv_handle_t *)&fixture->sink.dropped_report, NULL);
        uv_close((uv_handle_t *)&fixture->alive, NULL);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
    }
    azfn__buffer_clean_up(&fixture->sink.line);
    for (int i = 0; i < 2; i++) {
        azfn__buffer_clean_up(&fixture->sink.streams[i].pending);
        azfn__buffer_clean_up(&fixture->read[i]);
        if (fixture->readers[i] >= 0) {
            close(fixture->readers[i]);
        }
        close(fixture->writers[i]);
    }
}

/* Takes what is in the pipe. */
static void read_some(struct fixture *fixture, int stream)
{
    char bytes[4096];
    ssize_t count;
    while ((count = read(fixture->readers[stream], bytes, sizeof(bytes))) > 0) {
        azfn__buffer_append(&fixture->read[stream], bytes, (size_t)count);
    }
    assert_true(count < 0 && errno == EAGAIN);
}

/* The loop writes while the pipe takes it, until nothing is left. */
static void read_all(struct fixture *fixture, int stream)
{
    while (fixture->sink.streams[stream].pending.length > 0) {
        read_some(fixture, stream);
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    read_some(fixture, stream);
}

/* Requires whole lines only; returns how many, without those that tell a count, which are added up. */
static size_t count_lines(struct fixture *fixture, int stream, uint64_t *out_dropped)
{
    struct azfn_span rest = azfn__buffer_span(&fixture->read[stream]);
    size_t count = 0;
    *out_dropped = 0;
    while (rest.length > 0) {
        const char *end = memchr(rest.data, '\n', rest.length);
        assert_non_null(end);
        struct azfn_span line = azfn__span(rest.data, (size_t)(end - rest.data));
        assert_int_equal(azfn__json_scan(line, NULL, NULL), AZFN_OK);
        struct azfn_span event = azfn__json_member(line, AZFN__SPAN("event"));
        if (azfn__json_string_equals(event, AZFN__SPAN("excess_rate_limit_exceeded:log"))) {
            unsigned long long told = 0;
            struct azfn_span text = azfn__json_string_view(azfn__json_member(line, AZFN__SPAN("description")));
            assert_true(azfn_span_is_present(text));
            told = strtoull(text.data, NULL, 10);
            assert_true(told > 0);
            *out_dropped += told;
        } else {
            count++;
        }
        rest = azfn__span_from(rest, line.length + 1);
    }
    return count;
}

static void write_line(struct fixture *fixture, enum azfn_log_level level, enum azfn__log_origin origin,
                       const char *text)
{
    azfn__log_sink_write(&fixture->sink, (struct azfn__log_entry){
                                             .level = level, .origin = origin, .description = azfn_span_of(text)});
}

/* Lines of about 5 KB, more than a pipe takes at once, until the sink has dropped one. Returns how many. */
static size_t flood(struct fixture *fixture, enum azfn_log_level level)
{
    static char text[5000];
    size_t count = 0;
    memset(text, 'x', sizeof(text) - 1);
    while (fixture->sink.dropped == 0) {
        write_line(fixture, level, AZFN__ORIGIN_BROKER, text);
        count++;
        assert_true(count < 1000);
    }
    return count;
}

static void information_goes_to_stdout_and_everything_else_to_stderr(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "one");
    write_line(&fixture, AZFN_LOG_WARNING, AZFN__ORIGIN_WORKER_STDOUT, "two");
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "three");
    read_some(&fixture, 0);
    read_some(&fixture, 1);
    struct azfn_span out = azfn__buffer_span(&fixture.read[0]);
    struct azfn_span err = azfn__buffer_span(&fixture.read[1]);
    assert_non_null(memmem(out.data, out.length, "\"one\"}\n", 7));
    assert_null(memmem(out.data, out.length, "two", 3));
    const char *two = memmem(err.data, err.length, "\"two\"}\n", 7);
    const char *three = memmem(err.data, err.length, "\"three\"}\n", 9);
    assert_true(two && three && two < three);
    assert_null(memmem(err.data, err.length, "one", 3));
    clean_up(&fixture);
}

static void a_line_carries_the_apps_name_and_the_time(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.sink.app_id = AZFN__SPAN("shop");
    azfn__log_sink_say(&fixture.sink, AZFN_LOG_INFORMATION, "sys_startup", "port %d", 7071);
    read_some(&fixture, 0);
    struct azfn_span line = azfn__buffer_span(&fixture.read[0]);
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("appid")), AZFN__SPAN("shop")));
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("event")), AZFN__SPAN("sys_startup")));
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("description")), AZFN__SPAN("port 7071")));
    struct azfn_span time_of = azfn__json_string_view(azfn__json_member(line, AZFN__SPAN("datetime")));
    assert_int_equal(time_of.length, strlen("2001-09-09T01:46:40.007+00:00"));
    assert_true(azfn__span_starts_with(time_of, AZFN__SPAN("20")));
    clean_up(&fixture);
}

static void a_line_of_the_brokers_own_is_cut_at_its_buffer(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    azfn__log_sink_say(&fixture.sink, AZFN_LOG_ERROR, NULL, "%04000d", 1);
    read_some(&fixture, 1);
    assert_int_equal(count_lines(&fixture, 1, &dropped), 1);
    assert_in_range(fixture.read[1].length, 2000, 2400);
    clean_up(&fixture);
}

static void a_worker_that_floods_is_limited_and_the_count_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    fixture.sink.buckets[AZFN__LOG_CLASS_PRINTED].tokens = 10;
    for (size_t i = 0; i < 500; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER_STDERR, "flood");
        read_some(&fixture, 0);
    }
    size_t count = count_lines(&fixture, 0, &dropped);
    assert_in_range(count, 10, 499);
    assert_int_equal(dropped, 0);
    /* the broker's own lines are not the worker's to silence */
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "still heard");
    azfn__log_sink_flush(&fixture.sink, 0);
    read_some(&fixture, 1);
    assert_int_equal(count_lines(&fixture, 1, &dropped), 1);
    assert_int_equal(count + dropped, 500);
    clean_up(&fixture);
}

static void a_flood_of_events_hides_no_line_of_a_function(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    fixture.sink.buckets[AZFN__LOG_CLASS_EVENT].tokens = 0;
    for (size_t i = 0; i < 100; i++) {
        azfn__log_sink_write(&fixture.sink, (struct azfn__log_entry){.level = AZFN_LOG_INFORMATION,
                                                                     .origin = AZFN__ORIGIN_WORKER,
                                                                     .event = AZFN__SPAN("input_validation_fail:route"),
                                                                     .description = AZFN__SPAN("404")});
    }
    assert_true(fixture.sink.dropped > 0);
    for (size_t i = 0; i < 100; i++) {
        write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER, "a function says");
    }
    read_some(&fixture, 1);
    assert_int_equal(count_lines(&fixture, 1, &dropped), 100);
    clean_up(&fixture);
}

static void a_burst_is_taken_whole(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    for (size_t i = 0; i < AZFN__LOG_BURST; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "x");
        read_some(&fixture, 0);
    }
    assert_int_equal(count_lines(&fixture, 0, &dropped), AZFN__LOG_BURST);
    assert_int_equal(fixture.sink.dropped, 0);
    clean_up(&fixture);
}

static void the_time_between_two_tokens_is_not_forgotten(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    /* a token is worth 5 ms: asking every 9 ms must not give one in 9 */
    fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].tokens = 0;
    fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].refilled_ms -= 9;
    uint64_t start = fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].refilled_ms;
    write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "x");
    assert_true(fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].refilled_ms > start);
    assert_int_equal((fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].refilled_ms - start) % (1000 / AZFN__LOG_RATE_PER_S), 0);
    clean_up(&fixture);
}

static void what_is_dropped_is_told_a_moment_later(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    attach(&fixture);
    fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].tokens = 0;
    while (fixture.sink.dropped < 3) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "x");
    }
    assert_true(uv_is_active((uv_handle_t *)&fixture.sink.dropped_report));
    while (fixture.sink.dropped > 0) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    read_some(&fixture, 1);
    assert_int_equal(count_lines(&fixture, 1, &dropped), 0);
    assert_int_equal(dropped, 3);
    clean_up(&fixture);
}

static void what_was_dropped_before_there_was_a_loop_is_told_too(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    fixture.sink.buckets[AZFN__LOG_CLASS_FUNCTION].tokens = 0;
    while (fixture.sink.dropped < 3) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "x");
    }
    attach(&fixture);
    assert_true(uv_is_active((uv_handle_t *)&fixture.sink.dropped_report));
    while (fixture.sink.dropped > 0) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    read_some(&fixture, 1);
    count_lines(&fixture, 1, &dropped);
    assert_int_equal(dropped, 3);
    clean_up(&fixture);
}

static void a_full_pipe_does_not_block_and_only_whole_lines_are_lost(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct fixture fixture;
        uint64_t dropped;
        uint64_t dropped_here;
        set_up(&fixture);
        attach(&fixture);
        size_t written = flood(&fixture, stream == 0 ? AZFN_LOG_INFORMATION : AZFN_LOG_ERROR);
        assert_in_range(fixture.sink.streams[stream].pending.length, 128 << 10, 256 << 10);
        read_all(&fixture, stream);
        azfn__log_sink_flush(&fixture.sink, 0);
        read_some(&fixture, stream);
        read_some(&fixture, 1);
        size_t count = count_lines(&fixture, stream, &dropped_here);
        count_lines(&fixture, 1, &dropped);
        assert_int_equal(count + dropped, written);
        clean_up(&fixture);
    }
}

static void lines_that_waited_before_there_was_a_loop_are_written_by_it(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    size_t written = flood(&fixture, AZFN_LOG_INFORMATION);
    attach(&fixture);
    read_all(&fixture, 0);
    assert_int_equal(count_lines(&fixture, 0, &dropped), written - 1);
    clean_up(&fixture);
}

static void the_count_survives_a_pipe_that_has_no_room_for_it(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    attach(&fixture);
    size_t written = flood(&fixture, AZFN_LOG_ERROR);
    /* small ones, so that not even the line with the count has room */
    for (size_t i = 0; i < 200; i++) {
        write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "x");
        written++;
    }
    uint64_t lost = fixture.sink.dropped;
    assert_true(lost > 100);
    azfn__log_sink_flush(&fixture.sink, 0);
    assert_int_equal(fixture.sink.dropped, lost);
    read_all(&fixture, 1);
    azfn__log_sink_flush(&fixture.sink, 0);
    read_some(&fixture, 1);
    size_t count = count_lines(&fixture, 1, &dropped);
    assert_int_equal(dropped, lost);
    assert_int_equal(count + dropped, written);
    clean_up(&fixture);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void flushing_waits_for_as_long_as_it_may(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION);
    int64_t before = now_ms();
    azfn__log_sink_flush(&fixture.sink, 50);
    assert_true(now_ms() - before >= 50);
    assert_true(fixture.sink.streams[0].pending.length > 0);
    clean_up(&fixture);
}

static void flushing_writes_what_is_pending_while_somebody_reads(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    size_t written = flood(&fixture, AZFN_LOG_INFORMATION);
    while (fixture.sink.streams[0].pending.length > 0) {
        read_some(&fixture, 0);
        azfn__log_sink_flush(&fixture.sink, 10);
    }
    read_some(&fixture, 0);
    assert_int_equal(count_lines(&fixture, 0, &dropped), written - 1);
    clean_up(&fixture);
}

static void a_pipe_that_nobody_reads_any_more_is_survived(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t dropped;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION);
    close(fixture.readers[0]);
    fixture.readers[0] = -1;
    /* what waited is thrown away, and the loop does not spin on the broken pipe */
    while (fixture.sink.streams[0].writable) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    assert_int_equal(fixture.sink.streams[0].pending.length, 0);
    write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER, "to nobody");
    assert_int_equal(fixture.sink.streams[0].pending.length, 0);
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "the other one still works");
    read_some(&fixture, 1);
    assert_int_equal(count_lines(&fixture, 1, &dropped), 1);
    azfn__log_sink_flush(&fixture.sink, 0);
    clean_up(&fixture);
}

static void a_regular_file_takes_every_line(void **state)
{
    (void)state;
    struct fixture fixture;
    FILE *file = tmpfile();
    assert_non_null(file);
    set_up(&fixture);
    attach(&fixture);
    fixture.sink.streams[0].fd = fileno(file);
    for (size_t i = 0; i < 1000; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER, "to a file");
    }
    assert_int_equal(fixture.sink.streams[0].pending.length, 0);
    size_t lines = 0;
    rewind(file);
    for (int c = getc(file); c != EOF; c = getc(file)) {
        lines += c == '\n' ? 1 : 0;
    }
    assert_int_equal(lines, 1000);
    fclose(file);
    clean_up(&fixture);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(information_goes_to_stdout_and_everything_else_to_stderr),
        cmocka_unit_test(a_line_carries_the_apps_name_and_the_time),
        cmocka_unit_test(a_line_of_the_brokers_own_is_cut_at_its_buffer),
        cmocka_unit_test(a_worker_that_floods_is_limited_and_the_count_is_told),
        cmocka_unit_test(a_flood_of_events_hides_no_line_of_a_function),
        cmocka_unit_test(a_burst_is_taken_whole),
        cmocka_unit_test(the_time_between_two_tokens_is_not_forgotten),
        cmocka_unit_test(what_is_dropped_is_told_a_moment_later),
        cmocka_unit_test(what_was_dropped_before_there_was_a_loop_is_told_too),
        cmocka_unit_test(a_full_pipe_does_not_block_and_only_whole_lines_are_lost),
        cmocka_unit_test(lines_that_waited_before_there_was_a_loop_are_written_by_it),
        cmocka_unit_test(the_count_survives_a_pipe_that_has_no_room_for_it),
        cmocka_unit_test(flushing_waits_for_as_long_as_it_may),
        cmocka_unit_test(flushing_writes_what_is_pending_while_somebody_reads),
        cmocka_unit_test(a_pipe_that_nobody_reads_any_more_is_survived),
        cmocka_unit_test(a_regular_file_takes_every_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
