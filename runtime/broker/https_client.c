#include "broker/https_client.h"

#include <dlfcn.h>
#include <stdlib.h>

struct socket_watch {
    uv_poll_t poll;
    struct azfn__https_client *client;
    int fd;
};

struct azfn__https_client {
    uv_loop_t *loop;
    const struct azfn__https_api *api;
    struct azfn__https_engine *engine; /* NULL: destroyed */
    uv_timer_t timer;
    struct socket_watch **watches; /* by descriptor; NULL: not watched */
    size_t watch_count;
    size_t handle_count; /* that are not closed yet: the last one frees the client */
    bool is_in_timer;
};

const struct azfn__https_api *azfn__https_module_load(const char *path, const char **out_reason)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        *out_reason = dlerror();
        return NULL;
    }
    const struct azfn__https_api *api = dlsym(module, AZFN__HTTPS_MODULE_SYMBOL);
    if (!api || api->version != AZFN__HTTPS_MODULE_VERSION) {
        *out_reason = "the module is of another version than the program";
        return NULL; /* and stays loaded: what it brought along can't be unloaded */
    }
    return api;
}

static void release(struct azfn__https_client *client)
{
    if (--client->handle_count == 0) {
        free(client->watches);
        free(client);
    }
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct socket_watch *watch = handle->data;
    release(watch->client);
    free(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *watch = poll->data;
    /* what is wrong with a socket, libcurl finds out by using it */
    bool is_readable = status < 0 || (events & UV_READABLE);
    bool is_writable = status < 0 || (events & UV_WRITABLE);
    if (status < 0) {
        uv_poll_stop(poll);
    }
    watch->client->api->on_socket(watch->client->engine, watch->fd, is_readable, is_writable);
}

static void forget(struct azfn__https_client *client, int fd)
{
    struct socket_watch *watch = (size_t)fd < client->watch_count ? client->watches[fd] : NULL;
    if (watch) {
        client->watches[fd] = NULL;
        uv_poll_stop(&watch->poll);
        uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
    }
}

static bool make_room(struct azfn__https_client *client, int fd)
{
    if ((size_t)fd < client->watch_count) {
        return true;
    }
    size_t count = (size_t)fd + 16;
    struct socket_watch **watches = realloc(client->watches, count * sizeof(struct socket_watch *));
    if (!watches) {
        return false;
    }
    for (size_t i = client->watch_count; i < count; i++) {
        watches[i] = NULL;
    }
    client->watches = watches;
    client->watch_count = count;
    return true;
}

static struct socket_watch *find_or_add(struct azfn__https_client *client, int fd)
{
    if (!make_room(client, fd)) {
        return NULL;
    }
    struct socket_watch *watch = client->watches[fd];
    if (watch) {
        return watch;
    }
    watch = calloc(1, sizeof(*watch));
    if (!watch || uv_poll_init_socket(client->loop, &watch->poll, fd) != 0) {
        free(watch);
        return NULL;
    }
    watch->client = client;
    watch->fd = fd;
    watch->poll.data = watch;
    client->watches[fd] = watch;
    client->handle_count++;
    return watch;
}

/* A socket that can't be watched leaves its request to the time limit. */
static void watch_socket(int fd, bool wants_read, bool wants_write, void *user_data)
{
    struct azfn__https_client *client = user_data;
    if (fd < 0) {
        return;
    }
    if (!wants_read && !wants_write) {
        forget(client, fd);
        return;
    }
    struct socket_watch *watch = find_or_add(client, fd);
    int events = (wants_read ? UV_READABLE : 0) | (wants_write ? UV_WRITABLE : 0);
    if (watch && uv_poll_start(&watch->poll, events, on_event) != 0) {
        forget(client, fd);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__https_client *client = timer->data;
    client->is_in_timer = true;
    client->api->on_timer(client->engine);
    client->is_in_timer = false;
}

static void arm_timer(int64_t delay_ms, void *user_data)
{
    struct azfn__https_client *client = user_data;
    if (uv_is_closing((uv_handle_t *)&client->timer)) {
        return;
    }
    if (delay_ms < 0) {
        uv_timer_stop(&client->timer);
        return;
    }
    /* libuv calls a timer of 0 that a timer has started before it looks at any socket */
    uint64_t due_ms = delay_ms == 0 && client->is_in_timer ? 1 : (uint64_t)delay_ms;
    uv_timer_start(&client->timer, on_timer, due_ms, 0);
}

enum azfn_error azfn__https_client_new(uv_loop_t *loop, const struct azfn__https_api *api,
                                       struct azfn_span development_ca, struct azfn__https_client **out_client,
                                       const char **out_reason)
{
    struct azfn__https_client *client = calloc(1, sizeof(*client));
    *out_reason = "out of memory";
    if (!client) {
        return AZFN_ERROR_NO_MEMORY;
    }
    client->loop = loop;
    client->api = api;
    client->timer.data = client;
    if (uv_timer_init(loop, &client->timer) != 0) {
        free(client);
        *out_reason = "no timer";
        return AZFN_ERROR_SYSTEM;
    }
    client->handle_count = 1;
    const struct azfn__https_engine_options options = {
        .io = {.watch = watch_socket, .arm_timer = arm_timer, .user_data = client},
        .development_ca = development_ca};
    enum azfn_error error = api->engine_new(&options, &client->engine, out_reason);
    if (error != AZFN_OK) {
        uv_close((uv_handle_t *)&client->timer, on_timer_closed);
        return error;
    }
    *out_client = client;
    return AZFN_OK;
}

void azfn__https_client_destroy(struct azfn__https_client *client)
{
    if (!client) {
        return;
    }
    client->api->engine_destroy(client->engine);
    client->engine = NULL;
    for (size_t fd = 0; fd < client->watch_count; fd++) {
        forget(client, (int)fd);
    }
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

enum azfn_error azfn__https_client_start(struct azfn__https_client *client,
                                         const struct azfn__https_request_options *options,
                                         struct azfn__https_request **out_request)
{
    return client->api->start(client->engine, options, out_request);
}

void azfn__https_client_resume(struct azfn__https_client *client, struct azfn__https_request *request)
{
    client->api->resume(request);
}

void azfn__https_client_cancel(struct azfn__https_client *client, struct azfn__https_request *request)
{
    client->api->cancel(request);
}
