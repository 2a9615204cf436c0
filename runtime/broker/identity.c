#include "broker/identity.h"

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/span.h"
#include "base/wall_clock.h"
#include "broker/credential_fetch.h"
#include "broker/https_exchange.h"
#include "broker/identity_answer.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_URL_BYTES ((size_t)4 << 10)
#define MAX_ANSWER_BYTES ((size_t)32 << 10)
#define TIMEOUT_MS 10000
#define REASON_BYTES 256

struct identity {
    struct azfn__credential_source source; /* first: one is the other */
    struct azfn__identity_options options;
    const char *fault;            /* NULL: it can be asked */
    struct azfn__buffer endpoint; /* "http://127.0.0.1:42356/msi/token" */
    struct azfn__buffer selector; /* "&client_id=..."; empty for the system-assigned one */
    struct azfn__credential_fetch *fetches;        /* under way */
};

struct fetch {
    struct azfn__credential_fetch common; /* first: one is the other */
    struct identity *identity;
    struct azfn__https_exchange *exchange;
};

static void append_encoded(struct azfn__buffer *out, struct azfn_span text)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (azfn__is_letter(c) || azfn__is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~') {
            azfn__buffer_append_char(out, (char)c);
        } else {
            azfn__buffer_append_char(out, '%');
            azfn__buffer_append_char(out, HEX[c >> 4]);
            azfn__buffer_append_char(out, HEX[c & 15]);
        }
    }
}

/* Takes a number up to max off the front. */
static bool take_number(struct azfn_span *rest, unsigned max, unsigned *out_number)
{
    unsigned number = 0;
    size_t length = 0;
    while (length < rest->length && azfn__is_digit(rest->data[length]) && number <= max) {
        number = number * 10 + (unsigned)(rest->data[length] - '0');
        length++;
    }
    *rest = azfn__span_from(*rest, length);
    *out_number = number;
    return length > 0 && number <= max;
}

/* 127.x.x.x or 169.254.x.x */
static bool take_near_address(struct azfn_span *rest)
{
    unsigned parts[4];
    for (int i = 0; i < 4; i++) {
        if (i > 0 && (rest->length == 0 || rest->data[0] != '.')) {
            return false;
        }
        *rest = azfn__span_from(*rest, i > 0 ? 1 : 0);
        if (!take_number(rest, 255, &parts[i])) {
            return false;
        }
    }
    return parts[0] == 127 || (parts[0] == 169 && parts[1] == 254);
}

static bool take(struct azfn_span *rest, struct azfn_span prefix)
{
    bool is_there = azfn__span_starts_with(*rest, prefix);
    *rest = azfn__span_from(*rest, is_there ? prefix.length : 0);
    return is_there;
}

/* Container Apps and App Service say localhost, for which nobody is to be asked: that is 127.0.0.1. */
static const char *read_endpoint(struct azfn_span endpoint, struct azfn__buffer *out)
{
    static const char EXPECTED[] =
        "IDENTITY_ENDPOINT is not http:// on a loopback or link-local address, with a path and no query";
    struct azfn_span rest = endpoint;
    unsigned port = 80;
    if (!azfn_span_is_present(endpoint) || endpoint.length == 0) {
        return "the app has no managed identity: IDENTITY_ENDPOINT is not set (its older shape, MSI_ENDPOINT, is not "
               "used)";
    }
    if (endpoint.length > MAX_URL_BYTES / 4 || !take(&rest, AZFN__SPAN("http://"))) {
        return EXPECTED;
    }
    azfn__buffer_append_text(out, "http://");
    struct azfn_span host = rest;
    if (take(&rest, AZFN__SPAN("localhost"))) {
        host = AZFN__SPAN("127.0.0.1");
    } else if (take(&rest, AZFN__SPAN("[::1]")) || take_near_address(&rest)) {
        host.length = (size_t)(rest.data - host.data);
    } else {
        return EXPECTED;
    }
    azfn__buffer_append_span(out, host);
    struct azfn_span behind_host = rest;
    if (take(&rest, AZFN__SPAN(":")) && (!take_number(&rest, 65535, &port) || port == 0)) {
        return EXPECTED;
    }
    if (rest.length == 0 || rest.data[0] != '/') {
        return EXPECTED;
    }
    for (size_t i = 0; i < rest.length; i++) {
        char c = rest.data[i];
        if (!azfn__is_letter(c) && !azfn__is_digit(c) && !memchr("/-._~%", c, 6)) {
            return EXPECTED;
        }
    }
    azfn__buffer_append_span(out, behind_host);
    return NULL;
}

/* It becomes a header's value. */
static const char *check_endpoint_header(const struct azfn__secret *header)
{
    struct azfn_span value = header ? azfn__secret_reveal(header) : azfn__absent();
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] <= ' ' || value.data[i] > '~') {
            return "IDENTITY_HEADER has other than visible characters";
        }
    }
    return value.length > 0 ? NULL : "the app has no managed identity: IDENTITY_HEADER is not set";
}

static enum azfn_error error_of_status(uint16_t status, const char **out_what)
{
    if (status >= 500 || status == 404 || status == 408 || status == 410 || status == 429) {
        *out_what = "not available at the moment";
        return AZFN_ERROR_UNAVAILABLE;
    }
    if (status < 400) {
        *out_what = status >= 300 ? "a redirect, which is not followed" : "not an answer with a token";
        return AZFN_ERROR_UNAVAILABLE;
    }
    *out_what = status == 400   ? "there is no such identity, or nobody gives out tokens for this audience"
                : status == 401 ? "IDENTITY_HEADER is not accepted"
                                : "the request is refused";
    return AZFN_ERROR_FORBIDDEN;
}

static void take_token(struct fetch *fetch, struct azfn__https_answer *answer)
{
    struct identity *identity = fetch->identity;
    struct azfn__identity_answer token;
    uint64_t now_ms = identity->options.now_ms();
    const char *reason = azfn__identity_answer_read(answer->body, answer->body_length, now_ms, &token);
    if (reason) {
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_UNAVAILABLE, reason);
        return;
    }
    struct azfn__fetch_result result = {.credential = {.expires_at_ms = token.expires_at_ms}, .reason = "fetched"};
    result.credential.value = azfn__secret_new(identity->options.slab, token.token);
    if (!result.credential.value) {
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_NO_MEMORY, "no locked memory is left for it");
        return;
    }
    azfn__credential_fetch_finish(&fetch->common, &result);
}

static void on_answer(enum azfn_error error, struct azfn__https_answer *answer, const char *reason, void *user_data)
{
    struct fetch *fetch = user_data;
    char text[REASON_BYTES];
    fetch->exchange = NULL;
    if (error != AZFN_OK) {
        (void)snprintf(text, sizeof(text), "the managed identity endpoint: %s", reason);
        azfn__credential_fetch_fail_exchange(&fetch->common, error, text);
    } else if (answer->status == 200) {
        take_token(fetch, answer);
    } else {
        const char *what;
        error = error_of_status(answer->status, &what);
        (void)snprintf(text, sizeof(text), "the managed identity endpoint answered %u: %s",
                       (unsigned)answer->status, what);
        const struct azfn__fetch_result result = {.error = error,
                                                  .retry_after_ms = answer->retry_after_ms,
                                                  .reason = text,
                                                  .request_id = answer->request_id};
        azfn__credential_fetch_finish(&fetch->common, &result);
    }
}

static enum azfn_error start(struct fetch *fetch, struct azfn_span audience)
{
    const struct identity *identity = fetch->identity;
    struct azfn__buffer url;
    azfn__buffer_init(&url, MAX_URL_BYTES);
    azfn__buffer_append_span(&url, azfn__buffer_span(&identity->endpoint));
    azfn__buffer_append_text(&url, "?resource=");
    append_encoded(&url, audience);
    azfn__buffer_append_text(&url, "&api-version=2019-08-01");
    azfn__buffer_append_span(&url, azfn__buffer_span(&identity->selector));
    const struct azfn__https_header headers[] = {
        {.name = AZFN__SPAN("X-IDENTITY-HEADER"), .value = azfn__secret_reveal(identity->options.endpoint_header)},
        {.name = AZFN__SPAN("Accept"), .value = AZFN__SPAN("application/json")},
    };
    const struct azfn__https_exchange_options options = {
        .client = identity->options.https,
        .url = azfn__buffer_span(&url),
        .headers = headers,
        .header_count = sizeof(headers) / sizeof(headers[0]),
        .trust = AZFN__HTTPS_PLAIN_HTTP,
        .timeout_ms = TIMEOUT_MS,
        .max_body_bytes = MAX_ANSWER_BYTES,
        .now_ms = identity->options.now_ms(),
        .on_answer = on_answer,
        .user_data = fetch,
    };
    enum azfn_error error = url.has_failed ? AZFN_ERROR_LIMIT : azfn__https_exchange_start(&options, &fetch->exchange);
    azfn__buffer_clean_up(&url);
    return error;
}

static enum azfn_error fetch_token(struct azfn__credential_source *source, struct azfn_span audience,
                                   azfn__on_fetched_fn *on_fetched, void *user_data)
{
    struct identity *identity = (struct identity *)source;
    if (identity->fault) {
        const struct azfn__fetch_result result = {.error = AZFN_ERROR_FORBIDDEN, .reason = identity->fault};
        on_fetched(&result, user_data);
        return AZFN_OK;
    }
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (!fetch) {
        return AZFN_ERROR_NO_MEMORY;
    }
    *fetch = (struct fetch){.common = {.on_fetched = on_fetched, .user_data = user_data}, .identity = identity};
    enum azfn_error error = start(fetch, audience);
    if (error != AZFN_OK) {
        free(fetch);
        return error;
    }
    azfn__credential_fetch_begin(&fetch->common, &identity->fetches);
    return AZFN_OK;
}

enum azfn_error azfn__identity_new(const struct azfn__identity_options *options,
                                   struct azfn__credential_source **out_identity, const char **out_reason)
{
    static const char *const SELECTORS[] = {[AZFN__IDENTITY_CLIENT_ID] = "&client_id=",
                                            [AZFN__IDENTITY_RESOURCE_ID] = "&mi_res_id=",
                                            [AZFN__IDENTITY_PRINCIPAL_ID] = "&principal_id="};
    struct identity *identity = calloc(1, sizeof(*identity));
    *out_identity = NULL;
    *out_reason = NULL;
    if (!identity) {
        return AZFN_ERROR_NO_MEMORY;
    }
    identity->source.fetch = fetch_token;
    identity->options = *options;
    identity->options.now_ms = options->now_ms ? options->now_ms : azfn__wall_clock_ms;
    azfn__buffer_init(&identity->endpoint, MAX_URL_BYTES);
    azfn__buffer_init(&identity->selector, MAX_URL_BYTES);
    if (options->kind != AZFN__IDENTITY_SYSTEM_ASSIGNED) {
        azfn__buffer_append_text(&identity->selector, SELECTORS[options->kind]);
        append_encoded(&identity->selector, options->id);
    }
    identity->fault = read_endpoint(options->endpoint, &identity->endpoint);
    if (!identity->fault) {
        identity->fault = check_endpoint_header(options->endpoint_header);
    }
    if (identity->endpoint.has_failed || identity->selector.has_failed) {
        azfn__identity_destroy(&identity->source);
        return AZFN_ERROR_NO_MEMORY;
    }
    *out_reason = identity->fault;
    *out_identity = &identity->source;
    return AZFN_OK;
}

void azfn__identity_destroy(struct azfn__credential_source *source)
{
    struct identity *identity = (struct identity *)source;
    if (!identity) {
        return;
    }
    for (struct azfn__credential_fetch *each = identity->fetches, *next; each; each = next) {
        struct fetch *fetch = (struct fetch *)each;
        next = each->next;
        azfn__https_exchange_cancel(fetch->exchange);
        azfn__credential_fetch_fail(&fetch->common, AZFN_ERROR_UNAVAILABLE, "the program ends");
    }
    azfn__buffer_clean_up(&identity->endpoint);
    azfn__buffer_clean_up(&identity->selector);
    free(identity);
}
