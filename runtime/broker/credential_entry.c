#include "broker/credential_entry.h"

#include "base/span.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
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
/* Failures are counted for so long, and then told; a value that is used meanwhile is less urgent. */
#define TELL_STALE_MS 3600000

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

/* What a line is about. */
struct saying {
    const struct azfn__credential_entry *entry;
    const char *what;       /* "was fetched"; NULL: the event's own words */
    const char *request_id; /* may be NULL */
};

static const char *words_of(const struct azfn__credential_events *events, enum azfn__security_event event)
{
    return event == events->stale        ? "can't be fetched again, the old one is used meanwhile"
           : event == events->distrusted ? "was not asked for, since the server's certificate is not trusted"
                                         : "can't be fetched";
}

/* reason may be NULL. */
static bool say(enum azfn__security_event event, const char *reason, uint64_t count, void *user_data)
{
    const struct saying *saying = user_data;
    const struct azfn__credential_entry *entry = saying->entry;
    const struct azfn__credential_cache_options *options = &entry->cache->options;
    const struct azfn_span key = azfn__span(entry->key, entry->key_length);
    const char *version = entry->credential.version;
    const char *id = saying->request_id && strcmp(saying->request_id, "-") != 0 ? saying->request_id : "";
    char times[48] = "";
    struct azfn__event_fields fields = {.reason = azfn_span_of(reason)};
    *(options->events->names_secrets ? &fields.secret : &fields.resource) = key;
    if (version[0]) {
        fields.secret_version = azfn_span_of(version);
    }
    if (entry->credential.value && entry->credential.expires_at_ms != NEVER) {
        fields.expires_at = AZFN__NUMBER(entry->credential.expires_at_ms);
    }
    if (count > 0) {
        fields.count = AZFN__NUMBER(count);
        (void)snprintf(times, sizeof(times), "%" PRIu64 " more times: ", count);
    }
    return azfn__log_sink_say(options->log, event, &fields, "%sthe %s \"%.*s\" %s%s%s%s%s%s", times,
                              options->events->noun, AZFN_SPAN_ARGS(key),
                              saying->what ? saying->what : words_of(options->events, event), reason ? ": " : "",
                              reason ? reason : "", id[0] ? " (request " : "", id, id[0] ? ")" : "");
}

static void say_once(const struct azfn__credential_entry *entry, enum azfn__security_event event, const char *what)
{
    struct saying saying = {.entry = entry, .what = what};
    (void)say(event, NULL, 0, &saying);
}

/* what may be NULL, for the event's own words. */
static void say_failure(struct azfn__credential_entry *entry, enum azfn__security_event event, const char *what,
                        const struct azfn__fetch_result *result, const struct azfn__credential_now *now)
{
    bool is_stale = event == entry->cache->options.events->stale;
    struct saying saying = {.entry = entry, .what = what, .request_id = result->request_id};
    entry->has_failed = true;
    azfn__event_tally_add(&entry->failures_told, event, result->reason, now->steady_ms,
                          is_stale ? TELL_STALE_MS : AZFN__EVENT_COUNT_INTERVAL_MS, say, &saying);
}

static void tell_counts(struct azfn__credential_entry *entry, uint64_t now_ms)
{
    struct saying saying = {.entry = entry};
    azfn__event_tally_tell(&entry->failures_told, now_ms, say, &saying);
}

void azfn__credential_entry_tell_counts(struct azfn__credential_entry *entry)
{
    tell_counts(entry, NEVER);
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
    bool is_new = !entry->was_fetched || version[0] == '\0' || strcmp(version, entry->version) != 0;
    tell_counts(entry, NEVER);
    azfn__event_tally_clear(&entry->failures_told); /* one that found no room is not said after the recovery */
    drop_value(entry);
    entry->credential = *credential;
    memcpy(entry->version, version, sizeof(entry->version));
    if (is_new) {
        say_once(entry, entry->was_fetched ? events->refreshed : events->fetched, "was fetched");
    }
    if (entry->has_failed) {
        say_once(entry, events->recovered, "can be fetched again");
    }
    entry->was_fetched = true;
    entry->has_failed = false;
    entry->failures = 0;
    entry->not_before_ms = 0;
    entry->held_until_ms = 0;
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
    const struct azfn__credential_events *events = options->events;
    enum azfn_error error = result->error;
    bool is_final = error == AZFN_ERROR_FORBIDDEN || error == AZFN_ERROR_NOT_FOUND;
    entry->failures++;
    entry->held_error = error;
    entry->not_before_ms = now->steady_ms + earlier_of(result->retry_after_ms, MAX_RETRY_AFTER_MS);
    /* not the last try's alone: it may be somebody who comes and goes */
    if (result->is_distrusted && events->distrusted != AZFN__EVENT_NONE) {
        say_failure(entry, events->distrusted, NULL, result, now);
    }
    uint64_t next_ms = later_of(now->steady_ms + wait_after(entry->failures), entry->not_before_ms);
    if (is_tried_soon(entry, error, next_ms)) {
        entry->next_fetch_ms = next_ms;
        return;
    }
    if (is_final && !options->refreshes_at_half_life && entry->credential.value) {
        say_failure(entry, failure_event(events, result), "is not used any more", result, now);
        drop_value(entry);
    } else {
        entry->is_stale = entry->credential.value != NULL;
        say_failure(entry, entry->is_stale ? events->stale : failure_event(events, result), NULL, result, now);
    }
    entry->is_rejected = false;
    entry->held_until_ms = later_of(now->steady_ms + (is_final ? options->negative_ms : HOLD_MS), entry->not_before_ms);
    next_ms = later_of(next_ms, entry->held_until_ms);
    entry->next_fetch_ms = is_final && !entry->credential.value ? NEVER : next_ms;
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
        tell_counts(entry, NEVER);
        say_once(entry, entry->cache->options.events->expired,
                 "could not be fetched again for too long, and is not used any more");
    }
    drop_value(entry);
}

bool azfn__credential_entry_look(struct azfn__credential_entry *entry, const struct azfn__credential_now *now)
{
    struct azfn__credential_cache *cache = entry->cache;
    tell_counts(entry, now->steady_ms);
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
        azfn__credential_entry_tell_counts(entry);
        return false;
    }
    fetch(entry, now);
    return true;
}

uint64_t azfn__credential_entry_due_ms(const struct azfn__credential_entry *entry,
                                       const struct azfn__credential_now *now)
{
    uint64_t due_ms =
        earlier_of(entry->is_fetching ? NEVER : entry->next_fetch_ms, azfn__event_tally_due_ms(&entry->failures_told));
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
    azfn__event_tally_clear(&entry->failures_told);
    drop_value(entry);
    entry->cache = NULL;
    if (!entry->is_fetching) {
        free(entry);
    }
}
