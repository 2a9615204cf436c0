/* base/log_line.h
 * One entry of the log as one line of JSON that the Functions host takes with the right level: no text
 * can start a line, end one, or turn an Error into a Warning. Pure. */
#ifndef AZFN_BASE_LOG_LINE_H
#define AZFN_BASE_LOG_LINE_H

#include "base/buffer.h"
#include "base/security_event.h"

#include <azfn.h>

#define AZFN__LOG_LINE_MAX_BYTES ((size_t)8 << 10)
/* Behind a text that is not whole. */
#define AZFN__LOG_CUT_MARK "[cut]"

enum azfn__log_origin {
    AZFN__ORIGIN_BROKER,
    AZFN__ORIGIN_WORKER,
    AZFN__ORIGIN_WORKER_STDOUT,
    AZFN__ORIGIN_WORKER_STDERR,
};

struct azfn__log_entry {
    enum azfn__security_event event; /* AZFN__EVENT_NONE: a line that is no event */
    enum azfn_log_level level;       /* of a line that is no event; an event has its own */
    enum azfn__log_origin origin;
    struct azfn__event_fields fields; /* What the catalogue does not give the event is left out. */
    struct azfn_span description;     /* Required. Any bytes. */
    struct azfn_span app_id;          /* Optional. The function app's name. */
    uint64_t sequence;                /* of all lines of this process, from 1 */
    int64_t time_ms;                  /* since the epoch, UTC */
};

enum azfn_log_level azfn__log_entry_level(const struct azfn__log_entry *entry);

/* Appends the line with its newline, at most AZFN__LOG_LINE_MAX_BYTES: a text that is too long is cut and ends
 * with "[cut]"; a field has its own limit, the description what is left. The host makes a Warning of a stderr line
 * that holds "warn" in any case: a Warning has it in its level, in an Error's texts it is written w\u0061rn, which
 * JSON readers undo. Where out has room for the longest line, no memory is asked for, and a handler of signals may
 * write one; where it can't have it, out has failed. */
void azfn__log_line_append(struct azfn__buffer *out, const struct azfn__log_entry *entry);

/* For a log that writes what a JSON string stands for as it is: appends one that stands for the text on one line, with
 * "\n", "\u001b" and the like in the place of what would end it, speak to a terminal or reorder its letters. */
void azfn__log_text_append(struct azfn__buffer *out, struct azfn_span text);

#endif
