/* The log's way out, with pipes in place of the host's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/span.h"
#include "broker/log_sink.h"
#include "unit/timers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NO_LIMIT ((size_t)1 << 30)
#define STDOUT 0
#define STDERR 1

struct fixture {
    struct azfn__log_sink sink;
    uv_loop_t loop;
    bool has_loop;
    uv_prepare_t alive; /* the sink's own handles do not keep a loop going */
    int readers[2];
    int writers[2];
    struct azfn__buffer read[2];
    atomic_bool is_read; /* for a thread that reads */
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

static void close_reader(struct fixture *fixture, int stream)
{
    close(fixture->readers[stream]);
    fixture->readers[stream] = -1;
}

static void clean_up(struct fixture *fixture)
{
    if (fixture->has_loop) {
        uv_close((uv_handle_t *)&fixture->sink.dropped_report, NULL);
        uv_close((uv_handle_t *)&fixture->sink.retry, NULL);
        uv_close((uv_handle_t *)&fixture->alive, NULL);
        uv_run(&fixture->loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&fixture->loop), 0);
    }
    azfn__log_sink_clean_up(&fixture->sink);
    for (int i = 0; i < 2; i++) {
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

/* The report comes now, if it has not come on a slow machine, and is read. */
static void tell_dropped(struct fixture *fixture)
{
    while (uv_is_active((uv_handle_t *)&fixture->sink.dropped_report)) {
        bring_timer_forward(&fixture->loop);
    }
    read_all(fixture, fixture->readers[STDERR] >= 0 ? STDERR : STDOUT);
}

struct seen {
    size_t lines;   /* without those that tell a count */
    size_t reports;
    uint64_t told;     /* the sum of the counts */
    uint64_t sequence; /* the highest */
};

static int64_t number_of(struct azfn_span line, const char *name)
{
    struct azfn_span value = azfn__json_member(line, azfn_span_of(name));
    assert_true(azfn_span_is_present(value));
    return strtoll(value.data, NULL, 10);
}

/* Requires whole lines only, whose numbers rise. */
static struct seen look_at(struct fixture *fixture, int stream)
{
    struct azfn_span rest = azfn__buffer_span(&fixture->read[stream]);
    struct seen seen = {.lines = 0};
    while (rest.length > 0) {
        const char *end = memchr(rest.data, '\n', rest.length);
        assert_non_null(end);
        struct azfn_span line = azfn__span(rest.data, (size_t)(end - rest.data));
        assert_int_equal(azfn__json_scan(line, NULL, NULL), AZFN_OK);
        uint64_t sequence = (uint64_t)number_of(line, "sequence");
        assert_true(sequence > seen.sequence);
        seen.sequence = sequence;
        struct azfn_span event = azfn__json_member(line, AZFN__SPAN("event"));
        if (azfn__json_string_equals(event, AZFN__SPAN("excess_rate_limit_exceeded:log"))) {
            seen.told += (uint64_t)number_of(line, "count");
            seen.reports++;
        } else {
            seen.lines++;
        }
        rest = azfn__span_from(rest, line.length + 1);
    }
    return seen;
}

/* Every number up to the last one is a line's, or one that was told to be missing. */
static void require_all_accounted_for(struct fixture *fixture)
{
    struct seen out = look_at(fixture, STDOUT);
    struct seen err = look_at(fixture, STDERR);
    assert_int_equal(out.lines + out.reports + err.lines + err.reports + out.told + err.told, fixture->sink.sequence);
}

static bool has_read(struct fixture *fixture, int stream, const char *text)
{
    return memmem(fixture->read[stream].data, fixture->read[stream].length, text, strlen(text)) != NULL;
}

static void write_line(struct fixture *fixture, enum azfn_log_level level, enum azfn__log_origin origin,
                       const char *text)
{
    azfn__log_sink_write(&fixture->sink, (struct azfn__log_entry){
                                             .level = level, .origin = origin, .description = azfn_span_of(text)});
}

static void write_event(struct fixture *fixture, enum azfn__security_event event, enum azfn__log_origin origin,
                        const char *text)
{
    azfn__log_sink_write(&fixture->sink, (struct azfn__log_entry){
                                             .event = event, .origin = origin, .description = azfn_span_of(text)});
}

static const char *long_text(void)
{
    static char text[3500];
    memset(text, 'x', sizeof(text) - 1);
    return text;
}

/* Until nothing more of this kind has room. Returns how many were written or dropped. */
static size_t flood(struct fixture *fixture, enum azfn_log_level level, enum azfn__log_origin origin)
{
    size_t count = 0;
    uint64_t before = fixture->sink.limits.dropped;
    while (fixture->sink.limits.dropped == before) {
        write_line(fixture, level, origin, long_text());
        count++;
        assert_true(count < AZFN__LOG_LINE_BURST);
    }
    /* small ones, until not even these */
    before = fixture->sink.limits.dropped;
    while (fixture->sink.limits.dropped == before) {
        write_line(fixture, level, origin, "x");
        count++;
        assert_true(count < AZFN__LOG_LINE_BURST);
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
    read_some(&fixture, STDOUT);
    read_some(&fixture, STDERR);
    assert_true(has_read(&fixture, STDOUT, "\"one\"}\n"));
    assert_false(has_read(&fixture, STDOUT, "two"));
    assert_true(has_read(&fixture, STDERR, "\"two\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"three\"}\n"));
    assert_false(has_read(&fixture, STDERR, "one"));
    assert_int_equal(look_at(&fixture, STDERR).sequence, 3);
    clean_up(&fixture);
}

static void a_line_carries_the_apps_name_and_the_time(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    fixture.sink.app_id = AZFN__SPAN("shop");
    const struct azfn__event_fields fields = {.port = AZFN__NUMBER(7071)};
    azfn__log_sink_say(&fixture.sink, AZFN__EVENT_STARTUP, &fields, "port %d", 7071);
    read_some(&fixture, STDOUT);
    struct azfn_span line = azfn__buffer_span(&fixture.read[STDOUT]);
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("appid")), AZFN__SPAN("shop")));
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("event")), AZFN__SPAN("sys_startup")));
    assert_true(azfn__json_string_equals(azfn__json_member(line, AZFN__SPAN("description")), AZFN__SPAN("port 7071")));
    assert_int_equal(number_of(line, "port"), 7071);
    struct azfn_span time_of = azfn__json_string_view(azfn__json_member(line, AZFN__SPAN("datetime")));
    assert_int_equal(time_of.length, strlen("2001-09-09T01:46:40.007+00:00"));
    assert_true(azfn__span_starts_with(time_of, AZFN__SPAN("20")));
    clean_up(&fixture);
}

static void a_line_of_the_brokers_own_is_cut_at_its_buffer(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    assert_true(azfn__log_sink_say(&fixture.sink, AZFN__EVENT_START_CRASH, NULL, "%04000d", 1));
    read_some(&fixture, STDERR);
    assert_int_equal(look_at(&fixture, STDERR).lines, 1);
    assert_in_range(fixture.read[STDERR].length, 2000, 2400);
    assert_true(has_read(&fixture, STDERR, "0[cut]\"}\n"));
    assert_true(azfn__log_sink_say(&fixture.sink, AZFN__EVENT_START_CRASH, NULL, "%02047d", 1));
    read_some(&fixture, STDERR);
    assert_true(has_read(&fixture, STDERR, "001\"}\n"));
    clean_up(&fixture);
}

static void a_worker_that_floods_is_limited_and_the_count_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    for (size_t i = 0; i < 3000; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER_STDERR, "flood");
        write_event(&fixture, AZFN__EVENT_INVALID_ROUTE, AZFN__ORIGIN_WORKER, "flood");
        read_some(&fixture, STDOUT);
        read_some(&fixture, STDERR);
    }
    assert_in_range(look_at(&fixture, STDOUT).lines, AZFN__LOG_LINE_BURST, 2500);
    assert_in_range(look_at(&fixture, STDERR).lines, AZFN__LOG_EVENT_BURST, 2500);
    /* neither the broker's own lines nor the worker's other ones are hidden */
    write_event(&fixture, AZFN__EVENT_WORKER_CRASH, AZFN__ORIGIN_BROKER, "still heard");
    write_event(&fixture, AZFN__EVENT_INVALID_HTTP, AZFN__ORIGIN_WORKER, "still heard too");
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER, "and a function");
    tell_dropped(&fixture);
    assert_true(has_read(&fixture, STDERR, "\"still heard\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"still heard too\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"and a function\"}\n"));
    assert_int_equal(look_at(&fixture, STDERR).reports, 2);
    assert_true(has_read(&fixture, STDERR, "\"suppressed\":\"input_validation_fail:route\""));
    assert_true(has_read(&fixture, STDERR, "\"suppressed\":\"lines:stderr\""));
    require_all_accounted_for(&fixture);
    clean_up(&fixture);
}

static void whoever_writes_knows_what_was_dropped(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < AZFN__LOG_EVENT_BURST; i++) {
        assert_true(azfn__log_sink_say(&fixture.sink, AZFN__EVENT_DESTINATION_FAILED, NULL, "x"));
        read_some(&fixture, STDERR);
    }
    while (azfn__log_sink_say(&fixture.sink, AZFN__EVENT_DESTINATION_FAILED, NULL, "x")) {
    }
    assert_int_equal(fixture.sink.limits.dropped, 1);
    /* a count passes, until there is no room for it */
    const struct azfn__event_fields fields = {.count = AZFN__NUMBER(7)};
    assert_true(azfn__log_sink_say(&fixture.sink, AZFN__EVENT_DESTINATION_FAILED, &fields, "x"));
    while (azfn__log_sink_say(&fixture.sink, AZFN__EVENT_DESTINATION_FAILED, &fields, "%s", long_text())) {
        assert_int_equal(fixture.sink.limits.dropped, 1);
    }
    assert_int_equal(fixture.sink.limits.dropped, 2);
    clean_up(&fixture);
}

static void what_was_dropped_before_there_was_a_loop_is_told_too(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    while (fixture.sink.limits.dropped < 3) {
        write_event(&fixture, AZFN__EVENT_INVALID_ROUTE, AZFN__ORIGIN_WORKER, "x");
    }
    attach(&fixture);
    tell_dropped(&fixture);
    assert_int_equal(look_at(&fixture, STDERR).told, 3);
    require_all_accounted_for(&fixture);
    clean_up(&fixture);
}

static void a_count_is_told_at_most_once_a_second(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    while (fixture.sink.limits.dropped < 3) {
        write_event(&fixture, AZFN__EVENT_INVALID_ROUTE, AZFN__ORIGIN_WORKER, "x");
    }
    uv_update_time(&fixture.loop);
    assert_in_range(uv_timer_get_due_in(&fixture.sink.dropped_report), 1, 1000);
    read_some(&fixture, STDERR);
    assert_int_equal(look_at(&fixture, STDERR).reports, 0);
    tell_dropped(&fixture);
    assert_int_equal(look_at(&fixture, STDERR).reports, 1);
    assert_false(uv_is_active((uv_handle_t *)&fixture.sink.dropped_report));
    clean_up(&fixture);
}

static void a_full_pipe_does_not_block_and_only_whole_lines_are_lost(void **state)
{
    (void)state;
    static const enum azfn_log_level levels[] = {AZFN_LOG_INFORMATION, AZFN_LOG_ERROR};
    for (int stream = 0; stream < 2; stream++) {
        struct fixture fixture;
        set_up(&fixture);
        attach(&fixture);
        flood(&fixture, levels[stream], AZFN__ORIGIN_WORKER);
        assert_in_range(fixture.sink.streams[stream].pending.length, 104 << 10, 128 << 10);
        read_all(&fixture, stream);
        tell_dropped(&fixture);
        require_all_accounted_for(&fixture);
        clean_up(&fixture);
    }
}

static void what_an_attacker_may_write_leaves_room_for_what_matters_more(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_WARNING, AZFN__ORIGIN_WORKER);
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER, "a function's error");
    flood(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER_STDERR);
    for (size_t i = 0; i < 100; i++) {
        write_event(&fixture, AZFN__EVENT_INVALID_ROUTE, AZFN__ORIGIN_WORKER, long_text());
    }
    write_event(&fixture, AZFN__EVENT_FORGED_ENVELOPE, AZFN__ORIGIN_WORKER, "the worker's error");
    for (size_t i = 0; i < 100; i++) {
        write_event(&fixture, AZFN__EVENT_FORGED_ENVELOPE, AZFN__ORIGIN_WORKER, long_text());
    }
    write_event(&fixture, AZFN__EVENT_WORKER_CRASH, AZFN__ORIGIN_BROKER, "the broker's warning");
    for (size_t i = 0; i < 100; i++) {
        write_event(&fixture, AZFN__EVENT_DESTINATION_FAILED, AZFN__ORIGIN_BROKER, long_text());
    }
    write_event(&fixture, AZFN__EVENT_WORKER_VIOLATION, AZFN__ORIGIN_BROKER, "the broker's error");
    assert_in_range(fixture.sink.streams[STDERR].pending.length, 220 << 10, 256 << 10);
    read_all(&fixture, STDERR);
    assert_true(has_read(&fixture, STDERR, "\"a function's error\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"the worker's error\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"the broker's warning\"}\n") ||
                has_read(&fixture, STDERR, "\"the broker's w\\u0061rning\"}\n"));
    assert_true(has_read(&fixture, STDERR, "\"the broker's error\"}\n"));
    tell_dropped(&fixture);
    assert_true(has_read(&fixture, STDERR, "\"suppressed\":\"sensitive_read:destination_failed\""));
    require_all_accounted_for(&fixture);
    clean_up(&fixture);
}

static void lines_that_waited_before_there_was_a_loop_are_written_by_it(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    size_t written = flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER);
    attach(&fixture);
    read_all(&fixture, STDOUT);
    assert_int_equal(look_at(&fixture, STDOUT).lines, written - fixture.sink.limits.dropped);
    clean_up(&fixture);
}

static void the_loop_writes_before_the_next_line_comes(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER);
    assert_true(uv_is_active((uv_handle_t *)&fixture.sink.retry));
    assert_in_range(uv_timer_get_due_in(&fixture.sink.retry), 0, 20);
    read_all(&fixture, STDOUT);
    assert_false(uv_is_active((uv_handle_t *)&fixture.sink.retry));
    clean_up(&fixture);
}

static void the_descriptors_stay_as_blocking_as_they_are(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER);
    assert_int_equal(fcntl(fixture.writers[STDERR], F_GETFL) & O_NONBLOCK, 0);
    read_all(&fixture, STDERR);
    assert_int_equal(fcntl(fixture.writers[STDERR], F_GETFL) & O_NONBLOCK, 0);
    clean_up(&fixture);
}

static void the_count_survives_a_pipe_that_has_no_room_for_it(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    for (size_t i = 0; i < 200; i++) {
        write_event(&fixture, AZFN__EVENT_WORKER_VIOLATION, AZFN__ORIGIN_BROKER, long_text());
    }
    uint64_t lost = fixture.sink.limits.dropped;
    uint64_t sequence = fixture.sink.sequence;
    assert_true(lost > 100);
    for (size_t i = 0; i < 3; i++) {
        uv_timer_stop(&fixture.sink.retry);
        bring_timer_forward(&fixture.loop);
        assert_int_equal(fixture.sink.limits.dropped, lost);
        assert_int_equal(fixture.sink.sequence, sequence);
        assert_true(uv_is_active((uv_handle_t *)&fixture.sink.dropped_report));
    }
    write_event(&fixture, AZFN__EVENT_WORKER_VIOLATION, AZFN__ORIGIN_BROKER, "x"); /* the loop goes on */
    read_all(&fixture, STDERR);
    tell_dropped(&fixture);
    assert_in_range(look_at(&fixture, STDERR).told, lost, lost + 1);
    require_all_accounted_for(&fixture);
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
    flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER);
    flood(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER);
    int64_t before = now_ms();
    azfn__log_sink_flush(&fixture.sink, 50);
    assert_in_range(now_ms() - before, 50, 5000);
    assert_true(fixture.sink.streams[STDOUT].pending.length > 0);
    clean_up(&fixture);
}

static void *read_both(void *user_data)
{
    struct fixture *fixture = user_data;
    while (!fixture->is_read) {
        read_some(fixture, STDOUT);
        read_some(fixture, STDERR);
    }
    return NULL;
}

static void flushing_writes_what_is_pending_and_the_counts_while_somebody_reads(void **state)
{
    (void)state;
    struct fixture fixture;
    pthread_t reader;
    set_up(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER);
    for (size_t i = 0; i < 300; i++) {
        write_event(&fixture, AZFN__EVENT_WORKER_VIOLATION, AZFN__ORIGIN_BROKER, long_text());
    }
    assert_int_equal(pthread_create(&reader, NULL, read_both, &fixture), 0);
    azfn__log_sink_flush(&fixture.sink, 20000);
    assert_int_equal(fixture.sink.limits.dropped, 0);
    fixture.is_read = true;
    assert_int_equal(pthread_join(reader, NULL), 0);
    read_some(&fixture, STDOUT);
    read_some(&fixture, STDERR);
    assert_int_equal(look_at(&fixture, STDERR).reports, 2);
    require_all_accounted_for(&fixture);
    clean_up(&fixture);
}

static void the_last_words_go_where_somebody_reads(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    flood(&fixture, AZFN_LOG_WARNING, AZFN__ORIGIN_WORKER);
    write_event(&fixture, AZFN__EVENT_LAUNCHER_CRASH, AZFN__ORIGIN_BROKER, "the end");
    assert_int_equal(fcntl(fixture.writers[STDOUT], F_SETPIPE_SZ, 1 << 20) > 0, 1);
    azfn__log_sink_flush(&fixture.sink, 0);
    read_some(&fixture, STDOUT);
    assert_true(has_read(&fixture, STDOUT, "\"the end\"}\n"));
    look_at(&fixture, STDOUT);
    clean_up(&fixture);
}

static void lines_for_a_closed_stream_go_to_the_other(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct fixture fixture;
        set_up(&fixture);
        close_reader(&fixture, closed);
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER, "some information");
        write_line(&fixture, AZFN_LOG_WARNING, AZFN__ORIGIN_BROKER, "a caution");
        write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "an error");
        read_some(&fixture, 1 - closed);
        assert_int_equal(look_at(&fixture, 1 - closed).lines, 3);
        assert_true(has_read(&fixture, 1 - closed, "\"level\":\"INFO\""));
        assert_true(has_read(&fixture, 1 - closed, "\"level\":\"WARN\""));
        assert_true(has_read(&fixture, 1 - closed, "\"level\":\"ERROR\""));
        assert_int_equal(fixture.sink.limits.dropped, 0);
        clean_up(&fixture);
    }
}

static void what_waits_for_a_reader_that_goes_away_is_written_to_the_other(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct fixture fixture;
        set_up(&fixture);
        attach(&fixture);
        int open = 1 - closed;
        flood(&fixture, closed == STDOUT ? AZFN_LOG_INFORMATION : AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER);
        /* what is in the pipe, whole lines but for the last one, is read and can't come again */
        read_some(&fixture, closed);
        close_reader(&fixture, closed);
        while (fixture.read[closed].data[fixture.read[closed].length - 1] != '\n') {
            fixture.read[closed].length--;
        }
        while (!fixture.sink.streams[closed].is_closed || fixture.sink.streams[open].pending.length > 0) {
            read_some(&fixture, open);
            uv_run(&fixture.loop, UV_RUN_ONCE);
        }
        tell_dropped(&fixture);
        read_all(&fixture, open);
        require_all_accounted_for(&fixture);
        assert_true(look_at(&fixture, open).lines > 10);
        clean_up(&fixture);
    }
}

static void two_full_pipes_of_which_one_closes_lose_nothing_that_waits(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER);
    flood(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER);
    uint64_t dropped = fixture.sink.limits.dropped;
    size_t pending = fixture.sink.streams[STDOUT].pending.length + fixture.sink.streams[STDERR].pending.length;
    close_reader(&fixture, STDERR);
    bring_timer_forward(&fixture.loop);
    assert_true(fixture.sink.streams[STDERR].is_closed);
    assert_int_equal(fixture.sink.streams[STDOUT].pending.length, pending);
    assert_int_equal(fixture.sink.limits.dropped, dropped);
    /* and there is no room for more, but a count */
    write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER, "x");
    write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "x");
    assert_int_equal(fixture.sink.limits.dropped, dropped + 2);
    read_all(&fixture, STDOUT);
    clean_up(&fixture);
}

static void with_both_closed_the_sink_lives_on(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    attach(&fixture);
    flood(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER);
    flood(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_WORKER);
    close_reader(&fixture, STDOUT);
    close_reader(&fixture, STDERR);
    /* nothing is kept for nobody, and no timer goes on for ever */
    while (timers_of(&fixture.loop).count > 0) {
        bring_timer_forward(&fixture.loop);
    }
    for (size_t i = 0; i < 2000; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_WORKER, "to nobody");
        write_line(&fixture, AZFN_LOG_ERROR, AZFN__ORIGIN_BROKER, "to nobody");
    }
    assert_int_equal(fixture.sink.streams[STDOUT].pending.length, 0);
    assert_int_equal(fixture.sink.streams[STDERR].pending.length, 0);
    assert_int_equal(timers_of(&fixture.loop).count, 0);
    int64_t before = now_ms();
    azfn__log_sink_flush(&fixture.sink, 60000);
    assert_true(now_ms() - before < 30000);
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
    fixture.sink.streams[STDOUT].fd = fileno(file);
    azfn__log_stream_make_own(&fixture.sink.streams[STDOUT]);
    for (size_t i = 0; i < 1000; i++) {
        write_line(&fixture, AZFN_LOG_INFORMATION, AZFN__ORIGIN_BROKER, "to a file");
    }
    assert_int_equal(fixture.sink.streams[STDOUT].pending.length, 0);
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
    alarm(60); /* a write that blocks has nothing else to end it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(information_goes_to_stdout_and_everything_else_to_stderr),
        cmocka_unit_test(a_line_carries_the_apps_name_and_the_time),
        cmocka_unit_test(a_line_of_the_brokers_own_is_cut_at_its_buffer),
        cmocka_unit_test(a_worker_that_floods_is_limited_and_the_count_is_told),
        cmocka_unit_test(whoever_writes_knows_what_was_dropped),
        cmocka_unit_test(what_was_dropped_before_there_was_a_loop_is_told_too),
        cmocka_unit_test(a_count_is_told_at_most_once_a_second),
        cmocka_unit_test(a_full_pipe_does_not_block_and_only_whole_lines_are_lost),
        cmocka_unit_test(what_an_attacker_may_write_leaves_room_for_what_matters_more),
        cmocka_unit_test(lines_that_waited_before_there_was_a_loop_are_written_by_it),
        cmocka_unit_test(the_loop_writes_before_the_next_line_comes),
        cmocka_unit_test(the_descriptors_stay_as_blocking_as_they_are),
        cmocka_unit_test(the_count_survives_a_pipe_that_has_no_room_for_it),
        cmocka_unit_test(flushing_waits_for_as_long_as_it_may),
        cmocka_unit_test(flushing_writes_what_is_pending_and_the_counts_while_somebody_reads),
        cmocka_unit_test(the_last_words_go_where_somebody_reads),
        cmocka_unit_test(lines_for_a_closed_stream_go_to_the_other),
        cmocka_unit_test(what_waits_for_a_reader_that_goes_away_is_written_to_the_other),
        cmocka_unit_test(two_full_pipes_of_which_one_closes_lose_nothing_that_waits),
        cmocka_unit_test(with_both_closed_the_sink_lives_on),
        cmocka_unit_test(a_regular_file_takes_every_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
