/* broker/host_watch.h
 * Tells when the host, the process that started this one, has ended. It leaves handlers behind as orphans
 * that keep the port, so they have to notice by themselves. Not by the parent-death signal: that one
 * fires when the host's THREAD ends that started us, and .NET's threads come and go. */
#ifndef AZFN_BROKER_HOST_WATCH_H
#define AZFN_BROKER_HOST_WATCH_H

#include <azfn.h>
#include <uv.h>

typedef void azfn__on_host_ended_fn(void *user_data);

struct azfn__host_watch {
    pid_t parent;
    int pidfd;  /* -1 on a kernel without pidfds: then the parent is looked at again and again */
    int output; /* a copy of our stderr, where the parent may not be the host any more; otherwise -1 */
    union {
        uv_poll_t poll;
        uv_timer_t timer;
    } handle;
    uv_poll_t output_poll;
    azfn__on_host_ended_fn *on_ended;
    void *user_data;
};

/* As early as possible in the process: whoever is the parent now is the host. */
void azfn__host_watch_init(struct azfn__host_watch *watch);
/* on_ended is called once, on the loop. Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__host_watch_start(struct azfn__host_watch *watch, uv_loop_t *loop,
                                                     azfn__on_host_ended_fn *on_ended, void *user_data);

#endif
