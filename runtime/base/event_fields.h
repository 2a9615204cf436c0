/* base/event_fields.h
 * What a line of the log may say beside its text: each field once, with its name on the line and its type. There is no
 * type for a secret, so none can be written. Pure. */
#ifndef AZFN_BASE_EVENT_FIELDS_H
#define AZFN_BASE_EVENT_FIELDS_H

#include <azfn.h>

/* X(id, name, type, meaning), in the order of the line. Types: TEXT; LIST, a longer text; URL, of which query, fragment
 * and user are not written; NUMBER; TIME, in ms since the epoch, written as datetime is. */
#define AZFN__EVENT_FIELDS(X) \
    X(FUNCTION, function, TEXT, "the function, by the name of its folder") \
    X(INVOCATION_ID, invocation_id, TEXT, "the host's id of the invocation") \
    X(TRACE_ID, trace_id, TEXT, \
      "the trace that the invocation belongs to (W3C traceparent), Application Insights' operation_Id") \
    X(SOURCE_IP, source_ip, TEXT, \
      "the address of the caller: the last one of X-Forwarded-For, which the platform's front end appends, or the host " \
      "where it proxies; behind Front Door, an Application Gateway or another proxy it is the proxy's") \
    X(REQUEST_METHOD, request_method, TEXT, "the HTTP request's method") \
    X(REQUEST_URI, request_uri, URL, "the HTTP request's path, without its query") \
    X(STATUS, status, NUMBER, "the HTTP status: of the answer that the caller got, or that a service gave") \
    X(PRINCIPAL_ID, principal_id, TEXT, "the caller, as App Service Authentication names him") \
    X(IDENTITY_PROVIDER, identity_provider, TEXT, "who has authenticated the caller, such as aad") \
    X(SECRET, secret, TEXT, "the secret, by its name in azfn.json") \
    X(SECRET_VERSION, secret_version, TEXT, "the secret's version in Key Vault") \
    X(DESTINATION, destination, TEXT, "the destination, by its name in azfn.json") \
    X(SETTING, setting, TEXT, "the app setting, by its name") \
    X(RESOURCE, resource, TEXT, "what the token of the managed identity is for") \
    X(EXPIRES_AT, expires_at, TIME, "when the credential expires") \
    X(REASON, reason, TEXT, "why, in a few words") \
    X(LIMIT, limit, TEXT, "the limit, by its name in azfn.json where it has one there") \
    X(COUNT, count, NUMBER, "so many occurrences are this line; one, where there is no count") \
    X(ATTEMPTS, attempts, NUMBER, "how often in a row it was tried") \
    X(DURATION_MS, duration_ms, NUMBER, "how long it took or lasted, in milliseconds") \
    X(SIGNAL, signal, TEXT, "the signal, such as SIGSEGV") \
    X(EXIT_CODE, exit_code, NUMBER, "the exit code of the process") \
    X(SYSTEM_CALL, system_call, TEXT, "the system call, as Linux names it") \
    X(SYSTEM_CALL_NUMBER, system_call_number, NUMBER, "its number") \
    X(VARIABLES, variables, LIST, "environment variables or settings, by their names") \
    X(BYTES, bytes, NUMBER, "so many bytes") \
    X(AZFN_VERSION, azfn_version, TEXT, "azfn's version") \
    X(BUILD, build, TEXT, "the build id of the executable, as readelf -n shows it") \
    X(FUNCTIONS, functions, NUMBER, "how many functions are served") \
    X(PORT, port, NUMBER, "the port on 127.0.0.1") \
    X(BROKER_USER, broker_user, NUMBER, "the user id of the broker") \
    X(WORKER_USER, worker_user, NUMBER, "the user id of the worker") \
    X(LAYERS_ON, layers_on, LIST, "the layers of the sandbox that are on") \
    X(LAYERS_OFF, layers_off, LIST, "the layers that are off, or that this system does not have; empty: none") \
    X(SUPPRESSED, suppressed, TEXT, \
      "the event that was not written; events: several of them; lines: what is no event, with the level or stream " \
      "behind a colon where it is one of them")

enum azfn__event_field {
#define AZFN__EVENT_FIELD_ID(id, name, type, meaning) AZFN__FIELD_##id,
    AZFN__EVENT_FIELDS(AZFN__EVENT_FIELD_ID)
#undef AZFN__EVENT_FIELD_ID
    AZFN__EVENT_FIELD_COUNT
};

enum azfn__event_field_type {
    AZFN__FIELD_TYPE_TEXT,
    AZFN__FIELD_TYPE_LIST,
    AZFN__FIELD_TYPE_URL,
    AZFN__FIELD_TYPE_NUMBER,
    AZFN__FIELD_TYPE_TIME,
};

struct azfn__event_number {
    int64_t value;
    bool is_present;
};

#define AZFN__NUMBER(n) ((struct azfn__event_number){.value = (int64_t)(n), .is_present = true})

/* What is absent is not written, nor an empty text that is no LIST. The texts are somebody else's, any bytes. */
struct azfn__event_fields {
#define AZFN__EVENT_MEMBER_TEXT(name) struct azfn_span name;
#define AZFN__EVENT_MEMBER_LIST(name) struct azfn_span name;
#define AZFN__EVENT_MEMBER_URL(name) struct azfn_span name;
#define AZFN__EVENT_MEMBER_NUMBER(name) struct azfn__event_number name;
#define AZFN__EVENT_MEMBER_TIME(name) struct azfn__event_number name;
#define AZFN__EVENT_MEMBER(id, name, type, meaning) AZFN__EVENT_MEMBER_##type(name)
    AZFN__EVENT_FIELDS(AZFN__EVENT_MEMBER)
#undef AZFN__EVENT_MEMBER
};

/* A set of fields. */
#define AZFN__FIELD_BIT(id) (UINT64_C(1) << AZFN__FIELD_##id)
#define AZFN__FIELDS_OF_INVOCATION \
    (AZFN__FIELD_BIT(FUNCTION) | AZFN__FIELD_BIT(INVOCATION_ID) | AZFN__FIELD_BIT(TRACE_ID))
#define AZFN__FIELDS_OF_DESTINATION \
    (AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(DESTINATION) | AZFN__FIELD_BIT(REASON) | AZFN__FIELD_BIT(COUNT))
#define AZFN__FIELDS_OF_REQUEST \
    (AZFN__FIELDS_OF_INVOCATION | AZFN__FIELD_BIT(SOURCE_IP) | AZFN__FIELD_BIT(REQUEST_METHOD) | \
     AZFN__FIELD_BIT(REQUEST_URI))
/* Before it is known whose it is. */
#define AZFN__FIELDS_OF_UNROUTED (AZFN__FIELDS_OF_REQUEST & ~AZFN__FIELD_BIT(FUNCTION))

struct azfn__event_field_info {
    const char *name;
    enum azfn__event_field_type type;
};

const struct azfn__event_field_info *azfn__event_field_info(enum azfn__event_field field);
/* Of a TEXT, LIST or URL; of a NUMBER or TIME. */
struct azfn_span *azfn__event_field_text(struct azfn__event_fields *fields, enum azfn__event_field field);
struct azfn__event_number *azfn__event_field_number(struct azfn__event_fields *fields, enum azfn__event_field field);
bool azfn__event_field_is_number(enum azfn__event_field field); /* or TIME */
/* What may be written of a URL: without query and fragment, and without all that stands before the end of user info,
 * as the most lenient reader finds them. A path keeps its "@". */
struct azfn_span azfn__event_url_shown(struct azfn_span url);
/* Which are to be written. */
uint64_t azfn__event_fields_set(const struct azfn__event_fields *fields);

#endif
