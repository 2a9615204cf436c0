#include "broker/https_exchange.h"

#include "base/ascii.h"
#include "base/buffer.h"
#include "base/span.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#define MAX_CHALLENGE_BYTES 1024
#define CONNECT_TIMEOUT_MS 5000

struct azfn__https_exchange {
    struct azfn__https_client *client;
    struct azfn__https_request *request;
    struct azfn__buffer body;
    struct azfn__https_answer answer;
    uint64_t now_ms;
    size_t challenge_count;
    char challenge[MAX_CHALLENGE_BYTES];
    azfn__on_https_answer_fn *on_answer;
    void *user_data;
};

static void destroy(struct azfn__https_exchange *exchange)
{
    azfn__buffer_clean_up(&exchange->body);
    sodium_memzero(exchange, sizeof(*exchange));
    free(exchange);
}

/* Seconds or milliseconds; longer ones than ten digits are as good as ten. */
static uint32_t read_wait(struct azfn_span text, uint32_t unit_ms)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_digit(text.data[i])) {
            return 0;
        }
        value = i < 10 ? value * 10 + (uint64_t)(text.data[i] - '0') : value;
    }
    value *= unit_ms;
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

/* "Wed, 21 Oct 2015 07:28:00 GMT" */
static uint32_t read_wait_until(struct azfn_span text, uint64_t now_ms)
{
    char copy[64];
    struct tm date = {0};
    if (text.length >= sizeof(copy)) {
        return 0;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &date);
    int64_t at_s = end && *end == '\0' ? (int64_t)timegm(&date) : 0;
    uint64_t at_ms = at_s > 0 ? (uint64_t)at_s * 1000 : 0;
    uint64_t wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    return wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
}

static void read_retry_after(struct azfn__https_exchange *exchange, struct azfn_span value, uint32_t unit_ms)
{
    bool is_date = value.length > 0 && azfn__is_letter(value.data[0]);
    uint32_t wait_ms = is_date ? read_wait_until(value, exchange->now_ms) : read_wait(value, unit_ms);
    if (wait_ms > exchange->answer.retry_after_ms) {
        exchange->answer.retry_after_ms = wait_ms;
    }
}

/* It goes into the log: what no identifier has in it is left out. */
static void read_request_id(char *out, struct azfn_span value)
{
    size_t length = 0;
    for (size_t i = 0; i < value.length && length < AZFN__HTTPS_REQUEST_ID_BYTES; i++) {
        char c = value.data[i];
        if (azfn__is_letter(c) || azfn__is_digit(c) || c == '-' || c == '.' || c == '_') {
            out[length++] = c;
        }
    }
    out[length] = '\0';
}

static void read_challenge(struct azfn__https_exchange *exchange, struct azfn_span value)
{
    exchange->challenge_count++;
    exchange->answer.challenge = azfn__absent();
    if (exchange->challenge_count == 1 && value.length <= MAX_CHALLENGE_BYTES) {
        memcpy(exchange->challenge, value.data, value.length);
        exchange->answer.challenge = azfn__span(exchange->challenge, value.length);
    }
}

static bool is_json_type(struct azfn_span value)
{
    const struct azfn_span json = AZFN__SPAN("application/json");
    if (value.length < json.length || !azfn__span_equal_ignore_case(azfn__span(value.data, json.length), json)) {
        return false;
    }
    return value.length == json.length || value.data[json.length] == ';' || value.data[json.length] == ' ';
}

static void on_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count, void *user_data)
{
    struct azfn__https_exchange *exchange = user_data;
    struct azfn__https_answer *answer = &exchange->answer;
    answer->status = status;
    for (size_t i = 0; i < header_count; i++) {
        struct azfn_span name = headers[i].name;
        struct azfn_span value = azfn__span_trim(headers[i].value);
        if (azfn__span_equal_ignore_case(name, AZFN__SPAN("content-type"))) {
            answer->is_json = is_json_type(value);
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("retry-after"))) {
            read_retry_after(exchange, value, 1000);
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("retry-after-ms")) ||
                   azfn__span_equal_ignore_case(name, AZFN__SPAN("x-ms-retry-after-ms"))) {
            read_retry_after(exchange, value, 1);
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("www-authenticate"))) {
            read_challenge(exchange, value);
        } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("x-ms-request-id")) ||
                   (azfn__span_equal_ignore_case(name, AZFN__SPAN("x-ms-correlation-request-id")) &&
                    answer->request_id[0] == '\0')) {
            read_request_id(answer->request_id, value);
        }
    }
    if (answer->request_id[0] == '\0') {
        answer->request_id[0] = '-';
    }
}

static bool on_body(struct azfn_span bytes, void *user_data)
{
    struct azfn__https_exchange *exchange = user_data;
    azfn__buffer_append_span(&exchange->body, bytes);
    return true;
}

static enum azfn_error error_of(enum azfn_error error)
{
    switch (error) {
    case AZFN_OK:
    case AZFN_ERROR_TIMEOUT:
    case AZFN_ERROR_LIMIT:
    case AZFN_ERROR_FORBIDDEN:
    case AZFN_ERROR_NO_MEMORY:
        return error;
    default:
        return AZFN_ERROR_UNAVAILABLE;
    }
}

static void on_done(enum azfn_error error, const char *reason, bool was_sent, void *user_data)
{
    (void)was_sent;
    struct azfn__https_exchange *exchange = user_data;
    struct azfn__https_answer *answer = &exchange->answer;
    char none = '\0';
    if (error == AZFN_OK && exchange->body.has_failed) {
        error = AZFN_ERROR_LIMIT;
        reason = "the answer is too large";
    }
    answer->body = exchange->body.length > 0 ? exchange->body.data : &none;
    answer->body_length = exchange->body.length;
    exchange->on_answer(error_of(error), error == AZFN_OK ? answer : NULL, reason, exchange->user_data);
    destroy(exchange);
}

enum azfn_error azfn__https_exchange_start(const struct azfn__https_exchange_options *options,
                                           struct azfn__https_exchange **out_exchange)
{
    struct azfn__https_exchange *exchange = calloc(1, sizeof(*exchange));
    *out_exchange = NULL;
    if (!exchange) {
        return AZFN_ERROR_NO_MEMORY;
    }
    exchange->client = options->client;
    exchange->now_ms = options->now_ms;
    exchange->on_answer = options->on_answer;
    exchange->user_data = options->user_data;
    azfn__buffer_init(&exchange->body, options->max_body_bytes);
    const struct azfn__https_request_options request = {
        .method = AZFN__SPAN("GET"),
        .url = options->url,
        .headers = options->headers,
        .header_count = options->header_count,
        .trust = options->trust,
        .goes_first = true,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = options->timeout_ms,
        .max_body_bytes = options->max_body_bytes,
        .callbacks = {.on_head = on_head, .on_body = on_body, .on_done = on_done},
        .user_data = exchange,
    };
    enum azfn_error error = azfn__https_client_start(options->client, &request, &exchange->request);
    if (error != AZFN_OK) {
        destroy(exchange);
        return error;
    }
    *out_exchange = exchange;
    return AZFN_OK;
}

void azfn__https_exchange_cancel(struct azfn__https_exchange *exchange)
{
    if (exchange) {
        azfn__https_client_cancel(exchange->client, exchange->request);
        destroy(exchange);
    }
}
