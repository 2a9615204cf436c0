#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/http_sender.h"

#include "base/buffer.h"
#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MORE_THAN_FITS ((size_t)1 << 20)
#define SMALL_BUFFER 4096
#define MAX_TURNS 100000

/* A sender on one end of a socket whose buffer is small; the test reads at the other end. */
struct fixture {
    uv_loop_t loop;
    uv_pipe_t pipe;
    struct azfn__http_sender sender;
    int peer;
    struct azfn__buffer in;
    int sent_count;
    int last_status;
};

static void on_sent(struct azfn__http_sender *sender, int status)
{
    struct fixture *fixture = sender->stream->data;
    fixture->sent_count++;
    fixture->last_status = status;
}

static void set_up(struct fixture *fixture)
{
    const int bytes = SMALL_BUFFER;
    int ends[2];
    *fixture = (struct fixture){.last_status = 1};
    azfn__buffer_init(&fixture->in, (size_t)1 << 30);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    fixture->peer = ends[1];
    assert_int_equal(uv_pipe_init(&fixture->loop, &fixture->pipe, 0), 0);
    assert_int_equal(uv_pipe_open(&fixture->pipe, ends[0]), 0);
    fixture->pipe.data = fixture;
    azfn__http_sender_init(&fixture->sender, (uv_stream_t *)&fixture->pipe, on_sent);
}

static void hang_up(struct fixture *fixture)
{
    close(fixture->peer);
    fixture->peer = -1;
}

static void close_stream(struct fixture *fixture)
{
    uv_close((uv_handle_t *)&fixture->pipe, NULL);
    assert_int_equal(uv_run(&fixture->loop, UV_RUN_DEFAULT), 0);
}

static void clean_up(struct fixture *fixture)
{
    if (!uv_is_closing((uv_handle_t *)&fixture->pipe)) {
        close_stream(fixture);
    }
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    assert_true(azfn__http_sender_is_idle(&fixture->sender));
    if (fixture->peer >= 0) {
        close(fixture->peer);
    }
    azfn__buffer_clean_up(&fixture->in);
}

static void turn(struct fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void read_what_is_there(struct fixture *fixture)
{
    char bytes[SMALL_BUFFER];
    ssize_t count;
    while ((count = read(fixture->peer, bytes, sizeof(bytes))) > 0) {
        azfn__buffer_append(&fixture->in, bytes, (size_t)count);
    }
    assert_true(count < 0 && errno == EAGAIN);
}

/* Both ends in turn, until so many bytes have come and nothing is on its way. */
static void require_received(struct fixture *fixture, struct azfn_span expected)
{
    for (int turns = 0; fixture->in.length < expected.length || !azfn__http_sender_is_idle(&fixture->sender); turns++) {
        assert_true(turns < MAX_TURNS);
        read_what_is_there(fixture);
        turn(fixture);
    }
    read_what_is_there(fixture);
    assert_int_equal(fixture->in.length, expected.length);
    assert_memory_equal(fixture->in.data, expected.data, expected.length);
    assert_int_equal(azfn__http_sender_queued_bytes(&fixture->sender), 0);
}

/* No two places near each other look alike. */
static char *make_bytes(size_t length)
{
    char *bytes = malloc(length);
    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    return bytes;
}

static enum azfn_error send_one(struct fixture *fixture, const char *bytes, size_t length, bool are_kept)
{
    struct azfn_span part = azfn__span(bytes, length);
    return azfn__http_sender_send(&fixture->sender, &part, 1, are_kept);
}

/* How much the socket takes before it makes a writer wait. */
static size_t room(void)
{
    struct fixture fixture;
    set_up(&fixture);
    char *bytes = make_bytes(MORE_THAN_FITS);
    assert_int_equal(send_one(&fixture, bytes, MORE_THAN_FITS, true), AZFN_OK);
    size_t taken = MORE_THAN_FITS - azfn__http_sender_queued_bytes(&fixture.sender);
    assert_in_range(taken, 1, MORE_THAN_FITS / 2);
    clean_up(&fixture);
    free(bytes);
    return taken;
}

static void what_fits_is_out_at_once_and_nobody_is_called(void **state)
{
    (void)state;
    const struct azfn_span parts[] = {AZFN__SPAN("one "), AZFN__SPAN("two "), AZFN__SPAN("three")};
    struct fixture fixture;
    for (int are_kept = 0; are_kept <= 1; are_kept++) {
        set_up(&fixture);
        assert_int_equal(azfn__http_sender_send(&fixture.sender, parts, 3, are_kept != 0), AZFN_OK);
        assert_true(azfn__http_sender_is_idle(&fixture.sender));
        read_what_is_there(&fixture);
        turn(&fixture);
        require_received(&fixture, AZFN__SPAN("one two three"));
        assert_int_equal(fixture.sent_count, 0);
        clean_up(&fixture);
        assert_int_equal(fixture.sent_count, 0);
    }
}

static void empty_parts_are_nothing(void **state)
{
    (void)state;
    const struct azfn_span empty[3] = {{0}};
    const struct azfn_span mixed[] = {{0}, AZFN__SPAN("x"), {0}};
    struct fixture fixture;
    set_up(&fixture);
    assert_int_equal(azfn__http_sender_send(&fixture.sender, empty, 0, true), AZFN_OK);
    assert_int_equal(azfn__http_sender_send(&fixture.sender, empty, 3, false), AZFN_OK);
    assert_int_equal(azfn__http_sender_send(&fixture.sender, mixed, 3, false), AZFN_OK);
    require_received(&fixture, AZFN__SPAN("x"));
    assert_int_equal(fixture.sent_count, 0);
    clean_up(&fixture);
}

static void what_is_not_kept_is_copied(void **state)
{
    (void)state;
    char *bytes = make_bytes(MORE_THAN_FITS);
    char *expected = make_bytes(MORE_THAN_FITS);
    struct fixture fixture;
    set_up(&fixture);
    assert_int_equal(send_one(&fixture, bytes, MORE_THAN_FITS, false), AZFN_OK);
    memset(bytes, 'x', MORE_THAN_FITS);
    free(bytes);
    assert_false(azfn__http_sender_is_idle(&fixture.sender));
    assert_in_range(azfn__http_sender_queued_bytes(&fixture.sender), 1, MORE_THAN_FITS - 1);
    assert_int_equal(fixture.sent_count, 0);
    require_received(&fixture, azfn__span(expected, MORE_THAN_FITS));
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(fixture.last_status, 0);
    clean_up(&fixture);
    free(expected);
}

static void what_is_kept_is_sent_from_where_it_is(void **state)
{
    (void)state;
    char *bytes = make_bytes(MORE_THAN_FITS);
    struct fixture fixture;
    set_up(&fixture);
    assert_int_equal(send_one(&fixture, bytes, MORE_THAN_FITS, true), AZFN_OK);
    bytes[MORE_THAN_FITS - 1] ^= 1; /* a copy would not know */
    require_received(&fixture, azfn__span(bytes, MORE_THAN_FITS));
    assert_int_equal(fixture.sent_count, 1);
    assert_int_equal(fixture.last_status, 0);
    clean_up(&fixture);
    free(bytes);
}

static void parts_may_be_cut_anywhere(void **state)
{
    (void)state;
    size_t fits = room();
    char *bytes = make_bytes(fits + 1000);
    /* the socket's end is in the first, the second and the third part, and at their ends */
    const size_t firsts[] = {fits + 700, fits + 1, fits, fits - 1, fits - 40, fits - 41, fits - 100, 1, 300};
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]) * 2; i++) {
        struct fixture fixture;
        set_up(&fixture);
        size_t first = firsts[i / 2];
        const struct azfn_span parts[] = {azfn__span(bytes, first), azfn__span(bytes + first, 40),
                                          azfn__span(bytes + first + 40, fits + 1000 - first - 40)};
        assert_int_equal(azfn__http_sender_send(&fixture.sender, parts, 3, i % 2 != 0), AZFN_OK);
        assert_false(azfn__http_sender_is_idle(&fixture.sender));
        require_received(&fixture, azfn__span(bytes, fits + 1000));
        assert_int_equal(fixture.sent_count, 1);
        clean_up(&fixture);
    }
    free(bytes);
}

static void what_comes_later_waits_for_what_is_queued(void **state)
{
    (void)state;
    enum { SENDS = 300 };
    char *bytes = make_bytes(MORE_THAN_FITS);
    struct fixture fixture;
    size_t at = 0;
    int queued_count = 0;
    set_up(&fixture);
    for (size_t i = 0; i < SENDS; i++) {
        uint32_t before = fixture.sender.queued;
        size_t length = i * i % 3000;
        const struct azfn_span parts[] = {azfn__span(bytes + at, length / 3),
                                          azfn__span(bytes + at + length / 3, length - length / 3)};
        assert_int_equal(azfn__http_sender_send(&fixture.sender, parts, 2, i % 3 == 0), AZFN_OK);
        queued_count += fixture.sender.queued > before;
        at += length;
        if (i % 50 == 49) { /* some room now and then */
            char some[SMALL_BUFFER];
            ssize_t count = read(fixture.peer, some, sizeof(some));
            assert_true(count > 0);
            azfn__buffer_append(&fixture.in, some, (size_t)count);
            turn(&fixture);
        }
    }
    assert_true(queued_count > SENDS / 2);
    require_received(&fixture, azfn__span(bytes, at));
    assert_int_equal(fixture.sent_count, queued_count);
    assert_int_equal(fixture.last_status, 0);
    clean_up(&fixture);
    free(bytes);
}

static void a_peer_that_has_gone_is_an_error(void **state)
{
    (void)state;
    struct fixture fixture;
    for (int are_kept = 0; are_kept <= 1; are_kept++) {
        set_up(&fixture);
        hang_up(&fixture);
        assert_int_equal(send_one(&fixture, "x", 1, are_kept != 0), AZFN_ERROR_SYSTEM);
        assert_true(azfn__http_sender_is_idle(&fixture.sender));
        clean_up(&fixture);
        assert_int_equal(fixture.sent_count, 0);
    }
}

static void queue_two(struct fixture *fixture, const char *bytes)
{
    set_up(fixture);
    assert_int_equal(send_one(fixture, bytes, MORE_THAN_FITS, false), AZFN_OK);
    assert_int_equal(send_one(fixture, bytes, MORE_THAN_FITS, true), AZFN_OK);
    assert_int_equal(fixture->sender.queued, 2);
    assert_in_range(azfn__http_sender_queued_bytes(&fixture->sender), MORE_THAN_FITS + 1, 2 * MORE_THAN_FITS - 1);
}

static void what_is_queued_for_a_peer_that_goes_is_told(void **state)
{
    (void)state;
    char *bytes = make_bytes(MORE_THAN_FITS);
    struct fixture fixture;
    queue_two(&fixture, bytes);
    hang_up(&fixture);
    turn(&fixture);
    assert_true(fixture.sent_count >= 1);
    assert_true(fixture.last_status == UV_EPIPE || fixture.last_status == UV_ECONNRESET);
    close_stream(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_true(fixture.last_status < 0);
    clean_up(&fixture);
    free(bytes);
}

static void what_is_queued_when_the_stream_closes_is_told(void **state)
{
    (void)state;
    char *bytes = make_bytes(MORE_THAN_FITS);
    struct fixture fixture;
    queue_two(&fixture, bytes);
    close_stream(&fixture);
    assert_int_equal(fixture.sent_count, 2);
    assert_int_equal(fixture.last_status, UV_ECANCELED);
    clean_up(&fixture);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_out_at_once_and_nobody_is_called),
        cmocka_unit_test(empty_parts_are_nothing),
        cmocka_unit_test(what_is_not_kept_is_copied),
        cmocka_unit_test(what_is_kept_is_sent_from_where_it_is),
        cmocka_unit_test(parts_may_be_cut_anywhere),
        cmocka_unit_test(what_comes_later_waits_for_what_is_queued),
        cmocka_unit_test(a_peer_that_has_gone_is_an_error),
        cmocka_unit_test(what_is_queued_for_a_peer_that_goes_is_told),
        cmocka_unit_test(what_is_queued_when_the_stream_closes_is_told),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
