/* broker/key_vault_answer.h
 * What Key Vault answers: a secret, a refusal, a challenge. Hostile until read. Pure. */
#ifndef AZFN_BROKER_KEY_VAULT_ANSWER_H
#define AZFN_BROKER_KEY_VAULT_ANSWER_H

#include <azfn.h>

#define AZFN__VAULT_VALUE_MAX_BYTES ((size_t)25 << 10)
#define AZFN__VAULT_VERSION_BYTES 40

struct azfn__key_vault_secret {
    struct azfn_span value;                  /* in the body; may be empty */
    char version[AZFN__VAULT_VERSION_BYTES]; /* NUL-terminated, never empty */
    uint64_t expires_at_ms;                  /* since the epoch; UINT64_MAX: never */
    bool is_out_of_time;                     /* with AZFN_ERROR_FORBIDDEN: it has expired, or is not valid yet */
};

/* Reads {"value", "id", "attributes": {"enabled", "nbf"?, "exp"?}} and decodes the value where it lies in body.
 * version: the one that was asked for; absent: the newest. Errors, each with static text in *out_reason:
 * AZFN_ERROR_UNAVAILABLE (not such an answer), AZFN_ERROR_FORBIDDEN (disabled, expired, not valid yet, a NUL in it),
 * AZFN_ERROR_LIMIT. */
AZFN_MUST_USE enum azfn_error azfn__key_vault_secret_read(char *body, size_t length, struct azfn_span version,
                                                          uint64_t now_ms, struct azfn__key_vault_secret *out_secret,
                                                          const char **out_reason);

/* The innermost error code that is known, such as "ForbiddenByRbac": static text, never the server's. "-": none. */
const char *azfn__key_vault_error_code(struct azfn_span body);

enum azfn__vault_challenge {
    AZFN__VAULT_CHALLENGE_MATCHES,
    AZFN__VAULT_CHALLENGE_UNREADABLE, /* not exactly: Bearer name="value", ... with a resource or a scope */
    AZFN__VAULT_CHALLENGE_OTHER,      /* it names another audience */
};

/* Bearer authorization="https://...", resource="<audience>", or scope="<audience>/.default". */
enum azfn__vault_challenge azfn__key_vault_challenge_check(struct azfn_span challenge, struct azfn_span audience);

#endif
