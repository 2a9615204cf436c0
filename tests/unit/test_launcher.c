/* The launcher with this test as the program that it starts: as a worker it says what it finds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory_file.h"
#include "base/span.h"
#include "broker/launcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKER "--worker"
#define AWAIT_MS 20000
#define OTHER_USER 61802

static void say_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    bool is_open[64] = {false};
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        long fd = strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd >= 0 && fd < 64 && fd != dirfd(folder)) {
            is_open[fd] = true;
        }
    }
    dprintf(1, "descriptors:");
    for (int fd = 0; fd < 64; fd++) {
        if (is_open[fd]) {
            dprintf(1, " %d", fd);
        }
    }
    dprintf(1, "\n");
    closedir(folder);
}

static void say_environment(void)
{
    char bytes[256];
    int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));
    dprintf(1, "environment: %d, %zd bytes\n", environ && *environ ? 1 : 0, length);
    if (fd >= 0) {
        close(fd);
    }
}

static void say_what_is_there(void)
{
    struct stat status = {0};
    sigset_t mask;
    int death_signal = 0;
    say_descriptors();
    say_environment();
    fstat(0, &status);
    dprintf(1, "stdin: %u:%u\n", major(status.st_rdev), minor(status.st_rdev));
    sigprocmask(SIG_BLOCK, NULL, &mask);
    prctl(PR_GET_PDEATHSIG, &death_signal);
    dprintf(1, "blocked: %d, dies with %d, user %u\n", sigismember(&mask, SIGCHLD), death_signal, (unsigned)getuid());
    dprintf(2, "stderr\n");
    ssize_t ignored = write(AZFN__WORKER_CHANNEL, "channel", 7);
    char text[16] = "";
    ignored = pread(AZFN__WORKER_CONFIG, text, sizeof(text) - 1, 0);
    (void)ignored;
    dprintf(1, "config: %s\n", text);
}

static int be_worker(const char *mode)
{
    if (strcmp(mode, "say") == 0) {
        say_what_is_there();
        return 7;
    }
    dprintf(1, "up\n");
    for (;;) {
        sleep(1);
    }
}

struct fixture {
    struct azfn__launcher launcher;
    int out;     /* what the worker writes on its stdout; at its end when no worker holds it any more */
    int err;
    int channel;
    int passed[AZFN__WORKER_PASSED_DESCRIPTORS];
};

static void set_up(struct fixture *fixture, int executable, const char *mode)
{
    char *const arguments[] = {(char[]){"test"}, (char[]){WORKER}, (char *)(uintptr_t)mode, NULL};
    int out[2];
    int err[2];
    int channel[2];
    assert_true(executable >= 0);
    /* the kernel keeps what the launcher was forked with: this must not reach a worker */
    assert_int_equal(setenv("SECRET", "hunter2", 1), 0);
    assert_int_equal(azfn__launcher_fork(&fixture->launcher, executable, arguments), AZFN_OK);
    close(executable);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    fixture->out = out[0];
    fixture->err = err[0];
    fixture->channel = channel[0];
    int *passed = fixture->passed;
    passed[AZFN__WORKER_STDOUT - 1] = out[1];
    passed[AZFN__WORKER_STDERR - 1] = err[1];
    passed[AZFN__WORKER_LISTENER - 1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    passed[AZFN__WORKER_CHANNEL - 1] = channel[1];
    passed[AZFN__WORKER_CONFIG - 1] = azfn__memory_file_create("config");
    passed[AZFN__WORKER_FLIGHT_RECORD - 1] = azfn__memory_file_create("record");
    assert_int_equal(write(passed[AZFN__WORKER_CONFIG - 1], "{}", 2), 2);
    for (int i = 0; i < AZFN__WORKER_PASSED_DESCRIPTORS; i++) {
        assert_true(passed[i] >= 0);
    }
}

static int this_program(void)
{
    return open("/proc/self/exe", O_PATH | O_CLOEXEC);
}

/* From here on the ends of the pipes are the workers' only. */
static void close_passed(struct fixture *fixture)
{
    for (int i = 0; i < AZFN__WORKER_PASSED_DESCRIPTORS; i++) {
        close(fixture->passed[i]);
    }
}

static void clean_up(struct fixture *fixture)
{
    close(fixture->out);
    close(fixture->err);
    close(fixture->channel);
}

static struct azfn__launcher_report await_report(struct fixture *fixture, enum azfn__launcher_report_kind kind)
{
    struct azfn__launcher_report report = {0};
    struct pollfd ready = {.fd = fixture->launcher.fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, AWAIT_MS), 1);
    assert_int_equal(azfn__launcher_receive(&fixture->launcher, &report), AZFN_OK);
    assert_int_equal(report.kind, kind);
    return report;
}

static pid_t start_worker(struct fixture *fixture)
{
    assert_int_equal(azfn__launcher_start(&fixture->launcher, fixture->passed), AZFN_OK);
    struct azfn__launcher_report report = await_report(fixture, AZFN__LAUNCHER_STARTED);
    assert_int_equal(report.value, 0);
    assert_true(report.pid > 0);
    return report.pid;
}

/* Up to the end of file, or for as much as is expected. Returns the length. */
static size_t read_text(int fd, char *text, size_t capacity, size_t wanted)
{
    size_t length = 0;
    while (length < wanted && length + 1 < capacity) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, AWAIT_MS), 1);
        ssize_t count = read(fd, text + length, capacity - 1 - length);
        assert_true(count >= 0);
        if (count == 0) {
            break;
        }
        length += (size_t)count;
    }
    text[length] = '\0';
    return length;
}

static void await_up(struct fixture *fixture)
{
    char text[8];
    assert_int_equal(read_text(fixture->out, text, sizeof(text), 3), 3);
    assert_string_equal(text, "up\n");
}

static void await_end_of_file(struct fixture *fixture)
{
    char text[8];
    assert_int_equal(read_text(fixture->out, text, sizeof(text), 1), 0);
}

static int await_launcher(struct fixture *fixture)
{
    int status;
    assert_int_equal(waitpid(fixture->launcher.pid, &status, 0), fixture->launcher.pid);
    return status;
}

static void end_launcher(struct fixture *fixture)
{
    close(fixture->launcher.fd);
    int status = await_launcher(fixture);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_worker_finds_its_descriptors_and_nothing_else(void **state)
{
    (void)state;
    struct fixture fixture;
    char text[1024];
    char expected[1024];
    /* not to be found in the worker, though it would pass an execve */
    int stray = open("/dev/null", O_RDONLY);
    assert_true(stray > 2);
    set_up(&fixture, this_program(), "say");
    assert_int_equal(azfn__launcher_become(&fixture.launcher, 0, AZFN__LAUNCHER_ENFORCE), AZFN_OK);
    pid_t pid = start_worker(&fixture);
    close_passed(&fixture);
    close(stray);
    read_text(fixture.out, text, sizeof(text), sizeof(text));
    snprintf(expected, sizeof(expected),
             "descriptors: 0 1 2 3 4 5 6\nenvironment: 0, 0 bytes\nstdin: 1:3\nblocked: 0, dies with %d, user %u\n"
             "config: {}\n",
             SIGKILL, (unsigned)getuid());
    assert_string_equal(text, expected);
    read_text(fixture.err, text, sizeof(text), sizeof(text));
    assert_string_equal(text, "stderr\n");
    read_text(fixture.channel, text, sizeof(text), sizeof(text));
    assert_string_equal(text, "channel");
    struct azfn__launcher_report report = await_report(&fixture, AZFN__LAUNCHER_ENDED);
    assert_int_equal(report.pid, pid);
    assert_true(WIFEXITED(report.value) && WEXITSTATUS(report.value) == 7);
    end_launcher(&fixture);
    clean_up(&fixture);
}

static void one_worker_after_the_other_finds_the_same(void **state)
{
    (void)state;
    struct fixture fixture;
    char text[1024];
    set_up(&fixture, this_program(), "say");
    for (int i = 0; i < 3; i++) {
        start_worker(&fixture);
        struct azfn__launcher_report report = await_report(&fixture, AZFN__LAUNCHER_ENDED);
        assert_true(WIFEXITED(report.value) && WEXITSTATUS(report.value) == 7);
    }
    close_passed(&fixture);
    read_text(fixture.out, text, sizeof(text), sizeof(text));
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, "descriptors: 0 1 2 3 4 5 6\n")); at++) {
        found++;
    }
    assert_int_equal(found, 3);
    end_launcher(&fixture);
    clean_up(&fixture);
}

static void the_launcher_becomes_another_user_if_it_is_root_and_says_so_if_not(void **state)
{
    (void)state;
    struct fixture fixture;
    char text[1024];
    char *line = NULL;
    set_up(&fixture, this_program(), "say");
    if (geteuid() != 0) {
        assert_int_equal(azfn__launcher_become(&fixture.launcher, OTHER_USER, AZFN__LAUNCHER_ENFORCE),
                         AZFN_ERROR_SYSTEM);
        assert_int_equal(errno, EPERM);
        close_passed(&fixture);
    } else {
        assert_int_equal(azfn__launcher_become(&fixture.launcher, OTHER_USER, AZFN__LAUNCHER_ENFORCE), AZFN_OK);
        start_worker(&fixture);
        close_passed(&fixture);
        read_text(fixture.out, text, sizeof(text), sizeof(text));
        line = strstr(text, "user ");
        assert_non_null(line);
        assert_int_equal(strtoul(line + 5, NULL, 10), OTHER_USER);
        await_report(&fixture, AZFN__LAUNCHER_ENDED);
    }
    end_launcher(&fixture);
    clean_up(&fixture);
}

static void a_worker_dies_when_the_launcher_is_killed(void **state)
{
    (void)state;
    struct fixture fixture;
    struct azfn__launcher_report report;
    set_up(&fixture, this_program(), "wait");
    start_worker(&fixture);
    close_passed(&fixture);
    await_up(&fixture);
    assert_int_equal(kill(fixture.launcher.pid, SIGKILL), 0);
    await_end_of_file(&fixture);
    int status = await_launcher(&fixture);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(azfn__launcher_receive(&fixture.launcher, &report), AZFN_ERROR_NOT_FOUND);
    assert_int_equal(azfn__launcher_start(&fixture.launcher, (const int[]){0, 0, 0, 0, 0, 0}), AZFN_ERROR_SYSTEM);
    close(fixture.launcher.fd);
    clean_up(&fixture);
}

static void launcher_and_workers_die_when_the_broker_is_gone(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, this_program(), "wait");
    start_worker(&fixture);
    await_up(&fixture);
    start_worker(&fixture);
    await_up(&fixture);
    close_passed(&fixture);
    end_launcher(&fixture);
    await_end_of_file(&fixture);
    clean_up(&fixture);
}

static void a_worker_is_killed_on_request(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, this_program(), "wait");
    pid_t first = start_worker(&fixture);
    await_up(&fixture);
    pid_t second = start_worker(&fixture);
    await_up(&fixture);
    close_passed(&fixture);
    assert_int_equal(azfn__launcher_kill(&fixture.launcher, first), AZFN_OK);
    struct azfn__launcher_report report = await_report(&fixture, AZFN__LAUNCHER_ENDED);
    assert_int_equal(report.pid, first);
    assert_true(WIFSIGNALED(report.value) && WTERMSIG(report.value) == SIGKILL);
    assert_int_equal(kill(second, 0), 0);
    end_launcher(&fixture);
    await_end_of_file(&fixture);
    clean_up(&fixture);
}

static void the_launcher_kills_nobody_but_its_workers(void **state)
{
    (void)state;
    struct fixture fixture;
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) {
        for (;;) {
            sleep(1);
        }
    }
    set_up(&fixture, this_program(), "wait");
    close_passed(&fixture);
    assert_int_equal(azfn__launcher_kill(&fixture.launcher, other), AZFN_OK);
    assert_int_equal(azfn__launcher_kill(&fixture.launcher, 0), AZFN_OK);
    assert_int_equal(azfn__launcher_kill(&fixture.launcher, -1), AZFN_OK);
    /* it has obeyed these once it answers this */
    assert_int_equal(azfn__launcher_become(&fixture.launcher, 0, AZFN__LAUNCHER_ENFORCE), AZFN_OK);
    int status;
    assert_int_equal(waitpid(other, &status, WNOHANG), 0);
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    end_launcher(&fixture);
    clean_up(&fixture);
}

static void what_can_not_be_executed_is_reported(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, open("/dev/null", O_PATH | O_CLOEXEC), "say");
    assert_int_equal(azfn__launcher_start(&fixture.launcher, fixture.passed), AZFN_OK);
    close_passed(&fixture);
    struct azfn__launcher_report started = await_report(&fixture, AZFN__LAUNCHER_STARTED);
    assert_int_equal(started.value, EACCES);
    struct azfn__launcher_report ended = await_report(&fixture, AZFN__LAUNCHER_ENDED);
    assert_int_equal(ended.pid, started.pid);
    assert_true(WIFEXITED(ended.value) && WEXITSTATUS(ended.value) == 126);
    await_end_of_file(&fixture);
    end_launcher(&fixture);
    clean_up(&fixture);
}

static void more_workers_than_it_can_watch_are_not_started(void **state)
{
    (void)state;
    struct fixture fixture;
    struct azfn__launcher_report report = {0};
    int count = -1;
    set_up(&fixture, this_program(), "wait");
    do {
        count++;
        assert_in_range(count, 0, 100);
        assert_int_equal(azfn__launcher_start(&fixture.launcher, fixture.passed), AZFN_OK);
        report = await_report(&fixture, AZFN__LAUNCHER_STARTED);
    } while (report.value == 0);
    assert_int_equal(report.value, EAGAIN);
    assert_int_equal(report.pid, 0);
    assert_in_range(count, 2, 100);
    close_passed(&fixture);
    end_launcher(&fixture);
    char text[1024];
    read_text(fixture.out, text, sizeof(text), sizeof(text));
    clean_up(&fixture);
}

static void there_is_no_report_before_something_happens(void **state)
{
    (void)state;
    struct fixture fixture;
    struct azfn__launcher_report report;
    set_up(&fixture, this_program(), "wait");
    close_passed(&fixture);
    assert_int_equal(azfn__launcher_receive(&fixture.launcher, &report), AZFN_ERROR_UNAVAILABLE);
    end_launcher(&fixture);
    clean_up(&fixture);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], WORKER) == 0) {
        _exit(be_worker(argv[2]));
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_finds_its_descriptors_and_nothing_else),
        cmocka_unit_test(one_worker_after_the_other_finds_the_same),
        cmocka_unit_test(the_launcher_becomes_another_user_if_it_is_root_and_says_so_if_not),
        cmocka_unit_test(a_worker_dies_when_the_launcher_is_killed),
        cmocka_unit_test(launcher_and_workers_die_when_the_broker_is_gone),
        cmocka_unit_test(a_worker_is_killed_on_request),
        cmocka_unit_test(the_launcher_kills_nobody_but_its_workers),
        cmocka_unit_test(what_can_not_be_executed_is_reported),
        cmocka_unit_test(more_workers_than_it_can_watch_are_not_started),
        cmocka_unit_test(there_is_no_report_before_something_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
