#include "worker/request_facts.h"

#include "base/ip_address.h"
#include "base/json_scan.h"
#include "base/span.h"
#include "base/trace_id.h"
#include "worker/dispatcher.h"
#include "worker/router.h"

#define FORWARDED_FOR AZFN__SPAN("X-Forwarded-For")

/* The text of a raw JSON string, decoded in scratch where it has escapes; absent where that is too short. */
static struct azfn_span text_of(struct azfn_span raw, char scratch[AZFN__FACT_MAX_BYTES])
{
    struct azfn_span view = azfn__json_string_view(raw);
    if (azfn_span_is_present(view) || raw.length == 0 || raw.length > AZFN__FACT_MAX_BYTES) {
        return view;
    }
    memcpy(scratch, raw.data, raw.length);
    return azfn__json_string_decode_in_place(scratch, raw.length);
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

static void fill_from_request(const struct azfn__http_request *request, struct azfn__event_fields *out_fields)
{
    out_fields->source_ip = azfn__ip_address_of(last_of_list(last_header(request, FORWARDED_FOR)));
    out_fields->request_method = request->method_name;
    out_fields->request_uri = azfn_span_is_present(request->path) ? request->path : request->target;
}

static void fill_from_envelope(struct azfn__request_facts *facts, const struct azfn__envelope *envelope,
                               struct azfn__event_fields *out_fields)
{
    struct azfn_span forwarded_for = last_enveloped_header(envelope->headers, FORWARDED_FOR);
    out_fields->source_ip = azfn__ip_address_of(last_of_list(text_of(forwarded_for, facts->source_ip)));
    out_fields->request_method = text_of(envelope->method, facts->request_method);
    struct azfn_span url = text_of(envelope->url, facts->request_uri);
    out_fields->request_uri = azfn_span_is_present(url) ? azfn__envelope_path_of(url) : azfn__absent();
}

static void fill_request(struct azfn__request_facts *facts, const struct azfn__invocation *invocation,
                         struct azfn__event_fields *out_fields)
{
    bool is_read = invocation->mode == AZFN__MODE_ENVELOPE && azfn_span_is_present(invocation->envelope.data);
    if (!is_read) {
        fill_from_request(&invocation->request, out_fields);
    } else if (invocation->function->config->trigger == AZFN__TRIGGER_HTTP) {
        fill_from_envelope(facts, &invocation->envelope, out_fields);
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
    out_fields->trace_id = azfn__trace_id_of(azfn__invocation_trace_parent(invocation));
    if (wanted & AZFN__FIELDS_OF_REQUEST & ~AZFN__FIELDS_OF_INVOCATION) {
        fill_request(facts, invocation, out_fields);
    }
}
