/* broker/credential_cache.h
 * Credentials that somebody else gives out for a time: tokens of a managed identity, secrets of Key Vault. Each is
 * fetched once for all who ask at the same time, kept in locked memory, fetched again in the background before it has to
 * be, and outlives a source that fails. A decorator around a source; broker's loop only. */
#ifndef AZFN_BROKER_CREDENTIAL_CACHE_H
#define AZFN_BROKER_CREDENTIAL_CACHE_H

#include "base/secret_slab.h"
#include "broker/log_sink.h"

#include <azfn.h>
#include <uv.h>

struct azfn__credential {
    struct azfn__secret *value;
    char version[40];       /* NUL-terminated; empty where the source has none */
    uint64_t expires_at_ms; /* wall clock since the epoch; UINT64_MAX: never */
};

/* One try's outcome. On AZFN_OK credential->value becomes the receiver's. Otherwise AZFN_ERROR_NOT_FOUND,
 * AZFN_ERROR_FORBIDDEN (both for good: not tried again at once), AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_TIMEOUT (tried
 * again, not before retry_after_ms), AZFN_ERROR_LIMIT, AZFN_ERROR_NO_MEMORY. */
struct azfn__fetch_result {
    enum azfn_error error;
    struct azfn__credential credential;
    uint32_t retry_after_ms;
    bool has_expired;       /* with AZFN_ERROR_FORBIDDEN: what there is is not valid at this time */
    bool is_distrusted;     /* with AZFN_ERROR_UNAVAILABLE: by a server whose certificate is not trusted */
    const char *reason;     /* Never NULL. For the log, no secret in it: the same text each time that it is the same. */
    const char *request_id; /* Optional; NULL or "-": none. The server's name for this one, for the log. */
};
typedef void azfn__on_fetched_fn(const struct azfn__fetch_result *result, void *user_data);

/* Where credentials come from. Embedded in what implements it. */
struct azfn__credential_source {
    /* One try. Calls on_fetched exactly once, perhaps before it returns, unless it returns an error. What is under
     * way when a source is destroyed ends with AZFN_ERROR_UNAVAILABLE. */
    enum azfn_error (*fetch)(struct azfn__credential_source *source, struct azfn_span key,
                             azfn__on_fetched_fn *on_fetched, void *user_data);
};

struct azfn__credential_cache;
struct azfn__credential_wait; /* one who waits */

/* The events that a cache writes. */
struct azfn__credential_events {
    const char *noun;                      /* "secret", "token": for the texts */
    bool names_secrets;                    /* The key is a secret's name; otherwise the resource of a token. */
    enum azfn__security_event fetched;     /* the first value of a key */
    enum azfn__security_event refreshed;   /* a later one with another version (secrets), or any (tokens) */
    enum azfn__security_event stale;       /* a value is used past its time, since the source fails */
    enum azfn__security_event recovered;   /* that is over, or what any of the next ones has said */
    enum azfn__security_event failed;      /* a fetch failed, after its retries, and there is no value */
    enum azfn__security_event refused;     /* the same, with AZFN_ERROR_FORBIDDEN; or a value was dropped for it */
    enum azfn__security_event missing;     /* the same, with AZFN_ERROR_NOT_FOUND */
    enum azfn__security_event expired;     /* the same, since it is not valid at this time */
    enum azfn__security_event distrusted;  /* a try failed, since the server's certificate is not trusted */
};
extern const struct azfn__credential_events azfn__credential_token_events;
extern const struct azfn__credential_events azfn__credential_secret_events;

struct azfn__credential_cache_options {
    uv_loop_t *loop;                            /* Required. */
    struct azfn__secret_slab *slab;             /* Required. Must outlive the cache, as the next two. */
    struct azfn__log_sink *log;                 /* Required. */
    struct azfn__credential_source *source;     /* Required. */
    const struct azfn__credential_events *events; /* Required. */
    /* Tokens: fetched again after half of their life, and used until they expire, whatever the source says. Otherwise
     * after refresh_ms, and one that is "not found" or "forbidden" then is not used any more: somebody meant it. */
    bool refreshes_at_half_life;
    uint64_t refresh_ms; /* Optional; 0 means 1 h. A credential that nobody asks for in 24 times that is forgotten. */
    uint64_t stale_limit_ms;                    /* Secrets: how long one outlives its refresh time, never its expiry. */
    uint32_t negative_ms;                       /* Optional; 0 means 10 s. How long "not found" and "forbidden" are kept. */
    uint64_t (*now_ms)(void);                   /* Optional; NULL is the wall clock. Milliseconds since the epoch. */
};

/* Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__credential_cache_new(const struct azfn__credential_cache_options *options,
                                                         struct azfn__credential_cache **out_cache);
/* Those who wait are not called any more; handles close on later turns. The source is destroyed after it. NULL is
 * fine. */
void azfn__credential_cache_destroy(struct azfn__credential_cache *cache);

/* What is there and may be used now; NULL otherwise. Valid until the next turn of the loop. Starts the refresh that is
 * due. */
const struct azfn__credential *azfn__credential_cache_peek(struct azfn__credential_cache *cache, struct azfn_span key);

/* For whoever got nothing from peek: calls on_credential exactly once, on a later turn, with a credential that is valid
 * during the call. Errors of the call: those of azfn__fetch_result. *out_wait is gone after that.
 * Errors at once: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_LIMIT. */
typedef void azfn__on_credential_fn(enum azfn_error error, const struct azfn__credential *credential, void *user_data);
AZFN_MUST_USE enum azfn_error azfn__credential_cache_wait(struct azfn__credential_cache *cache, struct azfn_span key,
                                                          azfn__on_credential_fn *on_credential, void *user_data,
                                                          struct azfn__credential_wait **out_wait);
void azfn__credential_cache_cancel(struct azfn__credential_wait *wait);

/* Fetches it soon although nobody asks yet. */
void azfn__credential_cache_preload(struct azfn__credential_cache *cache, struct azfn_span key);
/* Somebody found out that the value of that version is not accepted any more: the next one to ask has it fetched. Does
 * nothing when it was fetched less than 10 s ago; where it can't be fetched, the old one is given out again. */
void azfn__credential_cache_reject(struct azfn__credential_cache *cache, struct azfn_span key);
/* Writes what was counted of failures since the last lines about them. */
void azfn__credential_cache_tell_counts(struct azfn__credential_cache *cache);
/* Does what is due: its timer calls it, and tests whose now_ms is a clock of their own. */
void azfn__credential_cache_look(struct azfn__credential_cache *cache);

#endif
