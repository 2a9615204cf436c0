/* azfn_log(), and the lines that are collected: those of an envelope go out with its answer, those of a function
 * that runs on a thread of the pool wait until it has returned. */
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <stdio.h>

#define LOG_TEXT_MAX_BYTES ((size_t)4 << 10)

/* The host logs every line of an envelope as Information. */
static const char *const level_marks[] = {"", "[Warning] ", "[Error] "};

/* What stands before each text where no envelope will carry it. */
struct record_head {
    uint32_t level;
    uint32_t length;
};

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

bool azfn__invocation_collect_log(struct azfn__invocation *invocation, enum azfn_log_level level,
                                  struct azfn_span text)
{
    struct azfn__buffer *logs = &invocation->logs;
    size_t before = logs->length;
    if (invocation->mode == AZFN__MODE_ENVELOPE) {
        append_marked(logs, level, text);
    } else {
        const struct record_head head = {.level = (uint32_t)level, .length = (uint32_t)text.length};
        azfn__buffer_append(logs, &head, sizeof(head));
        azfn__buffer_append_span(logs, text);
    }
    if (logs->has_failed) {
        logs->length = before;
        logs->has_failed = false;
        return false;
    }
    return true;
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
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t room = sizeof(text) - 1;
    struct azfn_span line = azfn__span(text, length < 0 ? 0 : (size_t)length < room ? (size_t)length : room);
    bool is_collected = invocation->mode == AZFN__MODE_ENVELOPE && invocation->state == AZFN__INVOCATION_RUNNING &&
                        azfn__invocation_collect_log(invocation, level, line);
    if (!is_collected) {
        azfn__dispatcher_log(invocation->dispatcher, invocation, level, NULL, line);
    }
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
    azfn__dispatcher_log(invocation->dispatcher, invocation, level, NULL, text);
    return end + 2;
}

static size_t flush_record(struct azfn__invocation *invocation, struct azfn_span rest)
{
    struct record_head head;
    memcpy(&head, rest.data, sizeof(head));
    azfn__dispatcher_log(invocation->dispatcher, invocation, (enum azfn_log_level)head.level, NULL,
                         azfn__span(rest.data + sizeof(head), head.length));
    return sizeof(head) + head.length;
}

void azfn__invocation_flush_logs(struct azfn__invocation *invocation)
{
    if (azfn__blocking_job_current()) {
        return; /* the loop does it when the function has returned */
    }
    struct azfn_span rest = azfn__buffer_span(&invocation->logs);
    while (rest.length > 0) {
        rest = azfn__span_from(rest, invocation->mode == AZFN__MODE_ENVELOPE ? flush_marked(invocation, rest)
                                                                             : flush_record(invocation, rest));
    }
    azfn__buffer_reset(&invocation->logs, 0);
}
