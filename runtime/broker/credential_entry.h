/* broker/credential_entry.h
 * One credential of a cache: its value, who waits for it, and when it is fetched again. For credential_cache.c, which
 * has the rest. */
#ifndef AZFN_BROKER_CREDENTIAL_ENTRY_H
#define AZFN_BROKER_CREDENTIAL_ENTRY_H

#include "broker/credential_cache.h"
#include "broker/event_tally.h"

/* What never comes. */
#define AZFN__CREDENTIAL_NEVER UINT64_MAX
#define AZFN__CREDENTIAL_MAX_KEYS 256

/* A ring. */
struct azfn__credential_link {
    struct azfn__credential_link *next;
    struct azfn__credential_link *previous;
};

struct azfn__credential_wait {
    struct azfn__credential_link link; /* first: one is the other */
    azfn__on_credential_fn *on_credential;
    void *user_data;
};

struct azfn__credential_now {
    uint64_t wall_ms;   /* for what has a date */
    uint64_t steady_ms; /* the same, but never going back: for all other times */
};

struct azfn__credential_entry {
    struct azfn__credential_cache *cache; /* NULL: it has gone before the fetch came back */
    struct azfn__credential credential;   /* value NULL: none */
    struct azfn__credential_link waits;
    bool is_fetching;
    bool is_rejected;
    bool is_stale;   /* and that was said */
    bool has_failed; /* and that was said, and not yet that it is over */
    bool was_fetched;
    bool owes_error; /* who waits gets held_error on the next turn */
    unsigned failures; /* in a row */
    uint64_t asked_ms;
    uint64_t fetch_started_ms;
    uint64_t next_fetch_ms;
    uint64_t not_before_ms;   /* as the source has asked */
    uint64_t soon_until_ms;   /* as long as somebody waits, no try begins after that */
    uint64_t usable_until_ms; /* the stale limit; the expiry is a matter of its own */
    uint64_t held_until_ms;   /* whoever asks before gets held_error */
    enum azfn_error held_error;
    struct azfn__event_tally failures_told;
    char version[40]; /* the last value's, which may have been dropped */
    size_t key_length;
    char key[];
};

struct azfn__credential_cache {
    struct azfn__credential_cache_options options;
    uv_timer_t timer;
    uint64_t wall_ms;   /* as it was last seen */
    uint64_t offset_ms; /* by how much the wall clock was set back until now */
    bool is_closing;
    struct azfn__credential_link delivering; /* those of one entry who are being told */
    struct azfn__credential_entry *entries[AZFN__CREDENTIAL_MAX_KEYS];
    size_t entry_count;
};

/* credential_cache.c */
struct azfn__credential_now azfn__credential_cache_now(struct azfn__credential_cache *cache);
/* Sets the timer to what is due first. */
void azfn__credential_cache_arm(struct azfn__credential_cache *cache, const struct azfn__credential_now *now);

/* NULL without memory. */
struct azfn__credential_entry *azfn__credential_entry_new(struct azfn__credential_cache *cache, struct azfn_span key);
/* Who waits is not called. While a fetch is under way the memory stays until that is back. */
void azfn__credential_entry_destroy(struct azfn__credential_entry *entry);
bool azfn__credential_entry_is_usable(const struct azfn__credential_entry *entry,
                                      const struct azfn__credential_now *now);
/* One more waits from here on. */
void azfn__credential_entry_add(struct azfn__credential_entry *entry, struct azfn__credential_wait *wait,
                                const struct azfn__credential_now *now);
/* Does what is due; when that is to fetch it, perhaps for nobody, false: forget it instead. Its callbacks may end the
 * cache. */
AZFN_MUST_USE bool azfn__credential_entry_look(struct azfn__credential_entry *entry,
                                               const struct azfn__credential_now *now);
/* When azfn__credential_entry_look() has something to do, in steady time. */
uint64_t azfn__credential_entry_due_ms(const struct azfn__credential_entry *entry,
                                       const struct azfn__credential_now *now);

void azfn__credential_entry_tell_counts(struct azfn__credential_entry *entry);

void azfn__credential_link_init(struct azfn__credential_link *ring);
void azfn__credential_waits_clear(struct azfn__credential_link *ring);

#endif
