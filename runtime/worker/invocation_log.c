/* azfn_log() and azfn_security_event(). What the host takes with an envelope's answer it logs as Information: so the
 * lines that are no more than that are collected for it, and all others go to the broker, which gives them their level. */
#include "base/json_scan.h"
#include "base/log_line.h"
#include "base/span.h"
#include "channel/payload.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"
#include "worker/invocation_answer.h"

#include <stdio.h>

#define LOG_TEXT_MAX_BYTES ((size_t)4 << 10)
/* The host writes them all, whatever their number. */
#define LOGS_MAX_COUNT 1000

/* An answer that nobody waits for carries nothing. */
static bool goes_with_answer(const struct azfn__invocation *invocation, enum azfn_log_level level)
{
    return level == AZFN_LOG_INFORMATION && invocation->mode == AZFN__MODE_ENVELOPE &&
           !azfn__answer_is_given(invocation) && !atomic_load(&invocation->is_cancelled);
}

static void collect(struct azfn__invocation *invocation, struct azfn_span text)
{
    struct azfn__buffer *logs = &invocation->logs;
    size_t before = logs->length;
    if (invocation->log_count < LOGS_MAX_COUNT) {
        azfn__payload_append_text(logs, text);
    }
    if (logs->has_failed) {
        logs->length = before;
        logs->has_failed = false;
    }
    bool is_kept = logs->length > before;
    invocation->log_count += is_kept;
    invocation->dropped_logs += !is_kept;
}

/* What is too long ends with the mark, which never stands in the middle of a character. */
AZFN_PRINTF(2, 0)
static struct azfn_span write_text(char out[LOG_TEXT_MAX_BYTES], const char *format, va_list arguments)
{
    int length = vsnprintf(out, LOG_TEXT_MAX_BYTES, format, arguments);
    if (length < (int)LOG_TEXT_MAX_BYTES) {
        return azfn__span(out, length < 0 ? 0 : (size_t)length);
    }
    size_t end = LOG_TEXT_MAX_BYTES - sizeof(AZFN__LOG_CUT_MARK);
    for (int i = 0; i < 3 && ((unsigned char)out[end] & 0xc0) == 0x80; i++) {
        end--;
    }
    memcpy(out + end, AZFN__LOG_CUT_MARK, sizeof(AZFN__LOG_CUT_MARK));
    return azfn__span(out, end + sizeof(AZFN__LOG_CUT_MARK) - 1);
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
    level = level > AZFN_LOG_ERROR ? AZFN_LOG_ERROR : level; /* a number that is none of them */
    if (goes_with_answer(invocation, level)) {
        collect(invocation, line);
    } else {
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

void azfn__invocation_tell_dropped_logs(struct azfn__invocation *invocation)
{
    struct azfn__dropped_logs dropped = {.lines = invocation->dropped_logs};
    if (dropped.lines == 0) { /* as nearly always, at the end of each invocation */
        return;
    }
    invocation->dropped_logs = 0;
    azfn__dispatcher_tell_dropped(invocation->dispatcher, invocation, &dropped);
}

void azfn__invocation_forget_logs(struct azfn__invocation *invocation)
{
    azfn__buffer_reset(&invocation->logs, SIZE_MAX);
    invocation->log_count = 0;
}

void azfn__invocation_flush_logs(struct azfn__invocation *invocation)
{
    if (invocation->logs.length == 0 && invocation->dropped_logs == 0) {
        return;
    }
    struct azfn_span rest = azfn__buffer_span(&invocation->logs);
    struct azfn_span text;
    while (azfn__payload_take_text(&rest, &text)) {
        azfn__dispatcher_log(invocation->dispatcher, invocation, AZFN_LOG_INFORMATION, text);
    }
    azfn__invocation_forget_logs(invocation);
    azfn__invocation_tell_dropped_logs(invocation);
}
