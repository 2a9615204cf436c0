#include "worker/event_counts.h"

#include "base/hash.h"
#include "base/span.h"
#include "worker/dispatcher.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Those of the worker itself differ by what this program says: few. */
#define OWN_KINDS 16
#define OTHERS 1
#define MAX_KINDS (AZFN__EVENT_KINDS_OF_FUNCTIONS + OTHERS + OWN_KINDS)
#define SETTING_BYTES 128
#define TEXT_BYTES 192

struct azfn__counted_event {
    enum azfn__security_event event;
    const struct azfn__config_function *function; /* NULL: of the worker itself */
    struct azfn_span limit;
    struct azfn_span reason;
    char setting[SETTING_BYTES]; /* as much as there is room for */
    size_t setting_length;       /* of the whole */
    uint64_t setting_hash;       /* of the whole */
    char text[TEXT_BYTES];
    uint64_t untold;
};

static void on_timer(uv_timer_t *timer);

enum azfn_error azfn__event_counts_init(struct azfn__event_counts *counts, struct azfn__dispatcher *dispatcher)
{
    *counts = (struct azfn__event_counts){.dispatcher = dispatcher};
    counts->timer.data = counts;
    counts->table = calloc(MAX_KINDS, sizeof(*counts->table)); /* a lack of memory is one of the events */
    if (!counts->table) {
        return AZFN_ERROR_NO_MEMORY;
    }
    return uv_timer_init(dispatcher->loop, &counts->timer) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

void azfn__event_counts_clean_up(struct azfn__event_counts *counts)
{
    free(counts->table);
    counts->table = NULL;
    counts->count = 0;
}

static struct azfn_span setting_of(const struct azfn__counted_event *counted)
{
    size_t length = counted->setting_length < SETTING_BYTES ? counted->setting_length : SETTING_BYTES;
    return length > 0 ? azfn__span(counted->setting, length) : azfn__absent();
}

static bool is_same(const struct azfn__counted_event *a, const struct azfn__counted_event *b)
{
    return a->event == b->event && a->function == b->function && azfn__span_equal(a->limit, b->limit) &&
           azfn__span_equal(a->reason, b->reason) && a->setting_length == b->setting_length &&
           a->setting_hash == b->setting_hash && azfn__span_equal(setting_of(a), setting_of(b));
}

static void tell_count(struct azfn__event_counts *counts, struct azfn__counted_event *counted)
{
    char text[TEXT_BYTES + 40];
    if (counted->untold == 0) {
        return;
    }
    const struct azfn__event_fields fields = {
        .function = counted->function ? counted->function->name : azfn__absent(), .limit = counted->limit,
        .reason = counted->reason, .setting = setting_of(counted), .count = AZFN__NUMBER(counted->untold)};
    snprintf(text, sizeof(text), "%" PRIu64 " more times: %s", counted->untold, counted->text);
    counted->untold = 0;
    azfn__dispatcher_tell(counts->dispatcher, NULL, counted->event, &fields, azfn_span_of(text));
}

static void tell_later(struct azfn__event_counts *counts)
{
    if (!uv_is_active((uv_handle_t *)&counts->timer)) {
        uv_timer_start(&counts->timer, on_timer, AZFN__EVENT_COUNT_INTERVAL_MS, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__event_counts *counts = timer->data;
    size_t count = counts->count;
    counts->count = 0;
    counts->of_functions = 0;
    for (size_t i = 0; i < count; i++) {
        struct azfn__counted_event *counted = &counts->table[i];
        if (counted->untold > 0) {
            tell_count(counts, counted);
            counts->of_functions += counted->function != NULL;
            counts->table[counts->count++] = *counted;
        }
    }
    if (counts->count > 0) {
        tell_later(counts);
    }
}

void azfn__event_counts_tell(struct azfn__event_counts *counts)
{
    for (size_t i = 0; i < counts->count; i++) {
        tell_count(counts, &counts->table[i]);
    }
}

static struct azfn__counted_event *find(const struct azfn__event_counts *counts,
                                        const struct azfn__counted_event *wanted)
{
    for (size_t i = 0; i < counts->count; i++) {
        if (is_same(&counts->table[i], wanted)) {
            return &counts->table[i];
        }
    }
    return NULL;
}

static void insert(struct azfn__event_counts *counts, const struct azfn__counted_event *counted)
{
    if (counts->count < MAX_KINDS) {
        counts->of_functions += counted->function != NULL;
        counts->table[counts->count++] = *counted;
        tell_later(counts);
    }
}

void azfn__event_counts_add(struct azfn__event_counts *counts, const struct azfn__invocation *invocation,
                            enum azfn__security_event event, const struct azfn__event_fields *fields,
                            struct azfn_span text, uint64_t times)
{
    struct azfn__counted_event wanted = {
        .event = event, .function = invocation ? invocation->function->config : NULL, .limit = fields->limit,
        .reason = fields->reason, .setting_length = fields->setting.length,
        .setting_hash = azfn__hash(AZFN__HASH_SEED, fields->setting), .untold = times - 1};
    struct azfn_span setting = setting_of(&wanted);
    if (setting.length > 0) {
        memcpy(wanted.setting, fields->setting.data, setting.length);
    }
    struct azfn__counted_event *known = find(counts, &wanted);
    if (known) {
        known->untold += times;
    } else if (wanted.function && counts->of_functions == AZFN__EVENT_KINDS_OF_FUNCTIONS) {
        azfn__event_counts_add_others(counts, times);
    } else {
        snprintf(wanted.text, sizeof(wanted.text), "%.*s", AZFN_SPAN_ARGS(text));
        insert(counts, &wanted);
        azfn__dispatcher_tell(counts->dispatcher, invocation, event, fields, text);
    }
}

void azfn__event_counts_add_others(struct azfn__event_counts *counts, uint64_t times)
{
    const struct azfn__event_fields fields = {.count = {0}};
    azfn__event_counts_add(counts, NULL, AZFN__EVENT_OTHERS_REFUSED, &fields,
                           AZFN__SPAN("functions asked for more different things than are told one by one"), times);
}
