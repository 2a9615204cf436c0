/* fuzz/fuzz_http_connection.c
 * Server, connections and dispatcher as in a worker, on a real loop and real sockets, with a clock that stands still.
 * The input is a program: what clients send, in which pieces, when they stop reading, close or vanish, when time goes
 * by, and when functions answer. Whatever it does, each complete request gets one answer, in order, and at the end
 * nothing is left. */
#include "fuzz/http_functions.h"
#include "fuzz/virtual_clock.h"
#include "worker/http_connection.h"
#include "worker/http_server.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define CLIENTS 4
#define NO_LIMIT ((size_t)1 << 30)
#define CONNECTION_LIMIT 3
/* What functions have, in the configurations below; all limits of connections are far beyond it. */
#define TIMEOUT_MS 20
#define DISTURBING_MS 29000
#define MAX_TURNS 4000

#define LITERAL(text) {(text), sizeof(text) - 1}
#define HOST(forwarding)                                                                                     \
    "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":" forwarding                    \
    ",\"description\":{\"defaultExecutablePath\":\"handler\"}}}"
#define HTTP(more)                                                                                           \
    "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"" more "},{\"type\":\"http\","                 \
    "\"direction\":\"out\",\"name\":\"res\"}]}"
#define QUEUE                                                                                                \
    "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"},{\"type\":\"queue\",\"direction\":"         \
    "\"out\",\"name\":\"out\"}]}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The C library's calls, libuv's too. What a connection of the server's can send at once is little, so that answers
 * have to wait for their client; and less where the program says so, down to single bytes. */
static struct {
    bool is_limited[1024]; /* by descriptor */
    size_t max_bytes;      /* 0: no limit */
} socket_writes;

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    const int bytes = 4096;
    int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);
    if (accepted >= 0) {
        CHECK(setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) == 0);
        CHECK(accepted < 1024);
        socket_writes.is_limited[accepted] = true;
    }
    return accepted;
}

static bool is_limited(int fd, size_t length)
{
    return fd >= 0 && fd < 1024 && socket_writes.is_limited[fd] && socket_writes.max_bytes > 0 &&
           length > socket_writes.max_bytes;
}

ssize_t write(int fd, const void *data, size_t length)
{
    return (ssize_t)syscall(SYS_write, fd, data, is_limited(fd, length) ? socket_writes.max_bytes : length);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char first[256];
    size_t length = 0;
    for (int i = 0; i < count && length < sizeof(first); i++) {
        size_t room = sizeof(first) - length;
        size_t taken = parts[i].iov_len < room ? parts[i].iov_len : room;
        memcpy(first + length, parts[i].iov_base, taken);
        length += taken;
    }
    return is_limited(fd, length) ? (ssize_t)syscall(SYS_write, fd, first, socket_writes.max_bytes)
                                  : (ssize_t)syscall(SYS_writev, fd, parts, count);
}

struct client {
    int fd; /* -1: not connected */
    bool is_reading;
    bool is_disturbed;
    bool is_at_end;
    struct azfn__buffer sent;
    struct azfn__buffer received;
};

/* Kept from input to input. */
struct world {
    bool is_made;
    uv_loop_t loop;
    struct azfn__config *config;
    struct azfn__broker_client broker;
    int broker_end;
    struct azfn__frame_reader frames;
    struct azfn__flight_record record;
    struct azfn__dispatcher dispatcher;
    struct azfn__http_server server;
    struct sockaddr_un address;
    socklen_t address_length;
    size_t warm; /* invocations that the dispatcher has at rest */
    struct client clients[CLIENTS];
    size_t pending; /* connections that may not have been accepted yet */
    uint64_t started_ms;
    bool is_drained;
    bool is_broker_slow;
};

static void on_broker_drain(void *user_data)
{
    (void)user_data;
}

static void on_accepted(void *user_data)
{
    (void)user_data;
}

static void on_drained(void *user_data)
{
    ((struct world *)user_data)->is_drained = true;
}

static struct azfn__config *make_config(bool is_forwarding)
{
    const struct azfn_span host = is_forwarding ? AZFN__SPAN(HOST("true")) : AZFN__SPAN(HOST("false"));
    const struct azfn__config_file files[] = {
        {AZFN__SPAN("host.json"), host},
        {LITERAL("azfn.json"), LITERAL("{\"functions\":{\"never\":{\"timeoutMs\":20},\"mute\":{\"timeoutMs\":20},"
                                       "\"now\":{\"maxBodyBytes\":1000},\"hold\":{\"maxConcurrent\":2}}}")},
        {LITERAL("bad/function.json"), LITERAL(HTTP(""))},
        {LITERAL("big/function.json"), LITERAL(HTTP(""))},
        {LITERAL("eat/function.json"), LITERAL(HTTP(""))},
        {LITERAL("hold/function.json"), LITERAL(HTTP(""))},
        {LITERAL("later/function.json"), LITERAL(HTTP(""))},
        {LITERAL("msg/function.json"), LITERAL(QUEUE)},
        {LITERAL("mute/function.json"), LITERAL(QUEUE)},
        {LITERAL("never/function.json"), LITERAL(HTTP(""))},
        {LITERAL("pipe/function.json"), LITERAL(HTTP(""))},
        {LITERAL("pour/function.json"), LITERAL(HTTP(""))},
        {LITERAL("now/function.json"), LITERAL(HTTP(",\"methods\":[\"get\",\"head\",\"post\"]"))},
        {LITERAL("stop/function.json"), LITERAL(HTTP(""))},
        {LITERAL("twice/function.json"), LITERAL(HTTP(""))},
        {LITERAL("view/function.json"), LITERAL(HTTP(",\"route\":\"view/{id:int?}/{*rest}\""))},
    };
    struct azfn__config *config;
    struct azfn__config_fault fault;
    enum azfn_error error =
        azfn__config_new(files, sizeof(files) / sizeof(files[0]), functions, FUNCTION_COUNT, &config, &fault);
    if (error != AZFN_OK) {
        (void)fprintf(stderr, "%s\n", fault.message);
        abort();
    }
    return config;
}

/* A socket of the kernel's choice of name: no port, and much faster than TCP. */
static int listen_somewhere(struct world *world)
{
    const struct sockaddr_un unnamed = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&unnamed, sizeof(unnamed.sun_family)) == 0);
    world->address_length = sizeof(world->address);
    CHECK(getsockname(fd, (struct sockaddr *)&world->address, &world->address_length) == 0);
    return fd;
}

static void make_world(struct world *world, bool is_forwarding)
{
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_broker_drain};
    struct azfn__config_limits limits = azfn__config_default_limits;
    int ends[2];
    int status;
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    *world = (struct world){.is_made = true};
    limits.connections = CONNECTION_LIMIT;
    limits.header_bytes = 2048;
    limits.url_bytes = 512;
    world->config = make_config(is_forwarding);
    world->config->is_easy_auth_on = !is_forwarding;
    CHECK(uv_loop_init(&world->loop) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    CHECK(azfn__broker_client_start(&world->broker, &world->loop, ends[0], &callbacks) == AZFN_OK);
    world->broker_end = ends[1];
    azfn__frame_reader_init(&world->frames);
    CHECK(azfn__dispatcher_init(&world->dispatcher, &world->loop, world->config, functions, FUNCTION_COUNT,
                                &world->broker, &world->record) == AZFN_OK);
    CHECK(azfn__http_server_start(&world->server, &world->loop, listen_somewhere(world), &world->dispatcher, &limits,
                                  &status) == AZFN_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        world->clients[i].fd = -1;
        azfn__buffer_init(&world->clients[i].sent, NO_LIMIT);
        azfn__buffer_init(&world->clients[i].received, NO_LIMIT);
    }
}

static void close_handle(uv_handle_t *handle, void *user_data)
{
    (void)user_data;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* After a drain, which has no way back. */
static void end_world(struct world *world)
{
    uv_walk(&world->loop, close_handle, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&world->loop) == 0);
    azfn__dispatcher_clean_up(&world->dispatcher);
    azfn__frame_reader_clean_up(&world->broker.reader);
    azfn__buffer_clean_up(&world->broker.writer.out);
    azfn__frame_reader_clean_up(&world->frames);
    close(world->broker_end);
    azfn__config_destroy(world->config);
    for (size_t i = 0; i < CLIENTS; i++) {
        azfn__buffer_clean_up(&world->clients[i].sent);
        azfn__buffer_clean_up(&world->clients[i].received);
    }
    world->is_made = false;
}

/* What the worker says has to be frames. */
static void read_frames(struct world *world)
{
    char bytes[8192];
    ssize_t count;
    while ((count = recv(world->broker_end, bytes, sizeof(bytes), 0)) > 0) {
        struct azfn__frame frame;
        struct azfn__log_frame log;
        enum azfn_error error;
        CHECK(azfn__frame_reader_feed(&world->frames, bytes, (size_t)count));
        while ((error = azfn__frame_reader_next(&world->frames, &frame)) == AZFN_OK) {
            CHECK(frame.type == AZFN__FRAME_LOG && azfn__frame_decode_log(frame.payload, &log));
        }
        CHECK(error == AZFN_ERROR_UNAVAILABLE);
    }
}

static bool is_disturbed(const struct world *world, const struct client *client)
{
    return client->is_disturbed || virtual_ms - world->started_ms > DISTURBING_MS;
}

static void check_client(const struct world *world, const struct client *client, bool is_final)
{
    const struct exchange_rules rules = {.limits = &world->server.parser_limits,
                                         .is_final = is_final,
                                         .is_disturbed = is_disturbed(world, client)};
    check_exchanges(&rules, azfn__buffer_span(&client->sent), azfn__buffer_span(&client->received));
}

static void leave(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    azfn__buffer_reset(&client->sent, 16384);
    azfn__buffer_reset(&client->received, 16384);
}

static void connect_client(struct world *world, struct client *client)
{
    if (client->fd >= 0) {
        return;
    }
    *client = (struct client){.sent = client->sent, .received = client->received, .is_reading = true};
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(client->fd >= 0);
    if (connect(client->fd, (const struct sockaddr *)&world->address, world->address_length) != 0) {
        leave(client); /* it drains */
        return;
    }
    world->pending++;
    /* beyond the limit any of them may be closed in favour of another */
    for (size_t i = 0; i < CLIENTS && world->pending + world->server.connection_count > CONNECTION_LIMIT; i++) {
        world->clients[i].is_disturbed = true;
    }
}

static void send_bytes(struct client *client, const void *data, size_t length)
{
    ssize_t count = client->fd < 0 || length == 0 ? -1 : send(client->fd, data, length, MSG_NOSIGNAL);
    if (count > 0) {
        azfn__buffer_append(&client->sent, data, (size_t)count);
    }
}

/* True: there was something. */
static bool receive(struct client *client)
{
    static char bytes[(size_t)64 << 10];
    bool has_received = false;
    while (client->fd >= 0 && client->is_reading && !client->is_at_end) {
        ssize_t count = recv(client->fd, bytes, sizeof(bytes), 0);
        if (count < 0 && errno == EAGAIN) {
            break;
        }
        has_received = true;
        client->is_at_end = count <= 0;
        client->is_disturbed = client->is_disturbed || count < 0;
        azfn__buffer_append(&client->received, bytes, count > 0 ? (size_t)count : 0);
        if (count > 0 && count < (ssize_t)sizeof(bytes)) {
            break;
        }
    }
    return has_received;
}

static bool turn(struct world *world)
{
    bool has_received = false;
    uv_run(&world->loop, UV_RUN_NOWAIT);
    world->pending -= world->pending > 0 ? 1 : 0; /* newer libuv takes one a turn */
    for (size_t i = 0; i < CLIENTS; i++) {
        has_received = receive(&world->clients[i]) || has_received;
    }
    if (!world->is_broker_slow) {
        read_frames(world);
    }
    return has_received;
}

/* A request with a body, in one piece or in chunks. */
static void send_request(struct client *client, bool is_chunked, struct input *input)
{
    char head[160];
    char size[24];
    unsigned choice = take_byte(input);
    const struct input body = take_bytes(input, take_byte(input));
    const char *name = functions[choice % FUNCTION_COUNT].name;
    const char *prefix = choice & 0x80 ? "/api/" : "/";
    int length = snprintf(head, sizeof(head), "POST %s%s HTTP/1.%c\r\nHost: h\r\nContent-Type: %s\r\n", prefix, name,
                          choice & 0x40 ? '0' : '1', choice & 0x20 ? "text/plain" : "application/json");
    send_bytes(client, head, (size_t)length);
    if (!is_chunked) {
        length = snprintf(head, sizeof(head), "Content-Length: %zu\r\n\r\n", body.length);
        send_bytes(client, head, (size_t)length);
        send_bytes(client, body.data, body.length);
        return;
    }
    send_bytes(client, "Transfer-Encoding: chunked\r\n\r\n", 30);
    if (body.length > 0) {
        length = snprintf(size, sizeof(size), "%zx\r\n", body.length);
        send_bytes(client, size, (size_t)length);
        send_bytes(client, body.data, body.length);
        send_bytes(client, "\r\n", 2);
    }
    send_bytes(client, "0\r\n\r\n", 5);
}

static void send_usual(struct client *client, unsigned choice)
{
    char text[128];
    const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS"};
    int length = snprintf(text, sizeof(text), "%s /api/%s%s HTTP/1.1\r\nHost: h\r\n%s\r\n", methods[choice >> 5 & 3],
                          functions[choice % 16 % FUNCTION_COUNT].name, choice & 0x10 ? "?a=%41+b&a=c&cut" : "",
                          choice & 0x80 ? "Connection: close\r\n" : "");
    send_bytes(client, text, (size_t)length);
}

static void send_in_pieces(struct world *world, struct client *client, struct input *input)
{
    struct input rest = take_bytes(input, take_byte(input));
    size_t piece = take_byte(input) % 16 + 1;
    while (rest.length > 0) {
        const struct input part = take_bytes(&rest, piece);
        send_bytes(client, part.data, part.length);
        turn(world);
    }
}

static void pass_time(unsigned choice)
{
    static const uint32_t steps_ms[] = {1, 5, 20, 100, 1000, 2100, 61000, 181000};
    virtual_ms += steps_ms[choice % 8];
}

static void leave_client(const struct world *world, struct client *client)
{
    if (client->fd >= 0) {
        check_client(world, client, false);
        leave(client);
    }
}

static void step(struct world *world, struct input *input)
{
    unsigned code = take_byte(input);
    struct client *client = &world->clients[code >> 4 & 3];
    switch (code & 15) {
    case 0:
        connect_client(world, client);
        break;
    case 1: {
        const struct input bytes = take_bytes(input, take_byte(input));
        send_bytes(client, bytes.data, bytes.length);
        break;
    }
    case 2: {
        const struct input bytes = take_bytes(input, take_word(input));
        send_bytes(client, bytes.data, bytes.length);
        break;
    }
    case 3:
        for (unsigned i = 0; i <= code >> 4; i++) {
            turn(world);
        }
        break;
    case 4:
        if (client->fd >= 0) {
            shutdown(client->fd, SHUT_WR);
        }
        break;
    case 5:
        leave_client(world, client);
        break;
    case 6:
        client->is_reading = false;
        break;
    case 7:
        client->is_reading = true;
        break;
    case 8:
        pass_time(code >> 4);
        break;
    case 9:
        answer_held(code >> 4, take_byte(input));
        break;
    case 10:
        send_in_pieces(world, client, input);
        break;
    case 11:
        send_usual(client, take_byte(input));
        break;
    case 12:
        send_request(client, true, input);
        break;
    case 13:
        send_request(client, false, input);
        break;
    case 14:
        touch_stale(code >> 4);
        break;
    default:
        if (code >> 4 == 15) {
            azfn__http_server_drain(&world->server, on_accepted, on_drained, world);
        } else if (code >> 4 >= 8) {
            socket_writes.max_bytes = (size_t)1 << ((code >> 4) - 8); /* 1 to 64 */
        } else {
            world->is_broker_slow = (code >> 4 & 1) != 0;
        }
        break;
    }
}

/* Until nothing happens any more while time stands still. */
static void settle(struct world *world)
{
    unsigned quiet = 0;
    for (unsigned i = 0; quiet < 2; i++) {
        CHECK(i < MAX_TURNS);
        bool has_happened = turn(world) || world->server.waiting != NULL;
        while (functions_state.held_count > 0) {
            answer_held(0, 0);
            has_happened = true;
        }
        quiet = has_happened ? 0 : quiet + 1;
    }
}

static void check_nothing_is_left(struct world *world)
{
    const struct azfn__http_server *server = &world->server;
    CHECK(server->connection_count == 0 && server->exchange_count == 0 && !server->waiting);
    CHECK(!server->queues.idle.oldest && !server->queues.head.oldest && !server->queues.body.oldest);
    CHECK(!server->queues.sending.oldest && !server->queues.closing.oldest);
    CHECK(world->dispatcher.in_flight == 0 && world->record.loop.function_length == 0);
    for (size_t i = 0; i < world->config->function_count; i++) {
        CHECK(world->dispatcher.functions[i].in_flight == 0 && !world->dispatcher.functions[i].oldest);
    }
    size_t warm = 0;
    for (const struct azfn__invocation *at = world->dispatcher.free; at; at = at->newer) {
        CHECK(at->state == AZFN__INVOCATION_RECEIVING && !at->is_in_call && !at->delays);
        warm++;
    }
    for (const struct azfn__invocation *at = world->dispatcher.spare; at; at = at->newer) {
        warm++;
    }
    /* one that is missing was never given back */
    CHECK(warm >= world->warm);
    world->warm = warm;
}

static void finish(struct world *world)
{
    world->is_broker_slow = false;
    socket_writes.max_bytes = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        world->clients[i].is_reading = true;
    }
    settle(world);
    for (unsigned i = 0; world->dispatcher.in_flight > 0; i++) {
        CHECK(i < MAX_TURNS);
        virtual_ms += TIMEOUT_MS;
        settle(world);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (world->clients[i].fd >= 0) {
            check_client(world, &world->clients[i], true);
            leave(&world->clients[i]);
        }
    }
    settle(world);
    /* a client that left while its bytes were not read is noticed late */
    for (unsigned i = 0; world->server.connection_count > 0; i++) {
        CHECK(i < MAX_TURNS);
        virtual_ms += TIMEOUT_MS;
        settle(world);
    }
    check_nothing_is_left(world);
    if (world->server.is_draining) {
        for (unsigned i = 0; !world->is_drained; i++) {
            CHECK(i < MAX_TURNS);
            virtual_ms += 50;
            turn(world);
        }
        end_world(world);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world worlds[2];
    struct input input = {.data = data, .length = size};
    bool is_forwarding = take_byte(&input) % 2 == 0;
    struct world *world = &worlds[is_forwarding];
    if (!world->is_made) {
        make_world(world, is_forwarding);
    }
    functions_state.held_count = 0;
    functions_state.stale_count = 0;
    world->pending = 0;
    world->started_ms = virtual_ms;
    uv_update_time(&world->loop);
    while (input.length > 0) {
        step(world, &input);
    }
    finish(world);
    return 0;
}
