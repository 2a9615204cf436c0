/* fuzz/fuzz_channel_worker.c
 * Any bytes from the broker, in any pieces, at the worker's end of the channel: it drains, or ends, or goes on, and
 * the pieces make no difference. */
#include "fuzz/check.h"
#include "worker/broker_client.h"

#include <setjmp.h>
#include <stdnoreturn.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
noreturn void __real__exit(int status);
noreturn void __wrap__exit(int status);

static struct {
    struct azfn__broker_client client;
    jmp_buf end;
    bool is_fed;
    unsigned drains;
    bool has_ended;
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
    world.drains++;
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
        world.has_ended = true;
    }
    world.is_fed = false;
    free(copy);
}

static void read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct azfn__broker_client *client = &world.client;
    azfn__frame_reader_clean_up(&client->reader);
    azfn__frame_reader_init(&client->reader);
    world.drains = 0;
    world.has_ended = false;
    for (size_t at = 0; at < size && !world.has_ended; at += piece) {
        feed(client, data + at, size - at < piece ? size - at : piece);
    }
}

static void make_world(void)
{
    static uv_loop_t loop;
    const struct azfn__broker_client_callbacks callbacks = {.on_drain = on_drain};
    int ends[2];
    CHECK(uv_loop_init(&loop) == 0 && uv_socketpair(SOCK_STREAM, 0, ends, 0, 0) == 0);
    CHECK(azfn__broker_client_start(&world.client, &loop, ends[0], &callbacks) == AZFN_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!world.client.pipe.loop) {
        make_world();
    }
    if (size < 2) {
        return 0;
    }
    read_in_pieces(data + 1, size - 1, size);
    unsigned drains = world.drains;
    bool has_ended = world.has_ended;
    read_in_pieces(data + 1, size - 1, (size_t)data[0] + 1);
    CHECK(world.drains == drains && world.has_ended == has_ended);
    return 0;
}
