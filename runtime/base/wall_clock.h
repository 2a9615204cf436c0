/* base/wall_clock.h
 * The time that calendars tell. It may be set while we run: for what has a date, not for how long something takes. */
#ifndef AZFN_BASE_WALL_CLOCK_H
#define AZFN_BASE_WALL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since the epoch. */
static inline uint64_t azfn__wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec > 0 ? (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 : 0;
}

#endif
