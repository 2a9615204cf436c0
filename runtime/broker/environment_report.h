/* broker/environment_report.h
 * Which variables of the environment look like secrets, by their names and values: for an event at start, with names
 * only. What the platform puts there is told apart from what the app's owner could move to Key Vault. */
#ifndef AZFN_BROKER_ENVIRONMENT_REPORT_H
#define AZFN_BROKER_ENVIRONMENT_REPORT_H

#include <azfn.h>

enum azfn__environment_kind {
    AZFN__ENVIRONMENT_NO_SECRET,
    AZFN__ENVIRONMENT_OWN_SECRET,
    AZFN__ENVIRONMENT_PLATFORM_SECRET,
};

/* Pure. A guess: it knows the usual forms, not every secret. */
enum azfn__environment_kind azfn__environment_kind_of(struct azfn_span name, struct azfn_span value);

/* "@Microsoft.KeyVault(...)" or "@Microsoft.AppConfiguration(...)", which the platform should have resolved. */
bool azfn__environment_is_reference(struct azfn_span value);

/* Names for a line of the log: "A, B and 7 more". */
struct azfn__environment_names {
    char text[1536];
    size_t length;
    size_t count;
};
void azfn__environment_names_add(struct azfn__environment_names *names, struct azfn_span name);
/* With the count of those that had no place. Call it once, after the last. */
const char *azfn__environment_names_text(struct azfn__environment_names *names);

struct azfn__environment_report {
    struct azfn__environment_names own;
    struct azfn__environment_names platform;
};

/* entries as in environ. The platform's copies, APPSETTING_<name>, count once with their originals. */
void azfn__environment_report_make(struct azfn__environment_report *report, const char *const *entries);

#endif
