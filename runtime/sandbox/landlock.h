/* sandbox/landlock.h
 * Landlock, by its system calls, since there is no library for it: what a process may reach in the file system, over
 * TCP, and of other processes. Takes from the calling thread, and from what it creates later: so it is called
 * before there are others. */
#ifndef AZFN_SANDBOX_LANDLOCK_H
#define AZFN_SANDBOX_LANDLOCK_H

#include <azfn.h>

/* The version of the interface that the kernel has, -1 for none. Alone in its file, so that a test program can have an
 * older kernel's. */
long azfn__landlock_version(void);

/* What the kernel can restrict: layers of sandbox/layers.h, 0 without Landlock. */
unsigned azfn__landlock_offered(void);

/* A file or all below a folder. */
struct azfn__landlock_path {
    const char *path;
    bool may_execute; /* besides reading */
};

struct azfn__landlock_rules {
    unsigned layers; /* those of Landlock that are wanted; what the kernel does not offer is left out */
    const struct azfn__landlock_path *paths; /* what may be read; one that does not exist is left out */
    size_t path_count;
    const uint16_t *connect_ports; /* TCP */
    size_t connect_port_count;
};

/* Needs no_new_privs. Error: AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__landlock_apply(const struct azfn__landlock_rules *rules);

#endif
