/* worker/event_counts.h
 * Events that may come again with each request: the first of a kind is told at once, later ones are counted, and told
 * every five minutes; a kind that did not come again is forgotten, and told at once when it does. Owned by the
 * dispatcher; its loop only. */
#ifndef AZFN_WORKER_EVENT_COUNTS_H
#define AZFN_WORKER_EVENT_COUNTS_H

#include "base/security_event.h"
#include "worker/invocation.h"

#include <azfn.h>
#include <uv.h>

/* Kinds that are about a function. What goes beyond is of one kind, AZFN__EVENT_OTHERS_REFUSED: the names that make
 * them different may be anything. */
#define AZFN__EVENT_KINDS_OF_FUNCTIONS 64

struct azfn__counted_event;

struct azfn__event_counts {
    struct azfn__dispatcher *dispatcher;
    uv_timer_t timer; /* runs while there is something in the table */
    struct azfn__counted_event *table;
    size_t count;
    size_t of_functions; /* of these */
};

/* Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__event_counts_init(struct azfn__event_counts *counts,
                                                      struct azfn__dispatcher *dispatcher);
/* After the loop. */
void azfn__event_counts_clean_up(struct azfn__event_counts *counts);

/* It happened so many times. Its kind is the event, the invocation's function and, of fields, setting, limit and
 * reason, of which the latter two are static text. invocation is NULL where it is about none. */
void azfn__event_counts_add(struct azfn__event_counts *counts, const struct azfn__invocation *invocation,
                            enum azfn__security_event event, const struct azfn__event_fields *fields,
                            struct azfn_span text, uint64_t times);
/* The same, where nobody remembers what they were about. */
void azfn__event_counts_add_others(struct azfn__event_counts *counts, uint64_t times);
/* Writes the counts that are not told yet. */
void azfn__event_counts_tell(struct azfn__event_counts *counts);

#endif
