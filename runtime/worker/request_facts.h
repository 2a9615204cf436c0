/* worker/request_facts.h
 * What the log may say of an invocation beside the event itself: the function, the ids, and for a request who sent it
 * and what he asked for. Read where it lies, when there is something to tell and not before. All of it is hostile text.
 * Any thread, since nothing of the invocation is changed. */
#ifndef AZFN_WORKER_REQUEST_FACTS_H
#define AZFN_WORKER_REQUEST_FACTS_H

#include "base/event_fields.h"
#include "worker/invocation.h"

/* A client's text that the host has escaped in its JSON is decoded here, as much of it as there is room for: a line of
 * the log has room for less. */
#define AZFN__FACT_MAX_BYTES 1024

/* What the fields point into, where not into the invocation. */
struct azfn__request_facts {
    char source_ip[AZFN__FACT_MAX_BYTES];
    char request_method[AZFN__FACT_MAX_BYTES];
    char request_uri[AZFN__FACT_MAX_BYTES];
};

/* Fills in AZFN__FIELDS_OF_INVOCATION, and what else of AZFN__FIELDS_OF_REQUEST where that is wanted, a set of
 * AZFN__FIELD_BIT. In an envelope the request is the client's, which the envelope describes; an event of another trigger
 * has none; before the envelope was read, and where it can't be, the request is what came. */
void azfn__request_facts_fill(struct azfn__request_facts *facts, const struct azfn__invocation *invocation,
                              uint64_t wanted, struct azfn__event_fields *out_fields);

/* The caller's address: absent where the request does not say it. It may point into scratch. */
struct azfn_span azfn__request_facts_source_ip(const struct azfn__invocation *invocation,
                                               char scratch[AZFN__FACT_MAX_BYTES]);

#endif
