#include "base/json_string.h"

#include "base/bytes.h"

#include <sodium.h>
#include <string.h>

/* What is between the quotes; absent when there are none. */
static struct azfn_span inside_of(struct azfn_span raw)
{
    raw = azfn__json_trim(raw);
    if (raw.length < 2 || raw.data[0] != '"' || raw.data[raw.length - 1] != '"') {
        return azfn__absent();
    }
    return azfn__span(raw.data + 1, raw.length - 2);
}

struct azfn_span azfn__json_string_view(struct azfn_span raw)
{
    struct azfn_span inside = inside_of(raw);
    if (inside.length > 0 && memchr(inside.data, '\\', inside.length)) {
        return azfn__absent();
    }
    return inside;
}

/* The four digits of \uXXXX at p; above 0xffff when there are none. */
static uint32_t read_unicode_escape(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return UINT32_MAX;
    }
    uint32_t value = 0;
    for (size_t i = 2; i < 6; i++) {
        unsigned char c = (unsigned char)p[i];
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)c - '0' : ((uint32_t)c | 0x20) - 'a' + 10;
        if (digit > 15 || (c > '9' && digit < 10)) {
            return UINT32_MAX;
        }
        value = value << 4 | digit;
    }
    return value;
}

static size_t encode_utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* What a short escape stands for, by its letter; 0 where there is none. */
static const char short_escapes[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t',
};

/* Decodes the escape at p, a backslash; returns how long it is, 0 when it is none. */
static size_t decode_escape(const char *p, const char *end, char out[4], size_t *out_length)
{
    if (end - p < 2) {
        return 0;
    }
    char short_one = short_escapes[(unsigned char)p[1]];
    if (short_one) {
        out[0] = short_one;
        *out_length = 1;
        return 2;
    }
    uint32_t c = read_unicode_escape(p, end);
    if (c > 0xffff) {
        return 0;
    }
    size_t length = 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        uint32_t low = c < 0xdc00 ? read_unicode_escape(p + 6, end) : 0;
        bool is_pair = low >= 0xdc00 && low <= 0xdfff;
        c = is_pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
        length = is_pair ? 12 : 6;
    }
    *out_length = encode_utf8(c, out);
    return length;
}

bool azfn__json_string_equals(struct azfn_span raw, struct azfn_span text)
{
    struct azfn_span inside = inside_of(raw);
    /* every escape is longer than what it stands for */
    if (!inside.data || inside.length < text.length) {
        return false;
    }
    if (inside.length == text.length) {
        return text.length == 0 ||
               (memcmp(inside.data, text.data, text.length) == 0 && !memchr(text.data, '\\', text.length));
    }
    const char *p = inside.data;
    const char *end = p + inside.length;
    while (p < end) {
        char decoded[4] = {*p};
        size_t length = 1;
        size_t skipped = *p == '\\' ? decode_escape(p, end, decoded, &length) : 1;
        if (skipped == 0 || length > text.length || memcmp(decoded, text.data, length) != 0) {
            return false;
        }
        p += skipped;
        text = azfn__span_from(text, length);
    }
    return text.length == 0;
}

/* Whether the token goes on with these bytes; takes them off it. */
static bool take_from_token(struct azfn_span *token, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool is_escape = token->length > 1 && token->data[0] == '~';
        char c = is_escape && token->data[1] == '1' ? '/' : '~';
        if (token->length == 0 || bytes[i] != (is_escape ? c : token->data[0])) {
            return false;
        }
        *token = azfn__span_from(*token, is_escape ? 2 : 1);
    }
    return true;
}

bool azfn__json_string_equals_token(struct azfn_span raw, struct azfn_span token)
{
    struct azfn_span inside = inside_of(raw);
    if (!inside.data) {
        return false;
    }
    const char *p = inside.data;
    const char *end = p + inside.length;
    while (p < end) {
        char decoded[4];
        size_t length = 0;
        size_t skipped = *p == '\\' ? decode_escape(p, end, decoded, &length) : 1;
        if (skipped == 0 || !take_from_token(&token, length > 0 ? decoded : p, length > 0 ? length : 1)) {
            return false;
        }
        p += skipped;
    }
    return token.length == 0;
}

#if AZFN__HAS_SSE2
#define MOVE_STEP ((size_t)16)

static inline size_t move_step(char *to, const char *from, size_t distance)
{
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)from);
    unsigned marks = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
    size_t plain = marks != 0 ? (size_t)__builtin_ctz(marks) : MOVE_STEP;
    if (distance < MOVE_STEP - plain) {
        return 0;
    }
    _mm_storeu_si128((__m128i *)(void *)to, block);
    return plain;
}
#else
#define MOVE_STEP ((size_t)8)

static inline size_t move_step(char *to, const char *from, size_t distance)
{
    uint64_t word = azfn__load_8(from);
    uint64_t marks = azfn__mark_byte(word, '\\') & ~word & AZFN__HIGH_BITS;
    size_t plain = marks != 0 ? azfn__first_mark(marks) : MOVE_STEP;
    if (distance < MOVE_STEP - plain) {
        return 0;
    }
    char bytes[MOVE_STEP];
    memcpy(bytes, from, MOVE_STEP);
    memcpy(to, bytes, MOVE_STEP);
    return plain;
}
#endif

/* Moves text up to the next backslash, or the end, or as far as there is room; returns how much. to may be in
 * front of from, in the same text. Bytes behind what was moved may change, but for those not yet read. */
static inline size_t move_plain(char *to, size_t room, const char *from, size_t left)
{
    size_t most = left < room ? left : room;
    size_t distance = (size_t)((uintptr_t)from - (uintptr_t)to);
    size_t i = 0;
    while (most - i >= MOVE_STEP) {
        size_t plain = move_step(to + i, from + i, distance);
        i += plain;
        if (plain < MOVE_STEP) {
            break;
        }
    }
    while (i < most && from[i] != '\\') {
        to[i] = from[i];
        i++;
    }
    return i;
}

/* Decodes the inside of a string into room bytes, which may be those that it stands in itself. Returns whether all
 * of it was; *out_used says how much. */
static bool decode_inside(struct azfn_span inside, char *to, size_t room, size_t *out_used, bool *out_is_full)
{
    const char *p = inside.data;
    const char *end = p + inside.length;
    size_t used = 0;
    char short_one;
    *out_is_full = false;
    for (;;) {
        size_t moved = move_plain(to + used, room - used, p, (size_t)(end - p));
        p += moved;
        used += moved;
        while (end - p >= 2 && *p == '\\' && used < room && (short_one = short_escapes[(unsigned char)p[1]]) != 0) {
            to[used++] = short_one;
            p += 2;
        }
        *out_used = used;
        if (p == end) {
            return true;
        }
        if (used < room && *p != '\\') {
            continue;
        }
        char decoded[4];
        size_t length = 0;
        size_t skipped = *p == '\\' ? decode_escape(p, end, decoded, &length) : 0;
        if (skipped == 0 || length > room - used) {
            *out_is_full = skipped != 0 || *p != '\\';
            return false;
        }
        for (size_t i = 0; i < length; i++) {
            to[used++] = decoded[i];
        }
        p += skipped;
    }
}

bool azfn__json_string_decode(struct azfn_span raw, struct azfn__buffer *out)
{
    struct azfn_span inside = inside_of(raw);
    if (!inside.data || out->has_failed) {
        return false;
    }
    /* what is decoded is not longer than this; it may be shorter, and fit where this would not */
    size_t room = out->max_bytes - out->length;
    room = inside.length < room ? inside.length : room;
    if (!azfn__buffer_reserve(out, room)) {
        return false;
    }
    size_t used = 0;
    bool is_full = false;
    if (inside.length > 0 && !decode_inside(inside, out->data + out->length, room, &used, &is_full)) {
        /* half a string would be taken for another one */
        out->has_failed = is_full;
        sodium_memzero(out->data + out->length, room);
        return false;
    }
    out->length += used;
    /* what stands behind the text is nobody's to wipe later */
    sodium_memzero(out->data + out->length, room - used < MOVE_STEP ? room - used : MOVE_STEP);
    return true;
}

struct azfn_span azfn__json_string_decode_in_place(char *raw, size_t length)
{
    struct azfn_span inside = inside_of(azfn__span(raw, length));
    size_t used = 0;
    bool is_full = false;
    if (!inside.data || !decode_inside(inside, raw, length, &used, &is_full)) {
        return azfn__absent();
    }
    return azfn__span(raw, used);
}

/* Of the UTF-8 sequence at p that may stand as it is; 0 when there is none. U+2028 and U+2029 end a line in
 * JavaScript and in some viewers of logs. */
static inline size_t verbatim_length(const unsigned char *p, const unsigned char *end)
{
    size_t length = azfn__utf8_length(p, (size_t)(end - p));
    bool is_line_end = length == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9;
    return is_line_end ? 0 : length;
}

/* To the first byte that does not stand for itself between quotes. */
static const unsigned char *skip_verbatim(const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        if (end - p >= 8) {
            uint64_t word = azfn__load_8(p);
            uint64_t marks = (azfn__mark_special(word) | azfn__mark_byte(word, 0x7f)) & AZFN__HIGH_BITS;
            if (marks == 0) {
                p += 8;
                continue;
            }
            p += azfn__first_mark(marks);
        }
        if (*p < ' ' || *p == '"' || *p == '\\' || *p == 0x7f) {
            return p;
        }
        p += *p < 0x80 ? 1 : 0;
        while (p < end && *p >= 0x80) {
            size_t length = verbatim_length(p, end);
            if (length == 0) {
                return p;
            }
            p += length;
        }
    }
    return p;
}

static inline void append(struct azfn__buffer *out, const void *data, size_t length)
{
    if (!out->has_failed && length <= out->capacity - out->length) {
        memcpy(out->data + out->length, data, length);
        out->length += length;
    } else {
        azfn__buffer_append(out, data, length);
    }
}

/* The letter of the short escape for c, 0 when there is none. */
static inline char short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    default:
        return 0;
    }
}

/* Appends what stands for the bytes at p, where skip_verbatim stopped; returns how many they are. */
static size_t append_escape(struct azfn__buffer *out, const unsigned char *p, const unsigned char *end)
{
    static const char hex[] = "0123456789abcdef";
    if (*p >= 0x80) {
        bool is_line_end = azfn__utf8_length(p, (size_t)(end - p)) == 3;
        azfn__buffer_append_text(out, !is_line_end ? "\xef\xbf\xbd" : p[2] == 0xa8 ? "\\u2028" : "\\u2029");
        return is_line_end ? 3 : 1;
    }
    char letter = short_escape(*p);
    if (letter) {
        append(out, (const char[]){'\\', letter}, 2);
    } else {
        append(out, (const char[]){'\\', 'u', '0', '0', hex[*p >> 4], hex[*p & 15]}, 6);
    }
    return 1;
}

void azfn__json_append_string(struct azfn__buffer *out, struct azfn_span text)
{
    const unsigned char *p = (const unsigned char *)(text.data ? text.data : "");
    const unsigned char *end = p + (text.data ? text.length : 0);
    /* never less than this; most often no more */
    if (!azfn__buffer_reserve(out, (size_t)(end - p) + 2)) {
        return;
    }
    append(out, "\"", 1);
    while (p < end) {
        const unsigned char *run = p;
        p = skip_verbatim(p, end);
        append(out, run, (size_t)(p - run));
        if (p < end) {
            p += append_escape(out, p, end);
        }
    }
    append(out, "\"", 1);
}
