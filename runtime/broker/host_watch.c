#include "broker/host_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_EVERY_MS 200

void azfn__host_watch_init(struct azfn__host_watch *watch)
{
    *watch = (struct azfn__host_watch){.parent = getppid(), .pidfd = -1, .output = -1};
#ifdef SYS_pidfd_open
    watch->pidfd = (int)syscall(SYS_pidfd_open, watch->parent, 0);
#endif
    /* init: either it is the host, as in a container, or the host was gone before we could look */
    if (watch->parent == 1 || getppid() != watch->parent) {
        watch->output = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
}

static void on_pidfd(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct azfn__host_watch *watch = handle->data;
    uv_poll_stop(handle);
    watch->on_ended(watch->user_data);
}

static void on_look(uv_timer_t *timer)
{
    struct azfn__host_watch *watch = timer->data;
    if (getppid() != watch->parent) {
        uv_timer_stop(timer);
        watch->on_ended(watch->user_data);
    }
}

/* The reader of our stderr is gone: nobody but the host has it. */
static void on_output(uv_poll_t *handle, int status, int events)
{
    struct azfn__host_watch *watch = handle->data;
    if (status < 0 || (events & UV_DISCONNECT)) {
        uv_poll_stop(handle);
        watch->on_ended(watch->user_data);
    }
}

static void watch_output(struct azfn__host_watch *watch, uv_loop_t *loop)
{
    struct stat status;
    if (watch->output >= 0 && fstat(watch->output, &status) == 0 && S_ISFIFO(status.st_mode) &&
        uv_poll_init(loop, &watch->output_poll, watch->output) == 0) {
        watch->output_poll.data = watch;
        uv_poll_start(&watch->output_poll, UV_DISCONNECT, on_output);
    }
}

enum azfn_error azfn__host_watch_start(struct azfn__host_watch *watch, uv_loop_t *loop,
                                       azfn__on_host_ended_fn *on_ended, void *user_data)
{
    watch->on_ended = on_ended;
    watch->user_data = user_data;
    watch_output(watch, loop);
    if (watch->pidfd >= 0) {
        if (uv_poll_init(loop, &watch->handle.poll, watch->pidfd) == 0) {
            watch->handle.poll.data = watch;
            return uv_poll_start(&watch->handle.poll, UV_READABLE, on_pidfd) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
        }
    }
    if (uv_timer_init(loop, &watch->handle.timer) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    watch->handle.timer.data = watch;
    return uv_timer_start(&watch->handle.timer, on_look, LOOK_EVERY_MS, LOOK_EVERY_MS) == 0 ? AZFN_OK
                                                                                            : AZFN_ERROR_SYSTEM;
}
