/* The host's envelope: read as it is seen on the wire and as the documentation shows it, and answered so
 * that what a function says arrives unchanged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/envelope.h"

#include <stdio.h>

#define NO_LIMIT ((size_t)1 << 30)

static struct azfn__envelope read_envelope(const char *body, const char *trigger_name)
{
    struct azfn__envelope envelope;
    size_t offset;
    struct azfn_span text = azfn_span_of(body);
    assert_int_equal(azfn__envelope_read(text, azfn_span_of(trigger_name), &envelope, &offset), AZFN_OK);
    return envelope;
}

static void require_span(struct azfn_span found, const char *expected)
{
    if (!expected ? azfn_span_is_present(found) : !azfn_span_equals(found, expected)) {
        fail_msg("found \"%.*s\"%s, expected \"%s\"", AZFN_SPAN_ARGS(found),
                 azfn_span_is_present(found) ? "" : " (absent)", expected ? expected : "(absent)");
    }
}

static void the_parts_of_an_envelope_are_found(void **state)
{
    (void)state;
    struct azfn__envelope envelope =
        read_envelope("{\"Data\":{\"a\":1,\"msg\":\"\\\"text\\\"\"},\"Metadata\":{\"Id\":\"\\\"7\\\"\"}}", "msg");
    require_span(envelope.data, "{\"a\":1,\"msg\":\"\\\"text\\\"\"}");
    require_span(envelope.metadata, "{\"Id\":\"\\\"7\\\"\"}");
    require_span(envelope.trigger, "\"\\\"text\\\"\"");
    require_span(envelope.url, NULL);
    require_span(envelope.body, NULL);
}

static void an_envelope_needs_no_more_than_its_data(void **state)
{
    (void)state;
    struct azfn__envelope envelope = read_envelope(" {\"Other\":[1],\"Data\": {} }\r\n", "msg");
    require_span(envelope.data, "{}");
    require_span(envelope.metadata, NULL);
    require_span(envelope.trigger, NULL);
    envelope = read_envelope("{\"Metadata\":null,\"Data\":{}}", "msg");
    require_span(envelope.metadata, NULL);
    envelope = read_envelope("{\"Metadata\":[],\"Data\":{}}", "msg");
    require_span(envelope.metadata, NULL);
}

static void documents_that_are_no_envelopes_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",        " ",           "{}",           "[]",         "null",    "\"Data\"",        "{\"Data\":null}",
        "{\"Data\":[]}", "{\"Data\":\"{}\"}", "{\"data\":{}}", "{\"Metadata\":{}}", "{\"Data\":{}",
        "{\"Data\":{}} x", "{\"Data\":{}}{}", "{\"Data\":{},}", "{'Data':{}}", "\xef\xbb\xbf{\"Data\":{}}",
        "{\"Data\":{\"a\":\"\xff\"}}", "{\"Data\":{\"a\":01}}", "{\"Data\":{},\"Data\":1}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct azfn__envelope envelope;
        size_t offset;
        struct azfn_span text = azfn_span_of(bodies[i]);
        assert_int_equal(azfn__envelope_read(text, AZFN__SPAN("a"), &envelope, &offset), AZFN_ERROR_SYNTAX);
        assert_in_range(offset, 0, text.length);
    }
}

static void the_place_where_it_is_no_json_is_told(void **state)
{
    (void)state;
    struct azfn__envelope envelope;
    size_t offset = 0;
    assert_int_equal(azfn__envelope_read(AZFN__SPAN("{\"Data\":{\"a\":tru}}"), AZFN__SPAN("a"), &envelope, &offset),
                     AZFN_ERROR_SYNTAX);
    assert_in_range(offset, 13, 16);
}

static void an_envelope_that_is_too_deep_is_refused(void **state)
{
    (void)state;
    char body[1000] = "{\"Data\":{\"a\":";
    struct azfn__envelope envelope;
    size_t offset;
    size_t length = strlen(body);
    memset(body + length, '[', 200);
    memset(body + length + 200, ']', 200);
    memcpy(body + length + 400, "}}", 3);
    assert_int_equal(azfn__envelope_read(azfn_span_of(body), AZFN__SPAN("a"), &envelope, &offset), AZFN_ERROR_LIMIT);
}

static void the_members_of_an_http_trigger_are_found(void **state)
{
    (void)state;
    struct azfn__envelope envelope = read_envelope(
        "{\"Data\":{\"other\":{\"Url\":\"no\",\"Body\":\"no\"},\"req\":{\"Url\":\"http://h/p?q=1\",\"Method\":\"POST\","
        "\"Query\":{\"q\":\"1\"},\"Headers\":{\"A\":[\"b\"]},\"Params\":{\"id\":null},\"Identities\":[{}],"
        "\"Body\":\"text\",\"Deep\":{\"Body\":\"no\"}},\"Body\":\"no\"},\"Metadata\":{\"req\":{\"Body\":\"no\"}}}",
        "req");
    require_span(envelope.url, "\"http://h/p?q=1\"");
    require_span(envelope.method, "\"POST\"");
    require_span(envelope.query, "{\"q\":\"1\"}");
    require_span(envelope.headers, "{\"A\":[\"b\"]}");
    require_span(envelope.params, "{\"id\":null}");
    require_span(envelope.body, "\"text\"");
}

static void names_may_be_escaped(void **state)
{
    (void)state;
    struct azfn__envelope envelope =
        read_envelope("{\"\\u0044ata\":{\"r\\u0065q\":{\"\\u0042ody\":\"x\"}},\"Meta\\u0064ata\":{}}", "req");
    require_span(envelope.trigger, "{\"\\u0042ody\":\"x\"}");
    require_span(envelope.body, "\"x\"");
    require_span(envelope.metadata, "{}");
    envelope = read_envelope("{\"Data\":{\"\\u00fcber \\\"x\\\"\":5}}", "\xc3\xbc" "ber \"x\"");
    require_span(envelope.trigger, "5");
}

static void binding_names_differ_by_case(void **state)
{
    (void)state;
    struct azfn__envelope envelope = read_envelope("{\"Data\":{\"Msg\":1,\"MSG\":2}}", "msg");
    require_span(envelope.trigger, NULL);
}

static void what_comes_twice_is_never_mixed(void **state)
{
    (void)state;
    struct azfn__envelope envelope = read_envelope(
        "{\"Data\":{\"req\":{\"Method\":\"GET\",\"Body\":\"old\"},\"req\":{\"Method\":\"PUT\"}}}", "req");
    require_span(envelope.trigger, "{\"Method\":\"PUT\"}");
    require_span(envelope.method, "\"PUT\"");
    require_span(envelope.body, NULL);
    envelope = read_envelope("{\"Data\":{\"req\":{\"Body\":\"old\"}},\"Data\":{\"a\":1}}", "req");
    require_span(envelope.data, "{\"a\":1}");
    require_span(envelope.trigger, NULL);
    require_span(envelope.body, NULL);
    envelope = read_envelope("{\"Data\":{\"req\":{\"Body\":\"old\"},\"req\":5}}", "req");
    require_span(envelope.trigger, "5");
    require_span(envelope.body, NULL);
}

static void a_value_as_text_loses_the_quotes_that_the_host_has_added(void **state)
{
    (void)state;
    static const char *const values[][2] = {
        {"\"\\\"abc\\\"\"", "abc"},                               /* as on the wire */
        {"\"abc\"", "abc"},                                       /* as in the documentation */
        {"\"\\\"1\\\"\"", "1"},
        {"\"\\\"True\\\"\"", "True"},
        {"\"\\\"01/02/2024 03:04:05\\\"\"", "01/02/2024 03:04:05"},
        {"\"1\"", "1"},                                           /* DequeueCount */
        {"12345678901234567890", "12345678901234567890"},         /* plain, and exact */
        {"\"\\\"12345678901234567890\\\"\"", "12345678901234567890"},
        {"-1.50e3", "-1.50e3"},
        {"true", "true"},
        {"{\"a\":1}", "{\"a\":1}"},
        {"[1, 2]", "[1, 2]"},
        {"\"{\\\"a\\\":1}\"", "{\"a\":1}"},                       /* singly encoded */
        {"\"\\\"{\\\\\\\"a\\\\\\\":1}\\\"\"", "{\"a\":1}"},       /* a queue message that is JSON */
        {"\"[{\\\"id\\\":\\\"a\\\",\\\"_lsn\\\":9}]\"", "[{\"id\":\"a\",\"_lsn\":9}]"},
        {"\"\\\"null\\\"\"", "null"},                             /* a message with this text */
        {"\"\\\"\\\\\\\"quoted\\\\\\\"\\\"\"", "\"quoted\""},     /* a message that has quotes: only two layers */
        {"\"\\\"\\\"\"", ""},
        {"\"\"", ""},
        {"\"\\\"two\\\\nlines \\\\u00e9\\\"\"", "two\nlines \xc3\xa9"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"SGVsbG8=\"", "SGVsbG8="},                             /* base64 is not guessed at */
        {"\"\\\"half\"", "\"half"},                               /* no JSON string inside: as it is */
        {"\"\\\"a\\\" b\"", "\"a\" b"},
        {"\"\\\"bad \\\\x\\\"\"", "\"bad \\x\""},
        {"\" \\\"abc\\\"\"", " \"abc\""},
        {"null", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct azfn__arena arena;
        azfn__arena_init(&arena, 1 << 16);
        require_span(azfn__envelope_text(azfn_span_of(values[i][0]), &arena), values[i][1]);
        azfn__arena_clean_up(&arena);
    }
}

static void a_value_as_json_is_given_only_where_there_is_json(void **state)
{
    (void)state;
    static const char *const values[][2] = {
        {"{\"a\":1}", "{\"a\":1}"},
        {"[]", "[]"},
        {"\"\\\"{\\\\\\\"a\\\\\\\":1}\\\"\"", "{\"a\":1}"},
        {"\"[1,2]\"", "[1,2]"},
        {"\"\\\"7\\\"\"", "7"},
        {"7", "7"},
        {"\"\\\"null\\\"\"", "null"},
        {"\"\\\"abc\\\"\"", NULL},
        {"\"{\\\"a\\\":1} x\"", NULL},
        {"\"{'a':1}\"", NULL},
        {"\"\"", NULL},
        {"null", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct azfn__arena arena;
        azfn__arena_init(&arena, 1 << 16);
        struct azfn_span value = azfn_span_of(values[i][0]);
        require_span(azfn__envelope_json(value, azfn__envelope_text(value, &arena)), values[i][1]);
        azfn__arena_clean_up(&arena);
    }
}

static void a_string_loses_one_layer_only(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 1 << 16);
    require_span(azfn__envelope_string(AZFN__SPAN("\"\\\"a\\\"\""), &arena), "\"a\"");
    require_span(azfn__envelope_string(AZFN__SPAN("\"plain\""), &arena), "plain");
    require_span(azfn__envelope_string(AZFN__SPAN("7"), &arena), NULL);
    require_span(azfn__envelope_string(AZFN__SPAN("null"), &arena), NULL);
    require_span(azfn__envelope_string((struct azfn_span){0}, &arena), NULL);
    azfn__arena_clean_up(&arena);
}

static void without_memory_a_text_is_absent(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 0);
    require_span(azfn__envelope_text(AZFN__SPAN("\"plain\""), &arena), "plain");
    require_span(azfn__envelope_text(AZFN__SPAN("\"\\\"a\\\"\""), &arena), NULL);
    require_span(azfn__envelope_json(AZFN__SPAN("\"\\\"7\\\"\""), azfn__span(NULL, 0)), NULL);
    require_span(azfn__envelope_base64(AZFN__SPAN("YQ=="), &arena), NULL);
    azfn__arena_clean_up(&arena);
}

static void base64_gives_the_bytes(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 1 << 16);
    require_span(azfn__envelope_base64(AZFN__SPAN("SGVsbG8="), &arena), "Hello");
    require_span(azfn__envelope_base64(AZFN__SPAN(""), &arena), "");
    struct azfn_span bytes = azfn__envelope_base64(AZFN__SPAN("AP+A+/8="), &arena);
    assert_true(azfn__span_equal(bytes, AZFN__SPAN("\0\xff\x80\xfb\xff")));
    static const char *const others[] = {"SGVsbG8", "SGVsbG8==", "SGVs bG8=", "SGVs\n", "_-8=", "SGVsbG8=x", "=", "A",
                                         "\xc3\xa9\xc3\xa9", "SGV\xff"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        require_span(azfn__envelope_base64(azfn_span_of(others[i]), &arena), NULL);
    }
    azfn__arena_clean_up(&arena);
}

static void texts_that_the_host_takes_for_dates_are_known(void **state)
{
    (void)state;
    static const char *const dates[] = {
        "2024-01-02T03:04:05Z", "2024-01-02T03:04:05", "2024-01-02T03:04:05.1234567+01:00", "0001-01-01T00:00:00+00:00",
        "/Date(1700000000000)/", "/Date(1700000000000+0100)/", "2024-01-02T03:04Z",
    };
    static const char *const texts[] = {
        "", "2024", "2024-01-02", "2024-01-02 03:04:05", "x2024-01-02T03:04:05", " 2024-01-02T03:04:05Z", "/Date(",
        "at 2024-01-02T03:04:05Z", "{\"a\":\"2024-01-02T03:04:05Z\"}", "/date(1700000000000)/",
        "2024-01-02T03:04:05Z is when the long meeting begins", "12345678901234567890",
    };
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        assert_true(azfn__envelope_is_rewritten_date(azfn_span_of(dates[i])));
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(azfn__envelope_is_rewritten_date(azfn_span_of(texts[i])));
    }
}

/* AZFN__SPAN() is no constant, so not for static objects. */
#define LITERAL(text) {(text), sizeof(text) - 1}
#define BINDING(binding_name, binding_type, how) \
    {.name = LITERAL(binding_name), .type = LITERAL(binding_type), .encoding = AZFN__OUTPUT_##how}

static const struct azfn__config_binding http_res = BINDING("res", "http", HTTP);
static const struct azfn__config_binding http_return = BINDING("$return", "http", HTTP);
static const struct azfn__config_binding queue = BINDING("out", "queue", BASE64);
static const struct azfn__config_binding queue_binary = BINDING("bin", "queue", TEXT);
static const struct azfn__config_binding queue_return = BINDING("$return", "queue", BASE64);
static const struct azfn__config_binding blob = BINDING("file", "blob", BASE64);
static const struct azfn__config_binding blob_binary = BINDING("raw", "Blob", TEXT);
static const struct azfn__config_binding documents = BINDING("docs", "cosmosDB", DOCUMENT);
static const struct azfn__config_binding odd_name = BINDING("a\"b", "queue", TEXT);

static const struct azfn__config_function no_http = {.name = LITERAL("f"), .trigger = AZFN__TRIGGER_QUEUE};
static const struct azfn__config_function with_res = {
    .name = LITERAL("f"), .trigger = AZFN__TRIGGER_HTTP, .http_output = &http_res};
static const struct azfn__config_function with_return = {
    .name = LITERAL("f"), .trigger = AZFN__TRIGGER_HTTP, .http_output = &http_return};

static struct azfn__envelope_output text_of(const struct azfn__config_binding *binding, const char *text)
{
    return (struct azfn__envelope_output){.binding = binding, .value = azfn_span_of(text)};
}

static struct azfn__envelope_output json_of(const struct azfn__config_binding *binding, const char *text)
{
    return (struct azfn__envelope_output){.binding = binding, .value = azfn_span_of(text), .is_json = true};
}

/* Links the outputs, writes, and requires JSON of exactly this text. */
static void require_answer(struct azfn__envelope_answer answer, struct azfn__envelope_output *outputs, size_t count,
                           const char *expected)
{
    struct azfn__buffer out;
    struct azfn__envelope_output *list = NULL;
    for (size_t i = 0; i < count; i++) {
        azfn__envelope_add_output(&list, &outputs[i]);
    }
    answer.outputs = list;
    azfn__buffer_init(&out, NO_LIMIT);
    azfn__envelope_write(&answer, &out);
    assert_false(out.has_failed);
    require_span(azfn__buffer_span(&out), expected);
    assert_int_equal(azfn__json_scan(azfn__buffer_span(&out), NULL, NULL), AZFN_OK);
    azfn__buffer_clean_up(&out);
}

static void an_answer_that_says_nothing_is_no_empty_object(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    require_answer(answer, NULL, 0, "{\"Logs\":[]}");
}

static void logs_are_a_list_of_strings(void **state)
{
    (void)state;
    struct azfn__envelope_answer answer = {.function = &no_http, .logs = AZFN__SPAN("\1\0a\4\0\"\\\n\x1b")};
    require_answer(answer, NULL, 0, "{\"Logs\":[\"a\",\"\\\"\\\\\\\\n\\\\u001b\"]}");
    answer.dropped_logs = 12;
    answer.logs.length = 3;
    require_answer(answer, NULL, 0,
                   "{\"Logs\":[\"a\",\"12 more lines were dropped: the function wrote too much\"]}");
}

static void a_single_message_is_base64_so_that_the_host_leaves_its_bytes_alone(void **state)
{
    (void)state;
    static const char *const messages[][2] = {
        {"test", "dGVzdA=="},                     /* would be decoded to three bytes */
        {"data1234", "ZGF0YTEyMzQ="},
        {"{\"a\":1}", "eyJhIjoxfQ=="},            /* would be indented */
        {"2024-01-02T03:04:05Z", "MjAyNC0wMS0wMlQwMzowNDowNVo="},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        const struct azfn__envelope_answer answer = {.function = &no_http};
        struct azfn__envelope_output output = text_of(&queue, messages[i][0]);
        char expected[128];
        snprintf(expected, sizeof(expected), "{\"Outputs\":{\"out\":\"%s\"},\"Logs\":[]}", messages[i][1]);
        require_answer(answer, &output, 1, expected);
    }
}

static void a_single_message_of_a_binary_binding_is_an_array_of_one_string(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output output = text_of(&queue_binary, "{\"a\":1}\n\x01");
    require_answer(answer, &output, 1, "{\"Outputs\":{\"bin\":[\"{\\\"a\\\":1}\\n\\u0001\"]},\"Logs\":[]}");
    output = json_of(&queue_binary, "[1]");
    require_answer(answer, &output, 1, "{\"Outputs\":{\"bin\":[\"[1]\"]},\"Logs\":[]}");
}

static void several_messages_are_strings_in_an_array(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output outputs[] = {text_of(&queue, "test"), json_of(&queue, "{\"a\": 1}"),
                                              text_of(&queue, "")};
    require_answer(answer, outputs, 3, "{\"Outputs\":{\"out\":[\"test\",\"{\\\"a\\\": 1}\",\"\"]},\"Logs\":[]}");
    outputs[0] = text_of(&queue_binary, "a");
    outputs[1] = text_of(&queue_binary, "b");
    require_answer(answer, outputs, 2, "{\"Outputs\":{\"bin\":[\"a\",\"b\"]},\"Logs\":[]}");
}

static void values_of_several_bindings_are_gathered_under_their_names(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output outputs[] = {text_of(&queue, "a"), text_of(&queue_binary, "x"), text_of(&queue, "b"),
                                              json_of(&documents, "{\"id\":9007199254740993}"),
                                              text_of(&queue_binary, "y"), text_of(&odd_name, "z")};
    require_answer(answer, outputs, 6,
                   "{\"Outputs\":{\"out\":[\"a\",\"b\"],\"bin\":[\"x\",\"y\"],\"docs\":{\"id\":9007199254740993},"
                   "\"a\\\"b\":[\"z\"]},\"Logs\":[]}");
}

/* What a walk over the values would trip over: the way from each to the next is taken away meanwhile. */
static void adding_a_value_looks_at_no_other_but_the_last(void **state)
{
    (void)state;
    enum { VALUES = 10000 };
    static struct azfn__envelope_output outputs[2 * VALUES];
    static const struct azfn__config_binding *const bindings[] = {&queue, &documents};
    struct azfn__envelope_output *list = NULL;
    for (size_t i = 0; i < 2 * VALUES; i++) {
        struct azfn__envelope_output *lost = i >= 4 ? outputs[0].next : NULL;
        outputs[i].binding = bindings[i % 2];
        if (lost) {
            outputs[0].next = NULL;
            outputs[1].next = NULL;
        }
        azfn__envelope_add_output(&list, &outputs[i]);
        assert_ptr_equal(azfn__envelope_first_output(list, bindings[i % 2]), &outputs[i % 2]);
        if (lost) {
            outputs[0].next = &outputs[2];
            outputs[1].next = &outputs[3];
        }
    }
    size_t count = 0;
    for (const struct azfn__envelope_output *output = list; output; output = output->next, count++) {
        assert_ptr_equal(output, &outputs[count < VALUES ? 2 * count : 2 * (count - VALUES) + 1]);
    }
    assert_int_equal(count, 2 * VALUES);
}

static void documents_are_values_and_one_that_is_alone_is_in_no_array(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output outputs[] = {json_of(&documents, "{\"id\":1}"), json_of(&documents, " [2] "),
                                              text_of(&documents, "{3}")};
    require_answer(answer, outputs, 1, "{\"Outputs\":{\"docs\":{\"id\":1}},\"Logs\":[]}");
    require_answer(answer, outputs, 3, "{\"Outputs\":{\"docs\":[{\"id\":1}, [2] ,\"{3}\"]},\"Logs\":[]}");
}

static void a_blob_is_one_string(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output output = text_of(&blob, "test");
    require_answer(answer, &output, 1, "{\"Outputs\":{\"file\":\"dGVzdA==\"},\"Logs\":[]}");
    output = text_of(&blob_binary, "test");
    require_answer(answer, &output, 1, "{\"Outputs\":{\"raw\":\"test\"},\"Logs\":[]}");
}

static void the_return_value_has_a_place_of_its_own(void **state)
{
    (void)state;
    const struct azfn__envelope_answer answer = {.function = &no_http};
    struct azfn__envelope_output outputs[] = {text_of(&queue_return, "test"), text_of(&queue, "b"),
                                              text_of(&queue_return, "again")};
    /* the host sends nothing for a $return under Outputs, and {"Outputs":{}} is a text of its own */
    require_answer(answer, outputs, 1, "{\"Logs\":[],\"ReturnValue\":\"dGVzdA==\"}");
    require_answer(answer, outputs, 2, "{\"Outputs\":{\"out\":\"Yg==\"},\"Logs\":[],\"ReturnValue\":\"dGVzdA==\"}");
    require_answer(answer, outputs, 3,
                   "{\"Outputs\":{\"out\":\"Yg==\"},\"Logs\":[],\"ReturnValue\":[\"test\",\"again\"]}");
}

static void an_http_answer_is_an_object_whose_body_is_always_a_string(void **state)
{
    (void)state;
    struct azfn__envelope_http http = {.status = 201,
                                       .content_type = AZFN__SPAN("application/json"),
                                       .header_members = AZFN__SPAN("\"A\":\"b\",\"Set-Cookie\":\"c=d\","),
                                       .body = AZFN__SPAN("{\"a\":\"\xc3\xa9\"}")};
    const struct azfn__envelope_answer answer = {.function = &with_res, .http = &http};
    require_answer(answer, NULL, 0,
                   "{\"Outputs\":{\"res\":{\"statusCode\":201,\"headers\":{\"A\":\"b\",\"Set-Cookie\":\"c=d\","
                   "\"Content-Type\":\"application/json\"},\"body\":\"{\\\"a\\\":\\\"\xc3\xa9\\\"}\"}},\"Logs\":[]}");
    http.content_type = (struct azfn_span){0};
    http.body = (struct azfn_span){0};
    http.status = 204;
    require_answer(answer, NULL, 0,
                   "{\"Outputs\":{\"res\":{\"statusCode\":204,\"headers\":{\"A\":\"b\",\"Set-Cookie\":\"c=d\"},"
                   "\"body\":\"\"}},\"Logs\":[]}");
    http.header_members = AZFN__SPAN("");
    require_answer(answer, NULL, 0,
                   "{\"Outputs\":{\"res\":{\"statusCode\":204,\"headers\":{},\"body\":\"\"}},\"Logs\":[]}");
}

static void an_http_answer_may_be_the_return_value(void **state)
{
    (void)state;
    const struct azfn__envelope_http http = {.status = 200, .body = AZFN__SPAN("test")};
    const struct azfn__envelope_answer answer = {.function = &with_return, .http = &http, .logs = AZFN__SPAN("\1\0x")};
    require_answer(answer, NULL, 0,
                   "{\"Logs\":[\"x\"],\"ReturnValue\":{\"statusCode\":200,\"headers\":{},\"body\":\"test\"}}");
    struct azfn__envelope_output output = text_of(&queue_binary, "m");
    require_answer(answer, &output, 1,
                   "{\"Outputs\":{\"bin\":[\"m\"]},\"Logs\":[\"x\"],\"ReturnValue\":{\"statusCode\":200,\"headers\":{},"
                   "\"body\":\"test\"}}");
}

static void an_http_answer_goes_together_with_messages_and_a_return_value(void **state)
{
    (void)state;
    const struct azfn__envelope_http http = {.status = 200, .body = AZFN__SPAN("")};
    const struct azfn__envelope_answer answer = {.function = &with_res, .http = &http};
    struct azfn__envelope_output outputs[] = {text_of(&queue_return, "a"), text_of(&queue, "b")};
    require_answer(answer, outputs, 2,
                   "{\"Outputs\":{\"res\":{\"statusCode\":200,\"headers\":{},\"body\":\"\"},\"out\":\"Yg==\"},"
                   "\"Logs\":[],\"ReturnValue\":\"YQ==\"}");
}

static void an_answer_beyond_the_buffer_has_failed_wherever_it_ends(void **state)
{
    (void)state;
    const struct azfn__envelope_http http = {
        .status = 200, .header_members = AZFN__SPAN("\"A\":\"b\","), .body = AZFN__SPAN("text")};
    struct azfn__envelope_output output = text_of(&queue, "message");
    const struct azfn__envelope_answer answer = {.function = &with_res, .http = &http, .outputs = &output};
    struct azfn__buffer out;
    azfn__buffer_init(&out, NO_LIMIT);
    azfn__envelope_write(&answer, &out);
    size_t length = out.length;
    azfn__buffer_clean_up(&out);
    for (size_t room = 0; room < length; room++) {
        azfn__buffer_init(&out, room);
        azfn__envelope_write(&answer, &out);
        assert_true(out.has_failed);
        azfn__buffer_clean_up(&out);
    }
}

static void hostile_texts_stay_inside_their_strings(void **state)
{
    (void)state;
    static const char hostile[] = "\"},\"Outputs\":{\"x\":1}\\\r\n\0\xff\xe2\x80\xa8\x7f</script>";
    const struct azfn_span text = azfn__span(hostile, sizeof(hostile) - 1);
    const struct azfn__envelope_http http = {.status = 200, .content_type = text, .body = text};
    const struct azfn__config_binding *const bindings[] = {&queue_binary, &documents, &queue, &blob_binary};
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++) {
        struct azfn__envelope_output outputs[] = {{.binding = bindings[i], .value = text, .next = &outputs[1]},
                                                  {.binding = bindings[i], .value = text}};
        const struct azfn__envelope_answer answer = {.function = &with_res, .http = &http, .outputs = outputs};
        struct azfn__buffer out;
        azfn__buffer_init(&out, NO_LIMIT);
        azfn__envelope_write(&answer, &out);
        assert_int_equal(azfn__json_scan(azfn__buffer_span(&out), NULL, NULL), AZFN_OK);
        struct azfn_span member = azfn__json_member(azfn__buffer_span(&out), AZFN__SPAN("Outputs"));
        member = azfn__json_member(member, AZFN__SPAN("res"));
        assert_int_equal(azfn__json_type_of(member), AZFN__JSON_OBJECT);
        azfn__buffer_clean_up(&out);
    }
}

static enum azfn_error check(const struct azfn__config_binding *binding, const char *value, const char *earlier)
{
    struct azfn__envelope_output first = text_of(binding, earlier ? earlier : "");
    return azfn__envelope_check_output(binding, azfn_span_of(value), earlier ? &first : NULL);
}

static void a_date_is_refused_where_it_would_be_a_plain_string(void **state)
{
    (void)state;
    const char *date = "2024-01-02T03:04:05Z";
    assert_int_equal(check(&queue, date, NULL), AZFN_OK); /* base64 */
    assert_int_equal(check(&queue, date, "other"), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(check(&queue, "other", date), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(check(&queue, "other", "another"), AZFN_OK);
    assert_int_equal(check(&queue_binary, date, NULL), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(check(&queue_binary, date, "other"), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(check(&queue_binary, "{\"at\":\"2024-01-02T03:04:05Z\"}", NULL), AZFN_OK);
    assert_int_equal(check(&blob, date, NULL), AZFN_OK);
    assert_int_equal(check(&blob_binary, date, NULL), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(check(&queue_return, date, NULL), AZFN_OK);
}

static void a_blob_takes_one_value_and_an_http_output_none(void **state)
{
    (void)state;
    assert_int_equal(check(&blob, "a", NULL), AZFN_OK);
    assert_int_equal(check(&blob, "b", "a"), AZFN_ERROR_STATE);
    assert_int_equal(check(&blob_binary, "b", "a"), AZFN_ERROR_STATE);
    assert_int_equal(check(&http_res, "a", NULL), AZFN_ERROR_STATE);
    assert_int_equal(check(&http_return, "a", NULL), AZFN_ERROR_STATE);
    assert_int_equal(check(&documents, "a", "b"), AZFN_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_an_envelope_are_found),
        cmocka_unit_test(an_envelope_needs_no_more_than_its_data),
        cmocka_unit_test(documents_that_are_no_envelopes_are_refused),
        cmocka_unit_test(the_place_where_it_is_no_json_is_told),
        cmocka_unit_test(an_envelope_that_is_too_deep_is_refused),
        cmocka_unit_test(the_members_of_an_http_trigger_are_found),
        cmocka_unit_test(names_may_be_escaped),
        cmocka_unit_test(binding_names_differ_by_case),
        cmocka_unit_test(what_comes_twice_is_never_mixed),
        cmocka_unit_test(a_value_as_text_loses_the_quotes_that_the_host_has_added),
        cmocka_unit_test(a_value_as_json_is_given_only_where_there_is_json),
        cmocka_unit_test(a_string_loses_one_layer_only),
        cmocka_unit_test(without_memory_a_text_is_absent),
        cmocka_unit_test(base64_gives_the_bytes),
        cmocka_unit_test(texts_that_the_host_takes_for_dates_are_known),
        cmocka_unit_test(an_answer_that_says_nothing_is_no_empty_object),
        cmocka_unit_test(logs_are_a_list_of_strings),
        cmocka_unit_test(a_single_message_is_base64_so_that_the_host_leaves_its_bytes_alone),
        cmocka_unit_test(a_single_message_of_a_binary_binding_is_an_array_of_one_string),
        cmocka_unit_test(several_messages_are_strings_in_an_array),
        cmocka_unit_test(values_of_several_bindings_are_gathered_under_their_names),
        cmocka_unit_test(adding_a_value_looks_at_no_other_but_the_last),
        cmocka_unit_test(documents_are_values_and_one_that_is_alone_is_in_no_array),
        cmocka_unit_test(a_blob_is_one_string),
        cmocka_unit_test(the_return_value_has_a_place_of_its_own),
        cmocka_unit_test(an_http_answer_is_an_object_whose_body_is_always_a_string),
        cmocka_unit_test(an_http_answer_may_be_the_return_value),
        cmocka_unit_test(an_http_answer_goes_together_with_messages_and_a_return_value),
        cmocka_unit_test(an_answer_beyond_the_buffer_has_failed_wherever_it_ends),
        cmocka_unit_test(hostile_texts_stay_inside_their_strings),
        cmocka_unit_test(a_date_is_refused_where_it_would_be_a_plain_string),
        cmocka_unit_test(a_blob_takes_one_value_and_an_http_output_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
