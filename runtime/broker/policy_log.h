/* broker/policy_log.h
 * What is told of the policy's decisions: the first refusal of a kind is an event, and so is the first use per
 * function, name and version; later ones are counted, and told every five minutes. A count stays until a line has said
 * it. For policy.c. */
#ifndef AZFN_BROKER_POLICY_LOG_H
#define AZFN_BROKER_POLICY_LOG_H

#include "broker/policy.h"

/* What the worker asks for may be anything. */
#define AZFN__POLICY_MAX_REFUSALS ((size_t)256)
/* In place of a function or an item that is not in the configuration. */
#define AZFN__POLICY_UNKNOWN SIZE_MAX

enum azfn__policy_kind { AZFN__POLICY_SECRET, AZFN__POLICY_DESTINATION, AZFN__POLICY_KIND_COUNT };

/* One name that azfn.json grants to one function, and its uses. */
struct azfn__policy_grant {
    size_t function; /* its place in the configuration, and the item's in its kind's table */
    size_t item;
    uint64_t untold;
    bool is_used;
    char version[40]; /* the newest one */
};

struct azfn__policy_refusal {
    size_t function; /* AZFN__POLICY_UNKNOWN: one that is not in the configuration; item as well */
    size_t item;
    enum azfn__policy_kind kind;
    const char *rule; /* of the destination's rules; NULL: not granted */
    uint64_t untold;
};

struct azfn__policy_log {
    const struct azfn__config *config;
    struct azfn__log_sink *sink;
    uv_timer_t timer; /* runs while there may be something to tell or to forget */
    struct {
        struct azfn__policy_grant *grants; /* the policy's */
        size_t count;
    } granted[AZFN__POLICY_KIND_COUNT];
    size_t next_grant; /* of both kinds, where telling goes on */
    size_t left;       /* to be looked at in this round; 0: there is none */
    bool has_untold;   /* since the round began */
    struct azfn__policy_refusal refusals[AZFN__POLICY_MAX_REFUSALS];
    size_t refusal_count;
    uint64_t others; /* refusals beyond these, not told */
    bool are_others_told;
};

/* Whoever embeds it sets granted, and closes the timer at the end. Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__policy_log_init(struct azfn__policy_log *log, uv_loop_t *loop,
                                                    const struct azfn__config *config, struct azfn__log_sink *sink);
/* Writes all counts now. */
void azfn__policy_log_tell(struct azfn__policy_log *log);

/* name: what was asked for, as the asker says it. */
void azfn__policy_log_refusal(struct azfn__policy_log *log, const struct azfn__policy_asker *asker,
                              const struct azfn__policy_refusal *refusal, struct azfn_span name);
void azfn__policy_log_use(struct azfn__policy_log *log, const struct azfn__policy_asker *asker,
                          enum azfn__policy_kind kind, struct azfn__policy_grant *grant, const char *version);

struct azfn_span azfn__policy_item_name(const struct azfn__config *config, enum azfn__policy_kind kind, size_t item);

#endif
