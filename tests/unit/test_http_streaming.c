/* Bodies and answers in pieces, and callers that leave: whatever a function waits for ends, once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "worker/http_connection.h"

/* What the function under test was told. */
static struct {
    struct azfn_invocation *invocation;
    int bodies;
    int cancels;
    enum azfn_error error;
    bool is_last;
    char piece[64];
} seen;

static void hold_one(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    seen.invocation = invocation;
}

static void on_body(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece, bool is_last,
                    void *user_data)
{
    (void)invocation;
    (void)user_data;
    seen.bodies++;
    seen.error = error;
    seen.is_last = is_last;
    snprintf(seen.piece, sizeof(seen.piece), "%.*s", AZFN_SPAN_ARGS(piece));
}

static void on_cancelled(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
    seen.cancels++;
}

/* As one does that pipes its body into its answer: room for more means that more is wanted. */
static void ask_for_body(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    seen.cancels++;
    assert_int_equal(azfn_http_read_body(invocation, on_body, NULL), AZFN_OK);
}

static const struct azfn_function stream_functions[] = {
    {.name = "streamed", .handler = hold_one, .streams_body = true},
    {.name = "collected", .handler = hold_one},
    {.name = "hello", .handler = hello},
};

static const struct azfn__config_file stream_files[] = {
    HOST_JSON,
    {LITERAL("streamed/function.json"), LITERAL(HTTP(""))},
    {LITERAL("collected/function.json"), LITERAL(HTTP(""))},
    {LITERAL("hello/function.json"), LITERAL(HTTP(""))},
};

#define POST_HEAD(name, length) "POST /api/" name " HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n\r\n"

static int set_up_streams(void **state)
{
    static const struct app app = APP_OF(stream_functions, stream_files);
    (void)state;
    memset(&seen, 0, sizeof(seen));
    start_worker(&app, &azfn__config_default_limits);
    return 0;
}

static struct client *call(const char *request)
{
    struct client *client = connect_client();
    send_text(client, request);
    AWAIT(seen.invocation);
    return client;
}

static struct azfn__http_connection *connection_of(struct azfn_invocation *handle)
{
    return azfn__invocation_of(handle)->responder_context;
}

static void run_turns(int turns)
{
    for (int i = 0; i < turns; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static void a_body_that_was_collected_comes_once_though_the_caller_leaves_before_it(void **state)
{
    (void)state;
    call(POST_HEAD("collected", "5") "whole");
    assert_int_equal(azfn_http_read_body(seen.invocation, on_body, NULL), AZFN_OK);
    azfn__http_connection_abort(connection_of(seen.invocation));
    AWAIT(seen.bodies > 0);
    run_turns(3);
    assert_int_equal(seen.bodies, 1);
    assert_int_equal(seen.error, AZFN_OK);
    assert_true(seen.is_last);
    assert_string_equal(seen.piece, "whole");
    assert_true(azfn_span_equals(azfn_http_body(seen.invocation), "whole"));
    azfn_fail(seen.invocation, "enough");
}

static void a_function_may_ask_for_its_body_when_it_is_told_that_the_caller_has_gone(void **state)
{
    (void)state;
    call(POST_HEAD("streamed", "100") "not all");
    assert_int_equal(azfn_on_cancelled(seen.invocation, ask_for_body, NULL), AZFN_OK);
    azfn__http_connection_abort(connection_of(seen.invocation));
    AWAIT(seen.bodies > 0);
    run_turns(3);
    assert_int_equal(seen.cancels, 1);
    assert_int_equal(seen.bodies, 1);
    assert_int_equal(seen.error, AZFN_ERROR_UNAVAILABLE);
    assert_true(seen.is_last);
    azfn_fail(seen.invocation, "enough");
}

static void a_caller_that_is_cut_off_for_what_it_sends_ahead_is_told_to_the_function(void **state)
{
    (void)state;
    struct azfn__config_limits limits = azfn__config_default_limits;
    limits.pipelined_bytes = 16;
    restart_with(&limits);
    struct client *client = call(POST_HEAD("streamed", "5") "whole");
    assert_int_equal(azfn_on_cancelled(seen.invocation, on_cancelled, NULL), AZFN_OK);
    send_text(client, "more than sixteen bytes of something");
    AWAIT(seen.cancels > 0);
    assert_true(azfn_is_cancelled(seen.invocation));
    azfn_fail(seen.invocation, "enough");
}

static void who_asks_to_be_told_after_the_caller_has_gone_is_told(void **state)
{
    (void)state;
    call(POST_HEAD("collected", "5") "whole");
    azfn__http_connection_abort(connection_of(seen.invocation));
    assert_true(azfn_is_cancelled(seen.invocation));
    assert_int_equal(azfn_on_cancelled(seen.invocation, on_cancelled, NULL), AZFN_OK);
    assert_int_equal(seen.cancels, 0);
    AWAIT(seen.cancels > 0);
    run_turns(3);
    assert_int_equal(seen.cancels, 1);
    azfn_fail(seen.invocation, "enough");
}

static void half_a_body_that_came_ahead_of_its_turn_is_not_waited_for(void **state)
{
    (void)state;
    struct client *client = call(POST_HEAD("collected", "5") "whole" POST_HEAD("streamed", "100") "not all");
    const struct azfn__http_connection *connection = connection_of(seen.invocation);
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    AWAIT(connection->has_ended);
    struct azfn_invocation *first = seen.invocation;
    seen.invocation = NULL;
    assert_int_equal(azfn_http_reply(first, 200, NULL, AZFN__SPAN("first")), AZFN_OK);
    require_reply(client, "first");
    AWAIT(seen.invocation && client->is_at_end);
    assert_int_equal(fixture.server.exchange_count, 0);
    assert_true(azfn_is_cancelled(seen.invocation));
    azfn_fail(seen.invocation, "enough");
}

static void pieces_for_a_caller_that_has_gone_are_not_collected(void **state)
{
    (void)state;
    call(POST_HEAD("collected", "5") "whole");
    azfn__http_connection_abort(connection_of(seen.invocation));
    assert_int_equal(azfn_http_begin(seen.invocation, 200, NULL), AZFN_OK);
    assert_int_equal(azfn_http_write(seen.invocation, AZFN__SPAN("piece")), AZFN_ERROR_STATE);
    assert_int_equal(azfn_http_end(seen.invocation), AZFN_OK);
}

/* The host does so; early: while the function waits for its body, or where it has let it pile up. */
static void a_client_that_reads_only_after_it_has_sent_all_gets_a_large_early_answer(void **state)
{
    (void)state;
    struct azfn_span large = azfn__span(calloc(1, 2 * BIG_BYTES), 2 * BIG_BYTES);
    assert_non_null(large.data);
    for (int is_piled_up = 0; is_piled_up < 2; is_piled_up++) {
        struct client *client = call(POST_HEAD("streamed", "16777216"));
        client->is_slow = true;
        send_bytes(client, large);
        const struct azfn__http_connection *connection = connection_of(seen.invocation);
        if (is_piled_up) {
            AWAIT(connection->is_paused);
        }
        assert_int_equal(azfn_http_reply(seen.invocation, 200, NULL, large), AZFN_OK);
        AWAIT(client->out.length == 0);
        client->is_slow = false;
        watch(client);
        assert_int_equal(take(client).body.length, large.length);
        require_end(client);
        disconnect(client);
        seen.invocation = NULL;
    }
    free((void *)large.data);
}

static void nothing_follows_a_piece_that_could_not_be_sent(void **state)
{
    (void)state;
    struct client *client = call(POST_HEAD("collected", "5") "whole");
    assert_int_equal(azfn_http_begin(seen.invocation, 200, NULL), AZFN_OK);
    struct azfn__http_connection *connection = connection_of(seen.invocation);
    /* as without memory for what the socket did not take */
    connection->is_broken = true;
    azfn__http_server_wait_turn(&fixture.server, connection);
    assert_int_equal(azfn_http_write(seen.invocation, AZFN__SPAN("piece")), AZFN_ERROR_STATE);
    azfn_http_end(seen.invocation);
    AWAIT(client->is_at_end);
    assert_true(azfn__span_starts_with(azfn__buffer_span(&client->in), AZFN__SPAN("HTTP/1.1 200 OK\r\n")));
    assert_int_equal(memcmp(client->in.data + client->in.length - 4, "\r\n\r\n", 4), 0);
    assert_null(memmem(client->in.data, client->in.length, "\r\n0\r\n", 5));
}

static void a_piece_that_was_read_is_no_longer_in_flight(void **state)
{
    (void)state;
    call(POST_HEAD("streamed", "100") "a piece");
    assert_int_equal(azfn_http_read_body(seen.invocation, on_body, NULL), AZFN_OK);
    AWAIT(seen.bodies > 0);
    assert_string_equal(seen.piece, "a piece");
    assert_int_equal(fixture.dispatcher.bodies.used_bytes, 0);
    azfn_fail(seen.invocation, "enough");
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_streams, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(a_body_that_was_collected_comes_once_though_the_caller_leaves_before_it),
        STREAM_TEST(a_function_may_ask_for_its_body_when_it_is_told_that_the_caller_has_gone),
        STREAM_TEST(a_caller_that_is_cut_off_for_what_it_sends_ahead_is_told_to_the_function),
        STREAM_TEST(who_asks_to_be_told_after_the_caller_has_gone_is_told),
        STREAM_TEST(half_a_body_that_came_ahead_of_its_turn_is_not_waited_for),
        STREAM_TEST(pieces_for_a_caller_that_has_gone_are_not_collected),
        STREAM_TEST(a_client_that_reads_only_after_it_has_sent_all_gets_a_large_early_answer),
        STREAM_TEST(nothing_follows_a_piece_that_could_not_be_sent),
        STREAM_TEST(a_piece_that_was_read_is_no_longer_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
