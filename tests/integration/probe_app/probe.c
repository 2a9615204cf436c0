#include "probe.h"

#include <stdlib.h>
#include <string.h>

/* Text under construction; ends the process without memory, which no test expects. */
struct text {
    char *data;
    size_t length;
    size_t capacity;
};

static void append(struct text *text, const char *data, size_t length)
{
    if (text->capacity - text->length < length) {
        text->capacity = (text->length + length) * 2;
        text->data = realloc(text->data, text->capacity);
        if (!text->data) {
            abort();
        }
    }
    if (length > 0) {
        memcpy(text->data + text->length, data, length);
        text->length += length;
    }
}

static void append_text(struct text *text, const char *data)
{
    append(text, data, strlen(data));
}

/* Any bytes, as two hexadecimal digits each; "null" for an absent span. */
static void append_hex(struct text *text, struct azfn_span span)
{
    static const char digits[] = "0123456789abcdef";
    if (!azfn_span_is_present(span)) {
        append_text(text, "null");
        return;
    }
    append_text(text, "\"");
    for (size_t i = 0; i < span.length; i++) {
        unsigned char byte = (unsigned char)span.data[i];
        const char pair[2] = {digits[byte >> 4], digits[byte & 15]};
        append(text, pair, 2);
    }
    append_text(text, "\"");
}

typedef bool at_fn(struct azfn_invocation *invocation, size_t index, struct azfn_span *out_name,
                   struct azfn_span *out_value);

static void append_list(struct text *text, const char *name, struct azfn_invocation *invocation, at_fn *at)
{
    struct azfn_span key;
    struct azfn_span value;
    append_text(text, ",\"");
    append_text(text, name);
    append_text(text, "\":[");
    for (size_t i = 0; at(invocation, i, &key, &value); i++) {
        append_text(text, i > 0 ? ",[" : "[");
        append_hex(text, key);
        append_text(text, ",");
        append_hex(text, value);
        append_text(text, "]");
    }
    append_text(text, "]");
}

static void append_field(struct text *text, const char *name, struct azfn_span value)
{
    append_text(text, ",\"");
    append_text(text, name);
    append_text(text, "\":");
    append_hex(text, value);
}

void probe_http(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct text text = {0};
    append_text(&text, "{\"exact\":");
    append_text(&text, azfn_http_body_is_exact(invocation) ? "true" : "false");
    append_field(&text, "function", azfn_function_name(invocation));
    append_field(&text, "id", azfn_invocation_id(invocation));
    append_field(&text, "retry", probe_retry(invocation));
    append_field(&text, "method", azfn_http_method(invocation));
    append_field(&text, "path", azfn_http_path(invocation));
    append_field(&text, "body", azfn_http_body(invocation));
    append_list(&text, "query", invocation, azfn_http_query_at);
    append_list(&text, "headers", invocation, azfn_http_header_at);
    append_list(&text, "params", invocation, azfn_http_param_at);
    append_text(&text, "}");
    azfn_http_reply(invocation, 200, "application/json", (struct azfn_span){text.data, text.length});
    free(text.data);
}

static void log_pieces(struct azfn_invocation *invocation, const char *name, struct azfn_span value)
{
    struct text text = {0};
    append_hex(&text, value);
    for (size_t i = 0; i < text.length; i += 2000) {
        int length = (int)(text.length - i < 2000 ? text.length - i : 2000);
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%s %.*s", name, length, text.data + i);
    }
    free(text.data);
}

void probe_event(struct azfn_invocation *invocation, void *user_data)
{
    static const char *const metadata[] = {"Id",    "DequeueCount", "PopReceipt", "InsertionTime", "sys", "RetryContext",
                                           "Query", "Headers",      "a",          "x",             "n",   "input"};
    (void)user_data;
    log_pieces(invocation, "function", azfn_function_name(invocation));
    log_pieces(invocation, "id", azfn_invocation_id(invocation));
    log_pieces(invocation, "retry", probe_retry(invocation));
    log_pieces(invocation, "input", azfn_input(invocation, NULL));
    log_pieces(invocation, "json", azfn_input_json(invocation, NULL));
    log_pieces(invocation, "bytes", azfn_input_bytes(invocation, NULL));
    for (size_t i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++) {
        struct azfn_span name = azfn_format(invocation, "meta.%s", metadata[i]);
        log_pieces(invocation, name.data, azfn_metadata(invocation, metadata[i]));
    }
    azfn_succeed(invocation);
}

/* The message: {"outputs":[["name","text"],...],"documents":[["name",json],...]}. */
void probe_outputs(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span message = azfn_input_json(invocation, NULL);
    for (int is_json = 0; is_json < 2; is_json++) {
        struct azfn_span list = azfn_json_member(message, is_json ? "documents" : "outputs");
        struct azfn_span pair;
        size_t cursor = 0;
        while (azfn_span_is_present(pair = azfn_json_next_item(list, &cursor))) {
            size_t inner = 0;
            struct azfn_span name = azfn_json_string(invocation, azfn_json_next_item(pair, &inner));
            struct azfn_span value = azfn_json_next_item(pair, &inner);
            const char *binding = azfn_format(invocation, "%.*s", AZFN_SPAN_ARGS(name)).data;
            enum azfn_error error = is_json ? azfn_output_json(invocation, binding, value)
                                            : azfn_output(invocation, binding, azfn_json_string(invocation, value));
            azfn_log(invocation, AZFN_LOG_INFORMATION, "%s %s", binding, azfn_error_name(error));
        }
    }
    azfn_succeed(invocation);
}
