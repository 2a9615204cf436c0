/* broker/sandboxing.h
 * The broker's part in the sandbox: what it restricts itself to, and what it says where a layer is missing. */
#ifndef AZFN_BROKER_SANDBOXING_H
#define AZFN_BROKER_SANDBOXING_H

#include "broker/log_sink.h"
#include "broker/services.h"
#include "config/config.h"

/* What the kernel was found to lack, before the broker could not ask any more. */
struct azfn__sandboxing {
    unsigned missing; /* layers of sandbox/layers.h */
};

/* Fills in *sandboxing. NULL, or static text: why the handler must not start. is_required: --require-sandbox. */
const char *azfn__sandboxing_check(struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                                   bool is_required);

/* An event for each layer that is off. */
void azfn__sandboxing_report(const struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                             struct azfn__log_sink *log);

/* The layers' names, "seccomp, limits"; as they are now, for as long as the process lives. */
#define AZFN__SANDBOXING_LIST_BYTES 96
struct azfn__sandboxing_lists {
    char on[AZFN__SANDBOXING_LIST_BYTES];
    char off[AZFN__SANDBOXING_LIST_BYTES]; /* by the configuration, or since the kernel lacks them */
};
void azfn__sandboxing_list(const struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                           struct azfn__sandboxing_lists *out_lists);

/* Before there is an event loop. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__sandboxing_begin(const struct azfn__config *config);

/* When all that the broker needs is loaded: reads what TLS and the resolver need, connects to the ports that the
 * configuration names, executes nothing. A system call that it forbids raises SIGSYS, see broker/last_words.h. Error:
 * AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__sandboxing_enter(const struct azfn__services *services,
                                                     const struct azfn__services_options *options);

#endif
