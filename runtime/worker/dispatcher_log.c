/* What the dispatcher, and others through it, tell the broker's log. */
#include "base/span.h"
#include "worker/admission.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"
#include "worker/request_facts.h"

#include <stdio.h>

static void say(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                struct azfn__log_frame *log)
{
    struct azfn__request_facts facts;
    struct azfn__blocking_job *job = azfn__blocking_job_current();
    const struct azfn__invocation *about = job ? job->invocation : invocation;
    if (about) {
        azfn__request_facts_fill(&facts, about, azfn__security_event_info(log->event)->fields, &log->fields);
    }
    if (job) {
        azfn__blocking_job_log(job, log);
    } else {
        azfn__broker_client_log(dispatcher->broker, log);
    }
}

void azfn__dispatcher_log(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                          enum azfn_log_level level, struct azfn_span text)
{
    struct azfn__log_frame log = {.event = AZFN__EVENT_NONE, .level = level, .text = text};
    say(dispatcher, invocation, &log);
}

void azfn__dispatcher_tell(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                           enum azfn__security_event event, const struct azfn__event_fields *fields,
                           struct azfn_span text)
{
    struct azfn__log_frame log = {.event = event, .text = text};
    if (fields) {
        log.fields = *fields;
    }
    say(dispatcher, invocation, &log);
}

void azfn__dispatcher_tell_dropped(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                                   struct azfn__dropped_logs *dropped)
{
    struct azfn__dropped_logs_report report;
    while (azfn__dropped_logs_take(dropped, "the function wrote too much", &report)) {
        azfn__dispatcher_tell(dispatcher, invocation, AZFN__EVENT_LOG_LIMIT, &report.fields, azfn_span_of(report.text));
    }
}

void azfn__dispatcher_tell_counts(struct azfn__dispatcher *dispatcher)
{
    azfn__callers_tell(&dispatcher->callers);
    azfn__event_counts_tell(&dispatcher->event_counts);
}

void azfn__dispatcher_tell_refusal(struct azfn__dispatcher *dispatcher, const struct azfn__invocation *invocation,
                                   const struct azfn__refusal *refusal)
{
    char text[256];
    const struct azfn__event_fields fields = {.status = AZFN__NUMBER(refusal->status),
                                              .limit = azfn_span_of(refusal->limit)};
    snprintf(text, sizeof(text), "%u: %s", (unsigned)refusal->status, refusal->reason);
    azfn__dispatcher_tell(dispatcher, invocation, refusal->event, &fields, azfn_span_of(text));
}
