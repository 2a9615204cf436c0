/* sandbox/limits.h
 * Resource limits of the worker: what the other layers do not look at. */
#ifndef AZFN_SANDBOX_LIMITS_H
#define AZFN_SANDBOX_LIMITS_H

#include <azfn.h>

struct azfn__limits {
    uint64_t descriptors;
    uint64_t data_bytes; /* heap, anonymous memory, stacks */
};

/* No further process or thread, no file written, and these; none is ever raised. The threads must exist. Error:
 * AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__limits_apply(const struct azfn__limits *limits);

#endif
