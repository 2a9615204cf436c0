/* config/config.h
 * What the app is: host.json, each <function>/function.json and azfn.json, checked as a whole and then
 * immutable. Made twice from the same bytes: by the broker, which read the files, and by the worker, which
 * gets those bytes in a sealed memfd. Pure: config_files.h does the reading. */
#ifndef AZFN_CONFIG_CONFIG_H
#define AZFN_CONFIG_CONFIG_H

#include "base/arena.h"
#include "config/config_limits.h"
#include "config/route.h"
#include "config/route_index.h"

#include <azfn.h>

#include <sys/types.h>

enum azfn__trigger {
    AZFN__TRIGGER_HTTP,
    AZFN__TRIGGER_TIMER,
    AZFN__TRIGGER_QUEUE,
    AZFN__TRIGGER_OTHER, /* anything else that arrives in an envelope */
};

/* How the text of an output reaches its destination unchanged (HOST_CONTRACT: queue output strings). */
enum azfn__output_encoding {
    AZFN__OUTPUT_HTTP,     /* the object with statusCode, headers and body */
    AZFN__OUTPUT_TEXT,     /* a message binding with dataType binary: the host leaves the string alone */
    AZFN__OUTPUT_BASE64,   /* any other message binding: the host decodes a string that is base64 */
    AZFN__OUTPUT_DOCUMENT, /* a JSON value: Cosmos DB, tables, ... */
};

struct azfn__config_binding {
    struct azfn_span name; /* "$return" for the return value */
    struct azfn_span type; /* as written, "queueTrigger" */
    bool is_input; /* one with the direction "inout" is here twice, as an input and as an output */
    enum azfn__output_encoding encoding; /* outputs only */
};

/* Bits of azfn__config_function.methods, in the order of azfn__method_name(). */
enum azfn__method {
    AZFN__METHOD_GET, AZFN__METHOD_HEAD, AZFN__METHOD_POST, AZFN__METHOD_PUT, AZFN__METHOD_DELETE,
    AZFN__METHOD_OPTIONS, AZFN__METHOD_PATCH, AZFN__METHOD_TRACE,
    AZFN__METHOD_COUNT
};
struct azfn_span azfn__method_name(enum azfn__method method);

/* Who may call an HTTP function: the host checks it, by the keys of the app. */
enum azfn__auth_level { AZFN__AUTH_ANONYMOUS, AZFN__AUTH_FUNCTION, AZFN__AUTH_ADMIN };

struct azfn__config_function {
    struct azfn_span name;
    enum azfn__trigger trigger;
    const struct azfn__config_binding *bindings;
    size_t binding_count;
    const struct azfn__config_binding *trigger_binding;
    const struct azfn__config_binding *http_output; /* NULL where there is none; its name may be "$return" */

    bool is_forwarded;         /* the host passes the client's request on; all others come in envelopes */
    uint32_t methods;          /* HTTP trigger: bit 1 << enum azfn__method */
    enum azfn__auth_level auth_level; /* HTTP trigger */
    struct azfn__route *route; /* HTTP trigger: with the route prefix; NULL otherwise */

    uint32_t timeout_ms;
    uint64_t max_body_bytes;
    uint32_t max_concurrent;

    /* What azfn.json grants, names of members of the tables below. */
    const struct azfn_span *secrets;
    size_t secret_count;
    const struct azfn_span *destinations;
    size_t destination_count;
    const struct azfn_span *settings;
    size_t setting_count;
    const struct azfn_span *setting_values; /* in the order of settings; absent: not set. The worker's only */
};

struct azfn__config_secret {
    struct azfn_span name;
    /* "@Microsoft.KeyVault(...)", checked for its form, %NAME% not yet replaced: config_text.h takes it apart */
    struct azfn_span reference;
    bool is_preloaded; /* "preload": fetched at start, not when it is first asked for */
};

/* What the broker puts into every request to a destination: {"x-ms-version": "2023-11-03"}. */
struct azfn__config_header {
    struct azfn_span name;
    struct azfn_span value;
};

struct azfn__config_destination {
    struct azfn_span name;
    struct azfn_span url; /* https://..., %NAME% not yet replaced */
    uint32_t methods;
    struct azfn_span managed_identity; /* the audience; absent where a header is used */
    struct azfn_span header;           /* the header's name; absent where an identity is used */
    struct azfn_span secret;           /* the header's value; all three are absent for "authenticate": "none" */
    const struct azfn__config_header *headers;
    size_t header_count;
    uint32_t timeout_ms;         /* of a request with its retries; the invocation's own time may end it sooner */
    uint64_t max_request_bytes;  /* of a body */
    uint64_t max_response_bytes;
};

/* "identity": which one of the app's managed identities; all absent: the system-assigned one. May hold %NAME%. */
struct azfn__config_identity {
    struct azfn_span client_id;
    struct azfn_span resource_id;
    struct azfn_span principal_id;
};

/* What the log says at start; each reason is one that can be accepted without the others. */
struct azfn__config_weakness {
    struct azfn_span reason;
    struct azfn_span function; /* absent: the app as a whole */
    struct azfn_span text;     /* what is set, and what to write instead */
};

struct azfn__config {
    const struct azfn__config_function *functions; /* sorted by name without regard to case, as the host does */
    size_t function_count;
    const struct azfn__route_index *route_index; /* of the forwarded functions, by their place in functions */
    const struct azfn__config_secret *secrets; /* sorted by name, and so are the destinations */
    size_t secret_count;
    const struct azfn__config_destination *destinations;
    size_t destination_count;
    const struct azfn_span *setting_names; /* see azfn__config_setting_at() */
    size_t setting_name_count;

    bool is_forwarding; /* customHandler.enableForwardingHttpRequest */
    bool is_proxying;   /* customHandler.enableProxyingHttpRequest */
    bool is_core_tools; /* run by Core Tools: envelopes have a Content-Length */
    bool has_application_insights;
    bool is_easy_auth_on; /* App Service Authentication: X-MS-CLIENT-PRINCIPAL is the platform's word */
    /* A client could have the host forward what looks like an envelope: the route of a forwarded function
     * takes POST and any text, the host makes "/" of a backslash in it and then resolves "..". Only that an
     * envelope is chunked, which a forwarded request never is, tells them apart. */
    bool has_forgeable_envelopes;
    /* What the host's settings leave open. */
    const struct azfn__config_weakness *weaknesses;
    size_t weakness_count;
    struct azfn_span route_prefix; /* "api"; may be empty */
    uint32_t function_timeout_ms;  /* host.json's functionTimeout; 0: none */
    struct azfn__config_limits limits;

    struct azfn__config_identity identity;
    bool refuses_secrets_in_environment; /* azfn.json: "secretsInEnvironment": "refuse" */
    bool is_sandbox_report_only; /* azfn.json: "sandbox": "report" */
    uid_t broker_user; /* used only when started as root; the groups have the same numbers */
    uid_t worker_user;

    struct azfn__arena arena; /* owns everything above */
};

/* Not files' names: lines of NAME=value. What the broker knows of the environment before it reads azfn.json, and the
 * settings that azfn.json grants, which the worker gets. */
#define AZFN__CONFIG_ENVIRONMENT "(environment)"
#define AZFN__CONFIG_SETTINGS "(settings)"
/* Lines of the first one; besides, settings that stand above host.json, as they are: of its "logging" and its
 * "telemetryMode". */
#define AZFN__CONFIG_HOST_SETTING "AzureFunctionsJobHost"
#define AZFN__CONFIG_HAS_APPLICATION_INSIGHTS "APPLICATIONINSIGHTS_CONNECTION_STRING=(set)\n"
#define AZFN__CONFIG_IS_CORE_TOOLS "FUNCTIONS_CORETOOLS_ENVIRONMENT=true\n"
#define AZFN__CONFIG_IS_EASY_AUTH_ON "WEBSITE_AUTH_ENABLED=true\n"

/* One file as it was read. */
struct azfn__config_file {
    struct azfn_span path; /* relative to the app's root: "host.json", "hello/function.json", "azfn.json"; or one of
                            * the above */
    struct azfn_span text;
};

#define AZFN__CONFIG_MESSAGE_BYTES 512

/* What is wrong, for a person: "azfn.json:7: /functions/webhook/timeoutMs: expected ..., found ...". */
struct azfn__config_fault {
    char message[AZFN__CONFIG_MESSAGE_BYTES];
};

/* Makes the configuration of an app. host.json is required; azfn.json is optional: without it nothing is
 * granted and every limit has its default. The files' bytes must outlive the configuration.
 * registered are the functions of the program: each must have a folder, and each folder a function.
 * *out_fault is filled in with every error.
 * Errors: AZFN_ERROR_SYNTAX, AZFN_ERROR_INVALID_ARGUMENT, AZFN_ERROR_LIMIT, AZFN_ERROR_NO_MEMORY. */
AZFN_MUST_USE enum azfn_error azfn__config_new(const struct azfn__config_file *files, size_t file_count,
                                               const struct azfn_function *registered, size_t registered_count,
                                               struct azfn__config **out_config,
                                               struct azfn__config_fault *out_fault);
void azfn__config_destroy(struct azfn__config *config);

/* NULL when there is none of that exact name. */
const struct azfn__config_function *azfn__config_find(const struct azfn__config *config, struct azfn_span name);
const struct azfn__config_secret *azfn__config_find_secret(const struct azfn__config *config, struct azfn_span name);
const struct azfn__config_destination *azfn__config_find_destination(const struct azfn__config *config,
                                                                     struct azfn_span name);

/* The names of settings that azfn.json needs: granted ones, and %NAME% in references and URLs. Index from
 * 0 until false; each once, sorted. For the broker, which copies those and nothing else out of the environment. */
bool azfn__config_setting_at(const struct azfn__config *config, size_t index, struct azfn_span *out_name);

#endif
