/* base/log_line.h
 * One entry of the log as one line of JSON that the Functions host takes with the right level: no text
 * can start a line, end one, or turn an Error into a Warning. Pure. */
#ifndef AZFN_BASE_LOG_LINE_H
#define AZFN_BASE_LOG_LINE_H

#include "base/buffer.h"

#include <azfn.h>

#define AZFN__LOG_LINE_MAX_BYTES ((size_t)8 << 10)

enum azfn__log_origin { AZFN__ORIGIN_BROKER, AZFN__ORIGIN_WORKER, AZFN__ORIGIN_WORKER_STDOUT, AZFN__ORIGIN_WORKER_STDERR };

struct azfn__log_entry {
    enum azfn_log_level level;
    enum azfn__log_origin origin;
    struct azfn_span event;         /* Optional. OWASP's vocabulary: "sys_crash:worker". */
    struct azfn_span description;   /* Required. Any bytes. */
    struct azfn_span function;      /* Optional. */
    struct azfn_span invocation_id; /* Optional. */
    struct azfn_span app_id;        /* Optional. The function app's name. */
    int64_t time_ms;                /* since the epoch, UTC */
};

/* Appends the line with its newline, at most AZFN__LOG_LINE_MAX_BYTES: a longer description is cut and ends
 * with "[cut]". The host makes a Warning of a stderr line that holds "warn" in any case: a Warning has it in
 * its level, in an Error's texts it is written w\u0061rn, which JSON readers undo. */
void azfn__log_line_append(struct azfn__buffer *out, const struct azfn__log_entry *entry);

#endif
