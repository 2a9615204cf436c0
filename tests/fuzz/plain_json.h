/* fuzz/plain_json.h
 * RFC 8259 over UTF-8 once more, as plainly as it can be written: one recursive function per rule of the grammar, and
 * code points instead of bytes. What azfn__json_scan() says has to agree with it, always. */
#ifndef TESTS_FUZZ_PLAIN_JSON_H
#define TESTS_FUZZ_PLAIN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum plain_json_result { PLAIN_JSON_OK, PLAIN_JSON_SYNTAX, PLAIN_JSON_TOO_DEEP };

struct plain_json {
    const unsigned char *at;
    const unsigned char *end;
    unsigned max_depth;
    bool is_too_deep;
};

static inline bool plain_json_value(struct plain_json *text, unsigned depth);

/* The next byte, or -1. */
static inline int plain_json_peek(const struct plain_json *text)
{
    return text->at < text->end ? *text->at : -1;
}

static inline bool plain_json_take(struct plain_json *text, int byte)
{
    if (plain_json_peek(text) != byte) {
        return false;
    }
    text->at++;
    return true;
}

static inline void plain_json_blanks(struct plain_json *text)
{
    while (plain_json_take(text, ' ') || plain_json_take(text, '\t') || plain_json_take(text, '\n') ||
           plain_json_take(text, '\r')) {
    }
}

static inline bool plain_json_word(struct plain_json *text, const char *word)
{
    for (; *word; word++) {
        if (!plain_json_take(text, (unsigned char)*word)) {
            return false;
        }
    }
    return true;
}

/* One code point of UTF-8, by its arithmetic: overlong forms, surrogates and what is beyond U+10FFFF are none. */
static inline bool plain_json_code_point(struct plain_json *text, uint32_t *out_code)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    uint32_t first = *text->at++;
    unsigned more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first >= 0xf8 || (first >= 0x80 && first < 0xc0)) {
        return false;
    }
    uint32_t code = more == 0 ? first : first & (0x3fU >> more);
    for (unsigned i = 0; i < more; i++) {
        int next = plain_json_peek(text);
        if (next < 0x80 || next > 0xbf) {
            return false;
        }
        code = code * 64 + (uint32_t)(next - 0x80);
        text->at++;
    }
    *out_code = code;
    return code >= smallest[more] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static inline bool plain_json_string(struct plain_json *text)
{
    if (!plain_json_take(text, '"')) {
        return false;
    }
    while (text->at < text->end) {
        uint32_t code = 0;
        if (!plain_json_code_point(text, &code) || code < 0x20) {
            return false;
        }
        if (code == '"') {
            return true;
        }
        if (code != '\\') {
            continue;
        }
        int escape = plain_json_peek(text);
        if (escape <= 0 || !strchr("\"\\/bfnrtu", escape)) {
            return false;
        }
        text->at++;
        for (int i = 0; escape == 'u' && i < 4; i++) {
            int digit = plain_json_peek(text);
            if (digit <= 0 || !strchr("0123456789abcdefABCDEF", digit)) {
                return false;
            }
            text->at++;
        }
    }
    return false;
}

static inline bool plain_json_digits(struct plain_json *text)
{
    const unsigned char *start = text->at;
    while (plain_json_peek(text) >= '0' && plain_json_peek(text) <= '9') {
        text->at++;
    }
    return text->at > start;
}

static inline bool plain_json_number(struct plain_json *text)
{
    plain_json_take(text, '-');
    if (!plain_json_take(text, '0') && !plain_json_digits(text)) {
        return false;
    }
    if (plain_json_take(text, '.') && !plain_json_digits(text)) {
        return false;
    }
    if (plain_json_take(text, 'e') || plain_json_take(text, 'E')) {
        if (!plain_json_take(text, '+')) {
            plain_json_take(text, '-');
        }
        return plain_json_digits(text);
    }
    return true;
}

static inline bool plain_json_items(struct plain_json *text, unsigned depth, char close)
{
    if (depth > text->max_depth) {
        text->is_too_deep = true;
        return false;
    }
    plain_json_blanks(text);
    if (plain_json_take(text, close)) {
        return true;
    }
    do {
        plain_json_blanks(text);
        if (close == '}') {
            if (!plain_json_string(text)) {
                return false;
            }
            plain_json_blanks(text);
            if (!plain_json_take(text, ':')) {
                return false;
            }
        }
        if (!plain_json_value(text, depth)) {
            return false;
        }
    } while (plain_json_take(text, ','));
    return plain_json_take(text, close);
}

static inline bool plain_json_value(struct plain_json *text, unsigned depth)
{
    plain_json_blanks(text);
    bool is_right;
    switch (plain_json_peek(text)) {
    case '{':
        text->at++;
        is_right = plain_json_items(text, depth + 1, '}');
        break;
    case '[':
        text->at++;
        is_right = plain_json_items(text, depth + 1, ']');
        break;
    case '"':
        is_right = plain_json_string(text);
        break;
    case 'n':
        is_right = plain_json_word(text, "null");
        break;
    case 't':
        is_right = plain_json_word(text, "true");
        break;
    case 'f':
        is_right = plain_json_word(text, "false");
        break;
    default:
        is_right = plain_json_number(text);
        break;
    }
    if (is_right) {
        plain_json_blanks(text);
    }
    return is_right;
}

static inline enum plain_json_result plain_json_check(const void *data, size_t length, unsigned max_depth)
{
    struct plain_json text = {.at = data, .max_depth = max_depth};
    text.end = length > 0 ? text.at + length : text.at;
    bool is_right = length > 0 && plain_json_value(&text, 0) && text.at == text.end;
    return text.is_too_deep ? PLAIN_JSON_TOO_DEEP : is_right ? PLAIN_JSON_OK : PLAIN_JSON_SYNTAX;
}

#endif
