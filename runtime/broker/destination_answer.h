/* broker/destination_answer.h
 * What a function sees of a destination's answer: no header that is a credential or carries ours, and no byte of a body
 * behind a place where ours stands. Pure. */
#ifndef AZFN_BROKER_DESTINATION_ANSWER_H
#define AZFN_BROKER_DESTINATION_ANSWER_H

#include "https/https_module.h"

#include <azfn.h>

/* Searches a stream for a needle, and holds back what could be its beginning, which is in the needle already. */
struct azfn__destination_filter {
    struct azfn_span needle; /* must stay; empty: nothing is searched */
    size_t held_bytes;
};

enum azfn__destination_passage {
    AZFN__DESTINATION_PASSED,
    AZFN__DESTINATION_PAUSED, /* the same bytes have to come again */
    AZFN__DESTINATION_FOUND,  /* the needle */
    AZFN__DESTINATION_GONE,   /* whoever took the bytes has ended the filter */
};

/* Takes the bytes, or not now (AZFN__DESTINATION_PAUSED), or ends it all (AZFN__DESTINATION_GONE). */
typedef enum azfn__destination_passage azfn__destination_take_fn(struct azfn_span bytes, void *user_data);

AZFN_MUST_USE enum azfn__destination_passage azfn__destination_filter_pass(struct azfn__destination_filter *filter,
                                                                           struct azfn_span bytes,
                                                                           azfn__destination_take_fn *take,
                                                                           void *user_data);
/* At the end of the stream: what was held back. */
AZFN_MUST_USE enum azfn__destination_passage azfn__destination_filter_flush(struct azfn__destination_filter *filter,
                                                                            azfn__destination_take_fn *take,
                                                                            void *user_data);

/* Copies the headers that may be handed on to out, which has room for all; returns how many. *out_has_needle: one was
 * left out because of its value. */
size_t azfn__destination_headers_filter(const struct azfn__https_header *headers, size_t count, struct azfn_span needle,
                                        struct azfn__https_header *out, bool *out_has_needle);

/* How long the answer asks to wait; UINT64_MAX: it does not say. now_s: since the epoch. */
uint64_t azfn__destination_retry_after_ms(const struct azfn__https_header *headers, size_t count, int64_t now_s);

#endif
