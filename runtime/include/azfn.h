/* azfn.h
 * Azure Functions in C. A program registers its functions and calls azfn_main(); azfn does the rest:
 * it is the custom handler that the Functions host starts, and calls a function for every event.
 *
 * Everything here is called on one thread, that of the worker's event loop: in a function, or in a
 * callback that azfn calls. There a function must not block; it may answer now or from a later callback.
 * One that is registered as blocking is called on a thread of a pool instead. It may block, it uses its own
 * invocation only, from that thread, and has to answer before it returns; it has no callbacks. */
#ifndef AZFN_H
#define AZFN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define AZFN_MUST_USE __attribute__((warn_unused_result))
#define AZFN_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#else
#define AZFN_MUST_USE
#define AZFN_PRINTF(format_index, first_index)
#endif

/* Code, and the text that azfn_error_text() gives. */
#define AZFN_ERROR_MAP(X)                                                                                    \
    X(OK, "no error")                                                                                        \
    X(ERROR_INVALID_ARGUMENT, "an argument is not valid")                                                    \
    X(ERROR_NO_MEMORY, "out of memory")                                                                      \
    X(ERROR_LIMIT, "a limit was reached")                                                                    \
    X(ERROR_SYNTAX, "the text is not well-formed")                                                           \
    X(ERROR_RANGE, "the value is out of range")                                                              \
    X(ERROR_NOT_FOUND, "not found")                                                                          \
    X(ERROR_FORBIDDEN, "not granted to this function")                                                       \
    X(ERROR_UNAVAILABLE, "not available at the moment")                                                      \
    X(ERROR_TIMEOUT, "the time limit was reached")                                                           \
    X(ERROR_STATE, "not possible in this state")                                                             \
    X(ERROR_SYSTEM, "the operating system refused")

enum azfn_error {
#define AZFN_ERROR_CODE(name, text) AZFN_##name,
    AZFN_ERROR_MAP(AZFN_ERROR_CODE)
#undef AZFN_ERROR_CODE
};

/* Never NULL; static text. azfn_error_name() gives "AZFN_ERROR_LIMIT". */
const char *azfn_error_text(enum azfn_error error);
const char *azfn_error_name(enum azfn_error error);

/* A view of bytes that somebody else owns; not NUL-terminated. Absent: data is NULL. Empty: data is not
 * NULL and length is 0. */
struct azfn_span {
    const char *data;
    size_t length;
};

/* For printf's "%.*s": printf("%.*s", AZFN_SPAN_ARGS(span)). Cut at INT_MAX bytes. */
#define AZFN_SPAN_ARGS(span) (int)((span).length > 0x7fffffff ? 0x7fffffff : (span).length), (span).data ? (span).data : ""

/* A view of a string literal or of any NUL-terminated text; NULL gives an absent span. */
struct azfn_span azfn_span_of(const char *text);
bool azfn_span_equals(struct azfn_span a, const char *text);
static inline bool azfn_span_is_present(struct azfn_span span) { return span.data != NULL; }

/* One event that a function has to answer: an HTTP request, a queue message, a timer's tick, ...
 *
 * The function owns it from the call of its handler until it answers, exactly once, with one of
 * azfn_http_reply(), azfn_http_end(), azfn_succeed() or azfn_fail(), now or from a later callback. These take it back
 * whatever they return. All spans and memory that came from it die, wiped, with it. A function that has
 * not answered when its time is over (azfn.json: timeoutMs) has lost the invocation: azfn has answered
 * for it, and its callbacks are not called any more. A function that comes back to an invocation that is over
 * gets AZFN_ERROR_STATE or nothing, and a line in the log; it never reaches another caller's. */
struct azfn_invocation;

typedef void azfn_handler_fn(struct azfn_invocation *invocation, void *user_data);

struct azfn_function {
    const char *name;         /* Required. The name of the folder that holds function.json; must be static. */
    azfn_handler_fn *handler; /* Required. */
    void *user_data;          /* Optional. Passed to handler as it is. */
    bool blocking;            /* Optional. The handler may block: it is called on a thread of a pool of fixed size,
                               * not on the loop's, perhaps on several at the same time. */
    bool streams_body;        /* Optional. Of an HTTP function that does not block: the handler is called before the
                               * body is there, and reads it with azfn_http_read_body(). Otherwise it is collected. */
};

/* Runs the functions as a custom handler until the host ends it. Returns main()'s result. Call it first
 * thing in main(), before any thread, any open file and any use of the environment: azfn_main() wipes
 * the environment and starts the other processes. functions must be static. */
int azfn_main(int argc, char **argv, const struct azfn_function *functions, size_t function_count);

/* About the invocation. Spans are valid until the answer. */

/* The host's GUID; empty where the caller sent none. For correlation, never for trust. */
struct azfn_span azfn_invocation_id(const struct azfn_invocation *invocation);
struct azfn_span azfn_function_name(const struct azfn_invocation *invocation);
/* The W3C traceparent header; absent without Application Insights. */
struct azfn_span azfn_trace_parent(const struct azfn_invocation *invocation);
/* What is left of the function's timeoutMs. */
uint32_t azfn_remaining_ms(const struct azfn_invocation *invocation);

/* An app setting that azfn.json grants to the function ("settings"), as it was at start. Absent: it is not set, or not
 * granted, which the log says once. Not for secrets. The span stays valid. */
struct azfn_span azfn_setting(struct azfn_invocation *invocation, const char *name);

/* Memory that lives as long as the invocation, wiped afterwards. NULL when there is none left, and then
 * the answer will be a failure. Not initialised; aligned for any type. */
void *azfn_alloc(struct azfn_invocation *invocation, size_t size_bytes);
/* printf into the invocation's memory. Absent when there is no memory left. */
struct azfn_span azfn_format(struct azfn_invocation *invocation, const char *format, ...) AZFN_PRINTF(2, 3);

/* bytes in base64 (RFC 4648, with padding), in the invocation's memory: what messages of storage queues are sent in.
 * Absent when there is no memory left. */
struct azfn_span azfn_base64(struct azfn_invocation *invocation, struct azfn_span bytes);

/* HTTP: the same view whether the host forwarded the request or put it into an envelope. */

/* "GET". Absent when the function has no HTTP trigger. */
struct azfn_span azfn_http_method(struct azfn_invocation *invocation);
/* "/api/hello/Ada": percent-encoded as the host sent it, without the query. */
struct azfn_span azfn_http_path(struct azfn_invocation *invocation);
/* Decoded. The name is compared without regard to case; repeated ones are joined with "," as the host does. */
struct azfn_span azfn_http_query(struct azfn_invocation *invocation, const char *name);
/* The name is compared without regard to case; repeated ones are joined with ", " (Cookie: "; "). */
struct azfn_span azfn_http_header(struct azfn_invocation *invocation, const char *name);
/* A parameter of the route, {id} or {id:int}, decoded. Absent where an optional one is missing. */
struct azfn_span azfn_http_param(struct azfn_invocation *invocation, const char *name);
/* Empty where there is none, and where the function streams it. */
struct azfn_span azfn_http_body(struct azfn_invocation *invocation);
/* The body as JSON, checked. Absent when it is empty, or not JSON, which is an event in the log, once per invocation. */
struct azfn_span azfn_http_body_json(struct azfn_invocation *invocation);
/* False where the host's envelope may have changed the body's bytes: it decodes all but
 * application/octet-stream and multipart as UTF-8, and loses a chunked one. Signatures need exact bytes. */
bool azfn_http_body_is_exact(struct azfn_invocation *invocation);

/* The body in pieces. Calls on_body once, on a later turn of the loop: with a piece, which is valid during the call;
 * with is_last when nothing follows it; or with an error: AZFN_ERROR_LIMIT (more than maxBodyBytes),
 * AZFN_ERROR_SYNTAX (not HTTP), AZFN_ERROR_TIMEOUT (too slow), AZFN_ERROR_UNAVAILABLE (the caller has gone). No more
 * is read from the caller than the function asks for, but for a buffer. A body that was collected comes as one
 * piece. Errors: AZFN_ERROR_STATE (no HTTP function, a blocking one, asked already, or the last piece was read),
 * AZFN_ERROR_NO_MEMORY; then on_body is not called. */
typedef void azfn_on_body_fn(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece,
                             bool is_last, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_http_read_body(struct azfn_invocation *invocation, azfn_on_body_fn *on_body,
                                                  void *user_data);

/* All of them, in the order of the request: index from 0 until the call returns false. */
bool azfn_http_query_at(struct azfn_invocation *invocation, size_t index, struct azfn_span *out_name,
                        struct azfn_span *out_value);
bool azfn_http_header_at(struct azfn_invocation *invocation, size_t index, struct azfn_span *out_name,
                         struct azfn_span *out_value);
bool azfn_http_param_at(struct azfn_invocation *invocation, size_t index, struct azfn_span *out_name,
                        struct azfn_span *out_value);

/* Inputs and metadata of the other triggers, by the binding's name in function.json. Asked for again, a value is not
 * decoded again.
 *
 *   trigger                    its value                           what goes with it: azfn_metadata_at()
 *   queue                      azfn_input(), azfn_input_json()     /DequeueCount /Id
 *   blob; dataType binary      azfn_input_bytes()                  /Uri /Properties/ETag /Metadata/<name>
 *   timer                      azfn_input_json(): "IsPastDue"      -
 *   Event Grid                 azfn_input_json()                   -
 *   Event Hubs, Service Bus    azfn_input(), azfn_input_json()     /SequenceNumber /PartitionContext/PartitionId
 *                                                                  /MessageId /LockToken /ApplicationProperties/<name>
 *   these in batches           azfn_json_next_item() over          azfn_json_next_item() over
 *                              azfn_input_json()                   azfn_metadata_json(..., "SequenceNumberArray")
 *   Cosmos DB                  azfn_json_next_item() over azfn_input_json()
 *   warm-up                    none: succeed
 *   all of them                azfn_retry_context()                /sys/UtcNow */

/* The value as text: a queue message, a quoted number ("1"), a date. Absent when there is none. A value
 * that is an object or an array is given as its JSON text. name NULL: the trigger's binding. */
struct azfn_span azfn_input(struct azfn_invocation *invocation, const char *name);
/* The value as JSON, checked: an object, or the text of a message that is JSON. Absent when there is none, or it is empty,
 * or not JSON, which is an event in the log, once per invocation. */
struct azfn_span azfn_input_json(struct azfn_invocation *invocation, const char *name);
/* The bytes of a value that the host sends as base64: a blob, a message whose binding has dataType binary. Absent
 * when it is not base64; an absent or empty value gives what azfn_input() gives. */
struct azfn_span azfn_input_bytes(struct azfn_invocation *invocation, const char *name);

/* What the trigger says about its event, such as "DequeueCount", as azfn_input() gives it. Never to be trusted by name
 * alone: the properties of a JSON message overwrite the system's. */
struct azfn_span azfn_metadata(struct azfn_invocation *invocation, const char *name);
struct azfn_span azfn_metadata_json(struct azfn_invocation *invocation, const char *name);
/* The same by a JSON Pointer, see azfn_json_at(): "/sys/UtcNow". Text: strings without quotes, null is absent, all else
 * as its JSON. "" gives all metadata. */
struct azfn_span azfn_metadata_at(struct azfn_invocation *invocation, const char *pointer);

/* Which try of an event this is, where function.json or host.json has a retry policy. A sender of JSON messages can
 * make one up for a function without: not for decisions about security. */
struct azfn_retry {
    bool has_policy;   /* false: the rest is 0 */
    int64_t count;     /* 0 at the first try */
    int64_t max_count; /* -1: without end */
};
struct azfn_retry azfn_retry_context(struct azfn_invocation *invocation);

/* JSON. A span is looked into where it lies; a tree is made only where it is asked for. JSON is RFC 8259 in UTF-8, no
 * deeper than 128 arrays and objects within each other, without a byte order mark. Names are compared exactly, and of
 * several members with one name the last one counts. Numbers are text until they are asked for. */

/* json itself when it is exactly one JSON text (RFC 8259, UTF-8), absent otherwise. */
struct azfn_span azfn_json_checked(struct azfn_span json);
/* The value of a member of an object, as JSON text; absent when json is no object or has no such member. */
struct azfn_span azfn_json_member(struct azfn_span json, const char *name);
/* The value that a JSON Pointer (RFC 6901) leads to, as JSON text: "/items/0/id"; in names "~1" is "/" and "~0" is "~".
 * "" is json itself. Absent when there is no such value or pointer is none. Reads all that lies before it. */
struct azfn_span azfn_json_at(struct azfn_span json, const char *pointer);
/* The next item of an array, or absent at its end. Start with *cursor = 0. */
struct azfn_span azfn_json_next_item(struct azfn_span json, size_t *cursor);
/* The next member of an object, false at its end. The name has its quotes: azfn_json_string() decodes it. */
bool azfn_json_next_member(struct azfn_span json, size_t *cursor, struct azfn_span *out_name,
                           struct azfn_span *out_value);
/* The decoded text of a JSON string; absent for anything else. In the invocation's memory where it had escapes. */
struct azfn_span azfn_json_string(struct azfn_invocation *invocation, struct azfn_span json);
/* The bytes of a JSON string that is base64: an item of a batch whose binding has dataType binary. Absent when it is not. */
struct azfn_span azfn_json_bytes(struct azfn_invocation *invocation, struct azfn_span json);
/* Numbers, also where they stand in quotes, since the host quotes some. Integers are exact: AZFN_ERROR_SYNTAX when json
 * is not written as one (1.0 and 1e3 are not), AZFN_ERROR_RANGE when it does not fit. */
AZFN_MUST_USE enum azfn_error azfn_json_int64(struct azfn_span json, int64_t *out_value);
AZFN_MUST_USE enum azfn_error azfn_json_uint64(struct azfn_span json, uint64_t *out_value);
/* The nearest double: integers beyond 2^53 may become others. AZFN_ERROR_RANGE beyond the largest, AZFN_ERROR_LIMIT for
 * more than 500 characters. */
AZFN_MUST_USE enum azfn_error azfn_json_double(struct azfn_span json, double *out_value);
/* text as a JSON string with its quotes, in the invocation's memory. Absent when text is not UTF-8. */
struct azfn_span azfn_json_quote(struct azfn_invocation *invocation, struct azfn_span text);
/* A cJSON tree that dies with the invocation (never call cJSON_Delete on it). Its numbers are doubles, and look-ups ignore
 * case but for cJSON_GetObjectItemCaseSensitive(). NULL when json is not JSON, which is an event as for azfn_input_json()
 * where it is part of what came, or holds what cJSON would change: a NUL in a string (\u0000), half a surrogate pair. */
struct cJSON;
struct cJSON *azfn_json_tree(struct azfn_invocation *invocation, struct azfn_span json);

/* The answer.
 * What the host would mangle, drop or hang on is refused at once with an error. The first such error
 * sticks to the invocation: an answer with a refused part is not sent, the caller gets a failure, and the
 * log says why. So a function may check each call, or none. */

/* A header of an HTTP answer. Refused: names that are no token, values with control or non-ASCII
 * characters, Connection, Content-Length, Transfer-Encoding and what else belongs to the connection; and
 * where the host sends envelopes a second Set-Cookie or a Content-Encoding. name and value are copied. */
enum azfn_error azfn_http_set_header(struct azfn_invocation *invocation, const char *name, struct azfn_span value);
/* Answers an HTTP request. status is 200 to 599. content_type NULL means none was asked for: text/plain in
 * UTF-8. body is copied, 128 MiB at the most. In an envelope it must be UTF-8, since binary bodies do not
 * survive there. */
enum azfn_error azfn_http_reply(struct azfn_invocation *invocation, int status, const char *content_type,
                                struct azfn_span body);

/* An HTTP answer in pieces: begin, write as often as needed, end; each piece goes out at once. Where the host can't
 * take pieces (an envelope) and for HTTP/1.0 they are put together and sent at the end. With forwarding the host
 * collects them as well; with proxying they reach the client as they are sent, as server-sent events need it.
 * A forwarding host reads nothing of an answer before it has sent the whole body of its request: a function that
 * streams its body reads that to the end first, or the two wait for each other once some MiB are written.
 * timeoutMs counts for the whole answer; one that is cut off (azfn_fail(), the deadline) is seen as broken
 * by the caller. */
/* Sends status and headers; none can be set afterwards. status is 200 to 599, but for 204, 205 and 304. Whatever it
 * returns, the invocation is still to be ended. AZFN_ERROR_STATE: a second call, or the caller has gone. */
enum azfn_error azfn_http_begin(struct azfn_invocation *invocation, int status, const char *content_type);
/* bytes are copied, or sent before this returns. AZFN_ERROR_UNAVAILABLE: the caller does not keep up, nothing of bytes
 * was taken, write them again when azfn_http_on_writable() says so. AZFN_ERROR_STATE: there was no
 * azfn_http_begin(), or the caller has gone: end it. AZFN_ERROR_LIMIT: more than 1 MiB at once, or more than 128 MiB
 * where pieces are put together; sticks. */
AZFN_MUST_USE enum azfn_error azfn_http_write(struct azfn_invocation *invocation, struct azfn_span bytes);
/* Calls on_writable once, on a later turn of the loop, when azfn_http_write() will take more, or the caller has gone.
 * AZFN_ERROR_STATE: there was no azfn_http_begin(), or on_writable is still to be called. */
typedef void azfn_on_writable_fn(struct azfn_invocation *invocation, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_http_on_writable(struct azfn_invocation *invocation,
                                                    azfn_on_writable_fn *on_writable, void *user_data);
/* The answer is whole: takes the invocation back, as azfn_http_reply() does. */
enum azfn_error azfn_http_end(struct azfn_invocation *invocation);

/* A message for an output binding; "$return" names the return value. Called again for the same binding it
 * adds another message. Arrives byte for byte as it is given. Must be UTF-8. */
enum azfn_error azfn_output(struct azfn_invocation *invocation, const char *name, struct azfn_span text);
/* The same for a document: one JSON text. Bindings that carry messages (queue, Service Bus, Event Hubs,
 * blob) get its text; others, such as Cosmos DB, its value. */
enum azfn_error azfn_output_json(struct azfn_invocation *invocation, const char *name, struct azfn_span json);

/* Answers with the outputs given so far. An HTTP request gets 204 without a body. */
enum azfn_error azfn_succeed(struct azfn_invocation *invocation);
/* Answers that the invocation failed: an HTTP caller gets 500 and no reason, the host tries a queue message
 * again. reason goes to the log. */
void azfn_fail(struct azfn_invocation *invocation, const char *reason);

/* Secrets of Key Vault, by the names that azfn.json gives them and grants to the function. The broker fetches and keeps
 * them; a function gets a copy in locked memory, which is wiped when its invocation is over. Where a request is all that
 * needs the secret, azfn_request() does without the function ever seeing it. */

/* A value that can't be printed by mistake. Valid until the invocation is answered. */
struct azfn_secret;

/* Calls on_secret once, on a later turn of the loop, unless the invocation is answered before: with the secret, or with
 * AZFN_ERROR_FORBIDDEN (azfn.json does not grant it to the function, or Key Vault not to the app, or it is disabled or
 * expired), AZFN_ERROR_NOT_FOUND (Key Vault has none), AZFN_ERROR_UNAVAILABLE, AZFN_ERROR_TIMEOUT (it can't be reached, and
 * there is no value of before), AZFN_ERROR_LIMIT (too many are in use, or the vault's answer has no end) and NULL.
 * Errors: AZFN_ERROR_STATE (it is answered, or the function is a blocking one), AZFN_ERROR_INVALID_ARGUMENT,
 * AZFN_ERROR_LIMIT, AZFN_ERROR_NO_MEMORY; then on_secret is not called. */
typedef void azfn_on_secret_fn(struct azfn_invocation *invocation, enum azfn_error error,
                               const struct azfn_secret *secret, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_secret_get(struct azfn_invocation *invocation, const char *name,
                                              azfn_on_secret_fn *on_secret, void *user_data);

/* Whether candidate is the secret, in a time that tells nothing of where they differ. */
bool azfn_secret_equals(struct azfn_invocation *invocation, const struct azfn_secret *secret,
                        struct azfn_span candidate);
/* Whether signature is HMAC-SHA256 over message with the secret as key: 64 hexadecimal digits in any case, as webhooks
 * send it (without a prefix such as "sha256="). In constant time. For bodies see azfn_http_body_is_exact(). */
bool azfn_secret_has_signed(struct azfn_invocation *invocation, const struct azfn_secret *secret,
                            struct azfn_span message, struct azfn_span signature);
/* That signature, 32 bytes in the invocation's memory. Absent without memory or secret. */
struct azfn_span azfn_secret_sign(struct azfn_invocation *invocation, const struct azfn_secret *secret,
                                  struct azfn_span message);
/* Its bytes, for what else needs them. Copies are the function's own to wipe: those in azfn_alloc()'s memory are. */
struct azfn_span azfn_secret_reveal(struct azfn_invocation *invocation, const struct azfn_secret *secret);
/* Key Vault's, 32 hexadecimal digits: tells which of two values it was. May be empty. */
struct azfn_span azfn_secret_version(struct azfn_invocation *invocation, const struct azfn_secret *secret);
/* Wipes it before the invocation is over. */
void azfn_secret_release(struct azfn_invocation *invocation, const struct azfn_secret *secret);

/* Requests to other services, the only way out: to the destinations that azfn.json grants to the function, by name. The
 * broker sends them over HTTPS and adds the credential, a token of the app's managed identity or a secret, which the
 * function never holds. */

struct azfn_request;

struct azfn_header {
    const char *name;
    struct azfn_span value;
};

struct azfn_request_options {
    const char *method;    /* Required. "POST": one that azfn.json allows. */
    struct azfn_span path; /* Optional. Goes behind the destination's URL, encoded as it is to be sent: "messages?ttl=60".
                            * Without "..", "//", encoded slashes and whatever else could lead elsewhere. */
    const struct azfn_header *headers; /* Optional. Not those of credentials, of the connection, or of azfn.json. */
    size_t header_count;
    struct azfn_span body;  /* Optional. */
    bool streams_body;      /* Optional. More follows: azfn_request_write(), azfn_request_end(). */
    uint64_t body_bytes;    /* Optional, where it is streamed: its length, with body; 0: not known. */
    bool streams_response;  /* Optional. on_response is called when status and headers are there, and
                             * azfn_response_read() gets the body. Otherwise it is collected first. */
    uint32_t timeout_ms;    /* Optional. 0: what is left of the invocation's time. azfn.json may say less. */
};

/* Sends a request; everything in options is copied. Calls on_response once, on a later turn of the loop, unless the
 * invocation is answered before, with AZFN_OK for an answer of any status, or with AZFN_ERROR_FORBIDDEN (azfn.json does not
 * grant it: destination, method, path, header; or the credential can't be had), AZFN_ERROR_LIMIT (a body is too large,
 * too many requests), AZFN_ERROR_TIMEOUT, AZFN_ERROR_UNAVAILABLE (no connection, or an answer that broke off). GET, HEAD,
 * PUT, DELETE and OPTIONS are tried again where that can help; redirects are not followed.
 * out_request may be NULL; it is valid until the invocation is answered.
 * Errors: AZFN_ERROR_STATE (it is answered, or the function is a blocking one), AZFN_ERROR_INVALID_ARGUMENT,
 * AZFN_ERROR_LIMIT, AZFN_ERROR_NO_MEMORY; then on_response is not called. */
typedef void azfn_on_response_fn(struct azfn_invocation *invocation, enum azfn_error error,
                                 struct azfn_request *request, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_request(struct azfn_invocation *invocation, const char *destination,
                                           const struct azfn_request_options *options,
                                           azfn_on_response_fn *on_response, void *user_data,
                                           struct azfn_request **out_request);

/* 0 where there is none. */
int azfn_response_status(struct azfn_invocation *invocation, const struct azfn_request *request);
/* The name is compared without regard to case; the first of several. */
struct azfn_span azfn_response_header(struct azfn_invocation *invocation, const struct azfn_request *request,
                                      const char *name);
/* All of it, where it is not streamed. */
struct azfn_span azfn_response_body(struct azfn_invocation *invocation, const struct azfn_request *request);

/* The body in pieces, as azfn_http_read_body() gives them: on_piece is called once, on a later turn, with a piece that is
 * valid during the call, with is_last when nothing follows, or with the error that broke it off. No more is read from the
 * service than the function asks for, but for a buffer. AZFN_ERROR_STATE: there is no answer, it is not streamed, asked
 * already, or the last piece was read. */
typedef void azfn_on_piece_fn(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece,
                              bool is_last, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_response_read(struct azfn_invocation *invocation, struct azfn_request *request,
                                                 azfn_on_piece_fn *on_piece, void *user_data);

/* The next bytes of a streamed body; copied. AZFN_ERROR_UNAVAILABLE: the service does not keep up, nothing was taken, write
 * them again when azfn_request_on_writable() says so. AZFN_ERROR_STATE: the body is not streamed or has ended, or the
 * request is over. AZFN_ERROR_LIMIT: more than 1 MiB at once, or more than body_bytes in all; nothing was taken. */
AZFN_MUST_USE enum azfn_error azfn_request_write(struct azfn_invocation *invocation, struct azfn_request *request,
                                                 struct azfn_span bytes);
/* Calls on_writable once, on a later turn of the loop, when azfn_request_write() will take more or the request is over. */
AZFN_MUST_USE enum azfn_error azfn_request_on_writable(struct azfn_invocation *invocation,
                                                       struct azfn_request *request,
                                                       azfn_on_writable_fn *on_writable, void *user_data);
/* The streamed body is whole. AZFN_ERROR_INVALID_ARGUMENT: it has fewer than body_bytes, and still waits for them. */
enum azfn_error azfn_request_end(struct azfn_invocation *invocation, struct azfn_request *request);

enum azfn_log_level { AZFN_LOG_INFORMATION, AZFN_LOG_WARNING, AZFN_LOG_ERROR };

/* A line in the function's log, tied to the invocation. Escaped; cut at 4 KiB, with "[cut]" at its end. A Warning and an
 * Error are written at once, at their level, with the function, the invocation's id and its trace. So is Information, but
 * for an invocation that came in the host's envelope: its answer takes that along (as Logs, for which the host knows no
 * other level), the first 1,000 lines and 256 KiB of it, and says how many there were beyond. What no answer takes along,
 * since it failed or nobody waits for it, is written as the others are; only a crash loses it. */
void azfn_log(struct azfn_invocation *invocation, enum azfn_log_level level, const char *format, ...)
    AZFN_PRINTF(3, 4);

/* What a function finds out about a request, and whoever operates the app should know. */
enum azfn_security_event {
    AZFN_EVENT_BAD_SIGNATURE, /* it is signed wrongly, or not at all; a Warning: authn_login_fail:signature */
    AZFN_EVENT_FORBIDDEN,     /* the caller may not do what he asks for; an Error: authz_fail:function */
    AZFN_EVENT_SUSPICIOUS,    /* it can only be an attack; an Error: malicious_request:function */
    AZFN_EVENT_INVALID_INPUT, /* it is not what the function takes; a Warning: input_validation_fail:function */
};

/* Such an event in the app's log, with the function, the invocation's id and its trace, and of an HTTP request the
 * caller's address, the method, and the path without the query; marked as the worker's word. format says what is wrong,
 * in the function's own words. It is escaped and cut at 4 KiB as well, but not searched: no secret, signature or token
 * belongs into it, and of the caller no more than an operator needs to find him. It does not answer the invocation, and
 * does not wait for its answer. When this returns it is on its way to the log, though the function crashes next; unless
 * the log is far behind, or, for a function that blocks, the loop did not come to it within 200 ms. Many of one kind
 * within a short time are told as a count. */
void azfn_security_event(struct azfn_invocation *invocation, enum azfn_security_event event, const char *format, ...)
    AZFN_PRINTF(3, 4);

/* Whether nobody waits for the answer any more: the caller has gone, or the function's time is over. For loops: a
 * function that blocks should look from time to time, since one that does not return keeps its thread. */
bool azfn_is_cancelled(const struct azfn_invocation *invocation);

/* Calls on_elapsed after delay_ms, on a later turn of the loop, unless the invocation is answered before.
 * AZFN_ERROR_STATE: it is answered, or the function is a blocking one; azfn_on_cancelled() does the same. */
typedef void azfn_on_elapsed_fn(struct azfn_invocation *invocation, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_delay(struct azfn_invocation *invocation, uint32_t delay_ms,
                                         azfn_on_elapsed_fn *on_elapsed, void *user_data);

/* Calls on_cancelled once, on a later turn of the loop, when nobody waits for the answer any more: the caller has
 * closed the connection, perhaps before this call. The function may then stop early; it still has to answer, which
 * goes nowhere. */
typedef void azfn_on_cancelled_fn(struct azfn_invocation *invocation, void *user_data);
AZFN_MUST_USE enum azfn_error azfn_on_cancelled(struct azfn_invocation *invocation, azfn_on_cancelled_fn *on_cancelled,
                                                void *user_data);

#ifdef __cplusplus
}
#endif

#endif
