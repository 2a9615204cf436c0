/* What the client lends a module of the loop: a table of the test's own is in the module's place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/https_client.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct azfn__https_engine {
    struct azfn__https_io io;
    char development_ca[32];
    unsigned timer_calls;
    unsigned socket_calls;
    int last_fd;
    bool was_readable;
    bool was_writable;
    bool is_in_callback;
    bool is_destroyed;
    void (*on_call)(struct azfn__https_engine *engine);
};

struct azfn__https_request {
    char last[8];
};

static struct azfn__https_engine engine;
static struct azfn__https_request request;
static enum azfn_error new_result;
static uv_loop_t loop;
static struct azfn__https_client *client;

static enum azfn_error engine_new(const struct azfn__https_engine_options *options,
                                  struct azfn__https_engine **out_engine, const char **out_reason)
{
    engine = (struct azfn__https_engine){.io = options->io};
    snprintf(engine.development_ca, sizeof(engine.development_ca), "%.*s", AZFN_SPAN_ARGS(options->development_ca));
    *out_engine = &engine;
    *out_reason = "it does not want to";
    return new_result;
}

static void engine_destroy(struct azfn__https_engine *self)
{
    self->io.arm_timer(0, self->io.user_data);
    self->is_destroyed = true;
}

static void on_socket(struct azfn__https_engine *self, int fd, bool is_readable, bool is_writable)
{
    assert_false(self->is_destroyed);
    self->is_in_callback = true;
    self->socket_calls++;
    self->last_fd = fd;
    self->was_readable = is_readable;
    self->was_writable = is_writable;
    if (self->on_call) {
        self->on_call(self);
    }
    self->is_in_callback = false;
}

static void on_timer(struct azfn__https_engine *self)
{
    assert_false(self->is_destroyed);
    assert_false(self->is_in_callback);
    self->is_in_callback = true;
    self->timer_calls++;
    if (self->on_call) {
        self->on_call(self);
    }
    self->is_in_callback = false;
}

static enum azfn_error start(struct azfn__https_engine *self, const struct azfn__https_request_options *options,
                             struct azfn__https_request **out_request)
{
    assert_ptr_equal(self, &engine);
    snprintf(request.last, sizeof(request.last), "start");
    *out_request = &request;
    return options->timeout_ms > 0 ? AZFN_OK : AZFN_ERROR_INVALID_ARGUMENT;
}

static void resume(struct azfn__https_request *self)
{
    snprintf(self->last, sizeof(self->last), "resume");
}

static void cancel(struct azfn__https_request *self)
{
    snprintf(self->last, sizeof(self->last), "cancel");
}

static const struct azfn__https_api api = {.version = AZFN__HTTPS_MODULE_VERSION,
                                           .engine_new = engine_new,
                                           .engine_destroy = engine_destroy,
                                           .on_socket = on_socket,
                                           .on_timer = on_timer,
                                           .start = start,
                                           .resume = resume,
                                           .cancel = cancel};

static int set_up(void **state)
{
    (void)state;
    const char *reason;
    new_result = AZFN_OK;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(azfn__https_client_new(&loop, &api, AZFN__SPAN("authority"), &client, &reason), AZFN_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    azfn__https_client_destroy(client);
    assert_true(engine.is_destroyed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void watch(int fd, bool wants_read, bool wants_write)
{
    engine.io.watch(fd, wants_read, wants_write, engine.io.user_data);
}

static void arm_timer(int64_t delay_ms)
{
    engine.io.arm_timer(delay_ms, engine.io.user_data);
}

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void requests_go_to_the_module(void **state)
{
    (void)state;
    struct azfn__https_request *started = NULL;
    struct azfn__https_request_options options = {.timeout_ms = 1};
    assert_string_equal(engine.development_ca, "authority");
    assert_int_equal(azfn__https_client_start(client, &options, &started), AZFN_OK);
    assert_ptr_equal(started, &request);
    azfn__https_client_resume(client, started);
    assert_string_equal(request.last, "resume");
    azfn__https_client_cancel(client, started);
    assert_string_equal(request.last, "cancel");
    options.timeout_ms = 0;
    assert_int_equal(azfn__https_client_start(client, &options, &started), AZFN_ERROR_INVALID_ARGUMENT);
}

static void a_module_that_does_not_start_is_an_error(void **state)
{
    (void)state;
    struct azfn__https_client *other = NULL;
    const char *reason = "";
    struct azfn__https_engine kept = engine;
    new_result = AZFN_ERROR_SYSTEM;
    assert_int_equal(azfn__https_client_new(&loop, &api, azfn_span_of(NULL), &other, &reason), AZFN_ERROR_SYSTEM);
    assert_string_equal(reason, "it does not want to");
    assert_null(other);
    engine = kept;
    azfn__https_client_destroy(NULL);
}

static void a_file_that_is_no_module_is_an_error(void **state)
{
    (void)state;
    const char *reason = NULL;
    assert_null(azfn__https_module_load("/no/such/azfn-https.so", &reason));
    assert_non_null(strstr(reason, "azfn-https.so"));
    reason = NULL;
    assert_null(azfn__https_module_load("libm.so.6", &reason));
    assert_non_null(strstr(reason, "another version"));
}

static void the_timer_is_called_once_and_never_at_once(void **state)
{
    (void)state;
    arm_timer(0);
    assert_int_equal(engine.timer_calls, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(engine.timer_calls, 1);
    arm_timer(5);
    arm_timer(1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(engine.timer_calls, 2);
    arm_timer(0);
    arm_timer(-1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(engine.timer_calls, 2);
}

static void arm_again(struct azfn__https_engine *self)
{
    if (self->timer_calls < 50) {
        arm_timer(0);
    }
}

static void count_turn(uv_check_t *check)
{
    (*(unsigned *)check->data)++;
}

static void sockets_have_their_turn_between_two_timers(void **state)
{
    (void)state;
    static unsigned turns = 0;
    static uv_check_t check; /* closed in tear_down() */
    assert_int_equal(uv_check_init(&loop, &check), 0);
    check.data = &turns;
    uv_check_start(&check, count_turn);
    uv_unref((uv_handle_t *)&check);
    engine.on_call = arm_again;
    arm_timer(0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(engine.timer_calls, 50);
    assert_true(turns >= 49);
    uv_close((uv_handle_t *)&check, NULL);
}

static void a_socket_is_watched_for_what_was_said_last(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    watch(pair[0], true, false);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(engine.socket_calls, 0);
    watch(pair[0], true, true);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(engine.socket_calls, 1);
    assert_int_equal(engine.last_fd, pair[0]);
    assert_true(engine.was_writable);
    assert_false(engine.was_readable);
    watch(pair[0], true, false);
    assert_int_equal(write(pair[1], "x", 1), 1);
    uv_run(&loop, UV_RUN_ONCE);
    assert_true(engine.was_readable);
    assert_false(engine.was_writable);
    watch(pair[0], false, false);
    watch(pair[0], false, false);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(engine.socket_calls, 2);
    close(pair[0]);
    close(pair[1]);
}

static void a_descriptor_may_come_again_at_once(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    watch(pair[0], true, false);
    for (int i = 0; i < 3; i++) {
        int number = pair[0];
        watch(pair[0], false, false);
        close(pair[0]);
        close(pair[1]);
        make_pair(pair);
        assert_int_equal(pair[0], number);
        watch(pair[0], true, false);
        assert_int_equal(write(pair[1], "x", 1), 1);
    }
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(engine.socket_calls, 1);
    assert_int_equal(engine.last_fd, pair[0]);
    watch(pair[0], false, false);
    close(pair[0]);
    close(pair[1]);
}

static void forget_all(struct azfn__https_engine *self)
{
    watch(self->last_fd, false, false);
    close(self->last_fd);
}

static void a_socket_may_be_forgotten_in_its_own_callback(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    engine.on_call = forget_all;
    watch(pair[0], true, true);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(engine.socket_calls, 1);
    close(pair[1]);
}

static void a_socket_whose_other_end_is_closed_is_told(void **state)
{
    (void)state;
    int pair[2];
    make_pair(pair);
    watch(pair[0], true, false);
    close(pair[1]);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(engine.socket_calls, 1);
    assert_true(engine.was_readable);
    watch(pair[0], false, false);
    close(pair[0]);
}

static void what_can_not_be_watched_is_left_alone(void **state)
{
    (void)state;
    watch(-1, true, true);
    watch(4000, true, false); /* no such descriptor */
    watch(4000, false, false);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* epoll takes no files */
    assert_true(file >= 0);
    watch(file, true, false);
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(engine.socket_calls, 0);
    close(file);
}

static void what_is_watched_at_the_end_is_closed_with_the_client(void **state)
{
    (void)state;
    static int pair[2];
    make_pair(pair);
    watch(pair[0], true, true);
    arm_timer(0);
    /* tear_down() destroys the client: nothing may be called then */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_go_to_the_module, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_module_that_does_not_start_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_module_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_timer_is_called_once_and_never_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(sockets_have_their_turn_between_two_timers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_is_watched_for_what_was_said_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_descriptor_may_come_again_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_may_be_forgotten_in_its_own_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_whose_other_end_is_closed_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_can_not_be_watched_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_watched_at_the_end_is_closed_with_the_client, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
