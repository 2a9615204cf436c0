/* Events of functions, and of what they do with their input: at once and with their fields, each once, on the loop and
 * on threads of the pool, whatever the answer is sent in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"
#include "worker/blocking_pool.h"

#include <cjson/cJSON.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define CLIENT "X-Forwarded-For: 203.0.113.7\r\ntraceparent: 00-" TRACE "-b7ad6b7169203331-01\r\n"

static struct azfn__blocking_pool pool;

/* --- The functions. --- */

static void answer(struct azfn_invocation *invocation)
{
    if (azfn_span_is_present(azfn_http_method(invocation))) {
        azfn_http_reply(invocation, 200, NULL, azfn_span_of("told"));
    } else {
        azfn_succeed(invocation);
    }
}

static void tell_all(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_log(invocation, AZFN_LOG_INFORMATION, "before");
    azfn_security_event(invocation, AZFN_EVENT_BAD_SIGNATURE, "one %d", 1);
    azfn_security_event(invocation, AZFN_EVENT_FORBIDDEN, "two");
    azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "three\n{\"level\":\"ERROR\"}");
    azfn_security_event(invocation, AZFN_EVENT_INVALID_INPUT, "four");
    azfn_security_event(invocation, (enum azfn_security_event)77, "five");
    azfn_log(invocation, AZFN_LOG_INFORMATION, "behind");
    answer(invocation);
}

static void tell_much(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span line = azfn_format(invocation, "%04000d", 0);
    for (int i = 0; i < 300; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%s", line.data);
    }
    azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "%05000d", 0);
    answer(invocation);
}

static void log_too_much(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    for (int i = 0; i < 300; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%04000d", 0);
    }
    answer(invocation);
}

static void ask_for_settings(struct azfn_invocation *invocation, void *user_data)
{
    static const char *const names[] = {"A", "B", "A"};
    (void)user_data;
    for (size_t i = 0; i < 3; i++) {
        assert_false(azfn_span_is_present(azfn_setting(invocation, names[i])));
    }
    answer(invocation);
}

static void read_json(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span own = azfn_format(invocation, "{no json");
    bool is_http = azfn_span_is_present(azfn_http_method(invocation));
    assert_null(azfn_json_tree(invocation, own)); /* the function's own business */
    for (int i = 0; i < 2; i++) {
        struct azfn_span json = is_http ? azfn_http_body_json(invocation) : azfn_input_json(invocation, NULL);
        struct azfn_span text = is_http ? azfn_http_body(invocation) : azfn_input(invocation, NULL);
        const struct cJSON *tree = azfn_json_tree(invocation, text);
        assert_int_equal(tree != NULL, azfn_span_is_present(json));
    }
    answer(invocation);
}

/* The first look is a tree. */
static void make_tree(struct azfn_invocation *invocation, void *user_data)
{
    azfn_json_tree(invocation, azfn_http_body(invocation));
    read_json(invocation, user_data);
}

static void log_levels(struct azfn_invocation *invocation)
{
    azfn_log(invocation, AZFN_LOG_INFORMATION, "[Error] made up\n\x1b[31m");
    azfn_log(invocation, AZFN_LOG_WARNING, "it may\nend");
    azfn_log(invocation, AZFN_LOG_ERROR, "it ends");
    azfn_log(invocation, (enum azfn_log_level)77, "at no level");
}

static void log_and_succeed(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    log_levels(invocation);
    azfn_succeed(invocation);
    azfn_log(invocation, AZFN_LOG_INFORMATION, "behind");
}

static void log_and_fail(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    log_levels(invocation);
    azfn_fail(invocation, "failed");
}

static void log_and_hold(struct azfn_invocation *invocation, void *user_data)
{
    azfn_log(invocation, AZFN_LOG_INFORMATION, "begun");
    hold(invocation, user_data);
}

/* By the length of the path's query: that many bytes of padding, then characters of four bytes. */
static void pad(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    static const char wide[] = "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80";
    int padding = (int)azfn_http_query(invocation, "bytes").length;
    azfn_log(invocation, AZFN_LOG_WARNING, "%0*d%s", 4080 + padding, 0, wide);
    azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "%0*d%s", 4080 + padding, 0, wide);
    answer(invocation);
}

static void log_many(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    for (int i = 0; i < 1200; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%d", i);
    }
    azfn_succeed(invocation);
}

static void log_long_ones(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    for (int i = 0; i < 100; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%04000d", i);
    }
    azfn_succeed(invocation);
}

static const struct azfn_function told_functions[] = {
    {.name = "block", .handler = tell_all, .blocking = true},
    {.name = "blockq", .handler = tell_all, .blocking = true},
    {.name = "envelope", .handler = tell_all},
    {.name = "flood", .handler = log_too_much},
    {.name = "json", .handler = read_json},
    {.name = "jsonb", .handler = read_json, .blocking = true},
    {.name = "jsonq", .handler = read_json},
    {.name = "logq", .handler = log_and_succeed},
    {.name = "logqb", .handler = log_and_succeed, .blocking = true},
    {.name = "logqfail", .handler = log_and_fail},
    {.name = "logqfailb", .handler = log_and_fail, .blocking = true},
    {.name = "logqhold", .handler = log_and_hold},
    {.name = "logqlong", .handler = log_long_ones},
    {.name = "logqmany", .handler = log_many},
    {.name = "logqmanyb", .handler = log_many, .blocking = true},
    {.name = "much", .handler = tell_much, .blocking = true},
    {.name = "never", .handler = hold},
    {.name = "pad", .handler = pad},
    {.name = "set", .handler = ask_for_settings},
    {.name = "setb", .handler = ask_for_settings, .blocking = true},
    {.name = "tell", .handler = tell_all},
    {.name = "tree", .handler = make_tree},
};

#define TWO_OUTPUTS "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\"," \
                    "\"direction\":\"out\",\"name\":\"res\"},{\"type\":\"queue\",\"direction\":\"out\",\"name\":\"q\"}]}"

static const struct azfn__config_file told_files[] = {
    {LITERAL("host.json"), LITERAL("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,"
                                   "\"description\":{\"defaultExecutablePath\":\"handler\"}}}")},
    {LITERAL("block/function.json"), LITERAL(HTTP(""))},
    {LITERAL("blockq/function.json"), LITERAL(QUEUE)},
    {LITERAL("envelope/function.json"), LITERAL(TWO_OUTPUTS)},
    {LITERAL("flood/function.json"), LITERAL(HTTP(""))},
    {LITERAL("json/function.json"), LITERAL(HTTP(""))},
    {LITERAL("jsonb/function.json"), LITERAL(HTTP(""))},
    {LITERAL("jsonq/function.json"), LITERAL(QUEUE)},
    {LITERAL("logq/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqb/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqfail/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqfailb/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqhold/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqlong/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqmany/function.json"), LITERAL(QUEUE)},
    {LITERAL("logqmanyb/function.json"), LITERAL(QUEUE)},
    {LITERAL("much/function.json"), LITERAL(HTTP(""))},
    {LITERAL("never/function.json"), LITERAL(HTTP(""))},
    {LITERAL("pad/function.json"), LITERAL(HTTP(""))},
    {LITERAL("set/function.json"), LITERAL(HTTP(""))},
    {LITERAL("setb/function.json"), LITERAL(HTTP(""))},
    {LITERAL("tell/function.json"), LITERAL(HTTP(""))},
    {LITERAL("tree/function.json"), LITERAL(HTTP(""))},
};

static void set_up_told(struct fixture *fixture, struct client *client, struct log_reader *reader)
{
    const struct app app = {told_functions, sizeof(told_functions) / sizeof(told_functions[0]), told_files,
                            sizeof(told_files) / sizeof(told_files[0])};
    const struct azfn__blocking_pool_options options = {.threads = 1, .queue = 1};
    set_up_app(fixture, &azfn__config_default_limits, &app);
    assert_int_equal(azfn__blocking_pool_start(&pool, &fixture->dispatcher, &options), AZFN_OK);
    connect_to(fixture, client);
    start_reading(reader);
}

static void clean_up_told(struct fixture *fixture, struct client *client, struct log_reader *reader)
{
    require_no_log(fixture, reader);
    stop_reading(reader);
    disconnect(client);
    clean_up(fixture);
    azfn__blocking_pool_clean_up(&pool);
}

/* The client's own headers, and a body. */
static void send_post(struct client *client, const char *path, const char *body)
{
    char text[512];
    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: 0b9c\r\n" CLIENT
             "Content-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    send_text(client, text);
}

static void require_client(const struct log_reader *reader, const char *uri)
{
    const struct azfn__event_fields *fields = &reader->log.fields;
    assert_true(span_is(fields->invocation_id, "0b9c"));
    assert_true(span_is(fields->trace_id, TRACE));
    assert_true(span_is(fields->source_ip, uri ? "203.0.113.7" : ""));
    assert_true(span_is(fields->request_method, uri ? "POST" : ""));
    assert_true(span_is(fields->request_uri, uri ? uri : ""));
}

static void require_told(struct fixture *fixture, struct log_reader *reader, enum azfn_log_level level,
                         const char *function, const char *text, const char *uri)
{
    require_log(fixture, reader, level, function, text);
    require_client(reader, uri);
}

static void require_events(struct fixture *fixture, struct log_reader *reader, const char *function, const char *uri)
{
    require_told(fixture, reader, AZFN_LOG_WARNING, function, "one 1", uri);
    require_is(reader, AZFN__EVENT_SIGNATURE_INVALID);
    require_told(fixture, reader, AZFN_LOG_ERROR, function, "two", uri);
    require_is(reader, AZFN__EVENT_CALLER_FORBIDDEN);
    require_told(fixture, reader, AZFN_LOG_ERROR, function, "three\n{\"level\":\"ERROR\"}", uri);
    require_is(reader, AZFN__EVENT_REQUEST_SUSPICIOUS);
    require_told(fixture, reader, AZFN_LOG_WARNING, function, "four", uri);
    require_is(reader, AZFN__EVENT_REQUEST_INVALID);
    require_told(fixture, reader, AZFN_LOG_ERROR, function, "five", uri);
    require_is(reader, AZFN__EVENT_REQUEST_SUSPICIOUS);
}

/* A line has the ids, and nothing of the request. */
static void require_line(struct fixture *fixture, struct log_reader *reader, const char *function, const char *text)
{
    require_told(fixture, reader, AZFN_LOG_INFORMATION, function, text, NULL);
    require_is(reader, AZFN__EVENT_NONE);
}

/* --- The tests. --- */

static void events_and_lines_come_in_their_order_on_the_loop_and_on_a_thread(void **state)
{
    (void)state;
    static const char *const names[] = {"tell", "block"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 2; i++) {
        char path[96];
        char uri[64];
        snprintf(uri, sizeof(uri), "/api/%s", names[i]);
        snprintf(path, sizeof(path), "%s?code=hidden", uri);
        send_post(&client, path, "");
        require_reply(&client, "told");
        require_line(&fixture, &reader, names[i], "before");
        require_events(&fixture, &reader, names[i], uri);
        require_line(&fixture, &reader, names[i], "behind");
        require_no_log(&fixture, &reader);
    }
    clean_up_told(&fixture, &client, &reader);
}

static void events_are_no_part_of_an_envelope(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    send_post(&client, "/envelope",
              "{\"Data\":{\"req\":{\"Url\":\"http://h/api/envelope?x=1\",\"Method\":\"POST\",\"Headers\":{"
              "\"X-Forwarded-For\":[\"203.0.113.7:1\"]}}},\"Metadata\":{}}");
    struct azfn_span body = take(&client).body;
    assert_true(says(body, "\"Logs\":[\"before\",\"behind\"]"));
    require_events(&fixture, &reader, "envelope", "/api/envelope");
    require_no_log(&fixture, &reader);
    send_post(&client, "/blockq", "{\"Data\":{\"msg\":\"text\"},\"Metadata\":{}}");
    body = take(&client).body;
    assert_true(says(body, "\"Logs\":[\"before\",\"behind\"]"));
    require_events(&fixture, &reader, "blockq", NULL); /* a message has no client */
    clean_up_told(&fixture, &client, &reader);
}

static void send_message(struct client *client, const char *path)
{
    send_post(client, path, "{\"Data\":{\"msg\":\"text\"},\"Metadata\":{}}");
}

static void require_own_line(struct fixture *fixture, struct log_reader *reader, enum azfn_log_level level,
                             const char *function, const char *text)
{
    require_told(fixture, reader, level, function, text, NULL);
    require_is(reader, AZFN__EVENT_NONE);
    assert_true(span_is(reader->log.text, text));
}

static void an_envelopes_logs_are_information_and_what_is_more_goes_to_the_broker_at_once(void **state)
{
    (void)state;
    static const char *const names[] = {"logq", "logqb"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(&client, path);
        assert_true(span_is(take(&client).body, "{\"Logs\":[\"[Error] made up\\\\n\\\\u001b[31m\"]}"));
        require_own_line(&fixture, &reader, AZFN_LOG_WARNING, names[i], "it may\nend");
        require_own_line(&fixture, &reader, AZFN_LOG_ERROR, names[i], "it ends");
        require_own_line(&fixture, &reader, AZFN_LOG_ERROR, names[i], "at no level");
        require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, names[i], "behind");
        require_no_log(&fixture, &reader);
    }
    clean_up_told(&fixture, &client, &reader);
}

static void no_text_gives_a_line_another_level_when_the_invocation_fails(void **state)
{
    (void)state;
    static const char *const names[] = {"logqfail", "logqfailb"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(&client, path);
        require_status(&client, "500 Internal Server Error", "", false);
        require_own_line(&fixture, &reader, AZFN_LOG_WARNING, names[i], "it may\nend");
        require_own_line(&fixture, &reader, AZFN_LOG_ERROR, names[i], "it ends");
        require_own_line(&fixture, &reader, AZFN_LOG_ERROR, names[i], "at no level");
        require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, names[i], "[Error] made up\n\x1b[31m");
        require_own_line(&fixture, &reader, AZFN_LOG_ERROR, names[i], "failed");
        require_no_log(&fixture, &reader);
    }
    clean_up_told(&fixture, &client, &reader);
}

static void the_lines_of_an_answer_that_nobody_waits_for_are_not_lost(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct client host;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    connect_to(&fixture, &host);
    send_message(&host, "/logqhold");
    AWAIT(&fixture, fixture.held_count == 1);
    azfn_log(fixture.held[0], AZFN_LOG_INFORMATION, "collected");
    abort_connection(&host);
    AWAIT(&fixture, fixture.server.connection_count == 1);
    require_no_log(&fixture, &reader);
    azfn_log(fixture.held[0], AZFN_LOG_INFORMATION, "late");
    azfn_succeed(fixture.held[0]);
    require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, "logqhold", "late");
    require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, "logqhold", "begun");
    require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, "logqhold", "collected");
    clean_up_told(&fixture, &client, &reader);
}

static void the_lines_of_an_answer_that_could_not_be_sent_are_not_lost(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct client host;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    connect_with(&fixture, &host, 4096);
    host.is_slow = true;
    send_message(&host, "/logqhold");
    AWAIT(&fixture, fixture.held_count == 1);
    char *large = calloc(1, BIG_BYTES);
    assert_non_null(large);
    assert_int_equal(azfn_output(fixture.held[0], "out", azfn__span(large, BIG_BYTES)), AZFN_OK);
    free(large);
    assert_int_equal(azfn_succeed(fixture.held[0]), AZFN_OK);
    require_no_log(&fixture, &reader);
    abort_connection(&host);
    require_own_line(&fixture, &reader, AZFN_LOG_INFORMATION, "logqhold", "begun");
    clean_up_told(&fixture, &client, &reader);
}

static void require_dropped(struct fixture *fixture, struct log_reader *reader, const char *function, int64_t count)
{
    require_told(fixture, reader, AZFN_LOG_WARNING, function, "", NULL);
    require_is(reader, AZFN__EVENT_LOG_LIMIT);
    assert_int_equal(reader->log.fields.count.value, count);
    assert_true(span_is(reader->log.fields.suppressed, "lines"));
    require_no_log(fixture, reader);
}

static void an_answer_has_room_for_so_many_lines_and_tells_of_the_others(void **state)
{
    (void)state;
    static const char *const names[] = {"logqmany", "logqmanyb"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(&client, path);
        struct azfn_span body = take(&client).body;
        assert_true(says(body, "\"998\",\"999\",\"200 more lines were dropped: the function wrote too much\"]"));
        require_dropped(&fixture, &reader, names[i], 200);
    }
    send_message(&client, "/logqlong");
    struct azfn_span body = take(&client).body;
    assert_in_range(body.length, 65 * 4000, (size_t)256 << 10);
    assert_true(says(body, "64\",\"35 more lines were dropped: the function wrote too much\"]"));
    require_dropped(&fixture, &reader, "logqlong", 35);
    clean_up_told(&fixture, &client, &reader);
}

static void a_text_that_is_too_long_is_marked_behind_a_whole_character(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t padding = 0; padding < 12; padding++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/pad?bytes=%.*s", (int)padding, "xxxxxxxxxxxx");
        send_post(&client, path, "");
        require_reply(&client, "told");
        size_t whole = 4080 + padding + 12;
        for (size_t i = 0; i < 2; i++) {
            await_log(&fixture, &reader);
            struct azfn_span text = reader.log.text;
            assert_true(azfn__span_is_utf8(text));
            assert_in_range(text.length, 4092, 4095);
            if (whole > 4095) {
                assert_memory_equal(text.data + text.length - 5, "[cut]", 5);
            } else {
                assert_int_equal(text.length, whole);
            }
        }
    }
    clean_up_told(&fixture, &client, &reader);
}

static void an_event_is_not_hidden_behind_lines(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    uint64_t lines = 0;
    uint64_t dropped = 0;
    set_up_told(&fixture, &client, &reader);
    send_post(&client, "/api/much", "");
    require_reply(&client, "told");
    /* what the function's memory had no room for, and then what the broker did not take in time */
    do {
        await_log(&fixture, &reader);
        lines += reader.log.event == AZFN__EVENT_NONE;
        dropped += reader.log.event == AZFN__EVENT_LOG_LIMIT ? (uint64_t)reader.log.fields.count.value : 0;
    } while (reader.log.event == AZFN__EVENT_NONE || reader.log.event == AZFN__EVENT_LOG_LIMIT);
    require_is(&reader, AZFN__EVENT_REQUEST_SUSPICIOUS);
    assert_true(says(reader.log.text, "00[cut]"));
    assert_int_equal(reader.log.text.length, 4095);
    assert_int_equal(lines + dropped, 300);
    clean_up_told(&fixture, &client, &reader);
}

/* Nothing else is logged behind them. */
static void what_was_dropped_is_told_when_the_broker_has_caught_up(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    uint64_t lines = 0;
    set_up_told(&fixture, &client, &reader);
    send_post(&client, "/api/flood", "");
    require_reply(&client, "told");
    await_log(&fixture, &reader);
    while (reader.log.event == AZFN__EVENT_NONE) {
        lines++;
        await_log(&fixture, &reader);
    }
    require_is(&reader, AZFN__EVENT_LOG_LIMIT);
    assert_int_equal(lines + (uint64_t)reader.log.fields.count.value, 300);
    clean_up_told(&fixture, &client, &reader);
}

static void input_that_is_not_json_is_told_once(void **state)
{
    (void)state;
    static const char *const names[] = {"json", "jsonb", "tree"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/%s", names[i]);
        send_post(&client, path, "{\"id\": 1,}");
        require_reply(&client, "told");
        require_told(&fixture, &reader, AZFN_LOG_WARNING, names[i],
                     "the function took input for JSON that is none: the text is not well-formed at byte 9", path);
        require_is(&reader, AZFN__EVENT_INVALID_JSON);
        require_no_log(&fixture, &reader);
        send_post(&client, path, "{\"id\": 1}");
        require_reply(&client, "told");
        require_no_log(&fixture, &reader);
    }
    send_post(&client, "/api/json", "");
    require_reply(&client, "told");
    clean_up_told(&fixture, &client, &reader);
}

static void a_message_that_is_not_json_is_told_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    send_post(&client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"{no\\\"\"},\"Metadata\":{}}");
    take(&client);
    require_told(&fixture, &reader, AZFN_LOG_WARNING, "jsonq", "the function took input for JSON", NULL);
    require_is(&reader, AZFN__EVENT_INVALID_JSON);
    require_no_log(&fixture, &reader);
    send_post(&client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"\\\"\"},\"Metadata\":{}}"); /* an empty one */
    take(&client);
    send_post(&client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"{\\\\\\\"id\\\\\\\":1}\\\"\"},\"Metadata\":{}}");
    take(&client);
    clean_up_told(&fixture, &client, &reader);
}

static void each_setting_that_is_refused_is_told_once_and_then_counted(void **state)
{
    (void)state;
    static const char *const functions_of_both_kinds[] = {"set", "setb"};
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/%s", functions_of_both_kinds[i % 2]);
        send_post(&client, path, "");
        require_reply(&client, "told");
        for (size_t k = 0; i < 2 && k < 2; k++) {
            require_event(&fixture, &reader, AZFN__EVENT_SETTING_REFUSED);
            assert_true(span_is(reader.log.fields.function, functions_of_both_kinds[i]));
            assert_true(span_is(reader.log.fields.setting, k == 0 ? "A" : "B"));
            assert_true(span_is(reader.log.fields.trace_id, TRACE));
        }
        require_no_log(&fixture, &reader);
    }
    azfn__dispatcher_tell_counts(&fixture.dispatcher);
    for (size_t i = 0; i < 4; i++) {
        require_event(&fixture, &reader, AZFN__EVENT_SETTING_REFUSED);
        assert_true(span_is(reader.log.fields.function, functions_of_both_kinds[i / 2]));
        assert_int_equal(reader.log.fields.count.value, i % 2 == 0 ? 3 : 1);
    }
    clean_up_told(&fixture, &client, &reader);
}

static void an_event_after_the_end_of_its_invocation_is_not_anothers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct client client;
    struct log_reader reader;
    set_up_told(&fixture, &client, &reader);
    send_post(&client, "/api/never", "");
    AWAIT(&fixture, fixture.held_count == 1);
    azfn_http_reply(fixture.held[0], 200, NULL, azfn_span_of("held"));
    require_reply(&client, "held");
    azfn_security_event(fixture.held[0], AZFN_EVENT_FORBIDDEN, "late");
    require_log(&fixture, &reader, AZFN_LOG_WARNING, "", "a function came back to an invocation that was over");
    clean_up_told(&fixture, &client, &reader);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_and_lines_come_in_their_order_on_the_loop_and_on_a_thread),
        cmocka_unit_test(events_are_no_part_of_an_envelope),
        cmocka_unit_test(an_envelopes_logs_are_information_and_what_is_more_goes_to_the_broker_at_once),
        cmocka_unit_test(no_text_gives_a_line_another_level_when_the_invocation_fails),
        cmocka_unit_test(the_lines_of_an_answer_that_nobody_waits_for_are_not_lost),
        cmocka_unit_test(the_lines_of_an_answer_that_could_not_be_sent_are_not_lost),
        cmocka_unit_test(an_answer_has_room_for_so_many_lines_and_tells_of_the_others),
        cmocka_unit_test(a_text_that_is_too_long_is_marked_behind_a_whole_character),
        cmocka_unit_test(an_event_is_not_hidden_behind_lines),
        cmocka_unit_test(what_was_dropped_is_told_when_the_broker_has_caught_up),
        cmocka_unit_test(input_that_is_not_json_is_told_once),
        cmocka_unit_test(a_message_that_is_not_json_is_told_once),
        cmocka_unit_test(each_setting_that_is_refused_is_told_once_and_then_counted),
        cmocka_unit_test(an_event_after_the_end_of_its_invocation_is_not_anothers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
