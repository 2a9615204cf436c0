/* broker/privileges.h
 * Giving up what a process does not need: core dumps, debuggers, root. Each function is used by every
 * role, in the order of the design's start. */
#ifndef AZFN_BROKER_PRIVILEGES_H
#define AZFN_BROKER_PRIVILEGES_H

#include <azfn.h>

#include <sys/types.h>

/* No core file, and not dumpable: no other process of the same user may read this one's memory. The kernel
 * undoes the latter at execve and at a change of user: to be called again after each.
 * Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__privileges_forbid_dumps(void);

/* No program that is executed from here on gets more rights than its caller (no setuid, no capabilities of
 * files), in this process and all its children. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__privileges_forbid_new(void);

bool azfn__privileges_are_root(void);

/* Becomes that user, with the group of the same number and no supplementary groups, for good: real,
 * effective and saved ids are read back. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__privileges_become(uid_t user);

#endif
