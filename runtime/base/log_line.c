#include "base/log_line.h"

#include "base/bytes.h"
#include "base/span.h"

#define MS_PER_DAY (INT64_C(24) * 60 * 60 * 1000)
/* The last one whose year has four digits. */
#define TIME_MAX_MS INT64_C(253402300799999)

/* Of a field between its quotes, with the mark where it is cut. No event has so many fields that less than half of
 * the line is left for the description. */
#define TEXT_MAX_BYTES ((size_t)256)
#define LIST_MAX_BYTES ((size_t)1 << 10)

static const char *const level_names[] = {"INFO", "WARN", "ERROR"};
static const char *const origin_names[] = {"broker", "worker", "worker-stdout", "worker-stderr"};

/* Whether the byte at index is the letter a of a "warn", in any case. */
static bool is_in_warn(struct azfn_span text, size_t index)
{
    return (text.data[index] | 0x20) == 'a' && index > 0 && index + 3 <= text.length &&
           azfn__span_equal_ignore_case(azfn__span(text.data + index - 1, 4), AZFN__SPAN("warn"));
}

/* Of a UTF-8 sequence; those of four bytes are all alike here. */
static uint32_t code_point(const unsigned char *p, size_t length)
{
    switch (length) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
    case 3:
        return (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
    default:
        return 0x10000;
    }
}

/* What ends a line for some reader, speaks to a terminal, or lets it show letters in another order. */
static bool is_control(uint32_t c)
{
    return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static size_t write_escape(char form[6], uint32_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    form[0] = '\\';
    if (c < sizeof(letters) && letters[c]) {
        form[1] = letters[c];
        return 2;
    }
    form[1] = 'u';
    for (unsigned i = 0; i < 4; i++) {
        form[2 + i] = hex[c >> (12 - 4 * i) & 15];
    }
    return 6;
}

/* How the character at index stands in JSON; *out_length is that form's. Returns how many bytes of text it is. */
static size_t write_character(char form[6], struct azfn_span text, size_t index, bool hides_warn, size_t *out_length)
{
    const unsigned char *p = (const unsigned char *)text.data + index;
    size_t length = azfn__utf8_length(p, text.length - index);
    if (length == 0) {
        memcpy(form, "\xef\xbf\xbd", 3);
        *out_length = 3;
        return 1;
    }
    uint32_t c = code_point(p, length);
    if (c == '"' || c == '\\' || is_control(c) || (hides_warn && is_in_warn(text, index))) {
        *out_length = write_escape(form, c);
    } else {
        memcpy(form, p, length);
        *out_length = length;
    }
    return length;
}

/* The text with its quotes, between which are at most max_bytes. */
static void append_text(struct azfn__buffer *line, struct azfn_span text, size_t max_bytes, bool hides_warn)
{
    azfn__buffer_append_char(line, '"');
    size_t start = line->length;
    size_t cut = start; /* the last place from where the mark fits */
    for (size_t i = 0; i < text.length;) {
        char form[6];
        size_t length;
        i += write_character(form, text, i, hides_warn, &length);
        if (line->length + length > start + max_bytes) {
            line->length = cut;
            azfn__buffer_append_text(line, AZFN__LOG_CUT_MARK);
            break;
        }
        azfn__buffer_append(line, form, length);
        if (line->length + sizeof(AZFN__LOG_CUT_MARK) - 1 <= start + max_bytes) {
            cut = line->length;
        }
    }
    azfn__buffer_append_char(line, '"');
}

void azfn__log_text_append(struct azfn__buffer *out, struct azfn_span text)
{
    azfn__buffer_append_char(out, '"');
    for (size_t i = 0; i < text.length;) {
        char form[6];
        size_t length;
        i += write_character(form, text, i, false, &length);
        if (form[0] == '\\' && form[1] != '"' && form[1] != '\\') {
            azfn__buffer_append_char(out, '\\'); /* who reads the JSON still has the escape */
        }
        azfn__buffer_append(out, form, length);
    }
    azfn__buffer_append_char(out, '"');
}

static void append_name(struct azfn__buffer *line, const char *name)
{
    azfn__buffer_append_text(line, ",\"");
    azfn__buffer_append_text(line, name);
    azfn__buffer_append_text(line, "\":");
}

static void append_number(struct azfn__buffer *line, int64_t value)
{
    if (value < 0) {
        azfn__buffer_append_char(line, '-');
    }
    azfn__buffer_append_uint(line, value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value);
}

static void append_digits(struct azfn__buffer *line, int64_t value, size_t count, const char *behind)
{
    char digits[4];
    for (size_t i = count; i > 0; i--) {
        digits[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    azfn__buffer_append(line, digits, count);
    azfn__buffer_append_text(line, behind);
}

/* Not with gmtime_r, which takes a lock: a handler of signals writes lines as well. */
static void append_time(struct azfn__buffer *line, int64_t time_ms)
{
    time_ms = time_ms < 0 ? 0 : time_ms > TIME_MAX_MS ? TIME_MAX_MS : time_ms;
    int64_t ms = time_ms % MS_PER_DAY;
    /* in years that begin in March, since the 1st of March of the year 0: leap days come last */
    int64_t days = time_ms / MS_PER_DAY + 719468;
    int64_t era = days / 146097;
    days %= 146097;
    int64_t year = (days - days / 1460 + days / 36524 - days / 146096) / 365;
    days -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * days + 2) / 153;
    azfn__buffer_append_char(line, '"');
    append_digits(line, era * 400 + year + (month >= 10 ? 1 : 0), 4, "-");
    append_digits(line, month < 10 ? month + 3 : month - 9, 2, "-");
    append_digits(line, days - (153 * month + 2) / 5 + 1, 2, "T");
    append_digits(line, ms / 3600000, 2, ":");
    append_digits(line, ms / 60000 % 60, 2, ":");
    append_digits(line, ms / 1000 % 60, 2, ".");
    append_digits(line, ms % 1000, 3, "+00:00\"");
}

static void append_fields(struct azfn__buffer *line, const struct azfn__log_entry *entry, bool hides_warn)
{
    struct azfn__event_fields fields = entry->fields;
    uint64_t set = azfn__event_fields_set(&fields) & azfn__security_event_info(entry->event)->fields;
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        enum azfn__event_field field = (enum azfn__event_field)i;
        const struct azfn__event_field_info *info = azfn__event_field_info(field);
        if (!(set >> i & 1)) {
            continue;
        }
        append_name(line, info->name);
        if (info->type == AZFN__FIELD_TYPE_NUMBER) {
            append_number(line, azfn__event_field_number(&fields, field)->value);
        } else if (info->type == AZFN__FIELD_TYPE_TIME) {
            append_time(line, azfn__event_field_number(&fields, field)->value);
        } else {
            struct azfn_span text = *azfn__event_field_text(&fields, field);
            append_text(line, info->type == AZFN__FIELD_TYPE_URL ? azfn__event_url_shown(text) : text,
                        info->type == AZFN__FIELD_TYPE_LIST ? LIST_MAX_BYTES : TEXT_MAX_BYTES, hides_warn);
        }
    }
}

enum azfn_log_level azfn__log_entry_level(const struct azfn__log_entry *entry)
{
    return entry->event == AZFN__EVENT_NONE ? entry->level : azfn__security_event_info(entry->event)->level;
}

void azfn__log_line_append(struct azfn__buffer *out, const struct azfn__log_entry *entry)
{
    size_t start = out->length;
    enum azfn_log_level level = azfn__log_entry_level(entry);
    bool hides_warn = level == AZFN_LOG_ERROR;
    if (!azfn__buffer_reserve(out, AZFN__LOG_LINE_MAX_BYTES)) {
        return;
    }
    azfn__buffer_append_text(out, "{\"datetime\":");
    append_time(out, entry->time_ms);
    append_name(out, "level");
    append_text(out, azfn_span_of(level_names[level]), TEXT_MAX_BYTES, hides_warn);
    if (azfn_span_is_present(entry->app_id)) {
        append_name(out, "appid");
        append_text(out, entry->app_id, TEXT_MAX_BYTES, hides_warn);
    }
    append_name(out, "sequence");
    azfn__buffer_append_uint(out, entry->sequence);
    append_name(out, "origin");
    append_text(out, azfn_span_of(origin_names[entry->origin]), TEXT_MAX_BYTES, hides_warn);
    if (entry->event != AZFN__EVENT_NONE) {
        append_name(out, "event");
        append_text(out, azfn_span_of(azfn__security_event_info(entry->event)->name), TEXT_MAX_BYTES, hides_warn);
    }
    append_fields(out, entry, hides_warn);
    append_name(out, "description");
    size_t room = start + AZFN__LOG_LINE_MAX_BYTES - out->length - strlen("\"\"}\n");
    append_text(out, entry->description, room, hides_warn);
    azfn__buffer_append_text(out, "}\n");
}
