#include "config/config_fault.h"

#include "base/bytes.h"
#include "base/span.h"

#include <stdio.h>

/* Longer names are too long to be a typing error of a known one. */
#define MAX_NAME_BYTES 64
#define MAX_DISTANCE 2

/* Whether a terminal or a log would do something else with it than show it. */
static bool is_unshowable(const unsigned char *text, size_t length)
{
    if (length == 1) {
        return text[0] < ' ' || text[0] == 0x7f;
    }
    if (length == 2) {
        return text[0] == 0xc2 && text[1] < 0xa0;
    }
    /* U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069 */
    return length == 3 && text[0] == 0xe2 &&
           ((text[1] == 0x80 && ((text[2] >= 0x8b && text[2] <= 0x8f) || (text[2] >= 0xa8 && text[2] <= 0xae))) ||
            (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9));
}

const char *azfn__config_shown(char *out, size_t room_bytes, struct azfn_span text)
{
    size_t length = 0;
    size_t at = 0;
    while (at < text.length) {
        const unsigned char *bytes = (const unsigned char *)text.data + at;
        size_t taken = azfn__utf8_length(bytes, text.length - at);
        bool is_shown = taken > 0 && !is_unshowable(bytes, taken);
        size_t needed = is_shown ? taken : 1;
        if (length + needed > room_bytes - sizeof("...")) {
            break;
        }
        memcpy(out + length, is_shown ? (const char *)bytes : "?", needed);
        length += needed;
        at += taken > 0 ? taken : 1;
    }
    memcpy(out + length, at < text.length ? "..." : "", at < text.length ? 4 : 1);
    return out;
}

AZFN_PRINTF(3, 0)
static void say(struct azfn__config_fault *fault, size_t length, const char *format, va_list arguments)
{
    vsnprintf(fault->message + length, sizeof(fault->message) - length, format, arguments);
}

void azfn__config_say(struct azfn__config_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(fault, 0, format, arguments);
    va_end(arguments);
}

void azfn__config_say_more(struct azfn__config_fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(fault, strlen(fault->message), format, arguments);
    va_end(arguments);
}

/* How many letters to add, drop or change; more than MAX_DISTANCE need not be exact. */
static size_t distance(struct azfn_span a, struct azfn_span b)
{
    size_t row[MAX_NAME_BYTES + 1];
    for (size_t k = 0; k <= b.length; k++) {
        row[k] = k;
    }
    for (size_t i = 0; i < a.length; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < b.length; k++) {
            bool is_same = azfn__lower((unsigned char)a.data[i]) == azfn__lower((unsigned char)b.data[k]);
            size_t best = diagonal + (is_same ? 0 : 1);
            best = row[k] + 1 < best ? row[k] + 1 : best;
            best = row[k + 1] + 1 < best ? row[k + 1] + 1 : best;
            diagonal = row[k + 1];
            row[k + 1] = best;
        }
    }
    return row[b.length];
}

struct azfn_span azfn__config_meant(struct azfn_span text, const struct azfn_span *first, size_t count,
                                    size_t stride_bytes)
{
    struct azfn_span meant = {0};
    size_t best = MAX_DISTANCE + 1;
    const char *at = (const char *)first;
    for (size_t i = 0; i < count; i++, at += stride_bytes) {
        struct azfn_span name;
        memcpy(&name, at, sizeof(name));
        size_t longer = name.length > text.length ? name.length : text.length;
        size_t shorter = name.length > text.length ? text.length : name.length;
        if (longer > MAX_NAME_BYTES || longer - shorter > MAX_DISTANCE) {
            continue;
        }
        size_t apart = distance(text, name);
        /* "ab" is two letters apart from every other name of two */
        if (apart < best && apart < shorter) {
            best = apart;
            meant = name;
        }
    }
    return meant;
}
