/* broker/destination.h
 * Requests of functions to the destinations that azfn.json grants them: the broker adds the credential, so that the
 * function never holds one. Broker's loop only. */
#ifndef AZFN_BROKER_DESTINATION_H
#define AZFN_BROKER_DESTINATION_H

#include "broker/credential_cache.h"
#include "broker/development.h"
#include "broker/https_client.h"
#include "broker/policy.h"
#include "broker/settings.h"
#include "channel/ask_frame.h"
#include "config/config.h"

struct azfn__destinations; /* all of them, resolved */
struct azfn__destination_request;

struct azfn__destinations_options {
    uv_loop_t *loop;                             /* Required, as all others. All outlive the destinations. */
    struct azfn__https_client *https;
    struct azfn__credential_cache *tokens;
    struct azfn__credential_cache *secrets;
    struct azfn__secret_slab *slab; /* for the values of headers while requests are in flight */
    struct azfn__policy *policy;
    struct azfn__log_sink *log;
    const struct azfn__config *config;
    const struct azfn__settings *settings;
    const struct azfn__development *development;
};

/* AZFN_ERROR_INVALID_ARGUMENT: a URL is wrong once its settings are in it; *out_fault says which. Also:
 * AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__destinations_new(const struct azfn__destinations_options *options,
                                                     struct azfn__destinations **out_destinations,
                                                     struct azfn__config_fault *out_fault);
/* Writes what was counted since the last lines about it. */
void azfn__destinations_tell_counts(struct azfn__destinations *destinations);
/* No request may be in flight. Its memory goes on a later turn of the loop. NULL is fine. */
void azfn__destinations_destroy(struct azfn__destinations *destinations);

/* None is called before start returns; none after on_done, which is called exactly once unless the request is
 * cancelled. */
struct azfn__destination_callbacks {
    /* Without what holds a credential of ours. Valid during the call. */
    void (*on_head)(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data);
    /* False: not now; again after azfn__destination_request_resume(). */
    bool (*on_body)(struct azfn_span bytes, void *user_data);
    /* That many more bytes of the request's body may be written; AZFN__ASK_WINDOW_BYTES before the first. */
    void (*on_credit)(size_t bytes, void *user_data);
    /* As in https_module.h, and AZFN_ERROR_FORBIDDEN where a credential is refused or can't be had for good. */
    void (*on_done)(enum azfn_error error, void *user_data);
};

#define AZFN__DESTINATION_MAX_HEADERS ((size_t)100)

struct azfn__destination_request_options {
    const struct azfn__config_destination *destination; /* Required. What the policy found. */
    struct azfn__policy_asker asker; /* copied, as all spans */
    struct azfn_span method;
    struct azfn_span path;         /* behind the destination's; may have a query */
    struct azfn_span trace_parent; /* absent: none */
    const struct azfn__https_header *headers;
    size_t header_count; /* beyond AZFN__DESTINATION_MAX_HEADERS: refused, and none is read */
    uint64_t body_bytes; /* 0: none; AZFN__HTTPS_UNKNOWN_LENGTH: until the last write */
    uint32_t timeout_ms; /* of all, with retries; the destination's own may be shorter */
    struct azfn__destination_callbacks callbacks;
    void *user_data;
};

/* The use is recorded here. Errors: AZFN_ERROR_FORBIDDEN (path, method, header or size is not what the destination
 * allows; recorded; or the credential is no value for a header), AZFN_ERROR_LIMIT (too many are in flight),
 * AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__destination_request_start(struct azfn__destinations *destinations,
                                                              const struct azfn__destination_request_options *options,
                                                              struct azfn__destination_request **out_request);
/* The next bytes of the body; is_last ends it. False: more than there is credit for, or than body_bytes says: the worker
 * breaks the protocol. */
AZFN_MUST_USE bool azfn__destination_request_write(struct azfn__destination_request *request, struct azfn_span bytes,
                                                   bool is_last);
void azfn__destination_request_resume(struct azfn__destination_request *request);
/* Nothing is called for it any more. */
void azfn__destination_request_cancel(struct azfn__destination_request *request);

#endif
