/* System calls as an attacker makes them: past the C library, on whatever is there. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTENER 3L
/* What the kernel drops of an argument that is an int, and a careless filter does not. */
#define HIGH (1L << 32)

static const struct sockaddr_in somewhere = {.sin_family = AF_INET, .sin_port = 0xffff};
static const int one = 1;
static const char *const nothing[] = {NULL};

struct attempt {
    const char *name;
    long number;
    long arguments[6];
};

#define POINTER(p) ((long)(uintptr_t)(p))

/* Those that are not constant are filled in below. */
static long try_one(const char *name)
{
    const struct attempt attempts[] = {
        {"socket", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
        {"connect", SYS_connect, {LISTENER, POINTER(&somewhere), sizeof(somewhere)}},
        {"bind", SYS_bind, {LISTENER, POINTER(&somewhere), sizeof(somewhere)}},
        {"listen", SYS_listen, {LISTENER, 0}},
        {"sendto", SYS_sendto, {LISTENER, POINTER("x"), 1, MSG_FASTOPEN, POINTER(&somewhere), sizeof(somewhere)}},
        {"sendmsg", SYS_sendmsg, {LISTENER, 0, 0}},
        {"setsockopt", SYS_setsockopt, {LISTENER, SOL_SOCKET, SO_KEEPALIVE, POINTER(&one), sizeof(one)}},
        {"shutdown", SYS_shutdown, {LISTENER, SHUT_RDWR}},
        {"shutdown-write", SYS_shutdown, {LISTENER, SHUT_WR}},
        {"shutdown-high", SYS_shutdown, {LISTENER | HIGH, SHUT_WR}},
        {"shutdown-both", SYS_shutdown, {60, SHUT_RDWR}},
        {"ioctl", SYS_ioctl, {LISTENER, FIOASYNC, POINTER(&one)}},
        {"ioctl-listener", SYS_ioctl, {LISTENER, FIONBIO, POINTER(&one)}},
        {"fcntl", SYS_fcntl, {LISTENER, F_SETOWN, 1}},
        {"openat", SYS_openat, {AT_FDCWD, POINTER("/etc/passwd"), O_RDONLY}},
        {"execve", SYS_execve, {POINTER("/bin/true"), POINTER(nothing), POINTER(nothing)}},
        {"memfd_create", SYS_memfd_create, {POINTER("x"), 0}},
        {"mmap", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
        {"mprotect", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
        {"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
        {"clone3", SYS_clone3, {0, 0}},
        {"io_uring_setup", SYS_io_uring_setup, {1, 0}},
        {"kill", SYS_kill, {1, 0}},
        {"tgkill", SYS_tgkill, {1, 1, SIGABRT}},
        {"ptrace", SYS_ptrace, {0, 0, 0, 0}},
        {"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1}},
        {"rt_sigaction", SYS_rt_sigaction, {SIGSYS, 0, 0, 8}},
        {"getppid", SYS_getppid, {0}},
    };
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        const long *with = attempts[i].arguments;
        if (strcmp(attempts[i].name, name) == 0) {
            return syscall(attempts[i].number, with[0], with[1], with[2], with[3], with[4], with[5]);
        }
    }
    errno = 0;
    return -1;
}

/* So that whoever handles the signal of it faults, unless he has a stack of his own. */
static void open_without_a_stack(void)
{
#if defined(__x86_64__)
    __asm__ volatile("xor %%esp, %%esp\n\tsyscall"
                     :
                     : "a"(SYS_openat), "D"(AT_FDCWD), "S"("/etc/passwd"), "d"(O_RDONLY)
                     : "rcx", "r11", "memory");
    __builtin_unreachable();
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_openat;
    register long folder __asm__("x0") = AT_FDCWD;
    register const char *path __asm__("x1") = "/etc/passwd";
    register long flags __asm__("x2") = O_RDONLY;
    __asm__ volatile("mov x9, #0\n\tmov sp, x9\n\tsvc #0"
                     :
                     : "r"(number), "r"(folder), "r"(path), "r"(flags)
                     : "x9", "memory");
    __builtin_unreachable();
#endif
}

const char *probe_attempt(const char *name)
{
    if (strcmp(name, "openat-without-stack") == 0) {
        open_without_a_stack();
    }
    long result = try_one(name);
    if (result >= 0) {
        return "done";
    }
    return errno ? strerrorname_np(errno) : "no such attempt";
}
