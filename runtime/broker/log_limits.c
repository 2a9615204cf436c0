#include "broker/log_limits.h"

#include "base/span.h"

#include <inttypes.h>
#include <stdio.h>

#define PRINTED_BUCKET (2 * (size_t)AZFN__EVENT_COUNT)

static size_t bucket_index(const struct azfn__log_entry *entry)
{
    switch (entry->origin) {
    case AZFN__ORIGIN_BROKER:
        return (size_t)entry->event;
    case AZFN__ORIGIN_WORKER:
        return (size_t)AZFN__EVENT_COUNT + (size_t)entry->event;
    case AZFN__ORIGIN_WORKER_STDOUT:
    case AZFN__ORIGIN_WORKER_STDERR:
        break;
    }
    return PRINTED_BUCKET;
}

static enum azfn__security_event event_of(size_t index)
{
    return (enum azfn__security_event)(index % (size_t)AZFN__EVENT_COUNT);
}

static const char *kind_of(size_t index)
{
    if (index == PRINTED_BUCKET) {
        return "lines that the worker printed";
    }
    bool is_event = event_of(index) != AZFN__EVENT_NONE;
    if (index < (size_t)AZFN__EVENT_COUNT) {
        return is_event ? "events of the broker" : "lines of the broker";
    }
    return is_event ? "events of the worker" : "lines of functions";
}

static uint32_t rate_per_s(size_t index)
{
    return event_of(index) == AZFN__EVENT_NONE ? AZFN__LOG_LINE_RATE_PER_S : AZFN__LOG_EVENT_RATE_PER_S;
}

static uint32_t burst(size_t index)
{
    return event_of(index) == AZFN__EVENT_NONE ? AZFN__LOG_LINE_BURST : AZFN__LOG_EVENT_BURST;
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
    bool is_event = event_of(i) != AZFN__EVENT_NONE;
    out_report->fields = (struct azfn__event_fields){
        .suppressed = is_event ? azfn_span_of(azfn__security_event_info(event_of(i))->name) : AZFN__SPAN("lines"),
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
