#include "sandbox/limits.h"

#include <sys/resource.h>

/* Hard and soft: without privileges there is no way back. */
static bool lower(__rlimit_resource_t resource, uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0) {
        return false;
    }
    limit.rlim_max = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    limit.rlim_cur = limit.rlim_cur < limit.rlim_max ? limit.rlim_cur : limit.rlim_max;
    return setrlimit(resource, &limit) == 0;
}

enum azfn_error azfn__limits_apply(const struct azfn__limits *limits)
{
    return lower(RLIMIT_NPROC, 0) && lower(RLIMIT_FSIZE, 0) && lower(RLIMIT_CORE, 0) &&
                   lower(RLIMIT_NOFILE, limits->descriptors) && lower(RLIMIT_DATA, limits->data_bytes)
               ? AZFN_OK
               : AZFN_ERROR_SYSTEM;
}
