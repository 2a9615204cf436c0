/* base/hash.h
 * A hash for tables and for telling texts apart; not for anybody who would make two alike. Pure. */
#ifndef AZFN_BASE_HASH_H
#define AZFN_BASE_HASH_H

#include <azfn.h>

/* FNV-1a's; to hash several texts, each gets the hash of those before it. */
#define AZFN__HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t azfn__hash(uint64_t seed, struct azfn_span text)
{
    uint64_t value = seed;
    for (size_t i = 0; i < text.length; i++) {
        value = (value ^ (unsigned char)text.data[i]) * UINT64_C(0x100000001b3);
    }
    return value * 31; /* "a", "bc" is not "ab", "c" */
}

#endif
