/* config/config_policy.h
 * The tables of azfn.json that functions refer to. For config_azfn_json.c, which reads the rest. */
#ifndef AZFN_CONFIG_CONFIG_POLICY_H
#define AZFN_CONFIG_CONFIG_POLICY_H

#include "config/config_reader.h"
#include "config/config_text.h"

/* How the tables are sorted: by bytes. */
int azfn__config_order(struct azfn_span a, struct azfn_span b);

/* A member that is an object of anything, or is not there: then *out_count is 0. */
AZFN_MUST_USE enum azfn_error azfn__config_find_map(struct azfn__config_reader *reader,
                                                    const struct azfn__config_node *root, const char *key,
                                                    size_t max_count, struct azfn__config_node *out_map,
                                                    size_t *out_count);

AZFN_MUST_USE enum azfn_error azfn__config_read_secrets(struct azfn__config *config,
                                                        struct azfn__config_reader *reader,
                                                        const struct azfn__config_node *root);
/* The secrets must be there. */
AZFN_MUST_USE enum azfn_error azfn__config_read_destinations(struct azfn__config *config,
                                                             struct azfn__config_reader *reader,
                                                             const struct azfn__config_node *root);
/* One of them: config_destination.c. The secrets must be there. */
AZFN_MUST_USE enum azfn_error azfn__config_read_destination(const struct azfn__config *config,
                                                            struct azfn__config_reader *reader,
                                                            const struct azfn__config_node *node,
                                                            struct azfn__config_destination *out_destination);
/* "identity": config_identity.c. */
AZFN_MUST_USE enum azfn_error azfn__config_read_identity(struct azfn__config *config,
                                                         struct azfn__config_reader *reader,
                                                         const struct azfn__config_node *root);

/* A required member that is text of some form. check gives what was expected, or NULL. What may be a secret that was
 * pasted by mistake is not shown. */
AZFN_MUST_USE enum azfn_error azfn__config_read_checked(struct azfn__config_reader *reader,
                                                        const struct azfn__config_node *object, const char *key,
                                                        const char *expected, const char *(*check)(struct azfn_span),
                                                        struct azfn_span *out_text);

#endif
