/* worker/deadline_queue.h
 * Things that all have the same time to live, in the order in which it runs out: entering, leaving and
 * finding the first are a few stores each. The links are embedded in the things. */
#ifndef AZFN_WORKER_DEADLINE_QUEUE_H
#define AZFN_WORKER_DEADLINE_QUEUE_H

#include <azfn.h>

struct azfn__deadline_link {
    struct azfn__deadline_link *older;
    struct azfn__deadline_link *newer;
    struct azfn__deadline_queue *queue; /* NULL: in none */
    uint64_t deadline_ms;
};

struct azfn__deadline_queue {
    struct azfn__deadline_link *oldest;
    struct azfn__deadline_link *newest;
    uint32_t time_ms;
};

/* Leaves the queue it is in, if any, and enters this one. */
void azfn__deadline_queue_enter(struct azfn__deadline_queue *queue, struct azfn__deadline_link *link, uint64_t now_ms);
void azfn__deadline_queue_leave(struct azfn__deadline_link *link);

#endif
