/* broker/log_sink.h
 * The one writer on the host's pipes: Information lines on stdout, Warning and Error lines on stderr, each
 * whole. It never blocks the loop: what a full pipe does not take waits, bounded, and what does not fit
 * is counted. What comes from the worker is limited in rate, also with a count. */
#ifndef AZFN_BROKER_LOG_SINK_H
#define AZFN_BROKER_LOG_SINK_H

#include "base/buffer.h"
#include "base/log_line.h"

#include <azfn.h>
#include <uv.h>

/* Lines of the worker per second, and how many at once: of each class, so that a flood of one does not hide
 * another. */
#define AZFN__LOG_RATE_PER_S 200
#define AZFN__LOG_BURST 1000

enum azfn__log_class { AZFN__LOG_CLASS_EVENT, AZFN__LOG_CLASS_FUNCTION, AZFN__LOG_CLASS_PRINTED, AZFN__LOG_CLASS_COUNT };

/* A token bucket. */
struct azfn__log_bucket {
    uint64_t tokens;
    uint64_t refilled_ms;
};

struct azfn__log_stream {
    int fd;
    struct azfn__buffer pending;
    uv_poll_t *writable; /* while something is pending and the descriptor can be polled */
};

struct azfn__log_sink {
    struct azfn_span app_id;
    struct azfn__log_stream streams[2];
    struct azfn__buffer line;
    uv_loop_t *loop;           /* NULL until attached */
    uv_timer_t dropped_report; /* runs while something was dropped and not yet told */
    uint64_t dropped;
    struct azfn__log_bucket buckets[AZFN__LOG_CLASS_COUNT];
};

/* Usable at once; app_id must outlive the sink. */
void azfn__log_sink_init(struct azfn__log_sink *sink);
/* From here on what is pending is written as the pipes take it. Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__log_sink_attach(struct azfn__log_sink *sink, uv_loop_t *loop);
/* Writes what is pending, waiting for at most limit_ms. For the end of the process. */
void azfn__log_sink_flush(struct azfn__log_sink *sink, uint32_t limit_ms);

/* entry's app_id and time_ms are filled in here. */
void azfn__log_sink_write(struct azfn__log_sink *sink, struct azfn__log_entry entry);

/* For the broker's own lines. event may be NULL. */
void azfn__log_sink_say(struct azfn__log_sink *sink, enum azfn_log_level level, const char *event,
                        const char *format, ...) AZFN_PRINTF(4, 5);

#endif
