/* worker/flight_record.h
 * One shared page in which the worker keeps what it is doing, so that the broker can tell what a dead
 * worker was doing when it died: a crash handler could not be trusted to. The worker writes with plain
 * stores; the broker reads only after the death, and takes what it finds as hostile text. */
#ifndef AZFN_WORKER_FLIGHT_RECORD_H
#define AZFN_WORKER_FLIGHT_RECORD_H

#include <azfn.h>

#define AZFN__FLIGHT_RECORD_BYTES ((size_t)4096)

/* The layout of the page. */
struct azfn__flight_record {
    uint32_t function_length; /* 0: no function is being called */
    uint32_t invocation_id_length;
    char function[128];
    char invocation_id[128];
    uint64_t invocations; /* how many functions were called */
};

/* A memfd of one page that can't be resized (a shrunk one would kill the broker). -1 and errno. */
int azfn__flight_record_create(void);
/* NULL and errno. Mapped until azfn__flight_record_unmap(). */
struct azfn__flight_record *azfn__flight_record_map(int fd);
void azfn__flight_record_unmap(struct azfn__flight_record *record);

/* Around every call of a function's code. */
void azfn__flight_record_enter(struct azfn__flight_record *record, struct azfn_span function,
                               struct azfn_span invocation_id);
void azfn__flight_record_leave(struct azfn__flight_record *record);

/* What the page says; both empty when no function was running. The spans point into the page: copy it
 * first, since a worker that lives could change it meanwhile. */
void azfn__flight_record_read(const struct azfn__flight_record *copy, struct azfn_span *out_function,
                              struct azfn_span *out_invocation_id);

#endif
