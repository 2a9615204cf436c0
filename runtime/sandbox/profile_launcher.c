#include "sandbox/profile.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>

/* What the launcher does, and what is done by a program that starts: the dynamic linker, the C library, constructors of
 * the functions' libraries, and a worker until it has its own filter. Nothing that makes a connection, or reaches
 * another process but by kill(), which Landlock keeps to the launcher's own. */
static const int CALLS[] = {
    /* the launcher */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(wait4), SCMP_SYS(kill),
    SCMP_SYS(pipe2), SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(getppid),
    /* files, which Landlock keeps to reading */
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(pread64),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64),
    /* programs, memory and threads */
    SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(mmap),
    SCMP_SYS(mprotect), SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(munlock), AZFN__CALL_MSEAL,
    AZFN__CALL_MAP_SHADOW_STACK, SCMP_SYS(prlimit64), SCMP_SYS(getrlimit), SCMP_SYS(setrlimit),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(membarrier), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    SCMP_SYS(rt_sigaction), SCMP_SYS(sigaltstack), SCMP_SYS(clock_getres), SCMP_SYS(getrusage),
    /* who one is */
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
    SCMP_SYS(getgroups),
    /* the worker's way to its own sandbox */
    SCMP_SYS(epoll_create1), SCMP_SYS(eventfd2), SCMP_SYS(ioctl), SCMP_SYS(listen), SCMP_SYS(shutdown),
    SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule), SCMP_SYS(landlock_restrict_self), SCMP_SYS(seccomp),
    /* the same as the worker's in its steady state */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(accept4), SCMP_SYS(read),
    SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(futex), SCMP_SYS(brk),
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(sched_yield), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall), SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(exit), SCMP_SYS(exit_group)};

static const uint32_t PROCESS_OPTIONS[] = {
    PR_SET_PDEATHSIG,    PR_GET_PDEATHSIG,    PR_SET_NAME,    PR_GET_NAME,    PR_SET_DUMPABLE, PR_GET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_GET_SECCOMP, AZFN__PR_SET_VMA};

#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |       \
     CLONE_PTRACE | CLONE_PARENT)

void azfn__profile_launcher(struct azfn__profile *profile)
{
    azfn__profile_start(profile);
    azfn__profile_allow(profile, CALLS, AZFN__CALL_COUNT(CALLS));
    for (size_t i = 0; i < AZFN__CALL_COUNT(PROCESS_OPTIONS); i++) {
        azfn__profile_allow_if(profile, SCMP_SYS(prctl), 0, UINT32_MAX, PROCESS_OPTIONS[i]);
    }
    azfn__profile_allow_if(profile, SCMP_SYS(clone), 0, NAMESPACES, 0);
    /* by a descriptor of this program, never by a path */
    azfn__profile_allow_if(profile, SCMP_SYS(execveat), 4, UINT32_MAX, AT_EMPTY_PATH);
}
