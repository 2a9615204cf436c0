/* broker/identity.h
 * The app's managed identity: tokens for an audience. A source of credentials (the key is the audience); the one kind
 * there is asks the endpoint of App Service, Functions and Container Apps. */
#ifndef AZFN_BROKER_IDENTITY_H
#define AZFN_BROKER_IDENTITY_H

#include "broker/credential_cache.h"
#include "broker/https_client.h"

/* Which one of the app's identities. */
enum azfn__identity_kind {
    AZFN__IDENTITY_SYSTEM_ASSIGNED,
    AZFN__IDENTITY_CLIENT_ID,
    AZFN__IDENTITY_RESOURCE_ID,
    AZFN__IDENTITY_PRINCIPAL_ID,
};

struct azfn__identity_options {
    struct azfn__https_client *https;    /* Required. Outlives the identity, as the slab. */
    struct azfn__secret_slab *slab;      /* Required. */
    struct azfn_span endpoint;           /* IDENTITY_ENDPOINT; copied. Absent: each fetch fails with a clear reason. */
    struct azfn__secret *endpoint_header; /* IDENTITY_HEADER; stays the caller's, outlives the identity. May be NULL. */
    enum azfn__identity_kind kind;
    struct azfn_span id; /* of the user-assigned one; copied */
    uint64_t (*now_ms)(void); /* Optional; NULL is the wall clock. */
};

/* *out_reason says what is wrong with an endpoint that can't be used: static text, *out_identity is made all the
 * same and fails each fetch with it; NULL: nothing. Errors: AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__identity_new(const struct azfn__identity_options *options,
                                                 struct azfn__credential_source **out_identity,
                                                 const char **out_reason);
/* After the cache in front of it. NULL is fine. */
void azfn__identity_destroy(struct azfn__credential_source *identity);

#endif
