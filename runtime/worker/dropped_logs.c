#include "worker/dropped_logs.h"

#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>

#define LINES "lines"

void azfn__dropped_logs_count(struct azfn__dropped_logs *dropped, const struct azfn__log_frame *log)
{
    bool is_report = log->event == AZFN__EVENT_LOG_LIMIT;
    bool are_lines = log->event == AZFN__EVENT_NONE || (is_report && azfn_span_equals(log->fields.suppressed, LINES));
    uint64_t count = log->fields.count.is_present ? (uint64_t)log->fields.count.value : 1;
    if (are_lines) {
        dropped->lines += count;
        return;
    }
    bool is_same = !is_report && (dropped->events == 0 || dropped->event == log->event);
    dropped->event = is_same ? log->event : AZFN__EVENT_NONE;
    dropped->events += count;
}

bool azfn__dropped_logs_take(struct azfn__dropped_logs *dropped, const char *why,
                             struct azfn__dropped_logs_report *out_report)
{
    bool are_events = dropped->events > 0;
    uint64_t count = are_events ? dropped->events : dropped->lines;
    if (count == 0) {
        return false;
    }
    const char *name = !are_events                           ? LINES
                       : dropped->event == AZFN__EVENT_NONE ? "events"
                                                             : azfn__security_event_info(dropped->event)->name;
    out_report->fields =
        (struct azfn__event_fields){.suppressed = azfn_span_of(name), .count = AZFN__NUMBER(count)};
    snprintf(out_report->text, sizeof(out_report->text), "%" PRIu64 " %s were dropped: %s", count,
             are_events ? "events" : "log lines", why);
    *(are_events ? &dropped->events : &dropped->lines) = 0;
    return true;
}
