/* broker/settings.h
 * The app settings that azfn.json names, copied out of the environment before it is wiped. Not secrets. */
#ifndef AZFN_BROKER_SETTINGS_H
#define AZFN_BROKER_SETTINGS_H

#include "base/arena.h"
#include "config/config.h"

struct azfn__setting {
    struct azfn_span name;
    struct azfn_span value; /* absent: it is not set */
};

struct azfn__settings {
    const struct azfn__setting *items;
    size_t count;
};

/* Absent when it is not set or not named in azfn.json. */
struct azfn_span azfn__settings_get(const struct azfn__settings *settings, struct azfn_span name);

/* text with every %NAME% replaced, in arena. Absent: without memory, or *out_missing is the name that is not set. */
struct azfn_span azfn__settings_replace(const struct azfn__settings *settings, struct azfn__arena *arena,
                                        struct azfn_span text, struct azfn_span *out_missing);

#endif
