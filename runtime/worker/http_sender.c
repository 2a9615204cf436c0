#include "worker/http_sender.h"

#include "base/span.h"

#include <sodium.h>
#include <stdlib.h>

struct queued_write {
    uv_write_t request;
    struct azfn__http_sender *sender;
    size_t copied_bytes;
    char copy[];
};

void azfn__http_sender_init(struct azfn__http_sender *sender, uv_stream_t *stream,
                            void (*on_sent)(struct azfn__http_sender *sender, int status))
{
    *sender = (struct azfn__http_sender){.stream = stream, .on_sent = on_sent};
}

size_t azfn__http_sender_queued_bytes(const struct azfn__http_sender *sender)
{
    return uv_stream_get_write_queue_size(sender->stream);
}

uint64_t azfn__http_sender_sent_bytes(const struct azfn__http_sender *sender)
{
    return sender->queued_bytes - azfn__http_sender_queued_bytes(sender);
}

/* An answer may hold a secret. */
static void free_write(struct queued_write *queued)
{
    sodium_memzero(queued->copy, queued->copied_bytes);
    free(queued);
}

static void on_written(uv_write_t *request, int status)
{
    struct queued_write *queued = request->data;
    struct azfn__http_sender *sender = queued->sender;
    free_write(queued);
    sender->queued--;
    sender->on_sent(sender, status);
}

static enum azfn_error queue(struct azfn__http_sender *sender, uv_buf_t *parts, unsigned count, size_t length,
                             bool are_kept)
{
    size_t copied_bytes = are_kept ? 0 : length;
    struct queued_write *queued = malloc(sizeof(*queued) + copied_bytes);
    if (!queued) {
        return AZFN_ERROR_NO_MEMORY;
    }
    queued->request.data = queued;
    queued->sender = sender;
    queued->copied_bytes = copied_bytes;
    uv_buf_t copy = uv_buf_init(queued->copy, (unsigned)copied_bytes);
    if (!are_kept) {
        size_t at = 0;
        for (unsigned i = 0; i < count; i++) {
            memcpy(queued->copy + at, parts[i].base, parts[i].len);
            at += parts[i].len;
        }
        parts = &copy;
        count = 1;
    }
    if (uv_write(&queued->request, sender->stream, parts, count, on_written) != 0) {
        free_write(queued);
        return AZFN_ERROR_SYSTEM;
    }
    sender->queued++;
    sender->queued_bytes += length;
    return AZFN_OK;
}

enum azfn_error azfn__http_sender_send(struct azfn__http_sender *sender, const struct azfn_span *parts, size_t count,
                                       bool are_kept)
{
    uv_buf_t buffers[AZFN__HTTP_SENDER_MAX_PARTS];
    unsigned used = 0;
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].length > 0) {
            /* libuv does not write to what it sends */
            buffers[used++] = uv_buf_init((char *)parts[i].data, (unsigned)parts[i].length);
            length += parts[i].length;
        }
    }
    if (used == 0) {
        return AZFN_OK;
    }
    int status = uv_try_write(sender->stream, buffers, used);
    if (status < 0 && status != UV_EAGAIN) {
        return AZFN_ERROR_SYSTEM;
    }
    size_t written = status > 0 ? (size_t)status : 0;
    if (written == length) {
        return AZFN_OK;
    }
    length -= written;
    unsigned first = 0;
    while (written >= buffers[first].len) {
        written -= buffers[first++].len;
    }
    buffers[first].base += written;
    buffers[first].len -= written;
    return queue(sender, buffers + first, used - first, length, are_kept);
}
