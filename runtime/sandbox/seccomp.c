#include "sandbox/seccomp.h"

#include "sandbox/profile.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

bool azfn__seccomp_is_available(void)
{
    const uint32_t actions[] = {SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO};
    for (size_t i = 0; i < AZFN__CALL_COUNT(actions); i++) {
        if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void note(struct azfn__profile *profile, int result)
{
    if (profile->error == 0 && result < 0) {
        profile->error = result;
    }
}

void azfn__profile_allow(struct azfn__profile *profile, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        note(profile, seccomp_rule_add_array(profile->filter, SCMP_ACT_ALLOW, calls[i], 0, NULL));
    }
}

void azfn__profile_allow_if(struct azfn__profile *profile, int call, unsigned argument, uint32_t mask, uint32_t value)
{
    const struct scmp_arg_cmp condition = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);
    note(profile, seccomp_rule_add_array(profile->filter, SCMP_ACT_ALLOW, call, 1, &condition));
}

void azfn__profile_allow_if_both(struct azfn__profile *profile, int call, const struct scmp_arg_cmp conditions[2])
{
    note(profile, seccomp_rule_add_array(profile->filter, SCMP_ACT_ALLOW, call, 2, conditions));
}

void azfn__profile_refuse(struct azfn__profile *profile, const int *calls, size_t count, int error)
{
    for (size_t i = 0; i < count; i++) {
        note(profile, seccomp_rule_add_array(profile->filter, SCMP_ACT_ERRNO((uint32_t)error), calls[i], 0, NULL));
    }
}

void azfn__profile_allow_data_memory(struct azfn__profile *profile, bool is_anonymous_only)
{
    const struct scmp_arg_cmp anonymous[] = {SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                                             SCMP_CMP64(3, SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS)};
    azfn__profile_allow_if(profile, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
    if (is_anonymous_only) {
        azfn__profile_allow_if_both(profile, SCMP_SYS(mmap), anonymous);
    } else {
        azfn__profile_allow_if(profile, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
    }
}

void azfn__profile_allow_raise(struct azfn__profile *profile, int signal)
{
    const struct scmp_arg_cmp to_self[] = {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)getpid()),
                                           SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)signal)};
    azfn__profile_allow_if_both(profile, SCMP_SYS(tgkill), to_self);
}

static void add_rules(struct azfn__profile *rules, enum azfn__seccomp_profile profile)
{
    switch (profile) {
    case AZFN__SECCOMP_START:
        azfn__profile_start(rules);
        break;
    case AZFN__SECCOMP_BROKER:
        azfn__profile_broker(rules);
        break;
    case AZFN__SECCOMP_LAUNCHER:
        azfn__profile_launcher(rules);
        break;
    case AZFN__SECCOMP_WORKER:
        azfn__profile_worker(rules);
        break;
    }
}

enum azfn_error azfn__seccomp_apply(enum azfn__seccomp_profile profile, bool is_report_only)
{
    uint32_t forbidden = is_report_only ? SCMP_ACT_LOG : SCMP_ACT_TRAP;
    struct azfn__profile rules = {.filter = seccomp_init(profile == AZFN__SECCOMP_START ? SCMP_ACT_ALLOW : forbidden)};
    if (!rules.filter) {
        errno = ENOMEM;
        return AZFN_ERROR_NO_MEMORY;
    }
    /* calls of another architecture (32 bits, x32) are forbidden like any other */
    rules.error = seccomp_attr_set(rules.filter, SCMP_FLTATR_ACT_BADARCH, forbidden);
    note(&rules, seccomp_attr_set(rules.filter, SCMP_FLTATR_CTL_TSYNC, 1));
    add_rules(&rules, profile);
    note(&rules, rules.error == 0 ? seccomp_load(rules.filter) : 0);
    seccomp_release(rules.filter);
    errno = -rules.error;
    return rules.error == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

void azfn__seccomp_name(struct azfn__seccomp_call call, char out_name[AZFN__SECCOMP_NAME_BYTES])
{
    /* what libseccomp gives for a number of another architecture it does not check: it knows these alone */
    static const uint32_t known[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
    char *name = NULL;
    for (size_t i = 0; i < AZFN__CALL_COUNT(known); i++) {
        if (call.architecture == known[i] && call.number >= 0) {
            name = seccomp_syscall_resolve_num_arch(call.architecture, call.number);
        }
    }
    snprintf(out_name, AZFN__SECCOMP_NAME_BYTES, "%s", name ? name : "");
    free(name);
}
