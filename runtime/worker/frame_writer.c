#include "worker/frame_writer.h"

#include "channel/frame.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX_BYTES ((size_t)16 << 20)
#define OUT_KEPT_BYTES ((size_t)64 << 10)

/* What the socket did not take. */
struct rest {
    uv_write_t request;
    struct azfn__frame_writer *writer;
    size_t length;
    size_t log_bytes;
    char bytes[];
};

static void on_prepare(uv_prepare_t *prepare)
{
    azfn__frame_writer_flush(prepare->data);
}

enum azfn_error azfn__frame_writer_init(struct azfn__frame_writer *writer, uv_loop_t *loop, uv_stream_t *stream)
{
    *writer = (struct azfn__frame_writer){.stream = stream};
    azfn__buffer_init(&writer->out, OUT_MAX_BYTES);
    if (uv_prepare_init(loop, &writer->prepare) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    writer->prepare.data = writer;
    return AZFN_OK;
}

void azfn__frame_writer_close(struct azfn__frame_writer *writer, uv_close_cb on_closed)
{
    azfn__buffer_clean_up(&writer->out);
    writer->has_failed = true;
    writer->on_sent = NULL;
    uv_close((uv_handle_t *)&writer->prepare, on_closed);
}

struct azfn__buffer *azfn__frame_writer_out(struct azfn__frame_writer *writer)
{
    if (writer->out.length > OUT_MAX_BYTES - AZFN__FRAME_HEADER_BYTES - AZFN__FRAME_MAX_PAYLOAD_BYTES) {
        azfn__frame_writer_flush(writer);
    }
    if (!uv_is_active((const uv_handle_t *)&writer->prepare)) {
        uv_prepare_start(&writer->prepare, on_prepare);
    }
    return &writer->out;
}

static void on_written(uv_write_t *request, int status)
{
    struct rest *rest = request->data;
    struct azfn__frame_writer *writer = rest->writer;
    writer->waiting_bytes -= rest->length;
    writer->waiting_log_bytes -= rest->log_bytes;
    writer->has_failed = writer->has_failed || status != 0;
    sodium_memzero(rest->bytes, rest->length);
    free(rest);
    if (writer->waiting_bytes == 0 && writer->on_sent) {
        writer->on_sent(writer->user_data);
    }
}

static bool send_later(struct azfn__frame_writer *writer, const char *bytes, size_t length)
{
    struct rest *rest = malloc(sizeof(*rest) + length);
    if (!rest) {
        return false;
    }
    rest->request.data = rest;
    rest->writer = writer;
    rest->length = length;
    rest->log_bytes = writer->last_log_bytes < length ? writer->last_log_bytes : length;
    memcpy(rest->bytes, bytes, length);
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)length);
    if (uv_write(&rest->request, writer->stream, &buffer, 1, on_written) != 0) {
        sodium_memzero(rest->bytes, length);
        free(rest);
        return false;
    }
    writer->waiting_bytes += length;
    writer->waiting_log_bytes += rest->log_bytes;
    return true;
}

void azfn__frame_writer_flush(struct azfn__frame_writer *writer)
{
    uv_prepare_stop(&writer->prepare);
    size_t length = writer->out.length;
    if (length == 0 || writer->has_failed) {
        azfn__buffer_reset(&writer->out, OUT_KEPT_BYTES);
        return;
    }
    int written = 0;
    if (writer->waiting_bytes == 0) {
        uv_buf_t whole = uv_buf_init(writer->out.data, (unsigned)length);
        written = uv_try_write(writer->stream, &whole, 1);
    }
    size_t sent = written > 0 ? (size_t)written : 0;
    if (sent < length && !send_later(writer, writer->out.data + sent, length - sent)) {
        writer->has_failed = true;
    }
    writer->last_log_bytes = 0;
    azfn__buffer_reset(&writer->out, OUT_KEPT_BYTES);
}

bool azfn__frame_writer_is_behind(struct azfn__frame_writer *writer)
{
    if (writer->out.length > AZFN__FRAME_WRITER_BEHIND_BYTES) {
        azfn__frame_writer_flush(writer);
    }
    return writer->waiting_bytes > AZFN__FRAME_WRITER_BEHIND_BYTES;
}
