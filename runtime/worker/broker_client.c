#include "worker/broker_client.h"

#include "base/span.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME_MAX_BYTES (AZFN__FRAME_HEADER_BYTES + AZFN__FRAME_MAX_PAYLOAD_BYTES)
#define QUEUE_MAX_BYTES ((size_t)256 << 10)

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out_buffer)
{
    static char bytes[4096];
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
    enum azfn_error error;
    while ((error = azfn__frame_reader_next(&client->reader, &frame)) == AZFN_OK) {
        if (frame.type == AZFN__FRAME_DRAIN) {
            client->callbacks.on_drain(client->callbacks.user_data);
        }
    }
    if (error != AZFN_ERROR_UNAVAILABLE) {
        _exit(1);
    }
}

enum azfn_error azfn__broker_client_start(struct azfn__broker_client *client, uv_loop_t *loop, int fd,
                                          const struct azfn__broker_client_callbacks *callbacks)
{
    *client = (struct azfn__broker_client){.callbacks = *callbacks};
    azfn__frame_reader_init(&client->reader);
    azfn__buffer_init(&client->frame, FRAME_MAX_BYTES);
    if (uv_pipe_init(loop, &client->pipe, 0) != 0 || uv_pipe_open(&client->pipe, fd) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    client->pipe.data = client;
    return uv_read_start((uv_stream_t *)&client->pipe, on_allocate, on_read) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

/* Sends client->frame: at once where the socket takes it, queued otherwise. */
static void send_frame(struct azfn__broker_client *client)
{
    uv_stream_t *stream = (uv_stream_t *)&client->pipe;
    uv_buf_t whole = uv_buf_init(client->frame.data, (unsigned)client->frame.length);
    int written = uv_try_write(stream, &whole, 1);
    size_t left = client->frame.length - (written > 0 ? (size_t)written : 0);
    if (left == 0) {
        return;
    }
    uv_write_t *request = malloc(sizeof(*request) + left);
    if (!request) {
        _exit(1); /* half a frame may be out: the broker could not read on */
    }
    char *copy = (char *)(request + 1);
    memcpy(copy, client->frame.data + (client->frame.length - left), left);
    uv_buf_t rest = uv_buf_init(copy, (unsigned)left);
    if (uv_write(request, stream, &rest, 1, on_written) != 0) {
        free(request);
        _exit(1);
    }
}

void azfn__broker_client_send(struct azfn__broker_client *client, enum azfn__frame_type type, struct azfn_span payload)
{
    azfn__buffer_reset(&client->frame, FRAME_MAX_BYTES);
    azfn__frame_append(&client->frame, type, payload);
    if (!client->frame.has_failed) {
        send_frame(client);
    }
}

static void send_log(struct azfn__broker_client *client, const struct azfn__log_frame *log)
{
    azfn__buffer_reset(&client->frame, FRAME_MAX_BYTES);
    azfn__frame_append_log(&client->frame, log);
    if (!client->frame.has_failed) {
        send_frame(client);
    }
}

void azfn__broker_client_log(struct azfn__broker_client *client, const struct azfn__log_frame *log)
{
    if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) > QUEUE_MAX_BYTES) {
        client->dropped++;
        return;
    }
    if (client->dropped > 0) {
        char text[96];
        int length = snprintf(text, sizeof(text), "%llu log lines of the worker were dropped",
                              (unsigned long long)client->dropped);
        client->dropped = 0;
        send_log(client, &(struct azfn__log_frame){.level = AZFN_LOG_WARNING,
                                                   .event = AZFN__SPAN("excess_rate_limit_exceeded:log"),
                                                   .text = azfn__span(text, (size_t)length)});
    }
    send_log(client, log);
}
