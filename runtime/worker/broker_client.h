/* worker/broker_client.h
 * The worker's end of the channel. */
#ifndef AZFN_WORKER_BROKER_CLIENT_H
#define AZFN_WORKER_BROKER_CLIENT_H

#include "channel/frame.h"
#include "worker/dropped_logs.h"
#include "worker/frame_writer.h"

#include <azfn.h>
#include <uv.h>

struct azfn__broker_client_callbacks {
    void (*on_drain)(void *user_data);
    /* Any other frame. False: it is malformed. */
    bool (*on_frame)(const struct azfn__frame *frame, void *user_data);
    void *user_data;
};

struct azfn__broker_client {
    uv_pipe_t pipe;
    struct azfn__frame_reader reader;
    struct azfn__frame_writer writer;
    struct azfn__broker_client_callbacks callbacks;
    uv_timer_t end;                    /* runs while it finishes */
    struct azfn__dropped_logs dropped; /* which the broker did not take in time */
};

/* Reads from fd, which becomes the client's. When the broker is gone, or speaks nonsense, the process ends.
 * Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__broker_client_start(struct azfn__broker_client *client, uv_loop_t *loop, int fd,
                                                        const struct azfn__broker_client_callbacks *callbacks);

void azfn__broker_client_send(struct azfn__broker_client *client, enum azfn__frame_type type, struct azfn_span payload);
/* For asks: false where the broker is so far behind that nothing more may be added. */
bool azfn__broker_client_has_room(const struct azfn__broker_client *client);
/* Lines, and later on events, are dropped while the broker is far behind with those before them, whatever else is on its
 * way; it is told how many. */
void azfn__broker_client_log(struct azfn__broker_client *client, const struct azfn__log_frame *log);
/* The same for whole frames of azfn__frame_append_log(), one behind the other. */
void azfn__broker_client_pass(struct azfn__broker_client *client, struct azfn_span frames);
/* Runs the loop until the broker has taken all, but for at most limit_ms. For the end of the process. */
void azfn__broker_client_finish(struct azfn__broker_client *client, uint32_t limit_ms);

#endif
