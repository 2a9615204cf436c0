#include "https/request.h"

#include "https/request_rules.h"
#include "https/wiping_memory.h"

#include <string.h>

#define DEFAULT_HEAD_BYTES ((uint64_t)64 << 10)
#define DEFAULT_CONNECT_MS 10000U

static bool is_usable(const struct azfn__https_request *request, const struct azfn__https_request_options *options)
{
    const struct azfn__https_header method = {.name = options->method, .value = {.data = "", .length = 0}};
    bool is_head = strcmp(request->method, "HEAD") == 0;
    return azfn__https_is_header_valid(&method) && options->timeout_ms > 0 &&
           strlen(request->url) == options->url.length && (!is_head || options->body_bytes == 0) &&
           (options->body_bytes == AZFN__HTTPS_UNKNOWN_LENGTH || options->body_bytes <= INT64_MAX) &&
           azfn__https_is_url_allowed(request->url, options->trust);
}

/* Takes a copy of line. */
static bool add_line(struct azfn__https_request *request, const char *line)
{
    struct curl_slist *lines = line ? curl_slist_append(request->header_lines, line) : NULL;
    if (lines) {
        request->header_lines = lines;
    }
    return lines != NULL;
}

static bool add_header(struct azfn__https_request *request, const struct azfn__https_header *header)
{
    size_t length = header->name.length;
    char *line = azfn__https_malloc(length + 2 + header->value.length + 1);
    if (line) {
        memcpy(line, header->name.data, length);
        /* libcurl takes "name:" as "leave it out", and "name;" as an empty one */
        line[length++] = header->value.length > 0 ? ':' : ';';
        if (header->value.length > 0) {
            line[length++] = ' ';
            memcpy(line + length, header->value.data, header->value.length);
            length += header->value.length;
        }
        line[length] = '\0';
    }
    bool is_added = add_line(request, line);
    azfn__https_free(line);
    return is_added;
}

static bool has_header(const struct azfn__https_request_options *options, const char *name)
{
    for (size_t i = 0; i < options->header_count; i++) {
        if (azfn__https_is_name(options->headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool is_blank(struct azfn_span value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] != ' ' && value.data[i] != '\t') {
            return false;
        }
    }
    return true;
}

static enum azfn_error add_headers(struct azfn__https_request *request,
                                   const struct azfn__https_request_options *options)
{
    for (size_t i = 0; i < options->header_count; i++) {
        struct azfn__https_header header = options->headers[i];
        if (!azfn__https_is_header_valid(&header)) {
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
        if (is_blank(header.value)) {
            header.value.length = 0;
        }
        if (!azfn__https_is_framing_header(header.name) && !add_header(request, &header)) {
            return AZFN_ERROR_NO_MEMORY;
        }
    }
    /* what libcurl would add by itself */
    static const char *const unwanted[] = {"Expect", "Accept", "Content-Type"};
    static const char *const without[] = {"Expect:", "Accept:", "Content-Type:"};
    for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++) {
        if ((i == 0 || !has_header(options, unwanted[i])) && !add_line(request, without[i])) {
            return AZFN_ERROR_NO_MEMORY;
        }
    }
    return AZFN_OK;
}

enum azfn_error azfn__https_request_new(struct azfn__https_engine *engine,
                                        const struct azfn__https_request_options *options,
                                        struct azfn__https_request **out_request)
{
    struct azfn__https_request *request = azfn__https_calloc(1, sizeof(*request));
    if (!request) {
        return AZFN_ERROR_NO_MEMORY;
    }
    request->engine = engine;
    request->method = azfn__https_copy(options->method);
    request->url = azfn__https_copy(options->url);
    enum azfn_error error = AZFN_ERROR_NO_MEMORY;
    if (request->method && request->url) {
        error = is_usable(request, options) ? add_headers(request, options) : AZFN_ERROR_INVALID_ARGUMENT;
    }
    if (error != AZFN_OK) {
        azfn__https_request_destroy(request);
        return error;
    }
    request->options = *options;
    request->options.method = (struct azfn_span){.data = NULL};
    request->options.url = (struct azfn_span){.data = NULL};
    request->options.headers = NULL;
    request->options.header_count = 0;
    if (options->max_head_bytes == 0) {
        request->options.max_head_bytes = DEFAULT_HEAD_BYTES;
    }
    if (options->connect_timeout_ms == 0) {
        request->options.connect_timeout_ms = DEFAULT_CONNECT_MS;
    }
    *out_request = request;
    return AZFN_OK;
}

void azfn__https_request_destroy(struct azfn__https_request *request)
{
    azfn__https_response_head_clear(&request->head);
    azfn__https_tls_end_clear(&request->tls_end);
    curl_slist_free_all(request->header_lines);
    azfn__https_free(request->method);
    azfn__https_free(request->url);
    azfn__https_free(request);
}

static bool is_memory_short(CURLcode result, unsigned memory_failures)
{
    return result == CURLE_OUT_OF_MEMORY && azfn__https_memory_failures() != memory_failures;
}

static enum azfn_error error_of(CURLcode result)
{
    switch (result) {
    case CURLE_OK:
        return AZFN_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return AZFN_ERROR_TIMEOUT;
    case CURLE_OUT_OF_MEMORY: /* also what libcurl says of a header line that is too long */
    case CURLE_FILESIZE_EXCEEDED:
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
        return AZFN_ERROR_LIMIT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return AZFN_ERROR_FORBIDDEN;
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, or no HTTP at all */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
        return AZFN_ERROR_SYNTAX;
    default:
        return AZFN_ERROR_UNAVAILABLE;
    }
}

enum azfn_error azfn__https_request_outcome(const struct azfn__https_request *request, CURLcode result,
                                            unsigned memory_failures, const char **out_reason)
{
    if (request->failure != AZFN_OK) {
        *out_reason = request->failure_reason;
        return request->failure;
    }
    if (result == CURLE_OK && !request->has_head) {
        *out_reason = "the connection ended in the answer's head"; /* libcurl takes that for an end like others */
        return AZFN_ERROR_UNAVAILABLE;
    }
    if (result == CURLE_OK && request->tls_end.is_watched && !request->tls_end.is_announced) {
        *out_reason = "the connection was cut off in the answer's body";
        return AZFN_ERROR_UNAVAILABLE;
    }
    if (is_memory_short(result, memory_failures)) {
        *out_reason = "out of memory";
        return AZFN_ERROR_NO_MEMORY;
    }
    *out_reason = result == CURLE_OUT_OF_MEMORY ? "a header is too long" : curl_easy_strerror(result);
    return error_of(result);
}
