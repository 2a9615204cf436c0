/* broker/worker_output.h
 * What a worker prints, as lines of the log: plain text, since who prints may be in an attacker's hands. */
#ifndef AZFN_BROKER_WORKER_OUTPUT_H
#define AZFN_BROKER_WORKER_OUTPUT_H

#include "base/buffer.h"
#include "broker/log_sink.h"

#include <azfn.h>

/* One of its streams. */
struct azfn__worker_output {
    struct azfn__log_sink *log;
    enum azfn_log_level level;
    enum azfn__log_origin origin;
    struct azfn__buffer line; /* what has come of it */
    bool is_skipping;         /* the rest of a line that was too long */
};

/* origin: AZFN__ORIGIN_WORKER_STDOUT, whose lines are Information, or _STDERR, whose lines are Errors. log outlives
 * it. */
void azfn__worker_output_init(struct azfn__worker_output *output, struct azfn__log_sink *log,
                              enum azfn__log_origin origin);
void azfn__worker_output_clean_up(struct azfn__worker_output *output);

/* Writes the lines that have ended, and one that is too long, cut. */
void azfn__worker_output_take(struct azfn__worker_output *output, struct azfn_span bytes);
/* Nothing comes any more: writes a line that has not ended. */
void azfn__worker_output_end(struct azfn__worker_output *output);

#endif
