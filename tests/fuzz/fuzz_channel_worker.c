/* fuzz/fuzz_channel_worker.c
 * Any bytes from the broker, in any pieces, at the worker's end of the channel, while functions wait for secrets and for
 * answers of destinations: it drains, or ends, or goes on, each function is told once, and the pieces make no
 * difference. */
#include "base/span.h"
#include "fuzz/check.h"
#include "fuzz/virtual_clock.h"
#include "worker/asks.h"
#include "worker/dispatcher.h"

#include <setjmp.h>
#include <stdnoreturn.h>
#include <string.h>

#define SECRETS 3
#define REQUESTS 3
#define SLOTS 2 /* fewer than secrets */
#define LITERAL(text) {(text), sizeof(text) - 1}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
noreturn void __real__exit(int status);
noreturn void __wrap__exit(int status);

/* What is not to depend on the pieces. */
struct outcome {
    unsigned drains;
    bool has_ended;
    bool is_answered;
    unsigned secrets;
    unsigned responses;
    unsigned lasts; /* pieces with is_last */
    uint64_t piece_bytes;
    uint64_t hash; /* of what the function saw */
};

static struct {
    uv_loop_t loop;
    struct azfn__broker_client client;
    int broker_end;
    struct azfn__config *config;
    struct azfn__dispatcher dispatcher;
    struct azfn__flight_record record;
    struct azfn__asks asks;
    struct azfn__secret_slab *slab;
    unsigned temper; /* of the function */
    struct azfn_invocation *invocation;
    struct azfn_request *requests[REQUESTS];
    struct outcome now;
    jmp_buf end;
    bool is_fed;
} world;

/* The linker puts it in _exit()'s place: see CMakeLists.txt. */
noreturn void __wrap__exit(int status)
{
    if (!world.is_fed) {
        __real__exit(status);
    }
    longjmp(world.end, 1);
}

static void on_drain(void *user_data)
{
    (void)user_data;
    world.now.drains++;
}

static bool on_frame(const struct azfn__frame *frame, void *user_data)
{
    (void)user_data;
    return azfn__asks_take(&world.asks, frame);
}

static void see(struct azfn_span bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        world.now.hash = world.now.hash * 31 + (unsigned char)bytes.data[i];
    }
}

static void answer(struct azfn_invocation *invocation)
{
    CHECK(azfn_http_reply(invocation, 200, NULL, AZFN__SPAN("done")) == AZFN_OK);
}

static void on_secret(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                      void *user_data)
{
    CHECK(!world.now.is_answered && (error == AZFN_OK) == (secret != NULL));
    (void)user_data;
    world.now.secrets++;
    see(azfn_secret_reveal(invocation, secret));
    see(azfn_secret_version(invocation, secret));
    if (world.temper & 1) {
        azfn_secret_release(invocation, secret);
        CHECK(!azfn_span_is_present(azfn_secret_reveal(invocation, secret)));
    }
    if (world.temper & 2) {
        answer(invocation);
    }
}

static void on_piece(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece, bool is_last,
                     void *user_data)
{
    struct azfn_request **request = user_data;
    CHECK(!world.now.is_answered && (error == AZFN_OK || (piece.length == 0 && is_last)));
    CHECK(piece.length > 0 || is_last);
    see(piece);
    world.now.piece_bytes += piece.length;
    world.now.lasts += is_last;
    CHECK(azfn_response_read(invocation, *request, on_piece, user_data) == (is_last ? AZFN_ERROR_STATE : AZFN_OK));
    if (is_last && (world.temper & 4)) {
        answer(invocation);
    }
}

static void on_writable(struct azfn_invocation *invocation, void *user_data)
{
    struct azfn_request **request = user_data;
    enum azfn_error error = azfn_request_write(invocation, *request, AZFN__SPAN("more"));
    CHECK(error == AZFN_OK || error == AZFN_ERROR_STATE);
}

static void on_response(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                        void *user_data)
{
    CHECK(!world.now.is_answered && user_data != NULL);
    bool has_status = azfn_response_status(invocation, request) != 0;
    world.now.responses++;
    CHECK(error != AZFN_OK || has_status);
    see(azfn_response_header(invocation, request, "x-a"));
    see(azfn_response_body(invocation, request));
    if (error == AZFN_OK && user_data == &world.requests[1]) {
        enum azfn_error read_error = azfn_response_read(invocation, request, on_piece, user_data);
        CHECK(read_error == AZFN_OK);
    }
    if (world.temper & 8) {
        answer(invocation);
    }
}

static void ask(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    static char body[70000];
    const struct azfn_request_options options[REQUESTS] = {
        {.method = "GET", .path = AZFN__SPAN("a")},
        {.method = "PUT", .streams_body = true, .streams_response = true},
        {.method = "POST", .body = azfn__span(body, sizeof(body))}};
    world.invocation = invocation;
    for (int i = 0; i < SECRETS; i++) {
        CHECK(azfn_secret_get(invocation, "key", on_secret, NULL) == AZFN_OK);
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        CHECK(azfn_request(invocation, "partner", &options[i], on_response, &world.requests[i], &world.requests[i]) ==
              AZFN_OK);
    }
    CHECK(azfn_request_write(invocation, world.requests[1], azfn__span(body, sizeof(body))) == AZFN_OK);
    CHECK(azfn_request_on_writable(invocation, world.requests[1], on_writable, &world.requests[1]) == AZFN_OK);
}

static void respond(struct azfn__invocation *invocation, const struct azfn__http_response *response, void *context)
{
    (void)response;
    (void)context;
    CHECK(!world.now.is_answered);
    world.now.is_answered = true;
    azfn__dispatcher_release(invocation->dispatcher, invocation);
}

static void run_function(void)
{
    static const struct azfn__responder responder = {.respond = respond};
    struct azfn__invocation *invocation = azfn__dispatcher_acquire(&world.dispatcher);
    CHECK(invocation != NULL);
    invocation->mode = AZFN__MODE_FORWARDED;
    invocation->function = &world.dispatcher.functions[0];
    invocation->id = AZFN__SPAN("id");
    azfn__dispatcher_run(&world.dispatcher, invocation, &responder, NULL);
}

/* A client without a socket behind it: libuv's part is to call on_read, and that is done here. */
static void feed(struct azfn__broker_client *client, const uint8_t *data, size_t length)
{
    char *volatile copy = malloc(length);
    CHECK(copy != NULL);
    memcpy(copy, data, length);
    const uv_buf_t buffer = uv_buf_init(copy, (unsigned)length);
    world.is_fed = true;
    if (setjmp(world.end) == 0) {
        client->pipe.read_cb((uv_stream_t *)&client->pipe, (ssize_t)length, &buffer);
    } else {
        world.now.has_ended = true;
    }
    world.is_fed = false;
    free(copy);
}

/* What the worker asks comes in whole frames. */
static void read_asks(void)
{
    static char bytes[(size_t)1 << 20];
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    enum azfn_error error = AZFN_ERROR_UNAVAILABLE;
    azfn__frame_reader_init(&reader);
    for (ssize_t count; (count = recv(world.broker_end, bytes, 65536, MSG_DONTWAIT)) > 0;) {
        CHECK(azfn__frame_reader_feed(&reader, bytes, (size_t)count));
        while ((error = azfn__frame_reader_next(&reader, &frame)) == AZFN_OK) {
            CHECK(frame.type >= AZFN__FRAME_LOG && frame.type <= AZFN__FRAME_REQUEST_CANCEL);
        }
        CHECK(error == AZFN_ERROR_UNAVAILABLE);
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    azfn__frame_reader_clean_up(&reader);
}

static void clean_up_run(void)
{
    if (!world.now.is_answered) {
        azfn_fail(world.invocation, NULL);
    }
    CHECK(world.now.is_answered && azfn__secret_slab_used_count(world.slab) == 0);
    uv_run(&world.loop, UV_RUN_NOWAIT);
    read_asks();
    azfn__asks_clean_up(&world.asks);
    azfn__asks_init(&world.asks, &world.client, world.slab);
}

static struct outcome read_in_pieces(const uint8_t *data, size_t size, size_t piece, bool has_turns)
{
    struct azfn__broker_client *client = &world.client;
    azfn__frame_reader_clean_up(&client->reader);
    azfn__frame_reader_init(&client->reader);
    world.now = (struct outcome){.drains = 0};
    run_function();
    for (size_t at = 0; at < size && !world.now.has_ended; at += piece) {
        feed(client, data + at, size - at < piece ? size - at : piece);
        if (has_turns) {
            virtual_ms++;
            uv_run(&world.loop, UV_RUN_NOWAIT);
            read_asks();
        }
    }
    CHECK(world.now.secrets <= SECRETS && world.now.responses <= REQUESTS && world.now.lasts <= 1);
    struct outcome outcome = world.now;
    clean_up_run();
    return outcome;
}

static void make_world(void)
{
    static const struct azfn_function functions[] = {{.name = "ask", .handler = ask}};
    static const struct azfn__config_file files[] = {
        {LITERAL("host.json"), LITERAL("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,"
                                       "\"description\":{\"defaultExecutablePath\":\"handler\"}}}")},
        {LITERAL("ask/function.json"),
         LITERAL("{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\","
                 "\"direction\":\"out\",\"name\":\"res\"}]}")}};
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_drain, .on_frame = on_frame};
    const struct azfn__secret_slab_options slots = {.small_count = SLOTS};
    struct azfn__config_fault fault;
    int ends[2];
    CHECK(uv_loop_init(&world.loop) == 0 && uv_socketpair(SOCK_STREAM, 0, ends, 0, 0) == 0);
    world.broker_end = ends[1];
    CHECK(azfn__broker_client_start(&world.client, &world.loop, ends[0], &callbacks) == AZFN_OK);
    CHECK(azfn__secret_slab_new(&slots, &world.slab) == AZFN_OK);
    CHECK(azfn__config_new(files, 2, functions, 1, &world.config, &fault) == AZFN_OK);
    CHECK(azfn__dispatcher_init(&world.dispatcher, &world.loop, world.config, functions, 1, &world.client,
                                &world.record) == AZFN_OK);
    azfn__asks_init(&world.asks, &world.client, world.slab);
    world.dispatcher.asks = &world.asks;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!world.client.pipe.loop) {
        make_world();
    }
    if (size < 3) {
        return 0;
    }
    world.temper = data[1];
    struct outcome whole = read_in_pieces(data + 2, size - 2, size, false);
    struct outcome pieces = read_in_pieces(data + 2, size - 2, (size_t)data[0] + 1, false);
    CHECK(whole.drains == pieces.drains && whole.has_ended == pieces.has_ended);
    CHECK(whole.is_answered == pieces.is_answered && whole.secrets == pieces.secrets);
    CHECK(whole.responses == pieces.responses && whole.hash == pieces.hash);
    read_in_pieces(data + 2, size - 2, (size_t)data[0] + 1, true);
    return 0;
}
