/* The supervisor, with this test in the places of the launcher and of all workers, and a clock of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/launcher_process.h"
#include "broker/supervisor.h"
#include "fuzz/virtual_clock.h"
#include "unit/log_lines.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define MAX_STARTS 32
#define FIRST_PID 100
#define FINISHED 0
#define CRASHED SIGSEGV
#define KILLED SIGKILL
#define NOT_ENDED -1

struct worker {
    int descriptors[AZFN__WORKER_PASSED_DESCRIPTORS];
    bool is_killed; /* the launcher was told to */
};

struct fixture {
    uv_loop_t loop;
    struct azfn__launcher launcher;
    struct azfn__config config;
    struct log_lines log;
    struct azfn__supervisor supervisor;
    struct worker workers[MAX_STARTS]; /* the pid of the first is FIRST_PID */
    int starts;
    int launcher_end;
    int listener;
    unsigned first_readies;
    unsigned ends;
    int exit_code;
};

static void on_end(int exit_code, void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->ends++;
    fixture->exit_code = exit_code;
}

static void on_first_ready(void *user_data)
{
    struct fixture *fixture = user_data;
    fixture->first_readies++;
}

static void take_commands(struct fixture *fixture)
{
    for (;;) {
        struct azfn__launcher_command command;
        struct worker worker = {.is_killed = false};
        struct iovec part = {.iov_base = &command, .iov_len = sizeof(command)};
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(worker.descriptors))];
        } control;
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
        if (recvmsg(fixture->launcher_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(command)) {
            return;
        }
        if (command.kind == AZFN__LAUNCHER_START) {
            assert_true(fixture->starts < MAX_STARTS);
            memcpy(worker.descriptors, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(worker.descriptors));
            fixture->workers[fixture->starts++] = worker;
        } else {
            assert_int_equal(command.kind, AZFN__LAUNCHER_KILL);
            fixture->workers[command.value - FIRST_PID].is_killed = true;
        }
    }
}

static void turn(struct fixture *fixture)
{
    for (int i = 0; i < 4; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    take_commands(fixture);
}

static void pass(struct fixture *fixture, uint64_t ms)
{
    for (uint64_t end_ms = virtual_ms + ms; virtual_ms < end_ms;) {
        virtual_ms += end_ms - virtual_ms < 10 ? end_ms - virtual_ms : 10;
        turn(fixture);
    }
}

static void report(struct fixture *fixture, enum azfn__launcher_report_kind kind, int pid, int value)
{
    const struct azfn__launcher_report message = {.kind = kind, .pid = pid, .value = value};
    assert_int_equal(send(fixture->launcher_end, &message, sizeof(message), 0), sizeof(message));
    turn(fixture);
}

static void send_frame(struct fixture *fixture, int worker, enum azfn__frame_type type, const char *text)
{
    struct azfn__buffer frame;
    azfn__buffer_init(&frame, 4096);
    azfn__frame_append(&frame, type, azfn_span_of(text));
    int channel = fixture->workers[worker].descriptors[AZFN__WORKER_CHANNEL - 1];
    assert_int_equal(send(channel, frame.data, frame.length, MSG_NOSIGNAL), frame.length);
    azfn__buffer_clean_up(&frame);
}

static void say(struct fixture *fixture, int worker, enum azfn__frame_type type, const char *text)
{
    send_frame(fixture, worker, type, text);
    turn(fixture);
}

static bool was_told_to_drain(struct fixture *fixture, int worker)
{
    char frame[AZFN__FRAME_HEADER_BYTES];
    ssize_t length =
        recv(fixture->workers[worker].descriptors[AZFN__WORKER_CHANNEL - 1], frame, sizeof(frame), MSG_DONTWAIT);
    return length == (ssize_t)sizeof(frame) && frame[4] == AZFN__FRAME_DRAIN;
}

static void run_up_to(struct fixture *fixture, int worker)
{
    assert_int_equal(fixture->starts, worker + 1);
    report(fixture, AZFN__LAUNCHER_STARTED, FIRST_PID + worker, 0);
}

static void make_ready(struct fixture *fixture, int worker)
{
    run_up_to(fixture, worker);
    say(fixture, worker, AZFN__FRAME_READY, "");
}

static void end_worker(struct fixture *fixture, int worker, int status)
{
    for (int i = 0; i < AZFN__WORKER_PASSED_DESCRIPTORS; i++) {
        close(fixture->workers[worker].descriptors[i]);
        fixture->workers[worker].descriptors[i] = -1;
    }
    report(fixture, AZFN__LAUNCHER_ENDED, FIRST_PID + worker, status);
}

static bool is_listening(const struct fixture *fixture)
{
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fixture->listener, SOL_SOCKET, SO_ACCEPTCONN, &value, &length), 0);
    return value != 0;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    int ends[2];
    fixture = (struct fixture){.exit_code = NOT_ENDED};
    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    fixture.launcher = (struct azfn__launcher){.pid = -1, .fd = ends[0]};
    fixture.launcher_end = ends[1];
    fixture.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(fixture.listener, 1), 0); /* the system chooses the port */
    set_up_log_lines(&fixture.log);
    const struct azfn__supervisor_options options = {.loop = &fixture.loop,
                                                     .config = &fixture.config,
                                                     .launcher = &fixture.launcher,
                                                     .log = &fixture.log.sink,
                                                     .listener = fixture.listener,
                                                     .config_fd = fixture.listener,
                                                     .on_end = on_end,
                                                     .on_first_ready = on_first_ready,
                                                     .user_data = &fixture};
    assert_int_equal(azfn__supervisor_start(&fixture.supervisor, &options), AZFN_OK);
    turn(&fixture);
    *state = &fixture;
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
    struct fixture *fixture = *state;
    struct azfn__worker_process *worker;
    for (int i = 0; i < fixture->starts; i++) {
        for (int j = 0; j < AZFN__WORKER_PASSED_DESCRIPTORS; j++) {
            close(fixture->workers[i].descriptors[j]);
        }
    }
    while ((worker = azfn__worker_set_at(&fixture->supervisor.workers, 0))) {
        azfn__worker_set_remove(&fixture->supervisor.workers, worker);
        azfn__worker_process_close(worker);
    }
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    uv_walk(&fixture->loop, close_handle, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    clean_up_log_lines(&fixture->log);
    close(fixture->listener);
    close(fixture->launcher_end);
    close(fixture->launcher.fd);
    return 0;
}

static void a_worker_is_ready_once(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_READY, "");
    assert_int_equal(fixture->first_readies, 1);
    assert_false(was_told_to_drain(fixture, 0));
}

static void one_that_asks_before_it_is_ready_or_all_the_time_gets_one_successor(void **state)
{
    struct fixture *fixture = *state;
    run_up_to(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "too early");
    pass(fixture, 5000);
    assert_int_equal(fixture->starts, 1);
    say(fixture, 0, AZFN__FRAME_READY, "");
    for (int i = 0; i < 1000; i++) {
        say(fixture, 0, AZFN__FRAME_REPLACE, "again");
    }
    pass(fixture, 5000);
    make_ready(fixture, 1);
    assert_true(was_told_to_drain(fixture, 0));
    assert_int_equal(count_of(&fixture->log, "sys_restart:worker"), 1);
    /* it serves no more, so it has no say */
    say(fixture, 0, AZFN__FRAME_REPLACE, "once more");
    say(fixture, 0, AZFN__FRAME_ACCEPTED, "");
    pass(fixture, 5000);
    assert_int_equal(fixture->starts, 2);
    assert_true(is_listening(fixture));
    assert_int_equal(fixture->ends, 0);
}

static void why_it_asks_is_told_as_its_own_word(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "the worker has ended");
    assert_int_equal(count_of(&fixture->log, "\"origin\":\"worker\",\"description\":\"the worker has ended\""), 1);
    assert_int_equal(count_of(&fixture->log, "the worker has ended"), 1);
    assert_int_equal(count_of(&fixture->log, "\"reason\":\"the worker asks for it\""), 1);
}

static void one_that_dies_while_its_successor_starts_is_replaced_by_it(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    run_up_to(fixture, 1);
    end_worker(fixture, 0, CRASHED);
    say(fixture, 1, AZFN__FRAME_READY, "");
    pass(fixture, 5000);
    assert_int_equal(fixture->starts, 2);
    assert_false(was_told_to_drain(fixture, 1));
    /* and may be replaced in its turn */
    say(fixture, 1, AZFN__FRAME_REPLACE, "worn out");
    pass(fixture, 100);
    make_ready(fixture, 2);
    assert_true(was_told_to_drain(fixture, 1));
}

static void only_what_a_starting_worker_says_is_the_fault_of_a_start(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    for (int i = 1; i <= AZFN__MAX_FAILED_STARTS; i++) {
        run_up_to(fixture, i);
        say(fixture, 0, AZFN__FRAME_FAULT, "made up");
        say(fixture, i, AZFN__FRAME_FAULT, "true");
        say(fixture, 0, AZFN__FRAME_FAULT, "made up");
        end_worker(fixture, i, 1 << 8);
        pass(fixture, 1000);
    }
    assert_int_equal(count_of(&fixture->log, "so the other one stays for now; the last time: true"), 1);
    assert_int_equal(count_of(&fixture->log, "made up"), 0);
    assert_int_equal(fixture->ends, 0);
    pass(fixture, 60000);
    assert_int_equal(fixture->starts, 1 + AZFN__MAX_FAILED_STARTS + 1);
}

static void a_blocked_worker_that_was_replaced_is_killed_alone(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    make_ready(fixture, 1);
    pass(fixture, AZFN__DRAIN_LIMIT_MS);
    assert_true(fixture->workers[0].is_killed);
    assert_false(fixture->workers[1].is_killed);
    end_worker(fixture, 0, KILLED);
    pass(fixture, 10000);
    assert_int_equal(fixture->starts, 2);
    assert_int_equal(fixture->ends, 0);
    assert_int_equal(count_of(&fixture->log, "sys_shutdown:worker_killed"), 1);
    assert_int_equal(count_of(&fixture->log, "sys_crash"), 0);
}

static void one_that_dies_while_it_has_to_wait_is_not_said_to_have_broken_the_protocol(void **state)
{
    static char text[4000];
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    struct azfn__frame_writer *writer = &fixture->supervisor.workers.serving->writer;
    memset(text, 'x', sizeof(text) - 1);
    writer->waiting_bytes += (size_t)1 << 20; /* as if it did not read what it asked for */
    for (int i = 0; i < 40; i++) {
        send_frame(fixture, 0, AZFN__FRAME_REPLACE, text);
    }
    turn(fixture);
    writer->waiting_bytes -= (size_t)1 << 20;
    end_worker(fixture, 0, CRASHED);
    assert_int_equal(count_of(&fixture->log, "malicious_frame"), 0);
    pass(fixture, 100);
    assert_int_equal(fixture->starts, 2);
}

/* What it sent and the broker has not yet read. */
static int unread_bytes(const struct fixture *fixture, int worker)
{
    int bytes = 0;
    assert_int_equal(ioctl(fixture->workers[worker].descriptors[AZFN__WORKER_CHANNEL - 1], SIOCOUTQ, &bytes), 0);
    return bytes;
}

static void one_that_has_much_to_say_takes_turns_with_the_others(void **state)
{
    static char text[4000];
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 40; i++) {
        send_frame(fixture, 0, AZFN__FRAME_REPLACE, text);
    }
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_true(unread_bytes(fixture, 0) > 80000);
    for (int i = 0; i < 5; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(unread_bytes(fixture, 0), 0);
    assert_int_equal(count_of(&fixture->log, "malicious_frame"), 0);
}

static void a_kill_that_is_not_reported_is_the_end(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, (enum azfn__frame_type)AZFN__FRAME_LOG, "\x7f nonsense");
    assert_true(fixture->workers[0].is_killed);
    pass(fixture, AZFN__LOSS_LIMIT_MS);
    assert_int_equal(fixture->exit_code, 1);
}

static void an_end_with_all_finished_is_clean(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    make_ready(fixture, 1);
    say(fixture, 1, AZFN__FRAME_REPLACE, "worn out");
    pass(fixture, 50);
    run_up_to(fixture, 2);
    azfn__supervisor_drain(&fixture->supervisor);
    turn(fixture);
    assert_true(fixture->workers[2].is_killed);
    assert_true(was_told_to_drain(fixture, 1));
    say(fixture, 1, AZFN__FRAME_ACCEPTED, "");
    assert_false(is_listening(fixture));
    end_worker(fixture, 2, KILLED);
    end_worker(fixture, 1, FINISHED);
    pass(fixture, 5000);
    assert_int_equal(fixture->ends, 0);
    end_worker(fixture, 0, FINISHED);
    assert_int_equal(fixture->ends, 1);
    assert_int_equal(fixture->exit_code, 0);
}

static void a_successor_that_serves_already_finishes_as_well(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    run_up_to(fixture, 1);
    send_frame(fixture, 1, AZFN__FRAME_READY, ""); /* which nobody has read yet */
    azfn__supervisor_drain(&fixture->supervisor);
    turn(fixture);
    assert_false(fixture->workers[1].is_killed);
    assert_true(was_told_to_drain(fixture, 0));
    assert_true(was_told_to_drain(fixture, 1));
    end_worker(fixture, 0, FINISHED);
    assert_int_equal(fixture->ends, 0);
    end_worker(fixture, 1, FINISHED);
    assert_int_equal(fixture->exit_code, 0);
}

static void a_successor_that_can_not_be_forked_while_draining_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    assert_int_equal(fixture->starts, 2);
    azfn__supervisor_drain(&fixture->supervisor);
    report(fixture, AZFN__LAUNCHER_STARTED, 0, 11);
    pass(fixture, 2 * AZFN__LOSS_LIMIT_MS);
    assert_int_equal(fixture->ends, 0);
    end_worker(fixture, 0, FINISHED);
    assert_int_equal(fixture->exit_code, 0);
}

static void an_end_that_loses_work_says_so(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, AZFN__FRAME_REPLACE, "worn out");
    make_ready(fixture, 1);
    pass(fixture, AZFN__DRAIN_LIMIT_MS - 5000);
    azfn__supervisor_drain(&fixture->supervisor);
    turn(fixture);
    end_worker(fixture, 1, FINISHED);
    pass(fixture, 5000);
    assert_true(fixture->workers[0].is_killed);
    end_worker(fixture, 0, KILLED);
    assert_int_equal(fixture->exit_code, 1);
}

static void an_end_that_is_not_waited_for_loses_work(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    azfn__supervisor_drain(&fixture->supervisor);
    azfn__supervisor_drain(&fixture->supervisor);
    assert_int_equal(fixture->ends, 1);
    assert_int_equal(fixture->exit_code, 1);
}

static void an_end_after_its_limit_loses_work(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    azfn__supervisor_drain(&fixture->supervisor);
    pass(fixture, AZFN__DRAIN_LIMIT_MS);
    assert_int_equal(fixture->exit_code, 1);
}

static void an_end_while_a_worker_is_being_killed_loses_work(void **state)
{
    struct fixture *fixture = *state;
    make_ready(fixture, 0);
    say(fixture, 0, (enum azfn__frame_type)AZFN__FRAME_LOG, "\x7f nonsense");
    azfn__supervisor_drain(&fixture->supervisor);
    assert_int_equal(fixture->exit_code, 1);
}

static void an_end_before_anything_was_served_loses_nothing(void **state)
{
    struct fixture *fixture = *state;
    run_up_to(fixture, 0);
    azfn__supervisor_drain(&fixture->supervisor);
    assert_int_equal(fixture->exit_code, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_is_ready_once),
        TEST(one_that_asks_before_it_is_ready_or_all_the_time_gets_one_successor),
        TEST(why_it_asks_is_told_as_its_own_word),
        TEST(one_that_dies_while_its_successor_starts_is_replaced_by_it),
        TEST(only_what_a_starting_worker_says_is_the_fault_of_a_start),
        TEST(a_blocked_worker_that_was_replaced_is_killed_alone),
        TEST(one_that_dies_while_it_has_to_wait_is_not_said_to_have_broken_the_protocol),
        TEST(one_that_has_much_to_say_takes_turns_with_the_others),
        TEST(a_kill_that_is_not_reported_is_the_end),
        TEST(an_end_with_all_finished_is_clean),
        TEST(a_successor_that_serves_already_finishes_as_well),
        TEST(a_successor_that_can_not_be_forked_while_draining_is_not_waited_for),
        TEST(an_end_that_loses_work_says_so),
        TEST(an_end_that_is_not_waited_for_loses_work),
        TEST(an_end_after_its_limit_loses_work),
        TEST(an_end_while_a_worker_is_being_killed_loses_work),
        TEST(an_end_before_anything_was_served_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
