/* tests/unit/http_client.h
 * Clients of a server on the loopback interface, on the same loop: what they send, and what they require of its
 * answers. Include it after cmocka.h. */
#ifndef TESTS_UNIT_HTTP_CLIENT_H
#define TESTS_UNIT_HTTP_CLIENT_H

#include "base/buffer.h"
#include "base/span.h"
#include "unit/test_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NO_LIMIT ((size_t)1 << 30)

struct client {
    uv_poll_t poll;
    int fd;
    struct azfn__buffer out;
    struct azfn__buffer in;
    size_t taken; /* of in */
    bool is_slow; /* does not read */
    bool is_at_end;
    bool is_connected;
};

static struct client client_slots[32];
static uint16_t server_port;

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

/* With a socket that is there already. Whoever does not disconnect is disconnected when the test is over. */
static inline struct client *connect_by(int fd)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(server_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client *client = client_slots;
    while (client->is_connected) {
        client++;
        assert_true(client < client_slots + sizeof(client_slots) / sizeof(client_slots[0]));
    }
    *client = (struct client){.fd = fd, .is_connected = true};
    azfn__buffer_init(&client->out, NO_LIMIT);
    azfn__buffer_init(&client->in, NO_LIMIT);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(uv_poll_init(&loop, &client->poll, client->fd), 0);
    client->poll.data = client;
    watch(client);
    return client;
}

static inline struct client *connect_with(int receive_bytes)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_bytes > 0) {
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    }
    return connect_by(fd);
}

static inline struct client *connect_client(void)
{
    return connect_with(0);
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
    ((struct client *)handle->data)->is_connected = false;
}

static inline void disconnect(struct client *client)
{
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
    AWAIT(!client->is_connected);
    close(client->fd);
    azfn__buffer_clean_up(&client->in);
    azfn__buffer_clean_up(&client->out);
}

static inline void disconnect_all(void)
{
    for (size_t i = 0; i < sizeof(client_slots) / sizeof(client_slots[0]); i++) {
        if (client_slots[i].is_connected) {
            disconnect(&client_slots[i]);
        }
    }
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
    AWAIT(client->is_at_end || find_head(client, &response.head));
    assert_true(find_head(client, &response.head));
    size_t length = has_body ? content_length(response.head) : 0;
    size_t end = client->taken + response.head.length + length;
    AWAIT(client->is_at_end || client->in.length >= end);
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
    AWAIT(client->is_at_end);
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
