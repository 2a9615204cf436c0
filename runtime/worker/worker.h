/* worker/worker.h
 * The process that parses requests and runs the functions. It finds everything it needs in the descriptors
 * that the launcher gave it (broker/launcher.h) and has no environment. */
#ifndef AZFN_WORKER_WORKER_H
#define AZFN_WORKER_WORKER_H

#include "app.h"

/* What the launcher passes on the command line. */
#define AZFN__WORKER_ARGUMENT "--worker"

/* It has found the socket in a state in which it can't listen. */
#define AZFN__WORKER_EXIT_CANT_LISTEN 158

/* Returns the process's exit code. */
int azfn__worker_run(const struct azfn__app *app);

#endif
