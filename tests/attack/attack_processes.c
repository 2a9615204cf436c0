/* Other programs, other processes, more rights, and the kernel's seldom used doors. */
#include "attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOMB_PROCESSES 16

static struct attack_result wait_for(long child, const char *call)
{
    if (child < 0) {
        return attack_refused(call);
    }
    if (child == 0) {
        _exit(0);
    }
    waitpid((pid_t)child, NULL, __WALL);
    return attack_succeeded("another process");
}

static struct attack_result fork_once(const struct attack_target *target)
{
    (void)target;
    return wait_for(fork(), "clone");
}

static struct attack_result fork_by_newer_call(const struct attack_target *target)
{
    (void)target;
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } arguments = {.exit_signal = SIGCHLD};
    return wait_for(syscall(SYS_clone3, &arguments, sizeof(arguments)), "clone3");
}

static struct attack_result fork_into_namespaces(const struct attack_target *target)
{
    (void)target;
    const unsigned long flags = CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD;
    return wait_for(syscall(SYS_clone, flags, NULL, NULL, NULL, 0UL), "clone");
}

static struct attack_result fork_bomb(const struct attack_target *target)
{
    (void)target;
    pid_t children[BOMB_PROCESSES];
    int count = 0;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return attack_refused("pipe2");
    }
    while (count < BOMB_PROCESSES && (children[count] = fork()) >= 0) {
        if (children[count] == 0) {
            char byte;
            close(ends[1]);
            _exit(read(ends[0], &byte, 1) < 0); /* until all are there */
        }
        count++;
    }
    int error = errno;
    close(ends[1]);
    for (int i = 0; i < count; i++) {
        waitpid(children[i], NULL, 0);
    }
    errno = error;
    return count < BOMB_PROCESSES ? attack_refused("clone") : attack_succeeded("as many as it wants");
}

static void *run_thread(void *argument)
{
    return argument;
}

static struct attack_result start_thread(const struct attack_target *target)
{
    pthread_t thread;
    (void)target;
    int error = pthread_create(&thread, NULL, run_thread, NULL);
    if (error != 0) {
        errno = error;
        return attack_refused("clone");
    }
    pthread_join(thread, NULL);
    return attack_succeeded("a thread");
}

static char shell[] = "/bin/sh";
static char option[] = "-c";
static char words[] = "echo " ATTACK_EXECUTED;
static char *const shell_arguments[] = {shell, option, words, NULL};
static char *const no_environment[] = {NULL};

/* The broker ends a worker whose channel closes, as it does in another program: this one would race its first word.
 * Told by "keep", as seccomp would end it here already. */
static void keep_descriptors(const struct attack_target *target)
{
    for (int fd = STDERR_FILENO + 1; attack_number(target, "keep") && fd < 64; fd++) {
        (void)fcntl(fd, F_SETFD, 0);
    }
}

static struct attack_result execute(const struct attack_target *target)
{
    keep_descriptors(target);
    execve(shell, shell_arguments, no_environment);
    return attack_refused("execve");
}

static struct attack_result spawn(const struct attack_target *target)
{
    (void)target;
    pid_t child;
    int error = posix_spawn(&child, shell, NULL, NULL, shell_arguments, no_environment);
    if (error != 0) {
        errno = error;
        return attack_refused("clone");
    }
    waitpid(child, NULL, 0);
    return attack_succeeded("a shell");
}

/* As in every collection of them; what it says goes to our stdout as well, where it can be seen. */
static struct attack_result reverse_shell(const struct attack_target *target)
{
    static char twice[] = "echo " ATTACK_EXECUTED "; echo " ATTACK_EXECUTED " >&9";
    char *const arguments[] = {shell, option, twice, NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)attack_number(target, "tcp"))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return attack_refused("socket");
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        return attack_refused("connect");
    }
    keep_descriptors(target);
    dup2(STDOUT_FILENO, 9);
    for (int i = 0; i <= 2; i++) {
        dup2(fd, i);
    }
    execve(shell, arguments, no_environment);
    return attack_refused("execve");
}

static struct attack_result kill_broker(const struct attack_target *target)
{
    return attack_judge(kill((pid_t)attack_number(target, "broker"), SIGKILL), "kill", "gone");
}

static struct attack_result kill_launcher(const struct attack_target *target)
{
    return attack_judge(kill((pid_t)attack_number(target, "launcher"), SIGKILL), "kill", "gone");
}

static struct attack_result kill_other(const struct attack_target *target)
{
    return attack_judge(kill((pid_t)attack_number(target, "other"), SIGKILL), "kill", "gone");
}

static struct attack_result signal_by_queue(const struct attack_target *target)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return attack_judge(syscall(SYS_rt_sigqueueinfo, (pid_t)attack_number(target, "launcher"), SIGKILL, &info),
                        "rt_sigqueueinfo", "gone");
}

static struct attack_result signal_by_descriptor(const struct attack_target *target)
{
    long pidfd = syscall(SYS_pidfd_open, (pid_t)attack_number(target, "launcher"), 0);
    if (pidfd < 0) {
        return attack_refused("pidfd_open");
    }
    return attack_judge(syscall(SYS_pidfd_send_signal, (int)pidfd, SIGKILL, NULL, 0), "pidfd_send_signal", "gone");
}

static struct attack_result disarm_handler(const struct attack_target *target)
{
    (void)target;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    return attack_judge(sigaction(SIGSYS, &ignore, NULL), "rt_sigaction", "taken over");
}

/* The kernel ends a process that has blocked it. */
static struct attack_result block_signal(const struct attack_target *target)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return execute(target);
}

static struct attack_result become_root(const struct attack_target *target)
{
    (void)target;
    return attack_judge(syscall(SYS_setuid, 0), "setuid", "root");
}

static struct attack_result join_groups(const struct attack_target *target)
{
    (void)target;
    gid_t group = 0;
    return attack_judge(syscall(SYS_setgroups, (size_t)1, &group), "setgroups", "in root's group");
}

static struct attack_result raise_capabilities(const struct attack_target *target)
{
    (void)target;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = 1 << CAP_SYS_ADMIN, .permitted = 1 << CAP_SYS_ADMIN}};
    return attack_judge(syscall(SYS_capset, &header, data), "capset", "may administer the machine");
}

static struct attack_result leave_namespaces(const struct attack_target *target)
{
    (void)target;
    return attack_judge(unshare(CLONE_NEWUSER), "unshare", "root in a world of its own");
}

static struct attack_result mount_over(const struct attack_target *target)
{
    return attack_judge(mount("none", attack_text(target, "scratch"), "tmpfs", 0, NULL), "mount", "mounted");
}

static struct attack_result change_root(const struct attack_target *target)
{
    return attack_judge(chroot(attack_text(target, "scratch")), "chroot", "changed");
}

static struct attack_result load_module(const struct attack_target *target)
{
    (void)target;
    static const char module[] = "no module at all";
    long result = syscall(SYS_init_module, module, sizeof(module), "");
    if (result < 0 && errno == ENOSYS) {
        return attack_not_here("this kernel takes no modules");
    }
    return attack_judge(result < 0 && errno == ENOEXEC ? 0 : result, "init_module", "the kernel looks into it");
}

static struct attack_result load_bpf(const struct attack_target *target)
{
    (void)target;
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
    return attack_judge(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)), "bpf", "made");
}

static struct attack_result watch_by_perf(const struct attack_target *target)
{
    (void)target;
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof(attributes),
                                         .config = PERF_COUNT_SW_TASK_CLOCK,
                                         .exclude_kernel = 1};
    long fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0UL);
    return fd < 0 && errno == ENOSYS ? attack_not_here("this kernel has no perf events")
                                     : attack_judge(fd, "perf_event_open", "open");
}

static struct attack_result handle_page_faults(const struct attack_target *target)
{
    (void)target;
    const int user_mode_only = 1;
    long fd = syscall(SYS_userfaultfd, O_CLOEXEC | user_mode_only);
    return fd < 0 && errno == ENOSYS ? attack_not_here("this kernel has no userfaultfd")
                                     : attack_judge(fd, "userfaultfd", "open");
}

static struct attack_result make_all_executable(const struct attack_target *target)
{
    (void)target;
    return attack_judge(personality(READ_IMPLIES_EXEC), "personality", "all that can be read can be run");
}

static struct attack_result install_filter(const struct attack_target *target)
{
    (void)target;
    struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
    struct sock_fprog program = {.len = 1, .filter = &allow};
    return attack_judge(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp", "installed");
}

static struct attack_result raise_priority(const struct attack_target *target)
{
    (void)target;
    return attack_judge(setpriority(PRIO_PROCESS, 0, -20), "setpriority", "before all others");
}

#if defined(__x86_64__)
/* The numbers are others there: 20 is getpid, and in the 64-bit table writev. */
static struct attack_result use_32_bit_calls(const struct attack_target *target)
{
    (void)target;
    long result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
    return attack_judge(result < 0 ? -1 : result, "getpid", "the other table of calls");
}
#else
static struct attack_result use_32_bit_calls(const struct attack_target *target)
{
    (void)target;
    return attack_not_here("for x86-64 only");
}
#endif

static struct attack_result crash(const struct attack_target *target)
{
    (void)target;
    volatile char *const nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *nowhere = 1;
    return attack_succeeded("still there");
}

#define SIGNALS (BY_SECCOMP | BY_LANDLOCK_SCOPE)

static const struct attack_step steps[] = {
    {"fork", "Start another process", fork_once, BY_SECCOMP | BY_LIMITS, "clone|unnamed", NULL, 0},
    {"fork-by-newer-call", "The same by a newer system call", fork_by_newer_call, BY_SECCOMP, "clone3", NULL, 0},
    {"fork-into-namespaces", "Start a process with a network of its own", fork_into_namespaces, BY_SECCOMP, "clone",
     NULL, 0},
    {"fork-bomb", "Fill the machine with processes", fork_bomb, BY_SECCOMP, "pipe2", NULL, 0},
    {"start-thread", "Start a thread beside the function", start_thread, BY_SECCOMP,
     "clone|clone3|rt_sigaction|mmap|unnamed", NULL, 0},
    {"execute-shell", "Become a shell", execute, BY_SECCOMP | BY_LANDLOCK_FILES, "execve", NULL, 0},
    {"spawn-shell", "Start a shell as programs do", spawn, BY_SECCOMP, "clone|clone3|mmap|unnamed", NULL, 0},
    {"reverse-shell", "Give the attacker a shell on this machine", reverse_shell,
     BY_SECCOMP | BY_LANDLOCK_FILES | BY_LANDLOCK_NETWORK, "socket", NULL, 0},
    {"kill-broker", "End the broker", kill_broker, SIGNALS | BY_USERS, "kill", NULL, KILLS_TARGET},
    {"kill-launcher", "End the launcher, which is the same user", kill_launcher, SIGNALS, "kill", NULL, KILLS_TARGET},
    {"kill-other", "End another process of the machine", kill_other, SIGNALS | BY_USERS, "kill", NULL, KILLS_TARGET},
    {"signal-by-queue", "End the launcher by another system call", signal_by_queue, SIGNALS, "rt_sigqueueinfo", NULL,
     KILLS_TARGET},
    {"signal-by-descriptor", "The same by a descriptor", signal_by_descriptor, SIGNALS, "pidfd_open", NULL,
     KILLS_TARGET},
    {"disarm-handler", "Take over the handler that reports forbidden calls", disarm_handler, BY_SECCOMP,
     "rt_sigaction", NULL, 0},
    {"block-signal", "Block its signal, and become a shell", block_signal, BY_SECCOMP | BY_LANDLOCK_FILES, "unnamed",
     NULL, 0},
    {"become-root", "Become root", become_root, BY_SECCOMP | BY_UNPRIVILEGED, "setuid", NULL, NEEDS_ROOT},
    {"join-groups", "Join root's group", join_groups, BY_SECCOMP | BY_UNPRIVILEGED, "setgroups", NULL, NEEDS_ROOT},
    {"raise-capabilities", "Get the right to administer the machine", raise_capabilities, BY_SECCOMP | BY_UNPRIVILEGED,
     "capset", NULL, NEEDS_ROOT},
    {"leave-namespaces", "Become root in a world of one's own", leave_namespaces, BY_SECCOMP, "unshare", NULL, 0},
    {"mount", "Mount another file system", mount_over, BY_SECCOMP | BY_UNPRIVILEGED | BY_LANDLOCK_FILES, "mount", NULL,
     NEEDS_ROOT},
    {"change-root", "Change what the root of all files is", change_root, BY_SECCOMP | BY_UNPRIVILEGED, "chroot", NULL,
     NEEDS_ROOT},
    {"load-module", "Put code into the kernel", load_module, BY_SECCOMP | BY_UNPRIVILEGED, "init_module", NULL,
     NEEDS_ROOT},
    {"load-bpf", "Use the kernel's own machine, BPF", load_bpf, BY_SECCOMP, "bpf", NULL, NEEDS_ROOT},
    {"watch-by-perf", "Watch the processor by perf events", watch_by_perf, BY_SECCOMP, "perf_event_open", NULL,
     NEEDS_ROOT},
    {"handle-page-faults", "Stop the kernel in the middle, by userfaultfd", handle_page_faults, BY_SECCOMP,
     "userfaultfd", NULL, 0},
    {"make-all-executable", "Turn all memory into code", make_all_executable, BY_SECCOMP, "personality", NULL, 0},
    {"install-filter", "Install a filter of one's own", install_filter, BY_SECCOMP, "seccomp", NULL, NEEDS_ROOT},
    {"raise-priority", "Get before all others", raise_priority, BY_SECCOMP | BY_UNPRIVILEGED, "setpriority", NULL,
     NEEDS_ROOT},
    {"use-32-bit-calls", "Make system calls by another table of numbers", use_32_bit_calls, BY_SECCOMP,
     "getpid|writev", NULL,
     NEEDS_32_BIT},
    {"crash-worker", "Crash the worker, with all that is in flight", crash, 0, NULL, "sys_crash:worker",
     IS_POSSIBLE | ENDS_WORKER},
};

const struct attack_group attack_processes = {"processes", "Processes and rights", steps,
    sizeof(steps) / sizeof(steps[0])};
