/* broker/key_vault.h
 * Secrets of Azure Key Vault, by the references of azfn.json. A source of credentials; the key is the secret's name in
 * azfn.json. */
#ifndef AZFN_BROKER_KEY_VAULT_H
#define AZFN_BROKER_KEY_VAULT_H

#include "broker/credential_cache.h"
#include "broker/https_client.h"
#include "broker/settings.h"
#include "config/config.h"

struct azfn__key_vault_options {
    struct azfn__https_client *https;            /* Required. All outlive the vault. */
    struct azfn__secret_slab *slab;              /* Required. */
    struct azfn__credential_cache *tokens;       /* Required. Of the identity that reads the vaults. */
    const struct azfn__config *config;           /* Required. */
    const struct azfn__settings *settings;       /* Required. Replaces %NAME%. */
    struct azfn_span development_suffix;         /* Optional. ".vault.localhost:8443" in place of the clouds'. */
    uint64_t (*now_ms)(void);                    /* Optional; NULL is the wall clock. */
};

/* Every reference is resolved here. AZFN_ERROR_INVALID_ARGUMENT: out_fault->message says which one is wrong, such as a
 * setting that is missing. Errors also: AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__key_vault_new(const struct azfn__key_vault_options *options,
                                                  struct azfn__credential_source **out_vault,
                                                  struct azfn__config_fault *out_fault);
/* After the cache in front of it, before that of the tokens. NULL is fine. */
void azfn__key_vault_destroy(struct azfn__credential_source *vault);

#endif
