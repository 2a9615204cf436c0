/* broker/host_environment.h
 * What the broker takes of the environment that the host gives before it has read the configuration: by name, and no
 * secret. */
#ifndef AZFN_BROKER_HOST_ENVIRONMENT_H
#define AZFN_BROKER_HOST_ENVIRONMENT_H

#include "base/arena.h"

#include <azfn.h>

struct azfn__host_environment {
    uint16_t port;
    struct azfn_span app_id;            /* the texts: absent where they are not set */
    struct azfn_span app_root;          /* NUL-terminated */
    struct azfn_span identity_endpoint;
    struct azfn_span config_lines;      /* AZFN__CONFIG_ENVIRONMENT; may be empty */
};

/* The texts live in arena. NULL, or static text: why the handler must not start; all but port is filled in then too. */
const char *azfn__host_environment_copy(struct azfn__host_environment *out_environment, struct azfn__arena *arena);

#endif
