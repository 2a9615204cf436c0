/* broker/supervisor_log.h
 * What the log says of the lives of workers and of the launcher. */
#ifndef AZFN_BROKER_SUPERVISOR_LOG_H
#define AZFN_BROKER_SUPERVISOR_LOG_H

#include "broker/log_sink.h"
#include "broker/worker_process.h"

#include <azfn.h>

struct azfn__supervisor_log {
    struct azfn__log_sink *sink;
    char last_fault[256]; /* why the last start failed, as far as somebody said so */
};

/* Before another start. */
void azfn__supervisor_log_forget_fault(struct azfn__supervisor_log *log);
/* Why a worker can't be there, which is kept for the last line of all. worker: NULL where there is none yet; its end is
 * told then. */
void azfn__supervisor_log_fault(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                                enum azfn__log_origin origin, struct azfn_span text);
void azfn__supervisor_log_errno(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                                const char *what, int error);
/* That no start was left of so many. is_other_serving: it was to be a successor; otherwise the handler ends. */
void azfn__supervisor_log_failed_starts(struct azfn__supervisor_log *log, unsigned attempts, bool is_other_serving);

void azfn__supervisor_log_startup(struct azfn__supervisor_log *log, const struct azfn__worker_process *worker,
                                  bool is_successor);
/* How it ended, as waitpid() gives it. What it ran is added to suspects. */
void azfn__supervisor_log_death(struct azfn__supervisor_log *log, const struct azfn__worker_process *worker, int status,
                                struct azfn__suspects *suspects);
/* An event about a worker that is killed then, with what it says its loop runs; its end is told then. */
void azfn__supervisor_log_kill(struct azfn__supervisor_log *log, struct azfn__worker_process *worker,
                               enum azfn__security_event event, const char *what, const char *reason);
/* It was replaced, and has finished what it had. */
void azfn__supervisor_log_finished(struct azfn__supervisor_log *log);

/* Another one takes the place of one that has ended; or of one that asks for it, why being the worker's own word. */
void azfn__supervisor_log_restart(struct azfn__supervisor_log *log);
void azfn__supervisor_log_replacement(struct azfn__supervisor_log *log, struct azfn_span why);

/* What the handler ends for. */
void azfn__supervisor_log_socket(struct azfn__supervisor_log *log);
void azfn__supervisor_log_launcher_ended(struct azfn__supervisor_log *log);
void azfn__supervisor_log_launcher_hangs(struct azfn__supervisor_log *log, unsigned limit_ms);
void azfn__supervisor_log_unfinished(struct azfn__supervisor_log *log, uint64_t waited_ms, const char *why);

#endif
