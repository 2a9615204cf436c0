#include "broker/host_watch.h"

#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_EVERY_MS 200

void azfn__host_watch_init(struct azfn__host_watch *watch)
{
    *watch = (struct azfn__host_watch){.parent = getppid(), .pidfd = -1};
#ifdef SYS_pidfd_open
    watch->pidfd = (int)syscall(SYS_pidfd_open, watch->parent, 0);
#endif
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

enum azfn_error azfn__host_watch_start(struct azfn__host_watch *watch, uv_loop_t *loop,
                                       azfn__on_host_ended_fn *on_ended, void *user_data)
{
    watch->on_ended = on_ended;
    watch->user_data = user_data;
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
