#include "worker/callers.h"

#include "base/hash.h"
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/request_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ADDRESS_BYTES 48 /* the longest of IPv6 has 45 */
#define NAME_BYTES (sizeof(AZFN__PRINCIPAL_HEADER) - 1)

/* What the headers say; absent where they do not. */
struct principal {
    struct azfn_span id;
    struct azfn_span provider;
};

struct azfn__caller {
    const struct azfn__config_function *function;
    uint64_t hash; /* of the four */
    uint64_t untold;
    uint64_t seen; /* the number of his last request */
    size_t principal_length;
    size_t provider_length;
    size_t address_length;
    char principal[AZFN__CALLER_PRINCIPAL_BYTES];
    char provider[AZFN__CALLER_PROVIDER_BYTES];
    char address[ADDRESS_BYTES]; /* who has stolen a token uses it from another one */
};

static void on_timer(uv_timer_t *timer);
static void make_skips(uint8_t skips[256]);

enum azfn_error azfn__callers_init(struct azfn__callers *callers, struct azfn__dispatcher *dispatcher)
{
    *callers = (struct azfn__callers){.dispatcher = dispatcher};
    make_skips(callers->skips);
    callers->timer.data = callers;
    return uv_timer_init(dispatcher->loop, &callers->timer) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

void azfn__callers_clean_up(struct azfn__callers *callers)
{
    free(callers->table);
    callers->table = NULL;
    callers->count = 0;
}

/* How far the search below may go on from a byte: to where the name has it the next time; 0 for its last one. */
static void make_skips(uint8_t skips[256])
{
    static const char name[] = AZFN__PRINCIPAL_HEADER;
    memset(skips, NAME_BYTES, 256);
    for (size_t i = 0; i < NAME_BYTES; i++) {
        unsigned char c = (unsigned char)name[i];
        skips[c] = skips[azfn__lower(c)] = (uint8_t)(NAME_BYTES - 1 - i);
    }
}

/* Whether text has the name somewhere, in any case: nearly no request has it, and one byte in ten is looked at
 * (Horspool). The host does not escape it. */
static bool mentions_principal(const uint8_t skips[256], struct azfn_span text)
{
    size_t end = NAME_BYTES - 1;
    while (end < text.length) {
        size_t skip = skips[(unsigned char)text.data[end]];
        if (skip == 0 &&
            azfn__bytes_equal_ignore_case(text.data + end - (NAME_BYTES - 1), AZFN__PRINCIPAL_HEADER, NAME_BYTES)) {
            return true;
        }
        end += skip > 0 ? skip : 1;
    }
    return false;
}

/* Of an envelope's header: an array of strings, or a string. Without copying: what has escapes is no id. */
static struct azfn_span first_value(struct azfn_span value)
{
    struct azfn__json_walk items = azfn__json_walk(value);
    return azfn__json_string_view(azfn__json_walk_next(&items) ? items.value : value);
}

static bool find_in_envelope(struct azfn_span headers, struct principal *out_principal)
{
    bool is_named = false;
    struct azfn__json_walk members = azfn__json_walk(headers);
    while (azfn__json_walk_next(&members)) {
        struct azfn_span name = azfn__json_string_view(members.name);
        if (azfn__span_equal_ignore_case(name, AZFN__SPAN(AZFN__PRINCIPAL_HEADER "-ID"))) {
            out_principal->id = first_value(members.value);
            is_named = true;
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN(AZFN__PRINCIPAL_HEADER "-IDP"))) {
            out_principal->provider = first_value(members.value);
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN(AZFN__PRINCIPAL_HEADER))) {
            is_named = true;
        }
    }
    return is_named;
}

/* False: the request does not say who its caller is, as nearly all. */
static bool find_principal(const struct azfn__callers *callers, const struct azfn__invocation *invocation,
                           struct principal *out_principal)
{
    const struct azfn__http_request *request = &invocation->request;
    if (invocation->mode == AZFN__MODE_ENVELOPE) {
        struct azfn_span headers = invocation->envelope.headers;
        return invocation->function->config->trigger == AZFN__TRIGGER_HTTP &&
               mentions_principal(callers->skips, headers) && find_in_envelope(headers, out_principal);
    }
    if (!request->names_principal) {
        return false;
    }
    out_principal->id = azfn__http_request_header(request, AZFN__SPAN(AZFN__PRINCIPAL_HEADER "-ID"));
    out_principal->provider = azfn__http_request_header(request, AZFN__SPAN(AZFN__PRINCIPAL_HEADER "-IDP"));
    return true;
}

/* What can be printed of text, as much as there is room for. */
static size_t keep(char *out, size_t capacity, struct azfn_span text)
{
    size_t length = text.length < capacity ? text.length : capacity;
    for (size_t i = 0; i < length; i++) {
        out[i] = text.data[i] < ' ' || text.data[i] > '~' ? '?' : text.data[i];
    }
    return length;
}

static struct azfn_span principal_of(const struct azfn__caller *caller)
{
    return azfn__span(caller->principal_length > 0 ? caller->principal : NULL, caller->principal_length);
}

static struct azfn_span provider_of(const struct azfn__caller *caller)
{
    return azfn__span(caller->provider_length > 0 ? caller->provider : NULL, caller->provider_length);
}

static struct azfn_span address_of(const struct azfn__caller *caller)
{
    return azfn__span(caller->address_length > 0 ? caller->address : NULL, caller->address_length);
}

static struct azfn__event_fields fields_of(const struct azfn__caller *caller)
{
    return (struct azfn__event_fields){.function = caller->function->name,
                                       .principal_id = principal_of(caller),
                                       .identity_provider = provider_of(caller),
                                       .source_ip = address_of(caller)};
}

static struct azfn__caller make_caller(const struct azfn__invocation *invocation, const struct principal *principal)
{
    char scratch[AZFN__FACT_MAX_BYTES];
    struct azfn__caller caller = {.function = invocation->function->config};
    struct azfn_span address = azfn__request_facts_source_ip(invocation, scratch);
    caller.address_length = keep(caller.address, sizeof(caller.address), address);
    caller.principal_length = keep(caller.principal, sizeof(caller.principal), principal->id);
    caller.provider_length = keep(caller.provider, sizeof(caller.provider), principal->provider);
    caller.hash = azfn__hash(AZFN__HASH_SEED, caller.function->name);
    caller.hash = azfn__hash(caller.hash, principal_of(&caller));
    caller.hash = azfn__hash(caller.hash, provider_of(&caller));
    caller.hash = azfn__hash(caller.hash, address_of(&caller));
    return caller;
}

static bool is_same(const struct azfn__caller *a, const struct azfn__caller *b)
{
    return a->hash == b->hash && a->function == b->function &&
           azfn__span_equal(principal_of(a), principal_of(b)) && azfn__span_equal(provider_of(a), provider_of(b)) &&
           azfn__span_equal(address_of(a), address_of(b));
}

static void tell_count(struct azfn__callers *callers, struct azfn__caller *caller)
{
    char text[96];
    struct azfn__event_fields fields = fields_of(caller);
    if (caller->untold == 0) {
        return;
    }
    fields.count = AZFN__NUMBER(caller->untold);
    int length =
        snprintf(text, sizeof(text), "%" PRIu64 " more requests of this caller from this address", caller->untold);
    caller->untold = 0;
    azfn__dispatcher_tell(callers->dispatcher, NULL, AZFN__EVENT_CALLER_AUTHENTICATED, &fields,
                          azfn__span(text, length > 0 ? (size_t)length : 0));
}

static void tell_later(struct azfn__callers *callers)
{
    if (!uv_is_active((uv_handle_t *)&callers->timer)) {
        uv_timer_start(&callers->timer, on_timer, AZFN__EVENT_COUNT_INTERVAL_MS, 0);
    }
}

/* Who did not come again is forgotten, and is an event at once when he does. */
static void on_timer(uv_timer_t *timer)
{
    struct azfn__callers *callers = timer->data;
    size_t kept = 0;
    for (size_t i = 0; i < callers->count; i++) {
        struct azfn__caller *caller = &callers->table[i];
        if (caller->untold > 0) {
            tell_count(callers, caller);
            callers->table[kept++] = *caller;
        }
    }
    callers->count = kept;
    if (kept > 0) {
        tell_later(callers);
    }
}

void azfn__callers_tell(struct azfn__callers *callers)
{
    for (size_t i = 0; i < callers->count; i++) {
        tell_count(callers, &callers->table[i]);
    }
}

static void add(struct azfn__callers *callers, const struct azfn__caller *caller)
{
    if (!callers->table) {
        callers->table = calloc(AZFN__CALLERS_MAX, sizeof(*callers->table));
    }
    if (!callers->table) {
        return; /* each is told then */
    }
    struct azfn__caller *place = &callers->table[0];
    if (callers->count < AZFN__CALLERS_MAX) {
        place = &callers->table[callers->count++];
    } else {
        for (size_t i = 1; i < callers->count; i++) {
            place = callers->table[i].seen < place->seen ? &callers->table[i] : place;
        }
        tell_count(callers, place);
    }
    *place = *caller;
    tell_later(callers);
}

void azfn__callers_note(struct azfn__callers *callers, const struct azfn__invocation *invocation)
{
    struct principal principal = {{0}, {0}};
    if (!find_principal(callers, invocation, &principal)) {
        return;
    }
    if (!callers->dispatcher->config->is_easy_auth_on) {
        azfn__dispatcher_tell(callers->dispatcher, invocation, AZFN__EVENT_CALLER_UNPROVEN, NULL,
                              AZFN__SPAN("X-MS-CLIENT-PRINCIPAL says who the caller is, but App Service Authentication "
                                         "is off: anybody can write that"));
        return;
    }
    struct azfn__caller caller = make_caller(invocation, &principal);
    caller.seen = ++callers->notes;
    for (size_t i = 0; i < callers->count; i++) {
        if (is_same(&callers->table[i], &caller)) {
            callers->table[i].untold++;
            callers->table[i].seen = caller.seen;
            return;
        }
    }
    const struct azfn__event_fields fields = fields_of(&caller);
    add(callers, &caller);
    azfn__dispatcher_tell(callers->dispatcher, invocation, AZFN__EVENT_CALLER_AUTHENTICATED, &fields,
                          AZFN__SPAN("App Service Authentication vouches for the caller"));
}
