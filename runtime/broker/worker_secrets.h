/* broker/worker_secrets.h
 * The secrets that one worker asks for: policy, then the cache, and whoever has to wait for a fetch. A part of its
 * worker_asks. */
#ifndef AZFN_BROKER_WORKER_SECRETS_H
#define AZFN_BROKER_WORKER_SECRETS_H

#include "broker/services.h"
#include "channel/ask_frame.h"
#include "worker/frame_writer.h"

#include <azfn.h>

struct azfn__secret_wait;

struct azfn__worker_secrets {
    struct azfn__services *services;
    struct azfn__frame_writer *writer;
    struct azfn__secret_wait *waits;
    struct azfn__secret_wait *due; /* those that were fetched while the worker did not read */
    size_t wait_count;             /* in both */
};

/* Both must outlive it. */
void azfn__worker_secrets_init(struct azfn__worker_secrets *secrets, struct azfn__services *services,
                               struct azfn__frame_writer *writer);
/* Nobody waits any more. */
void azfn__worker_secrets_clean_up(struct azfn__worker_secrets *secrets);

/* The payload of a SECRET_ASK. False: it is malformed. */
AZFN_MUST_USE bool azfn__worker_secrets_take(struct azfn__worker_secrets *secrets, struct azfn_span payload);
/* The worker reads again: those who are due are served, until it is behind. */
void azfn__worker_secrets_resume(struct azfn__worker_secrets *secrets);

#endif
