#include "sandbox/profile.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <asm/ioctls.h>

/* What the loop, the log, libcurl with OpenSSL and the C library's resolver do. No program, no server, no signal to
 * others, no look into others. */
static const int CALLS[] = {
    /* the loop and its descriptors */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read),
    SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(lseek),
    /* for a worker that starts */
    SCMP_SYS(pipe2), SCMP_SYS(socketpair), SCMP_SYS(memfd_create), SCMP_SYS(ftruncate), SCMP_SYS(eventfd2),
    /* files, which Landlock keeps to reading some */
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(pread64),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs),
    SCMP_SYS(fstatfs), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64),
    SCMP_SYS(fadvise64),
    /* connections */
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown),
    /* memory, threads, time */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mlock2),
    SCMP_SYS(munlock), AZFN__CALL_MSEAL, AZFN__CALL_MAP_SHADOW_STACK, SCMP_SYS(futex), SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(getcpu), SCMP_SYS(membarrier),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(getrandom), SCMP_SYS(restart_syscall),
    /* who and where one is */
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(times),
    /* signals that come, and the end */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(wait4), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

static void allow_sockets(struct azfn__profile *profile)
{
    static const struct {
        uint32_t family;
        uint32_t type;
    } kinds[] = {{AF_INET, SOCK_STREAM}, {AF_INET, SOCK_DGRAM},  {AF_INET6, SOCK_STREAM},
                 {AF_INET6, SOCK_DGRAM}, {AF_UNIX, SOCK_STREAM}, {AF_UNIX, SOCK_DGRAM}};
    /* above the type are SOCK_CLOEXEC and SOCK_NONBLOCK */
    const uint32_t type_mask = ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; i < AZFN__CALL_COUNT(kinds); i++) {
        const struct scmp_arg_cmp conditions[] = {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, kinds[i].family),
                                                  SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type_mask, kinds[i].type)};
        azfn__profile_allow_if_both(profile, SCMP_SYS(socket), conditions);
    }
    /* the resolver asks which addresses this machine has */
    const struct scmp_arg_cmp routes[] = {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, AF_NETLINK),
                                          SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, NETLINK_ROUTE)};
    azfn__profile_allow_if_both(profile, SCMP_SYS(socket), routes);
}

/* A library that was not loaded in time is missing then, which is better than a death. */
static void refuse_programs_in_memory(struct azfn__profile *profile)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    const struct scmp_arg_cmp executable = SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);
    for (size_t i = 0; i < AZFN__CALL_COUNT(calls); i++) {
        int result = seccomp_rule_add_array(profile->filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1, &executable);
        profile->error = profile->error == 0 && result < 0 ? result : profile->error;
    }
}

void azfn__profile_broker(struct azfn__profile *profile)
{
    static const uint32_t requests[] = {FIONBIO, FIONREAD, TCGETS};
    /* by which it ends after its last words */
    static const int deaths[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS};
    azfn__profile_start(profile);
    azfn__profile_allow(profile, CALLS, AZFN__CALL_COUNT(CALLS));
    azfn__profile_allow_data_memory(profile, false);
    refuse_programs_in_memory(profile);
    allow_sockets(profile);
    for (size_t i = 0; i < AZFN__CALL_COUNT(requests); i++) {
        azfn__profile_allow_if(profile, SCMP_SYS(ioctl), 1, UINT32_MAX, requests[i]);
    }
    for (size_t i = 0; i < AZFN__CALL_COUNT(deaths); i++) {
        azfn__profile_allow_raise(profile, deaths[i]);
    }
    /* threads, no processes */
    azfn__profile_allow_if(profile, SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_VM | CLONE_NEWUSER,
                           CLONE_THREAD | CLONE_VM);
    azfn__profile_allow_if(profile, SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME);
    azfn__profile_allow_if(profile, SCMP_SYS(prctl), 0, UINT32_MAX, AZFN__PR_SET_VMA);
    /* of itself, to read it: a new one would come behind the third argument */
    const struct scmp_arg_cmp own_limits[] = {SCMP_CMP64(0, SCMP_CMP_EQ, 0, 0), SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0)};
    azfn__profile_allow_if_both(profile, SCMP_SYS(prlimit64), own_limits);
}
