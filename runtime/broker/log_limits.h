/* broker/log_limits.h
 * How many lines are written: each event has a share of its own, the broker's apart from the worker's, so that a flood
 * of one neither fills the log nor hides another; lines that are no events have one per origin and level. What is left
 * out is counted until that was told. Pure. */
#ifndef AZFN_BROKER_LOG_LIMITS_H
#define AZFN_BROKER_LOG_LIMITS_H

#include "base/log_line.h"

#include <azfn.h>

/* Per second, and how many at once. */
#define AZFN__LOG_EVENT_RATE_PER_S 10U
#define AZFN__LOG_EVENT_BURST 100U
/* Of an event that the worker counts: it tells as many callers at once as it knows, after as many that were new. */
#define AZFN__LOG_COUNTED_BURST 512U
#define AZFN__LOG_LINE_RATE_PER_S 200U
#define AZFN__LOG_LINE_BURST 1000U

/* Lines that are no events. */
enum azfn__log_line_kind {
    AZFN__LOG_LINES_OF_BROKER,
    AZFN__LOG_LINES_INFORMATION, /* of functions, as the next two */
    AZFN__LOG_LINES_WARNING,
    AZFN__LOG_LINES_ERROR,
    AZFN__LOG_LINES_STDOUT, /* what the worker prints */
    AZFN__LOG_LINES_STDERR,
    AZFN__LOG_LINE_KIND_COUNT
};

/* One for each kind of lines, then for each event the broker's and the worker's. */
#define AZFN__LOG_BUCKET_COUNT ((size_t)AZFN__LOG_LINE_KIND_COUNT + 2 * (size_t)AZFN__EVENT_COUNT)

enum azfn__log_drop {
    AZFN__LOG_BEYOND_RATE,
    AZFN__LOG_UNREAD, /* it found no room behind what nobody has read yet */
    AZFN__LOG_DROP_COUNT
};

struct azfn__log_bucket {
    uint64_t refilled_ms;
    uint32_t tokens;
    uint64_t dropped[AZFN__LOG_DROP_COUNT]; /* and not yet told */
};

struct azfn__log_limits {
    struct azfn__log_bucket buckets[AZFN__LOG_BUCKET_COUNT];
    uint64_t dropped; /* of all */
};

/* now_ms is of a clock that never goes back. */
void azfn__log_limits_init(struct azfn__log_limits *limits, uint64_t now_ms);
/* False: the entry is beyond its rate, and counted. A line of the broker's that stands for a count always passes:
 * whoever counts has a limit of his own, and what such a line says would be lost. */
AZFN_MUST_USE bool azfn__log_limits_take(struct azfn__log_limits *limits, const struct azfn__log_entry *entry,
                                         uint64_t now_ms);
void azfn__log_limits_count_unread(struct azfn__log_limits *limits, const struct azfn__log_entry *entry);

struct azfn__log_drop_report {
    struct azfn__event_fields fields; /* for AZFN__EVENT_LOG_LIMIT */
    char description[192];
};

/* The bucket at *index or behind it that has something to tell, which *index is then of. False: there is none. */
bool azfn__log_limits_report(const struct azfn__log_limits *limits, size_t *index,
                             struct azfn__log_drop_report *out_report);
/* What the bucket has dropped so far was told. */
void azfn__log_limits_told(struct azfn__log_limits *limits, size_t index);

#endif
