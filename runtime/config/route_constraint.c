#include "config/route_constraint.h"

#include "base/ascii.h"
#include "base/span.h"

/* The largest System.Decimal. */
#define DECIMAL_MAX "79228162514264337593543950335"

/* .NET's parsers skip these around numbers. */
static bool is_white(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct azfn_span trim_white(struct azfn_span text)
{
    while (text.length > 0 && is_white(text.data[0])) {
        text = azfn__span_from(text, 1);
    }
    while (text.length > 0 && is_white(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

/* long.TryParse() with NumberStyles.Integer: blanks around it, one sign before it. */
static bool parse_long(struct azfn_span text, int64_t *out_value)
{
    text = trim_white(text);
    bool is_negative = text.length > 0 && text.data[0] == '-';
    if (text.length > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        text = azfn__span_from(text, 1);
    }
    if (text.length == 0) {
        return false;
    }
    uint64_t limit = is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_digit(text.data[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (limit - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out_value = is_negative ? (value > (uint64_t)INT64_MAX ? INT64_MIN : -(int64_t)value) : (int64_t)value;
    return true;
}

enum arguments { NONE, ONE_LENGTH, ONE_LONG, ONE_OR_TWO_LENGTHS, TWO_LONGS, ANYTHING };

static const struct {
    struct azfn_span name;
    enum azfn__route_constraint_kind kind;
    enum arguments arguments;
} KNOWN[] = {
#define KNOWN_CONSTRAINT(name, KIND, arguments) {{(name), sizeof(name) - 1}, AZFN__ROUTE_##KIND, arguments}
    KNOWN_CONSTRAINT("int", INT, NONE),
    KNOWN_CONSTRAINT("long", LONG, NONE),
    KNOWN_CONSTRAINT("bool", BOOL, NONE),
    KNOWN_CONSTRAINT("datetime", DATETIME, NONE),
    KNOWN_CONSTRAINT("decimal", DECIMAL, NONE),
    KNOWN_CONSTRAINT("double", DOUBLE, NONE),
    KNOWN_CONSTRAINT("float", FLOAT, NONE),
    KNOWN_CONSTRAINT("guid", GUID, NONE),
    KNOWN_CONSTRAINT("alpha", ALPHA, NONE),
    KNOWN_CONSTRAINT("required", REQUIRED, NONE),
    KNOWN_CONSTRAINT("file", FILE, NONE),
    KNOWN_CONSTRAINT("nonfile", NONFILE, NONE),
    KNOWN_CONSTRAINT("regex", REGEX, ANYTHING),
    KNOWN_CONSTRAINT("length", LENGTH, ONE_OR_TWO_LENGTHS),
    KNOWN_CONSTRAINT("minlength", MINLENGTH, ONE_LENGTH),
    KNOWN_CONSTRAINT("maxlength", MAXLENGTH, ONE_LENGTH),
    KNOWN_CONSTRAINT("min", MIN, ONE_LONG),
    KNOWN_CONSTRAINT("max", MAX, ONE_LONG),
    KNOWN_CONSTRAINT("range", RANGE, TWO_LONGS),
#undef KNOWN_CONSTRAINT
};

/* "3" or "3,5", as many numbers as are allowed. */
static const char *parse_numbers(struct azfn_span text, enum arguments arguments,
                                 struct azfn__route_constraint *out_constraint)
{
    bool is_length = arguments == ONE_LENGTH || arguments == ONE_OR_TWO_LENGTHS;
    int64_t values[2] = {0, 0};
    size_t count = 0;
    struct azfn_span rest = text;
    for (;;) {
        const char *comma = rest.length > 0 ? memchr(rest.data, ',', rest.length) : NULL;
        struct azfn_span number = comma ? azfn__span(rest.data, (size_t)(comma - rest.data)) : rest;
        if (count == 2 || !parse_long(number, &values[count])) {
            return "a constraint's number is missing, no number or too many";
        }
        if (is_length && (values[count] < 0 || values[count] > INT32_MAX)) {
            return "a length in a constraint is out of range";
        }
        count++;
        if (!comma) {
            break;
        }
        rest = azfn__span_from(rest, number.length + 1);
    }
    bool is_count_right = arguments == TWO_LONGS ? count == 2 : arguments == ONE_OR_TWO_LENGTHS || count == 1;
    if (!is_count_right) {
        return "a constraint's number is missing, no number or too many";
    }
    out_constraint->low = values[0];
    out_constraint->high = count == 2 ? values[1] : values[0];
    bool is_ordered = out_constraint->low <= out_constraint->high;
    return is_ordered ? NULL : "the first number of a constraint is above its second one";
}

const char *azfn__route_constraint_parse(struct azfn_span text, struct azfn__route_constraint *out_constraint)
{
    const char *parenthesis = text.length > 0 ? memchr(text.data, '(', text.length) : NULL;
    bool has_arguments = parenthesis && text.data[text.length - 1] == ')';
    size_t name_length = has_arguments ? (size_t)(parenthesis - text.data) : text.length;
    struct azfn_span name = azfn__span(text.data, name_length);
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
        if (!azfn__span_equal_ignore_case(name, KNOWN[i].name)) {
            continue;
        }
        *out_constraint = (struct azfn__route_constraint){.kind = KNOWN[i].kind};
        if ((KNOWN[i].arguments == NONE) == has_arguments) {
            return has_arguments ? "a constraint that takes no number has one" : "a constraint lacks its number";
        }
        if (KNOWN[i].arguments == NONE || KNOWN[i].arguments == ANYTHING) {
            return NULL;
        }
        struct azfn_span inside = azfn__span(parenthesis + 1, text.length - name_length - 2);
        return parse_numbers(inside, KNOWN[i].arguments, out_constraint);
    }
    return "an unknown constraint";
}

/* What String.Length says: UTF-16 code units. */
static int64_t utf16_length(struct azfn_span text)
{
    int64_t units = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        units += (c & 0xc0) == 0x80 ? 0 : (c >= 0xf0 ? 2 : 1);
    }
    return units;
}

struct number {
    size_t digits;  /* before the point, without leading zeros */
    char first[29]; /* of them */
    bool has_any_digit;
};

/* Digits, group separators and a point; returns how much of text that is. */
static size_t scan_number(struct azfn_span text, struct number *out_number)
{
    *out_number = (struct number){0};
    bool has_point = false;
    size_t i = 0;
    for (; i < text.length; i++) {
        char c = text.data[i];
        if (azfn__is_digit(c)) {
            out_number->has_any_digit = true;
            if (!has_point && (c != '0' || out_number->digits > 0)) {
                if (out_number->digits < sizeof(out_number->first)) {
                    out_number->first[out_number->digits] = c;
                }
                out_number->digits++;
            }
        } else if (c == '.' && !has_point) {
            has_point = true;
        } else if (c != ',' || has_point || !out_number->has_any_digit) {
            break;
        }
    }
    return i;
}

static bool is_sign(struct azfn_span text, size_t at)
{
    return at < text.length && (text.data[at] == '+' || text.data[at] == '-');
}

static bool is_decimal(struct azfn_span text)
{
    text = trim_white(text);
    bool has_sign = is_sign(text, 0);
    text = azfn__span_from(text, has_sign ? 1 : 0);
    struct number number;
    struct azfn_span rest = azfn__span_from(text, scan_number(text, &number));
    rest = trim_white(rest);
    if (!has_sign && is_sign(rest, 0)) {
        rest = azfn__span_from(rest, 1);
    }
    size_t most = sizeof(DECIMAL_MAX) - 1;
    bool fits = number.digits < most || (number.digits == most && memcmp(number.first, DECIMAL_MAX, most) <= 0);
    return rest.length == 0 && number.has_any_digit && fits;
}

/* Too large is infinity, not an error. */
static bool is_double(struct azfn_span text)
{
    text = trim_white(text);
    text = azfn__span_from(text, is_sign(text, 0) ? 1 : 0);
    if (azfn__span_equal_ignore_case(text, AZFN__SPAN("Infinity")) ||
        azfn__span_equal_ignore_case(text, AZFN__SPAN("NaN"))) {
        return true;
    }
    struct number number;
    size_t at = scan_number(text, &number);
    if (at < text.length && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at += is_sign(text, at + 1) ? 2 : 1;
        size_t exponent = at;
        while (at < text.length && azfn__is_digit(text.data[at])) {
            at++;
        }
        if (at == exponent) {
            return false;
        }
    }
    return at == text.length && number.has_any_digit;
}

static bool is_guid(struct azfn_span text)
{
    text = trim_white(text);
    if (text.length == 38) {
        char open = text.data[0];
        if (!(open == '{' && text.data[37] == '}') && !(open == '(' && text.data[37] == ')')) {
            return false;
        }
        text = azfn__span(text.data + 1, 36);
    }
    if (text.length != 32) {
        return azfn__span_is_guid(text);
    }
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_hex(text.data[i])) {
            return false;
        }
    }
    return true;
}

/* A word of a date by its first letters, "Sat", "January", "PM", "GMT", "T", "Z". */
static bool is_date_word(struct azfn_span word)
{
    static const char *const SHORT[] = {"t", "z", "am", "pm", "a", "p", "gmt", "ad"};
    static const char *const LONG[] = {"sunday",   "monday", "tuesday", "wednesday", "thursday",  "friday",  "saturday",
                                       "january",  "february", "march", "april",     "may",       "june",    "july",
                                       "august",   "september", "october", "november", "december"};
    for (size_t i = 0; i < sizeof(SHORT) / sizeof(SHORT[0]); i++) {
        if (azfn__span_equal_ignore_case(word, azfn_span_of(SHORT[i]))) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(LONG) / sizeof(LONG[0]); i++) {
        struct azfn_span whole = azfn_span_of(LONG[i]);
        if (azfn__span_equal_ignore_case(word, whole) ||
            azfn__span_equal_ignore_case(word, azfn__span(whole.data, 3))) {
            return true;
        }
    }
    return false;
}

/* At least two groups of digits, known words, and what stands between them. */
static bool looks_like_date(struct azfn_span text)
{
    text = trim_white(text);
    size_t numbers = 0;
    size_t i = 0;
    while (i < text.length) {
        size_t start = i;
        if (azfn__is_digit(text.data[i])) {
            while (i < text.length && azfn__is_digit(text.data[i])) {
                i++;
            }
            numbers++;
        } else if (azfn__is_letter(text.data[i])) {
            while (i < text.length && azfn__is_letter(text.data[i])) {
                i++;
            }
            if (!is_date_word(azfn__span(text.data + start, i - start))) {
                return false;
            }
        } else if (!is_white(text.data[i]) && !memchr("/-:.,+", text.data[i], 6)) {
            return false;
        } else {
            i++;
        }
    }
    return numbers >= 2;
}

/* [a-z]*$ without regard to case; .NET's $ also matches before a last line feed. */
static bool is_alpha(struct azfn_span text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_letter(text.data[i]) && !(text.data[i] == '\n' && i + 1 == text.length)) {
            return false;
        }
    }
    return true;
}

/* The last segment has a dot with something other than dots behind it. */
static bool is_file_name(struct azfn_span text)
{
    size_t start = text.length;
    while (start > 0 && text.data[start - 1] != '/') {
        start--;
    }
    struct azfn_span name = azfn__span_from(text, start);
    const char *dot = name.length > 0 ? memchr(name.data, '.', name.length) : NULL;
    for (const char *at = dot; at && at < name.data + name.length; at++) {
        if (*at != '.') {
            return true;
        }
    }
    return false;
}

static bool is_long_within(struct azfn_span text, int64_t low, int64_t high)
{
    int64_t value;
    return parse_long(text, &value) && value >= low && value <= high;
}

bool azfn__route_constraint_is_met(const struct azfn__route_constraint *constraint, struct azfn_span value)
{
    if (!azfn_span_is_present(value)) {
        return constraint->kind == AZFN__ROUTE_NONFILE;
    }
    switch (constraint->kind) {
    case AZFN__ROUTE_INT:
        return is_long_within(value, INT32_MIN, INT32_MAX);
    case AZFN__ROUTE_LONG:
        return is_long_within(value, INT64_MIN, INT64_MAX);
    case AZFN__ROUTE_BOOL:
        value = trim_white(value);
        return azfn__span_equal_ignore_case(value, AZFN__SPAN("true")) ||
               azfn__span_equal_ignore_case(value, AZFN__SPAN("false"));
    case AZFN__ROUTE_DATETIME:
        return looks_like_date(value);
    case AZFN__ROUTE_DECIMAL:
        return is_decimal(value);
    case AZFN__ROUTE_DOUBLE:
    case AZFN__ROUTE_FLOAT:
        return is_double(value);
    case AZFN__ROUTE_GUID:
        return is_guid(value);
    case AZFN__ROUTE_ALPHA:
        return is_alpha(value);
    case AZFN__ROUTE_REQUIRED:
        return value.length > 0;
    case AZFN__ROUTE_FILE:
        return is_file_name(value);
    case AZFN__ROUTE_NONFILE:
        return !is_file_name(value);
    case AZFN__ROUTE_REGEX:
        return true;
    case AZFN__ROUTE_LENGTH:
        return utf16_length(value) >= constraint->low && utf16_length(value) <= constraint->high;
    case AZFN__ROUTE_MINLENGTH:
        return utf16_length(value) >= constraint->low;
    case AZFN__ROUTE_MAXLENGTH:
        return utf16_length(value) <= constraint->high;
    case AZFN__ROUTE_MIN:
        return is_long_within(value, constraint->low, INT64_MAX);
    case AZFN__ROUTE_MAX:
        return is_long_within(value, INT64_MIN, constraint->high);
    case AZFN__ROUTE_RANGE:
        return is_long_within(value, constraint->low, constraint->high);
    }
    return false;
}

bool azfn__route_constraint_is_closed(const struct azfn__route_constraint *constraint)
{
    switch (constraint->kind) {
    case AZFN__ROUTE_REQUIRED:
    case AZFN__ROUTE_FILE:
    case AZFN__ROUTE_NONFILE:
    case AZFN__ROUTE_REGEX:
    case AZFN__ROUTE_LENGTH:
    case AZFN__ROUTE_MINLENGTH:
    case AZFN__ROUTE_MAXLENGTH:
        return false;
    default:
        return true;
    }
}
