/* broker/environment.h
 * The environment that the host gave: named values are copied out, then all of it is overwritten, so
 * that neither /proc/<pid>/environ nor a bug in a function can give it away. */
#ifndef AZFN_BROKER_ENVIRONMENT_H
#define AZFN_BROKER_ENVIRONMENT_H

#include "base/arena.h"

#include <azfn.h>

/* The value where it lies: gone once the environment is wiped. Absent when it is not set. */
struct azfn_span azfn__environment_get(struct azfn_span name);
/* A copy of the value in arena, NUL-terminated; absent when it is not set. */
struct azfn_span azfn__environment_copy(struct azfn__arena *arena, struct azfn_span name);

/* Overwrites the whole block and leaves an empty environment behind. What unsetenv() does not do: the
 * kernel keeps showing the block where it was. */
void azfn__environment_wipe(void);

#endif
