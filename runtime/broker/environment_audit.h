/* broker/environment_audit.h
 * What the log says at start of the secrets that are in the environment. */
#ifndef AZFN_BROKER_ENVIRONMENT_AUDIT_H
#define AZFN_BROKER_ENVIRONMENT_AUDIT_H

#include "broker/log_sink.h"
#include "broker/settings.h"

/* Before the environment is wiped. False: azfn.json refuses secrets there, and there are some: *out_fault has their
 * names. */
AZFN_MUST_USE bool azfn__environment_audit(const struct azfn__config *config, const struct azfn__settings *settings,
                                           struct azfn__log_sink *log, struct azfn__config_fault *out_fault);

#endif
