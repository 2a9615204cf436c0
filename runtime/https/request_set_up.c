#include "app.h"
#include "https/request.h"
#include "https/request_rules.h"
#include "https/trust.h"
#include "https/wiping_memory.h"

#include <string.h>
#include <sys/socket.h>

#define MAX_IDLE_S 60L
#define MAX_AGE_S 600L /* so that a change of DNS is seen under load, too */

/* 0, or something else that makes libcurl end the transfer. */
static size_t fail(struct azfn__https_request *request, enum azfn_error error, const char *reason)
{
    if (request->failure == AZFN_OK) {
        request->failure = error;
        request->failure_reason = reason;
    }
    return 0;
}

static bool has_no_body(const struct azfn__https_request *request, long status)
{
    return status == 204 || status == 304 || strcmp(request->method, "HEAD") == 0;
}

/* An error that is answered before the request's body was sent ends the request: libcurl would go on sending where the
 * server also says that it closes the connection, or wait for somebody who has nothing to send yet. */
static void end_if_refused(struct azfn__https_request *request)
{
    uint64_t total = request->options.body_bytes;
    if (request->is_refused && request->body_received_bytes == request->answer_bytes && total > 0 &&
        !request->is_body_ended && request->body_given_bytes < total) {
        request->must_end = true;
        request->engine->wants_sweep = true;
    }
}

static size_t on_head_end(struct azfn__https_request *request, size_t length)
{
    long status = 0;
    curl_off_t body_bytes = -1;
    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &body_bytes);
    if (status >= 100 && status < 200) {
        azfn__https_response_head_clear(&request->head);
        return length;
    }
    if (status < 200 || status > 999) {
        return fail(request, AZFN_ERROR_SYNTAX, "a status that is none");
    }
    if (body_bytes > 0 && (uint64_t)body_bytes > request->options.max_body_bytes && !has_no_body(request, status)) {
        return fail(request, AZFN_ERROR_LIMIT, "the answer's body is too large");
    }
    bool ends_with_connection = body_bytes < 0 && !request->head.is_chunked && !has_no_body(request, status);
    if (ends_with_connection && request->options.trust != AZFN__HTTPS_PLAIN_HTTP &&
        !azfn__https_tls_end_watch(&request->tls_end, request->easy)) {
        return fail(request, AZFN_ERROR_UNAVAILABLE, "an answer whose end can't be told");
    }
    request->is_refused = status >= 300 && (body_bytes >= 0 || has_no_body(request, status));
    request->answer_bytes = has_no_body(request, status) || body_bytes < 0 ? 0 : (uint64_t)body_bytes;
    struct azfn__https_header *headers = azfn__https_response_head_view(&request->head);
    if (!headers) {
        return fail(request, AZFN_ERROR_NO_MEMORY, "out of memory");
    }
    request->has_head = true;
    request->options.callbacks.on_head((uint16_t)status, headers, request->head.count, request->options.user_data);
    azfn__https_free(headers);
    azfn__https_response_head_clear(&request->head);
    end_if_refused(request);
    return request->is_cancelled ? 0 : length;
}

static size_t on_header(char *data, size_t size, size_t count, void *user_data)
{
    struct azfn__https_request *request = user_data;
    size_t length = size * count;
    if (request->is_cancelled || request->failure != AZFN_OK) {
        return 0;
    }
    if (length > request->options.max_head_bytes - request->head_bytes) {
        return fail(request, AZFN_ERROR_LIMIT, "the answer's headers are too large");
    }
    request->head_bytes += length;
    if (request->has_head) {
        return length; /* trailers: nobody wants them */
    }
    if (request->head.count == 0 && length > 5 && memcmp(data, "HTTP/", 5) == 0) {
        return length;
    }
    if (length <= 2 && (data[0] == '\r' || data[0] == '\n')) {
        return on_head_end(request, length);
    }
    switch (azfn__https_response_head_add(&request->head, (struct azfn_span){.data = data, .length = length})) {
    case AZFN_OK:
        return length;
    case AZFN_ERROR_LIMIT:
        return fail(request, AZFN_ERROR_LIMIT, "the answer has too many headers");
    case AZFN_ERROR_NO_MEMORY:
        return fail(request, AZFN_ERROR_NO_MEMORY, "out of memory");
    default:
        return fail(request, AZFN_ERROR_SYNTAX, "a header that is none");
    }
}

static size_t on_write(char *data, size_t size, size_t count, void *user_data)
{
    struct azfn__https_request *request = user_data;
    size_t length = size * count;
    if (request->is_cancelled || request->failure != AZFN_OK) {
        return 0;
    }
    if (!request->has_head) {
        return fail(request, AZFN_ERROR_SYNTAX, "a body before its head");
    }
    if (length > request->options.max_body_bytes - request->body_received_bytes) {
        return fail(request, AZFN_ERROR_LIMIT, "the answer's body is too large");
    }
    if (length == 0) {
        return 0;
    }
    const struct azfn_span bytes = {.data = data, .length = length};
    bool is_taken = request->options.callbacks.on_body(bytes, request->options.user_data);
    if (request->is_cancelled) {
        return 0;
    }
    if (!is_taken) {
        return CURL_WRITEFUNC_PAUSE;
    }
    request->body_received_bytes += length;
    end_if_refused(request);
    return length;
}

static size_t on_read(char *data, size_t size, size_t count, void *user_data)
{
    struct azfn__https_request *request = user_data;
    size_t capacity = size * count;
    uint64_t total = request->options.body_bytes;
    if (request->is_cancelled || request->failure != AZFN_OK) {
        return CURL_READFUNC_ABORT;
    }
    if (total != AZFN__HTTPS_UNKNOWN_LENGTH && capacity > total - request->body_given_bytes) {
        capacity = (size_t)(total - request->body_given_bytes);
    }
    if (request->is_body_ended || capacity == 0) {
        return 0;
    }
    size_t length = 0;
    request->options.callbacks.on_read(data, capacity, &length, &request->is_body_ended, request->options.user_data);
    if (request->is_cancelled) {
        return CURL_READFUNC_ABORT;
    }
    request->body_given_bytes += length;
    if (length > capacity || (request->is_body_ended && total != AZFN__HTTPS_UNKNOWN_LENGTH &&
                              request->body_given_bytes < total)) {
        fail(request, AZFN_ERROR_UNAVAILABLE, "the request's body has another length than was said");
        return CURL_READFUNC_ABORT;
    }
    return length == 0 && !request->is_body_ended ? CURL_READFUNC_PAUSE : length;
}

static int on_seek(void *user_data, curl_off_t offset, int origin)
{
    (void)user_data;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL; /* the bytes are gone */
}

/* The name was looked up. */
static curl_socket_t on_open_socket(void *user_data, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    const struct azfn__https_request *request = user_data;
    return request->is_cancelled ? CURL_SOCKET_BAD
                                 : socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Before each sending. libcurl sends again by itself when a connection that was kept turns out to be closed. */
static int on_sending(void *user_data, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct azfn__https_request *request = user_data;
    if (request->is_cancelled) {
        return CURL_PREREQFUNC_ABORT;
    }
    if (request->was_sent && !azfn__https_is_idempotent(request->method)) {
        fail(request, AZFN_ERROR_UNAVAILABLE, "the connection ended before the answer");
        return CURL_PREREQFUNC_ABORT;
    }
    request->was_sent = true;
    return CURL_PREREQFUNC_OK;
}

static CURLcode on_ssl_context(CURL *easy, void *context, void *user_data)
{
    (void)easy;
    struct azfn__https_request *request = user_data;
    X509_STORE *store =
        request->options.trust == AZFN__HTTPS_TRUST_SYSTEM ? request->engine->system_store : NULL;
    return azfn__https_trust_apply(context, store) ? CURLE_OK : CURLE_SSL_CONNECT_ERROR;
}

/* Sets one more option unless one before it has failed. */
#define SET(easy, code, option, value) ((code) = (code) != CURLE_OK ? (code) : curl_easy_setopt(easy, option, value))

static CURLcode set_trust(const struct azfn__https_request *request, CURL *easy)
{
    CURLcode code = CURLE_OK;
    const char *protocol = request->options.trust == AZFN__HTTPS_PLAIN_HTTP ? "http" : "https";
    SET(easy, code, CURLOPT_PROTOCOLS_STR, protocol);
    SET(easy, code, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, code, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(easy, code, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(easy, code, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    /* the paths that libcurl was compiled with: the store is on_ssl_context's, or the blob below */
    SET(easy, code, CURLOPT_CAINFO, NULL);
    SET(easy, code, CURLOPT_CAPATH, NULL);
    SET(easy, code, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
    SET(easy, code, CURLOPT_SSL_CTX_DATA, request);
    if (request->options.trust == AZFN__HTTPS_TRUST_DEVELOPMENT) {
        /* libcurl compares blobs: a connection of one trust is never used for another */
        struct curl_blob blob = {.data = request->engine->development_ca,
                                 .len = request->engine->development_ca_bytes,
                                 .flags = CURL_BLOB_NOCOPY};
        SET(easy, code, CURLOPT_CAINFO_BLOB, &blob);
    }
    return code;
}

/* All that libcurl does unasked, or because of the environment. */
static CURLcode set_nothing_else(CURL *easy)
{
    CURLcode code = CURLE_OK;
    SET(easy, code, CURLOPT_NOSIGNAL, 1L);
    SET(easy, code, CURLOPT_PROXY, "");
    SET(easy, code, CURLOPT_NOPROXY, "*");
    SET(easy, code, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, code, CURLOPT_MAXREDIRS, 0L);
    SET(easy, code, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, code, CURLOPT_ACCEPT_ENCODING, NULL);
    SET(easy, code, CURLOPT_HTTP09_ALLOWED, 0L);
    SET(easy, code, CURLOPT_PATH_AS_IS, 1L);
    /* otherwise the end of a request waits for its resolver's thread */
    SET(easy, code, CURLOPT_QUICK_EXIT, 1L);
    return code;
}

static CURLcode set_method(const struct azfn__https_request *request, CURL *easy)
{
    CURLcode code = CURLE_OK;
    const char *method = request->method;
    uint64_t body_bytes = request->options.body_bytes;
    if (strcmp(method, "HEAD") == 0) {
        SET(easy, code, CURLOPT_NOBODY, 1L);
        return code;
    }
    if (body_bytes > 0) {
        SET(easy, code, CURLOPT_UPLOAD, 1L);
        SET(easy, code, CURLOPT_INFILESIZE_LARGE,
            body_bytes == AZFN__HTTPS_UNKNOWN_LENGTH ? (curl_off_t)-1 : (curl_off_t)body_bytes);
        SET(easy, code, CURLOPT_READFUNCTION, on_read);
        SET(easy, code, CURLOPT_READDATA, request);
        SET(easy, code, CURLOPT_SEEKFUNCTION, on_seek);
    } else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0) {
        /* an empty body that is said: some servers refuse these without a Content-Length */
        SET(easy, code, CURLOPT_POSTFIELDS, "");
        SET(easy, code, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
    }
    SET(easy, code, CURLOPT_CUSTOMREQUEST, method);
    return code;
}

static CURLcode set_functions(struct azfn__https_request *request, CURL *easy)
{
    CURLcode code = CURLE_OK;
    SET(easy, code, CURLOPT_PRIVATE, request);
    SET(easy, code, CURLOPT_HEADERFUNCTION, on_header);
    SET(easy, code, CURLOPT_HEADERDATA, request);
    SET(easy, code, CURLOPT_WRITEFUNCTION, on_write);
    SET(easy, code, CURLOPT_WRITEDATA, request);
    SET(easy, code, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(easy, code, CURLOPT_OPENSOCKETDATA, request);
    SET(easy, code, CURLOPT_PREREQFUNCTION, on_sending);
    SET(easy, code, CURLOPT_PREREQDATA, request);
    return code;
}

CURLcode azfn__https_request_set_up(struct azfn__https_request *request, CURL *easy)
{
    CURLcode code = set_nothing_else(easy);
    code = code != CURLE_OK ? code : set_trust(request, easy);
    code = code != CURLE_OK ? code : set_functions(request, easy);
    code = code != CURLE_OK ? code : set_method(request, easy);
    SET(easy, code, CURLOPT_URL, request->url);
    SET(easy, code, CURLOPT_HTTPHEADER, request->header_lines);
    SET(easy, code, CURLOPT_USERAGENT, "azfn/" AZFN__VERSION);
    /* HTTP/2 would let one stream that is not read fill up to 32 MiB of libcurl's buffers, hold up others of its
     * connection, and leave copies of headers in nghttp2's memory, which can't be wiped */
    SET(easy, code, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, code, CURLOPT_CONNECTTIMEOUT_MS, (long)request->options.connect_timeout_ms);
    SET(easy, code, CURLOPT_MAXAGE_CONN, MAX_IDLE_S);
    SET(easy, code, CURLOPT_MAXLIFETIME_CONN, MAX_AGE_S);
    return code;
}
