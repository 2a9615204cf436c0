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

/* What the worker says, which may not be so. */
struct call_name {
    char text[AZFN__SECCOMP_NAME_BYTES];
};

/* "SIGSEGV"; "SIG34" for one that has no name. */
struct signal_name {
    char text[16];
};

static struct signal_name name_of_signal(int number)
{
    struct signal_name name;
    const char *text = sigabbrev_np(number);
    (void)(text ? snprintf(name.text, sizeof(name.text), "SIG%s", text)
                : snprintf(name.text, sizeof(name.text), "SIG%d", number));
    return name;
}

static struct azfn__event_fields fields_of(int status, const struct azfn__flight_forbidden_call *call,
                                           struct call_name *out_name, struct signal_name *out_signal)
{
    struct azfn__event_fields fields = {.function = azfn__absent()};
    out_name->text[0] = '\0';
    if (call->has_happened) {
        azfn__seccomp_name(
            (struct azfn__seccomp_call){.architecture = call->architecture, .number = call->number}, out_name->text);
        fields.system_call_number = AZFN__NUMBER(call->number);
        fields.system_call = azfn_span_of(out_name->text[0] ? out_name->text : "unknown");
    }
    if (WIFSIGNALED(status)) {
        *out_signal = name_of_signal(WTERMSIG(status));
        fields.signal = azfn_span_of(out_signal->text);
    } else {
        fields.exit_code = AZFN__NUMBER(WEXITSTATUS(status));
    }
    return fields;
}

/* "; it says the call was connect (42)", or nothing. */
static void describe_call(const struct azfn__flight_forbidden_call *call, const struct call_name *name, char *out_text,
                          size_t capacity)
{
    out_text[0] = '\0';
    if (call->has_happened) {
        (void)snprintf(out_text, capacity, "; it says the call was %s (%" PRId32 ")",
                       name->text[0] ? name->text : "unknown", call->number);
    }
}

static size_t describe(int status, bool was_ready, bool was_running, const struct azfn__flight_forbidden_call *call,
                       const struct call_name *call_name, char out_text[AZFN__DEATH_TEXT_BYTES])
{
    const char *when = was_ready ? "" : " before it was ready";
    const char *doing = was_running ? "; it says it was running the function named here" : "";
    char what[96];
    int length;
    if (is_forbidden_call(status)) {
        describe_call(call, call_name, what, sizeof(what));
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES,
                          "the worker was ended%s for a system call that the sandbox forbids%s%s", when, what, doing);
    } else if (WIFSIGNALED(status)) {
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES, "the worker was ended by signal %d (%s)%s%s",
                          WTERMSIG(status), name_of_signal(WTERMSIG(status)).text, when, doing);
    } else {
        length = snprintf(out_text, AZFN__DEATH_TEXT_BYTES, "the worker ended with exit code %d%s%s",
                          WEXITSTATUS(status), when, doing);
    }
    return (size_t)length;
}

static enum azfn__security_event event_of(const struct azfn__death *death)
{
    return is_forbidden_call(death->status) ? AZFN__EVENT_WORKER_VIOLATION
           : death->was_ready               ? AZFN__EVENT_WORKER_CRASH
                                            : AZFN__EVENT_WORKER_START_CRASH;
}

void azfn__death_report_write(struct azfn__log_sink *log, const struct azfn__flight_record *record,
                              const struct azfn__death *death, struct azfn__suspects *suspects,
                              char out_text[AZFN__DEATH_TEXT_BYTES])
{
    struct azfn__flight_slot copy;
    const struct azfn__flight_forbidden_call call = record->forbidden_call;
    struct call_name call_name;
    struct signal_name signal_name;
    struct azfn__log_entry entry = {.event = event_of(death),
                                    .origin = AZFN__ORIGIN_BROKER,
                                    .fields = fields_of(death->status, &call, &call_name, &signal_name)};
    bool is_told = death->is_told && !is_forbidden_call(death->status);
    size_t index = 0;
    while (entry.fields.function.length == 0 && (index == 0 || !is_told) &&
           slot_at(record, order(&call, index), &copy)) {
        azfn__flight_record_read(&copy, &entry.fields);
        index++;
    }
    azfn__suspects_add(suspects, entry.fields.invocation_id);
    size_t length =
        describe(death->status, death->was_ready, entry.fields.function.length > 0, &call, &call_name, out_text);
    entry.description = azfn__span(out_text, length);
    if (!is_told) {
        azfn__log_sink_write(log, entry);
    }

    entry.event = AZFN__EVENT_WORKER_CRASH_BESIDE;
    entry.description = AZFN__SPAN("the worker that ended says it was running the function named here as well");
    for (; slot_at(record, order(&call, index), &copy); index++) {
        azfn__flight_record_read(&copy, &entry.fields);
        if (entry.fields.function.length > 0) {
            azfn__suspects_add(suspects, entry.fields.invocation_id);
            azfn__log_sink_write(log, entry);
        }
    }
}
