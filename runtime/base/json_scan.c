#include "base/json_scan.h"

#include "base/ascii.h"
#include "base/bytes.h"

#include <string.h>

/* Short strings and numbers are most of what there is: a call for each costs as much as looking at it. */
#define AZFN__ALWAYS_INLINE static inline __attribute__((always_inline))

struct scan {
    const unsigned char *end;
    const unsigned char *fault;
    enum azfn_error error;
    struct azfn__json_scan_options options;
    size_t depth; /* of open containers */
    bool is_in_object; /* the innermost of them is one */
    uint64_t is_object[(AZFN__JSON_MAX_DEPTH + 63) / 64]; /* a bit for each of them, the outermost first */
    struct azfn_span names[AZFN__JSON_PATH_MAX];
    const unsigned char *values[AZFN__JSON_PATH_MAX]; /* where the value of that name starts */
};

static const unsigned char *fail(struct scan *scan, const unsigned char *at)
{
    scan->fault = at;
    return NULL;
}

static inline const unsigned char *skip_blanks(const unsigned char *p, const unsigned char *end)
{
    /* what the host sends has none */
    if (p < end && *p > ' ') {
        return p;
    }
    return (const unsigned char *)azfn__skip_blanks((const char *)p, (const char *)end);
}

/* Of the escape at p; 0 when it is none. */
static inline size_t escape_length(const unsigned char *p, const unsigned char *end)
{
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        return end - p >= 6 && azfn__is_hex(p[2]) && azfn__is_hex(p[3]) && azfn__is_hex(p[4]) && azfn__is_hex(p[5]) ? 6 : 0;
    default:
        return 0;
    }
}

/* From the opening quote to behind the closing one. */
AZFN__ALWAYS_INLINE const unsigned char *check_string(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    p++;
    for (;;) {
        p = azfn__skip_plain(p, end);
        if (p == end || *p < ' ') {
            return fail(scan, p);
        }
        if (*p == '"') {
            return p + 1;
        }
        /* JSON within JSON has them in runs */
        while (p < end && *p == '\\') {
            size_t length = escape_length(p, end);
            if (length == 0) {
                return fail(scan, p);
            }
            p += length;
        }
        /* text beyond ASCII comes in runs */
        while (p < end && *p >= 0x80) {
            size_t length = azfn__utf8_length(p, (size_t)(end - p));
            if (length == 0) {
                return fail(scan, p);
            }
            p += length;
        }
    }
}

/* At least one. */
static inline const unsigned char *check_digits(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    if (p == end || !azfn__is_digit(*p)) {
        return fail(scan, p);
    }
    do {
        p++;
    } while (p < end && azfn__is_digit(*p));
    return p;
}

static const unsigned char *check_number(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    if (*p == '-') {
        p++;
    }
    if (p < end && *p == '0') {
        p++;
        if (p < end && azfn__is_digit(*p)) {
            return fail(scan, p);
        }
    } else {
        p = check_digits(scan, p);
    }
    if (p && p < end && *p == '.') {
        p = check_digits(scan, p + 1);
    }
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }
        p = check_digits(scan, p);
    }
    return p;
}

static const unsigned char *check_literal(struct scan *scan, const unsigned char *p, const char *word, size_t length)
{
    if ((size_t)(scan->end - p) < length || memcmp(p, word, length) != 0) {
        return fail(scan, p);
    }
    return p + length;
}

/* From a member's name to behind its colon. */
static inline const unsigned char *check_name(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    if (p == end || *p != '"') {
        return fail(scan, p);
    }
    const unsigned char *name = p;
    p = check_string(scan, p);
    if (!p) {
        return NULL;
    }
    if (scan->depth <= scan->options.member_depth) {
        scan->names[scan->depth - 1] = azfn__span(name, (size_t)(p - name));
    }
    p = skip_blanks(p, end);
    if (p == end || *p != ':') {
        return fail(scan, p);
    }
    return p + 1;
}

static inline bool open_container(struct scan *scan, bool is_object)
{
    size_t level = scan->depth;
    if (level == AZFN__JSON_MAX_DEPTH) {
        scan->error = AZFN_ERROR_LIMIT;
        return false;
    }
    uint64_t bit = UINT64_C(1) << (level % 64);
    scan->is_object[level / 64] = is_object ? scan->is_object[level / 64] | bit : scan->is_object[level / 64] & ~bit;
    scan->depth++;
    scan->is_in_object = is_object;
    return true;
}

static inline void close_container(struct scan *scan)
{
    scan->depth--;
    if (scan->depth > 0) {
        size_t level = scan->depth - 1;
        scan->is_in_object = ((scan->is_object[level / 64] >> (level % 64)) & 1) != 0;
    }
}

/* From before a value to behind a scalar or an empty container, opening what is around it. */
static const unsigned char *check_value(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    for (;;) {
        p = skip_blanks(p, end);
        if (p == end) {
            return fail(scan, p);
        }
        if (scan->depth - 1 < scan->options.member_depth) {
            scan->values[scan->depth - 1] = p;
        }
        bool is_object = *p == '{';
        switch (*p) {
        case '"':
            return check_string(scan, p);
        case '{':
        case '[':
            break;
        case 'n':
            return check_literal(scan, p, "null", 4);
        case 't':
            return check_literal(scan, p, "true", 4);
        case 'f':
            return check_literal(scan, p, "false", 5);
        default:
            return check_number(scan, p);
        }
        if (!open_container(scan, is_object)) {
            return fail(scan, p);
        }
        p = skip_blanks(p + 1, end);
        if (p < end && *p == (is_object ? '}' : ']')) {
            close_container(scan);
            return p + 1;
        }
        if (is_object) {
            p = check_name(scan, p);
            if (!p) {
                return NULL;
            }
        }
    }
}

/* Called behind each value at a depth that is reported. False to stop. */
static bool report_member(struct scan *scan, const unsigned char *end)
{
    /* a member counts only where all around it are objects */
    uint64_t path = (UINT64_C(1) << scan->depth) - 1;
    if ((scan->is_object[0] & path) != path) {
        return true;
    }
    const unsigned char *value = scan->values[scan->depth - 1];
    if (scan->options.on_member(scan->names, scan->depth, azfn__span(value, (size_t)(end - value)),
                                scan->options.user_data)) {
        return true;
    }
    scan->error = AZFN_ERROR_STATE;
    return false;
}

/* From behind a value to before the next one, closing what ends between them; at the end of all to the
 * end of the text. */
static const unsigned char *check_behind_value(struct scan *scan, const unsigned char *p)
{
    const unsigned char *end = scan->end;
    while (scan->depth > 0) {
        if (scan->depth <= scan->options.member_depth && !report_member(scan, p)) {
            return fail(scan, p);
        }
        p = skip_blanks(p, end);
        if (p == end) {
            return fail(scan, p);
        }
        if (*p == ',') {
            return scan->is_in_object ? check_name(scan, skip_blanks(p + 1, end)) : p + 1;
        }
        if (*p != (scan->is_in_object ? '}' : ']')) {
            return fail(scan, p);
        }
        p++;
        close_container(scan);
    }
    p = skip_blanks(p, end);
    return p == end ? p : fail(scan, p);
}

enum azfn_error azfn__json_scan(struct azfn_span text, const struct azfn__json_scan_options *options,
                                size_t *out_offset)
{
    const unsigned char *start = (const unsigned char *)(text.data ? text.data : "");
    const unsigned char *p = start;
    struct scan scan = {.end = start + (text.data ? text.length : 0), .error = AZFN_ERROR_SYNTAX};
    if (options && options->on_member) {
        scan.options = *options;
        if (scan.options.member_depth > AZFN__JSON_PATH_MAX) {
            scan.options.member_depth = AZFN__JSON_PATH_MAX;
        }
    }
    do {
        p = check_value(&scan, p);
        if (p) {
            p = check_behind_value(&scan, p);
        }
    } while (p && scan.depth > 0);
    if (out_offset) {
        *out_offset = (size_t)((p ? p : scan.fault) - start);
    }
    return p ? AZFN_OK : scan.error;
}
