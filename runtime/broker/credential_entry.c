#include "broker/credential_entry.h"

#include "base/span.h"

#include <sodium.h>
#include <stdlib.h>

#define NEVER AZFN__CREDENTIAL_NEVER

/* The first tries follow each other soon, since somebody may wait; for those no further one begins after this time. */
#define SOON_TRIES 4
#define SOON_LIMIT_MS 20000
/* The wait behind a failure is any time up to this, doubled with each failure, up to the longest. */
#define FIRST_WAIT_MS 500
#define LONGEST_WAIT_MS 120000
#define MAX_RETRY_AFTER_MS 60000
/* Who asks so soon after all tries have failed gets that failure. */
#define HOLD_MS 2000
/* An endpoint may give the same token again and again: half of ever less. */
#define SHORTEST_HALF_LIFE_MS 10000
#define UNUSED_REFRESHES 24
#define SAY_AGAIN_MS 300000

void azfn__credential_link_init(struct azfn__credential_link *ring)
{
    ring->next = ring;
    ring->previous = ring;
}

static bool is_empty(const struct azfn__credential_link *ring)
{
    return ring->next == ring;
}

void azfn__credential_waits_clear(struct azfn__credential_link *ring)
{
    while (!is_empty(ring)) {
        azfn__credential_cache_cancel((struct azfn__credential_wait *)ring->next);
    }
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool has_expired(const struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    return now->wall_ms >= entry->credential.expires_at_ms || now->steady_ms >= entry->usable_until_ms;
}

bool azfn__credential_entry_is_usable(const struct azfn__credential_entry *entry,
                                      const struct azfn__credential_now *now)
{
    return entry->credential.value && !entry->is_rejected && !has_expired(entry, now);
}

static void drop_value(struct azfn__credential_entry *entry)
{
    azfn__secret_release(entry->credential.value);
    entry->credential = (struct azfn__credential){.value = NULL};
    entry->is_rejected = false;
    entry->is_stale = false;
}

/* what: "was fetched"; reason may be NULL. */
static void say(const struct azfn__credential_entry *entry, enum azfn__security_event event, const char *what,
                const char *reason)
{
    const struct azfn__credential_cache_options *options = &entry->cache->options;
    const struct azfn_span key = azfn__span(entry->key, entry->key_length);
    const char *version = entry->credential.version;
    struct azfn__event_fields fields = {.reason = azfn_span_of(reason)};
    *(options->events->names_secrets ? &fields.secret : &fields.resource) = key;
    if (version[0]) {
        fields.secret_version = azfn_span_of(version);
    }
    if (entry->credential.value && entry->credential.expires_at_ms != NEVER) {
        fields.expires_at = AZFN__NUMBER(entry->credential.expires_at_ms);
    }
    azfn__log_sink_say(options->log, event, &fields, "the %s \"%.*s\" %s%s%s", options->events->noun, AZFN_SPAN_ARGS(key),
                       what, reason ? ": " : "", reason ? reason : "");
}

static void deliver(struct azfn__credential_entry *entry, enum azfn_error error)
{
    struct azfn__credential_link *delivering = &entry->cache->delivering;
    const struct azfn__credential *credential = error == AZFN_OK ? &entry->credential : NULL;
    entry->owes_error = false;
    if (is_empty(&entry->waits)) {
        return;
    }
    /* who begins to wait from here on is not among them */
    *delivering = entry->waits;
    delivering->next->previous = delivering;
    delivering->previous->next = delivering;
    azfn__credential_link_init(&entry->waits);
    /* a callback may cancel others, and end the cache, which leaves nobody */
    while (!is_empty(delivering)) {
        struct azfn__credential_wait *wait = (struct azfn__credential_wait *)delivering->next;
        azfn__on_credential_fn *on_credential = wait->on_credential;
        void *user_data = wait->user_data;
        azfn__credential_cache_cancel(wait);
        on_credential(error, credential, user_data);
    }
}

/* When it is fetched again, and how long it is used if that fails. */
static void set_times(struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    const struct azfn__credential_cache_options *options = &entry->cache->options;
    uint64_t expires_at_ms = entry->credential.expires_at_ms;
    uint64_t life_ms = expires_at_ms == NEVER ? NEVER : expires_at_ms - now->wall_ms;
    uint64_t refresh_ms = earlier_of(options->refresh_ms, life_ms);
    entry->usable_until_ms = NEVER;
    if (!options->refreshes_at_half_life) {
        entry->usable_until_ms = now->steady_ms + refresh_ms + options->stale_limit_ms;
    } else if (life_ms != NEVER) {
        refresh_ms = later_of(life_ms / 2, SHORTEST_HALF_LIFE_MS);
    }
    entry->next_fetch_ms = now->steady_ms + refresh_ms;
}

static void take(struct azfn__credential_entry *entry, const struct azfn__credential *credential,
                 const struct azfn__credential_now *now)
{
    const struct azfn__credential_events *events = entry->cache->options.events;
    const char *version = credential->version;
    bool had_value = entry->credential.value != NULL;
    bool was_stale = entry->is_stale;
    bool is_new = !had_value || version[0] == '\0' || strcmp(version, entry->credential.version) != 0;
    drop_value(entry);
    entry->credential = *credential;
    if (is_new) {
        say(entry, had_value ? events->refreshed : events->fetched, "was fetched", NULL);
    }
    if (was_stale) {
        say(entry, events->recovered, "can be fetched again", NULL);
    }
    entry->failures = 0;
    entry->not_before_ms = 0;
    entry->held_until_ms = 0;
    entry->said_until_ms = 0;
    set_times(entry, now);
    deliver(entry, AZFN_OK);
}

static enum azfn__security_event failure_event(const struct azfn__credential_events *events,
                                               const struct azfn__fetch_result *result)
{
    return result->has_expired                       ? events->expired
           : result->error == AZFN_ERROR_FORBIDDEN ? events->refused
           : result->error == AZFN_ERROR_NOT_FOUND ? events->missing
                                                   : events->failed;
}

static void say_failure(struct azfn__credential_entry *entry, const struct azfn__fetch_result *result,
                        const struct azfn__credential_now *now)
{
    const struct azfn__credential_events *events = entry->cache->options.events;
    if (entry->credential.value) {
        if (!entry->is_stale) {
            say(entry, events->stale, "can't be fetched again, the old one is used meanwhile", result->reason);
        }
        entry->is_stale = true;
    } else if (result->error != entry->said_error || now->steady_ms >= entry->said_until_ms) {
        say(entry, failure_event(events, result), "can't be fetched", result->reason);
        entry->said_error = result->error;
        entry->said_until_ms = now->steady_ms + SAY_AGAIN_MS;
    }
}

/* Full jitter: those who failed together do not come again together. */
static uint64_t wait_after(unsigned failures)
{
    uint32_t longest_ms = FIRST_WAIT_MS;
    for (unsigned i = 1; i < failures && longest_ms < LONGEST_WAIT_MS; i++) {
        longest_ms *= 2;
    }
    longest_ms = longest_ms < LONGEST_WAIT_MS ? longest_ms : LONGEST_WAIT_MS;
    return randombytes_uniform(longest_ms + 1);
}

/* It may pass within a time that is worth waiting for. */
static bool is_tried_soon(const struct azfn__credential_entry *entry, enum azfn_error error, uint64_t next_ms)
{
    bool may_pass = error == AZFN_ERROR_UNAVAILABLE || error == AZFN_ERROR_TIMEOUT;
    /* for a rejected value nobody waits long: where there is no other it is given out again */
    return may_pass && entry->failures < SOON_TRIES && !entry->is_rejected &&
           (is_empty(&entry->waits) || next_ms <= entry->soon_until_ms);
}

static void fail(struct azfn__credential_entry *entry, const struct azfn__fetch_result *result,
                 const struct azfn__credential_now *now)
{
    const struct azfn__credential_cache_options *options = &entry->cache->options;
    enum azfn_error error = result->error;
    bool is_final = error == AZFN_ERROR_FORBIDDEN || error == AZFN_ERROR_NOT_FOUND;
    entry->failures++;
    entry->held_error = error;
    entry->not_before_ms = now->steady_ms + earlier_of(result->retry_after_ms, MAX_RETRY_AFTER_MS);
    uint64_t next_ms = later_of(now->steady_ms + wait_after(entry->failures), entry->not_before_ms);
    if (is_tried_soon(entry, error, next_ms)) {
        entry->next_fetch_ms = next_ms;
        return;
    }
    if (is_final && !options->refreshes_at_half_life && entry->credential.value) {
        say(entry, failure_event(options->events, result), "is not used any more", result->reason);
        drop_value(entry);
        entry->said_error = error;
        entry->said_until_ms = now->steady_ms + SAY_AGAIN_MS;
    }
    entry->is_rejected = false;
    entry->held_until_ms = later_of(now->steady_ms + (is_final ? options->negative_ms : HOLD_MS), entry->not_before_ms);
    next_ms = later_of(next_ms, entry->held_until_ms);
    entry->next_fetch_ms = is_final && !entry->credential.value ? NEVER : next_ms;
    say_failure(entry, result, now);
    deliver(entry, !is_final && azfn__credential_entry_is_usable(entry, now) ? AZFN_OK : error);
}

static void on_fetched(const struct azfn__fetch_result *result, void *user_data)
{
    struct azfn__credential_entry *entry = user_data;
    struct azfn__credential_cache *cache = entry->cache;
    entry->is_fetching = false;
    if (!cache) {
        azfn__secret_release(result->error == AZFN_OK ? result->credential.value : NULL);
        azfn__credential_entry_destroy(entry);
        return;
    }
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    if (result->error != AZFN_OK) {
        fail(entry, result, &now);
    } else if (now.wall_ms >= result->credential.expires_at_ms) {
        azfn__secret_release(result->credential.value);
        fail(entry,
             &(struct azfn__fetch_result){
                 .error = AZFN_ERROR_UNAVAILABLE, .has_expired = true, .reason = "it has expired already"},
             &now);
    } else {
        take(entry, &result->credential, &now);
    }
    if (!cache->is_closing) {
        azfn__credential_cache_arm(cache, &now);
    }
}

static void fetch(struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    struct azfn__credential_source *source = entry->cache->options.source;
    entry->is_fetching = true;
    entry->fetch_started_ms = now->steady_ms;
    entry->next_fetch_ms = NEVER;
    enum azfn_error error = source->fetch(source, azfn__span(entry->key, entry->key_length), on_fetched, entry);
    if (error != AZFN_OK) {
        entry->is_fetching = false;
        fail(entry, &(struct azfn__fetch_result){.error = error, .reason = azfn_error_text(error)}, now);
    }
}

static void drop_expired(struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    if (!entry->credential.value || !has_expired(entry, now)) {
        return;
    }
    if (entry->is_stale) {
        say(entry, entry->cache->options.events->expired,
            "could not be fetched again for too long, and is not used any more", NULL);
    }
    drop_value(entry);
}

bool azfn__credential_entry_look(struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    struct azfn__credential_cache *cache = entry->cache;
    drop_expired(entry, now);
    if (azfn__credential_entry_is_usable(entry, now)) {
        deliver(entry, AZFN_OK);
    } else if (entry->owes_error) {
        deliver(entry, entry->held_error);
    }
    if (cache->is_closing || entry->is_fetching || entry->next_fetch_ms > now->steady_ms) {
        return true;
    }
    if (is_empty(&entry->waits) && now->steady_ms - entry->asked_ms > UNUSED_REFRESHES * cache->options.refresh_ms) {
        return false;
    }
    fetch(entry, now);
    return true;
}

uint64_t azfn__credential_entry_due_ms(const struct azfn__credential_entry *entry,
                                       const struct azfn__credential_now *now)
{
    uint64_t due_ms = entry->is_fetching ? NEVER : entry->next_fetch_ms;
    if (!is_empty(&entry->waits) && (entry->owes_error || azfn__credential_entry_is_usable(entry, now))) {
        return now->steady_ms;
    }
    if (entry->credential.value) {
        uint64_t expires_at_ms = entry->credential.expires_at_ms;
        due_ms = earlier_of(due_ms, entry->usable_until_ms);
        due_ms = earlier_of(due_ms, expires_at_ms == NEVER ? NEVER : expires_at_ms + entry->cache->offset_ms);
    }
    return due_ms;
}

void azfn__credential_entry_add(struct azfn__credential_entry *entry, struct azfn__credential_wait *wait,
                                const struct azfn__credential_now *now)
{
    if (is_empty(&entry->waits)) {
        entry->soon_until_ms = now->steady_ms + SOON_LIMIT_MS;
        if (!entry->is_fetching && !azfn__credential_entry_is_usable(entry, now)) {
            uint64_t first_ms = later_of(now->steady_ms, entry->not_before_ms);
            entry->owes_error = now->steady_ms < entry->held_until_ms || first_ms > entry->soon_until_ms;
            entry->next_fetch_ms = entry->owes_error ? entry->next_fetch_ms : first_ms;
        }
    }
    wait->link = (struct azfn__credential_link){.next = &entry->waits, .previous = entry->waits.previous};
    entry->waits.previous->next = &wait->link;
    entry->waits.previous = &wait->link;
}

struct azfn__credential_entry *azfn__credential_entry_new(struct azfn__credential_cache *cache, struct azfn_span key)
{
    struct azfn__credential_entry *entry = calloc(1, sizeof(*entry) + key.length);
    if (entry) {
        entry->cache = cache;
        entry->next_fetch_ms = NEVER;
        entry->key_length = key.length;
        memcpy(entry->key, key.data, key.length);
        azfn__credential_link_init(&entry->waits);
    }
    return entry;
}

void azfn__credential_entry_destroy(struct azfn__credential_entry *entry)
{
    azfn__credential_waits_clear(&entry->waits);
    drop_value(entry);
    entry->cache = NULL;
    if (!entry->is_fetching) {
        free(entry);
    }
}
