/* sandbox/profile.h
 * What seccomp.c and the profiles share: tables of calls, and rules that look at arguments. */
#ifndef AZFN_SANDBOX_PROFILE_H
#define AZFN_SANDBOX_PROFILE_H

#include <azfn.h>

#include <seccomp.h>

/* Of SCMP_SYS(name): negative, and left out, where the architecture has no such call. */
#define AZFN__CALL_COUNT(calls) (sizeof(calls) / sizeof((calls)[0]))

/* Newer than Debian 12's libseccomp; newer calls have one number everywhere. */
#define AZFN__CALL_MAP_SHADOW_STACK 453
#define AZFN__CALL_MSEAL 462
/* Newer C libraries name their memory by it. */
#define AZFN__PR_SET_VMA 0x53564d41

/* Adds rules and keeps the first error. */
struct azfn__profile {
    scmp_filter_ctx filter;
    int error; /* negative errno; 0: none yet */
};

void azfn__profile_allow(struct azfn__profile *profile, const int *calls, size_t count);
/* The kernel looks at the lower half of such an argument only; so does the filter. */
void azfn__profile_allow_if(struct azfn__profile *profile, int call, unsigned argument, uint32_t mask, uint32_t value);
void azfn__profile_allow_if_both(struct azfn__profile *profile, int call, const struct scmp_arg_cmp conditions[2]);
/* call with these error numbers instead of a death: where a library tries what it can do without. */
void azfn__profile_refuse(struct azfn__profile *profile, const int *calls, size_t count, int error);
/* No memory that is executable; anonymous only where so. */
void azfn__profile_allow_data_memory(struct azfn__profile *profile, bool is_anonymous_only);
/* This signal to a thread of this process, as abort() sends it. */
void azfn__profile_allow_raise(struct azfn__profile *profile, int signal);

void azfn__profile_start(struct azfn__profile *profile);
void azfn__profile_broker(struct azfn__profile *profile);
void azfn__profile_launcher(struct azfn__profile *profile);
void azfn__profile_worker(struct azfn__profile *profile);

#endif
