/* broker/identity_answer.h
 * What the managed identity endpoint answers. Hostile until read. Pure. */
#ifndef AZFN_BROKER_IDENTITY_ANSWER_H
#define AZFN_BROKER_IDENTITY_ANSWER_H

#include <azfn.h>

#define AZFN__TOKEN_MAX_BYTES ((size_t)16 << 10)
/* One with less than that to live is none. */
#define AZFN__TOKEN_MIN_LIFE_MS 60000

struct azfn__identity_answer {
    struct azfn_span token; /* in the body */
    uint64_t expires_at_ms; /* since the epoch */
};

/* Reads {"access_token": "...", "expires_on": seconds, "token_type": "Bearer", ...} and decodes the token where it lies
 * in body. NULL, or static text that says what is wrong. */
const char *azfn__identity_answer_read(char *body, size_t length, uint64_t now_ms,
                                       struct azfn__identity_answer *out_answer);

#endif
