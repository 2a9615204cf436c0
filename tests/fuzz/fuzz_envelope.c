/* Any body as an envelope: what is read from it is what a second look finds, and stays inside; an answer made of its
 * parts is JSON. */
#include "base/json_scan.h"
#include "base/span.h"
#include "fuzz/check.h"
#include "worker/envelope.h"

#include <stdlib.h>

static const struct azfn__config_binding bindings[] = {
    {.name = {"req", 3}, .type = {"httpTrigger", 11}, .is_input = true},
    {.name = {"res", 3}, .type = {"http", 4}, .encoding = AZFN__OUTPUT_HTTP},
    {.name = {"a", 1}, .type = {"queue", 5}, .encoding = AZFN__OUTPUT_BASE64},
    {.name = {"b", 1}, .type = {"queue", 5}, .encoding = AZFN__OUTPUT_TEXT},
    {.name = {"c", 1}, .type = {"cosmosDB", 8}, .encoding = AZFN__OUTPUT_DOCUMENT},
};

static void answer(struct azfn_span text, struct azfn_span json)
{
    const struct azfn__config_function function = {
        .name = {"f", 1}, .bindings = bindings, .binding_count = 5, .http_output = &bindings[1]};
    struct azfn__envelope_output outputs[] = {
        {.next = &outputs[1], .binding = &bindings[2], .value = text},
        {.next = &outputs[2], .binding = &bindings[3], .value = text},
        {.next = NULL, .binding = &bindings[4], .value = json, .is_json = true},
    };
    const struct azfn__envelope_http http = {.status = 200, .content_type = {"text/plain", 10}, .body = text};
    const struct azfn__envelope_answer written = {.function = &function, .outputs = outputs, .http = &http};
    struct azfn__buffer out;
    azfn__buffer_init(&out, (size_t)16 << 20);
    azfn__envelope_write(&written, &out);
    if (!out.has_failed && azfn__json_scan(azfn__buffer_span(&out), NULL, NULL) != AZFN_OK) {
        abort();
    }
    azfn__buffer_clean_up(&out);
}

static bool is_same(struct azfn_span a, struct azfn_span b)
{
    return a.data == b.data && a.length == b.length;
}

/* What was found in one pass is what a walk from the top finds, member by member. */
static void check_members(struct azfn_span body, const struct azfn__envelope *envelope)
{
    struct azfn_span data = azfn__json_member(body, AZFN__SPAN("Data"));
    struct azfn_span metadata = azfn__json_member(body, AZFN__SPAN("Metadata"));
    struct azfn_span trigger = azfn__json_member(data, bindings[0].name);
    bool has_metadata = azfn__json_type_of(metadata) == AZFN__JSON_OBJECT;
    CHECK(is_same(envelope->data, data) && is_same(envelope->trigger, trigger));
    CHECK(is_same(envelope->metadata, has_metadata ? metadata : azfn__absent()));
    CHECK(is_same(envelope->url, azfn__json_member(trigger, AZFN__SPAN("Url"))));
    CHECK(is_same(envelope->method, azfn__json_member(trigger, AZFN__SPAN("Method"))));
    CHECK(is_same(envelope->query, azfn__json_member(trigger, AZFN__SPAN("Query"))));
    CHECK(is_same(envelope->headers, azfn__json_member(trigger, AZFN__SPAN("Headers"))));
    CHECK(is_same(envelope->params, azfn__json_member(trigger, AZFN__SPAN("Params"))));
    CHECK(is_same(envelope->body, azfn__json_member(trigger, AZFN__SPAN("Body"))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct azfn__envelope envelope;
    struct azfn__arena arena;
    size_t offset = 0;
    struct azfn_span body = {(const char *)data, size};
    if (azfn__envelope_read(body, bindings[0].name, &envelope, &offset) != AZFN_OK) {
        return 0;
    }
    check_members(body, &envelope);
    azfn__arena_init(&arena, (size_t)16 << 20);
    const struct azfn_span values[] = {envelope.trigger, envelope.url,    envelope.method, envelope.query,
                                       envelope.headers, envelope.params, envelope.body,   envelope.metadata};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct azfn_span text = azfn__envelope_text(values[i], &arena);
        struct azfn_span json = azfn__envelope_json(values[i], text);
        if (azfn_span_is_present(json) && azfn__json_scan(json, NULL, NULL) != AZFN_OK) {
            abort();
        }
        azfn__envelope_base64(text, &arena);
        if (azfn_span_is_present(text) && azfn_span_is_present(json)) {
            answer(text, json);
        }
    }
    azfn__arena_clean_up(&arena);
    return 0;
}
