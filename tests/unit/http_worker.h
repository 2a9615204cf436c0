/* tests/unit/http_worker.h
 * Server, connections and dispatcher together, as in a worker: real sockets on the loopback interface,
 * functions of the tests' own, and a socketpair where the broker would be. Clients and server share one
 * loop. For test_http_connection.c, test_http_server.c and test_dispatcher.c; include it after cmocka.h. */
#ifndef TESTS_UNIT_HTTP_WORKER_H
#define TESTS_UNIT_HTTP_WORKER_H

#include "base/span.h"
#include "broker/listener.h"
#include "worker/asks.h"
#include "worker/dispatcher.h"
#include "worker/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_LIMIT ((size_t)1 << 30)
#define AWAIT_MS 60000
#define BIG_BYTES ((size_t)8 << 20)

struct fixture {
    uv_loop_t loop;
    uv_timer_t watchdog;
    bool is_late;
    struct azfn__config *config;
    struct azfn__broker_client broker;
    int broker_end;
    struct azfn__asks asks; /* without a slab until a test makes one */
    struct azfn__flight_record record;
    struct azfn__dispatcher dispatcher;
    struct azfn__config_limits limits;
    struct azfn__http_server server;
    uint16_t port;
    bool is_accepted;
    bool is_drained;
    struct azfn_invocation *held[4]; /* what the functions "hold" and "never" were called with */
    size_t held_count;
    enum azfn_error second_answer;
};

/* The functions find it here: their table is static. */
static struct fixture *current;

#define AWAIT(fixture, condition)                                                                            \
    while (!(condition)) {                                                                                   \
        assert_false((fixture)->is_late);                                                                    \
        uv_run(&(fixture)->loop, UV_RUN_ONCE);                                                               \
    }

/* --- The functions. --- */

static inline void hello(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_query(invocation, "name");
    azfn_http_reply(invocation, 200, NULL, azfn_format(invocation, "hello %.*s", AZFN_SPAN_ARGS(name)));
}

static inline void echo(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_http_reply(invocation, 200, "application/octet-stream", azfn_http_body(invocation));
}

static inline void later(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    if (azfn_delay(invocation, 1, hello, NULL) != AZFN_OK) {
        azfn_fail(invocation, "no delay");
    }
}

static inline void hold(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    current->held[current->held_count++] = invocation;
}

static inline void never(struct azfn_invocation *invocation, void *user_data)
{
    /* its callbacks must not come once it has lost the invocation */
    if (azfn_delay(invocation, 3600000, hello, NULL) == AZFN_OK) {
        hold(invocation, user_data);
    }
}

static inline void twice(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("first"));
    current->second_answer = azfn_http_reply(invocation, 200, NULL, azfn_span_of("second"));
    azfn_fail(invocation, "third");
}

static inline void big(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    char *bytes = malloc(BIG_BYTES);
    if (!bytes) {
        azfn_fail(invocation, "no memory");
        return;
    }
    for (size_t i = 0; i < BIG_BYTES; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    azfn_http_reply(invocation, 200, "application/octet-stream", azfn__span(bytes, BIG_BYTES));
    free(bytes);
}

static inline void message(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_output(invocation, "out", azfn_input(invocation, NULL));
    azfn_succeed(invocation);
}

#define HTTP(more) "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"" more "},{\"type\":\"http\"," \
                   "\"direction\":\"out\",\"name\":\"res\"}]}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"},{\"type\":\"queue\",\"direction\":\"out\"," \
              "\"name\":\"out\"}]}"
#define LITERAL(text) {(text), sizeof(text) - 1}

static const struct azfn_function functions[] = {
    {.name = "hello", .handler = hello}, {.name = "echo", .handler = echo},   {.name = "later", .handler = later},
    {.name = "hold", .handler = hold},   {.name = "never", .handler = never}, {.name = "twice", .handler = twice},
    {.name = "big", .handler = big},     {.name = "message", .handler = message}, {.name = "mute", .handler = never},
};
#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

static const struct azfn__config_file files[] = {
    {LITERAL("host.json"), LITERAL("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,"
                                   "\"description\":{\"defaultExecutablePath\":\"handler\"}}}")},
    {LITERAL("azfn.json"),
     LITERAL("{\"functions\":{\"echo\":{\"maxBodyBytes\":1000},\"never\":{\"timeoutMs\":30},"
             "\"mute\":{\"timeoutMs\":30},\"hold\":{\"maxConcurrent\":2}}}")},
    {LITERAL("hello/function.json"), LITERAL(HTTP(""))},
    {LITERAL("echo/function.json"), LITERAL(HTTP(",\"methods\":[\"post\",\"put\"]"))},
    {LITERAL("later/function.json"), LITERAL(HTTP(""))},
    {LITERAL("hold/function.json"), LITERAL(HTTP(""))},
    {LITERAL("never/function.json"), LITERAL(HTTP(""))},
    {LITERAL("twice/function.json"), LITERAL(HTTP(""))},
    {LITERAL("big/function.json"), LITERAL(HTTP(""))},
    {LITERAL("message/function.json"), LITERAL(QUEUE)},
    {LITERAL("mute/function.json"), LITERAL(QUEUE)},
};
#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

/* --- The server. --- */

static inline void on_watchdog(uv_timer_t *timer)
{
    struct fixture *fixture = timer->data;
    fixture->is_late = true;
}

static inline void on_broker_drain(void *user_data)
{
    (void)user_data;
}

static inline void on_accepted(void *user_data)
{
    ((struct fixture *)user_data)->is_accepted = true;
}

static inline void on_drained(void *user_data)
{
    ((struct fixture *)user_data)->is_drained = true;
}

static inline bool on_broker_frame(const struct azfn__frame *frame, void *user_data)
{
    (void)user_data;
    return azfn__asks_take(&current->asks, frame);
}

static inline void start_loop(struct fixture *fixture)
{
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_broker_drain, .on_frame = on_broker_frame};
    int ends[2];
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    assert_int_equal(uv_timer_init(&fixture->loop, &fixture->watchdog), 0);
    fixture->watchdog.data = fixture;
    assert_int_equal(uv_timer_start(&fixture->watchdog, on_watchdog, AWAIT_MS, 0), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(azfn__broker_client_start(&fixture->broker, &fixture->loop, ends[0], &callbacks), AZFN_OK);
    fixture->broker_end = ends[1];
}

struct app {
    const struct azfn_function *functions;
    size_t function_count;
    const struct azfn__config_file *files;
    size_t file_count;
};

static inline void set_up_app(struct fixture *fixture, const struct azfn__config_limits *limits,
                              const struct app *app)
{
    struct azfn__config_fault fault;
    int status;
    *fixture = (struct fixture){.limits = *limits};
    current = fixture;
    if (azfn__config_new(app->files, app->file_count, app->functions, app->function_count, &fixture->config, &fault) !=
        AZFN_OK) {
        fail_msg("%s", fault.message);
    }
    start_loop(fixture);
    assert_int_equal(azfn__dispatcher_init(&fixture->dispatcher, &fixture->loop, fixture->config, app->functions,
                                           app->function_count, &fixture->broker, &fixture->record),
                     AZFN_OK);
    azfn__asks_init(&fixture->asks, &fixture->broker, NULL);
    fixture->dispatcher.asks = &fixture->asks;
    int fd = azfn__listener_bind(0, 0, &fixture->port);
    assert_true(fd >= 0);
    assert_int_equal(azfn__http_server_start(&fixture->server, &fixture->loop, fd, &fixture->dispatcher,
                                             &fixture->limits, &status),
                     AZFN_OK);
}

static inline void set_up_with(struct fixture *fixture, const struct azfn__config_limits *limits)
{
    const struct app app = {functions, FUNCTION_COUNT, files, FILE_COUNT};
    set_up_app(fixture, limits, &app);
}

static inline void set_up(struct fixture *fixture)
{
    set_up_with(fixture, &azfn__config_default_limits);
}

static inline void close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* All clients have gone before. Whatever is left then has leaked. */
static inline void clean_up(struct fixture *fixture)
{
    struct azfn__http_server *server = &fixture->server;
    AWAIT(fixture, server->connection_count == 0 && !server->waiting && fixture->dispatcher.in_flight == 0);
    assert_int_equal(server->exchange_count, 0);
    assert_null(server->queues.idle.oldest);
    assert_null(server->queues.head.oldest);
    assert_null(server->queues.body.oldest);
    assert_null(server->queues.closing.oldest);
    assert_int_equal(fixture->record.loop.function_length, 0);
    assert_int_equal(fixture->dispatcher.bodies.used_bytes, 0);
    if (!uv_is_closing((const uv_handle_t *)&server->listener)) {
        close(server->listener_fd);
    }
    uv_walk(&fixture->loop, close_handle, NULL);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    azfn__dispatcher_clean_up(&fixture->dispatcher);
    azfn__asks_clean_up(&fixture->asks);
    azfn__frame_reader_clean_up(&fixture->broker.reader);
    azfn__buffer_clean_up(&fixture->broker.writer.out);
    close(fixture->broker_end);
    azfn__config_destroy(fixture->config);
    current = NULL;
}

/* --- A client. --- */

struct client {
    struct fixture *fixture;
    uv_poll_t poll;
    int fd;
    struct azfn__buffer out;
    struct azfn__buffer in;
    size_t taken; /* of in */
    bool is_slow; /* does not read */
    bool is_at_end;
    bool is_closed;
};

static inline void on_poll(uv_poll_t *poll, int status, int events);

static inline void watch(struct client *client)
{
    int events = (client->is_slow || client->is_at_end ? 0 : UV_READABLE) | (client->out.length > 0 ? UV_WRITABLE : 0);
    if (events) {
        assert_int_equal(uv_poll_start(&client->poll, events, on_poll), 0);
    } else {
        uv_poll_stop(&client->poll);
    }
}

static inline void on_poll(uv_poll_t *poll, int status, int events)
{
    struct client *client = poll->data;
    char bytes[16384];
    (void)status;
    (void)events;
    if (client->out.length > 0) {
        ssize_t count = send(client->fd, client->out.data, client->out.length, MSG_NOSIGNAL);
        /* the server may have gone: then the rest is of no interest */
        azfn__buffer_consume(&client->out, count >= 0 ? (size_t)count : errno == EAGAIN ? 0 : client->out.length);
    }
    while (!client->is_slow && !client->is_at_end) {
        ssize_t count = recv(client->fd, bytes, sizeof(bytes), 0);
        if (count < 0 && errno == EAGAIN) {
            break;
        }
        client->is_at_end = count <= 0;
        azfn__buffer_append(&client->in, bytes, count > 0 ? (size_t)count : 0);
    }
    watch(client);
}

/* With a socket that is there already. */
static inline void connect_by(struct fixture *fixture, struct client *client, int fd)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *client = (struct client){.fixture = fixture, .fd = fd};
    azfn__buffer_init(&client->out, NO_LIMIT);
    azfn__buffer_init(&client->in, NO_LIMIT);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(uv_poll_init(&fixture->loop, &client->poll, client->fd), 0);
    client->poll.data = client;
    watch(client);
}

static inline void connect_with(struct fixture *fixture, struct client *client, int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes > 0) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    }
    connect_by(fixture, client, fd);
}

static inline void connect_to(struct fixture *fixture, struct client *client)
{
    connect_with(fixture, client, 0);
}

static inline void send_bytes(struct client *client, struct azfn_span bytes)
{
    azfn__buffer_append_span(&client->out, bytes);
    watch(client);
}

static inline void send_text(struct client *client, const char *text)
{
    send_bytes(client, azfn_span_of(text));
}

static inline void get(struct client *client, const char *path)
{
    char text[256];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    send_text(client, text);
}

static inline void post(struct client *client, const char *path, const char *body)
{
    char text[256];
    snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n%s", path, strlen(body),
             body);
    send_text(client, text);
}

static inline void on_client_closed(uv_handle_t *handle)
{
    ((struct client *)handle->data)->is_closed = true;
}

static inline void disconnect(struct client *client)
{
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
    AWAIT(client->fixture, client->is_closed);
    close(client->fd);
    azfn__buffer_clean_up(&client->in);
    azfn__buffer_clean_up(&client->out);
}

/* As a process that dies does it: with a reset. */
static inline void abort_connection(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    disconnect(client);
}

/* Valid until more is read. */
struct response {
    struct azfn_span head; /* with the empty line */
    struct azfn_span body;
};

static inline bool find_head(const struct client *client, struct azfn_span *out_head)
{
    struct azfn_span rest = azfn__span_from(azfn__buffer_span(&client->in), client->taken);
    const char *end = rest.length > 0 ? memmem(rest.data, rest.length, "\r\n\r\n", 4) : NULL;
    *out_head = azfn__span(rest.data, end ? (size_t)(end - rest.data) + 4 : 0);
    return end != NULL;
}

static inline size_t content_length(struct azfn_span head)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *value = memmem(head.data, head.length, name, sizeof(name) - 1);
    return value ? strtoul(value + sizeof(name) - 1, NULL, 10) : 0;
}

/* Awaits a whole response. has_body: not for HEAD. */
static inline struct response take_with(struct client *client, bool has_body)
{
    struct response response;
    AWAIT(client->fixture, client->is_at_end || find_head(client, &response.head));
    assert_true(find_head(client, &response.head));
    size_t length = has_body ? content_length(response.head) : 0;
    size_t end = client->taken + response.head.length + length;
    AWAIT(client->fixture, client->is_at_end || client->in.length >= end);
    assert_true(client->in.length >= end);
    assert_true(find_head(client, &response.head));
    response.body = azfn__span(response.head.data + response.head.length, length);
    client->taken = end;
    return response;
}

static inline struct response take(struct client *client)
{
    return take_with(client, true);
}

static inline bool says(struct azfn_span head, const char *line)
{
    return memmem(head.data, head.length, line, strlen(line)) != NULL;
}

static inline void require_reply(struct client *client, const char *body)
{
    struct response response = take(client);
    if (!azfn__span_starts_with(response.head, AZFN__SPAN("HTTP/1.1 200 OK\r\n")) ||
        !azfn_span_equals(response.body, body)) {
        fail_msg("expected %s, found %.*s%.*s", body, AZFN_SPAN_ARGS(response.head), AZFN_SPAN_ARGS(response.body));
    }
    assert_false(says(response.head, "Connection: close"));
}

static inline void require_end(struct client *client)
{
    AWAIT(client->fixture, client->is_at_end);
    assert_int_equal(client->in.length, client->taken);
}

/* Every byte of an answer that azfn gives in a function's stead, but for the date. lines: more of its head. */
static inline void require_status(struct client *client, const char *status, const char *lines, bool is_last)
{
    char expected[512];
    struct response response = take(client);
    int length = snprintf(expected, sizeof(expected),
                          "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n%sContent-Length: %zu\r\n%sDate: ",
                          status, lines, strlen(status) + 1, is_last ? "Connection: close\r\n" : "");
    if (!azfn__span_starts_with(response.head, azfn__span(expected, (size_t)length))) {
        fail_msg("expected:\n%s\nfound:\n%.*s", expected, AZFN_SPAN_ARGS(response.head));
    }
    assert_int_equal(response.head.length, (size_t)length + strlen("Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"));
    snprintf(expected, sizeof(expected), "%s\n", status);
    assert_true(azfn_span_equals(response.body, expected));
}

static inline void require_refusal(struct client *client, const char *status, const char *lines)
{
    require_status(client, status, lines, true);
    require_end(client);
}

#endif
