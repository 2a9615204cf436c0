/* broker/worker_asks.h
 * What one worker asks the broker for: its frames are decoded, the policy decides, and the answers go back. The
 * worker may be in an attacker's hands: it is answered or refused, and ended where it breaks the protocol. Owned
 * by its worker_process. */
#ifndef AZFN_BROKER_WORKER_ASKS_H
#define AZFN_BROKER_WORKER_ASKS_H

#include "broker/services.h"
#include "channel/ask_frame.h"
#include "worker/frame_writer.h"

#include <azfn.h>

struct azfn__worker_asks;

/* Both must outlive the asks. NULL without memory. */
struct azfn__worker_asks *azfn__worker_asks_new(struct azfn__services *services, struct azfn__frame_writer *writer);
/* Everything that is under way is cancelled. NULL is fine. */
void azfn__worker_asks_destroy(struct azfn__worker_asks *asks);

/* False: it is malformed, or nothing that a worker sends. */
AZFN_MUST_USE bool azfn__worker_asks_take(struct azfn__worker_asks *asks, const struct azfn__frame *frame);
/* The worker has taken what was on its way: answers that were held back go on. */
void azfn__worker_asks_resume(struct azfn__worker_asks *asks);

#endif
