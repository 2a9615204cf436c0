/* Secrets of the environment, of other processes and of other invocations. */
#include "attack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *proc_path(long pid, const char *file)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
    return path;
}

static struct attack_result own_environment(const struct attack_target *target)
{
    (void)target;
    for (char **entry = environ; entry && *entry; entry++) {
        if (attack_has_canary(*entry, strlen(*entry))) {
            return attack_succeeded("the key of an API");
        }
    }
    return attack_nothing("no variable with a secret");
}

static struct attack_result own_environ_file(const struct attack_target *target)
{
    (void)target;
    return attack_read("/proc/self/environ", true);
}

static struct attack_result parents_environ_file(const struct attack_target *target)
{
    return attack_read(proc_path(attack_number(target, "launcher"), "environ"), true);
}

static struct attack_result brokers_environ_file(const struct attack_target *target)
{
    return attack_read(proc_path(attack_number(target, "broker"), "environ"), true);
}

static struct attack_result others_environ_files(const struct attack_target *target)
{
    (void)target;
    DIR *folder = opendir("/proc");
    if (!folder) {
        return attack_refused("openat");
    }
    struct attack_result result = attack_nothing("no secret in any of them");
    const struct dirent *entry;
    while (result.outcome != ATTACK_SUCCEEDED && (entry = readdir(folder)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        struct attack_result one = pid > 0 ? attack_read(proc_path(pid, "environ"), true) : result;
        result = one.outcome == ATTACK_SUCCEEDED ? one : result;
    }
    closedir(folder);
    return result;
}

static struct attack_result brokers_memory_file(const struct attack_target *target)
{
    int fd = open(proc_path(attack_number(target, "broker"), "mem"), O_RDONLY | O_CLOEXEC);
    return attack_judge(fd, "openat", "opened");
}

static struct attack_result brokers_memory_map(const struct attack_target *target)
{
    return attack_read(proc_path(attack_number(target, "broker"), "maps"), false);
}

static struct attack_result brokers_descriptors(const struct attack_target *target)
{
    int fd = open(proc_path(attack_number(target, "broker"), "fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return attack_judge(fd, "openat", "listed");
}

static struct attack_result trace(long pid)
{
    if (ptrace(PTRACE_ATTACH, (pid_t)pid, NULL, NULL) < 0) {
        return attack_refused("ptrace");
    }
    waitpid((pid_t)pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, (pid_t)pid, NULL, NULL);
    return attack_succeeded("attached");
}

static struct attack_result trace_broker(const struct attack_target *target)
{
    return trace(attack_number(target, "broker"));
}

static struct attack_result trace_launcher(const struct attack_target *target)
{
    return trace(attack_number(target, "launcher"));
}

/* Where the address is wrong, the kernel has already allowed it. */
static struct attack_result copy_memory(long pid, const char *address, long number, const char *call)
{
    char bytes[64] = {0};
    struct iovec local = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): an address in another process */
    struct iovec remote = {.iov_base = (void *)(uintptr_t)strtoull(address, NULL, 10), .iov_len = sizeof(bytes)};
    long count = syscall(number, (pid_t)pid, &local, 1UL, &remote, 1UL, 0UL);
    if (count < 0 && errno != EFAULT) {
        return attack_refused(call);
    }
    return attack_succeeded("the kernel lets it");
}

static struct attack_result copy_brokers_memory(const struct attack_target *target)
{
    return copy_memory(attack_number(target, "broker"), attack_text(target, "address"), SYS_process_vm_readv,
                       "process_vm_readv");
}

static struct attack_result change_launchers_memory(const struct attack_target *target)
{
    return copy_memory(attack_number(target, "launcher"), attack_text(target, "address"), SYS_process_vm_writev,
                       "process_vm_writev");
}

static struct attack_result take_brokers_descriptor(const struct attack_target *target)
{
    long pidfd = syscall(SYS_pidfd_open, (pid_t)attack_number(target, "broker"), 0);
    if (pidfd < 0) {
        return attack_refused("pidfd_open");
    }
    return attack_judge(syscall(SYS_pidfd_getfd, (int)pidfd, 1, 0), "pidfd_getfd", "taken");
}

static struct attack_result allow_core_dump(const struct attack_target *target)
{
    struct rlimit limit;
    pid_t broker = (pid_t)attack_number(target, "broker");
    if (syscall(SYS_prlimit64, broker, RLIMIT_CORE, NULL, &limit) < 0) {
        return attack_refused("prlimit64");
    }
    return attack_judge(syscall(SYS_prlimit64, broker, RLIMIT_CORE, &limit, NULL), "prlimit64", "changed");
}

static struct attack_result crash_broker(const struct attack_target *target)
{
    return attack_judge(kill((pid_t)attack_number(target, "broker"), SIGABRT), "kill", "it would dump its memory");
}

static struct attack_result become_dumpable(const struct attack_target *target)
{
    (void)target;
    return attack_judge(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl", "open to others of the same user");
}

static struct attack_result read_keyring(const struct attack_target *target)
{
    (void)target;
    const int session = -3;
    const long read_key = 11;
    char bytes[32] = {0};
    long key = syscall(SYS_add_key, "user", "azfn-attack", "canary", (size_t)6, session);
    if (key < 0) {
        return attack_refused("add_key");
    }
    return attack_judge(syscall(SYS_keyctl, read_key, key, bytes, sizeof(bytes)), "keyctl", "a key was kept and read");
}

static struct attack_result search(const struct attack_target *target, const char *what)
{
    unsigned char needle[64];
    size_t length = attack_unhex(attack_text(target, what), needle, sizeof(needle));
    if (length == 0) {
        return attack_not_here("nothing to look for");
    }
    return attack_search_memory(needle, length) ? attack_succeeded("found") : attack_nothing("not in this process");
}

static struct attack_result secret_of_the_past(const struct attack_target *target)
{
    return search(target, "past");
}

static struct attack_result secret_in_use(const struct attack_target *target)
{
    return search(target, "present");
}

static struct attack_result key_of_destination(const struct attack_target *target)
{
    return search(target, "key");
}

static struct attack_result identity_token(const struct attack_target *target)
{
    return search(target, "token");
}

static struct attack_result identity_header(const struct attack_target *target)
{
    return search(target, "header");
}

#define PEEK (BY_UNDUMPABLE | BY_SECCOMP | BY_ANY_LANDLOCK)

static const struct attack_step steps[] = {
    {"own-environment", "Take the keys from the process's own environment", own_environment, BY_ENVIRONMENT, NULL,
     NULL, 0},
    {"own-environ-file", "The same from the kernel's copy in /proc/self/environ", own_environ_file,
     BY_ENVIRONMENT | BY_SECCOMP | BY_LANDLOCK_FILES | BY_UNDUMPABLE, "openat", NULL, 0},
    {"environ-of-parent", "Read the environment of the parent process", parents_environ_file, BY_ENVIRONMENT | PEEK,
     "openat", NULL, 0},
    {"environ-of-broker", "Read the environment of the process that was given the keys", brokers_environ_file,
     BY_ENVIRONMENT | BY_USERS | PEEK, "openat", NULL, 0},
    {"environ-of-others", "Look through the environments of all processes", others_environ_files,
     BY_USERS | BY_SECCOMP | BY_LANDLOCK_FILES, "openat", NULL, 0},
    {"memory-file-of-broker", "Open the memory of the broker, /proc/.../mem", brokers_memory_file, BY_USERS | PEEK,
     "openat", NULL, 0},
    {"memory-map-of-broker", "Learn where things lie in the broker, /proc/.../maps", brokers_memory_map, BY_USERS
     | PEEK,
     "openat", NULL, 0},
    {"descriptors-of-broker", "List the open files of the broker", brokers_descriptors, BY_USERS | PEEK, "openat",
     NULL, 0},
    {"trace-broker", "Control the broker as a debugger does", trace_broker, BY_USERS | PEEK, "ptrace", NULL, 0},
    {"trace-launcher", "Control the launcher, which is the same user", trace_launcher, PEEK, "ptrace", NULL, 0},
    {"copy-memory-of-broker", "Copy the memory of the broker", copy_brokers_memory, BY_USERS | PEEK, "process_vm_readv",
     NULL, 0},
    {"change-memory-of-launcher", "Write into the memory of the launcher", change_launchers_memory, PEEK,
     "process_vm_writev", NULL, 0},
    {"take-descriptor-of-broker", "Take over an open connection of the broker", take_brokers_descriptor, BY_USERS
     | PEEK,
     "pidfd_open", NULL, 0},
    {"allow-core-dump", "Allow the broker to write its memory to a file", allow_core_dump, BY_USERS | BY_SECCOMP,
     "prlimit64", NULL, 0},
    {"crash-broker", "Crash the broker, to read what it leaves", crash_broker, BY_USERS | BY_SECCOMP
     | BY_LANDLOCK_SCOPE,
     "kill", NULL, KILLS_TARGET},
    {"become-dumpable", "Open this process to other processes", become_dumpable, BY_SECCOMP, "prctl", NULL, 0},
    {"kernel-keyring", "Use the kernel's store of keys", read_keyring, BY_SECCOMP, "add_key", NULL, 0},
    {"secret-of-the-past", "Find the secret that an earlier request used", secret_of_the_past, BY_KEEPING, NULL, NULL,
     0},
    {"key-of-destination", "Find the key by which another service was called", key_of_destination, BY_KEEPING, NULL,
     NULL, 0},
    {"identity-token", "Find the token of the app's managed identity", identity_token, BY_KEEPING, NULL, NULL, 0},
    {"identity-header", "Find what it takes to ask for such a token", identity_header, BY_KEEPING, NULL, NULL, 0},
    {"secret-in-use", "Find a granted secret while another request uses it", secret_in_use, 0, NULL, NULL, IS_POSSIBLE},
};

const struct attack_group attack_secrets = {"secrets", "Secrets", steps, sizeof(steps) / sizeof(steps[0])};
