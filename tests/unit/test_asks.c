/* Secrets and requests of functions, as the worker sees them: with this file in the broker's place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"

#define HEX_OF_HELLO "9307b3b915efb5171ff14d8cb55fbcc798c6c0ef1456d66ded1a6aa723a58b7b" /* HMAC-SHA256("key", "hello") */

static struct azfn__secret_slab *slab;

/* What the function under test was told. */
static struct {
    struct azfn_invocation *invocation;
    struct azfn_request *request;
    const struct azfn_secret *secret;
    enum azfn_error error;
    int calls;
    int writable;
    bool is_last;
    char text[256];
} seen;

static void on_secret(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                      void *user_data)
{
    (void)invocation;
    (void)user_data;
    seen.calls++;
    seen.error = error;
    seen.secret = secret;
}

static void want_secret(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    seen.invocation = invocation;
    assert_int_equal(azfn_secret_get(invocation, "key", on_secret, NULL), AZFN_OK);
    assert_int_equal(seen.calls, 0);
}

static void on_response(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                        void *user_data)
{
    (void)user_data;
    seen.calls++;
    seen.error = error;
    seen.request = request;
    struct azfn_span kind = azfn_response_header(invocation, request, "Content-TYPE");
    snprintf(seen.text, sizeof(seen.text), "%d %.*s %.*s", azfn_response_status(invocation, request),
             AZFN_SPAN_ARGS(kind), AZFN_SPAN_ARGS(azfn_response_body(invocation, request)));
}

static void want_response(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    const struct azfn_header headers[] = {{"accept", AZFN__SPAN("text/plain")}};
    const struct azfn_request_options options = {.method = "POST",
                                                 .path = AZFN__SPAN("orders"),
                                                 .headers = headers,
                                                 .header_count = 1,
                                                 .body = azfn_http_body(invocation),
                                                 .timeout_ms = 1234};
    seen.invocation = invocation;
    assert_int_equal(azfn_request(invocation, "partner", &options, on_response, NULL, NULL), AZFN_OK);
}

static void want_streams(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    const struct azfn_request_options options = {.method = "PUT", .streams_body = true, .streams_response = true};
    seen.invocation = invocation;
    assert_int_equal(azfn_request(invocation, "partner", &options, on_response, NULL, &seen.request), AZFN_OK);
}

static void want_sized_stream(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_request_options options = {
        .method = "PUT", .streams_body = true, .body = AZFN__SPAN("abcd"), .body_bytes = 3};
    seen.invocation = invocation;
    assert_int_equal(azfn_request(invocation, "partner", &options, on_response, NULL, NULL),
                     AZFN_ERROR_INVALID_ARGUMENT);
    options.body_bytes = 10;
    assert_int_equal(azfn_request(invocation, "partner", &options, on_response, NULL, &seen.request), AZFN_OK);
}

static const struct azfn_function ask_functions[] = {
    {.name = "secret", .handler = want_secret},
    {.name = "request", .handler = want_response},
    {.name = "streams", .handler = want_streams},
    {.name = "sized", .handler = want_sized_stream},
};
static const struct azfn__config_file ask_files[] = {
    HOST_JSON,
    {LITERAL("secret/function.json"), LITERAL(HTTP(""))},
    {LITERAL("request/function.json"), LITERAL(HTTP(""))},
    {LITERAL("streams/function.json"), LITERAL(HTTP(""))},
    {LITERAL("sized/function.json"), LITERAL(HTTP(""))},
};

static int set_up_asks(void **state)
{
    static const struct app app = APP_OF(ask_functions, ask_files);
    const struct azfn__secret_slab_options options = {.small_count = 2};
    (void)state;
    memset(&seen, 0, sizeof(seen));
    start_worker(&app, &azfn__config_default_limits);
    assert_int_equal(azfn__secret_slab_new(&options, &slab), AZFN_OK);
    fixture.asks.slab = slab;
    return 0;
}

static int tear_down_asks(void **state)
{
    tear_down(state);
    assert_int_equal(azfn__secret_slab_used_count(slab), 0);
    azfn__secret_slab_destroy(slab);
    return 0;
}

/* The next frame that is no log line. */
static struct azfn__frame next_frame(bool is_log)
{
    struct azfn__frame frame;
    char bytes[65536];
    for (;;) {
        while (azfn__frame_reader_next(&fixture.told, &frame) == AZFN_OK) {
            if ((frame.type == AZFN__FRAME_LOG) == is_log) {
                return frame;
            }
        }
        ssize_t count;
        while ((count = read(fixture.broker_end, bytes, sizeof(bytes))) <= 0) { /* no handle of the loop's */
            assert_false(is_late);
            uv_run(&loop, UV_RUN_NOWAIT);
        }
        assert_true(azfn__frame_reader_feed(&fixture.told, bytes, (size_t)count));
    }
}

static struct azfn__frame next_ask(void)
{
    return next_frame(false);
}

static uint32_t next_id(enum azfn__frame_type type)
{
    struct azfn__frame frame = next_ask();
    uint32_t id;
    assert_int_equal(frame.type, type);
    assert_true(frame.payload.length >= sizeof(id));
    memcpy(&id, frame.payload.data, sizeof(id));
    return id;
}

static void send_to_worker(struct azfn__buffer *out)
{
    assert_int_equal(write(fixture.broker_end, out->data, out->length), (ssize_t)out->length);
    azfn__buffer_clean_up(out);
}

static void answer_secret(uint32_t id, enum azfn_error error, const char *value)
{
    struct azfn__buffer out;
    azfn__buffer_init(&out, NO_LIMIT);
    const struct azfn__secret_answer answer = {
        .id = id, .error = error, .version = AZFN__SPAN("v1"), .value = azfn_span_of(value)};
    assert_true(azfn__ask_append_secret_answer(&out, &answer));
    send_to_worker(&out);
}

static void answer_head(uint32_t id, uint16_t status)
{
    struct azfn__buffer out;
    azfn__buffer_init(&out, NO_LIMIT);
    const struct azfn__response_head head = {.id = id, .status = status, .headers.count = 1};
    size_t begin = azfn__ask_begin_response(&out, &head);
    azfn__ask_append_header(&out, AZFN__SPAN("content-type"), AZFN__SPAN("text/plain"));
    assert_true(azfn__frame_end(&out, begin));
    send_to_worker(&out);
}

static void answer_piece(uint32_t id, struct azfn_span bytes)
{
    struct azfn__buffer out;
    azfn__buffer_init(&out, NO_LIMIT);
    const struct azfn__ask_piece piece = {.id = id, .bytes = bytes};
    assert_true(azfn__ask_append_piece(&out, AZFN__FRAME_RESPONSE_BODY, &piece));
    send_to_worker(&out);
}

static void answer_number(uint32_t id, enum azfn__frame_type type, uint32_t number)
{
    struct azfn__buffer out;
    azfn__buffer_init(&out, NO_LIMIT);
    assert_true(azfn__ask_append_number(&out, type, id, number));
    send_to_worker(&out);
}

static void reply(const char *body)
{
    azfn_http_reply(seen.invocation, 200, NULL, azfn_span_of(body));
}

static void a_secret_comes_later_and_serves_until_the_answer(void **state)
{
    (void)state;
    struct client *client = connect_client();
    send_text(client, "GET /api/secret HTTP/1.1\r\nHost: h\r\ntraceparent: 00-1-2-3\r\n\r\n");
    struct azfn__frame frame = next_ask();
    struct azfn__secret_ask ask;
    assert_int_equal(frame.type, AZFN__FRAME_SECRET_ASK);
    assert_true(azfn__ask_decode_secret(frame.payload, &ask));
    assert_true(azfn_span_equals(ask.function, "secret") && azfn_span_equals(ask.name, "key"));
    assert_true(azfn_span_equals(ask.trace_parent, "00-1-2-3")); /* the broker is the one who looks at it */
    answer_secret(ask.id, AZFN_OK, "key");
    AWAIT(seen.calls == 1);
    assert_int_equal(seen.error, AZFN_OK);
    assert_true(azfn_span_equals(azfn_secret_reveal(seen.invocation, seen.secret), "key"));
    assert_true(azfn_span_equals(azfn_secret_version(seen.invocation, seen.secret), "v1"));
    assert_true(azfn_secret_equals(seen.invocation, seen.secret, AZFN__SPAN("key")));
    assert_false(azfn_secret_equals(seen.invocation, seen.secret, AZFN__SPAN("kez")));
    assert_false(azfn_secret_equals(seen.invocation, seen.secret, AZFN__SPAN("key ")));
    assert_false(azfn_secret_equals(seen.invocation, seen.secret, azfn__absent()));
    assert_false(azfn_secret_equals(seen.invocation, NULL, AZFN__SPAN("key")));
    assert_int_equal(azfn__secret_slab_used_count(slab), 1);
    reply("done");
    require_reply(client, "done");
    assert_int_equal(azfn__secret_slab_used_count(slab), 0);
    assert_false(azfn_span_is_present(azfn_secret_reveal(seen.invocation, seen.secret)));
}

static void signatures_are_those_of_others(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/secret");
    answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_OK, "key");
    AWAIT(seen.calls == 1);
    struct azfn_span message = AZFN__SPAN("hello");
    struct azfn_span digits = AZFN__SPAN(HEX_OF_HELLO);
    char changed[sizeof(HEX_OF_HELLO)];
    assert_true(azfn_secret_has_signed(seen.invocation, seen.secret, message, digits));
    for (size_t i = 0; i < digits.length; i++) { /* in upper case, and with each digit wrong */
        memcpy(changed, digits.data, digits.length);
        changed[i] = (char)(changed[i] >= 'a' ? changed[i] - 'a' + 'A' : changed[i]);
        assert_true(azfn_secret_has_signed(seen.invocation, seen.secret, message, azfn__span(changed, digits.length)));
        changed[i] = changed[i] == '0' ? '1' : '0';
        assert_false(azfn_secret_has_signed(seen.invocation, seen.secret, message, azfn__span(changed, digits.length)));
        changed[i] = 'g';
        assert_false(azfn_secret_has_signed(seen.invocation, seen.secret, message, azfn__span(changed, digits.length)));
    }
    assert_false(azfn_secret_has_signed(seen.invocation, seen.secret, message, azfn__span(digits.data, 62)));
    assert_false(azfn_secret_has_signed(seen.invocation, seen.secret, message, azfn__absent()));
    assert_false(azfn_secret_has_signed(seen.invocation, seen.secret, AZFN__SPAN("hell"), digits));
    struct azfn_span signature = azfn_secret_sign(seen.invocation, seen.secret, message);
    assert_int_equal(signature.length, 32);
    assert_memory_equal(signature.data, "\x93\x07\xb3\xb9", 4);
    reply("done");
    require_reply(client, "done");
}

static void a_refusal_is_an_error_without_a_secret(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/secret");
    answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_ERROR_FORBIDDEN, "");
    AWAIT(seen.calls == 1);
    assert_int_equal(seen.error, AZFN_ERROR_FORBIDDEN);
    assert_null(seen.secret);
    reply("no");
    require_reply(client, "no");
}

static void one_that_is_released_is_gone_and_others_stay(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/secret");
    answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_OK, "first");
    AWAIT(seen.calls == 1);
    const struct azfn_secret *first = seen.secret;
    assert_int_equal(azfn_secret_get(seen.invocation, "other", on_secret, NULL), AZFN_OK);
    answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_OK, "second");
    AWAIT(seen.calls == 2);
    azfn_secret_release(seen.invocation, first);
    azfn_secret_release(seen.invocation, first);
    assert_false(azfn_span_is_present(azfn_secret_reveal(seen.invocation, first)));
    assert_true(azfn_span_equals(azfn_secret_reveal(seen.invocation, seen.secret), "second"));
    reply("done");
    require_reply(client, "done");
}

static void more_secrets_than_the_memory_holds_are_an_error(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/secret");
    answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_OK, "1");
    for (int i = 2; i <= 3; i++) {
        AWAIT(seen.calls == i - 1);
        assert_int_equal(azfn_secret_get(seen.invocation, "key", on_secret, NULL), AZFN_OK);
        answer_secret(next_id(AZFN__FRAME_SECRET_ASK), AZFN_OK, "more");
    }
    AWAIT(seen.calls == 3);
    assert_int_equal(seen.error, AZFN_ERROR_LIMIT);
    struct azfn__log_frame log;
    assert_true(azfn__frame_decode_log(next_frame(true).payload, &log));
    assert_int_equal(log.event, AZFN__EVENT_SECRETS_LIMIT);
    assert_true(azfn_span_equals(log.fields.secret, "key") && azfn_span_equals(log.fields.function, "secret"));
    reply("done");
    require_reply(client, "done");
}

static void a_secret_for_an_invocation_that_is_over_is_not_kept(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/secret");
    uint32_t late = next_id(AZFN__FRAME_SECRET_ASK);
    reply("without it");
    require_reply(client, "without it");
    get(client, "/api/secret"); /* in the same memory */
    uint32_t id = next_id(AZFN__FRAME_SECRET_ASK);
    assert_int_not_equal(id, late);
    answer_secret(late, AZFN_OK, "for the other one");
    answer_secret(id, AZFN_OK, "for this one");
    AWAIT(seen.calls == 1);
    assert_true(azfn_span_equals(azfn_secret_reveal(seen.invocation, seen.secret), "for this one"));
    assert_int_equal(azfn__secret_slab_used_count(slab), 1);
    reply("done");
    require_reply(client, "done");
    assert_int_equal(azfn_secret_get(seen.invocation, "key", on_secret, NULL), AZFN_ERROR_STATE);
}

static void a_request_is_sent_whole_and_its_answer_collected(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/api/request", "the body");
    struct azfn__frame frame = next_ask();
    struct azfn__request_ask ask;
    struct azfn_span name;
    struct azfn_span value;
    assert_int_equal(frame.type, AZFN__FRAME_REQUEST);
    assert_true(azfn__ask_decode_request(frame.payload, &ask));
    uint32_t id = ask.id;
    assert_true(azfn_span_equals(ask.function, "request") && azfn_span_equals(ask.destination, "partner") &&
                azfn_span_equals(ask.method, "POST") && azfn_span_equals(ask.path, "orders"));
    assert_int_equal(ask.timeout_ms, 1234);
    assert_int_equal(ask.body_bytes, 8);
    assert_true(azfn__ask_next_header(&ask.headers, &name, &value));
    assert_true(azfn_span_equals(name, "accept") && azfn_span_equals(value, "text/plain"));
    struct azfn__ask_piece piece;
    frame = next_ask();
    assert_int_equal(frame.type, AZFN__FRAME_REQUEST_BODY);
    assert_true(azfn__ask_decode_piece(frame.payload, &piece));
    assert_true(piece.is_last && azfn_span_equals(piece.bytes, "the body") && piece.id == id);
    answer_head(id, 201);
    answer_piece(id, AZFN__SPAN("made "));
    answer_piece(id, AZFN__SPAN("it"));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(seen.calls, 0);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    AWAIT(seen.calls == 1);
    assert_int_equal(seen.error, AZFN_OK);
    assert_string_equal(seen.text, "201 text/plain made it");
    reply(seen.text);
    require_reply(client, "201 text/plain made it");
}

static void a_request_without_an_answer_is_an_error(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/request");
    answer_number(next_id(AZFN__FRAME_REQUEST), AZFN__FRAME_RESPONSE_END, AZFN_ERROR_FORBIDDEN);
    AWAIT(seen.calls == 1);
    assert_int_equal(seen.error, AZFN_ERROR_FORBIDDEN);
    assert_string_equal(seen.text, "0  ");
    reply("done");
    require_reply(client, "done");
}

static void an_invocation_that_ends_cancels_its_request(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/request");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    reply("not waiting");
    require_reply(client, "not waiting");
    assert_int_equal(next_id(AZFN__FRAME_REQUEST_CANCEL), id);
    answer_head(id, 200); /* was on its way */
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    get(client, "/api/request");
    answer_number(next_id(AZFN__FRAME_REQUEST), AZFN__FRAME_RESPONSE_END, AZFN_ERROR_TIMEOUT);
    AWAIT(seen.calls == 1);
    assert_int_equal(seen.error, AZFN_ERROR_TIMEOUT);
    reply("done");
    require_reply(client, "done");
}

static void on_piece(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece, bool is_last,
                     void *user_data)
{
    (void)invocation;
    (void)user_data;
    seen.calls++;
    seen.error = error;
    seen.is_last = is_last;
    snprintf(seen.text, sizeof(seen.text), "%.*s", AZFN_SPAN_ARGS(piece));
}

static void on_writable(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
    seen.writable++;
}

static void a_streamed_answer_comes_as_the_function_asks_for_it(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/streams");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_ERROR_STATE);
    answer_head(id, 200);
    AWAIT(seen.calls == 1);
    answer_piece(id, AZFN__SPAN("one"));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_OK);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_ERROR_STATE);
    AWAIT(seen.calls == 2);
    assert_string_equal(seen.text, "one");
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_OK);
    answer_piece(id, AZFN__SPAN("two"));
    AWAIT(seen.calls == 3);
    assert_string_equal(seen.text, "two");
    assert_false(seen.is_last);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_OK);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_ERROR_UNAVAILABLE);
    AWAIT(seen.calls == 4);
    assert_int_equal(seen.error, AZFN_ERROR_UNAVAILABLE);
    assert_true(seen.is_last);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_ERROR_STATE);
    reply("done");
    require_reply(client, "done");
}

static void credit_is_given_back_when_the_function_has_read(void **state)
{
    (void)state;
    static char half[AZFN__ASK_PIECE_BYTES];
    struct client *client = connect_client();
    get(client, "/api/streams");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    answer_head(id, 200);
    AWAIT(seen.calls == 1);
    for (size_t i = 0; i < AZFN__ASK_WINDOW_BYTES; i += sizeof(half)) {
        answer_piece(id, azfn__span(half, sizeof(half)));
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece, NULL), AZFN_OK);
    struct azfn__ask_number number;
    struct azfn__frame frame = next_ask();
    assert_int_equal(frame.type, AZFN__FRAME_RESPONSE_READ);
    assert_true(azfn__ask_decode_number(frame.payload, &number));
    assert_int_equal(number.id, id);
    assert_int_equal(number.number, AZFN__ASK_WINDOW_BYTES);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    AWAIT(seen.calls >= 2);
    reply("done");
    require_reply(client, "done");
}

static void a_streamed_body_waits_for_credit(void **state)
{
    (void)state;
    static char bytes[(size_t)64 << 10];
    struct client *client = connect_client();
    get(client, "/api/streams");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, azfn__span(bytes, sizeof(bytes))), AZFN_OK);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, azfn__span(bytes, sizeof(bytes))), AZFN_OK);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("x")), AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(azfn_request_on_writable(seen.invocation, seen.request, on_writable, NULL), AZFN_OK);
    size_t received = 0;
    struct azfn__ask_piece piece;
    while (received < AZFN__ASK_WINDOW_BYTES) {
        struct azfn__frame frame = next_ask();
        assert_int_equal(frame.type, AZFN__FRAME_REQUEST_BODY);
        assert_true(azfn__ask_decode_piece(frame.payload, &piece));
        assert_false(piece.is_last);
        received += piece.bytes.length;
    }
    assert_int_equal(received, AZFN__ASK_WINDOW_BYTES);
    assert_int_equal(seen.writable, 0);
    answer_number(id, AZFN__FRAME_REQUEST_WRITE, 10000);
    AWAIT(seen.writable == 1);
    answer_number(id, AZFN__FRAME_REQUEST_WRITE, 60000);
    assert_int_equal(azfn_request_end(seen.invocation, seen.request), AZFN_OK);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("x")), AZFN_ERROR_STATE);
    do {
        struct azfn__frame frame = next_ask();
        assert_true(azfn__ask_decode_piece(frame.payload, &piece));
        received += piece.bytes.length;
    } while (!piece.is_last);
    assert_int_equal(received, 2 * sizeof(bytes));
    answer_head(id, 200);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    AWAIT(seen.calls == 1);
    reply("done");
    require_reply(client, "done");
}

/* The broker would end the worker, and with it the invocations of others. */
static void a_streamed_body_has_the_length_that_was_said(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/sized");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("1234567")), AZFN_ERROR_LIMIT);
    assert_int_equal(azfn_request_end(seen.invocation, seen.request), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("12345")), AZFN_OK);
    assert_int_equal(azfn_request_end(seen.invocation, seen.request), AZFN_ERROR_INVALID_ARGUMENT);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("67")), AZFN_ERROR_LIMIT);
    assert_int_equal(azfn_request_write(seen.invocation, seen.request, AZFN__SPAN("6")), AZFN_OK);
    assert_int_equal(azfn_request_end(seen.invocation, seen.request), AZFN_OK);
    size_t received = 0;
    struct azfn__ask_piece piece;
    do {
        struct azfn__frame frame = next_ask();
        assert_int_equal(frame.type, AZFN__FRAME_REQUEST_BODY);
        assert_true(azfn__ask_decode_piece(frame.payload, &piece));
        received += piece.bytes.length;
    } while (!piece.is_last);
    assert_int_equal(received, 10);
    answer_head(id, 200);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    AWAIT(seen.calls == 1);
    azfn_succeed(seen.invocation);
}

static void on_piece_once_more(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece,
                               bool is_last, void *user_data)
{
    on_piece(invocation, error, piece, is_last, user_data);
    assert_int_equal(azfn_response_read(invocation, seen.request, on_piece, NULL), AZFN_OK);
}

static void a_piece_that_comes_before_its_turn_leaves_no_empty_one(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/streams");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    answer_head(id, 200);
    AWAIT(seen.calls == 1);
    answer_piece(id, AZFN__SPAN("one"));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(azfn_response_read(seen.invocation, seen.request, on_piece_once_more, NULL), AZFN_OK);
    /* before the turn on which it would be handed over */
    struct azfn__buffer out;
    struct azfn__frame frame;
    const struct azfn__ask_piece two = {.id = id, .bytes = AZFN__SPAN("two")};
    azfn__buffer_init(&out, NO_LIMIT);
    assert_true(azfn__ask_append_piece(&out, AZFN__FRAME_RESPONSE_BODY, &two));
    frame = (struct azfn__frame){AZFN__FRAME_RESPONSE_BODY, azfn__span_from(azfn__buffer_span(&out), 8)};
    assert_true(azfn__asks_take(&fixture.asks, &frame));
    azfn__buffer_clean_up(&out);
    assert_int_equal(seen.calls, 2);
    assert_string_equal(seen.text, "onetwo");
    for (int i = 0; i < 5; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(seen.calls, 2);
    answer_number(id, AZFN__FRAME_RESPONSE_END, AZFN_OK);
    AWAIT(seen.calls == 3);
    assert_true(seen.is_last);
    reply("done");
    require_reply(client, "done");
}

static void what_the_broker_would_not_say_is_malformed(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/request");
    uint32_t id = next_id(AZFN__FRAME_REQUEST);
    static const enum azfn__frame_type types[] = {AZFN__FRAME_SECRET, AZFN__FRAME_RESPONSE, AZFN__FRAME_RESPONSE_BODY,
                                                  AZFN__FRAME_RESPONSE_END, AZFN__FRAME_REQUEST_WRITE,
                                                  (enum azfn__frame_type)200};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        assert_false(azfn__asks_take(&fixture.asks, &(struct azfn__frame){.type = types[i], .payload = {"ab", 2}}));
    }
    char body[9] = {0};
    memcpy(body, &id, sizeof(id));
    /* a body or an end without a head */
    assert_false(azfn__asks_take(&fixture.asks, &(struct azfn__frame){AZFN__FRAME_RESPONSE_BODY, {body, 9}}));
    assert_false(azfn__asks_take(&fixture.asks, &(struct azfn__frame){AZFN__FRAME_RESPONSE_END, {body, 8}}));
    reply("done");
    require_reply(client, "done");
}

#define ASK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_asks, tear_down_asks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASK_TEST(a_secret_comes_later_and_serves_until_the_answer),
        ASK_TEST(signatures_are_those_of_others),
        ASK_TEST(a_refusal_is_an_error_without_a_secret),
        ASK_TEST(one_that_is_released_is_gone_and_others_stay),
        ASK_TEST(more_secrets_than_the_memory_holds_are_an_error),
        ASK_TEST(a_secret_for_an_invocation_that_is_over_is_not_kept),
        ASK_TEST(a_request_is_sent_whole_and_its_answer_collected),
        ASK_TEST(a_request_without_an_answer_is_an_error),
        ASK_TEST(an_invocation_that_ends_cancels_its_request),
        ASK_TEST(a_streamed_answer_comes_as_the_function_asks_for_it),
        ASK_TEST(credit_is_given_back_when_the_function_has_read),
        ASK_TEST(a_streamed_body_waits_for_credit),
        ASK_TEST(a_streamed_body_has_the_length_that_was_said),
        ASK_TEST(a_piece_that_comes_before_its_turn_leaves_no_empty_one),
        ASK_TEST(what_the_broker_would_not_say_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
