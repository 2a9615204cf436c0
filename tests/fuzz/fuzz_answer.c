/* fuzz/fuzz_answer.c
 * The input is what a function does with its answer: headers, status, body, outputs of every kind, logs. What was sent
 * is then read back by other means: the head by a strict reader, the envelope by cJSON and by the host's rules. It
 * has to arrive as it was given, or the whole answer is a failure that says so. */
#include "fuzz/http_exchange.h"
#include "fuzz/plain_json.h"
#include "worker/admission.h"
#include "worker/http_response.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_ITEMS 12
#define MAX_BYTES ((size_t)16 << 20)
/* The broker's end is read before it is full. */
#define READ_EVERY 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct header {
    struct azfn_span name;
    struct azfn_span value;
};

struct output {
    unsigned binding;
    struct azfn_span value;
    bool is_json;
};

static struct {
    struct input input;
    struct azfn__arena arena; /* holds what was given */
    bool is_refused;
    struct header headers[MAX_ITEMS];
    size_t header_count;
    struct output outputs[MAX_ITEMS];
    size_t output_count;
    struct azfn_span logs[MAX_ITEMS];
    size_t log_count;
    unsigned status; /* 0: none was given */
    struct azfn_span content_type;
    struct azfn_span body;
} given;

static struct {
    unsigned count;
    struct azfn__buffer bytes;
    bool is_head_request;
    bool is_last;
    struct azfn__dispatcher *dispatcher;
} sent;

/* Data types as in function.json; message bindings of both encodings, a document, and a return value. */
static const char *const output_names[] = {"queue", "bytes", "blob", "blobBytes", "doc", "$return", "unknown"};
#define OUTPUT_COUNT (sizeof(output_names) / sizeof(output_names[0]))
enum { OUT_QUEUE, OUT_BYTES, OUT_BLOB, OUT_BLOB_BYTES, OUT_DOC, OUT_RETURN };

#define OUT_BINDINGS                                                                                         \
    "{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"queue\"},"                                         \
    "{\"type\":\"serviceBus\",\"direction\":\"out\",\"name\":\"bytes\",\"dataType\":\"binary\"},"            \
    "{\"type\":\"blob\",\"direction\":\"out\",\"name\":\"blob\"},"                                           \
    "{\"type\":\"blob\",\"direction\":\"out\",\"name\":\"blobBytes\",\"dataType\":\"binary\"},"              \
    "{\"type\":\"cosmosDB\",\"direction\":\"out\",\"name\":\"doc\"}"
#define FUNCTION(trigger, more) "{\"bindings\":[{\"type\":\"" trigger "\",\"name\":\"in\"}," more OUT_BINDINGS "]}"
#define HTTP_OUT(name) "{\"type\":\"http\",\"direction\":\"out\",\"name\":\"" name "\"},"
#define QUEUE_RETURN "{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"$return\"},"
#define LITERAL(text) {(text), sizeof(text) - 1}

/* A text with a NUL behind it, as a C program gives one: cut at the first NUL inside. */
static const char *take_text(size_t length)
{
    const struct input bytes = take_bytes(&given.input, length);
    char *text = azfn__arena_alloc(&given.arena, bytes.length + 1);
    CHECK(text != NULL);
    if (bytes.length > 0) {
        memcpy(text, bytes.data, bytes.length);
    }
    text[bytes.length] = '\0';
    return text;
}

static struct azfn_span take_span(void)
{
    const struct input bytes = take_bytes(&given.input, take_byte(&given.input));
    struct azfn_span copy = azfn__arena_copy(&given.arena, azfn__span(bytes.length > 0 ? (const void *)bytes.data : "",
                                                                      bytes.length));
    CHECK(azfn_span_is_present(copy));
    return copy;
}

static void note(enum azfn_error error)
{
    given.is_refused = given.is_refused || error != AZFN_OK;
}

static void give_header(struct azfn_invocation *invocation)
{
    const char *name = take_text(take_byte(&given.input) % 24);
    struct azfn_span value = take_span();
    enum azfn_error error = azfn_http_set_header(invocation, name, value);
    if (error == AZFN_OK) {
        given.headers[given.header_count++] = (struct header){azfn_span_of(name), value};
    }
    note(error);
}

static void give_output(struct azfn_invocation *invocation, bool is_json)
{
    unsigned binding = take_byte(&given.input) % OUTPUT_COUNT;
    struct azfn_span value = take_span();
    enum azfn_error error = is_json ? azfn_output_json(invocation, output_names[binding], value)
                                    : azfn_output(invocation, output_names[binding], value);
    bool is_right = is_json ? plain_json_check(value.data, value.length, AZFN__JSON_MAX_DEPTH) == PLAIN_JSON_OK
                            : azfn__span_is_utf8(value);
    CHECK(is_right || error != AZFN_OK);
    if (error == AZFN_OK) {
        given.outputs[given.output_count++] = (struct output){binding, value, is_json};
    }
    note(error);
}

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    for (unsigned i = 0; i < MAX_ITEMS; i++) {
        unsigned code = take_byte(&given.input);
        switch (code % 8) {
        case 0:
            give_header(invocation);
            break;
        case 1:
        case 2:
            give_output(invocation, code % 8 == 2);
            break;
        case 3: {
            const char *text = take_text(take_byte(&given.input));
            enum azfn_log_level level = (enum azfn_log_level)(code / 8 % 4);
            azfn_log(invocation, level, "%s", text);
            if (level == AZFN_LOG_INFORMATION) {
                given.logs[given.log_count++] = azfn_span_of(text);
            }
            break;
        }
        case 4:
            note(azfn_succeed(invocation));
            return;
        case 5:
            azfn_fail(invocation, take_text(take_byte(&given.input)));
            given.is_refused = true;
            return;
        default: {
            unsigned status = code % 8 == 6 ? 200 : take_word(&given.input) % 700;
            const char *type = code & 8 ? take_text(take_byte(&given.input)) : NULL;
            given.status = status;
            given.content_type = type ? azfn_span_of(type) : AZFN__SPAN("text/plain; charset=utf-8");
            given.body = take_span();
            note(azfn_http_reply(invocation, (int)status, type, given.body));
            return;
        }
        }
    }
    note(azfn_succeed(invocation));
}

static void on_respond(struct azfn__invocation *invocation, const struct azfn__http_response *response, void *context)
{
    struct azfn__http_response complete = *response;
    struct azfn_span body;
    (void)context;
    sent.count++;
    complete.is_last = sent.is_last;
    complete.is_head_request = sent.is_head_request;
    complete.is_http_1_0 = invocation->request.minor_version == 0;
    azfn__http_response_encode(&complete, time(NULL), &sent.bytes, &body);
    azfn__buffer_append_span(&sent.bytes, body);
    CHECK(!sent.bytes.has_failed);
    azfn__dispatcher_release(sent.dispatcher, invocation);
}

static struct azfn_span text_of(const cJSON *item)
{
    CHECK(cJSON_IsString(item));
    return azfn_span_of(item->valuestring);
}

/* cJSON ends a string at \u0000: such a text is compared no further. */
static bool has_nul(struct azfn_span text)
{
    return text.length > 0 && memchr(text.data, '\0', text.length) != NULL;
}

static void check_same(const cJSON *item, struct azfn_span text)
{
    CHECK(has_nul(text) ? cJSON_IsString(item) : azfn__span_equal(text_of(item), text));
}

static bool is_base64(struct azfn_span text, unsigned char *out, size_t *out_length)
{
    return text.length % 4 == 0 && sodium_base642bin(out, text.length + 1, text.data, text.length, NULL, out_length,
                                                     NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
}

/* What the host makes of a single string for a message binding: base64 is decoded, JSON is parsed and re-indented,
 * dates are rewritten. dataType binary takes it as it is, but for dates. */
static void check_arrives(const cJSON *item, struct azfn_span value, bool is_binary)
{
    static unsigned char bytes[1024];
    size_t length = 0;
    struct azfn_span text = text_of(item);
    if (!is_binary && is_base64(text, bytes, &length)) {
        CHECK(azfn__span_equal(azfn__span(bytes, length), value));
        return;
    }
    check_same(item, value);
    CHECK(is_binary || plain_json_check(text.data, text.length, AZFN__JSON_MAX_DEPTH) != PLAIN_JSON_OK);
}

static size_t count_of(unsigned binding)
{
    size_t count = 0;
    for (size_t i = 0; i < given.output_count; i++) {
        count += given.outputs[i].binding == binding;
    }
    return count;
}

static void check_output(const cJSON *item, unsigned binding)
{
    size_t count = count_of(binding);
    bool is_binary = binding == OUT_BYTES || binding == OUT_BLOB_BYTES;
    bool is_array = count > 1 || binding == OUT_BYTES;
    CHECK(item && (!is_array || (cJSON_IsArray(item) && (size_t)cJSON_GetArraySize(item) == count)));
    const cJSON *at = is_array ? item->child : item;
    for (size_t i = 0; i < given.output_count; i++) {
        const struct output *output = &given.outputs[i];
        if (output->binding != binding) {
            continue;
        }
        if (binding == OUT_DOC && output->is_json) {
            CHECK(at != NULL);
        } else if (is_array || binding == OUT_DOC) {
            check_same(at, output->value);
        } else {
            check_arrives(at, output->value, is_binary);
        }
        at = is_array ? at->next : at;
    }
}

static void check_http(const cJSON *item)
{
    const cJSON *headers = cJSON_GetObjectItemCaseSensitive(item, "headers");
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(item, "statusCode");
    CHECK(cJSON_IsObject(headers) && cJSON_IsNumber(status));
    CHECK((unsigned)status->valueint == (given.status ? given.status : 204));
    check_same(cJSON_GetObjectItemCaseSensitive(item, "body"), given.body);
    size_t count = 0;
    for (const cJSON *header = headers->child; header; header = header->next) {
        if (strcmp(header->string, "Content-Type") == 0) {
            CHECK(azfn__span_equal(text_of(header), given.content_type));
            continue;
        }
        CHECK(count < given.header_count && azfn_span_equals(given.headers[count].name, header->string));
        check_same(header, given.headers[count].value);
        count++;
    }
    CHECK(count == given.header_count);
}

static void check_logs(const cJSON *logs)
{
    CHECK(cJSON_IsArray(logs) && (size_t)cJSON_GetArraySize(logs) == given.log_count);
    const cJSON *log = logs->child;
    for (size_t i = 0; i < given.log_count; i++, log = log->next) {
        struct azfn_span text = text_of(log);
        bool is_plain = true;
        for (size_t k = 0; k < given.logs[i].length; k++) {
            is_plain = is_plain && given.logs[i].data[k] >= ' ' && given.logs[i].data[k] < 0x7f;
        }
        CHECK(!is_plain || azfn__span_equal(text, given.logs[i]));
        for (size_t k = 0; k < text.length; k++) {
            CHECK((unsigned char)text.data[k] >= ' ' && text.data[k] != 0x7f);
        }
    }
}

static void check_envelope(struct azfn_span body, bool is_http, bool is_http_return)
{
    CHECK(plain_json_check(body.data, body.length, AZFN__JSON_MAX_DEPTH * 2) == PLAIN_JSON_OK);
    cJSON *tree = cJSON_ParseWithLength(body.data, body.length);
    CHECK(cJSON_IsObject(tree));
    const cJSON *outputs = cJSON_GetObjectItemCaseSensitive(tree, "Outputs");
    const cJSON *returned = cJSON_GetObjectItemCaseSensitive(tree, "ReturnValue");
    size_t expected = is_http && !is_http_return ? 1 : 0;
    for (unsigned binding = 0; binding < OUTPUT_COUNT; binding++) {
        if (binding != OUT_RETURN && count_of(binding) > 0) {
            check_output(cJSON_GetObjectItemCaseSensitive(outputs, output_names[binding]), binding);
            expected++;
        }
    }
    /* {"Outputs":{}} would be a caller's body */
    CHECK(expected > 0 ? (size_t)cJSON_GetArraySize(outputs) == expected : !outputs);
    if (is_http) {
        check_http(is_http_return ? returned : cJSON_GetObjectItemCaseSensitive(outputs, "res"));
    } else if (count_of(OUT_RETURN) > 0) {
        check_output(returned, OUT_RETURN);
    } else {
        CHECK(!returned);
    }
    check_logs(cJSON_GetObjectItemCaseSensitive(tree, "Logs"));
    cJSON_Delete(tree);
}

/* The header lines of the function's own, between the reader's rules, in their order. */
static void check_forwarded(struct azfn_span head)
{
    struct azfn_span line;
    size_t count = 0;
    CHECK(take_line(&head, &line));
    while (take_line(&head, &line) && line.length > 0) {
        const char *colon = memchr(line.data, ':', line.length);
        struct azfn_span name = azfn__span(line.data, (size_t)(colon - line.data));
        struct azfn_span value = azfn__span_from(line, name.length + 2);
        if (count < given.header_count && azfn__span_equal(name, given.headers[count].name) &&
            azfn__span_equal(value, given.headers[count].value)) {
            count++;
            continue;
        }
        CHECK(azfn_span_equals(name, "Content-Length") || azfn_span_equals(name, "Connection") ||
              azfn_span_equals(name, "Date") ||
              (azfn_span_equals(name, "Content-Type") && azfn__span_equal(value, given.content_type)));
    }
    CHECK(count == given.header_count);
}

static void check_answer(bool is_enveloped, bool is_http, bool is_http_return)
{
    struct azfn_span rest = azfn__buffer_span(&sent.bytes);
    struct azfn_span whole = rest;
    struct exchange_answer answer;
    CHECK(sent.count == 1 && take_answer(&rest, sent.is_head_request, &answer));
    CHECK(!answer.is_cut && rest.length == 0 && answer.is_last == sent.is_last);
    if (given.is_refused) {
        CHECK(answer.status == 500);
        return;
    }
    if (is_enveloped) {
        CHECK(answer.status == 200);
        CHECK(memmem(whole.data, whole.length, "\r\nContent-Type: application/json\r\n", 34) != NULL);
        if (!sent.is_head_request) {
            check_envelope(answer.body, is_http, is_http_return);
        }
        return;
    }
    CHECK(answer.status == (given.status ? given.status : 204));
    CHECK(answer.status == 204 || answer.status == 304 || answer.content_length == given.body.length);
    CHECK(sent.is_head_request ? answer.body.length == 0 : azfn__span_equal(answer.body, given.body));
    check_forwarded(whole);
}

static struct {
    uv_loop_t loop;
    struct azfn__broker_client broker;
    int broker_end;
    struct azfn__flight_record record;
    struct azfn__dispatcher dispatchers[2]; /* envelopes, forwarding */
} world;

static void on_drain(void *user_data)
{
    (void)user_data;
}

static const struct azfn_function functions[] = {
    {.name = "http", .handler = handle}, {.name = "plain", .handler = handle}, {.name = "ret", .handler = handle}};

static void make_dispatcher(size_t index)
{
    const struct azfn_span hosts[] = {
        AZFN__SPAN("{\"version\":\"2.0\",\"customHandler\":{\"description\":{\"defaultExecutablePath\":\"h\"}}}"),
        AZFN__SPAN("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,"
                   "\"description\":{\"defaultExecutablePath\":\"h\"}}}")};
    static const char only_http[] = "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"in\"},{\"type\":\"http\","
                                    "\"direction\":\"out\",\"name\":\"res\"}]}";
    const struct azfn__config_file files[] = {
        {AZFN__SPAN("host.json"), hosts[index]},
        {LITERAL("http/function.json"),
         index == 1 ? azfn_span_of(only_http) : AZFN__SPAN(FUNCTION("httpTrigger", HTTP_OUT("res")))},
        {LITERAL("plain/function.json"), LITERAL(FUNCTION("queueTrigger", QUEUE_RETURN))},
        {LITERAL("ret/function.json"), LITERAL(FUNCTION("httpTrigger", HTTP_OUT("$return")))},
    };
    struct azfn__config *config;
    struct azfn__config_fault fault;
    if (azfn__config_new(files, 4, functions, 3, &config, &fault) != AZFN_OK) {
        (void)fprintf(stderr, "%s\n", fault.message);
        abort();
    }
    CHECK(azfn__dispatcher_init(&world.dispatchers[index], &world.loop, config, functions, 3, &world.broker,
                                &world.record) == AZFN_OK);
}

static void make_world(void)
{
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_drain};
    int ends[2];
    CHECK(uv_loop_init(&world.loop) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    CHECK(azfn__broker_client_start(&world.broker, &world.loop, ends[0], &callbacks) == AZFN_OK);
    world.broker_end = ends[1];
    make_dispatcher(0);
    make_dispatcher(1);
    azfn__buffer_init(&sent.bytes, MAX_BYTES);
}

/* A request as the connection would hand it over. */
static void invoke(struct azfn__dispatcher *dispatcher, struct azfn_span bytes)
{
    static const struct azfn__http_parser_limits limits = {
        .target_bytes = 8192, .header_bytes = 32768, .header_count = 100};
    struct azfn__http_parser parser;
    struct azfn__invocation *invocation = azfn__dispatcher_acquire(dispatcher);
    size_t taken = 0;
    CHECK(invocation != NULL);
    azfn__http_parser_init(&parser, &limits);
    azfn__http_parser_begin(&parser, &invocation->message);
    CHECK(azfn__http_parser_feed(&parser, bytes.data, bytes.length, &taken) == AZFN__HTTP_HEAD);
    bytes = azfn__span_from(bytes, taken);
    invocation->request = parser.request;
    struct azfn__admission admission = azfn__admission_of_head(dispatcher, invocation);
    CHECK(admission.refusal.status == 0);
    azfn__http_parser_limit_body(&parser, admission.max_body_bytes);
    CHECK(azfn__http_parser_feed(&parser, bytes.data, bytes.length, &taken) == AZFN__HTTP_COMPLETE);
    invocation->request = parser.request;
    static const struct azfn__responder responder = {.respond = on_respond};
    azfn__dispatcher_run(dispatcher, invocation, &responder, NULL);
}

#define ENVELOPE(path)                                                                                       \
    "POST /" path " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"                               \
    "2b\r\n{\"Data\":{\"in\":\"\\\"a\\\"\"},\"Metadata\":{}}      \r\n0\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char unread[(size_t)256 << 10];
    static unsigned inputs;
    static const char *const requests[] = {ENVELOPE("http"), ENVELOPE("plain"), ENVELOPE("ret"), ENVELOPE("plain"),
                                           "GET /api/http HTTP/1.1\r\nHost: h\r\n\r\n",
                                           "HEAD /api/http HTTP/1.1\r\nHost: h\r\n\r\n",
                                           "POST /api/http HTTP/1.0\r\n\r\n", ENVELOPE("plain")};
    if (!world.broker.pipe.loop) {
        make_world();
    }
    memset(&given, 0, sizeof(given));
    azfn__arena_init(&given.arena, MAX_BYTES);
    azfn__buffer_reset(&sent.bytes, 16384);
    given.input = (struct input){.data = data, .length = size};
    given.body = azfn__span("", 0);
    unsigned choice = take_byte(&given.input);
    unsigned request = choice % 8;
    bool is_enveloped = request < 4 || request == 7;
    sent.count = 0;
    sent.is_last = (choice & 8) != 0;
    sent.is_head_request = request == 5;
    sent.dispatcher = &world.dispatchers[request < 4 ? 0 : 1];
    invoke(sent.dispatcher, azfn_span_of(requests[request]));
    check_answer(is_enveloped, request == 0 || request == 2, request == 2);
    CHECK(sent.dispatcher->in_flight == 0 && world.record.loop.function_length == 0);
    azfn__arena_clean_up(&given.arena);
    if (++inputs % READ_EVERY == 0) {
        CHECK(recv(world.broker_end, unread, sizeof(unread), 0) > 0 || errno == EAGAIN);
    }
    return 0;
}
