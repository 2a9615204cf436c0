/* broker/policy.h
 * What azfn.json grants to which function, decided for each ask of the worker, deny by default; and the record of it:
 * a refusal is an event, later ones of the same kind are counted; the first grant per function, name and version is an
 * event, then one with a count every five minutes. Broker's loop only. */
#ifndef AZFN_BROKER_POLICY_H
#define AZFN_BROKER_POLICY_H

#include "broker/log_sink.h"
#include "config/config.h"

struct azfn__policy;

/* config and log must outlive the policy. Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__policy_new(uv_loop_t *loop, const struct azfn__config *config,
                                               struct azfn__log_sink *log, struct azfn__policy **out_policy);
/* Writes the counts that are not yet told. NULL is fine. */
void azfn__policy_destroy(struct azfn__policy *policy);

/* Who asks. All of it comes from the worker: hostile text. */
struct azfn__policy_asker {
    struct azfn_span function;
    struct azfn_span invocation_id;
    struct azfn_span trace_id; /* may be absent */
};

/* The secret, or NULL: there is no such function, no such secret, or it is not granted. The refusal is recorded here. */
const struct azfn__config_secret *azfn__policy_find_secret(struct azfn__policy *policy,
                                                           const struct azfn__policy_asker *asker,
                                                           struct azfn_span secret);
const struct azfn__config_destination *azfn__policy_find_destination(struct azfn__policy *policy,
                                                                     const struct azfn__policy_asker *asker,
                                                                     struct azfn_span destination);
/* A secret was handed over, a destination was used. version may be empty. */
void azfn__policy_record_read(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                              const struct azfn__config_secret *secret, const char *version);
void azfn__policy_record_use(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                             const struct azfn__config_destination *destination);
/* A request of the function was refused by the destination's own rules (path, method, header, size): what says which,
 * static text. */
void azfn__policy_record_refusal(struct azfn__policy *policy, const struct azfn__policy_asker *asker,
                                 const struct azfn__config_destination *destination, const char *what);

#endif
