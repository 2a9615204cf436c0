#include "broker/death_report.h"

#include "base/span.h"

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

static size_t describe(int status, bool was_ready, bool was_running, char out_text[AZFN__DEATH_TEXT_BYTES])
{
    const char *when = was_ready ? "" : " before it was ready";
    const char *doing = was_running ? "; it says it was running the function named here" : "";
    int length;
    if (WIFSIGNALED(status)) {
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
                                    .event = AZFN__SPAN("sys_crash:worker")};
    size_t index = 0;
    while (entry.function.length == 0 && slot_at(record, index, &copy)) {
        azfn__flight_record_read(&copy, &entry.function, &entry.invocation_id);
        index++;
    }
    azfn__suspects_add(suspects, entry.invocation_id);
    size_t length = describe(status, was_ready, entry.function.length > 0, out_text);
    entry.description = azfn__span(out_text, length);
    azfn__log_sink_write(log, entry);

    entry.description = AZFN__SPAN("the worker that ended says it was running the function named here as well");
    for (; slot_at(record, index, &copy); index++) {
        azfn__flight_record_read(&copy, &entry.function, &entry.invocation_id);
        if (entry.function.length > 0) {
            azfn__suspects_add(suspects, entry.invocation_id);
            azfn__log_sink_write(log, entry);
        }
    }
}
