#include "broker/death_report.h"

#include "base/span.h"
#include "sandbox/seccomp.h"
#include "worker/forbidden_call.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* The loop's slot, then the threads'. False: there are no more. */
static bool slot_at(const struct azfn__flight_record *record, size_t index, struct azfn__flight_slot *out_copy)
{
    if (index > AZFN__FLIGHT_RECORD_THREADS) {
        return false;
    }
    *out_copy = index == 0 ? record->loop : record->threads[index - 1];
    return true;
}

/* The one that made the forbidden call first. */
static size_t order(const struct azfn__flight_forbidden_call *call, size_t index)
{
    size_t first = call->has_happened && call->thread <= AZFN__FLIGHT_RECORD_THREADS ? call->thread : 0;
    return index == 0 ? first : index <= first ? index - 1 : index;
}

/* By the kernel where the worker had no handler for it, or none that it could call. */
static bool is_forbidden_call(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSYS : WEXITSTATUS(status) == AZFN__EXIT_FORBIDDEN_CALL;
}

/* "; it says the call was connect (42)", or nothing. */
static void describe_call(const struct azfn__flight_forbidden_call *call, char *out_text, size_t capacity)
{
    char name[AZFN__SECCOMP_NAME_BYTES];
    out_text[0] = '\0';
    if (call->has_happened) {
        azfn__seccomp_name(
            (struct azfn__seccomp_call){.architecture = call->architecture, .number = call->number}, name);
        (void)snprintf(out_text, capacity, "; it says the call was %s (%" PRId32 ")", name[0] ? name : "unknown",
                       call->number);
    }
}

static size_t describe(int status, bool was_ready, bool was_running, const struct azfn__flight_forbidden_call *call,
                       char out_text[AZFN__DEATH_TEXT_BYTES])
{
    const char *when = was_ready ? "" : " before it was ready";
    const char *doing = was_running ? "; it says it was running the function named here" : "";
    char what[96];
    int length;
    if (is_forbidden_call(status)) {
        describe_call(call, what, sizeof(what));
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES,
                          "the worker was ended%s for a system call that the sandbox forbids%s%s", when, what, doing);
    } else if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES, "the worker was ended by signal %d (SIG%s)%s%s",
                          WTERMSIG(status), name ? name : "?", when, doing);
    } else {
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES, "the worker ended with exit code %d%s%s",
                          WEXITSTATUS(status), when, doing);
    }
    return (size_t)length;
}

void azfn__death_report_write(struct azfn__log_sink *log, const struct azfn__flight_record *record, int status,
                              bool was_ready, struct azfn__suspects *suspects, char out_text[AZFN__DEATH_TEXT_BYTES])
{
    struct azfn__flight_slot copy;
    struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR,
                                    .origin = AZFN__ORIGIN_BROKER,
                                    .event = is_forbidden_call(status) ? AZFN__SPAN("malicious_syscall:worker")
                                                                       : AZFN__SPAN("sys_crash:worker")};
    const struct azfn__flight_forbidden_call call = record->forbidden_call;
    size_t index = 0;
    while (entry.function.length == 0 && slot_at(record, order(&call, index), &copy)) {
        azfn__flight_record_read(&copy, &entry.function, &entry.invocation_id);
        index++;
    }
    azfn__suspects_add(suspects, entry.invocation_id);
    size_t length = describe(status, was_ready, entry.function.length > 0, &call, out_text);
    entry.description = azfn__span(out_text, length);
    azfn__log_sink_write(log, entry);

    entry.event = AZFN__SPAN("sys_crash:worker");
    entry.description = AZFN__SPAN("the worker that ended says it was running the function named here as well");
    for (; slot_at(record, order(&call, index), &copy); index++) {
        azfn__flight_record_read(&copy, &entry.function, &entry.invocation_id);
        if (entry.function.length > 0) {
            azfn__suspects_add(suspects, entry.invocation_id);
            azfn__log_sink_write(log, entry);
        }
    }
}
