#include "broker/environment.h"

#include "base/span.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct azfn_span azfn__environment_get(struct azfn_span name)
{
    for (char **entry = environ; entry && *entry; entry++) {
        if (strncmp(*entry, name.data, name.length) == 0 && (*entry)[name.length] == '=') {
            return azfn_span_of(*entry + name.length + 1);
        }
    }
    return azfn__absent();
}

struct azfn_span azfn__environment_copy(struct azfn__arena *arena, struct azfn_span name)
{
    struct azfn_span value = azfn__environment_get(name);
    return azfn_span_is_present(value) ? azfn__arena_copy(arena, value) : value;
}

void azfn__environment_wipe(void)
{
    for (char **entry = environ; entry && *entry; entry++) {
        sodium_memzero(*entry, strlen(*entry));
    }
    clearenv();
}
