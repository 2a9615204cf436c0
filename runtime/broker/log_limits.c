#include "broker/log_limits.h"

#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *suppressed;
    const char *text;
} line_kinds[AZFN__LOG_LINE_KIND_COUNT] = {
    [AZFN__LOG_LINES_OF_BROKER] = {"lines", "lines of the broker"},
    [AZFN__LOG_LINES_INFORMATION] = {"lines:info", "INFO lines of functions"},
    [AZFN__LOG_LINES_WARNING] = {"lines:warn", "WARN lines of functions"},
    [AZFN__LOG_LINES_ERROR] = {"lines:error", "ERROR lines of functions"},
    [AZFN__LOG_LINES_STDOUT] = {"lines:stdout", "lines that the worker printed on stdout"},
    [AZFN__LOG_LINES_STDERR] = {"lines:stderr", "lines that the worker printed on stderr"},
};

static enum azfn__log_line_kind line_kind_of(const struct azfn__log_entry *entry)
{
    static const enum azfn__log_line_kind by_level[] = {[AZFN_LOG_INFORMATION] = AZFN__LOG_LINES_INFORMATION,
                                                        [AZFN_LOG_WARNING] = AZFN__LOG_LINES_WARNING,
                                                        [AZFN_LOG_ERROR] = AZFN__LOG_LINES_ERROR};
    switch (entry->origin) {
    case AZFN__ORIGIN_WORKER:
        return by_level[entry->level];
    case AZFN__ORIGIN_WORKER_STDOUT:
        return AZFN__LOG_LINES_STDOUT;
    case AZFN__ORIGIN_WORKER_STDERR:
        return AZFN__LOG_LINES_STDERR;
    case AZFN__ORIGIN_BROKER:
        break;
    }
    return AZFN__LOG_LINES_OF_BROKER;
}

static size_t bucket_index(const struct azfn__log_entry *entry)
{
    if (entry->event == AZFN__EVENT_NONE) {
        return line_kind_of(entry);
    }
    return (size_t)AZFN__LOG_LINE_KIND_COUNT + 2 * (size_t)entry->event +
           (entry->origin == AZFN__ORIGIN_BROKER ? 0 : 1);
}

static bool is_of_lines(size_t index)
{
    return index < (size_t)AZFN__LOG_LINE_KIND_COUNT;
}

/* Of a bucket that is not of lines. */
static enum azfn__security_event event_of(size_t index)
{
    return (enum azfn__security_event)((index - (size_t)AZFN__LOG_LINE_KIND_COUNT) / 2);
}

static bool is_of_worker(size_t index)
{
    return (index - (size_t)AZFN__LOG_LINE_KIND_COUNT) % 2 == 1;
}

static const char *kind_of(size_t index)
{
    if (is_of_lines(index)) {
        return line_kinds[index].text;
    }
    return is_of_worker(index) ? "events of the worker" : "events of the broker";
}

static uint32_t rate_per_s(size_t index)
{
    return is_of_lines(index) ? AZFN__LOG_LINE_RATE_PER_S : AZFN__LOG_EVENT_RATE_PER_S;
}

static uint32_t burst(size_t index)
{
    if (is_of_lines(index)) {
        return AZFN__LOG_LINE_BURST;
    }
    bool is_counted = is_of_worker(index) && azfn__security_event_info(event_of(index))->is_counted;
    return is_counted ? AZFN__LOG_COUNTED_BURST : AZFN__LOG_EVENT_BURST;
}

void azfn__log_limits_init(struct azfn__log_limits *limits, uint64_t now_ms)
{
    *limits = (struct azfn__log_limits){.dropped = 0};
    for (size_t i = 0; i < AZFN__LOG_BUCKET_COUNT; i++) {
        limits->buckets[i].tokens = burst(i);
        limits->buckets[i].refilled_ms = now_ms;
    }
}

static void refill(struct azfn__log_bucket *bucket, size_t index, uint64_t now_ms)
{
    uint64_t earned = (now_ms - bucket->refilled_ms) * rate_per_s(index) / 1000;
    if (earned > 0) {
        bucket->refilled_ms += earned * 1000 / rate_per_s(index); /* what is left counts towards the next one */
        uint64_t tokens = bucket->tokens + earned;
        bucket->tokens = tokens > burst(index) ? burst(index) : (uint32_t)tokens;
    }
}

static void count(struct azfn__log_limits *limits, size_t index, enum azfn__log_drop drop)
{
    limits->buckets[index].dropped[drop]++;
    limits->dropped++;
}

bool azfn__log_limits_take(struct azfn__log_limits *limits, const struct azfn__log_entry *entry, uint64_t now_ms)
{
    if (entry->origin == AZFN__ORIGIN_BROKER && entry->fields.count.is_present) {
        return true;
    }
    size_t index = bucket_index(entry);
    struct azfn__log_bucket *bucket = &limits->buckets[index];
    refill(bucket, index, now_ms);
    if (bucket->tokens == 0) {
        count(limits, index, AZFN__LOG_BEYOND_RATE);
        return false;
    }
    bucket->tokens--;
    return true;
}

void azfn__log_limits_count_unread(struct azfn__log_limits *limits, const struct azfn__log_entry *entry)
{
    count(limits, bucket_index(entry), AZFN__LOG_UNREAD);
}

static uint64_t dropped_by(const struct azfn__log_bucket *bucket)
{
    return bucket->dropped[AZFN__LOG_BEYOND_RATE] + bucket->dropped[AZFN__LOG_UNREAD];
}

bool azfn__log_limits_report(const struct azfn__log_limits *limits, size_t *index,
                             struct azfn__log_drop_report *out_report)
{
    size_t i = *index;
    while (i < AZFN__LOG_BUCKET_COUNT && dropped_by(&limits->buckets[i]) == 0) {
        i++;
    }
    *index = i;
    if (i == AZFN__LOG_BUCKET_COUNT) {
        return false;
    }
    const struct azfn__log_bucket *bucket = &limits->buckets[i];
    const char *suppressed =
        is_of_lines(i) ? line_kinds[i].suppressed : azfn__security_event_info(event_of(i))->name;
    out_report->fields = (struct azfn__event_fields){.suppressed = azfn_span_of(suppressed),
                                                     .count = AZFN__NUMBER(dropped_by(bucket))};
    (void)snprintf(out_report->description, sizeof(out_report->description),
                   "%" PRIu64 " log lines were dropped, %s: %" PRIu64 " beyond %" PRIu32 " per second, %" PRIu64
                   " that were not read in time",
                   dropped_by(bucket), kind_of(i), bucket->dropped[AZFN__LOG_BEYOND_RATE], rate_per_s(i),
                   bucket->dropped[AZFN__LOG_UNREAD]);
    return true;
}

void azfn__log_limits_told(struct azfn__log_limits *limits, size_t index)
{
    struct azfn__log_bucket *bucket = &limits->buckets[index];
    limits->dropped -= dropped_by(bucket);
    bucket->dropped[AZFN__LOG_BEYOND_RATE] = 0;
    bucket->dropped[AZFN__LOG_UNREAD] = 0;
}
