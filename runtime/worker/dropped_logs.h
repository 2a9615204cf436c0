/* worker/dropped_logs.h
 * What was not sent to the broker's log, until it is told: security events by their name where all are of one kind, and
 * lines that are no events apart from them. Pure. */
#ifndef AZFN_WORKER_DROPPED_LOGS_H
#define AZFN_WORKER_DROPPED_LOGS_H

#include "channel/frame.h"

#include <azfn.h>

struct azfn__dropped_logs {
    uint64_t lines;
    uint64_t events;
    enum azfn__security_event event; /* that all of them are; AZFN__EVENT_NONE: they are of several kinds */
};

/* A line, an event, or one that tells how many of them were dropped before: they count, not it. */
void azfn__dropped_logs_count(struct azfn__dropped_logs *dropped, const struct azfn__log_frame *log);

/* For AZFN__EVENT_LOG_LIMIT. */
struct azfn__dropped_logs_report {
    struct azfn__event_fields fields;
    char text[128];
};

/* The next thing to tell, which is no longer in dropped then. False: there is none. why: what the text ends with. */
bool azfn__dropped_logs_take(struct azfn__dropped_logs *dropped, const char *why,
                             struct azfn__dropped_logs_report *out_report);

#endif
