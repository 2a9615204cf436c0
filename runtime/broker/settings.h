/* broker/settings.h
 * The app settings that azfn.json names, copied out of the environment before it is wiped. Not secrets. */
#ifndef AZFN_BROKER_SETTINGS_H
#define AZFN_BROKER_SETTINGS_H

#include "base/arena.h"
#include "base/buffer.h"
#include "config/config.h"

struct azfn__setting {
    struct azfn_span name;
    struct azfn_span value; /* absent: it is not set */
};

struct azfn__settings {
    const struct azfn__setting *items;
    size_t count;
};

/* Copies those that config names, and no others, into arena. Before the environment is wiped. Errors:
 * AZFN_ERROR_INVALID_ARGUMENT (one has a line end in its value), AZFN_ERROR_NO_MEMORY, with *out_fault. */
AZFN_MUST_USE enum azfn_error azfn__settings_copy(struct azfn__settings *settings, struct azfn__arena *arena,
                                                  const struct azfn__config *config,
                                                  struct azfn__config_fault *out_fault);

/* Appends AZFN__CONFIG_SETTINGS, what the worker gets: of those that are granted to a function, not those that only
 * references and URLs use, "NAME=value\n" each. */
void azfn__settings_append_granted(const struct azfn__settings *settings, const struct azfn__config *config,
                                   struct azfn__buffer *out);

/* Absent when it is not set or not named in azfn.json. */
struct azfn_span azfn__settings_get(const struct azfn__settings *settings, struct azfn_span name);

/* text with every %NAME% replaced, in arena. Absent: without memory, or *out_missing is the name that is not set. */
struct azfn_span azfn__settings_replace(const struct azfn__settings *settings, struct azfn__arena *arena,
                                        struct azfn_span text, struct azfn_span *out_missing);

#endif
