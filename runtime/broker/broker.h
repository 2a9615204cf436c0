/* broker/broker.h
 * The process that the host starts: it reads the environment once and wipes it, reads the configuration,
 * binds the port, gives up root, has the worker started, and writes the log. It never parses a request of
 * the outside world. */
#ifndef AZFN_BROKER_BROKER_H
#define AZFN_BROKER_BROKER_H

#include "app.h"

/* Returns the process's exit code. */
int azfn__broker_run(const struct azfn__app *app);

#endif
