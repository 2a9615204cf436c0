/* fuzz/virtual_clock.h
 * The monotonic clock stands still but for what a target adds to it, so that an input always does the same and no
 * deadline has to be waited for. This definition comes before the C library's for libuv as well. */
#ifndef TESTS_FUZZ_VIRTUAL_CLOCK_H
#define TESTS_FUZZ_VIRTUAL_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t virtual_ms = 1000000;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int clock_gettime(clockid_t clock, struct timespec *out_time)
{
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) {
        out_time->tv_sec = (time_t)(virtual_ms / 1000);
        out_time->tv_nsec = (long)(virtual_ms % 1000 * 1000000);
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock, out_time);
}

#endif
