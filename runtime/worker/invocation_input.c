/* Inputs and metadata of azfn.h: the members of an envelope's Data and Metadata. */
#include "base/json_pointer.h"
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

/* What was made of a value, so that it is made once: a batch may have megabytes. */
struct azfn__decoded_value {
    struct azfn__decoded_value *next;
    const char *raw; /* where the value lies in the request */
    struct azfn_span text;
    struct azfn_span json;
    struct azfn_span bytes;
    bool has_json;
    bool has_bytes;
};

static struct azfn_span input_value(const struct azfn__invocation *invocation, const char *name)
{
    if (!name || azfn_span_equals(invocation->function->config->trigger_binding->name, name)) {
        return invocation->envelope.trigger;
    }
    return azfn__json_member(invocation->envelope.data, azfn_span_of(name));
}

static struct azfn_span metadata_value(const struct azfn__invocation *invocation, const char *name)
{
    return name ? azfn__json_member(invocation->envelope.metadata, azfn_span_of(name)) : azfn__absent();
}

/* With its text; NULL for null, an absent value, and without memory, which is remembered. */
static struct azfn__decoded_value *decode(struct azfn__invocation *invocation, struct azfn_span raw)
{
    enum azfn__json_type type = azfn__json_type_of(raw);
    if (type == AZFN__JSON_NONE || type == AZFN__JSON_NULL) {
        return NULL;
    }
    for (struct azfn__decoded_value *known = invocation->decoded; known; known = known->next) {
        if (known->raw == raw.data) {
            return known;
        }
    }
    struct azfn__decoded_value *value = azfn__invocation_alloc(invocation, sizeof(*value));
    struct azfn_span text = azfn__envelope_text(raw, &invocation->arena);
    if (!value || !azfn_span_is_present(text)) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "the decoding of its input");
        return NULL;
    }
    *value = (struct azfn__decoded_value){.next = invocation->decoded, .raw = raw.data, .text = text};
    invocation->decoded = value;
    return value;
}

static struct azfn_span text_of(struct azfn__invocation *invocation, struct azfn_span raw)
{
    const struct azfn__decoded_value *value = decode(invocation, raw);
    return value ? value->text : azfn__absent();
}

static struct azfn_span json_of(struct azfn__invocation *invocation, struct azfn_span raw)
{
    struct azfn__decoded_value *value = decode(invocation, raw);
    if (value && !value->has_json) {
        value->json = azfn__envelope_json(raw, value->text);
        value->has_json = true;
    }
    return value ? value->json : azfn__absent();
}

static struct azfn_span bytes_of(struct azfn__invocation *invocation, struct azfn_span raw)
{
    struct azfn__decoded_value *value = decode(invocation, raw);
    if (value && !value->has_bytes) {
        value->bytes = value->text.length > 0 ? azfn__envelope_base64(value->text, &invocation->arena) : value->text;
        value->has_bytes = true;
    }
    return value ? value->bytes : azfn__absent();
}

struct azfn_span azfn_input(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation ? text_of(invocation, input_value(invocation, name)) : azfn__absent();
}

struct azfn_span azfn_input_json(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    struct azfn_span value = input_value(invocation, name);
    struct azfn_span json = json_of(invocation, value);
    struct azfn_span text = azfn_span_is_present(json) ? azfn__absent() : text_of(invocation, value);
    if (text.length > 0) {
        azfn__invocation_tell_no_json(invocation, text);
    }
    return json;
}

static bool lies_in(struct azfn_span text, struct azfn_span whole)
{
    return azfn_span_is_present(whole) && text.data >= whole.data && text.data < whole.data + whole.length;
}

bool azfn__invocation_is_input(const struct azfn__invocation *invocation, struct azfn_span text)
{
    bool is_input = lies_in(text, invocation->request.body) || lies_in(text, invocation->body);
    for (const struct azfn__decoded_value *value = invocation->decoded; value && !is_input; value = value->next) {
        is_input = lies_in(text, value->text) || lies_in(text, value->bytes);
    }
    return is_input;
}

struct azfn_span azfn_input_bytes(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation ? bytes_of(invocation, input_value(invocation, name)) : azfn__absent();
}

struct azfn_span azfn_metadata(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation ? text_of(invocation, metadata_value(invocation, name)) : azfn__absent();
}

struct azfn_span azfn_metadata_json(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation ? json_of(invocation, metadata_value(invocation, name)) : azfn__absent();
}

struct azfn_span azfn_metadata_at(struct azfn_invocation *handle, const char *pointer)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    struct azfn_span rest = azfn_span_of(pointer);
    struct azfn_span name;
    if (!invocation || !azfn_span_is_present(rest)) {
        return azfn__absent();
    }
    if (rest.length == 0) {
        return invocation->envelope.metadata;
    }
    if (!azfn__json_pointer_next(&rest, &name)) {
        return azfn__absent();
    }
    struct azfn_span top = azfn__json_pointer_step(invocation->envelope.metadata, name);
    if (rest.length == 0) {
        return text_of(invocation, top);
    }
    /* only the values at the top are quoted twice */
    struct azfn_span value = azfn__json_pointer_follow(json_of(invocation, top), rest);
    enum azfn__json_type type = azfn__json_type_of(value);
    return type == AZFN__JSON_STRING ? azfn__envelope_string(value, &invocation->arena)
           : type == AZFN__JSON_NULL ? azfn__absent()
                                     : value;
}

struct azfn_retry azfn_retry_context(struct azfn_invocation *handle)
{
    struct azfn_span context = azfn_metadata_json(handle, "RetryContext");
    struct azfn_retry retry = {0};
    if (azfn_json_int64(azfn_json_member(context, "RetryCount"), &retry.count) != AZFN_OK ||
        azfn_json_int64(azfn_json_member(context, "MaxRetryCount"), &retry.max_count) != AZFN_OK) {
        return (struct azfn_retry){0};
    }
    retry.has_policy = true;
    return retry;
}
