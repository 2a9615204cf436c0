#include "broker/launcher_process.h"

#include "broker/environment.h"
#include "broker/privileges.h"
#include "sandbox/landlock.h"
#include "sandbox/layers.h"
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where descriptors on their way to a worker wait, above all that a worker has. */
#define PARKING_DESCRIPTOR 32
#define MAX_WORKERS 8

struct launcher {
    int socket;
    int executable;
    int signals;
    char *const *arguments;
    pid_t workers[MAX_WORKERS]; /* 0: free */
};

static void close_from(int first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0) {
        return;
    }
#endif
    struct rlimit limit = {.rlim_cur = 65536};
    getrlimit(RLIMIT_NOFILE, &limit);
    int end = limit.rlim_cur > 65536 ? 65536 : (int)limit.rlim_cur;
    for (int fd = first; fd < end; fd++) {
        close(fd);
    }
}

/* Only the two that are ours stay open; the host waits for the end of file on its pipes. */
static int keep_descriptors(struct launcher *launcher)
{
    int socket = fcntl(launcher->socket, F_DUPFD_CLOEXEC, PARKING_DESCRIPTOR);
    int executable = fcntl(launcher->executable, F_DUPFD_CLOEXEC, PARKING_DESCRIPTOR);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (socket < 0 || executable < 0 || null < 0) {
        return -1;
    }
    for (int fd = 0; fd <= 2; fd++) {
        if (dup2(null, fd) < 0) {
            return -1;
        }
    }
    launcher->socket = dup3(socket, 3, O_CLOEXEC);
    launcher->executable = dup3(executable, 4, O_CLOEXEC);
    close_from(5);
    return launcher->socket < 0 || launcher->executable < 0 ? -1 : 0;
}

static int watch_signals(struct launcher *launcher)
{
    /* a Ctrl-C in a terminal reaches the whole group: the broker decides what it means */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (sigprocmask(SIG_SETMASK, &set, NULL) != 0) {
        return -1;
    }
    launcher->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return launcher->signals < 0 ? -1 : 0;
}

static void report(const struct launcher *launcher, enum azfn__launcher_report_kind kind, pid_t pid, int value)
{
    struct azfn__launcher_report message = {.kind = kind, .pid = pid, .value = value};
    while (send(launcher->socket, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR) {
    }
}

/* The workers inherit it: so they read and execute what is there, but write nothing, connect to nothing, and reach no
 * other process, from their first instruction on. */
static int enter_sandbox(enum azfn__launcher_sandbox sandbox)
{
    static const struct azfn__landlock_path everything = {.path = "/", .may_execute = true};
    const struct azfn__landlock_rules rules = {
        .layers = azfn__sandbox_layers(), .paths = &everything, .path_count = 1};
    bool is_report_only = sandbox == AZFN__LAUNCHER_REPORT;
    if (azfn__privileges_forbid_new() != AZFN_OK ||
        (!is_report_only && azfn__landlock_apply(&rules) != AZFN_OK)) {
        return -1;
    }
    enum azfn_error error = azfn__sandbox_layers() & AZFN__SANDBOX_SECCOMP
                                ? azfn__seccomp_apply(AZFN__SECCOMP_LAUNCHER, is_report_only)
                                : AZFN_OK;
    return error == AZFN_OK || is_report_only ? 0 : -1;
}

static void become(const struct launcher *launcher, uid_t user, enum azfn__launcher_sandbox sandbox)
{
    int value = 0;
    if (user != 0 && azfn__privileges_become(user) != AZFN_OK) {
        value = errno ? errno : EPERM;
    }
    /* the change of user undid it */
    if (azfn__privileges_forbid_dumps() != AZFN_OK && value == 0) {
        value = errno;
    }
    if (value == 0 && enter_sandbox(sandbox) != 0) {
        value = errno ? errno : EPERM;
    }
    report(launcher, AZFN__LAUNCHER_BECAME, getpid(), value);
}

/* In the child: becomes the worker or says with errno why not. */
_Noreturn static void exec_worker(const struct launcher *launcher, pid_t parent, const int *descriptors, int error_pipe)
{
    int parked[AZFN__WORKER_PASSED_DESCRIPTORS];
    sigset_t none;
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent ||
        sigprocmask(SIG_SETMASK, &none, NULL) != 0) {
        goto failed;
    }
    for (int i = 0; i < AZFN__WORKER_PASSED_DESCRIPTORS; i++) {
        parked[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, PARKING_DESCRIPTOR);
        if (parked[i] < 0) {
            goto failed;
        }
    }
    int executable = fcntl(launcher->executable, F_DUPFD_CLOEXEC, PARKING_DESCRIPTOR);
    int errors = fcntl(error_pipe, F_DUPFD_CLOEXEC, PARKING_DESCRIPTOR);
    if (executable < 0 || errors < 0) {
        goto failed;
    }
    error_pipe = errors;
    for (int i = 0; i < AZFN__WORKER_PASSED_DESCRIPTORS; i++) {
        if (dup2(parked[i], i + 1) < 0) {
            goto failed;
        }
    }
    char *const no_environment[] = {NULL};
    fexecve(executable, launcher->arguments, no_environment);
failed:;
    int error = errno;
    ssize_t ignored = write(error_pipe, &error, sizeof(error));
    (void)ignored;
    _exit(126);
}

static void start(struct launcher *launcher, const int *descriptors)
{
    int errors[2];
    pid_t *slot = NULL;
    for (int i = 0; i < MAX_WORKERS && !slot; i++) {
        slot = launcher->workers[i] == 0 ? &launcher->workers[i] : NULL;
    }
    if (!slot || pipe2(errors, O_CLOEXEC) != 0) {
        report(launcher, AZFN__LAUNCHER_STARTED, 0, slot ? errno : EAGAIN);
        return;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(errors[0]);
        exec_worker(launcher, parent, descriptors, errors[1]);
    }
    int fork_error = errno;
    close(errors[1]);
    if (pid < 0) {
        close(errors[0]);
        report(launcher, AZFN__LAUNCHER_STARTED, 0, fork_error);
        return;
    }
    /* the pipe closes at a good execve; otherwise it brings errno, and the end is reported as any other */
    int error = 0;
    ssize_t length = read(errors[0], &error, sizeof(error));
    close(errors[0]);
    *slot = pid;
    report(launcher, AZFN__LAUNCHER_STARTED, pid, length == (ssize_t)sizeof(error) ? error : 0);
}

static void kill_worker(const struct launcher *launcher, pid_t pid)
{
    for (int i = 0; i < MAX_WORKERS; i++) {
        if (pid > 0 && launcher->workers[i] == pid) {
            kill(pid, SIGKILL);
        }
    }
}

static void reap(struct launcher *launcher)
{
    struct signalfd_siginfo ignored;
    while (read(launcher->signals, &ignored, sizeof(ignored)) > 0) {
    }
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (int i = 0; i < MAX_WORKERS; i++) {
            launcher->workers[i] = launcher->workers[i] == pid ? 0 : launcher->workers[i];
        }
        report(launcher, AZFN__LAUNCHER_ENDED, pid, status);
    }
}

/* The broker is gone: nothing of the app may stay, not even as a zombie of an init that does not reap. */
_Noreturn static void end(const struct launcher *launcher)
{
    for (int i = 0; i < MAX_WORKERS; i++) {
        if (launcher->workers[i] > 0) {
            kill(launcher->workers[i], SIGKILL);
        }
    }
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
    }
    _exit(0);
}

static void obey(struct launcher *launcher)
{
    struct azfn__launcher_command command = {0};
    struct iovec part = {.iov_base = &command, .iov_len = sizeof(command)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * AZFN__WORKER_PASSED_DESCRIPTORS)];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    ssize_t length = recvmsg(launcher->socket, &message, MSG_CMSG_CLOEXEC);
    if (length < 0 && errno == EINTR) {
        return;
    }
    if (length != (ssize_t)sizeof(command)) {
        end(launcher);
    }
    int descriptors[AZFN__WORKER_PASSED_DESCRIPTORS];
    size_t count = 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) {
        count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(descriptors, CMSG_DATA(header), count * sizeof(int));
    }
    if (command.kind == AZFN__LAUNCHER_BECOME) {
        become(launcher, command.value, AZFN__LAUNCHER_ENFORCE);
    } else if (command.kind == AZFN__LAUNCHER_BECOME_REPORTING) {
        become(launcher, command.value, AZFN__LAUNCHER_REPORT);
    } else if (command.kind == AZFN__LAUNCHER_START && count == AZFN__WORKER_PASSED_DESCRIPTORS) {
        start(launcher, descriptors);
    } else if (command.kind == AZFN__LAUNCHER_KILL) {
        kill_worker(launcher, (pid_t)command.value);
    }
    for (size_t i = 0; i < count; i++) {
        close(descriptors[i]);
    }
}

void azfn__launcher_run(int socket, int executable, char *const arguments[])
{
    struct launcher launcher = {.socket = socket, .executable = executable, .arguments = arguments};
    prctl(PR_SET_NAME, "azfn-launcher", 0, 0, 0);
    setsid(); /* away from the host's terminal */
    azfn__environment_wipe();
    if (keep_descriptors(&launcher) != 0 || watch_signals(&launcher) != 0) {
        _exit(1);
    }
    for (;;) {
        struct pollfd waiting[] = {{.fd = launcher.socket, .events = POLLIN},
                                   {.fd = launcher.signals, .events = POLLIN}};
        if (poll(waiting, 2, -1) < 0) {
            continue;
        }
        if (waiting[1].revents) {
            reap(&launcher);
        }
        if (waiting[0].revents) {
            obey(&launcher);
        }
    }
}
