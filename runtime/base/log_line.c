#include "base/log_line.h"

#include "base/json_scan.h"
#include "base/span.h"

#include <stdio.h>
#include <time.h>

#define DESCRIPTION_MAX_BYTES ((size_t)6 << 10)
#define FIELD_MAX_BYTES ((size_t)256)

static const char *const level_names[] = {"INFO", "WARN", "ERROR"};
static const char *const origin_names[] = {"broker", "worker", "worker-stdout", "worker-stderr"};

/* Whether the byte at index is the letter a of a "warn", in any case. */
static bool is_in_warn(struct azfn_span text, size_t index)
{
    return index > 0 && index + 3 <= text.length &&
           azfn__span_equal_ignore_case(azfn__span(text.data + index - 1, 4), AZFN__SPAN("warn"));
}

/* How far text may be taken so that its JSON form stays within max_bytes (one byte gives at most six). */
static size_t fitting_length(struct azfn_span text, size_t max_bytes)
{
    size_t cost = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c < 0x20 || c == 0x7f || is_in_warn(text, i)) {
            cost += 6;
        } else {
            cost += c == '"' || c == '\\' ? 2 : c >= 0x80 ? 3 : 1;
        }
        if (cost > max_bytes) {
            /* not in the middle of a character, whose first byte is at most three back */
            for (int back = 0; back < 3 && i > 0 && ((unsigned char)text.data[i] & 0xc0) == 0x80; back++) {
                i--;
            }
            return i;
        }
    }
    return text.length;
}

/* Rewrites every "warn" after offset, in any case, with its letter a escaped. */
static void hide_warn(struct azfn__buffer *line, size_t offset)
{
    static const char escaped[] = "\\u0061";
    for (size_t i = offset + 1; i + 3 <= line->length; i++) {
        if (!is_in_warn(azfn__buffer_span(line), i)) {
            continue;
        }
        size_t more = sizeof(escaped) - 2;
        char letter = line->data[i];
        if (!azfn__buffer_reserve(line, more)) {
            return;
        }
        memmove(line->data + i + more, line->data + i, line->length - i);
        memcpy(line->data + i, escaped, sizeof(escaped) - 1);
        if (letter == 'A') {
            line->data[i + 4] = '4'; /* U+0041 */
        }
        line->length += more;
    }
}

static void append_field(struct azfn__buffer *line, const char *name, struct azfn_span value, size_t max_bytes)
{
    const struct azfn_span mark = AZFN__SPAN("[cut]");
    if (!azfn_span_is_present(value) || (value.length == 0 && max_bytes == FIELD_MAX_BYTES)) {
        return;
    }
    azfn__buffer_append_text(line, ",\"");
    azfn__buffer_append_text(line, name);
    azfn__buffer_append_text(line, "\":");
    size_t length = fitting_length(value, max_bytes);
    azfn__json_append_string(line, azfn__span(value.data, length));
    if (length < value.length && line->length > 0) {
        line->length--; /* the closing quote */
        azfn__buffer_append_span(line, mark);
        azfn__buffer_append_char(line, '"');
    }
}

static void append_time(struct azfn__buffer *line, int64_t time_ms)
{
    char text[48];
    struct tm fields;
    time_t seconds = (time_t)(time_ms / 1000);
    gmtime_r(&seconds, &fields);
    int length = snprintf(text, sizeof(text), "{\"datetime\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03d+00:00\"",
                          (fields.tm_year + 1900) % 10000, fields.tm_mon + 1, fields.tm_mday, fields.tm_hour,
                          fields.tm_min, fields.tm_sec, (int)(time_ms % 1000));
    azfn__buffer_append(line, text, length > 0 ? (size_t)length : 0);
}

void azfn__log_line_append(struct azfn__buffer *out, const struct azfn__log_entry *entry)
{
    size_t start = out->length;
    append_time(out, entry->time_ms);
    append_field(out, "level", azfn_span_of(level_names[entry->level]), FIELD_MAX_BYTES);
    append_field(out, "appid", entry->app_id, FIELD_MAX_BYTES);
    append_field(out, "origin", azfn_span_of(origin_names[entry->origin]), FIELD_MAX_BYTES);
    append_field(out, "event", entry->event, FIELD_MAX_BYTES);
    append_field(out, "function", entry->function, FIELD_MAX_BYTES);
    append_field(out, "invocation_id", entry->invocation_id, FIELD_MAX_BYTES);
    append_field(out, "description", entry->description, DESCRIPTION_MAX_BYTES);
    azfn__buffer_append_text(out, "}\n");
    if (entry->level == AZFN_LOG_ERROR) {
        hide_warn(out, start);
    }
}
