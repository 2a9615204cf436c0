/* https/https_module.h
 * What azfn-https.so offers the broker: requests over HTTPS with libcurl, driven by somebody else's event loop.
 * The module is the only code that knows libcurl, and knows nothing of libuv, the configuration or Azure. The broker
 * loads it (broker/https_client.h); tests put a table of their own in its place. One thread. */
#ifndef AZFN_HTTPS_HTTPS_MODULE_H
#define AZFN_HTTPS_HTTPS_MODULE_H

#include <azfn.h>

#define AZFN__HTTPS_MODULE_VERSION 2
/* The one symbol of the module, a struct azfn__https_api. */
#define AZFN__HTTPS_MODULE_SYMBOL "azfn__https_api"

struct azfn__https_engine; /* all requests in flight, and the connections that are kept */
struct azfn__https_request;

/* What the engine needs of the event loop. */
struct azfn__https_io {
    /* Watch fd for these from now on, in place of what was said before; neither: no more. */
    void (*watch)(int fd, bool wants_read, bool wants_write, void *user_data);
    /* Call on_timer once after that time, in place of what was said before; negative: not at all. */
    void (*arm_timer)(int64_t delay_ms, void *user_data);
    void *user_data;
};

struct azfn__https_engine_options {
    struct azfn__https_io io;              /* Required. */
    struct azfn_span development_ca;       /* Optional. PEM; copied. Trusted for requests that say so, and only there. */
    uint32_t max_connections;              /* Optional; 0 means 64. Kept or in use; further requests wait for one. */
};

struct azfn__https_header {
    struct azfn_span name;
    struct azfn_span value;
};

enum azfn__https_trust {
    AZFN__HTTPS_TRUST_SYSTEM,      /* the authorities of the system's CA bundle */
    AZFN__HTTPS_TRUST_DEVELOPMENT, /* development_ca, nothing else */
    AZFN__HTTPS_PLAIN_HTTP,        /* http:// on a loopback or link-local address given as a number: managed identity */
};

/* Each is called from on_socket, on_timer or cancel's caller never, that is, always on a later turn than start. After
 * on_done nothing is called, and the request is gone. In all of them requests may be started and cancelled. */
struct azfn__https_callbacks {
    /* The final head (no 1xx). The spans are valid during the call. */
    void (*on_head)(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data);
    /* The next bytes of the body. False: not now; they come again after resume(). */
    bool (*on_body)(struct azfn_span bytes, void *user_data);
    /* Where body_bytes is not 0: up to capacity next bytes of the request's body, their count in *out_length. 0 with
     * *out_is_last false: not now, resume() will tell. */
    void (*on_read)(char *bytes, size_t capacity, size_t *out_length, bool *out_is_last, void *user_data);
    /* AZFN_OK: the answer is whole. Otherwise AZFN_ERROR_TIMEOUT, AZFN_ERROR_LIMIT (headers or body too large),
     * AZFN_ERROR_UNAVAILABLE (no connection, broken off), AZFN_ERROR_SYNTAX (not HTTP), AZFN_ERROR_FORBIDDEN (the
     * certificate is not trusted, or not of that host), AZFN_ERROR_NO_MEMORY. reason: for the log, no secret in it, never
     * NULL. was_sent: some of the request may have reached the server. */
    void (*on_done)(enum azfn_error error, const char *reason, bool was_sent, void *user_data);
};

#define AZFN__HTTPS_UNKNOWN_LENGTH UINT64_MAX

/* Everything is copied, and what was copied is wiped. */
struct azfn__https_request_options {
    struct azfn_span method; /* Required. "GET" */
    struct azfn_span url;    /* Required. */
    /* Optional. Content-Length, Transfer-Encoding and Expect are left out: body_bytes says how it is sent. */
    const struct azfn__https_header *headers;
    size_t header_count;
    uint64_t body_bytes;         /* 0: no body; AZFN__HTTPS_UNKNOWN_LENGTH: ended by on_read */
    enum azfn__https_trust trust;
    bool goes_first;             /* Optional. What others wait for: a few connections are kept for such ones. */
    uint32_t connect_timeout_ms; /* Optional; 0 means 10 s. */
    uint32_t timeout_ms;         /* Required. Of all. */
    uint64_t max_head_bytes;     /* Optional; 0 means 64 KiB. */
    uint64_t max_body_bytes;     /* Required. As sent: nothing is decompressed. */
    struct azfn__https_callbacks callbacks;
    void *user_data;
};

struct azfn__https_api {
    uint32_t version; /* AZFN__HTTPS_MODULE_VERSION */
    /* Errors: AZFN_ERROR_NO_MEMORY, AZFN_ERROR_SYSTEM; *out_reason is static text then. */
    enum azfn_error (*engine_new)(const struct azfn__https_engine_options *options,
                                  struct azfn__https_engine **out_engine, const char **out_reason);
    /* Requests in flight end without a call. */
    void (*engine_destroy)(struct azfn__https_engine *engine);
    void (*on_socket)(struct azfn__https_engine *engine, int fd, bool is_readable, bool is_writable);
    void (*on_timer)(struct azfn__https_engine *engine);
    /* Errors: AZFN_ERROR_INVALID_ARGUMENT (an URL that trust does not allow; a method or a header that is none, so that
     * it could become another request), AZFN_ERROR_NO_MEMORY. */
    enum azfn_error (*start)(struct azfn__https_engine *engine, const struct azfn__https_request_options *options,
                             struct azfn__https_request **out_request);
    /* There is room for more of the answer, or more of the request's body. */
    void (*resume)(struct azfn__https_request *request);
    /* Ends it; nothing is called for it any more. */
    void (*cancel)(struct azfn__https_request *request);
};

#endif
