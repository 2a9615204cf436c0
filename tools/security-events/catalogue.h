/* security-events/catalogue.h
 * The catalogue of security events as data, with the texts that the runtime itself does not need. */
#ifndef SECURITY_EVENTS_CATALOGUE_H
#define SECURITY_EVENTS_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalogue_field {
    const char *name;
    const char *type; /* "text", "list", "url", "number", "time" */
    const char *meaning;
};

struct catalogue_event {
    const char *name;
    const char *level;  /* as on the line: "WARN" */
    const char *source; /* "broker", "worker", "function", "any" */
    bool is_counted;
    uint64_t fields; /* a bit for each of catalogue_fields */
    const char *when;
    const char *action;
};

extern const struct catalogue_field catalogue_common_fields[]; /* of every line, in its order */
extern const size_t catalogue_common_field_count;
extern const struct catalogue_field catalogue_fields[];
extern const size_t catalogue_field_count;
extern const struct catalogue_event catalogue_events[];
extern const size_t catalogue_event_count;

#endif
