/* base/json_block.h
 * 64 bytes of checked JSON at once, as one bit each: which of them are in a string, which brackets are not. The way
 * of simdjson (Langdale and Lemire), without instructions that not every x86-64 has. Inline. */
#ifndef AZFN_BASE_JSON_BLOCK_H
#define AZFN_BASE_JSON_BLOCK_H

#include "base/bytes.h"

#define AZFN__JSON_BLOCK_BYTES ((size_t)64)

/* What the block before leaves: all 0 at a place outside of strings. */
struct azfn__json_block_state {
    uint64_t in_string;  /* all bits, or none */
    uint64_t is_escaped; /* 1: a backslash was the last byte, and not escaped itself */
};

/* Brackets outside of strings; the first byte in the lowest bit. */
struct azfn__json_brackets {
    uint64_t opening;
    uint64_t closing;
};

struct azfn__json_block_bits {
    uint64_t quotes;
    uint64_t backslashes;
    uint64_t opening;
    uint64_t closing;
};

#if AZFN__HAS_SSE2
/* A bit for each of the 64 bytes that is c. */
static inline uint64_t azfn__bits_of_byte(const __m128i bytes[4], char c)
{
    const __m128i wanted = _mm_set1_epi8(c);
    uint64_t first = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes[0], wanted));
    uint64_t second = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes[1], wanted));
    uint64_t third = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes[2], wanted));
    uint64_t fourth = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes[3], wanted));
    return first | second << 16 | third << 32 | fourth << 48;
}

static inline struct azfn__json_block_bits azfn__json_block_bits(const char *block)
{
    const __m128i *parts = (const __m128i *)(const void *)block;
    const __m128i bytes[4] = {_mm_loadu_si128(parts), _mm_loadu_si128(parts + 1), _mm_loadu_si128(parts + 2),
                              _mm_loadu_si128(parts + 3)};
    /* with bit 5 set, [ is { and ] is } */
    const __m128i bit = _mm_set1_epi8(0x20);
    const __m128i folded[4] = {_mm_or_si128(bytes[0], bit), _mm_or_si128(bytes[1], bit), _mm_or_si128(bytes[2], bit),
                               _mm_or_si128(bytes[3], bit)};
    return (struct azfn__json_block_bits){.quotes = azfn__bits_of_byte(bytes, '"'),
                                          .backslashes = azfn__bits_of_byte(bytes, '\\'),
                                          .opening = azfn__bits_of_byte(folded, '{'),
                                          .closing = azfn__bits_of_byte(folded, '}')};
}
#else
/* A bit for each of the eight bytes that is c. */
static inline uint64_t azfn__bits_of_byte(uint64_t word, unsigned char c)
{
    uint64_t differing = word ^ AZFN__EACH_BYTE(c);
    uint64_t marks = ~(((differing & ~AZFN__HIGH_BITS) + ~AZFN__HIGH_BITS) | differing) & AZFN__HIGH_BITS;
    return (marks >> 7) * UINT64_C(0x0102040810204080) >> 56;
}

static inline struct azfn__json_block_bits azfn__json_block_bits(const char *block)
{
    struct azfn__json_block_bits bits = {0, 0, 0, 0};
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t word = azfn__load_8(block + i);
        uint64_t folded = word | AZFN__EACH_BYTE(0x20);
        bits.quotes |= azfn__bits_of_byte(word, '"') << i;
        bits.backslashes |= azfn__bits_of_byte(word, '\\') << i;
        bits.opening |= azfn__bits_of_byte(folded, '{') << i;
        bits.closing |= azfn__bits_of_byte(folded, '}') << i;
    }
    return bits;
}
#endif

/* The bytes that a backslash in front of them makes part of an escape. */
static inline uint64_t azfn__json_escaped(uint64_t backslashes, struct azfn__json_block_state *state)
{
    if (backslashes == 0) {
        uint64_t escaped = state->is_escaped;
        state->is_escaped = 0;
        return escaped;
    }
    const uint64_t even = UINT64_C(0x5555555555555555);
    backslashes &= ~state->is_escaped;
    uint64_t follows = backslashes << 1 | state->is_escaped;
    /* runs that start at an odd place end, by the carry of an addition, where those at an even one do not */
    uint64_t odd_starts = backslashes & ~even & ~follows;
    uint64_t sum = odd_starts + backslashes;
    state->is_escaped = sum < backslashes ? 1 : 0;
    return (even ^ sum << 1) & follows;
}

/* The brackets of the next 64 bytes. */
static inline struct azfn__json_brackets azfn__json_block_brackets(const char *block,
                                                                   struct azfn__json_block_state *state)
{
    struct azfn__json_block_bits bits = azfn__json_block_bits(block);
    /* each quote turns what follows it over */
    uint64_t in_string = bits.quotes & ~azfn__json_escaped(bits.backslashes, state);
    for (unsigned shift = 1; shift < 64; shift *= 2) {
        in_string ^= in_string << shift;
    }
    in_string ^= state->in_string;
    state->in_string = UINT64_C(0) - (in_string >> 63);
    return (struct azfn__json_brackets){.opening = bits.opening & ~in_string, .closing = bits.closing & ~in_string};
}

static inline size_t azfn__count_bits(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (size_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

#endif
