#include "worker/forbidden_call.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of the largest pages that Linux has. */
#define PAGES_BYTES ((size_t)64 << 10)
#define STACK_BYTES ((size_t)32 << 10)
/* Of linux/signal.h, which the C library's does not go with: the kernel begins at the top even where the stack pointer
 * was set into it before. */
#define SS_AUTODISARM (1U << 31)

/* One that writes where it likes could have the handler fault otherwise, and its call pass for a crash: so what the
 * handler reads is on pages that are read-only by then, and it runs on a stack of its own. */
struct kept {
    struct azfn__flight_record *record;
};

static char kept_room[2 * PAGES_BYTES];
static char stacks[AZFN__FLIGHT_RECORD_THREADS + 1][STACK_BYTES];

static struct kept *kept(void)
{
    size_t beyond = (uintptr_t)kept_room % PAGES_BYTES;
    return (struct kept *)(void *)(kept_room + (beyond > 0 ? PAGES_BYTES - beyond : 0));
}

/* By its stack, since what is thread-local can be lost like the pointer to the stack. */
static uint32_t thread_number(void)
{
    uintptr_t offset = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)stacks;
    return offset < sizeof(stacks) ? (uint32_t)(offset / STACK_BYTES) : 0;
}

static void on_forbidden_call(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)context;
    kept()->record->forbidden_call = (struct azfn__flight_forbidden_call){.has_happened = 1,
                                                                          .architecture = info->si_arch,
                                                                          .number = info->si_syscall,
                                                                          .thread = thread_number()};
    _exit(AZFN__EXIT_FORBIDDEN_CALL);
}

enum azfn_error azfn__forbidden_call_watch_thread(unsigned number)
{
#ifdef AZFN_SANITIZE
    (void)number; /* their own stack stays, which they free */
    return AZFN_OK;
#else
    if (number > AZFN__FLIGHT_RECORD_THREADS) {
        return AZFN_ERROR_SYSTEM;
    }
    stack_t stack = {.ss_sp = stacks[number], .ss_size = STACK_BYTES, .ss_flags = (int)SS_AUTODISARM};
    if (sigaltstack(&stack, NULL) != 0) {
        stack.ss_flags = 0;
        return sigaltstack(&stack, NULL) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
    }
    return AZFN_OK;
#endif
}

enum azfn_error azfn__forbidden_call_watch(struct azfn__flight_record *record)
{
    struct sigaction action = {.sa_sigaction = on_forbidden_call, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    kept()->record = record;
    sigfillset(&action.sa_mask);
    return mprotect(kept(), PAGES_BYTES, PROT_READ) == 0 && azfn__forbidden_call_watch_thread(0) == AZFN_OK &&
                   sigaction(SIGSYS, &action, NULL) == 0
               ? AZFN_OK
               : AZFN_ERROR_SYSTEM;
}
