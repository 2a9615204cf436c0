/* broker/event_tally.h
 * What may happen again and again: the first time is told at once, and then counted, for each event and reason by
 * itself, so that none hides another. A count stays until a line has said it; what did not come again is forgotten. */
#ifndef AZFN_BROKER_EVENT_TALLY_H
#define AZFN_BROKER_EVENT_TALLY_H

#include "base/security_event.h"

#include <azfn.h>

/* Who says more different reasons has them counted with others. */
#define AZFN__EVENT_TALLY_MAX_ROWS 64

struct azfn__event_tally_row; /* an event with a reason that was told */

/* All zero: empty. */
struct azfn__event_tally {
    struct azfn__event_tally_row *rows; /* the newest first */
    size_t count;
};

/* Writes a line, with fields.count where count is above 0, in place of so many; false: it could not be written. */
typedef bool azfn__event_tally_say_fn(enum azfn__security_event event, const char *reason, uint64_t count,
                                      void *user_data);

/* It has happened. Calls say with a count of 0 the first time; later ones are counted for interval_ms. The reason is
 * copied. Without memory each is told. */
void azfn__event_tally_add(struct azfn__event_tally *tally, enum azfn__security_event event, const char *reason,
                           uint64_t now_ms, uint64_t interval_ms, azfn__event_tally_say_fn *say, void *user_data);
/* Calls say for the counts whose time has come; UINT64_MAX as now_ms: for all, which are forgotten then. */
void azfn__event_tally_tell(struct azfn__event_tally *tally, uint64_t now_ms, azfn__event_tally_say_fn *say,
                            void *user_data);
/* When there is something to tell or to forget; UINT64_MAX: never. */
uint64_t azfn__event_tally_due_ms(const struct azfn__event_tally *tally);
/* Forgets all. */
void azfn__event_tally_clear(struct azfn__event_tally *tally);

#endif
