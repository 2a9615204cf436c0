#include "sandbox/profile.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define LISTENER 3
/* Descriptors are below: the limit of connections is 65536. */
#define DESCRIPTOR_BITS 17

static const int CALLS[] = {
    /* the loop and its connections */
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(accept4), SCMP_SYS(read),
    SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
    /* memory, threads, time: the C library's */
    SCMP_SYS(futex), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(sched_yield), SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    /* stdio looks at a descriptor before it uses it */
    SCMP_SYS(fstat), SCMP_SYS(lseek),
    /* signals that come, and the end */
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(exit),
    SCMP_SYS(exit_group)};

/* On any descriptor but the socket that all workers and the broker share, with what must be so for another argument.
 * A filter can compare for equality under a mask only, and a plain "not equal" would take the argument's upper half,
 * which the kernel drops, for a difference: so, a rule for each bit that may differ. */
static void allow_but_on_listener(struct azfn__profile *profile, int call, uint32_t value)
{
    for (unsigned bit = 0; bit < DESCRIPTOR_BITS; bit++) {
        uint32_t mask = UINT32_C(1) << bit;
        const struct scmp_arg_cmp conditions[] = {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, mask, ~(uint32_t)LISTENER & mask),
                                                  SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, UINT32_MAX, value)};
        azfn__profile_allow_if_both(profile, call, conditions);
    }
}

void azfn__profile_worker(struct azfn__profile *profile)
{
    azfn__profile_allow(profile, CALLS, AZFN__CALL_COUNT(CALLS));
    azfn__profile_allow_data_memory(profile, true);
    azfn__profile_allow_raise(profile, SIGABRT); /* a death by it is to be told as that */
    allow_but_on_listener(profile, SCMP_SYS(shutdown), SHUT_WR);
    /* libuv sets it on each connection */
    allow_but_on_listener(profile, SCMP_SYS(ioctl), FIONBIO);
}
