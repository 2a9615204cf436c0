/* broker/log_stream.h
 * A descriptor of the host's that lines go to, whole and in their order. Whoever reads them is never waited for: what
 * is not taken at once is kept here. */
#ifndef AZFN_BROKER_LOG_STREAM_H
#define AZFN_BROKER_LOG_STREAM_H

#include "base/buffer.h"

#include <azfn.h>

#include <sys/types.h>

#define AZFN__LOG_PENDING_MAX_BYTES ((size_t)256 << 10)

enum azfn__log_stream_kind {
    AZFN__LOG_STREAM_SHARED, /* others may have the description: it stays as blocking as it is, and is asked first */
    AZFN__LOG_STREAM_OWN,    /* a description of our own, that does not block */
    AZFN__LOG_STREAM_SOCKET,
};

struct azfn__log_stream {
    int fd;
    enum azfn__log_stream_kind kind;
    bool is_closed;              /* nobody reads any more */
    struct azfn__buffer pending; /* whole lines */
    size_t begun_bytes;          /* of the first one of them were written */
};

void azfn__log_stream_init(struct azfn__log_stream *stream, int fd);
void azfn__log_stream_clean_up(struct azfn__log_stream *stream);
/* Puts a description that does not block in the place of a pipe's or terminal's, under the same number, where the
 * process may: so before it gives up its user. */
void azfn__log_stream_make_own(struct azfn__log_stream *stream);

/* False: the stream is closed, or has more pending than room_bytes with the line. One that closes meanwhile keeps the
 * line pending. */
AZFN_MUST_USE bool azfn__log_stream_add(struct azfn__log_stream *stream, struct azfn_span line, size_t room_bytes);
/* As write() does, but never waits: -1 with EAGAIN. A handler of signals may call it. */
ssize_t azfn__log_stream_put(const struct azfn__log_stream *stream, const char *data, size_t length);
/* Of what is pending, as much as is taken now. */
void azfn__log_stream_write(struct azfn__log_stream *stream);
/* What from has pending, the line that it has begun too, is pending here. Where memory is short nothing changes. */
void azfn__log_stream_take_over(struct azfn__log_stream *stream, struct azfn__log_stream *from);

#endif
