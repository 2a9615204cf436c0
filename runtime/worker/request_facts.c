#include "worker/request_facts.h"

#include "base/ip_address.h"
#include "base/json_scan.h"
#include "base/log_line.h"
#include "base/span.h"
#include "base/trace_id.h"
#include "worker/dispatcher.h"
#include "worker/router.h"

#define FORWARDED_FOR AZFN__SPAN("X-Forwarded-For")
#define ESCAPE_MAX_BYTES 6
/* Between quotes, and with the mark behind it. */
#define DECODED_MAX_BYTES (AZFN__FACT_MAX_BYTES - 2 - (sizeof(AZFN__LOG_CUT_MARK) - 1))

/* Of a raw JSON string; absent where it is none. */
static struct azfn_span inside_of(struct azfn_span raw)
{
    return raw.length >= 2 && raw.data[0] == '"' ? azfn__span(raw.data + 1, raw.length - 2) : azfn__absent();
}

/* The first place behind least, or there, that is not inside an escape. */
static size_t find_boundary(struct azfn_span inside, size_t least)
{
    size_t place = 0;
    while (place < least) {
        bool is_escape = inside.data[place] == '\\';
        place += !is_escape ? 1 : inside.data[place + 1] == 'u' ? ESCAPE_MAX_BYTES : 2;
    }
    return place;
}

/* The text of what is inside of a raw string, decoded in scratch where it has escapes, or the first part of it. */
static struct azfn_span decode(struct azfn_span inside, char scratch[AZFN__FACT_MAX_BYTES])
{
    bool is_cut = inside.length > DECODED_MAX_BYTES;
    if (inside.length == 0 || !memchr(inside.data, '\\', inside.length)) {
        return inside;
    }
    size_t length = is_cut ? find_boundary(inside, DECODED_MAX_BYTES - ESCAPE_MAX_BYTES) : inside.length;
    scratch[0] = '"';
    memcpy(scratch + 1, inside.data, length);
    scratch[length + 1] = '"';
    struct azfn_span text = azfn__json_string_decode_in_place(scratch, length + 2);
    if (is_cut) {
        memcpy(scratch + text.length, AZFN__LOG_CUT_MARK, sizeof(AZFN__LOG_CUT_MARK) - 1);
        text.length += sizeof(AZFN__LOG_CUT_MARK) - 1;
    }
    return text;
}

static struct azfn_span text_of(struct azfn_span raw, char scratch[AZFN__FACT_MAX_BYTES])
{
    return decode(inside_of(raw), scratch);
}

/* A long one's path is looked for first: the host's name in it is the client's as well. */
static struct azfn_span path_of_url(struct azfn_span raw, char scratch[AZFN__FACT_MAX_BYTES])
{
    struct azfn_span inside = inside_of(raw);
    if (inside.length > DECODED_MAX_BYTES) {
        return decode(azfn__envelope_path_of(inside), scratch);
    }
    struct azfn_span url = decode(inside, scratch);
    return azfn_span_is_present(url) ? azfn__envelope_path_of(url) : url;
}

/* What stands behind the last comma, and perhaps more: who sends the list may have put anything before it, and so much
 * that nothing else of it could be decoded. */
static struct azfn_span end_of_list(struct azfn_span raw, char scratch[AZFN__FACT_MAX_BYTES])
{
    struct azfn_span inside = inside_of(raw);
    const char *comma = inside.length > 0 ? memrchr(inside.data, ',', inside.length) : NULL; /* never in an escape */
    inside = comma ? azfn__span_from(inside, (size_t)(comma + 1 - inside.data)) : inside;
    if (inside.length > DECODED_MAX_BYTES) {
        inside = azfn__span_from(inside, find_boundary(inside, inside.length - DECODED_MAX_BYTES));
    }
    return decode(inside, scratch);
}

/* "a, b" is "b": what the last proxy has seen for itself. */
static struct azfn_span last_of_list(struct azfn_span list)
{
    size_t start = list.length;
    while (start > 0 && list.data[start - 1] != ',') {
        start--;
    }
    return azfn__span_trim(azfn__span_from(list, start));
}

static struct azfn_span last_header(const struct azfn__http_request *request, struct azfn_span name)
{
    for (size_t i = request->header_count; i > 0; i--) {
        if (azfn__span_equal_ignore_case(request->headers[i - 1].name, name)) {
            return request->headers[i - 1].value;
        }
    }
    return azfn__absent();
}

/* The raw value of the last header of that name in an envelope: of an array of strings the last one. */
static struct azfn_span last_enveloped_header(struct azfn_span headers, struct azfn_span name)
{
    char scratch[AZFN__FACT_MAX_BYTES];
    struct azfn_span found = {0};
    struct azfn__json_walk members = azfn__json_walk(headers);
    while (azfn__json_walk_next(&members)) {
        if (azfn__span_equal_ignore_case(text_of(members.name, scratch), name)) {
            found = members.value;
        }
    }
    if (azfn__json_type_of(found) != AZFN__JSON_ARRAY) {
        return found;
    }
    struct azfn__json_walk items = azfn__json_walk(found);
    found = azfn__absent();
    while (azfn__json_walk_next(&items)) {
        found = items.value;
    }
    return found;
}

/* What is said of a client in an envelope; NULL where the request is the client's own, or is not read yet. */
static const struct azfn__envelope *envelope_of(const struct azfn__invocation *invocation)
{
    bool is_read = invocation->mode == AZFN__MODE_ENVELOPE && azfn_span_is_present(invocation->envelope.data);
    return is_read ? &invocation->envelope : NULL;
}

struct azfn_span azfn__request_facts_source_ip(const struct azfn__invocation *invocation,
                                               char scratch[AZFN__FACT_MAX_BYTES])
{
    const struct azfn__envelope *envelope = envelope_of(invocation);
    struct azfn_span list = envelope ? end_of_list(last_enveloped_header(envelope->headers, FORWARDED_FOR), scratch)
                                     : last_header(&invocation->request, FORWARDED_FOR);
    return azfn__ip_address_of(last_of_list(list));
}

static void fill_request(struct azfn__request_facts *facts, const struct azfn__invocation *invocation,
                         struct azfn__event_fields *out_fields)
{
    const struct azfn__http_request *request = &invocation->request;
    const struct azfn__envelope *envelope = envelope_of(invocation);
    if (envelope && invocation->function && invocation->function->config->trigger != AZFN__TRIGGER_HTTP) {
        return;
    }
    out_fields->source_ip = azfn__request_facts_source_ip(invocation, facts->source_ip);
    if (envelope) {
        out_fields->request_method = text_of(envelope->method, facts->request_method);
        out_fields->request_uri = path_of_url(envelope->url, facts->request_uri);
    } else {
        out_fields->request_method = request->method_name;
        out_fields->request_uri = azfn_span_is_present(request->path) ? request->path : request->target;
    }
}

void azfn__request_facts_fill(struct azfn__request_facts *facts, const struct azfn__invocation *invocation,
                              uint64_t wanted, struct azfn__event_fields *out_fields)
{
    const struct azfn__http_request *request = &invocation->request;
    if (invocation->function) {
        out_fields->function = invocation->function->config->name;
    }
    /* a request that is refused before it is routed has no id yet */
    struct azfn_span id = invocation->id.length > 0 ? invocation->id : azfn__router_invocation_id(request);
    out_fields->invocation_id = id.length > 0 ? id : azfn__absent();
    /* nothing is noted of a head that is refused */
    out_fields->trace_id =
        azfn__trace_id_of(azfn__http_request_header(request, AZFN__SPAN(AZFN__TRACE_PARENT_HEADER)));
    if (wanted & AZFN__FIELDS_OF_REQUEST & ~AZFN__FIELDS_OF_INVOCATION) {
        fill_request(facts, invocation, out_fields);
    }
}
