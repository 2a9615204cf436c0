/* base/ascii.h
 * What kind of character one is, whatever the locale. Takes a char or an unsigned char. Pure. */
#ifndef AZFN_BASE_ASCII_H
#define AZFN_BASE_ASCII_H

#include <stdbool.h>

static inline bool azfn__is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline bool azfn__is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool azfn__is_hex(int c)
{
    return azfn__is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

#endif
