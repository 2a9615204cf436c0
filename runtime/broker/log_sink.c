#include "broker/log_sink.h"

#include "base/span.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PENDING_MAX_BYTES ((size_t)256 << 10)
/* A pipe that is writable takes this much at once (PIPE_BUF), so a blocking one can't block us. */
#define CHUNK_BYTES ((size_t)4096)
#define DROPPED_REPORT_MS 1000

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void azfn__log_sink_init(struct azfn__log_sink *sink)
{
    *sink = (struct azfn__log_sink){.app_id = azfn__span("azfn", 4)};
    for (int i = 0; i < AZFN__LOG_CLASS_COUNT; i++) {
        sink->buckets[i].tokens = AZFN__LOG_BURST;
        sink->buckets[i].refilled_ms = (uint64_t)now_ms(CLOCK_MONOTONIC);
    }
    azfn__buffer_init(&sink->line, AZFN__LOG_LINE_MAX_BYTES * 2);
    for (int i = 0; i < 2; i++) {
        sink->streams[i].fd = i == 0 ? STDOUT_FILENO : STDERR_FILENO;
        azfn__buffer_init(&sink->streams[i].pending, PENDING_MAX_BYTES);
    }
}

/* How much of data the descriptor took; what it will never take counts as taken. */
static size_t write_some(int fd, const char *data, size_t length, int wait_ms)
{
    size_t written = 0;
    while (written < length) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        if (poll(&ready, 1, wait_ms) <= 0) {
            break;
        }
        size_t chunk = length - written < CHUNK_BYTES ? length - written : CHUNK_BYTES;
        ssize_t count = write(fd, data + written, chunk);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (errno == EAGAIN) {
                break;
            }
            continue;
        }
        if (count < 0) {
            return length; /* nobody reads any more */
        }
        written += (size_t)count;
    }
    return written;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_writable(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct azfn__log_stream *stream = handle->data;
    azfn__buffer_consume(&stream->pending,
                         write_some(stream->fd, stream->pending.data, stream->pending.length, 0));
    if (stream->pending.length == 0) {
        stream->writable = NULL;
        uv_close((uv_handle_t *)handle, on_poll_closed);
    }
}

static void await_writable(struct azfn__log_sink *sink, struct azfn__log_stream *stream)
{
    if (!sink->loop || stream->writable) {
        return;
    }
    uv_poll_t *handle = calloc(1, sizeof(*handle));
    if (!handle || uv_poll_init(sink->loop, handle, stream->fd) != 0) {
        free(handle); /* a regular file: always writable, the next line takes the rest along */
        return;
    }
    handle->data = stream;
    stream->writable = handle;
    uv_unref((uv_handle_t *)handle);
    uv_poll_start(handle, UV_WRITABLE, on_writable);
}

static void write_line(struct azfn__log_sink *sink, const struct azfn__log_entry *entry);

static void report_dropped(struct azfn__log_sink *sink)
{
    char text[96];
    uint64_t dropped = sink->dropped;
    if (dropped == 0) {
        return;
    }
    int length = snprintf(text, sizeof(text), "%llu log lines were dropped", (unsigned long long)dropped);
    sink->dropped = 0;
    struct azfn__log_entry entry = {.level = AZFN_LOG_WARNING,
                                    .origin = AZFN__ORIGIN_BROKER,
                                    .event = AZFN__SPAN("excess_rate_limit_exceeded:log"),
                                    .description = azfn__span(text, (size_t)length)};
    entry.time_ms = now_ms(CLOCK_REALTIME);
    entry.app_id = sink->app_id;
    write_line(sink, &entry);
    /* no room even for this line: the count is told later */
    sink->dropped = sink->dropped > 0 ? dropped : 0;
}

static void on_dropped_report(uv_timer_t *timer)
{
    report_dropped(timer->data);
}

static void count_dropped(struct azfn__log_sink *sink)
{
    sink->dropped++;
    if (sink->loop && !uv_is_active((uv_handle_t *)&sink->dropped_report)) {
        uv_timer_start(&sink->dropped_report, on_dropped_report, DROPPED_REPORT_MS, 0);
    }
}

static void write_line(struct azfn__log_sink *sink, const struct azfn__log_entry *entry)
{
    struct azfn__log_stream *stream = &sink->streams[entry->level == AZFN_LOG_INFORMATION ? 0 : 1];
    azfn__buffer_reset(&sink->line, AZFN__LOG_LINE_MAX_BYTES * 2);
    azfn__log_line_append(&sink->line, entry);
    if (sink->line.has_failed) {
        count_dropped(sink);
        return;
    }
    size_t written = 0;
    if (stream->pending.length > 0 && !stream->writable) {
        /* a descriptor that could not be polled */
        azfn__buffer_consume(&stream->pending, write_some(stream->fd, stream->pending.data, stream->pending.length, 0));
    }
    if (stream->pending.length == 0) {
        written = write_some(stream->fd, sink->line.data, sink->line.length, 0);
    }
    size_t left = sink->line.length - written;
    if (left == 0) {
        return;
    }
    /* a line that has begun must end, so only whole ones are dropped */
    if (written == 0 && left > PENDING_MAX_BYTES - stream->pending.length) {
        count_dropped(sink);
        return;
    }
    if (!azfn__buffer_reserve(&stream->pending, left)) {
        stream->pending.has_failed = false; /* the next line may find memory again */
        count_dropped(sink);
        return;
    }
    azfn__buffer_append(&stream->pending, sink->line.data + written, left);
    await_writable(sink, stream);
}

static bool take_token(struct azfn__log_bucket *bucket)
{
    uint64_t now = (uint64_t)now_ms(CLOCK_MONOTONIC);
    uint64_t earned = (now - bucket->refilled_ms) * AZFN__LOG_RATE_PER_S / 1000;
    if (earned > 0) {
        bucket->refilled_ms += earned * 1000 / AZFN__LOG_RATE_PER_S; /* what is left counts towards the next one */
        bucket->tokens = bucket->tokens + earned > AZFN__LOG_BURST ? AZFN__LOG_BURST : bucket->tokens + earned;
    }
    if (bucket->tokens == 0) {
        return false;
    }
    bucket->tokens--;
    return true;
}

/* The worker may be in an attacker's hands. */
static bool may_write(struct azfn__log_sink *sink, const struct azfn__log_entry *entry)
{
    switch (entry->origin) {
    case AZFN__ORIGIN_BROKER:
        return true;
    case AZFN__ORIGIN_WORKER:
        return take_token(&sink->buckets[entry->event.length > 0 ? AZFN__LOG_CLASS_EVENT : AZFN__LOG_CLASS_FUNCTION]);
    case AZFN__ORIGIN_WORKER_STDOUT:
    case AZFN__ORIGIN_WORKER_STDERR:
        break;
    }
    return take_token(&sink->buckets[AZFN__LOG_CLASS_PRINTED]);
}

void azfn__log_sink_write(struct azfn__log_sink *sink, struct azfn__log_entry entry)
{
    if (!may_write(sink, &entry)) {
        count_dropped(sink);
        return;
    }
    entry.app_id = sink->app_id;
    entry.time_ms = now_ms(CLOCK_REALTIME);
    write_line(sink, &entry);
}

void azfn__log_sink_say(struct azfn__log_sink *sink, enum azfn_log_level level, const char *event,
                        const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t used = length < 0 ? 0 : (size_t)length;
    azfn__log_sink_write(sink, (struct azfn__log_entry){
                                   .level = level,
                                   .origin = AZFN__ORIGIN_BROKER,
                                   .event = azfn_span_of(event),
                                   .description = azfn__span(text, used < sizeof(text) ? used : sizeof(text) - 1)});
}

enum azfn_error azfn__log_sink_attach(struct azfn__log_sink *sink, uv_loop_t *loop)
{
    if (uv_timer_init(loop, &sink->dropped_report) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    sink->dropped_report.data = sink;
    uv_unref((uv_handle_t *)&sink->dropped_report);
    sink->loop = loop;
    if (sink->dropped > 0) {
        uv_timer_start(&sink->dropped_report, on_dropped_report, DROPPED_REPORT_MS, 0);
    }
    for (int i = 0; i < 2; i++) {
        if (sink->streams[i].pending.length > 0) {
            await_writable(sink, &sink->streams[i]);
        }
    }
    return AZFN_OK;
}

void azfn__log_sink_flush(struct azfn__log_sink *sink, uint32_t limit_ms)
{
    report_dropped(sink);
    int64_t deadline = now_ms(CLOCK_MONOTONIC) + limit_ms;
    for (int i = 1; i >= 0; i--) { /* stderr first: the last words are there */
        struct azfn__log_stream *stream = &sink->streams[i];
        while (stream->pending.length > 0) {
            int64_t left = deadline - now_ms(CLOCK_MONOTONIC);
            size_t written = left > 0 ? write_some(stream->fd, stream->pending.data,
                                                   stream->pending.length < CHUNK_BYTES ? stream->pending.length
                                                                                        : CHUNK_BYTES,
                                                   (int)left)
                                      : 0;
            if (written == 0) {
                break;
            }
            azfn__buffer_consume(&stream->pending, written);
        }
    }
}
