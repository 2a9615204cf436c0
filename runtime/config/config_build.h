/* config/config_build.h
 * A configuration while it is made: who reads which file. For the sources of config.h only. */
#ifndef AZFN_CONFIG_CONFIG_BUILD_H
#define AZFN_CONFIG_CONFIG_BUILD_H

#include "config/config.h"
#include "config/config_reader.h"

/* What the host gives beyond this, before it restarts the whole handler. */
#define AZFN__CONFIG_TIMEOUT_MARGIN_MS 5000
#define AZFN__CONFIG_TIMEOUT_MIN_MS 1000

/* Where a function's route is written, for faults that are found later. */
struct azfn__config_origin {
    struct azfn_span function;
    size_t line;
    struct azfn_span pointer;
};

struct azfn__config_build {
    struct azfn__config *config;
    struct azfn__config_fault *fault;
    struct azfn__config_function *functions; /* the configuration's, while they may be written */
    struct azfn__config_origin *origins;     /* in the order in which the functions were read */
    struct azfn_span environment;            /* the lines of AZFN__CONFIG_ENVIRONMENT */
    /* Of the lines that this handler writes, the host passes on some only. */
    bool samples_lines;       /* to Application Insights: any of them */
    bool drops_lines;         /* Information, by its general rules */
    bool insights_drop_lines; /* Information, by those that hold for Application Insights */
};

AZFN_MUST_USE enum azfn_error azfn__config_read_host(struct azfn__config_build *build,
                                                     const struct azfn__config_file *file);
/* Of host.json as well, with the app settings that stand above it. */
AZFN_MUST_USE enum azfn_error azfn__config_read_logging(struct azfn__config_build *build,
                                                        struct azfn__config_reader *reader,
                                                        const struct azfn__config_node *root);
/* name is that of the folder. */
AZFN_MUST_USE enum azfn_error azfn__config_read_function(struct azfn__config_build *build,
                                                         const struct azfn__config_file *file, struct azfn_span name,
                                                         struct azfn__config_function *out_function,
                                                         struct azfn__config_origin *out_origin);
/* For all that azfn.json does not say. */
void azfn__config_set_defaults(struct azfn__config_build *build);
/* The functions must be there, sorted, with their defaults. */
AZFN_MUST_USE enum azfn_error azfn__config_read_azfn(struct azfn__config_build *build,
                                                     const struct azfn__config_file *file);
/* "limits" of azfn.json, over the defaults. */
AZFN_MUST_USE enum azfn_error azfn__config_read_limits(struct azfn__config *config,
                                                       struct azfn__config_reader *reader,
                                                       const struct azfn__config_node *root);

/* What only shows when all files are read: functions without a folder or the other way round, and routes of
 * forwarded functions that another function's events could come by. */
AZFN_MUST_USE enum azfn_error azfn__config_check_registered(struct azfn__config_build *build,
                                                            const struct azfn_function *registered,
                                                            size_t registered_count);
AZFN_MUST_USE enum azfn_error azfn__config_check_conflicts(struct azfn__config_build *build);
/* Fills in weaknesses and has_forgeable_envelopes. */
AZFN_MUST_USE enum azfn_error azfn__config_find_weaknesses(struct azfn__config_build *build);
/* Fills in setting_names. */
AZFN_MUST_USE enum azfn_error azfn__config_list_settings(struct azfn__config_build *build);
/* Fills in the functions' setting_values; setting_names must be there. lines are AZFN__CONFIG_SETTINGS. */
AZFN_MUST_USE enum azfn_error azfn__config_set_settings(struct azfn__config_build *build, struct azfn_span lines);

/* The most that a function may take; 0: no limit. */
uint32_t azfn__config_timeout_limit_ms(const struct azfn__config *config);

#endif
