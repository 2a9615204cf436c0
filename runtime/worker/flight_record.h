/* worker/flight_record.h
 * A few shared pages in which the worker keeps what it is doing, so that the broker can tell what a dead or
 * blocked worker was doing: a crash handler could not be trusted to. Each thread writes its own slot with plain
 * stores; the broker copies a slot before it looks at it, and takes what it finds as hostile text. */
#ifndef AZFN_WORKER_FLIGHT_RECORD_H
#define AZFN_WORKER_FLIGHT_RECORD_H

#include "base/event_fields.h"
#include "worker/suspects.h"

#include <azfn.h>

#define AZFN__FLIGHT_RECORD_BYTES ((size_t)24576)
#define AZFN__FLIGHT_RECORD_THREADS 64

/* What one thread is doing. */
struct azfn__flight_slot {
    uint32_t function_length; /* 0: no function is being called */
    uint32_t invocation_id_length;
    uint32_t trace_parent_length;
    char function[128];
    char invocation_id[104];
    char trace_parent[60];
    uint64_t calls; /* of functions, since the start */
};

/* A system call that the sandbox forbids, which ends the worker. */
struct azfn__flight_forbidden_call {
    uint32_t has_happened;
    uint32_t architecture; /* AUDIT_ARCH_* */
    int32_t number;
    uint32_t thread; /* 0: the loop; i + 1: threads[i] */
};

/* The layout of the pages. */
struct azfn__flight_record {
    struct azfn__flight_slot loop;
    struct azfn__flight_slot threads[AZFN__FLIGHT_RECORD_THREADS]; /* those of the pool for blocking functions */
    struct azfn__flight_forbidden_call forbidden_call;
    struct azfn__suspects suspects; /* from the broker, before the worker starts */
};

/* A memfd that can't be resized (a shrunk one would kill the broker). -1 and errno. */
int azfn__flight_record_create(void);
/* NULL and errno. Mapped until azfn__flight_record_unmap(). */
struct azfn__flight_record *azfn__flight_record_map(int fd);
void azfn__flight_record_unmap(struct azfn__flight_record *record);

/* Around every call of a function's code. */
void azfn__flight_record_enter(struct azfn__flight_slot *slot, struct azfn_span function,
                               struct azfn_span invocation_id, struct azfn_span trace_parent);
void azfn__flight_record_leave(struct azfn__flight_slot *slot);

/* What a slot says, as AZFN__FIELDS_OF_INVOCATION; all absent when no function was running. The spans point into the
 * slot: copy it first, since a worker that lives could change it meanwhile. */
void azfn__flight_record_read(const struct azfn__flight_slot *copy, struct azfn__event_fields *out_fields);

#endif
