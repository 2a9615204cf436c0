#include "base/json_read.h"

#include "base/bytes.h"
#include "base/json_block.h"
#include "base/json_scan.h"
#include "base/json_string.h"

#include <math.h>
#include <stdlib.h>

enum azfn__json_type azfn__json_type_of(struct azfn_span value)
{
    const char *start = value.data ? value.data : "";
    const char *end = start + (value.data ? value.length : 0);
    start = azfn__skip_blanks(start, end);
    switch (start < end ? *start : '\0') {
    case 'n':
        return AZFN__JSON_NULL;
    case 'f':
        return AZFN__JSON_FALSE;
    case 't':
        return AZFN__JSON_TRUE;
    case '"':
        return AZFN__JSON_STRING;
    case '[':
        return AZFN__JSON_ARRAY;
    case '{':
        return AZFN__JSON_OBJECT;
    default:
        return start < end && (*start == '-' || (*start >= '0' && *start <= '9')) ? AZFN__JSON_NUMBER
                                                                                   : AZFN__JSON_NONE;
    }
}

/* From the opening quote to behind the closing one, or to the end. */
static inline const char *skip_string(const char *p, const char *end)
{
    p++;
    for (;;) {
        p = (const char *)azfn__skip_plain((const unsigned char *)p, (const unsigned char *)end);
        if (p == end) {
            return end;
        }
        if (*p == '"') {
            return p + 1;
        }
        p += *p == '\\' && end - p > 1 ? 2 : 1;
        while (p < end && (unsigned char)*p >= 0x80) {
            p++;
        }
    }
}

/* Behind the bracket in these that makes depth 0; NULL where none does. */
static const char *find_end(const char *block, struct azfn__json_brackets brackets, size_t *depth)
{
    size_t closing = azfn__count_bits(brackets.closing);
    if (closing < *depth) {
        *depth += azfn__count_bits(brackets.opening) - closing;
        return NULL;
    }
    for (uint64_t all = brackets.opening | brackets.closing; all != 0; all &= all - 1) {
        size_t at = (size_t)__builtin_ctzll(all);
        if ((brackets.opening >> at & 1) != 0) {
            ++*depth;
        } else if (--*depth == 0) {
            return block + at + 1;
        }
    }
    return NULL;
}

/* From the opening bracket to behind the closing one, or to the end. The text was checked: which kind of
 * bracket closes another is known. */
static const char *skip_container(const char *p, const char *end)
{
    struct azfn__json_block_state state = {0, 0};
    size_t depth = 0;
    const char *behind = NULL;
    while (!behind && (size_t)(end - p) >= AZFN__JSON_BLOCK_BYTES) {
        behind = find_end(p, azfn__json_block_brackets(p, &state), &depth);
        p += AZFN__JSON_BLOCK_BYTES;
    }
    if (!behind && p < end) {
        char rest[AZFN__JSON_BLOCK_BYTES] = {0};
        memcpy(rest, p, (size_t)(end - p));
        behind = find_end(rest, azfn__json_block_brackets(rest, &state), &depth);
        behind = behind ? p + (behind - rest) : NULL;
    }
    return behind ? behind : end;
}

/* From the first byte of a value to behind it; not beyond p where no value is. */
static const char *skip_value(const char *p, const char *end)
{
    if (p == end) {
        return p;
    }
    if (*p == '"') {
        return skip_string(p, end);
    }
    if (*p == '{' || *p == '[') {
        return skip_container(p, end);
    }
    while (p < end && *p > ' ' && *p != ',' && *p != ']' && *p != '}' && *p != ':' && *p != '"') {
        p++;
    }
    return p;
}

struct azfn__json_walk azfn__json_walk(struct azfn_span container)
{
    return azfn__json_walk_from(container, 0);
}

struct azfn__json_walk azfn__json_walk_from(struct azfn_span container, size_t cursor)
{
    struct azfn__json_walk walk = {0};
    enum azfn__json_type type = azfn__json_type_of(container);
    if ((type == AZFN__JSON_OBJECT || type == AZFN__JSON_ARRAY) && cursor <= container.length) {
        walk.end = container.data + container.length;
        walk.next = cursor > 0 ? container.data + cursor : azfn__skip_blanks(container.data, walk.end) + 1;
        walk.is_object = type == AZFN__JSON_OBJECT;
    }
    return walk;
}

size_t azfn__json_walk_cursor(const struct azfn__json_walk *walk, struct azfn_span container)
{
    return walk->next ? (size_t)(walk->next - container.data) : container.length;
}

static bool end_walk(struct azfn__json_walk *walk)
{
    walk->next = walk->end;
    walk->name = azfn__absent();
    walk->value = azfn__absent();
    return false;
}

bool azfn__json_walk_next(struct azfn__json_walk *walk)
{
    const char *end = walk->end;
    const char *p = azfn__skip_blanks(walk->next, end);
    if (p < end && *p == ',') {
        p = azfn__skip_blanks(p + 1, end);
    }
    if (walk->is_object) {
        if (p == end || *p != '"') {
            return end_walk(walk);
        }
        const char *name = p;
        p = skip_string(p, end);
        walk->name = azfn__span(name, (size_t)(p - name));
        p = azfn__skip_blanks(p, end);
        if (p == end || *p != ':') {
            return end_walk(walk);
        }
        p = azfn__skip_blanks(p + 1, end);
    }
    const char *value = p;
    p = skip_value(p, end);
    if (p == value) {
        return end_walk(walk);
    }
    walk->value = azfn__span(value, (size_t)(p - value));
    walk->next = p;
    return true;
}

struct azfn_span azfn__json_member(struct azfn_span object, struct azfn_span name)
{
    struct azfn_span found = {0};
    struct azfn__json_walk walk = azfn__json_walk(object);
    while (walk.is_object && azfn__json_walk_next(&walk)) {
        if (azfn__json_string_equals(walk.name, name)) {
            found = walk.value;
        }
    }
    return found;
}

/* The digits of an integer, and whether a minus is in front of them. */
static enum azfn_error read_integer(struct azfn_span value, bool *out_is_negative, uint64_t *out_magnitude)
{
    value = azfn__json_trim(value);
    bool is_negative = value.length > 0 && value.data[0] == '-';
    uint64_t magnitude = 0;
    bool is_too_large = false;
    size_t first = is_negative ? 1 : 0;
    if (value.length == first || (value.data[first] == '0' && value.length > first + 1)) {
        return AZFN_ERROR_SYNTAX;
    }
    for (size_t i = first; i < value.length; i++) {
        unsigned digit = (unsigned)(unsigned char)value.data[i] - '0';
        if (digit > 9) {
            return AZFN_ERROR_SYNTAX;
        }
        is_too_large = is_too_large || magnitude > (UINT64_MAX - digit) / 10;
        magnitude = is_too_large ? 0 : magnitude * 10 + digit;
    }
    *out_is_negative = is_negative;
    *out_magnitude = magnitude;
    return is_too_large ? AZFN_ERROR_RANGE : AZFN_OK;
}

enum azfn_error azfn__json_uint64(struct azfn_span value, uint64_t *out_value)
{
    bool is_negative = false;
    uint64_t magnitude = 0;
    enum azfn_error error = read_integer(value, &is_negative, &magnitude);
    if (error == AZFN_OK && is_negative && magnitude > 0) {
        error = AZFN_ERROR_RANGE;
    }
    if (error == AZFN_OK) {
        *out_value = magnitude;
    }
    return error;
}

enum azfn_error azfn__json_int64(struct azfn_span value, int64_t *out_value)
{
    bool is_negative = false;
    uint64_t magnitude = 0;
    enum azfn_error error = read_integer(value, &is_negative, &magnitude);
    if (error != AZFN_OK) {
        return error;
    }
    if (magnitude > (uint64_t)INT64_MAX + (is_negative ? 1 : 0)) {
        return AZFN_ERROR_RANGE;
    }
    /* INT64_MIN has no positive counterpart to negate */
    *out_value = !is_negative ? (int64_t)magnitude : magnitude > 0 ? -(int64_t)(magnitude - 1) - 1 : 0;
    return AZFN_OK;
}

enum azfn_error azfn__json_double(struct azfn_span value, double *out_value)
{
    char text[AZFN__JSON_DOUBLE_MAX_BYTES + 1];
    char *end;
    value = azfn__json_trim(value);
    if (value.length >= sizeof(text)) {
        return AZFN_ERROR_LIMIT;
    }
    /* strtod() takes more than JSON does */
    if (azfn__json_type_of(value) != AZFN__JSON_NUMBER || azfn__json_scan(value, NULL, NULL) != AZFN_OK) {
        return AZFN_ERROR_SYNTAX;
    }
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    double number = strtod(text, &end);
    if (*end != '\0') {
        return AZFN_ERROR_SYSTEM; /* a function has set a locale with another decimal point */
    }
    if (!isfinite(number)) {
        return AZFN_ERROR_RANGE;
    }
    *out_value = number;
    return AZFN_OK;
}

struct azfn_span azfn__json_unquote(struct azfn_span value)
{
    value = azfn__json_trim(value);
    struct azfn_span quotes[] = {AZFN__SPAN("\""), AZFN__SPAN("\\\"")};
    for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
        size_t width = quotes[i].length;
        if (value.length < 2 * width || !azfn__span_starts_with(value, quotes[i]) ||
            !azfn__span_equal(azfn__span(value.data + value.length - width, width), quotes[i])) {
            break;
        }
        value = azfn__span(value.data + width, value.length - 2 * width);
    }
    return value;
}
