/* worker/asks.h
 * What functions ask the broker for: secrets and requests to destinations, with their answers. An ask is a part of its
 * invocation, lies in its memory, and ends with it at the latest. */
#ifndef AZFN_WORKER_ASKS_H
#define AZFN_WORKER_ASKS_H

#include "base/secret_slab.h"
#include "channel/ask_frame.h"
#include "worker/ask_table.h"
#include "worker/broker_client.h"

#include <azfn.h>

struct azfn__invocation;

struct azfn__asks {
    struct azfn__broker_client *broker;
    struct azfn__secret_slab *slab; /* NULL: azfn.json grants no secret to anybody */
    struct azfn__ask_table secrets;
    struct azfn__ask_table requests;
};

/* Both must outlive the asks. */
void azfn__asks_init(struct azfn__asks *asks, struct azfn__broker_client *broker, struct azfn__secret_slab *slab);
/* Nothing may be waiting. */
void azfn__asks_clean_up(struct azfn__asks *asks);

/* An answer of the broker; what it is for may have gone. False: it is malformed, or no answer. */
AZFN_MUST_USE bool azfn__asks_take(struct azfn__asks *asks, const struct azfn__frame *frame);

/* The invocation is being answered: its asks that wait are given up. What has arrived stays until it is reset, since the
 * answer may be made of it. */
void azfn__asks_stop(struct azfn__invocation *invocation);
/* Wipes the secrets of the invocation. */
void azfn__asks_release_secrets(struct azfn__invocation *invocation);
/* Wipes everything; the invocation's memory may go. */
void azfn__asks_release(struct azfn__invocation *invocation);

/* For secret_asks.c and request_asks.c. */
AZFN_MUST_USE bool azfn__secret_asks_take(struct azfn__asks *asks, struct azfn_span payload);
void azfn__secret_asks_stop(struct azfn__invocation *invocation);
AZFN_MUST_USE bool azfn__request_asks_take(struct azfn__asks *asks, const struct azfn__frame *frame);
void azfn__request_asks_stop(struct azfn__invocation *invocation);
void azfn__request_asks_release(struct azfn__invocation *invocation);

#endif
