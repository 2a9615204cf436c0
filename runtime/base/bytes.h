/* base/bytes.h
 * Looking at text fast: eight bytes at once, one UTF-8 sequence, JSON's blanks. Inline, for the loops
 * that see every byte of a body. */
#ifndef AZFN_BASE_BYTES_H
#define AZFN_BASE_BYTES_H

#include <azfn.h>

#include <string.h>

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
