#include "worker/broker_client.h"

#include "base/span.h"
#include "channel/payload.h"

#include <sodium.h>
#include <unistd.h>

/* Of lines of the log. Events still come through where others do not. */
#define LINES_MAX_BYTES AZFN__FRAME_WRITER_BEHIND_BYTES
#define EVENTS_MAX_BYTES (2 * AZFN__FRAME_WRITER_BEHIND_BYTES)
#define QUEUE_MAX_BYTES ((size_t)8 << 20)

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out_buffer)
{
    static char bytes[(size_t)64 << 10];
    (void)handle;
    (void)suggested_size;
    *out_buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct azfn__broker_client *client = stream->data;
    struct azfn__frame frame;
    if (count == 0) {
        return;
    }
    /* without a broker nothing here may go on */
    if (count < 0 || !azfn__frame_reader_feed(&client->reader, buffer->base, (size_t)count)) {
        _exit(1);
    }
    sodium_memzero(buffer->base, (size_t)count);
    enum azfn_error error;
    while ((error = azfn__frame_reader_next(&client->reader, &frame)) == AZFN_OK) {
        if (frame.type == AZFN__FRAME_DRAIN) {
            client->callbacks.on_drain(client->callbacks.user_data);
        } else if (client->callbacks.on_frame && !client->callbacks.on_frame(&frame, client->callbacks.user_data)) {
            _exit(1);
        }
    }
    if (error != AZFN_ERROR_UNAVAILABLE) {
        _exit(1);
    }
    azfn__frame_reader_wipe(&client->reader);
}

static void on_sent(void *user_data);

enum azfn_error azfn__broker_client_start(struct azfn__broker_client *client, uv_loop_t *loop, int fd,
                                          const struct azfn__broker_client_callbacks *callbacks)
{
    *client = (struct azfn__broker_client){.callbacks = *callbacks};
    azfn__frame_reader_init(&client->reader);
    if (uv_pipe_init(loop, &client->pipe, 0) != 0 || uv_pipe_open(&client->pipe, fd) != 0 ||
        uv_timer_init(loop, &client->end) != 0 ||
        azfn__frame_writer_init(&client->writer, loop, (uv_stream_t *)&client->pipe) != AZFN_OK) {
        return AZFN_ERROR_SYSTEM;
    }
    client->pipe.data = client;
    client->writer.on_sent = on_sent;
    client->writer.user_data = client;
    return uv_read_start((uv_stream_t *)&client->pipe, on_allocate, on_read) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

/* Half a frame may be out where that fails: the broker could not read on. */
static void flush(struct azfn__broker_client *client)
{
    azfn__frame_writer_flush(&client->writer);
    if (client->writer.has_failed) {
        _exit(1);
    }
}

bool azfn__broker_client_has_room(const struct azfn__broker_client *client)
{
    return azfn__frame_writer_pending_bytes(&client->writer) < QUEUE_MAX_BYTES;
}

void azfn__broker_client_send(struct azfn__broker_client *client, enum azfn__frame_type type, struct azfn_span payload)
{
    azfn__frame_append(azfn__frame_writer_out(&client->writer), type, payload);
    flush(client);
}

/* At once: it may be the last thing that this process does. False: there is no memory for it. */
static bool send_log(struct azfn__broker_client *client, const struct azfn__log_frame *log)
{
    struct azfn__buffer *out = azfn__frame_writer_out(&client->writer);
    size_t before = out->length;
    azfn__frame_append_log(out, log);
    size_t length = out->length - before;
    client->writer.last_log_bytes = length;
    flush(client);
    return length > 0;
}

static bool has_log_room(const struct azfn__broker_client *client, const struct azfn__log_frame *log)
{
    size_t max_bytes = log->event == AZFN__EVENT_NONE ? LINES_MAX_BYTES : EVENTS_MAX_BYTES;
    return client->writer.waiting_log_bytes <= max_bytes;
}

static void tell_dropped(struct azfn__broker_client *client)
{
    struct azfn__dropped_logs_report report;
    while (azfn__dropped_logs_take(&client->dropped, "the broker did not take them in time", &report)) {
        const struct azfn__log_frame log = {
            .event = AZFN__EVENT_LOG_LIMIT, .fields = report.fields, .text = azfn_span_of(report.text)};
        (void)send_log(client, &log);
    }
}

static void on_sent(void *user_data)
{
    struct azfn__broker_client *client = user_data;
    if (!client->writer.has_failed) {
        tell_dropped(client);
    }
}

void azfn__broker_client_log(struct azfn__broker_client *client, const struct azfn__log_frame *log)
{
    bool has_room = has_log_room(client, log);
    if (has_room) {
        tell_dropped(client);
    }
    if (!has_room || !send_log(client, log)) {
        azfn__dropped_logs_count(&client->dropped, log);
    }
}

void azfn__broker_client_pass(struct azfn__broker_client *client, struct azfn_span frames)
{
    uint64_t length;
    uint64_t type;
    struct azfn__log_frame log;
    while (azfn__payload_take(&frames, 4, &length) && azfn__payload_take(&frames, 4, &type)) {
        if (azfn__frame_decode_log(azfn__span(frames.data, (size_t)length), &log)) {
            azfn__broker_client_log(client, &log);
        }
        frames = azfn__span_from(frames, (size_t)length);
    }
}

static void on_end(uv_timer_t *timer)
{
    (void)timer; /* it is no longer active */
}

void azfn__broker_client_finish(struct azfn__broker_client *client, uint32_t limit_ms)
{
    flush(client);
    uv_timer_start(&client->end, on_end, limit_ms, 0);
    while (azfn__frame_writer_pending_bytes(&client->writer) > 0 && uv_is_active((uv_handle_t *)&client->end)) {
        uv_run(client->end.loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&client->end);
}
