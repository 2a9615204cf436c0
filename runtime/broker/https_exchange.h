/* broker/https_exchange.h
 * One small question to another server, and its whole answer, wiped afterwards: what managed identity and Key Vault
 * need. Broker's loop only. */
#ifndef AZFN_BROKER_HTTPS_EXCHANGE_H
#define AZFN_BROKER_HTTPS_EXCHANGE_H

#include "broker/https_client.h"

#include <azfn.h>

struct azfn__https_exchange; /* one under way */

#define AZFN__HTTPS_REQUEST_ID_BYTES 64

/* Valid during the call, and wiped after it. */
struct azfn__https_answer {
    uint16_t status;
    char *body; /* may be changed where it lies; never NULL */
    size_t body_length;
    bool is_json;                /* by its Content-Type */
    uint32_t retry_after_ms;     /* 0: not said */
    struct azfn_span challenge;  /* WWW-Authenticate; absent where there is none or more than one */
    char request_id[AZFN__HTTPS_REQUEST_ID_BYTES + 1]; /* the server's name for this request, for the log; "-": none */
};

/* answer is NULL with an error: AZFN_ERROR_TIMEOUT, AZFN_ERROR_LIMIT (larger than max_body_bytes),
 * AZFN_ERROR_NO_MEMORY, AZFN_ERROR_FORBIDDEN (the certificate is not trusted, or not of that host),
 * AZFN_ERROR_UNAVAILABLE (all others). reason: for the log, never NULL. */
typedef void azfn__on_https_answer_fn(enum azfn_error error, struct azfn__https_answer *answer, const char *reason,
                                      void *user_data);

struct azfn__https_exchange_options {
    struct azfn__https_client *client; /* Required. Outlives the exchange. */
    struct azfn_span url;              /* Required. Copied, as the headers. */
    const struct azfn__https_header *headers;
    size_t header_count;
    enum azfn__https_trust trust;
    uint32_t timeout_ms;     /* Required. */
    uint64_t max_body_bytes; /* Required. */
    uint64_t now_ms;         /* Required. Wall clock: Retry-After may be a date. */
    azfn__on_https_answer_fn *on_answer;
    void *user_data;
};

/* A GET. Calls on_answer exactly once, on a later turn, unless it is cancelled; *out_exchange is gone then.
 * Errors: AZFN_ERROR_INVALID_ARGUMENT, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__https_exchange_start(const struct azfn__https_exchange_options *options,
                                                         struct azfn__https_exchange **out_exchange);
/* NULL is fine. */
void azfn__https_exchange_cancel(struct azfn__https_exchange *exchange);

#endif
