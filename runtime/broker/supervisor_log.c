#include "broker/supervisor_log.h"

#include "base/span.h"
#include "broker/death_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void azfn__supervisor_log_forget_fault(struct azfn__supervisor_log *log)
{
    log->last_fault[0] = '\0';
}

void azfn__supervisor_log_fault(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                                enum azfn__log_origin origin, struct azfn_span text)
{
    if (worker) {
        worker->is_told = true;
    }
    azfn__log_sink_write(log->sink, (struct azfn__log_entry){.event = AZFN__EVENT_WORKER_START_CRASH,
                                                             .origin = origin,
                                                             .description = text});
    (void)snprintf(log->last_fault, sizeof(log->last_fault), "%.*s", AZFN_SPAN_ARGS(text));
}

void azfn__supervisor_log_errno(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                                const char *what, int error)
{
    char text[128];
    int length = snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
    azfn__supervisor_log_fault(log, worker, AZFN__ORIGIN_BROKER, azfn__span(text, length > 0 ? (size_t)length : 0));
}

void azfn__supervisor_log_failed_starts(struct azfn__supervisor_log *log, unsigned attempts, bool is_other_serving)
{
    const struct azfn__event_fields fields = {.attempts = AZFN__NUMBER(attempts)};
    if (is_other_serving) {
        azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_START_CRASH, &fields,
                           "a worker that was to replace another one ended %u times in a row before it was ready, so "
                           "the other one stays for now; the last time: %s",
                           attempts, log->last_fault);
    } else {
        azfn__log_sink_say(log->sink, AZFN__EVENT_START_CRASH, &fields,
                           "the worker ended %u times in a row before it was ready, so the handler ends; the last "
                           "time: %s",
                           attempts, log->last_fault);
    }
}

void azfn__supervisor_log_startup(struct azfn__supervisor_log *log, const struct azfn__worker_process *worker,
                                  bool is_successor)
{
    const struct azfn__event_fields fields = {.duration_ms = AZFN__NUMBER(worker->ready_at_ms - worker->started_at_ms)};
    azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_STARTUP, &fields, "%s",
                       is_successor ? "the new worker serves; the one that it replaces finishes what it has in flight"
                                    : "a worker serves");
}

void azfn__supervisor_log_death(struct azfn__supervisor_log *log, const struct azfn__worker_process *worker, int status,
                                struct azfn__suspects *suspects)
{
    char text[AZFN__DEATH_TEXT_BYTES];
    const struct azfn__death death = {.status = status, .was_ready = worker->is_ready, .is_told = worker->is_told};
    azfn__death_report_write(log->sink, worker->flight_record, &death, suspects, text);
    if (!worker->is_ready && !log->last_fault[0]) {
        (void)snprintf(log->last_fault, sizeof(log->last_fault), "%s", text);
    }
}

void azfn__supervisor_log_kill(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                               enum azfn__security_event event, const char *what, const char *reason)
{
    const struct azfn__flight_slot copy = worker->flight_record->loop; /* it may write to it at any time */
    struct azfn__event_fields fields = {.reason = azfn_span_of(reason)};
    azfn__flight_record_read(&copy, &fields);
    worker->is_told = true;
    azfn__log_sink_say(log->sink, event, &fields, "the worker%s is killed, since %s", what, reason);
}

void azfn__supervisor_log_finished(struct azfn__supervisor_log *log)
{
    azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_SHUTDOWN, NULL,
                       "the worker that was replaced has finished what it had in flight, and ended");
}

void azfn__supervisor_log_restart(struct azfn__supervisor_log *log)
{
    const struct azfn__event_fields fields = {.reason = AZFN__SPAN("the worker has ended")};
    azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_RESTART, &fields, "starting another worker; the port stays open");
}

void azfn__supervisor_log_replacement(struct azfn__supervisor_log *log, struct azfn_span why)
{
    const struct azfn__event_fields fields = {.reason = AZFN__SPAN("the worker asks for it")};
    azfn__log_sink_write(log->sink, (struct azfn__log_entry){.level = AZFN_LOG_WARNING,
                                                             .origin = AZFN__ORIGIN_WORKER,
                                                             .description = why});
    azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_RESTART, &fields,
                       "starting another worker, which replaces this one when it is ready");
}

void azfn__supervisor_log_socket(struct azfn__supervisor_log *log)
{
    const struct azfn__event_fields fields = {.reason = azfn_span_of(log->last_fault)};
    azfn__log_sink_say(log->sink, AZFN__EVENT_WORKER_SOCKET, &fields,
                       "a new worker can't listen on the socket that an earlier one has used, which may have been "
                       "sabotaged: the handler ends, to be started anew; %s",
                       log->last_fault);
}

void azfn__supervisor_log_launcher_ended(struct azfn__supervisor_log *log)
{
    const struct azfn__event_fields fields = {.reason = AZFN__SPAN("has ended")};
    azfn__log_sink_say(log->sink, AZFN__EVENT_LAUNCHER_CRASH, &fields,
                       "the launcher has ended, so no worker can be started any more");
}

void azfn__supervisor_log_launcher_hangs(struct azfn__supervisor_log *log, unsigned limit_ms)
{
    const struct azfn__event_fields fields = {.reason = AZFN__SPAN("hangs")};
    azfn__log_sink_say(log->sink, AZFN__EVENT_LAUNCHER_CRASH, &fields,
                       "the end of a lost worker was not reported within %u ms: the launcher does not work any more",
                       limit_ms);
}

void azfn__supervisor_log_unfinished(struct azfn__supervisor_log *log, uint64_t waited_ms, const char *why)
{
    const struct azfn__event_fields fields = {.duration_ms = AZFN__NUMBER(waited_ms)};
    azfn__log_sink_say(log->sink, AZFN__EVENT_SHUTDOWN_UNFINISHED, &fields,
                       "not everything in flight was finished within %" PRIu64 " ms, %s: giving up on the rest",
                       waited_ms, why);
}
