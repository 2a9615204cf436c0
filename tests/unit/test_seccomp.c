/* Each profile in a child of its own: what it lets through, and what it ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DONE 0
#define REFUSED 40 /* and the errno */
#define UPPER_HALF (1L << 32)

struct call {
    const char *name;
    long number;
    long arguments[6];
};

struct attempt {
    enum azfn__seccomp_profile profile;
    bool is_report_only;
    bool is_on_other_thread;
    struct call call;
};

static sem_t begin;

static void *make_call_when_told(void *user_data)
{
    const struct call *call = user_data;
    const long *with = call->arguments;
    sem_wait(&begin);
    syscall(call->number, with[0], with[1], with[2], with[3], with[4], with[5]);
    _exit(DONE);
}

static _Noreturn void make_call(const struct attempt *attempt)
{
    const long *with = attempt->call.arguments;
    pthread_t thread;
    signal(SIGSYS, SIG_DFL); /* not cmocka's */
    prctl(PR_SET_DUMPABLE, 0);
    dup2(open("/dev/null", O_RDWR | O_CLOEXEC), 3);
    sem_init(&begin, 0, 0);
    if (attempt->is_on_other_thread) {
        pthread_create(&thread, NULL, make_call_when_told, (void *)(uintptr_t)&attempt->call);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        azfn__seccomp_apply(attempt->profile, attempt->is_report_only) != AZFN_OK) {
        _exit(1);
    }
    if (attempt->is_on_other_thread) {
        sem_post(&begin);
        for (;;) {
            sched_yield();
        }
    }
    long result = syscall(attempt->call.number, with[0], with[1], with[2], with[3], with[4], with[5]);
    _exit(result < 0 ? REFUSED + errno : DONE);
}

/* As waitpid() gives it. */
static int try_it(const struct attempt *attempt)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        make_call(attempt);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void expect(enum azfn__seccomp_profile profile, const struct call *calls, size_t count, bool is_allowed)
{
    for (size_t i = 0; i < count; i++) {
        int status = try_it(&(struct attempt){.profile = profile, .call = calls[i]});
        bool was_ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        bool went_through = WIFEXITED(status) && WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != REFUSED + EACCES &&
                            WEXITSTATUS(status) != REFUSED + ENOSYS;
        if (is_allowed ? !went_through : !was_ended) {
            fail_msg("%s: status %x", calls[i].name, (unsigned)status);
        }
    }
}

#define CALL(name, ...) {#name, SYS_##name, {__VA_ARGS__}}
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static void a_worker_may_serve(void **state)
{
    (void)state;
    const struct call calls[] = {CALL(read, 9, 0, 0),
                                 CALL(readv, 9, 0, 0),
                                 CALL(write, 9, 0, 0),
                                 CALL(writev, 9, 0, 0),
                                 CALL(close, 9),
                                 CALL(accept4, 9, 0, 0, 0),
                                 CALL(epoll_pwait, 9, 0, 1, 0, 0, 8),
                                 CALL(epoll_ctl, 9, EPOLL_CTL_DEL, 9, 0),
                                 CALL(futex, 0, 0, 0, 0, 0, 0),
                                 CALL(brk, 0),
                                 CALL(mmap, 0, 4096, PROT_READ | PROT_WRITE, PRIVATE, -1, 0),
                                 CALL(munmap, 0, 4096),
                                 CALL(mremap, 0, 0, 0, 0),
                                 CALL(mprotect, 0, 0, PROT_READ | PROT_WRITE),
                                 CALL(madvise, 0, 0, MADV_DONTNEED),
                                 CALL(clock_gettime, 0, 0),
                                 CALL(getrandom, 0, 0, 0),
                                 CALL(rt_sigprocmask, SIG_BLOCK, 0, 0, 8),
                                 CALL(clock_nanosleep, 99, 0, 0, 0),
                                 CALL(sched_yield, 0),
                                 CALL(getpid, 0),
                                 CALL(gettid, 0),
                                 CALL(fstat, 9, 0),
                                 CALL(lseek, 9, 0, SEEK_CUR),
                                 CALL(shutdown, 0, SHUT_WR),
                                 CALL(shutdown, 2, SHUT_WR),
                                 CALL(shutdown, 7, SHUT_WR),
                                 CALL(shutdown, 65536, SHUT_WR),
                                 CALL(ioctl, 60, FIONBIO, 0),
                                 CALL(exit, DONE),
                                 CALL(exit_group, DONE)};
    expect(AZFN__SECCOMP_WORKER, calls, COUNT_OF(calls), true);
}

static void a_worker_may_do_nothing_else(void **state)
{
    (void)state;
    const struct call calls[] = {CALL(socket, AF_INET, SOCK_STREAM, 0),
                                 CALL(socketpair, AF_UNIX, SOCK_STREAM, 0, 0),
                                 CALL(connect, 3, 0, 0),
                                 CALL(bind, 3, 0, 0),
                                 CALL(listen, 3, 0),
                                 CALL(accept, 3, 0, 0),
                                 CALL(sendto, 3, 0, 0, MSG_FASTOPEN, 0, 0),
                                 CALL(sendmsg, 3, 0, 0),
                                 CALL(sendmmsg, 3, 0, 0, 0),
                                 CALL(recvmsg, 3, 0, 0),
                                 CALL(recvfrom, 3, 0, 0, 0, 0, 0),
                                 CALL(setsockopt, 3, 0, 0, 0, 0),
                                 CALL(getsockopt, 3, 0, 0, 0, 0),
                                 CALL(sendfile, 3, 3, 0, 0),
                                 CALL(splice, 3, 0, 3, 0, 0, 0),
                                 CALL(shutdown, 3, SHUT_WR),
                                 CALL(shutdown, 3 | UPPER_HALF, SHUT_WR),
                                 CALL(shutdown, 60, SHUT_RD),
                                 CALL(shutdown, 60, SHUT_RDWR),
                                 CALL(ioctl, 3, FIONBIO, 0),
                                 CALL(ioctl, 3 | UPPER_HALF, FIONBIO, 0),
                                 CALL(ioctl, 60, FIOASYNC, 0),
                                 CALL(ioctl, 60, 0x5412 /* TIOCSTI */, 0),
                                 CALL(fcntl, 3, F_SETOWN, 0),
                                 CALL(fcntl, 3, F_SETSIG, 0),
                                 CALL(fcntl, 3, F_GETFL),
                                 CALL(dup, 3),
                                 CALL(dup3, 3, 60, 0),
                                 CALL(openat, AT_FDCWD, 0, 0),
                                 CALL(openat2, AT_FDCWD, 0, 0, 0),
                                 CALL(newfstatat, AT_FDCWD, 0, 0, 0),
                                 CALL(readlinkat, AT_FDCWD, 0, 0, 0),
                                 CALL(getdents64, 3, 0, 0),
                                 CALL(memfd_create, 0, 0),
                                 CALL(execve, 0, 0, 0),
                                 CALL(execveat, 3, 0, 0, 0, AT_EMPTY_PATH),
                                 CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, PRIVATE, -1, 0),
                                 CALL(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 3, 0),
                                 CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC | UPPER_HALF, PRIVATE, -1, 0),
                                 CALL(mprotect, 0, 0, PROT_EXEC),
                                 CALL(pkey_mprotect, 0, 0, PROT_EXEC, -1),
                                 CALL(clone, SIGCHLD, 0, 0, 0, 0),
                                 CALL(clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0),
                                 CALL(clone3, 0, 0),
                                 CALL(unshare, 0),
                                 CALL(setns, 3, 0),
                                 CALL(kill, 0, 0),
                                 CALL(tgkill, 1, 1, SIGABRT),
                                 CALL(sigaltstack, 0, 0), /* the handler keeps its own */
                                 CALL(tkill, 1, 0),
                                 CALL(rt_sigqueueinfo, 0, 0, 0),
                                 CALL(pidfd_open, 1, 0),
                                 CALL(pidfd_getfd, 3, 3, 0),
                                 CALL(pidfd_send_signal, 3, 0, 0, 0),
                                 CALL(ptrace, 0, 0, 0, 0),
                                 CALL(process_vm_readv, 1, 0, 0, 0, 0, 0),
                                 CALL(process_vm_writev, 1, 0, 0, 0, 0, 0),
                                 CALL(rt_sigaction, SIGSYS, 0, 0, 8),
                                 CALL(sigaltstack, 0, 0),
                                 CALL(prctl, PR_SET_DUMPABLE, 1),
                                 CALL(seccomp, 0, 0, 0),
                                 CALL(setuid, 0),
                                 CALL(setresuid, 0, 0, 0),
                                 CALL(prlimit64, 0, 0, 0, 0),
                                 CALL(setrlimit, 0, 0),
                                 CALL(personality, 0),
                                 CALL(mount, 0, 0, 0, 0, 0),
                                 CALL(bpf, 0, 0, 0),
                                 CALL(perf_event_open, 0, 0, 0, 0, 0),
                                 CALL(userfaultfd, 0),
                                 CALL(keyctl, 0, 0, 0, 0, 0),
                                 CALL(add_key, 0, 0, 0, 0, 0),
                                 CALL(io_uring_setup, 1, 0),
                                 CALL(io_uring_enter, 3, 0, 0, 0, 0),
                                 CALL(io_setup, 1, 0),
                                 CALL(epoll_create1, 0),
                                 CALL(eventfd2, 0, 0),
                                 CALL(pipe2, 0, 0),
                                 CALL(inotify_init1, 0),
                                 CALL(landlock_create_ruleset, 0, 0, 1),
                                 CALL(syslog, 0, 0, 0),
                                 CALL(getppid, 0),
                                 CALL(uname, 0),
                                 CALL(shmget, 0, 4096, 0)};
    expect(AZFN__SECCOMP_WORKER, calls, COUNT_OF(calls), false);
}

static void each_of_the_listeners_neighbours_can_be_shut_down(void **state)
{
    (void)state;
    for (long fd = 0; fd < 70; fd++) {
        const struct call call = {"shutdown", SYS_shutdown, {fd, SHUT_WR}};
        expect(AZFN__SECCOMP_WORKER, &call, 1, fd != 3);
    }
}

static void a_thread_that_was_there_before_is_confined_too(void **state)
{
    (void)state;
    const struct attempt attempt = {
        .profile = AZFN__SECCOMP_WORKER, .is_on_other_thread = true, .call = CALL(socket, AF_INET, SOCK_STREAM, 0)};
    int status = try_it(&attempt);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void in_report_mode_everything_is_done(void **state)
{
    (void)state;
    const struct attempt attempt = {
        .profile = AZFN__SECCOMP_WORKER, .is_report_only = true, .call = CALL(socket, AF_INET, SOCK_STREAM, 0)};
    int status = try_it(&attempt);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), DONE);
}

static void a_broker_connects_and_starts_no_program(void **state)
{
    (void)state;
    const struct call allowed[] = {CALL(socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                                   CALL(socket, AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0),
                                   CALL(socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0),
                                   CALL(connect, 3, 0, 0),
                                   CALL(openat, AT_FDCWD, 0, 0),
                                   CALL(memfd_create, 0, 0),
                                   CALL(mmap, 0, 4096, PROT_READ, MAP_PRIVATE, 3, 0),
                                   CALL(sendmsg, 3, 0, 0),
                                   CALL(prlimit64, 0, 0, 0, 0),
                                   CALL(ioctl, 3, FIONBIO, 0)};
    const struct call forbidden[] = {CALL(socket, AF_INET, SOCK_RAW, 1),
                                     CALL(socket, AF_PACKET, SOCK_RAW, 0),
                                     CALL(socket, AF_NETLINK, SOCK_RAW, 9),
                                     CALL(listen, 3, 0),
                                     CALL(accept4, 3, 0, 0, 0),
                                     CALL(execve, 0, 0, 0),
                                     CALL(execveat, 3, 0, 0, 0, AT_EMPTY_PATH),
                                     CALL(clone, SIGCHLD, 0, 0, 0, 0),
                                     CALL(clone, CLONE_THREAD | CLONE_VM | CLONE_NEWUSER, 0, 0, 0, 0),
                                     CALL(kill, 0, 0),
                                     CALL(ptrace, 0, 0, 0, 0),
                                     CALL(process_vm_readv, 1, 0, 0, 0, 0, 0),
                                     CALL(pidfd_getfd, 3, 3, 0),
                                     CALL(mount, 0, 0, 0, 0, 0),
                                     CALL(bpf, 0, 0, 0),
                                     CALL(setuid, 0),
                                     CALL(prctl, PR_SET_DUMPABLE, 1),
                                     CALL(prlimit64, 0, 0, 8, 0),
                                     CALL(unshare, 0),
                                     CALL(rename, 0, 0),
                                     CALL(unlink, 0),
                                     CALL(mkdir, 0, 0),
                                     CALL(chmod, 0, 0),
                                     CALL(seccomp, 0, 0, 0),
                                     CALL(keyctl, 0, 0, 0, 0, 0)};
    expect(AZFN__SECCOMP_BROKER, allowed, COUNT_OF(allowed), true);
    expect(AZFN__SECCOMP_BROKER, forbidden, COUNT_OF(forbidden), false);
}

/* Not by a death: a library goes on without what it wanted to load. */
static void a_broker_is_refused_executable_memory(void **state)
{
    (void)state;
    struct attempt attempt = {.profile = AZFN__SECCOMP_BROKER,
                              .call = CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, PRIVATE, -1, 0)};
    assert_int_equal(WEXITSTATUS(try_it(&attempt)), REFUSED + EACCES);
    attempt.call = (struct call)CALL(mprotect, 0, 0, PROT_EXEC);
    assert_int_equal(WEXITSTATUS(try_it(&attempt)), REFUSED + EACCES);
}

static void a_launcher_starts_this_program_and_makes_no_connection(void **state)
{
    (void)state;
    const struct call allowed[] = {CALL(clone, SIGCHLD | CLONE_CHILD_SETTID, 0, 0, 0, 0),
                                   CALL(execveat, 99, 0, 0, 0, AT_EMPTY_PATH),
                                   CALL(kill, 0, 0),
                                   CALL(recvmsg, 9, 0, 0),
                                   CALL(sendto, 9, 0, 0, 0, 0, 0),
                                   CALL(wait4, 0, 0, WNOHANG, 0),
                                   CALL(prctl, PR_SET_DUMPABLE, 0),
                                   CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, PRIVATE, -1, 0),
                                   {"mseal", 462, {0, 0, 0}}};
    const struct call forbidden[] = {CALL(execve, 0, 0, 0),
                                     CALL(execveat, AT_FDCWD, 0, 0, 0, 0),
                                     CALL(socket, AF_INET, SOCK_STREAM, 0),
                                     CALL(connect, 3, 0, 0),
                                     CALL(bind, 3, 0, 0),
                                     CALL(clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0, 0),
                                     CALL(unshare, 0),
                                     CALL(setuid, 0),
                                     CALL(ptrace, 0, 0, 0, 0),
                                     CALL(process_vm_readv, 1, 0, 0, 0, 0, 0),
                                     CALL(prctl, PR_SET_SECUREBITS, 0),
                                     CALL(mount, 0, 0, 0, 0, 0),
                                     CALL(bpf, 0, 0, 0)};
    /* the last one: what the kernel does not know is ENOSYS, which is not the filter's */
    expect(AZFN__SECCOMP_LAUNCHER, allowed, COUNT_OF(allowed) - 1, true);
    int status = try_it(&(struct attempt){.profile = AZFN__SECCOMP_LAUNCHER, .call = allowed[COUNT_OF(allowed) - 1]});
    assert_true(WIFEXITED(status));
    expect(AZFN__SECCOMP_LAUNCHER, forbidden, COUNT_OF(forbidden), false);
}

static void what_would_go_around_a_filter_does_not_exist(void **state)
{
    (void)state;
    const enum azfn__seccomp_profile profiles[] = {AZFN__SECCOMP_START, AZFN__SECCOMP_BROKER, AZFN__SECCOMP_LAUNCHER};
    const struct call calls[] = {CALL(io_uring_setup, 1, 0), CALL(clone3, 0, 0)};
    for (size_t i = 0; i < COUNT_OF(profiles) * COUNT_OF(calls); i++) {
        const struct attempt attempt = {.profile = profiles[i / 2], .call = calls[i % 2]};
        int status = try_it(&attempt);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), REFUSED + ENOSYS);
    }
}

static void assert_name(uint32_t architecture, int number, const char *expected)
{
    char name[AZFN__SECCOMP_NAME_BYTES];
    azfn__seccomp_name((struct azfn__seccomp_call){.architecture = architecture, .number = number}, name);
    assert_string_equal(name, expected);
}

static void a_call_has_its_name_and_a_made_up_one_has_none(void **state)
{
    (void)state;
    assert_name(AUDIT_ARCH_X86_64, 42, "connect");
    assert_name(AUDIT_ARCH_I386, 11, "execve");
    assert_name(AUDIT_ARCH_AARCH64, 203, "connect");
    assert_name(AUDIT_ARCH_X86_64, 99999, "");
    assert_name(AUDIT_ARCH_X86_64, -10001, "");
    assert_name(AUDIT_ARCH_X86_64, INT32_MIN, "");
    assert_name(0, 42, "");
    assert_name(UINT32_MAX, 42, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_may_serve),
        cmocka_unit_test(a_worker_may_do_nothing_else),
        cmocka_unit_test(each_of_the_listeners_neighbours_can_be_shut_down),
        cmocka_unit_test(a_thread_that_was_there_before_is_confined_too),
        cmocka_unit_test(in_report_mode_everything_is_done),
        cmocka_unit_test(a_broker_connects_and_starts_no_program),
        cmocka_unit_test(a_broker_is_refused_executable_memory),
        cmocka_unit_test(a_launcher_starts_this_program_and_makes_no_connection),
        cmocka_unit_test(what_would_go_around_a_filter_does_not_exist),
        cmocka_unit_test(a_call_has_its_name_and_a_made_up_one_has_none),
    };
    const struct CMUnitTest names_only[] = {cmocka_unit_test(a_call_has_its_name_and_a_made_up_one_has_none)};
#ifdef AZFN_SANITIZE
    bool has_filters = false; /* a sanitizer's own calls would be ended */
#else
    bool has_filters = !getenv("AZFN_VALGRIND");
#endif
    return has_filters ? cmocka_run_group_tests(tests, NULL, NULL) : cmocka_run_group_tests(names_only, NULL, NULL);
}
