/* What a worker asks for, answered no faster than it reads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/worker_asks.h"
#include "unit/credential_fixture.h"

#include <sys/socket.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define LARGE_BYTES ((size_t)25600)
#define ASKERS 400

/* The broker's end of a channel, and the worker's, which this file reads when it likes. */
struct channel {
    uv_pipe_t pipe;
    struct azfn__frame_writer writer;
    int worker_end;
    struct azfn__frame_reader reader;
    struct azfn__config_secret secret;
    struct azfn_span granted[1];
    struct azfn__config_function function;
    struct azfn__config config;
    struct azfn__services services;
    struct azfn__worker_asks *asks;
    size_t answers; /* that were read */
    size_t failures;
};

static void on_sent(void *user_data)
{
    struct channel *channel = user_data;
    azfn__worker_asks_resume(channel->asks);
}

static void open_channel(struct fixture *fixture, struct channel *channel)
{
    int ends[2];
    memset(channel, 0, sizeof(*channel));
    set_up(fixture, &secrets);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(uv_pipe_init(&fixture->loop, &channel->pipe, 0), 0);
    assert_int_equal(uv_pipe_open(&channel->pipe, ends[0]), 0);
    channel->worker_end = ends[1];
    assert_int_equal(azfn__frame_writer_init(&channel->writer, &fixture->loop, (uv_stream_t *)&channel->pipe), AZFN_OK);
    channel->writer.on_sent = on_sent;
    channel->writer.user_data = channel;
    azfn__frame_reader_init(&channel->reader);
    channel->secret.name = KEY;
    channel->granted[0] = KEY;
    channel->function =
        (struct azfn__config_function){.name = AZFN__SPAN("order"), .secrets = channel->granted, .secret_count = 1};
    channel->config = (struct azfn__config){
        .functions = &channel->function, .function_count = 1, .secrets = &channel->secret, .secret_count = 1};
    channel->services.config = &channel->config;
    channel->services.secrets = fixture->cache;
    assert_int_equal(
        azfn__policy_new(&fixture->loop, &channel->config, &fixture->log.sink, &channel->services.policy), AZFN_OK);
    channel->asks = azfn__worker_asks_new(&channel->services, &channel->writer);
    assert_non_null(channel->asks);
}

static void on_channel_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void close_channel(struct fixture *fixture, struct channel *channel)
{
    azfn__worker_asks_destroy(channel->asks);
    uv_close((uv_handle_t *)&channel->pipe, on_channel_closed);
    azfn__frame_writer_close(&channel->writer, on_channel_closed);
    azfn__frame_reader_clean_up(&channel->reader);
    azfn__policy_destroy(channel->services.policy);
    clean_up(fixture);
    close(channel->worker_end);
}

static void ask_for_secret(struct channel *channel, uint32_t id)
{
    struct azfn__buffer payload;
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    const struct azfn__secret_ask ask = {
        .id = id,
        .function = AZFN__SPAN("order"),
        .invocation_id = AZFN__SPAN("id"),
        .trace_parent = id % 2 == 1 ? AZFN__SPAN("00-" TRACE "-b7ad6b7169203331-01") : AZFN__SPAN("00-" TRACE "-no"),
        .name = KEY};
    azfn__buffer_init(&payload, 4096);
    azfn__frame_reader_init(&reader);
    assert_true(azfn__ask_append_secret(&payload, &ask));
    assert_true(azfn__frame_reader_feed(&reader, payload.data, payload.length));
    assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_OK);
    assert_true(azfn__worker_asks_take(channel->asks, &frame));
    azfn__frame_reader_clean_up(&reader);
    azfn__buffer_clean_up(&payload);
}

static void run_once(struct fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void read_answers(struct channel *channel)
{
    struct azfn__frame frame;
    char bytes[65536];
    ssize_t count = read(channel->worker_end, bytes, sizeof(bytes));
    assert_true(count <= 0 || azfn__frame_reader_feed(&channel->reader, bytes, (size_t)count));
    while (azfn__frame_reader_next(&channel->reader, &frame) == AZFN_OK) {
        struct azfn__secret_answer answer;
        assert_true(azfn__ask_decode_secret_answer(frame.payload, &answer));
        assert_true(answer.error != AZFN_OK || answer.value.length == LARGE_BYTES);
        channel->answers++;
        channel->failures += answer.error != AZFN_OK;
    }
}

static void give_large_value(struct fixture *fixture)
{
    static char value[LARGE_BYTES + 1];
    memset(value, 'x', LARGE_BYTES);
    run_once(fixture); /* the cache's timer has it fetched */
    succeed(fixture, value, "v1");
}

static void require_little_on_its_way(const struct channel *channel)
{
    assert_true(azfn__frame_writer_pending_bytes(&channel->writer) < 3 * AZFN__FRAME_WRITER_BEHIND_BYTES);
}

static void many_that_waited_for_a_large_secret_get_it_as_the_worker_reads(void **state)
{
    (void)state;
    struct fixture fixture;
    struct channel channel;
    open_channel(&fixture, &channel);
    for (uint32_t id = 1; id <= ASKERS; id++) {
        ask_for_secret(&channel, id);
    }
    give_large_value(&fixture);
    require_little_on_its_way(&channel);
    for (int turns = 0; channel.answers < ASKERS && turns < 100000; turns++) {
        read_answers(&channel);
        run_once(&fixture);
        require_little_on_its_way(&channel);
    }
    assert_int_equal(channel.answers, ASKERS);
    assert_int_equal(channel.failures, 0);
    assert_int_equal(fixture.fetches, 1);
    close_channel(&fixture, &channel);
}

static void a_worker_that_never_reads_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture fixture;
    struct channel channel;
    open_channel(&fixture, &channel);
    for (uint32_t id = 1; id <= ASKERS; id++) {
        ask_for_secret(&channel, id);
    }
    give_large_value(&fixture);
    run_once(&fixture);
    require_little_on_its_way(&channel);
    close_channel(&fixture, &channel);
}

static void what_has_expired_until_the_worker_reads_is_waited_for_again(void **state)
{
    (void)state;
    struct fixture fixture;
    struct channel channel;
    open_channel(&fixture, &channel);
    for (uint32_t id = 1; id <= ASKERS; id++) {
        ask_for_secret(&channel, id);
    }
    give_large_value(&fixture);
    clock_ms += 48 * HOUR_MS; /* beyond its refresh and its stale limit */
    for (int turns = 0; channel.answers < ASKERS && turns < 100000; turns++) {
        read_answers(&channel);
        run_once(&fixture);
        if (fixture.pending_count > 0) {
            fail_with(&fixture, AZFN_ERROR_NOT_FOUND);
        }
    }
    assert_int_equal(channel.answers, ASKERS);
    assert_true(channel.failures > 0 && channel.failures < ASKERS);
    close_channel(&fixture, &channel);
}

/* What waits is told with the trace of the one that asked first; a text that is none is not told. */
static void a_grant_is_told_with_its_trace(void **state)
{
    (void)state;
    for (uint32_t id = 1; id <= 2; id++) {
        struct fixture fixture;
        struct channel channel;
        open_channel(&fixture, &channel);
        ask_for_secret(&channel, id);
        give_large_value(&fixture);
        run_once(&fixture);
        assert_int_equal(count_of(&fixture.log, "sensitive_read:secret"), 1);
        assert_int_equal(count_of(&fixture.log, "\"trace_id\":\"" TRACE "\""), id == 1);
        close_channel(&fixture, &channel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_that_waited_for_a_large_secret_get_it_as_the_worker_reads),
        cmocka_unit_test(a_worker_that_never_reads_leaves_nothing_behind),
        cmocka_unit_test(a_grant_is_told_with_its_trace),
        cmocka_unit_test(what_has_expired_until_the_worker_reads_is_waited_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
