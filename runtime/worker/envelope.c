#include "worker/envelope.h"

#include "base/log_line.h"
#include "base/span.h"
#include "channel/payload.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

/* Data.<binding>.<member> */
#define HTTP_MEMBER_DEPTH 3

struct reader {
    struct azfn__envelope *envelope;
    struct azfn_span trigger_name;
};

static void take_http_member(struct azfn__envelope *envelope, struct azfn_span name, struct azfn_span value)
{
    const struct {
        struct azfn_span name;
        struct azfn_span *value;
    } members[] = {
        {AZFN__SPAN("Url"), &envelope->url},         {AZFN__SPAN("Method"), &envelope->method},
        {AZFN__SPAN("Query"), &envelope->query},     {AZFN__SPAN("Headers"), &envelope->headers},
        {AZFN__SPAN("Params"), &envelope->params},   {AZFN__SPAN("Body"), &envelope->body},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (azfn__json_string_equals(name, members[i].name)) {
            *members[i].value = value;
            return;
        }
    }
}

static bool on_member(const struct azfn_span *names, size_t depth, struct azfn_span value, void *user_data)
{
    struct reader *reader = user_data;
    struct azfn__envelope *envelope = reader->envelope;
    bool is_data = azfn__json_string_equals(names[0], AZFN__SPAN("Data"));
    if (depth == 1) {
        if (is_data) {
            envelope->data = value;
        } else if (azfn__json_string_equals(names[0], AZFN__SPAN("Metadata"))) {
            envelope->metadata = value;
        }
    } else if (is_data && azfn__json_string_equals(names[1], reader->trigger_name)) {
        if (depth == 2) {
            envelope->trigger = value;
        } else {
            take_http_member(envelope, names[2], value);
        }
    }
    return true;
}

/* Of a name that comes twice the last value counts: nothing may stay of an earlier one. */
static void keep_if_inside(struct azfn_span *part, struct azfn_span whole)
{
    if (!whole.data || part->data < whole.data || part->data + part->length > whole.data + whole.length) {
        *part = azfn__absent();
    }
}

static void drop_strays(struct azfn__envelope *envelope)
{
    struct azfn_span *const members[] = {&envelope->url,     &envelope->method, &envelope->query,
                                         &envelope->headers, &envelope->params, &envelope->body};
    keep_if_inside(&envelope->trigger, envelope->data);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        keep_if_inside(members[i], envelope->trigger);
    }
}

enum azfn_error azfn__envelope_read(struct azfn_span body, struct azfn_span trigger_name,
                                    struct azfn__envelope *out_envelope, size_t *out_offset)
{
    struct reader reader = {.envelope = out_envelope, .trigger_name = trigger_name};
    const struct azfn__json_scan_options options = {
        .member_depth = HTTP_MEMBER_DEPTH, .on_member = on_member, .user_data = &reader};
    *out_envelope = (struct azfn__envelope){.data = {0}};
    enum azfn_error error = azfn__json_scan(body, &options, out_offset);
    if (error != AZFN_OK) {
        return error;
    }
    drop_strays(out_envelope);
    if (azfn__json_type_of(out_envelope->metadata) != AZFN__JSON_OBJECT) {
        out_envelope->metadata = azfn__absent();
    }
    return azfn__json_type_of(out_envelope->data) == AZFN__JSON_OBJECT ? AZFN_OK : AZFN_ERROR_SYNTAX;
}

struct azfn_span azfn__envelope_string(struct azfn_span value, struct azfn__arena *arena)
{
    struct azfn_span view = azfn__json_string_view(value);
    if (azfn_span_is_present(view) || azfn__json_type_of(value) != AZFN__JSON_STRING) {
        return view;
    }
    /* decoding never makes a string longer, so the buffer can't grow away from this memory */
    char *text = azfn__arena_alloc(arena, value.length);
    if (!text) {
        return azfn__absent();
    }
    struct azfn__buffer buffer = {.data = text, .capacity = value.length, .max_bytes = value.length};
    return azfn__json_string_decode(value, &buffer) ? azfn__span(text, buffer.length) : azfn__absent();
}

static bool is_one_json_string(struct azfn_span text)
{
    return text.length >= 2 && text.data[0] == '"' && azfn__json_scan(text, NULL, NULL) == AZFN_OK;
}

struct azfn_span azfn__envelope_text(struct azfn_span value, struct azfn__arena *arena)
{
    switch (azfn__json_type_of(value)) {
    case AZFN__JSON_NONE:
    case AZFN__JSON_NULL:
        return azfn__absent();
    case AZFN__JSON_STRING:
        break;
    default:
        return value;
    }
    struct azfn_span text = azfn__envelope_string(value, arena);
    if (!is_one_json_string(text)) {
        return text;
    }
    /* what has just been decoded into the arena is nobody else's yet */
    bool is_view = text.data >= value.data && text.data < value.data + value.length;
    return is_view ? azfn__envelope_string(text, arena)
                   : azfn__json_string_decode_in_place((char *)text.data, text.length);
}

struct azfn_span azfn__envelope_json(struct azfn_span value, struct azfn_span text)
{
    enum azfn__json_type type = azfn__json_type_of(value);
    if (type == AZFN__JSON_OBJECT || type == AZFN__JSON_ARRAY) {
        return value;
    }
    return azfn_json_checked(text);
}

struct azfn_span azfn__envelope_path_of(struct azfn_span url)
{
    const char *host = url.length >= 3 ? memmem(url.data, url.length, "://", 3) : NULL;
    struct azfn_span rest = host ? azfn__span_from(url, (size_t)(host - url.data) + 3) : url;
    const char *slash = rest.length > 0 ? memchr(rest.data, '/', rest.length) : NULL;
    if (!slash) {
        return AZFN__SPAN("/");
    }
    rest = azfn__span_from(rest, (size_t)(slash - rest.data));
    for (size_t i = 0; i < rest.length; i++) {
        if (rest.data[i] == '?' || rest.data[i] == '#') {
            rest.length = i;
        }
    }
    return rest;
}

static bool is_ascii(struct azfn_span text)
{
    unsigned char all = 0;
    for (size_t i = 0; i < text.length; i++) {
        all |= (unsigned char)text.data[i];
    }
    return all < 0x80;
}

struct azfn_span azfn__envelope_base64(struct azfn_span text, struct azfn__arena *arena)
{
    size_t max_bytes = text.length / 4 * 3 + 3;
    size_t length = 0;
    /* libsodium takes some bytes beyond ASCII for base64 */
    unsigned char *bytes = is_ascii(text) ? azfn__arena_alloc(arena, max_bytes) : NULL;
    if (!bytes || sodium_base642bin(bytes, max_bytes, text.data, text.length, NULL, &length, NULL,
                                    sodium_base64_VARIANT_ORIGINAL) != 0) {
        return azfn__absent();
    }
    return azfn__span(bytes, length);
}

bool azfn__envelope_is_rewritten_date(struct azfn_span text)
{
    if (text.length >= 8 && azfn__span_starts_with(text, AZFN__SPAN("/Date("))) {
        return true;
    }
    return text.length >= 16 && text.length <= 40 && text.data[4] == '-' && text.data[7] == '-' &&
           text.data[10] == 'T' && text.data[0] >= '0' && text.data[0] <= '9';
}

struct azfn__envelope_output *azfn__envelope_first_output(struct azfn__envelope_output *outputs,
                                                          const struct azfn__config_binding *binding)
{
    while (outputs && outputs->binding != binding) {
        outputs = outputs->last->next;
    }
    return outputs;
}

void azfn__envelope_add_output(struct azfn__envelope_output **outputs, struct azfn__envelope_output *output)
{
    struct azfn__envelope_output **link = outputs;
    while (*link && (*link)->binding != output->binding) {
        link = &(*link)->last->next;
    }
    struct azfn__envelope_output *first = *link ? *link : output;
    if (first != output) {
        link = &first->last->next;
    }
    output->next = *link;
    *link = output;
    first->last = output;
}

static bool is_blob(const struct azfn__config_binding *binding)
{
    return azfn__span_equal_ignore_case(binding->type, AZFN__SPAN("blob"));
}

enum azfn_error azfn__envelope_check_output(const struct azfn__config_binding *binding, struct azfn_span value,
                                            const struct azfn__envelope_output *earlier)
{
    bool is_date = azfn__envelope_is_rewritten_date(value);
    switch (binding->encoding) {
    case AZFN__OUTPUT_HTTP:
        return AZFN_ERROR_STATE;
    case AZFN__OUTPUT_BASE64:
    case AZFN__OUTPUT_TEXT:
        if (earlier && is_blob(binding)) {
            return AZFN_ERROR_STATE;
        }
        /* only a single base64 string is safe from the host's eye for dates */
        if (earlier ? is_date || azfn__envelope_is_rewritten_date(earlier->value)
                    : is_date && binding->encoding == AZFN__OUTPUT_TEXT) {
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
        return AZFN_OK;
    case AZFN__OUTPUT_DOCUMENT:
        return AZFN_OK;
    }
    return AZFN_ERROR_STATE;
}

static void append_base64(struct azfn__buffer *out, struct azfn_span text)
{
    azfn__buffer_append_char(out, '"');
    size_t max_bytes = sodium_base64_encoded_len(text.length, sodium_base64_VARIANT_ORIGINAL);
    if (azfn__buffer_reserve(out, max_bytes)) {
        sodium_bin2base64(out->data + out->length, max_bytes, (const unsigned char *)text.data, text.length,
                          sodium_base64_VARIANT_ORIGINAL);
        out->length += max_bytes - 1; /* without the NUL */
    }
    azfn__buffer_append_char(out, '"');
}

static void append_item(struct azfn__buffer *out, const struct azfn__envelope_output *output)
{
    if (output->is_json && output->binding->encoding == AZFN__OUTPUT_DOCUMENT) {
        azfn__buffer_append_span(out, output->value);
    } else {
        azfn__json_append_string(out, output->value);
    }
}

/* All values of first's binding; returns the next one's first. A message that is alone and may be base64 is: the
 * host turns that into bytes and leaves them alone. Otherwise an array of strings: the host takes each as it is, while
 * it would parse and re-indent a single string that is JSON. */
static const struct azfn__envelope_output *append_value(struct azfn__buffer *out,
                                                        const struct azfn__envelope_output *first)
{
    const struct azfn__config_binding *binding = first->binding;
    const struct azfn__envelope_output *other = first->next;
    bool is_alone = !other || other->binding != binding;
    if (is_alone && binding->encoding == AZFN__OUTPUT_BASE64) {
        append_base64(out, first->value);
        return other;
    }
    bool is_array = !is_alone || (binding->encoding == AZFN__OUTPUT_TEXT && !is_blob(binding));
    azfn__buffer_append_text(out, is_array ? "[" : "");
    append_item(out, first);
    for (; other && other->binding == binding; other = other->next) {
        azfn__buffer_append_char(out, ',');
        append_item(out, other);
    }
    azfn__buffer_append_text(out, is_array ? "]" : "");
    return other;
}

static void append_http(struct azfn__buffer *out, const struct azfn__envelope_http *http)
{
    azfn__buffer_append_text(out, "{\"statusCode\":");
    azfn__buffer_append_uint(out, http->status);
    azfn__buffer_append_text(out, ",\"headers\":{");
    azfn__buffer_append_span(out, http->header_members);
    if (azfn_span_is_present(http->content_type)) {
        azfn__buffer_append_text(out, "\"Content-Type\":");
        azfn__json_append_string(out, http->content_type);
    } else if (http->header_members.length > 0) {
        out->length -= out->has_failed ? 0 : 1; /* the last comma */
    }
    azfn__buffer_append_text(out, "},\"body\":");
    azfn__json_append_string(out, http->body);
    azfn__buffer_append_char(out, '}');
}

static bool is_return(const struct azfn__config_binding *binding)
{
    return azfn_span_equals(binding->name, "$return");
}

static void append_name(struct azfn__buffer *out, const struct azfn__config_binding *binding, bool *is_first)
{
    azfn__buffer_append_text(out, *is_first ? "" : ",");
    *is_first = false;
    azfn__json_append_string(out, binding->name);
    azfn__buffer_append_char(out, ':');
}

static const struct azfn__envelope_output *skip_binding(const struct azfn__envelope_output *first)
{
    const struct azfn__envelope_output *other = first;
    while (other && other->binding == first->binding) {
        other = other->next;
    }
    return other;
}

/* The host writes them into its log as they are. */
static void append_logs(struct azfn__buffer *out, const struct azfn__envelope_answer *answer)
{
    struct azfn_span rest = answer->logs;
    struct azfn_span text;
    char dropped[96];
    const char *separator = "";
    while (azfn__payload_take_text(&rest, &text)) {
        azfn__buffer_append_text(out, separator);
        azfn__log_text_append(out, text);
        separator = ",";
    }
    if (answer->dropped_logs > 0) {
        snprintf(dropped, sizeof(dropped), "%" PRIu64 " more lines were dropped: the function wrote too much",
                 answer->dropped_logs);
        azfn__buffer_append_text(out, separator);
        azfn__log_text_append(out, azfn_span_of(dropped));
    }
}

void azfn__envelope_write(const struct azfn__envelope_answer *answer, struct azfn__buffer *out)
{
    const struct azfn__config_binding *http_binding = answer->function->http_output;
    const struct azfn__envelope_output *returned = NULL;
    bool is_first = true;
    bool has_outputs = answer->http && !is_return(http_binding);
    for (const struct azfn__envelope_output *output = answer->outputs; output && !has_outputs; output = output->next) {
        has_outputs = !is_return(output->binding);
    }

    /* {"Outputs":{}} would give an HTTP caller the text "{}", {} gives 204 */
    azfn__buffer_append_text(out, has_outputs ? "{\"Outputs\":{" : "{");
    if (answer->http && !is_return(http_binding)) {
        append_name(out, http_binding, &is_first);
        append_http(out, answer->http);
    }
    for (const struct azfn__envelope_output *output = answer->outputs; output;) {
        if (is_return(output->binding)) {
            returned = output;
            output = skip_binding(output);
        } else {
            append_name(out, output->binding, &is_first);
            output = append_value(out, output);
        }
    }
    azfn__buffer_append_text(out, has_outputs ? "},\"Logs\":[" : "\"Logs\":[");
    append_logs(out, answer);
    azfn__buffer_append_char(out, ']');
    if (returned) {
        azfn__buffer_append_text(out, ",\"ReturnValue\":");
        append_value(out, returned);
    } else if (answer->http && is_return(http_binding)) {
        azfn__buffer_append_text(out, ",\"ReturnValue\":");
        append_http(out, answer->http);
    }
    azfn__buffer_append_char(out, '}');
}
