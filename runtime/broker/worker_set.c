#include "broker/worker_set.h"

struct azfn__worker_process *azfn__worker_set_at(const struct azfn__worker_set *set, size_t index)
{
    struct azfn__worker_process *const own[] = {set->serving, set->successor};
    for (size_t i = 0; i < 2; i++) {
        if (own[i] && index-- == 0) {
            return own[i];
        }
    }
    return index < set->retirement.count ? set->retirement.workers[index] : NULL;
}

struct azfn__worker_process *azfn__worker_set_find(const struct azfn__worker_set *set, pid_t pid)
{
    size_t index = 0;
    struct azfn__worker_process *worker;
    while ((worker = azfn__worker_set_at(set, index)) && worker->pid != pid) {
        index++;
    }
    return worker;
}

struct azfn__worker_process *azfn__worker_set_starting(const struct azfn__worker_set *set)
{
    struct azfn__worker_process *worker = set->successor ? set->successor : set->serving;
    return worker && !worker->is_ready ? worker : NULL;
}

bool azfn__worker_set_has_killed(const struct azfn__worker_set *set)
{
    const struct azfn__worker_process *worker;
    for (size_t i = 0; (worker = azfn__worker_set_at(set, i)); i++) {
        if (worker->is_killed) {
            return true;
        }
    }
    return false;
}

/* Both hold the same listening socket, so no connection is refused or left waiting meanwhile. */
void azfn__worker_set_hand_over(struct azfn__worker_set *set)
{
    azfn__retirement_add(&set->retirement, set->serving);
    set->serving = set->successor;
    set->successor = NULL;
}

bool azfn__worker_set_remove(struct azfn__worker_set *set, const struct azfn__worker_process *worker)
{
    set->serving = set->serving == worker ? NULL : set->serving;
    set->successor = set->successor == worker ? NULL : set->successor;
    return azfn__retirement_remove(&set->retirement, worker);
}
