#include "base/arena.h"

#include "base/span.h"

#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one invocation commonly needs, with malloc's own header still within a page. */
#define BLOCK_BYTES ((size_t)4000)
#define ALIGNMENT _Alignof(max_align_t)

struct azfn__arena_block {
    struct azfn__arena_block *older;
    size_t size_bytes;
    max_align_t data[];
};

void azfn__arena_init(struct azfn__arena *arena, size_t limit_bytes)
{
    *arena = (struct azfn__arena){.limit_bytes = limit_bytes};
}

static struct azfn__arena_block *add_block(struct azfn__arena *arena, size_t size_bytes)
{
    struct azfn__arena_block *block = malloc(sizeof(*block) + size_bytes);
    if (!block) {
        return NULL;
    }
    block->size_bytes = size_bytes;
    block->older = arena->blocks;
    arena->blocks = block;
    return block;
}

void azfn__arena_reset(struct azfn__arena *arena)
{
    struct azfn__arena_block *kept = NULL;
    for (struct azfn__arena_block *block = arena->blocks, *older; block; block = older) {
        older = block->older;
        bool is_current = arena->next && arena->next >= (char *)block->data &&
                          arena->next <= (char *)block->data + block->size_bytes;
        sodium_memzero(block->data, is_current ? block->size_bytes - arena->left : block->size_bytes);
        if (!kept && block->size_bytes == BLOCK_BYTES) {
            kept = block;
        } else {
            free(block);
        }
    }
    arena->blocks = kept;
    arena->next = NULL;
    arena->left = 0;
    arena->used_bytes = 0;
    if (kept) {
        kept->older = NULL;
        arena->next = (char *)kept->data;
        arena->left = kept->size_bytes;
    }
}

void azfn__arena_clean_up(struct azfn__arena *arena)
{
    azfn__arena_reset(arena);
    free(arena->blocks);
    azfn__arena_init(arena, arena->limit_bytes);
}

void *azfn__arena_alloc(struct azfn__arena *arena, size_t size_bytes)
{
    /* a piece of no bytes is a piece: NULL would say that there is no memory */
    size_bytes += size_bytes == 0 ? 1 : 0;
    if (size_bytes > arena->limit_bytes || size_bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t padded = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (padded > arena->limit_bytes - arena->used_bytes) {
        return NULL;
    }
    if (padded > arena->left) {
        if (padded > BLOCK_BYTES / 2) {
            /* a block of its own; small pieces go on in the current one */
            struct azfn__arena_block *block = add_block(arena, padded);
            arena->used_bytes += block ? padded : 0;
            return block ? block->data : NULL;
        }
        struct azfn__arena_block *block = add_block(arena, BLOCK_BYTES);
        if (!block) {
            return NULL;
        }
        arena->next = (char *)block->data;
        arena->left = BLOCK_BYTES;
    }
    void *piece = arena->next;
    arena->next += padded;
    arena->left -= padded;
    arena->used_bytes += padded;
    return piece;
}

struct azfn_span azfn__arena_copy(struct azfn__arena *arena, struct azfn_span span)
{
    char *copy = span.length < SIZE_MAX ? azfn__arena_alloc(arena, span.length + 1) : NULL;
    if (!copy) {
        return azfn__absent();
    }
    if (span.length > 0) {
        memcpy(copy, span.data, span.length);
    }
    copy[span.length] = '\0';
    return (struct azfn_span){.data = copy, .length = span.length};
}

struct azfn_span azfn__arena_vformat(struct azfn__arena *arena, const char *format, va_list arguments)
{
    /* most texts fit into what is left, and then need no second pass; what is left is no longer than a block */
    char *start = arena->next;
    size_t room = arena->left;
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(start, room, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : azfn__arena_alloc(arena, (size_t)length + 1);
    if (text != start && room > 0) {
        /* nobody wipes it later: it is no piece */
        sodium_memzero(start, length < 0 || (size_t)length > room ? room : (size_t)length);
    }
    if (!text) {
        return azfn__absent();
    }
    if (text != start) {
        vsnprintf(text, (size_t)length + 1, format, arguments);
    }
    return (struct azfn_span){.data = text, .length = (size_t)length};
}

struct azfn_span azfn__arena_format(struct azfn__arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct azfn_span text = azfn__arena_vformat(arena, format, arguments);
    va_end(arguments);
    return text;
}
