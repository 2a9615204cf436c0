#include "broker/credential_cache.h"

#include "base/span.h"
#include "base/wall_clock.h"
#include "broker/credential_entry.h"

#include <stdlib.h>

#define DEFAULT_REFRESH_MS UINT64_C(3600000)
#define DEFAULT_NEGATIVE_MS 10000
#define REJECT_INTERVAL_MS 10000

const struct azfn__credential_events azfn__credential_token_events = {.noun = "token",
                                                                      .fetched = AZFN__EVENT_TOKEN_FETCHED,
                                                                      .refreshed = AZFN__EVENT_TOKEN_REFRESHED,
                                                                      .stale = AZFN__EVENT_TOKEN_STALE,
                                                                      .recovered = AZFN__EVENT_TOKEN_RECOVERED,
                                                                      .failed = AZFN__EVENT_TOKEN_FAILED,
                                                                      .refused = AZFN__EVENT_TOKEN_FAILED,
                                                                      .missing = AZFN__EVENT_TOKEN_FAILED,
                                                                      .expired = AZFN__EVENT_TOKEN_FAILED,
                                                                      .distrusted = AZFN__EVENT_NONE};
const struct azfn__credential_events azfn__credential_secret_events = {.noun = "secret",
                                                                       .names_secrets = true,
                                                                       .fetched = AZFN__EVENT_VAULT_FETCHED,
                                                                       .refreshed = AZFN__EVENT_VAULT_REFRESHED,
                                                                       .stale = AZFN__EVENT_VAULT_STALE,
                                                                       .recovered = AZFN__EVENT_VAULT_RECOVERED,
                                                                       .failed = AZFN__EVENT_VAULT_FAILED,
                                                                       .refused = AZFN__EVENT_VAULT_REFUSED,
                                                                       .missing = AZFN__EVENT_VAULT_MISSING,
                                                                       .expired = AZFN__EVENT_VAULT_EXPIRED,
                                                                       .distrusted = AZFN__EVENT_VAULT_DISTRUSTED};

struct azfn__credential_now azfn__credential_cache_now(struct azfn__credential_cache *cache)
{
    uint64_t wall_ms = cache->options.now_ms();
    cache->offset_ms += wall_ms < cache->wall_ms ? cache->wall_ms - wall_ms : 0;
    cache->wall_ms = wall_ms;
    return (struct azfn__credential_now){.wall_ms = wall_ms, .steady_ms = wall_ms + cache->offset_ms};
}

static void on_timer(uv_timer_t *timer)
{
    azfn__credential_cache_look(timer->data);
}

void azfn__credential_cache_arm(struct azfn__credential_cache *cache, const struct azfn__credential_now *now)
{
    uint64_t first_ms = AZFN__CREDENTIAL_NEVER;
    for (size_t i = 0; i < cache->entry_count; i++) {
        uint64_t due_ms = azfn__credential_entry_due_ms(cache->entries[i], now);
        first_ms = due_ms < first_ms ? due_ms : first_ms;
    }
    if (first_ms == AZFN__CREDENTIAL_NEVER) {
        uv_timer_stop(&cache->timer);
        return;
    }
    uv_timer_start(&cache->timer, on_timer, first_ms > now->steady_ms ? first_ms - now->steady_ms : 0, 0);
}

/* On the next turn. */
static void look_soon(struct azfn__credential_cache *cache)
{
    uv_timer_start(&cache->timer, on_timer, 0, 0);
}

void azfn__credential_cache_look(struct azfn__credential_cache *cache)
{
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    /* from behind: new ones are added at the end, and the last one takes the place of one that goes */
    for (size_t i = cache->entry_count; i > 0 && !cache->is_closing; i--) {
        struct azfn__credential_entry *entry = cache->entries[i - 1];
        if (!azfn__credential_entry_look(entry, &now)) {
            cache->entries[i - 1] = cache->entries[--cache->entry_count];
            azfn__credential_entry_destroy(entry);
        }
    }
    if (!cache->is_closing) {
        azfn__credential_cache_arm(cache, &now);
    }
}

void azfn__credential_cache_tell_counts(struct azfn__credential_cache *cache)
{
    for (size_t i = 0; i < cache->entry_count; i++) {
        azfn__credential_entry_tell_counts(cache->entries[i]);
    }
}

enum azfn_error azfn__credential_cache_new(const struct azfn__credential_cache_options *options,
                                           struct azfn__credential_cache **out_cache)
{
    struct azfn__credential_cache *cache = calloc(1, sizeof(*cache));
    *out_cache = NULL;
    if (!cache) {
        return AZFN_ERROR_NO_MEMORY;
    }
    cache->options = *options;
    cache->options.refresh_ms = options->refresh_ms > 0 ? options->refresh_ms : DEFAULT_REFRESH_MS;
    cache->options.negative_ms = options->negative_ms > 0 ? options->negative_ms : DEFAULT_NEGATIVE_MS;
    cache->options.now_ms = options->now_ms ? options->now_ms : azfn__wall_clock_ms;
    azfn__credential_link_init(&cache->delivering);
    cache->timer.data = cache;
    if (uv_timer_init(options->loop, &cache->timer) != 0) {
        free(cache);
        return AZFN_ERROR_SYSTEM;
    }
    *out_cache = cache;
    return AZFN_OK;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void azfn__credential_cache_destroy(struct azfn__credential_cache *cache)
{
    if (!cache) {
        return;
    }
    cache->is_closing = true;
    azfn__credential_waits_clear(&cache->delivering);
    for (size_t i = 0; i < cache->entry_count; i++) {
        azfn__credential_entry_destroy(cache->entries[i]);
    }
    cache->entry_count = 0;
    uv_close((uv_handle_t *)&cache->timer, on_closed);
}

static struct azfn__credential_entry *find(const struct azfn__credential_cache *cache, struct azfn_span key)
{
    for (size_t i = 0; i < cache->entry_count; i++) {
        struct azfn__credential_entry *entry = cache->entries[i];
        if (azfn__span_equal(azfn__span(entry->key, entry->key_length), key)) {
            return entry;
        }
    }
    return NULL;
}

static enum azfn_error find_or_add(struct azfn__credential_cache *cache, struct azfn_span key,
                                   struct azfn__credential_entry **out_entry)
{
    *out_entry = find(cache, key);
    if (*out_entry) {
        return AZFN_OK;
    }
    if (cache->entry_count == AZFN__CREDENTIAL_MAX_KEYS) {
        return AZFN_ERROR_LIMIT;
    }
    *out_entry = azfn__credential_entry_new(cache, key);
    if (!*out_entry) {
        return AZFN_ERROR_NO_MEMORY;
    }
    cache->entries[cache->entry_count++] = *out_entry;
    return AZFN_OK;
}

const struct azfn__credential *azfn__credential_cache_peek(struct azfn__credential_cache *cache, struct azfn_span key)
{
    struct azfn__credential_entry *entry = find(cache, key);
    if (!entry) {
        return NULL;
    }
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    entry->asked_ms = now.steady_ms;
    /* a machine that was asleep has not waited that long */
    if (azfn__credential_entry_due_ms(entry, &now) <= now.steady_ms) {
        look_soon(cache);
    }
    return azfn__credential_entry_is_usable(entry, &now) ? &entry->credential : NULL;
}

enum azfn_error azfn__credential_cache_wait(struct azfn__credential_cache *cache, struct azfn_span key,
                                            azfn__on_credential_fn *on_credential, void *user_data,
                                            struct azfn__credential_wait **out_wait)
{
    struct azfn__credential_entry *entry;
    *out_wait = NULL;
    enum azfn_error error = find_or_add(cache, key, &entry);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn__credential_wait *wait = calloc(1, sizeof(*wait));
    if (!wait) {
        return AZFN_ERROR_NO_MEMORY;
    }
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    wait->on_credential = on_credential;
    wait->user_data = user_data;
    entry->asked_ms = now.steady_ms;
    azfn__credential_entry_add(entry, wait, &now);
    look_soon(cache);
    *out_wait = wait;
    return AZFN_OK;
}

void azfn__credential_cache_cancel(struct azfn__credential_wait *wait)
{
    if (wait) {
        wait->link.previous->next = wait->link.next;
        wait->link.next->previous = wait->link.previous;
        free(wait);
    }
}

void azfn__credential_cache_preload(struct azfn__credential_cache *cache, struct azfn_span key)
{
    struct azfn__credential_entry *entry;
    if (find_or_add(cache, key, &entry) != AZFN_OK) {
        return; /* whoever asks is told */
    }
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    entry->asked_ms = now.steady_ms;
    if (!entry->credential.value && !entry->is_fetching && now.steady_ms >= entry->held_until_ms &&
        entry->next_fetch_ms == AZFN__CREDENTIAL_NEVER) {
        entry->next_fetch_ms = now.steady_ms;
        look_soon(cache);
    }
}

void azfn__credential_cache_reject(struct azfn__credential_cache *cache, struct azfn_span key)
{
    struct azfn__credential_entry *entry = find(cache, key);
    if (!entry || !entry->credential.value) {
        return;
    }
    struct azfn__credential_now now = azfn__credential_cache_now(cache);
    if (entry->is_fetching || now.steady_ms - entry->fetch_started_ms >= REJECT_INTERVAL_MS) {
        entry->is_rejected = true;
    }
}
