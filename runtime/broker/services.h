/* broker/services.h
 * What the broker does for functions, put together: policy, managed identity, Key Vault, destinations, and the client that
 * they use. Made once, after the first worker was started; an app that is granted nothing gets the policy alone. */
#ifndef AZFN_BROKER_SERVICES_H
#define AZFN_BROKER_SERVICES_H

#include "base/secret_slab.h"
#include "broker/credential_cache.h"
#include "broker/destination.h"
#include "broker/development.h"
#include "broker/https_client.h"
#include "broker/log_sink.h"
#include "broker/policy.h"
#include "broker/settings.h"
#include "config/config.h"

struct azfn__services_options {
    uv_loop_t *loop;                /* Required, as all others; all must outlive the services. */
    const struct azfn__config *config;
    const struct azfn__settings *settings;
    const struct azfn__development *development;
    struct azfn__secret_slab *slab;
    struct azfn__log_sink *log;
    const char *module_path;        /* of azfn-https.so */
    struct azfn_span identity_endpoint;     /* may be absent */
    struct azfn__secret *identity_header;   /* may be NULL */
};

/* Members are NULL where nothing needs them. */
struct azfn__services {
    const struct azfn__config *config;
    struct azfn__policy *policy;
    struct azfn__https_client *https;
    struct azfn__credential_source *identity;
    struct azfn__credential_cache *tokens;
    struct azfn__credential_source *vault;
    struct azfn__credential_cache *secrets;
    struct azfn__destinations *destinations;
};

/* Whether all references and URLs come out as they should, before anything is started. https and what is made here are
 * not needed for it. Errors, with *out_fault: AZFN_ERROR_INVALID_ARGUMENT, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__services_check(const struct azfn__services_options *options,
                                                   struct azfn__config_fault *out_fault);

/* Errors, with *out_fault: AZFN_ERROR_SYSTEM (the module), AZFN_ERROR_INVALID_ARGUMENT (a setting or URL),
 * AZFN_ERROR_NO_MEMORY. The process is to end then. */
AZFN_MUST_USE enum azfn_error azfn__services_init(struct azfn__services *services,
                                                  const struct azfn__services_options *options,
                                                  struct azfn__config_fault *out_fault);
/* The loop does not run any more: writes what was counted. The rest ends with the process. */
void azfn__services_end(struct azfn__services *services);

#endif
