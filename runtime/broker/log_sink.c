#include "broker/log_sink.h"

#include "base/span.h"
#include "base/steady_clock.h"
#include "base/wall_clock.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define DROPPED_REPORT_MS 1000
/* A uv_poll_t would set O_NONBLOCK on a description that others may have too, and can't watch a file. */
#define RETRY_MS 10
#define FLUSH_RETRY_MS 1

void azfn__log_sink_init(struct azfn__log_sink *sink)
{
    *sink = (struct azfn__log_sink){.app_id = azfn__span("azfn", 4)};
    azfn__buffer_init(&sink->line, AZFN__LOG_LINE_MAX_BYTES * 2);
    azfn__log_stream_init(&sink->streams[0], STDOUT_FILENO);
    azfn__log_stream_init(&sink->streams[1], STDERR_FILENO);
    azfn__log_limits_init(&sink->limits, azfn__steady_clock_ms());
}

void azfn__log_sink_clean_up(struct azfn__log_sink *sink)
{
    azfn__buffer_clean_up(&sink->line);
    azfn__log_stream_clean_up(&sink->streams[0]);
    azfn__log_stream_clean_up(&sink->streams[1]);
}

void azfn__log_sink_make_own(struct azfn__log_sink *sink)
{
    azfn__log_stream_make_own(&sink->streams[0]);
    azfn__log_stream_make_own(&sink->streams[1]);
}

static struct azfn__log_stream *other_stream(struct azfn__log_sink *sink, const struct azfn__log_stream *stream)
{
    return &sink->streams[stream == &sink->streams[0] ? 1 : 0];
}

static bool is_any_open(const struct azfn__log_sink *sink)
{
    return !sink->streams[0].is_closed || !sink->streams[1].is_closed;
}

static bool is_any_pending(const struct azfn__log_sink *sink)
{
    return sink->streams[0].pending.length > 0 || sink->streams[1].pending.length > 0;
}

/* A closed stream's lines go to the other one: they have their level inside. Where that is closed too, nobody is left
 * to tell. */
static void hand_over(struct azfn__log_sink *sink, struct azfn__log_stream *from)
{
    struct azfn__log_stream *to = other_stream(sink, from);
    if (!to->is_closed) {
        azfn__log_stream_take_over(to, from);
        azfn__log_stream_write(to);
    }
    if (to->is_closed) {
        azfn__log_stream_clean_up(from);
        azfn__log_stream_clean_up(to);
    }
}

static void write_pending(struct azfn__log_sink *sink)
{
    for (size_t i = 0; i < 2; i++) {
        struct azfn__log_stream *stream = &sink->streams[i];
        if (stream->pending.length > 0) {
            azfn__log_stream_write(stream);
            if (stream->is_closed) {
                hand_over(sink, stream);
            }
        }
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct azfn__log_sink *sink = timer->data;
    write_pending(sink);
    if (!is_any_pending(sink)) {
        uv_timer_stop(timer);
    }
}

static void await_readers(struct azfn__log_sink *sink)
{
    if (sink->loop && is_any_pending(sink) && !uv_is_active((uv_handle_t *)&sink->retry)) {
        uv_timer_start(&sink->retry, on_retry, RETRY_MS, RETRY_MS);
    }
}

/* How much may be pending with the entry. Who may be in an attacker's hands gives way first, so that a pipe that is
 * full of one kind of line still has room for those that matter more. */
static size_t room_bytes(const struct azfn__log_entry *entry)
{
    enum { LINE, WORKER_EVENT, REPORT, BROKER_EVENT };
    static const size_t sixteenths[][2] = {[LINE] = {7, 8}, /* with Errors second */
                                           [WORKER_EVENT] = {10, 12},
                                           [REPORT] = {13, 13}, /* one that waits tells more */
                                           [BROKER_EVENT] = {14, 16}};
    size_t rank = entry->event == AZFN__EVENT_NONE        ? LINE
                  : entry->origin != AZFN__ORIGIN_BROKER  ? WORKER_EVENT
                  : entry->event == AZFN__EVENT_LOG_LIMIT ? REPORT
                                                          : BROKER_EVENT;
    bool is_error = azfn__log_entry_level(entry) == AZFN_LOG_ERROR;
    return AZFN__LOG_PENDING_MAX_BYTES / 16 * sixteenths[rank][is_error ? 1 : 0];
}

/* False: there is no room for it. */
static bool write_line(struct azfn__log_sink *sink, const struct azfn__log_entry *entry)
{
    struct azfn__log_stream *stream = &sink->streams[azfn__log_entry_level(entry) == AZFN_LOG_INFORMATION ? 0 : 1];
    azfn__buffer_reset(&sink->line, AZFN__LOG_LINE_MAX_BYTES * 2);
    azfn__log_line_append(&sink->line, entry);
    if (sink->line.has_failed) {
        return false;
    }
    struct azfn_span line = azfn__buffer_span(&sink->line);
    bool is_added = azfn__log_stream_add(stream, line, room_bytes(entry));
    if (stream->is_closed) {
        hand_over(sink, stream);
        stream = other_stream(sink, stream);
        is_added = is_added || azfn__log_stream_add(stream, line, room_bytes(entry));
        if (stream->is_closed) {
            hand_over(sink, stream);
        }
    }
    await_readers(sink);
    return is_added;
}

/* A report is beyond all rates, but waits where there is no room for it, and has no number before it is written. */
static void report_dropped(struct azfn__log_sink *sink)
{
    struct azfn__log_drop_report report;
    for (size_t i = 0; azfn__log_limits_report(&sink->limits, &i, &report); i++) {
        const struct azfn__log_entry entry = {.event = AZFN__EVENT_LOG_LIMIT,
                                              .origin = AZFN__ORIGIN_BROKER,
                                              .fields = report.fields,
                                              .description = azfn_span_of(report.description),
                                              .app_id = sink->app_id,
                                              .sequence = sink->sequence + 1,
                                              .time_ms = (int64_t)azfn__wall_clock_ms()};
        if (!write_line(sink, &entry)) {
            return;
        }
        sink->sequence++;
        azfn__log_limits_told(&sink->limits, i);
    }
}

static void on_dropped_report(uv_timer_t *timer);

static void await_report(struct azfn__log_sink *sink)
{
    if (sink->loop && sink->limits.dropped > 0 && is_any_open(sink) &&
        !uv_is_active((uv_handle_t *)&sink->dropped_report)) {
        uv_timer_start(&sink->dropped_report, on_dropped_report, DROPPED_REPORT_MS, 0);
    }
}

static void on_dropped_report(uv_timer_t *timer)
{
    struct azfn__log_sink *sink = timer->data;
    report_dropped(sink);
    await_report(sink);
}

bool azfn__log_sink_write(struct azfn__log_sink *sink, struct azfn__log_entry entry)
{
    entry.sequence = ++sink->sequence;
    entry.app_id = sink->app_id;
    entry.time_ms = (int64_t)azfn__wall_clock_ms();
    bool is_within_rate = azfn__log_limits_take(&sink->limits, &entry, azfn__steady_clock_ms());
    bool is_written = is_within_rate && write_line(sink, &entry);
    if (is_within_rate && !is_written) {
        azfn__log_limits_count_unread(&sink->limits, &entry);
    }
    await_report(sink);
    return is_written;
}

bool azfn__log_sink_vsay(struct azfn__log_sink *sink, enum azfn__security_event event,
                         const struct azfn__event_fields *fields, const char *format, va_list arguments)
{
    char text[2048];
    int length = vsnprintf(text, sizeof(text), format, arguments);
    size_t used = length < 0 ? 0 : (size_t)length;
    if (used >= sizeof(text)) {
        used = sizeof(text) - 1;
        memcpy(text + used - strlen(AZFN__LOG_CUT_MARK), AZFN__LOG_CUT_MARK, strlen(AZFN__LOG_CUT_MARK));
    }
    struct azfn__log_entry entry = {
        .event = event, .origin = AZFN__ORIGIN_BROKER, .description = azfn__span(text, used)};
    if (fields) {
        entry.fields = *fields;
    }
    return azfn__log_sink_write(sink, entry);
}

bool azfn__log_sink_say(struct azfn__log_sink *sink, enum azfn__security_event event,
                        const struct azfn__event_fields *fields, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    bool is_written = azfn__log_sink_vsay(sink, event, fields, format, arguments);
    va_end(arguments);
    return is_written;
}

enum azfn_error azfn__log_sink_attach(struct azfn__log_sink *sink, uv_loop_t *loop)
{
    if (uv_timer_init(loop, &sink->dropped_report) != 0 || uv_timer_init(loop, &sink->retry) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    sink->dropped_report.data = sink;
    sink->retry.data = sink;
    uv_unref((uv_handle_t *)&sink->dropped_report);
    uv_unref((uv_handle_t *)&sink->retry);
    sink->loop = loop;
    await_report(sink);
    await_readers(sink);
    return AZFN_OK;
}

void azfn__log_sink_flush(struct azfn__log_sink *sink, uint32_t limit_ms)
{
    uint64_t deadline = azfn__steady_clock_ms() + limit_ms;
    for (;;) {
        write_pending(sink);
        report_dropped(sink);
        if ((!is_any_pending(sink) && sink->limits.dropped == 0) || !is_any_open(sink)) {
            return;
        }
        if (azfn__steady_clock_ms() >= deadline) {
            break;
        }
        (void)poll(NULL, 0, FLUSH_RETRY_MS);
    }
    /* somebody may read the other one */
    hand_over(sink, &sink->streams[sink->streams[1].pending.length > 0 ? 1 : 0]);
}
