/* base/arena.h
 * Memory that is taken piece by piece and given back at once. Small pieces come from blocks, large ones
 * get a block of their own; all of it is wiped when the arena is reset. One thread, one owner. */
#ifndef AZFN_BASE_ARENA_H
#define AZFN_BASE_ARENA_H

#include <azfn.h>

struct azfn__arena_block;

struct azfn__arena {
    struct azfn__arena_block *blocks; /* newest first */
    char *next;
    size_t left;
    size_t used_bytes;  /* given out since the last reset */
    size_t limit_bytes; /* what it never gives out more than */
};

/* limit_bytes bounds what is given out between two resets. */
void azfn__arena_init(struct azfn__arena *arena, size_t limit_bytes);
/* Wipes what was used and keeps one small block for the next use. */
void azfn__arena_reset(struct azfn__arena *arena);
void azfn__arena_clean_up(struct azfn__arena *arena);

/* Aligned for any type, not initialised. NULL at the limit or without memory. */
AZFN_MUST_USE void *azfn__arena_alloc(struct azfn__arena *arena, size_t size_bytes);
/* A copy with a NUL behind it (not counted); absent when there is no memory. */
struct azfn_span azfn__arena_copy(struct azfn__arena *arena, struct azfn_span span);
struct azfn_span azfn__arena_vformat(struct azfn__arena *arena, const char *format, va_list arguments) AZFN_PRINTF(2, 0);
struct azfn_span azfn__arena_format(struct azfn__arena *arena, const char *format, ...) AZFN_PRINTF(2, 3);

#endif
