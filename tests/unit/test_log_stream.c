/* One way out of the log: pipes, terminals, sockets and files that nobody reads, or not fast enough. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/log_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define ROOM (AZFN__LOG_PENDING_MAX_BYTES)
#define READ 0
#define WRITE 1

static struct azfn_span line_of(size_t length)
{
    static char line[ROOM + 1];
    memset(line, 'x', length);
    line[length - 1] = '\n';
    return azfn__span(line, length);
}

/* Lines of this length until there is no more room, which takes no time. Returns how many fitted. */
static size_t fill(struct azfn__log_stream *stream, size_t length)
{
    size_t count = 0;
    while (azfn__log_stream_add(stream, line_of(length), ROOM)) {
        count++;
        assert_true(count * length < ((size_t)16 << 20));
    }
    assert_false(stream->is_closed);
    assert_in_range(stream->pending.length, ROOM - length + 1, ROOM);
    return count;
}

static size_t read_some(int fd, char *bytes, size_t size)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ssize_t count = read(fd, bytes, size);
    assert_true(count >= 0 || errno == EAGAIN);
    return count > 0 ? (size_t)count : 0;
}

/* Requires that lines of this length come out, whole, and returns how many. */
static size_t drain(struct azfn__log_stream *stream, int reader, size_t length)
{
    static char bytes[(size_t)16 << 20];
    size_t total = 0;
    size_t count;
    do {
        azfn__log_stream_write(stream);
        count = read_some(reader, bytes + total, sizeof(bytes) - total);
        total += count;
    } while (count > 0 || stream->pending.length > 0);
    assert_int_equal(total % length, 0);
    for (size_t i = 0; i < total; i++) {
        assert_int_equal(bytes[i], i % length == length - 1 ? '\n' : 'x');
    }
    return total / length;
}

static struct azfn__log_stream stream;
static int ends[2]; /* of the pipe or socket that it writes to; -1: closed */

static void close_end(int end)
{
    if (ends[end] >= 0) {
        assert_int_equal(close(ends[end]), 0);
    }
    ends[end] = -1;
}

static int open_pipe(void **state)
{
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    azfn__log_stream_init(&stream, ends[WRITE]);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    azfn__log_stream_clean_up(&stream);
    close_end(READ);
    close_end(WRITE);
    return 0;
}

static void a_full_pipe_does_not_block_whatever_the_length_of_lines(void **state)
{
    static const size_t lengths[] = {1, 17, 400, PIPE_BUF - 1, PIPE_BUF, PIPE_BUF + 1, 5003, 8192};
    for (int is_own = 0; is_own < 2; is_own++) {
        /* valgrind takes its time for a quarter of a million lines */
        for (size_t i = getenv("AZFN_VALGRIND") ? 2 : 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            open_pipe(state);
            if (is_own) {
                azfn__log_stream_make_own(&stream);
                assert_int_equal(stream.kind, AZFN__LOG_STREAM_OWN);
            }
            size_t count = fill(&stream, lengths[i]);
            assert_int_equal(drain(&stream, ends[READ], lengths[i]), count);
            close_pipe(state);
        }
    }
}

static void a_reader_that_takes_little_at_a_time_gets_every_line_whole(void **state)
{
    (void)state;
    char bytes[1000];
    size_t count = fill(&stream, 700);
    size_t taken = 0;
    while (stream.pending.length > 0) {
        taken += read_some(ends[READ], bytes, sizeof(bytes));
        azfn__log_stream_write(&stream);
        assert_true(stream.begun_bytes < 700);
    }
    size_t left = count * 700 - taken;
    while (left > 0) {
        left -= read_some(ends[READ], bytes, sizeof(bytes));
    }
    assert_int_equal(read_some(ends[READ], bytes, sizeof(bytes)), 0);
}

static void a_line_has_room_or_is_refused_whole(void **state)
{
    (void)state;
    fill(&stream, 8192);
    size_t pending = stream.pending.length;
    assert_false(azfn__log_stream_add(&stream, line_of(ROOM / 2), ROOM));
    assert_false(azfn__log_stream_add(&stream, line_of(1), pending));
    assert_false(azfn__log_stream_add(&stream, line_of(1), 0));
    assert_int_equal(stream.pending.length, pending);
    if (pending < ROOM) {
        assert_true(azfn__log_stream_add(&stream, line_of(ROOM - pending), ROOM));
    }
    assert_int_equal(stream.pending.length, ROOM);
}

static void an_own_description_leaves_the_others_as_it_is(void **state)
{
    (void)state;
    int hosts = dup(ends[WRITE]); /* the same description */
    azfn__log_stream_make_own(&stream);
    assert_int_equal(fcntl(hosts, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(ends[WRITE], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    /* nothing else is open: the reader sees the end of file */
    close(hosts);
    close_end(WRITE);
    char byte;
    assert_int_equal(read(ends[READ], &byte, 1), 0);
}

/* Room for a page is what poll() looks for, and somebody else may take it. */
static void an_own_description_needs_no_poll(void **state)
{
    (void)state;
    azfn__log_stream_make_own(&stream);
    int other = dup(ends[WRITE]);
    while (write(other, line_of(PIPE_BUF).data, PIPE_BUF) > 0) {
    }
    assert_int_equal(errno, EAGAIN);
    assert_true(azfn__log_stream_add(&stream, line_of(100), ROOM));
    assert_int_equal(stream.pending.length, 100);
    assert_false(stream.is_closed);
    close(other);
}

static void a_terminal_that_is_not_read_does_not_block(void **state)
{
    (void)state;
    struct termios raw;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        skip();
    }
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    assert_int_equal(tcgetattr(terminal, &raw), 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(terminal, TCSANOW, &raw), 0);
    azfn__log_stream_init(&stream, terminal);
    azfn__log_stream_make_own(&stream);
    assert_int_equal(stream.kind, AZFN__LOG_STREAM_OWN);
    size_t count = fill(&stream, 700);
    assert_int_equal(drain(&stream, master, 700), count);
    azfn__log_stream_clean_up(&stream);
    close(terminal);
    close(master);
}

static void a_socket_that_is_not_read_does_not_block(void **state)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    azfn__log_stream_init(&stream, ends[WRITE]);
    azfn__log_stream_make_own(&stream);
    size_t count = fill(&stream, 700);
    assert_int_equal(fcntl(ends[WRITE], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(drain(&stream, ends[READ], 700), count);
    close_end(READ);
    assert_true(azfn__log_stream_add(&stream, line_of(10), ROOM));
    assert_true(stream.is_closed);
    close_pipe(state);
}

/* A description of its own would have an offset of its own. */
static void two_streams_to_one_file_do_not_write_over_each_other(void **state)
{
    (void)state;
    struct azfn__log_stream streams[2];
    char bytes[100] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    int other = dup(fileno(file));
    azfn__log_stream_init(&streams[0], fileno(file));
    azfn__log_stream_init(&streams[1], other);
    for (size_t i = 0; i < 4; i++) {
        azfn__log_stream_make_own(&streams[i % 2]);
        assert_true(azfn__log_stream_add(&streams[i % 2], line_of(10 + i), ROOM));
    }
    assert_int_equal(pread(other, bytes, sizeof(bytes), 0), 46);
    close(other);
    fclose(file);
    azfn__log_stream_clean_up(&streams[0]);
    azfn__log_stream_clean_up(&streams[1]);
}

static void a_full_disk_keeps_lines_waiting(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) {
        skip();
    }
    azfn__log_stream_init(&stream, full);
    azfn__log_stream_make_own(&stream);
    size_t count = fill(&stream, 1000);
    /* and when there is room again */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    stream.fd = ends[WRITE];
    assert_int_equal(drain(&stream, ends[READ], 1000), count);
    close_pipe(state);
    close(full);
}

static void a_pipe_without_reader_is_noticed_at_the_next_line_which_stays(void **state)
{
    for (int is_own = 0; is_own < 2; is_own++) {
        open_pipe(state);
        if (is_own) {
            azfn__log_stream_make_own(&stream);
        }
        assert_true(azfn__log_stream_add(&stream, line_of(100), ROOM));
        assert_int_equal(stream.pending.length, 0);
        close_end(READ);
        assert_true(azfn__log_stream_add(&stream, line_of(100), ROOM));
        assert_true(stream.is_closed);
        assert_int_equal(stream.pending.length, 100);
        assert_false(azfn__log_stream_add(&stream, line_of(100), ROOM));
        close_pipe(state);
    }
}

static void what_never_had_a_reader_is_found_closed(void **state)
{
    (void)state;
    close_end(READ);
    azfn__log_stream_init(&stream, ends[WRITE]);
    azfn__log_stream_make_own(&stream);
    assert_true(azfn__log_stream_add(&stream, line_of(100), ROOM));
    assert_true(stream.is_closed);
    azfn__log_stream_clean_up(&stream);
    /* as is a descriptor that is none */
    int closed = ends[WRITE];
    close_end(WRITE);
    azfn__log_stream_init(&stream, closed);
    azfn__log_stream_make_own(&stream);
    assert_true(azfn__log_stream_add(&stream, line_of(100), ROOM));
    assert_true(stream.is_closed);
}

static void another_stream_takes_over_whole_lines(void **state)
{
    (void)state;
    struct azfn__log_stream from;
    int closed[2];
    assert_int_equal(pipe2(closed, O_CLOEXEC), 0);
    azfn__log_stream_init(&from, closed[WRITE]);
    size_t count = fill(&stream, 9001);
    fill(&from, 9001);
    assert_true(from.begun_bytes > 0);
    assert_int_equal(from.pending.length % 9001, 0);
    size_t waiting = from.pending.length / 9001;
    close(closed[READ]);
    azfn__log_stream_write(&from);
    assert_true(from.is_closed);
    azfn__log_stream_take_over(&stream, &from);
    assert_int_equal(from.pending.length, 0);
    assert_int_equal(drain(&stream, ends[READ], 9001), count + waiting);
    azfn__log_stream_clean_up(&from);
    close(closed[WRITE]);
}

#define PIPE_TEST(name) cmocka_unit_test_setup_teardown(name, open_pipe, close_pipe)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(getenv("AZFN_VALGRIND") ? 300 : 60); /* a write that blocks has nothing else to end it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_pipe_does_not_block_whatever_the_length_of_lines),
        PIPE_TEST(a_reader_that_takes_little_at_a_time_gets_every_line_whole),
        PIPE_TEST(a_line_has_room_or_is_refused_whole),
        PIPE_TEST(an_own_description_leaves_the_others_as_it_is),
        PIPE_TEST(an_own_description_needs_no_poll),
        cmocka_unit_test(a_terminal_that_is_not_read_does_not_block),
        cmocka_unit_test(a_socket_that_is_not_read_does_not_block),
        cmocka_unit_test(two_streams_to_one_file_do_not_write_over_each_other),
        cmocka_unit_test(a_full_disk_keeps_lines_waiting),
        cmocka_unit_test(a_pipe_without_reader_is_noticed_at_the_next_line_which_stays),
        PIPE_TEST(what_never_had_a_reader_is_found_closed),
        PIPE_TEST(another_stream_takes_over_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
