/* Frames on their way: in one piece where the socket takes it, in order and whole where it does not, and wiped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/frame_writer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    uv_loop_t loop;
    uv_pipe_t pipe;
    struct azfn__frame_writer writer;
    int other;
    unsigned sent;
} world;

static void on_sent(void *user_data)
{
    (void)user_data;
    world.sent++;
}

static int set_up(void **state)
{
    (void)state;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    world.sent = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(uv_loop_init(&world.loop), 0);
    assert_int_equal(uv_pipe_init(&world.loop, &world.pipe, 0), 0);
    assert_int_equal(uv_pipe_open(&world.pipe, ends[0]), 0);
    assert_int_equal(azfn__frame_writer_init(&world.writer, &world.loop, (uv_stream_t *)&world.pipe), AZFN_OK);
    world.writer.on_sent = on_sent;
    world.other = ends[1];
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    if (!uv_is_closing((uv_handle_t *)&world.pipe)) {
        uv_close((uv_handle_t *)&world.pipe, NULL);
        azfn__frame_writer_close(&world.writer, NULL);
    }
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world.loop), 0);
    if (world.other >= 0) {
        close(world.other);
    }
    return 0;
}

static void append(const char *text)
{
    azfn__buffer_append_text(azfn__frame_writer_out(&world.writer), text);
}

static void what_one_turn_makes_goes_out_at_its_end_together(void **state)
{
    (void)state;
    char got[16];
    append("one");
    append("two");
    assert_true(read(world.other, got, sizeof(got)) < 0);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(read(world.other, got, sizeof(got)), 6);
    assert_memory_equal(got, "onetwo", 6);
    assert_int_equal(azfn__frame_writer_pending_bytes(&world.writer), 0);
    assert_false(uv_is_active((uv_handle_t *)&world.writer.prepare));
    assert_int_equal(world.sent, 0); /* nothing had to wait */
}

static void what_was_sent_is_wiped(void **state)
{
    (void)state;
    append("canary");
    char *place = world.writer.out.data;
    azfn__frame_writer_flush(&world.writer);
    static const char zeros[6];
    assert_memory_equal(place, zeros, sizeof(zeros));
}

static void what_the_socket_does_not_take_comes_later_and_in_order(void **state)
{
    (void)state;
    size_t length = (size_t)4 << 20;
    char *bytes = malloc(length);
    char *got = malloc(length + 3);
    assert_true(bytes && got);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)(i % 251);
    }
    azfn__buffer_append(&world.writer.out, bytes, length);
    azfn__frame_writer_flush(&world.writer);
    assert_true(world.writer.waiting_bytes > 0);
    append("end"); /* may not overtake */
    size_t received = 0;
    while (received < length + 3) {
        uv_run(&world.loop, UV_RUN_NOWAIT);
        ssize_t count = read(world.other, got + received, length + 3 - received);
        received += count > 0 ? (size_t)count : 0;
    }
    assert_memory_equal(got, bytes, length);
    assert_memory_equal(got + length, "end", 3);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_int_equal(azfn__frame_writer_pending_bytes(&world.writer), 0);
    assert_int_equal(world.sent, 1);
    free(bytes);
    free(got);
}

static void a_reader_that_is_gone_is_a_failure(void **state)
{
    (void)state;
    close(world.other);
    world.other = -1;
    append("lost");
    uv_run(&world.loop, UV_RUN_NOWAIT);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    assert_true(world.writer.has_failed);
    append("more");
    azfn__frame_writer_flush(&world.writer);
    assert_int_equal(world.writer.out.length, 0);
}

static void it_can_be_closed_while_something_waits(void **state)
{
    (void)state;
    assert_true(azfn__buffer_reserve(&world.writer.out, (size_t)4 << 20));
    memset(world.writer.out.data, 'x', (size_t)4 << 20);
    world.writer.out.length = (size_t)4 << 20;
    azfn__frame_writer_flush(&world.writer);
    assert_true(world.writer.waiting_bytes > 0);
    uv_close((uv_handle_t *)&world.pipe, NULL);
    azfn__frame_writer_close(&world.writer, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_int_equal(world.writer.waiting_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_turn_makes_goes_out_at_its_end_together, set_up, clean_up),
        cmocka_unit_test_setup_teardown(what_was_sent_is_wiped, set_up, clean_up),
        cmocka_unit_test_setup_teardown(what_the_socket_does_not_take_comes_later_and_in_order, set_up, clean_up),
        cmocka_unit_test_setup_teardown(a_reader_that_is_gone_is_a_failure, set_up, clean_up),
        cmocka_unit_test_setup_teardown(it_can_be_closed_while_something_waits, set_up, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
