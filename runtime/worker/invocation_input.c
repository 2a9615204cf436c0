/* Inputs and metadata of azfn.h: the members of an envelope's Data and Metadata. */
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

static struct azfn_span input_value(const struct azfn__invocation *invocation, const char *name)
{
    if (!name || azfn_span_equals(invocation->function->config->trigger_binding->name, name)) {
        return invocation->envelope.trigger;
    }
    return azfn__json_member(invocation->envelope.data, azfn_span_of(name));
}

struct azfn_span azfn_input(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__envelope_text(input_value(invocation, name), &invocation->arena);
}

struct azfn_span azfn_input_json(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__envelope_json(input_value(invocation, name), &invocation->arena);
}

struct azfn_span azfn_input_bytes(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    struct azfn_span text = azfn__envelope_text(input_value(invocation, name), &invocation->arena);
    return text.length > 0 ? azfn__envelope_base64(text, &invocation->arena) : text;
}

struct azfn_span azfn_metadata(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__envelope_text(azfn__json_member(invocation->envelope.metadata, azfn_span_of(name)),
                               &invocation->arena);
}

struct azfn_span azfn_metadata_json(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__envelope_json(azfn__json_member(invocation->envelope.metadata, azfn_span_of(name)),
                               &invocation->arena);
}
