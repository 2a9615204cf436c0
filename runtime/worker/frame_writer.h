/* worker/frame_writer.h
 * Sends frames over one end of the channel. What is made in one turn of the loop goes out with one system call,
 * when the loop is about to wait; what the socket does not take at once waits in copies that are wiped. Owned by
 * whoever owns the stream. */
#ifndef AZFN_WORKER_FRAME_WRITER_H
#define AZFN_WORKER_FRAME_WRITER_H

#include "base/buffer.h"

#include <azfn.h>
#include <uv.h>

struct azfn__frame_writer {
    uv_stream_t *stream;
    uv_prepare_t prepare;     /* runs while out is not empty */
    struct azfn__buffer out;  /* what is to be sent next: azfn__frame_writer_out() */
    size_t waiting_bytes;     /* in copies: what the socket has not taken yet */
    size_t waiting_log_bytes; /* of them: lines of the log */
    size_t last_log_bytes;    /* out's last bytes: lines of the log, set by whoever flushes right behind them */
    bool has_failed;          /* part of a frame may be out: nothing that follows could be read */
    void (*on_sent)(void *user_data); /* Optional. What was waiting has been sent, all of it; or has_failed. */
    void *user_data;
};

/* Beyond this the reader does not keep up: more must not be put on its way. */
#define AZFN__FRAME_WRITER_BEHIND_BYTES ((size_t)256 << 10)

/* Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__frame_writer_init(struct azfn__frame_writer *writer, uv_loop_t *loop,
                                                      uv_stream_t *stream);
/* Wipes what is not out. The stream is to be closed before. prepare's memory, and so the writer's, is needed until
 * on_closed. */
void azfn__frame_writer_close(struct azfn__frame_writer *writer, uv_close_cb on_closed);

/* Where to append the next frame, which is sent in this turn. It has room for one; what was full is sent now. */
struct azfn__buffer *azfn__frame_writer_out(struct azfn__frame_writer *writer);
/* Sends out now. */
void azfn__frame_writer_flush(struct azfn__frame_writer *writer);
/* Sends out if it is much; whether the reader is behind even so. */
bool azfn__frame_writer_is_behind(struct azfn__frame_writer *writer);
/* All that has not been sent. */
static inline size_t azfn__frame_writer_pending_bytes(const struct azfn__frame_writer *writer)
{
    return writer->out.length + writer->waiting_bytes;
}

#endif
