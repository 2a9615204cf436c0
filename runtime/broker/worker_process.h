/* broker/worker_process.h
 * One worker as the broker sees it: a pid, the channel, two pipes with what it prints, and its flight
 * record. It reads them and reports; what to do about it is the supervisor's business. */
#ifndef AZFN_BROKER_WORKER_PROCESS_H
#define AZFN_BROKER_WORKER_PROCESS_H

#include "broker/launcher.h"
#include "broker/log_sink.h"
#include "broker/worker_asks.h"
#include "broker/worker_output.h"
#include "channel/frame.h"
#include "worker/flight_record.h"
#include "worker/frame_writer.h"

#include <azfn.h>
#include <uv.h>

struct azfn__worker_process;

struct azfn__worker_process_callbacks {
    /* A frame other than a log line or an ask. False: it is nothing that a worker sends. */
    bool (*on_frame)(struct azfn__worker_process *worker, const struct azfn__frame *frame, void *user_data);
    /* The channel ended, with reason NULL, or broke the protocol, with a static text that says how: the worker is
     * dead or must die. */
    void (*on_lost)(struct azfn__worker_process *worker, const char *reason, void *user_data);
    void *user_data;
};

struct azfn__worker_process {
    pid_t pid; /* 0 until the launcher has reported it */
    bool is_ready;
    bool is_killed; /* its end is awaited */
    bool is_told;   /* the log has why it ends */
    bool has_ended; /* what it had still sent is being read */
    uint64_t started_at_ms; /* uv_now(); as ready_at_ms */
    uint64_t ready_at_ms;
    uv_pipe_t channel;
    uv_idle_t next_turn; /* runs where more of the channel is left for it */
    struct {
        uv_pipe_t pipe;
        struct azfn__worker_output text;
    } outputs[2]; /* stdout, stderr */
    struct azfn__frame_reader reader;
    struct azfn__frame_writer writer;
    struct azfn__services *services;
    struct azfn__worker_asks *asks; /* NULL until it asks for something */
    bool is_behind;                 /* it does not read what it asked for: it is not read either */
    struct azfn__flight_record *flight_record;
    struct azfn__log_sink *log;
    struct azfn__worker_process_callbacks callbacks;
    unsigned open_handles;
    bool is_closing;
};

struct azfn__worker_process_options {
    uv_loop_t *loop;                        /* Required, as all others. These three outlive the worker. */
    struct azfn__log_sink *log;
    struct azfn__services *services;        /* Answer what it asks for. */
    struct azfn__launcher *launcher;
    int listener;                           /* Stay the caller's. */
    int config_fd;
    const struct azfn__suspects *suspects;  /* What it must not run; copied. */
    struct azfn__worker_process_callbacks callbacks;
};

/* Makes the descriptors and has the launcher start a worker with them.
 * Errors: AZFN_ERROR_SYSTEM with errno, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__worker_process_start(const struct azfn__worker_process_options *options,
                                                         struct azfn__worker_process **out_worker);

/* Sends a frame without payload. One that can't be sent at once is for a worker that does not read any more. */
void azfn__worker_process_send(struct azfn__worker_process *worker, enum azfn__frame_type type);

/* Takes the frames that it has sent until now, so that it is judged by all it said. Not from within one of its
 * callbacks. */
void azfn__worker_process_read_rest(struct azfn__worker_process *worker);

/* Reads what it had still printed, then frees it on a later tick. */
void azfn__worker_process_close(struct azfn__worker_process *worker);

#endif
