/* broker/development.h
 * The local development switch: a file, named by the environment variable AZFN_DEVELOPMENT, that says where the
 * stand-ins for Key Vault and for destinations are and which certificate authority they have. azfn-local writes it.
 * Refused where the platform is recognised; an event at each start. Leads to this machine only: localhost, *.localhost
 * and 127.x.x.x. */
#ifndef AZFN_BROKER_DEVELOPMENT_H
#define AZFN_BROKER_DEVELOPMENT_H

#include "base/arena.h"
#include "config/config.h"

struct azfn__development_destination {
    struct azfn_span name; /* of azfn.json's destination */
    struct azfn_span url;  /* https://..., in place of its own */
};

/* {"certificateAuthority": "-----BEGIN CERTIFICATE-----\n...", "vaultSuffix": ".vault.localhost:8443",
 *  "destinations": {"orders-queue": "https://127.0.0.1:10001/devstoreaccount1/orders/"}} */
struct azfn__development {
    bool is_on;
    struct azfn_span certificate_authority;
    struct azfn_span vault_suffix;
    const struct azfn__development_destination *destinations;
    size_t destination_count;
};

/* Reads the file at path; copies into arena. Unknown keys are errors; destinations that azfn.json does not have are not,
 * since the file may serve several apps. Errors: AZFN_ERROR_SYSTEM, AZFN_ERROR_LIMIT, AZFN_ERROR_SYNTAX,
 * AZFN_ERROR_INVALID_ARGUMENT, AZFN_ERROR_NO_MEMORY, with *out_fault. */
AZFN_MUST_USE enum azfn_error azfn__development_read(struct azfn__development *development, struct azfn__arena *arena,
                                                     const char *path, struct azfn__config_fault *out_fault);

/* NULL, or the name of a variable in the environment that only the platform sets. Before the environment is wiped. */
const char *azfn__development_platform_marker(void);

#endif
