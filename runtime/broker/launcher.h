/* broker/launcher.h
 * The process that starts workers. It exists because a broker that has given up root can't become the
 * worker's user again to replace one that died. Forked before the broker has copied anything from the
 * environment; a plain blocking loop that does three things and ends when the broker does.
 *
 * The functions below are the broker's side. */
#ifndef AZFN_BROKER_LAUNCHER_H
#define AZFN_BROKER_LAUNCHER_H

#include <azfn.h>

#include <sys/types.h>

/* What a worker finds, by descriptor; 0 is /dev/null, and there are no others. */
enum azfn__worker_descriptor {
    AZFN__WORKER_STDOUT = 1,
    AZFN__WORKER_STDERR = 2,
    AZFN__WORKER_LISTENER = 3,
    AZFN__WORKER_CHANNEL = 4,
    AZFN__WORKER_CONFIG = 5,
    AZFN__WORKER_FLIGHT_RECORD = 6,
    AZFN__WORKER_DESCRIPTOR_END
};
#define AZFN__WORKER_PASSED_DESCRIPTORS (AZFN__WORKER_DESCRIPTOR_END - 1)

struct azfn__launcher {
    pid_t pid;
    int fd; /* a SOCK_SEQPACKET socket; readable when there is a report, at end of file when the launcher is gone */
};

enum azfn__launcher_report_kind {
    AZFN__LAUNCHER_BECAME = 1,  /* value: errno, 0 when it is the user it was told to be */
    AZFN__LAUNCHER_STARTED = 2, /* pid; value: errno of what failed, 0 when the worker runs */
    AZFN__LAUNCHER_ENDED = 3,   /* pid; value: the status as waitpid() gives it */
};

struct azfn__launcher_report {
    uint32_t kind;
    int32_t pid;
    int32_t value;
};

/* Forks the launcher. executable is an O_PATH descriptor of this program, arguments what a worker gets. Call
 * it before any thread exists and before anything was copied out of the environment. Returns in the
 * broker only. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__launcher_fork(struct azfn__launcher *launcher, int executable,
                                                  char *const arguments[]);

enum azfn__launcher_sandbox { AZFN__LAUNCHER_ENFORCE, AZFN__LAUNCHER_REPORT };

/* Waits for the launcher: wiped, closed, and, where user is not 0, that user; and in its sandbox. Error:
 * AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__launcher_become(struct azfn__launcher *launcher, uid_t user,
                                                    enum azfn__launcher_sandbox sandbox);

/* descriptors[0] becomes the worker's descriptor 1, and so on; they stay the caller's to close. A report
 * AZFN__LAUNCHER_STARTED follows. Error: AZFN_ERROR_SYSTEM. */
AZFN_MUST_USE enum azfn_error azfn__launcher_start(struct azfn__launcher *launcher,
                                                   const int descriptors[AZFN__WORKER_PASSED_DESCRIPTORS]);
/* SIGKILL to a worker that it started; AZFN__LAUNCHER_ENDED follows. */
AZFN_MUST_USE enum azfn_error azfn__launcher_kill(struct azfn__launcher *launcher, pid_t pid);

/* Has the launcher end, with the workers that still run, and waits for it: for limit_ms at the most. */
void azfn__launcher_end(struct azfn__launcher *launcher, uint32_t limit_ms);

/* The next report, without waiting. AZFN_ERROR_UNAVAILABLE: there is none. AZFN_ERROR_NOT_FOUND: the launcher
 * is gone. */
AZFN_MUST_USE enum azfn_error azfn__launcher_receive(struct azfn__launcher *launcher,
                                                     struct azfn__launcher_report *out_report);

#endif
