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
static struct client *client;

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
    HOST_JSON,
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

static int set_up_told(void **state)
{
    static const struct app app = APP_OF(told_functions, told_files);
    const struct azfn__blocking_pool_options options = {.threads = 1, .queue = 1};
    (void)state;
    start_worker(&app, &azfn__config_default_limits);
    assert_int_equal(azfn__blocking_pool_start(&pool, &fixture.dispatcher, &options), AZFN_OK);
    client = connect_client();
    return 0;
}

static int tear_down_told(void **state)
{
    require_no_log();
    tear_down(state);
    azfn__blocking_pool_clean_up(&pool);
    return 0;
}

/* The client's own headers, and a body. */
static void send_post(struct client *sender, const char *path, const char *body)
{
    char text[512];
    snprintf(text, sizeof(text),
             "POST %s HTTP/1.1\r\nHost: h\r\nX-Azure-Functions-InvocationId: 0b9c\r\n" CLIENT
             "Content-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    send_text(sender, text);
}

static void require_client(const char *uri)
{
    const struct azfn__event_fields *fields = &last_log.fields;
    assert_true(span_is(fields->invocation_id, "0b9c"));
    assert_true(span_is(fields->trace_id, TRACE));
    assert_true(span_is(fields->source_ip, uri ? "203.0.113.7" : ""));
    assert_true(span_is(fields->request_method, uri ? "POST" : ""));
    assert_true(span_is(fields->request_uri, uri ? uri : ""));
}

static void require_told(enum azfn_log_level level, const char *function, const char *text, const char *uri)
{
    require_log(level, function, text);
    require_client(uri);
}

static void require_events(const char *function, const char *uri)
{
    require_told(AZFN_LOG_WARNING, function, "one 1", uri);
    require_is(AZFN__EVENT_SIGNATURE_INVALID);
    require_told(AZFN_LOG_ERROR, function, "two", uri);
    require_is(AZFN__EVENT_CALLER_FORBIDDEN);
    require_told(AZFN_LOG_ERROR, function, "three\n{\"level\":\"ERROR\"}", uri);
    require_is(AZFN__EVENT_REQUEST_SUSPICIOUS);
    require_told(AZFN_LOG_WARNING, function, "four", uri);
    require_is(AZFN__EVENT_REQUEST_INVALID);
    require_told(AZFN_LOG_ERROR, function, "five", uri);
    require_is(AZFN__EVENT_REQUEST_SUSPICIOUS);
}

/* A line has the ids, and nothing of the request. */
static void require_line(const char *function, const char *text)
{
    require_told(AZFN_LOG_INFORMATION, function, text, NULL);
    require_is(AZFN__EVENT_NONE);
}

static void events_and_lines_come_in_their_order_on_the_loop_and_on_a_thread(void **state)
{
    (void)state;
    static const char *const names[] = {"tell", "block"};
    for (size_t i = 0; i < 2; i++) {
        char path[96];
        char uri[64];
        snprintf(uri, sizeof(uri), "/api/%s", names[i]);
        snprintf(path, sizeof(path), "%s?code=hidden", uri);
        send_post(client, path, "");
        require_reply(client, "told");
        require_line(names[i], "before");
        require_events(names[i], uri);
        require_line(names[i], "behind");
        require_no_log();
    }
}

static void events_are_no_part_of_an_envelope(void **state)
{
    (void)state;
    send_post(client, "/envelope",
              "{\"Data\":{\"req\":{\"Url\":\"http://h/api/envelope?x=1\",\"Method\":\"POST\",\"Headers\":{"
              "\"X-Forwarded-For\":[\"203.0.113.7:1\"]}}},\"Metadata\":{}}");
    struct azfn_span body = take(client).body;
    assert_true(says(body, "\"Logs\":[\"before\",\"behind\"]"));
    require_events("envelope", "/api/envelope");
    require_no_log();
    send_post(client, "/blockq", "{\"Data\":{\"msg\":\"text\"},\"Metadata\":{}}");
    body = take(client).body;
    assert_true(says(body, "\"Logs\":[\"before\",\"behind\"]"));
    require_events("blockq", NULL); /* a message has no client */
}

static void send_message(struct client *sender, const char *path)
{
    send_post(sender, path, "{\"Data\":{\"msg\":\"text\"},\"Metadata\":{}}");
}

static void require_own_line(enum azfn_log_level level, const char *function, const char *text)
{
    require_told(level, function, text, NULL);
    require_is(AZFN__EVENT_NONE);
    assert_true(span_is(last_log.text, text));
}

static void an_envelopes_logs_are_information_and_what_is_more_goes_to_the_broker_at_once(void **state)
{
    (void)state;
    static const char *const names[] = {"logq", "logqb"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(client, path);
        assert_true(span_is(take(client).body, "{\"Logs\":[\"[Error] made up\\\\n\\\\u001b[31m\"]}"));
        require_own_line(AZFN_LOG_WARNING, names[i], "it may\nend");
        require_own_line(AZFN_LOG_ERROR, names[i], "it ends");
        require_own_line(AZFN_LOG_ERROR, names[i], "at no level");
        require_own_line(AZFN_LOG_INFORMATION, names[i], "behind");
        require_no_log();
    }
}

static void no_text_gives_a_line_another_level_when_the_invocation_fails(void **state)
{
    (void)state;
    static const char *const names[] = {"logqfail", "logqfailb"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(client, path);
        require_status(client, "500 Internal Server Error", "", false);
        require_own_line(AZFN_LOG_WARNING, names[i], "it may\nend");
        require_own_line(AZFN_LOG_ERROR, names[i], "it ends");
        require_own_line(AZFN_LOG_ERROR, names[i], "at no level");
        require_own_line(AZFN_LOG_INFORMATION, names[i], "[Error] made up\n\x1b[31m");
        require_own_line(AZFN_LOG_ERROR, names[i], "failed");
        require_no_log();
    }
}

static void the_lines_of_an_answer_that_nobody_waits_for_are_not_lost(void **state)
{
    (void)state;
    struct client *host = connect_client();
    send_message(host, "/logqhold");
    AWAIT(held_count == 1);
    azfn_log(held[0], AZFN_LOG_INFORMATION, "collected");
    abort_connection(host);
    AWAIT(fixture.server.connection_count == 1);
    require_no_log();
    azfn_log(held[0], AZFN_LOG_INFORMATION, "late");
    azfn_succeed(held[0]);
    require_own_line(AZFN_LOG_INFORMATION, "logqhold", "late");
    require_own_line(AZFN_LOG_INFORMATION, "logqhold", "begun");
    require_own_line(AZFN_LOG_INFORMATION, "logqhold", "collected");
}

static void the_lines_of_an_answer_that_could_not_be_sent_are_not_lost(void **state)
{
    (void)state;
    struct client *host = connect_with(4096);
    host->is_slow = true;
    send_message(host, "/logqhold");
    AWAIT(held_count == 1);
    char *large = calloc(1, BIG_BYTES);
    assert_non_null(large);
    assert_int_equal(azfn_output(held[0], "out", azfn__span(large, BIG_BYTES)), AZFN_OK);
    free(large);
    assert_int_equal(azfn_succeed(held[0]), AZFN_OK);
    require_no_log();
    abort_connection(host);
    require_own_line(AZFN_LOG_INFORMATION, "logqhold", "begun");
}

static void require_dropped(const char *function, int64_t count)
{
    require_told(AZFN_LOG_WARNING, function, "", NULL);
    require_is(AZFN__EVENT_LOG_LIMIT);
    assert_int_equal(last_log.fields.count.value, count);
    assert_true(span_is(last_log.fields.suppressed, "lines"));
    require_no_log();
}

static void an_answer_has_room_for_so_many_lines_and_tells_of_the_others(void **state)
{
    (void)state;
    static const char *const names[] = {"logqmany", "logqmanyb"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/%s", names[i]);
        send_message(client, path);
        struct azfn_span body = take(client).body;
        assert_true(says(body, "\"998\",\"999\",\"200 more lines were dropped: the function wrote too much\"]"));
        require_dropped(names[i], 200);
    }
    send_message(client, "/logqlong");
    struct azfn_span body = take(client).body;
    assert_in_range(body.length, 65 * 4000, (size_t)256 << 10);
    assert_true(says(body, "64\",\"35 more lines were dropped: the function wrote too much\"]"));
    require_dropped("logqlong", 35);
}

static void a_text_that_is_too_long_is_marked_behind_a_whole_character(void **state)
{
    (void)state;
    for (size_t padding = 0; padding < 12; padding++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/pad?bytes=%.*s", (int)padding, "xxxxxxxxxxxx");
        send_post(client, path, "");
        require_reply(client, "told");
        size_t whole = 4080 + padding + 12;
        for (size_t i = 0; i < 2; i++) {
            await_log();
            struct azfn_span text = last_log.text;
            assert_true(azfn__span_is_utf8(text));
            assert_in_range(text.length, 4092, 4095);
            if (whole > 4095) {
                assert_memory_equal(text.data + text.length - 5, "[cut]", 5);
            } else {
                assert_int_equal(text.length, whole);
            }
        }
    }
}

static void an_event_is_not_hidden_behind_lines(void **state)
{
    (void)state;
    uint64_t lines = 0;
    uint64_t dropped = 0;
    send_post(client, "/api/much", "");
    require_reply(client, "told");
    /* what the function's memory had no room for, and then what the broker did not take in time */
    do {
        await_log();
        lines += last_log.event == AZFN__EVENT_NONE;
        dropped += last_log.event == AZFN__EVENT_LOG_LIMIT ? (uint64_t)last_log.fields.count.value : 0;
    } while (last_log.event == AZFN__EVENT_NONE || last_log.event == AZFN__EVENT_LOG_LIMIT);
    require_is(AZFN__EVENT_REQUEST_SUSPICIOUS);
    assert_true(says(last_log.text, "00[cut]"));
    assert_int_equal(last_log.text.length, 4095);
    assert_int_equal(lines + dropped, 300);
}

/* Nothing else is logged behind them. */
static void what_was_dropped_is_told_when_the_broker_has_caught_up(void **state)
{
    (void)state;
    uint64_t lines = 0;
    send_post(client, "/api/flood", "");
    require_reply(client, "told");
    await_log();
    while (last_log.event == AZFN__EVENT_NONE) {
        lines++;
        await_log();
    }
    require_is(AZFN__EVENT_LOG_LIMIT);
    assert_int_equal(lines + (uint64_t)last_log.fields.count.value, 300);
}

static void input_that_is_not_json_is_told_once(void **state)
{
    (void)state;
    static const char *const names[] = {"json", "jsonb", "tree"};
    for (size_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/%s", names[i]);
        send_post(client, path, "{\"id\": 1,}");
        require_reply(client, "told");
        require_told(AZFN_LOG_WARNING, names[i],
                     "the function took input for JSON that is none: the text is not well-formed at byte 9", path);
        require_is(AZFN__EVENT_INVALID_JSON);
        require_no_log();
        send_post(client, path, "{\"id\": 1}");
        require_reply(client, "told");
        require_no_log();
    }
    send_post(client, "/api/json", "");
    require_reply(client, "told");
}

static void a_message_that_is_not_json_is_told_once(void **state)
{
    (void)state;
    send_post(client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"{no\\\"\"},\"Metadata\":{}}");
    take(client);
    require_told(AZFN_LOG_WARNING, "jsonq", "the function took input for JSON", NULL);
    require_is(AZFN__EVENT_INVALID_JSON);
    require_no_log();
    send_post(client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"\\\"\"},\"Metadata\":{}}"); /* an empty one */
    take(client);
    send_post(client, "/jsonq", "{\"Data\":{\"msg\":\"\\\"{\\\\\\\"id\\\\\\\":1}\\\"\"},\"Metadata\":{}}");
    take(client);
}

static void each_setting_that_is_refused_is_told_once_and_then_counted(void **state)
{
    (void)state;
    static const char *const functions_of_both_kinds[] = {"set", "setb"};
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/api/%s", functions_of_both_kinds[i % 2]);
        send_post(client, path, "");
        require_reply(client, "told");
        for (size_t k = 0; i < 2 && k < 2; k++) {
            require_event(AZFN__EVENT_SETTING_REFUSED);
            assert_true(span_is(last_log.fields.function, functions_of_both_kinds[i]));
            assert_true(span_is(last_log.fields.setting, k == 0 ? "A" : "B"));
            assert_true(span_is(last_log.fields.trace_id, TRACE));
        }
        require_no_log();
    }
    azfn__dispatcher_tell_counts(&fixture.dispatcher);
    for (size_t i = 0; i < 4; i++) {
        require_event(AZFN__EVENT_SETTING_REFUSED);
        assert_true(span_is(last_log.fields.function, functions_of_both_kinds[i / 2]));
        assert_int_equal(last_log.fields.count.value, i % 2 == 0 ? 3 : 1);
    }
}

static void an_event_after_the_end_of_its_invocation_is_not_anothers(void **state)
{
    (void)state;
    send_post(client, "/api/never", "");
    AWAIT(held_count == 1);
    azfn_http_reply(held[0], 200, NULL, azfn_span_of("held"));
    require_reply(client, "held");
    azfn_security_event(held[0], AZFN_EVENT_FORBIDDEN, "late");
    require_log(AZFN_LOG_WARNING, "", "a function came back to an invocation that was over");
}

#define EVENT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_told, tear_down_told)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENT_TEST(events_and_lines_come_in_their_order_on_the_loop_and_on_a_thread),
        EVENT_TEST(events_are_no_part_of_an_envelope),
        EVENT_TEST(an_envelopes_logs_are_information_and_what_is_more_goes_to_the_broker_at_once),
        EVENT_TEST(no_text_gives_a_line_another_level_when_the_invocation_fails),
        EVENT_TEST(the_lines_of_an_answer_that_nobody_waits_for_are_not_lost),
        EVENT_TEST(the_lines_of_an_answer_that_could_not_be_sent_are_not_lost),
        EVENT_TEST(an_answer_has_room_for_so_many_lines_and_tells_of_the_others),
        EVENT_TEST(a_text_that_is_too_long_is_marked_behind_a_whole_character),
        EVENT_TEST(an_event_is_not_hidden_behind_lines),
        EVENT_TEST(what_was_dropped_is_told_when_the_broker_has_caught_up),
        EVENT_TEST(input_that_is_not_json_is_told_once),
        EVENT_TEST(a_message_that_is_not_json_is_told_once),
        EVENT_TEST(each_setting_that_is_refused_is_told_once_and_then_counted),
        EVENT_TEST(an_event_after_the_end_of_its_invocation_is_not_anothers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
