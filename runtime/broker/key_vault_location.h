/* broker/key_vault_location.h
 * Where a secret of azfn.json is, once the settings are in its reference. Pure. */
#ifndef AZFN_BROKER_KEY_VAULT_LOCATION_H
#define AZFN_BROKER_KEY_VAULT_LOCATION_H

#include "base/arena.h"
#include "broker/settings.h"
#include "config/config.h"

struct azfn__key_vault_location {
    struct azfn_span name;     /* the secret's in azfn.json; the configuration's memory */
    struct azfn_span url;      /* the rest is in the arena */
    struct azfn_span audience; /* what the token for it is asked for */
    struct azfn_span version;  /* absent: the newest */
};

/* development_suffix, ".vault.localhost:8443", takes the place of the clouds' where it is present.
 * Errors: AZFN_ERROR_INVALID_ARGUMENT, with *out_fault; AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__key_vault_locate(const struct azfn__config_secret *secret,
                                                     const struct azfn__settings *settings,
                                                     struct azfn_span development_suffix, struct azfn__arena *arena,
                                                     struct azfn__key_vault_location *out_location,
                                                     struct azfn__config_fault *out_fault);

#endif
