#include "worker/deadline_queue.h"

void azfn__deadline_queue_leave(struct azfn__deadline_link *link)
{
    struct azfn__deadline_queue *queue = link->queue;
    if (!queue) {
        return;
    }
    *(link->older ? &link->older->newer : &queue->oldest) = link->newer;
    *(link->newer ? &link->newer->older : &queue->newest) = link->older;
    link->older = NULL;
    link->newer = NULL;
    link->queue = NULL;
}

void azfn__deadline_queue_enter(struct azfn__deadline_queue *queue, struct azfn__deadline_link *link, uint64_t now_ms)
{
    azfn__deadline_queue_leave(link);
    link->queue = queue;
    link->deadline_ms = now_ms + queue->time_ms;
    link->older = queue->newest;
    if (queue->newest) {
        queue->newest->newer = link;
    } else {
        queue->oldest = link;
    }
    queue->newest = link;
}
