/* broker/credential_fetch.h
 * One try of a source of credentials to get one: who is to be told, and its place among the source's others. The first
 * member of what a source keeps of it, which is freed with it. */
#ifndef AZFN_BROKER_CREDENTIAL_FETCH_H
#define AZFN_BROKER_CREDENTIAL_FETCH_H

#include "broker/credential_cache.h"

struct azfn__credential_fetch {
    struct azfn__credential_fetch *next;
    struct azfn__credential_fetch **from; /* what points to this one */
    azfn__on_fetched_fn *on_fetched;
    void *user_data;
};

/* Puts it, which has on_fetched and user_data, in front of fetches. */
void azfn__credential_fetch_begin(struct azfn__credential_fetch *fetch, struct azfn__credential_fetch **fetches);
/* Takes it out and frees it, then tells. */
void azfn__credential_fetch_finish(struct azfn__credential_fetch *fetch, const struct azfn__fetch_result *result);
void azfn__credential_fetch_fail(struct azfn__credential_fetch *fetch, enum azfn_error error, const char *reason);
/* The same, with the error of an https exchange: a certificate that is not trusted may be repaired at any time, and
 * says nothing about what was asked for. */
void azfn__credential_fetch_fail_exchange(struct azfn__credential_fetch *fetch, enum azfn_error error,
                                          const char *reason);

#endif
