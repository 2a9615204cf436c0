/* broker/https_client.h
 * Requests to other servers on the broker's loop: loads azfn-https.so and lends it the loop's sockets and timer. */
#ifndef AZFN_BROKER_HTTPS_CLIENT_H
#define AZFN_BROKER_HTTPS_CLIENT_H

#include "https/https_module.h"

#include <azfn.h>
#include <uv.h>

struct azfn__https_client;

/* The module's table, from its file. NULL: *out_reason says why, valid until the next call. */
const struct azfn__https_api *azfn__https_module_load(const char *path, const char **out_reason);

/* api must outlive the client. development_ca: PEM, may be absent.
 * Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM; *out_reason is static text then. */
AZFN_MUST_USE enum azfn_error azfn__https_client_new(uv_loop_t *loop, const struct azfn__https_api *api,
                                                     struct azfn_span development_ca,
                                                     struct azfn__https_client **out_client, const char **out_reason);
/* Ends what is in flight without a call; its handles close on later turns of the loop. NULL is fine. */
void azfn__https_client_destroy(struct azfn__https_client *client);

/* As in https_module.h. */
AZFN_MUST_USE enum azfn_error azfn__https_client_start(struct azfn__https_client *client,
                                                       const struct azfn__https_request_options *options,
                                                       struct azfn__https_request **out_request);
void azfn__https_client_resume(struct azfn__https_client *client, struct azfn__https_request *request);
void azfn__https_client_cancel(struct azfn__https_client *client, struct azfn__https_request *request);

#endif
