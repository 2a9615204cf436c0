/* worker/http_sender.h
 * Puts bytes on a socket: at once where it takes them, queued for the rest. */
#ifndef AZFN_WORKER_HTTP_SENDER_H
#define AZFN_WORKER_HTTP_SENDER_H

#include <azfn.h>
#include <uv.h>

#define AZFN__HTTP_SENDER_MAX_PARTS 3

struct azfn__http_sender {
    uv_stream_t *stream;
    /* Something that had been queued is out, or, where status is libuv's error, never will be. */
    void (*on_sent)(struct azfn__http_sender *sender, int status);
    uint32_t queued;       /* writes that are on their way */
    uint64_t queued_bytes; /* ever */
};

void azfn__http_sender_init(struct azfn__http_sender *sender, uv_stream_t *stream,
                            void (*on_sent)(struct azfn__http_sender *sender, int status));

/* At most AZFN__HTTP_SENDER_MAX_PARTS, in order. are_kept: they stay valid and unchanged until all is out;
 * otherwise what can't go out at once is copied. on_sent is not called for what goes out at once.
 * Errors, after which some of it may be out, so that nothing more can follow: AZFN_ERROR_SYSTEM (the
 * connection is broken), AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__http_sender_send(struct azfn__http_sender *sender, const struct azfn_span *parts,
                                                     size_t count, bool are_kept);

/* Nothing is queued. */
static inline bool azfn__http_sender_is_idle(const struct azfn__http_sender *sender)
{
    return sender->queued == 0;
}

/* How much is queued. */
size_t azfn__http_sender_queued_bytes(const struct azfn__http_sender *sender);
/* How much of all that ever had to be queued is out: grows while the other side takes it. */
uint64_t azfn__http_sender_sent_bytes(const struct azfn__http_sender *sender);

#endif
