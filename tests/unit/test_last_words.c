/* What a broker says when it dies of itself, in a child of its own each time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/last_words.h"

#include "base/span.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ 0
#define WRITE 1
#define HAS_ALLOCATED 99

static bool is_forbidden_to_allocate;

#ifndef AZFN_SANITIZE /* they have a malloc() of their own */
void *__libc_malloc(size_t size); /* NOLINT: the C library's own name */

void *malloc(size_t size)
{
    if (is_forbidden_to_allocate) {
        _exit(HAS_ALLOCATED);
    }
    return __libc_malloc(size);
}
#endif

/* How the child dies. */
typedef void die_fn(struct azfn__log_sink *log);

static void by_signal(int number)
{
    is_forbidden_to_allocate = true;
    raise(number);
}

static void by_segv(struct azfn__log_sink *log)
{
    (void)log;
    is_forbidden_to_allocate = true;
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void by_bus(struct azfn__log_sink *log)
{
    (void)log;
    by_signal(SIGBUS);
}

static void by_ill(struct azfn__log_sink *log)
{
    (void)log;
    by_signal(SIGILL);
}

static void by_fpe(struct azfn__log_sink *log)
{
    (void)log;
    by_signal(SIGFPE);
}

static void by_abort(struct azfn__log_sink *log)
{
    (void)log;
    is_forbidden_to_allocate = true;
    abort();
}

/* Nobody's filter has raised it. */
static void by_sys(struct azfn__log_sink *log)
{
    (void)log;
    by_signal(SIGSYS);
}

static int go_down(volatile char *above)
{
    volatile char page[4096];
    page[0] = *above;
    return page[0] == 1 ? 0 : go_down(page) + page[0];
}

static void by_overflow(struct azfn__log_sink *log)
{
    volatile char start = 0;
    (void)log;
    is_forbidden_to_allocate = true;
    (void)go_down(&start);
}

static void by_abort_in_a_line(struct azfn__log_sink *log)
{
    log->streams[1].begun_bytes = 3;
    by_abort(log);
}

static void by_abort_without_stderr(struct azfn__log_sink *log)
{
    log->streams[1].is_closed = true;
    by_abort(log);
}

struct outcome {
    int status;
    char text[2][1024]; /* stdout, stderr; behind what was there */
};

static size_t fill(int fd)
{
    static const char dots[4096] = {'.'};
    size_t total = 0;
    ssize_t count;
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while ((count = write(fd, dots, sizeof(dots))) > 0) {
        total += (size_t)count;
    }
    while ((count = write(fd, dots, 1)) > 0) {
        total += (size_t)count;
    }
    fcntl(fd, F_SETFL, flags);
    return total;
}

static _Noreturn void live_and_die(int streams[2][2], bool is_own, die_fn *die)
{
    static struct azfn__log_sink log;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        signal(signals[i], SIG_DFL); /* not cmocka's */
    }
    prctl(PR_SET_DUMPABLE, 0);
    dup2(streams[0][WRITE], STDOUT_FILENO);
    dup2(streams[1][WRITE], STDERR_FILENO);
    azfn__log_sink_init(&log);
    if (is_own) {
        azfn__log_sink_make_own(&log);
    } else {
        log.streams[1].kind = AZFN__LOG_STREAM_SHARED;
    }
    log.sequence = 41;
    if (azfn__last_words_prepare(&log) != AZFN_OK) {
        _exit(1);
    }
    die(&log);
    _exit(2);
}

static void read_text(int fd, size_t skipped, char text[1024])
{
    char dots[4096];
    while (skipped > 0) {
        ssize_t count = read(fd, dots, skipped < sizeof(dots) ? skipped : sizeof(dots));
        assert_true(count > 0);
        skipped -= (size_t)count;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t count = read(fd, text, 1023);
    text[count > 0 ? count : 0] = '\0';
}

/* It may block all signals. */
static int await_end(pid_t child)
{
    int status;
    for (int waited_ms = 0; waitpid(child, &status, WNOHANG) == 0; waited_ms += 5) {
        if (waited_ms == 20000) {
            kill(child, SIGKILL);
        }
        (void)poll(NULL, 0, 5);
    }
    return status;
}

static struct outcome die(die_fn *how, bool is_own, bool is_socket, unsigned full)
{
    int streams[2][2];
    size_t filled[2] = {0, 0};
    struct outcome outcome;
    for (int i = 0; i < 2; i++) {
        int result = is_socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, streams[i])
                               : pipe2(streams[i], O_CLOEXEC);
        assert_int_equal(result, 0);
        filled[i] = full >> i & 1 ? fill(streams[i][WRITE]) : 0;
    }
    pid_t child = fork();
    if (child == 0) {
        live_and_die(streams, is_own, how);
    }
    outcome.status = await_end(child);
    for (int i = 0; i < 2; i++) {
        read_text(streams[i][READ], filled[i], outcome.text[i]);
        close(streams[i][READ]);
        close(streams[i][WRITE]);
    }
    return outcome;
}

static void assert_died_of(const struct outcome *outcome, int number)
{
    if (!WIFSIGNALED(outcome->status) || WTERMSIG(outcome->status) != number) {
        fail_msg("status %x instead of signal %d", (unsigned)outcome->status, number);
    }
}

/* One line, whole. */
static void assert_line(const char *line, const char *name)
{
    char field[32];
    snprintf(field, sizeof(field), "\"signal\":\"%s\"", name);
    assert_int_equal(line[0], '{');
    assert_non_null(strstr(line, "\"level\":\"ERROR\""));
    assert_non_null(strstr(line, "\"sequence\":42,\"origin\":\"broker\",\"event\":\"sys_crash:broker\""));
    assert_non_null(strstr(line, field));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void each_signal_of_a_fault_is_told_and_stays_the_end(void **state)
{
    (void)state;
    static const struct {
        die_fn *how;
        int number;
        const char *name;
    } deaths[] = {{by_segv, SIGSEGV, "SIGSEGV"}, {by_bus, SIGBUS, "SIGBUS"},     {by_ill, SIGILL, "SIGILL"},
                  {by_fpe, SIGFPE, "SIGFPE"},    {by_abort, SIGABRT, "SIGABRT"}, {by_sys, SIGSYS, "SIGSYS"}};
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
        struct outcome outcome = die(deaths[i].how, true, false, 0);
        assert_died_of(&outcome, deaths[i].number);
        assert_line(outcome.text[1], deaths[i].name);
        assert_string_equal(outcome.text[0], "");
    }
}

static void an_overflow_of_the_stack_is_told(void **state)
{
    (void)state;
    struct outcome outcome = die(by_overflow, true, false, 0);
    assert_died_of(&outcome, SIGSEGV);
    assert_line(outcome.text[1], "SIGSEGV");
}

static void a_line_that_was_begun_is_ended_without_new_memory(void **state)
{
    (void)state;
    struct outcome outcome = die(by_abort_in_a_line, true, false, 0);
    assert_died_of(&outcome, SIGABRT);
    assert_int_equal(outcome.text[1][0], '\n');
    assert_line(outcome.text[1] + 1, "SIGABRT");
}

static void what_stderr_does_not_take_goes_to_stdout(void **state)
{
    (void)state;
    static const bool kinds[][2] = {{true, false}, {false, false}, {true, true}}; /* own, shared, socket */
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct outcome outcome = die(by_abort, kinds[i][0], kinds[i][1], 2);
        assert_died_of(&outcome, SIGABRT);
        assert_line(outcome.text[0], "SIGABRT");
        assert_string_equal(outcome.text[1], "");
    }
    struct outcome outcome = die(by_abort_without_stderr, true, false, 0);
    assert_line(outcome.text[0], "SIGABRT");
}

static void nobody_is_waited_for_without_end(void **state)
{
    (void)state;
    static const bool kinds[][2] = {{true, false}, {false, false}, {true, true}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct outcome outcome = die(by_abort, kinds[i][0], kinds[i][1], 3);
        assert_died_of(&outcome, SIGABRT); /* and not killed */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_signal_of_a_fault_is_told_and_stays_the_end),
        cmocka_unit_test(an_overflow_of_the_stack_is_told),
        cmocka_unit_test(a_line_that_was_begun_is_ended_without_new_memory),
        cmocka_unit_test(what_stderr_does_not_take_goes_to_stdout),
        cmocka_unit_test(nobody_is_waited_for_without_end),
    };
#ifdef AZFN_SANITIZE
    (void)tests;
    return 0; /* they have handlers of their own */
#else
    if (getenv("AZFN_VALGRIND")) {
        printf("SKIPPED: valgrind has a malloc() and handlers of its own\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
