/* broker/launcher_process.h
 * The launcher's own side of broker/launcher.h. */
#ifndef AZFN_BROKER_LAUNCHER_PROCESS_H
#define AZFN_BROKER_LAUNCHER_PROCESS_H

#include "broker/launcher.h"

enum azfn__launcher_command_kind {
    AZFN__LAUNCHER_BECOME = 1, /* value: the user, 0 to stay what it is */
    AZFN__LAUNCHER_START = 2,  /* with the worker's descriptors */
    AZFN__LAUNCHER_KILL = 3,   /* value: the pid */
    AZFN__LAUNCHER_BECOME_REPORTING = 4, /* as the first, but its sandbox forbids nothing */
};

struct azfn__launcher_command {
    uint32_t kind;
    uint32_t value;
};

/* Everything the launcher ever does. Never returns. */
_Noreturn void azfn__launcher_run(int socket, int executable, char *const arguments[]);

#endif
