/* sandbox/seccomp.h
 * Which system calls each process may make. What is not in its profile raises SIGSYS, so that a handler can say which
 * call it was. Filters add up and are inherited: a worker is under the launcher's from its first instruction, and under
 * its own when it is ready. */
#ifndef AZFN_SANDBOX_SECCOMP_H
#define AZFN_SANDBOX_SECCOMP_H

#include <azfn.h>

enum azfn__seccomp_profile {
    AZFN__SECCOMP_START,    /* of the broker, before there is a loop: all but what would get around the others */
    AZFN__SECCOMP_BROKER,   /* when all is loaded */
    AZFN__SECCOMP_LAUNCHER, /* and what a worker does until it is ready */
    AZFN__SECCOMP_WORKER,   /* the steady state */
};

/* Whether the kernel has filters, with what the profiles need. */
bool azfn__seccomp_is_available(void);

/* Applies to all threads, for good. Needs no_new_privs. is_report_only: what the profile forbids is done all the same;
 * the kernel's audit log has it, where there is one. Errors: AZFN_ERROR_SYSTEM with errno, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__seccomp_apply(enum azfn__seccomp_profile profile, bool is_report_only);

/* Why SIGSYS came. In a signal handler, with its third argument's siginfo_t. */
struct azfn__seccomp_call {
    uint32_t architecture; /* AUDIT_ARCH_* */
    int32_t number;
};

/* "connect"; "" where nobody knows it. Of any number: it may come from another process. */
#define AZFN__SECCOMP_NAME_BYTES 32
void azfn__seccomp_name(struct azfn__seccomp_call call, char out_name[AZFN__SECCOMP_NAME_BYTES]);

#endif
