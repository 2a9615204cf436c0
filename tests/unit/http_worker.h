/* tests/unit/http_worker.h
 * Server, connections and dispatcher together, as in a worker: real sockets on the loopback interface, and a
 * socketpair where the broker would be. Each test has a worker of its own; include it after cmocka.h. */
#ifndef TESTS_UNIT_HTTP_WORKER_H
#define TESTS_UNIT_HTTP_WORKER_H

#include "broker/listener.h"
#include "channel/frame.h"
#include "unit/default_functions.h"
#include "unit/http_client.h"
#include "worker/asks.h"
#include "worker/dispatcher.h"
#include "worker/http_server.h"

#include <fcntl.h>
#include <signal.h>

struct app {
    const struct azfn_function *functions;
    size_t function_count;
    const struct azfn__config_file *files;
    size_t file_count;
};

#define APP_OF(functions, files) \
    {(functions), sizeof(functions) / sizeof((functions)[0]), (files), sizeof(files) / sizeof((files)[0])}

static struct {
    const struct app *app;
    struct azfn__config *config;
    struct azfn__broker_client broker;
    int broker_end;
    struct azfn__frame_reader told; /* of what the worker says to the broker */
    struct azfn__asks asks;         /* without a slab until a test makes one */
    struct azfn__flight_record record;
    struct azfn__dispatcher dispatcher;
    struct azfn__http_server server;
    bool is_accepted;
    bool is_drained;
} fixture;

static inline void on_broker_drain(void *user_data)
{
    (void)user_data;
}

static inline void on_accepted(void *user_data)
{
    (void)user_data;
    fixture.is_accepted = true;
}

static inline void on_drained(void *user_data)
{
    (void)user_data;
    fixture.is_drained = true;
}

static inline void drain(void)
{
    azfn__http_server_drain(&fixture.server, on_accepted, on_drained, NULL);
}

static inline bool on_broker_frame(const struct azfn__frame *frame, void *user_data)
{
    (void)user_data;
    return azfn__asks_take(&fixture.asks, frame);
}

static inline void start_broker(void)
{
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_broker_drain, .on_frame = on_broker_frame};
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(azfn__broker_client_start(&fixture.broker, &loop, ends[0], &callbacks), AZFN_OK);
    fixture.broker_end = ends[1];
    azfn__frame_reader_init(&fixture.told);
}

/* app must be there as long as the worker. */
static inline void start_worker(const struct app *app, const struct azfn__config_limits *limits)
{
    struct azfn__config_fault fault;
    int status;
    signal(SIGPIPE, SIG_IGN);
    memset(&fixture, 0, sizeof(fixture));
    memset(client_slots, 0, sizeof(client_slots)); /* a test that failed may have left some */
    held_count = 0;
    fixture.app = app;
    if (azfn__config_new(app->files, app->file_count, app->functions, app->function_count, &fixture.config, &fault) !=
        AZFN_OK) {
        fail_msg("%s", fault.message);
    }
    start_loop();
    start_broker();
    assert_int_equal(azfn__dispatcher_init(&fixture.dispatcher, &loop, fixture.config, app->functions,
                                           app->function_count, &fixture.broker, &fixture.record),
                     AZFN_OK);
    azfn__asks_init(&fixture.asks, &fixture.broker, NULL);
    fixture.dispatcher.asks = &fixture.asks;
    int fd = azfn__listener_bind(0, 0, &server_port);
    assert_true(fd >= 0);
    assert_int_equal(azfn__http_server_start(&fixture.server, &loop, fd, &fixture.dispatcher, limits, &status),
                     AZFN_OK);
}

static inline int set_up(void **state)
{
    static const struct app app = APP_OF(functions, files);
    (void)state;
    start_worker(&app, &azfn__config_default_limits);
    return 0;
}

/* Whatever is left when all clients have gone has leaked. */
static inline int tear_down(void **state)
{
    const struct azfn__http_server *server = &fixture.server;
    (void)state;
    disconnect_all();
    AWAIT(server->connection_count == 0 && !server->waiting && fixture.dispatcher.in_flight == 0);
    assert_int_equal(server->exchange_count, 0);
    assert_null(server->queues.idle.oldest);
    assert_null(server->queues.head.oldest);
    assert_null(server->queues.body.oldest);
    assert_null(server->queues.closing.oldest);
    assert_int_equal(fixture.record.loop.function_length, 0);
    assert_int_equal(fixture.dispatcher.bodies.used_bytes, 0);
    if (!uv_is_closing((const uv_handle_t *)&server->listener)) {
        close(server->listener_fd);
    }
    stop_loop();
    azfn__dispatcher_clean_up(&fixture.dispatcher);
    azfn__asks_clean_up(&fixture.asks);
    azfn__frame_reader_clean_up(&fixture.broker.reader);
    azfn__buffer_clean_up(&fixture.broker.writer.out);
    azfn__frame_reader_clean_up(&fixture.told);
    close(fixture.broker_end);
    azfn__config_destroy(fixture.config);
    return 0;
}

/* For a test that wants other limits than those that its worker was set up with. */
static inline void restart_with(const struct azfn__config_limits *limits)
{
    const struct app *app = fixture.app;
    tear_down(NULL);
    start_worker(app, limits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
