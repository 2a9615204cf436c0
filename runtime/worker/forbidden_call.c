#include "worker/forbidden_call.h"

#include "worker/blocking_pool.h"

#include <signal.h>
#include <unistd.h>

static struct azfn__flight_record *flight_record;

static void on_forbidden_call(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)context;
    flight_record->forbidden_call = (struct azfn__flight_forbidden_call){.has_happened = 1,
                                                                         .architecture = info->si_arch,
                                                                         .number = info->si_syscall,
                                                                         .thread = azfn__blocking_pool_thread_number()};
    _exit(AZFN__EXIT_FORBIDDEN_CALL);
}

enum azfn_error azfn__forbidden_call_watch(struct azfn__flight_record *record)
{
    struct sigaction action = {.sa_sigaction = on_forbidden_call, .sa_flags = SA_SIGINFO};
    flight_record = record;
    sigfillset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}
