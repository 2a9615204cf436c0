/* base/steady_clock.h
 * The time that nobody sets: for how long something takes, not for what has a date. */
#ifndef AZFN_BASE_STEADY_CLOCK_H
#define AZFN_BASE_STEADY_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since some point in the past. */
static inline uint64_t azfn__steady_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
