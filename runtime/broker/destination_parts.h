/* broker/destination_parts.h
 * A destination as it is used, and what a request to it consists of. For the sources of destination.h only. */
#ifndef AZFN_BROKER_DESTINATION_PARTS_H
#define AZFN_BROKER_DESTINATION_PARTS_H

#include "base/arena.h"
#include "broker/destination.h"
#include "broker/destination_answer.h"
#include "broker/event_tally.h"

/* A header's value, shared by the requests that are sent with it. */
struct azfn__destination_credential {
    struct azfn__secret *value;
    struct azfn_span needle; /* what must not come back; empty where it is too short for that */
    size_t users;
};

struct azfn__destination_target {
    const struct azfn__config_destination *config;
    struct azfn_span url;
    enum azfn__https_trust trust;
    struct azfn__destination_credential *credential; /* the newest one that has users; NULL: none */
    bool has_rejected;
    uint64_t rejected_at_ms; /* when its token was last found to be refused */
    struct azfn__event_tally tally;
};

struct azfn__destinations {
    struct azfn__destinations_options options;
    struct azfn__arena arena;
    struct azfn__destination_target *targets; /* in the configuration's order */
    size_t in_flight;
    uv_timer_t tell_timer; /* runs while there may be something to tell or to forget */
    uint64_t tell_at_ms;
    bool has_tell_timer; /* from the first trouble on: a check of the configuration needs no loop */
};

enum azfn__destination_phase {
    AZFN__DESTINATION_WAITS_FOR_CREDENTIAL,
    AZFN__DESTINATION_WAITS_TO_TRY, /* again */
    AZFN__DESTINATION_IN_FLIGHT,
    AZFN__DESTINATION_DRAINS, /* the answer is whole, but its last bytes were not taken yet */
    AZFN__DESTINATION_ENDS,   /* with end_error, on a later turn */
    AZFN__DESTINATION_OVER
};

/* What the function sends, in a window. A sent byte is kept as long as all may have to be sent again. */
struct azfn__destination_body {
    struct azfn__buffer window;
    uint64_t total_bytes; /* AZFN__HTTPS_UNKNOWN_LENGTH */
    uint64_t written_bytes;
    uint64_t dropped_bytes; /* can't be sent again */
    size_t sent_bytes;      /* of the window, in this try */
    size_t credit_bytes;
    bool is_complete;
    bool is_kept;
    bool is_awaited; /* by the try in flight */
};

struct azfn__destination_request {
    struct azfn__destinations *owner;
    struct azfn__destination_target *target;
    struct azfn__policy_asker asker;
    struct azfn__destination_callbacks callbacks;
    void *user_data;

    struct azfn__arena arena; /* the copies of what start() was given */
    struct azfn__buffer url;
    enum azfn__method method;
    struct azfn__https_header *headers; /* the first one is the credential's, where there is one */
    size_t header_count;
    struct azfn__destination_body body;

    enum azfn__destination_phase phase;
    uv_timer_t timer;
    uint64_t deadline_ms;
    enum azfn_error end_error;
    struct azfn__credential_wait *wait;
    struct azfn__https_request *https;
    struct azfn__destination_credential *credential;
    struct azfn__destination_filter filter;
    unsigned tries;
    bool has_new_token; /* the earlier one was refused */
    bool has_head;      /* it was handed on */
    bool is_paused;     /* by whoever takes the answer */
};

/* destination.c */

/* An event about a destination, or one more for its count. reason: no secret in it. */
void azfn__destination_tell(struct azfn__destinations *destinations, struct azfn__destination_target *target,
                            const struct azfn__policy_asker *asker, enum azfn__security_event event,
                            const char *reason);

/* destination_credential.c */

/* For request, out of value. Errors: AZFN_ERROR_FORBIDDEN (no value for a header), AZFN_ERROR_LIMIT (no slot is free),
 * AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__destination_credential_acquire(struct azfn__destination_request *request,
                                                                   struct azfn_span value);
/* NULL is fine. */
void azfn__destination_credential_release(struct azfn__destination_target *target,
                                          struct azfn__destination_credential *credential);
/* Whether it was made of that value. */
bool azfn__destination_credential_is(const struct azfn__destination_credential *credential,
                                     const struct azfn__destination_target *target, struct azfn_span value);

/* destination_request.c */

/* azfn__destination_tell() for a request. */
void azfn__destination_request_tell(const struct azfn__destination_request *request, enum azfn__security_event event,
                                    const char *reason);
/* Everything it holds is given back; nothing is called. Its memory goes on a later turn. */
void azfn__destination_request_release(struct azfn__destination_request *request);
/* The same, and on_done. From callbacks only. */
void azfn__destination_request_finish(struct azfn__destination_request *request, enum azfn_error error);

/* destination_try.c */

/* The next try, with a credential that may have to be waited for first. Errors: nothing goes on any more. */
AZFN_MUST_USE enum azfn_error azfn__destination_try(struct azfn__destination_request *request);
/* The timer of a request that waits or drains. */
void azfn__destination_on_timer(uv_timer_t *timer);
/* Starts the timer for what is left of the request's time. */
void azfn__destination_await_deadline(struct azfn__destination_request *request);

#endif
