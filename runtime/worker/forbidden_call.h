/* worker/forbidden_call.h
 * The end of a worker that makes a system call which its sandbox forbids: on whichever thread it happened, the flight
 * record gets the call's number, and the process ends. */
#ifndef AZFN_WORKER_FORBIDDEN_CALL_H
#define AZFN_WORKER_FORBIDDEN_CALL_H

#include "worker/flight_record.h"

#include <azfn.h>

/* Where a shell's exit code for SIGSYS would be. */
#define AZFN__EXIT_FORBIDDEN_CALL 159

/* On the loop's thread, once, before any filter. record outlives the process. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__forbidden_call_watch(struct azfn__flight_record *record);

/* On each further thread, with its number, from 1 to AZFN__FLIGHT_RECORD_THREADS: so that it is told whatever its stack
 * has become. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__forbidden_call_watch_thread(unsigned number);

#endif
