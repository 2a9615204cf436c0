/* broker/log_sink.h
 * The one writer on the host's pipes: Information lines on stdout, Warning and Error lines on stderr, each whole; where
 * one of the two is closed, all on the other. It never blocks the loop: what a full pipe does not take waits, bounded.
 * What does not fit, and what is beyond its rate, is counted, and told on the log. */
#ifndef AZFN_BROKER_LOG_SINK_H
#define AZFN_BROKER_LOG_SINK_H

#include "base/buffer.h"
#include "base/log_line.h"
#include "broker/log_limits.h"
#include "broker/log_stream.h"

#include <azfn.h>
#include <uv.h>

struct azfn__log_sink {
    struct azfn_span app_id;
    struct azfn__log_stream streams[2]; /* stdout, stderr */
    struct azfn__buffer line;
    uv_loop_t *loop;           /* NULL until attached */
    uv_timer_t retry;          /* runs while something is pending */
    uv_timer_t dropped_report; /* runs while something was dropped and not yet told */
    uint64_t sequence;         /* the last line's; dropped ones have theirs, so that the gap shows */
    struct azfn__log_limits limits;
};

/* Usable at once; app_id must outlive the sink. */
void azfn__log_sink_init(struct azfn__log_sink *sink);
void azfn__log_sink_clean_up(struct azfn__log_sink *sink);
/* Before the process gives up its user: from here on no pipe and no terminal blocks it, whoever else writes there. */
void azfn__log_sink_make_own(struct azfn__log_sink *sink);
/* From here on what is pending is written as the pipes take it. Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__log_sink_attach(struct azfn__log_sink *sink, uv_loop_t *loop);
/* Writes what is pending and tells what was dropped, waiting for at most limit_ms. For the end of the process. */
void azfn__log_sink_flush(struct azfn__log_sink *sink, uint32_t limit_ms);

/* entry's app_id, sequence and time_ms are filled in here. False: the line was dropped, and is counted. */
bool azfn__log_sink_write(struct azfn__log_sink *sink, struct azfn__log_entry entry);

/* For the broker's own events. fields may be NULL. Returns as azfn__log_sink_write() does. */
bool azfn__log_sink_say(struct azfn__log_sink *sink, enum azfn__security_event event,
                        const struct azfn__event_fields *fields, const char *format, ...) AZFN_PRINTF(4, 5);
bool azfn__log_sink_vsay(struct azfn__log_sink *sink, enum azfn__security_event event,
                         const struct azfn__event_fields *fields, const char *format, va_list arguments)
    AZFN_PRINTF(4, 0);

#endif
