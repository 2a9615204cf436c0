/* broker/worker_set.h
 * The workers that there are at one time: the one that serves, perhaps one that is being started to take its place,
 * and those that were replaced and finish. */
#ifndef AZFN_BROKER_WORKER_SET_H
#define AZFN_BROKER_WORKER_SET_H

#include "broker/retirement.h"
#include "broker/worker_process.h"

#include <azfn.h>

struct azfn__worker_set {
    struct azfn__worker_process *serving;   /* or about to, where there is no other; NULL between two */
    struct azfn__worker_process *successor; /* starts beside the serving one; NULL where none does */
    struct azfn__retirement retirement;
};

/* All of them in any order: index from 0 until NULL. */
struct azfn__worker_process *azfn__worker_set_at(const struct azfn__worker_set *set, size_t index);
/* NULL where there is none. pid 0 finds the one that the launcher has not yet reported. */
struct azfn__worker_process *azfn__worker_set_find(const struct azfn__worker_set *set, pid_t pid);
/* The one that is not ready yet: there is never more than one. NULL where there is none. */
struct azfn__worker_process *azfn__worker_set_starting(const struct azfn__worker_set *set);
/* Whether the end of one that was killed is awaited. */
bool azfn__worker_set_has_killed(const struct azfn__worker_set *set);

/* The successor is ready: it serves from here on, and the other one is told to finish. */
void azfn__worker_set_hand_over(struct azfn__worker_set *set);
/* Takes one out that has ended. True: it was among those that were told to finish when they were replaced. */
bool azfn__worker_set_remove(struct azfn__worker_set *set, const struct azfn__worker_process *worker);

#endif
