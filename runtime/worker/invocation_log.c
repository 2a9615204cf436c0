/* azfn_log() and azfn_security_event(). Lines of an envelope are collected, and go out with its answer. */
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <stdio.h>

#define LOG_TEXT_MAX_BYTES ((size_t)4 << 10)

/* The host logs every line of an envelope as Information. */
static const char *const level_marks[] = {"", "[Warning] ", "[Error] "};

static void append_marked(struct azfn__buffer *logs, enum azfn_log_level level, struct azfn_span text)
{
    char marked[LOG_TEXT_MAX_BYTES];
    size_t mark = strlen(level_marks[level]);
    size_t length = text.length < sizeof(marked) - mark ? text.length : sizeof(marked) - mark;
    if (mark > 0) {
        memcpy(marked, level_marks[level], mark);
        memcpy(marked + mark, text.data, length);
        text = azfn__span(marked, mark + length);
    }
    azfn__json_append_string(logs, text);
    azfn__buffer_append_char(logs, ',');
}

/* False: they are too many, and this one is not among them. */
static bool collect(struct azfn__invocation *invocation, enum azfn_log_level level, struct azfn_span text)
{
    struct azfn__buffer *logs = &invocation->logs;
    size_t before = logs->length;
    append_marked(logs, level, text);
    if (logs->has_failed) {
        logs->length = before;
        logs->has_failed = false;
        return false;
    }
    return true;
}

/* Cut where it is too long. */
AZFN_PRINTF(2, 0)
static struct azfn_span write_text(char out[LOG_TEXT_MAX_BYTES], const char *format, va_list arguments)
{
    int length = vsnprintf(out, LOG_TEXT_MAX_BYTES, format, arguments);
    size_t room = LOG_TEXT_MAX_BYTES - 1;
    return azfn__span(out, length < 0 ? 0 : (size_t)length < room ? (size_t)length : room);
}

void azfn_log(struct azfn_invocation *handle, enum azfn_log_level level, const char *format, ...)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return;
    }
    char text[LOG_TEXT_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    struct azfn_span line = write_text(text, format, arguments);
    va_end(arguments);
    bool is_collected = invocation->mode == AZFN__MODE_ENVELOPE && invocation->state == AZFN__INVOCATION_RUNNING &&
                        collect(invocation, level, line);
    if (!is_collected) {
        azfn__dispatcher_log(invocation->dispatcher, invocation, level, line);
    }
}

static enum azfn__security_event event_of(enum azfn_security_event event)
{
    switch (event) {
    case AZFN_EVENT_BAD_SIGNATURE:
        return AZFN__EVENT_SIGNATURE_INVALID;
    case AZFN_EVENT_FORBIDDEN:
        return AZFN__EVENT_CALLER_FORBIDDEN;
    case AZFN_EVENT_INVALID_INPUT:
        return AZFN__EVENT_REQUEST_INVALID;
    case AZFN_EVENT_SUSPICIOUS:
        break;
    }
    return AZFN__EVENT_REQUEST_SUSPICIOUS; /* and for a number that is none of them: it is not lost */
}

void azfn_security_event(struct azfn_invocation *handle, enum azfn_security_event event, const char *format, ...)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return;
    }
    char text[LOG_TEXT_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    struct azfn_span description = write_text(text, format, arguments);
    va_end(arguments);
    azfn__dispatcher_tell(invocation->dispatcher, invocation, event_of(event), NULL, description);
}

void azfn__invocation_tell_no_json(struct azfn__invocation *invocation, struct azfn_span text)
{
    char description[160];
    size_t offset = 0;
    if (invocation->has_told_no_json) {
        return;
    }
    invocation->has_told_no_json = true;
    enum azfn_error error = azfn__json_scan(text, NULL, &offset);
    snprintf(description, sizeof(description), "the function took input for JSON that is none: %s at byte %zu",
             azfn_error_text(error), offset);
    azfn__dispatcher_tell(invocation->dispatcher, invocation, AZFN__EVENT_INVALID_JSON, NULL,
                          azfn_span_of(description));
}

static enum azfn_log_level take_level_mark(struct azfn_span *text)
{
    for (int level = AZFN_LOG_ERROR; level > AZFN_LOG_INFORMATION; level--) {
        struct azfn_span mark = azfn_span_of(level_marks[level]);
        if (azfn__span_starts_with(*text, mark)) {
            *text = azfn__span_from(*text, mark.length);
            return (enum azfn_log_level)level;
        }
    }
    return AZFN_LOG_INFORMATION;
}

/* Each is a JSON string and a comma. */
static size_t flush_marked(struct azfn__invocation *invocation, struct azfn_span rest)
{
    size_t end = 1;
    while (end < rest.length && rest.data[end] != '"') {
        end += rest.data[end] == '\\' ? 2 : 1;
    }
    struct azfn_span text = azfn__envelope_string(azfn__span(rest.data, end + 1), &invocation->arena);
    enum azfn_log_level level = take_level_mark(&text);
    azfn__dispatcher_log(invocation->dispatcher, invocation, level, text);
    return end + 2;
}

void azfn__invocation_flush_logs(struct azfn__invocation *invocation)
{
    if (azfn__blocking_job_current()) {
        return; /* the loop does it when the function has returned */
    }
    struct azfn_span rest = azfn__buffer_span(&invocation->logs);
    while (rest.length > 0) {
        rest = azfn__span_from(rest, flush_marked(invocation, rest));
    }
    azfn__buffer_reset(&invocation->logs, 0);
}
