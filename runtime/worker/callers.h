/* worker/callers.h
 * Who calls, as App Service Authentication (Easy Auth) says it in X-MS-CLIENT-PRINCIPAL-ID and -IDP: the first request
 * of each caller from each address to each function is an event at once, later ones are counted, and told every five
 * minutes. Where Easy Auth is off these headers are the client's own words, and each request with them is an event.
 * What the headers say besides, the claims and the name, is neither read nor told. Owned by the dispatcher; its loop
 * only. */
#ifndef AZFN_WORKER_CALLERS_H
#define AZFN_WORKER_CALLERS_H

#include "worker/invocation.h"

#include <azfn.h>
#include <uv.h>

/* When there are more, the one that was not seen for longest gives way. */
#define AZFN__CALLERS_MAX 256
#define AZFN__CALLER_PRINCIPAL_BYTES 64
#define AZFN__CALLER_PROVIDER_BYTES 32

struct azfn__caller;

struct azfn__callers {
    struct azfn__dispatcher *dispatcher;
    uv_timer_t timer; /* runs while there is somebody in the table */
    struct azfn__caller *table; /* NULL until somebody is to be counted */
    size_t count;
    uint64_t notes; /* requests that named their caller */
    uint8_t skips[256]; /* of the search for the name */
};

/* Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__callers_init(struct azfn__callers *callers, struct azfn__dispatcher *dispatcher);
/* After the loop. */
void azfn__callers_clean_up(struct azfn__callers *callers);

/* An invocation is about to run. */
void azfn__callers_note(struct azfn__callers *callers, const struct azfn__invocation *invocation);
/* Writes the counts that are not told yet. */
void azfn__callers_tell(struct azfn__callers *callers);

#endif
