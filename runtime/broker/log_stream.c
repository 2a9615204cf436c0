#include "broker/log_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void azfn__log_stream_init(struct azfn__log_stream *stream, int fd)
{
    *stream = (struct azfn__log_stream){.fd = fd};
    /* a stream's own lines, and those of one that has closed */
    azfn__buffer_init(&stream->pending, AZFN__LOG_PENDING_MAX_BYTES * 2);
}

void azfn__log_stream_clean_up(struct azfn__log_stream *stream)
{
    azfn__buffer_clean_up(&stream->pending);
    stream->begun_bytes = 0;
}

void azfn__log_stream_make_own(struct azfn__log_stream *stream)
{
    char path[32];
    struct stat status;
    if (fstat(stream->fd, &status) != 0) {
        return;
    }
    if (S_ISSOCK(status.st_mode)) {
        stream->kind = AZFN__LOG_STREAM_SOCKET;
        return;
    }
    /* of a file opened twice each description has its own offset, and writes over what the other wrote */
    if (!S_ISFIFO(status.st_mode) && !isatty(stream->fd)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", stream->fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own < 0) {
        return;
    }
    if (dup2(own, stream->fd) == stream->fd) {
        stream->kind = AZFN__LOG_STREAM_OWN;
    }
    close(own);
}

ssize_t azfn__log_stream_put(const struct azfn__log_stream *stream, const char *data, size_t length)
{
    if (stream->kind == AZFN__LOG_STREAM_OWN) {
        return write(stream->fd, data, length);
    }
    if (stream->kind == AZFN__LOG_STREAM_SOCKET) {
        return send(stream->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    /* a pipe that is writable takes PIPE_BUF at once */
    struct pollfd ready = {.fd = stream->fd, .events = POLLOUT};
    if (poll(&ready, 1, 0) <= 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(stream->fd, data, length < PIPE_BUF ? length : PIPE_BUF);
}

void azfn__log_stream_write(struct azfn__log_stream *stream)
{
    size_t written = stream->begun_bytes;
    while (written < stream->pending.length && !stream->is_closed) {
        ssize_t count = azfn__log_stream_put(stream, stream->pending.data + written, stream->pending.length - written);
        if (count >= 0) {
            written += (size_t)count;
        } else if (errno == EAGAIN || errno == ENOSPC || errno == EDQUOT) {
            break; /* of a disk there may be more later, too */
        } else {
            stream->is_closed = errno != EINTR;
        }
    }
    /* a line that has begun stays whole, for another stream to take over */
    const char *end = written > 0 ? memrchr(stream->pending.data, '\n', written) : NULL;
    size_t ended = end ? (size_t)(end - stream->pending.data) + 1 : 0;
    azfn__buffer_consume(&stream->pending, ended);
    stream->begun_bytes = written - ended;
}

bool azfn__log_stream_add(struct azfn__log_stream *stream, struct azfn_span line, size_t room_bytes)
{
    if (stream->pending.length > 0) {
        azfn__log_stream_write(stream);
    }
    if (stream->is_closed || stream->pending.length + line.length > room_bytes) {
        return false;
    }
    bool was_empty = stream->pending.length == 0;
    if (!azfn__buffer_reserve(&stream->pending, line.length)) {
        stream->pending.has_failed = false; /* the next line may find memory again */
        return false;
    }
    azfn__buffer_append_span(&stream->pending, line);
    if (was_empty) {
        azfn__log_stream_write(stream);
    }
    return true;
}

void azfn__log_stream_take_over(struct azfn__log_stream *stream, struct azfn__log_stream *from)
{
    if (!azfn__buffer_reserve(&stream->pending, from->pending.length)) {
        stream->pending.has_failed = false;
        return;
    }
    azfn__buffer_append_span(&stream->pending, azfn__buffer_span(&from->pending));
    azfn__log_stream_clean_up(from);
}
