/* base/bytes.h
 * Looking at text fast: many bytes at once, one UTF-8 sequence, JSON's blanks. Inline, for the loops
 * that see every byte of a body. */
#ifndef AZFN_BASE_BYTES_H
#define AZFN_BASE_BYTES_H

#include <azfn.h>

#include <string.h>

/* Part of every x86-64; elsewhere, and in a test with AZFN__WITHOUT_SSE2, eight bytes at once do. */
#if defined(__SSE2__) && !defined(AZFN__WITHOUT_SSE2)
#define AZFN__HAS_SSE2 1
#include <emmintrin.h>
#else
#define AZFN__HAS_SSE2 0
#endif

#define AZFN__EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (uint64_t)(c))
#define AZFN__HIGH_BITS AZFN__EACH_BYTE(0x80)

/* The first byte in the lowest bits, on every machine. */
static inline uint64_t azfn__load_8(const void *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Marks, in the high bit, each byte of word that is c. Marks of several may be joined with |, and then need
 * & ~word where bytes beyond ASCII are of no interest. Only the first mark of all is exact. */
static inline uint64_t azfn__mark_byte(uint64_t word, unsigned char c)
{
    return (word ^ AZFN__EACH_BYTE(c)) - AZFN__EACH_BYTE(1);
}

/* marks & AZFN__HIGH_BITS, not 0. */
static inline size_t azfn__first_mark(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

/* Marks what is more than itself in a JSON string: quote, backslash, control characters, not ASCII. */
static inline uint64_t azfn__mark_special(uint64_t word)
{
    return word | (word - AZFN__EACH_BYTE(' ')) | azfn__mark_byte(word, '"') | azfn__mark_byte(word, '\\');
}

#if AZFN__HAS_SSE2
#define AZFN__SPECIAL_STEP ((ptrdiff_t)16)

static inline __m128i azfn__compare_special(const unsigned char *p)
{
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    /* signed: what is not ASCII is below a blank as well */
    __m128i others = _mm_cmplt_epi8(block, _mm_set1_epi8(' '));
    return _mm_or_si128(_mm_or_si128(quotes, backslashes), others);
}

/* Behind which of the step's bytes the first special one is; the step where there is none. */
static inline ptrdiff_t azfn__plain_in_step(const unsigned char *p)
{
    unsigned marks = (unsigned)_mm_movemask_epi8(azfn__compare_special(p));
    return marks != 0 ? (ptrdiff_t)__builtin_ctz(marks) : AZFN__SPECIAL_STEP;
}

static inline bool azfn__is_plain_64(const unsigned char *p)
{
    __m128i low = _mm_or_si128(azfn__compare_special(p), azfn__compare_special(p + 16));
    __m128i high = _mm_or_si128(azfn__compare_special(p + 32), azfn__compare_special(p + 48));
    return _mm_movemask_epi8(_mm_or_si128(low, high)) == 0;
}
#else
#define AZFN__SPECIAL_STEP ((ptrdiff_t)8)

static inline ptrdiff_t azfn__plain_in_step(const unsigned char *p)
{
    uint64_t marks = azfn__mark_special(azfn__load_8(p)) & AZFN__HIGH_BITS;
    return marks != 0 ? (ptrdiff_t)azfn__first_mark(marks) : AZFN__SPECIAL_STEP;
}

static inline bool azfn__is_plain_64(const unsigned char *p)
{
    uint64_t marks = 0;
    for (size_t i = 0; i < 64; i += 8) {
        marks |= azfn__mark_special(azfn__load_8(p + i));
    }
    return (marks & AZFN__HIGH_BITS) == 0;
}
#endif

/* To the first byte of a JSON string that is more than itself, or to the end. */
static inline const unsigned char *azfn__skip_plain(const unsigned char *p, const unsigned char *end)
{
    while (end - p >= AZFN__SPECIAL_STEP) {
        ptrdiff_t plain = azfn__plain_in_step(p);
        p += plain;
        if (plain < AZFN__SPECIAL_STEP) {
            return p;
        }
        while (end - p >= 64 && azfn__is_plain_64(p)) {
            p += 64;
        }
    }
    while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }
    return p;
}

/* To the first CR or LF, or to the end. */
static inline const char *azfn__find_line_break(const char *p, const char *end)
{
#if AZFN__HAS_SSE2
    while (end - p >= 16) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned marks = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('\r')),
                                                                  _mm_cmpeq_epi8(block, _mm_set1_epi8('\n'))));
        if (marks != 0) {
            return p + __builtin_ctz(marks);
        }
        p += 16;
    }
#else
    while (end - p >= 8) {
        uint64_t word = azfn__load_8(p);
        uint64_t marks = (azfn__mark_byte(word, '\r') | azfn__mark_byte(word, '\n')) & ~word & AZFN__HIGH_BITS;
        if (marks != 0) {
            return p + azfn__first_mark(marks);
        }
        p += 8;
    }
#endif
    while (p < end && *p != '\r' && *p != '\n') {
        p++;
    }
    return p;
}

static inline bool azfn__is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *azfn__skip_blanks(const char *p, const char *end)
{
    while (p < end && azfn__is_blank(*p)) {
        p++;
    }
    return p;
}

/* Without the blanks around it; empty for an absent one. */
static inline struct azfn_span azfn__json_trim(struct azfn_span text)
{
    const char *start = text.data ? text.data : "";
    const char *end = start + (text.data ? text.length : 0);
    start = azfn__skip_blanks(start, end);
    while (end > start && azfn__is_blank(end[-1])) {
        end--;
    }
    return (struct azfn_span){.data = start, .length = (size_t)(end - start)};
}

/* The length of the UTF-8 sequence at text, 0 when it is none (RFC 3629: no overlong forms, no surrogates). */
static inline size_t azfn__utf8_length(const unsigned char *text, size_t left)
{
    unsigned char lead = text[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xe0) {
        return lead >= 0xc2 && left >= 2 && (text[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if (lead < 0xf0) {
        unsigned char low = lead == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = lead == 0xed ? 0x9f : 0xbf;
        return left >= 3 && text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    unsigned char low = lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xf4 ? 0x8f : 0xbf;
    return lead <= 0xf4 && left >= 4 && text[1] >= low && text[1] <= high && (text[2] & 0xc0) == 0x80 &&
                   (text[3] & 0xc0) == 0x80
               ? 4
               : 0;
}

#endif
