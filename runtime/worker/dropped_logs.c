#include "worker/dropped_logs.h"

#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>

void azfn__dropped_logs_count(struct azfn__dropped_logs *dropped, enum azfn__security_event event)
{
    if (event == AZFN__EVENT_NONE) {
        dropped->lines++;
        return;
    }
    dropped->event = dropped->events == 0 || dropped->event == event ? event : AZFN__EVENT_NONE;
    dropped->events++;
}

bool azfn__dropped_logs_take(struct azfn__dropped_logs *dropped, const char *why,
                             struct azfn__dropped_logs_report *out_report)
{
    bool are_events = dropped->events > 0;
    uint64_t count = are_events ? dropped->events : dropped->lines;
    if (count == 0) {
        return false;
    }
    const char *name = !are_events                           ? "lines"
                       : dropped->event == AZFN__EVENT_NONE ? "events"
                                                             : azfn__security_event_info(dropped->event)->name;
    out_report->fields =
        (struct azfn__event_fields){.suppressed = azfn_span_of(name), .count = AZFN__NUMBER(count)};
    snprintf(out_report->text, sizeof(out_report->text), "%" PRIu64 " %s were dropped: %s", count,
             are_events ? "events" : "log lines", why);
    *(are_events ? &dropped->events : &dropped->lines) = 0;
    return true;
}
