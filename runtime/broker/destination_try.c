#include "base/span.h"
#include "broker/destination_parts.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_TRIES 3
#define FIRST_DELAY_MS 400
/* A server that refuses every token must not make us ask for a new one each time. */
#define REJECT_INTERVAL_MS ((uint64_t)30000)

static uint64_t left_ms(const struct azfn__destination_request *request)
{
    uint64_t now_ms = uv_now(request->owner->options.loop);
    return request->deadline_ms > now_ms ? request->deadline_ms - now_ms : 0;
}

void azfn__destination_await_deadline(struct azfn__destination_request *request)
{
    uv_timer_start(&request->timer, azfn__destination_on_timer, left_ms(request), 0);
}

static void give_credential_back(struct azfn__destination_request *request)
{
    request->filter = (struct azfn__destination_filter){.held_bytes = 0};
    azfn__destination_credential_release(request->target, request->credential);
    request->credential = NULL;
}

static void cancel_https(struct azfn__destination_request *request)
{
    struct azfn__https_request *https = request->https;
    request->https = NULL;
    if (https) {
        azfn__https_client_cancel(request->owner->options.https, https);
    }
}

/* All that was sent can be sent again. */
static bool can_send_again(const struct azfn__destination_request *request)
{
    return request->body.dropped_bytes == 0;
}

static bool is_idempotent(enum azfn__method method)
{
    return method == AZFN__METHOD_GET || method == AZFN__METHOD_HEAD || method == AZFN__METHOD_PUT ||
           method == AZFN__METHOD_DELETE || method == AZFN__METHOD_OPTIONS;
}

/* Whether there is time for another try, after a pause that the server may have asked for; then it waits for it. */
static bool try_later(struct azfn__destination_request *request, uint64_t asked_ms)
{
    uint64_t delay_ms = randombytes_uniform((uint32_t)FIRST_DELAY_MS << (request->tries - 1));
    delay_ms += asked_ms != UINT64_MAX ? asked_ms : 0;
    if (request->tries >= MAX_TRIES || !can_send_again(request) || delay_ms >= left_ms(request)) {
        return false;
    }
    cancel_https(request);
    give_credential_back(request);
    request->phase = AZFN__DESTINATION_WAITS_TO_TRY;
    uv_timer_start(&request->timer, azfn__destination_on_timer, delay_ms, 0);
    return true;
}

static void try_or_finish(struct azfn__destination_request *request)
{
    enum azfn_error error = azfn__destination_try(request);
    if (error != AZFN_OK) {
        azfn__destination_request_finish(request, error);
    }
}

/* Another token than the one that was refused, if there is any: then the request goes on with it. */
static bool try_with_new_token(struct azfn__destination_request *request)
{
    struct azfn__destination_target *target = request->target;
    struct azfn__credential_cache *tokens = request->owner->options.tokens;
    struct azfn_span audience = target->config->managed_identity;
    uint64_t now_ms = uv_now(request->owner->options.loop);
    if (!azfn_span_is_present(audience) || request->has_new_token || !can_send_again(request)) {
        return false;
    }
    if (!target->has_rejected || now_ms - target->rejected_at_ms >= REJECT_INTERVAL_MS) {
        target->has_rejected = true;
        target->rejected_at_ms = now_ms;
        azfn__credential_cache_reject(tokens, audience);
    }
    const struct azfn__credential *newest = azfn__credential_cache_peek(tokens, audience);
    if (newest &&
        azfn__destination_credential_is(request->credential, target, azfn__secret_reveal(newest->value))) {
        return false;
    }
    request->has_new_token = true;
    cancel_https(request);
    give_credential_back(request);
    try_or_finish(request);
    return true;
}

/* As Azure's own clients do. */
static bool is_worth_another_try(uint16_t status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static void hand_head_on(struct azfn__destination_request *request, uint16_t status,
                         const struct azfn__https_header *headers, size_t count)
{
    bool has_needle;
    struct azfn__https_header *kept = calloc(count + 1, sizeof(*kept));
    if (!kept) {
        azfn__destination_request_finish(request, AZFN_ERROR_NO_MEMORY);
        return;
    }
    size_t kept_count = azfn__destination_headers_filter(headers, count, request->filter.needle, kept, &has_needle);
    if (has_needle) {
        azfn__destination_request_tell(request, AZFN__EVENT_DESTINATION_ECHO, "a header of the answer was left out");
    }
    request->has_head = true;
    request->callbacks.on_head(status, kept, kept_count, request->user_data);
    free(kept);
}

static void on_head(uint16_t status, const struct azfn__https_header *headers, size_t count, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    if (status == 401 && try_with_new_token(request)) {
        return;
    }
    if (request->credential && (status == 401 || status == 403)) {
        azfn__destination_request_tell(request, AZFN__EVENT_DESTINATION_UNAUTHORIZED,
                                       status == 401 ? "it refuses its credential with status 401"
                                                     : "it refuses what was asked with status 403");
    }
    if (is_worth_another_try(status) && is_idempotent(request->method) &&
        try_later(request, azfn__destination_retry_after_ms(headers, count, (int64_t)time(NULL)))) {
        return;
    }
    hand_head_on(request, status, headers, count);
}

static enum azfn__destination_passage take(struct azfn_span bytes, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    bool is_taken = request->callbacks.on_body(bytes, request->user_data);
    if (request->phase == AZFN__DESTINATION_OVER) {
        return AZFN__DESTINATION_GONE;
    }
    request->is_paused = !is_taken;
    return is_taken ? AZFN__DESTINATION_PASSED : AZFN__DESTINATION_PAUSED;
}

static bool on_body(struct azfn_span bytes, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    if (request->is_paused) {
        return false; /* resumed for the sake of the request's body */
    }
    enum azfn__destination_passage passage = azfn__destination_filter_pass(&request->filter, bytes, take, request);
    if (passage == AZFN__DESTINATION_FOUND) {
        azfn__destination_request_tell(request, AZFN__EVENT_DESTINATION_ECHO, "the answer was cut off");
        azfn__destination_request_finish(request, AZFN_ERROR_FORBIDDEN);
    }
    return passage != AZFN__DESTINATION_PAUSED;
}

static void on_read(char *bytes, size_t capacity, size_t *out_length, bool *out_is_last, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    struct azfn__destination_body *body = &request->body;
    size_t left = body->window.length - body->sent_bytes;
    size_t length = left < capacity ? left : capacity;
    if (length > 0) {
        memcpy(bytes, body->window.data + body->sent_bytes, length);
    }
    body->sent_bytes += length;
    *out_length = length;
    *out_is_last = body->is_complete && body->sent_bytes == body->window.length;
    body->is_awaited = length == 0 && !*out_is_last;
    size_t dropped = body->is_kept ? 0 : body->sent_bytes;
    if (dropped > 0) {
        azfn__buffer_consume(&body->window, dropped);
        body->dropped_bytes += dropped;
        body->sent_bytes = 0;
        body->credit_bytes += dropped;
        request->callbacks.on_credit(dropped, request->user_data);
    }
}

/* What was held back of the answer, and its end. */
static void drain(struct azfn__destination_request *request)
{
    enum azfn__destination_passage passage = azfn__destination_filter_flush(&request->filter, take, request);
    if (passage == AZFN__DESTINATION_PASSED) {
        azfn__destination_request_finish(request, AZFN_OK);
    } else if (passage == AZFN__DESTINATION_PAUSED) {
        request->phase = AZFN__DESTINATION_DRAINS;
        azfn__destination_await_deadline(request);
    }
}

static void on_done(enum azfn_error error, const char *reason, bool was_sent, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    request->https = NULL;
    if (error == AZFN_OK && request->has_head) {
        drain(request);
        return;
    }
    bool is_connection = error == AZFN_ERROR_UNAVAILABLE || error == AZFN_ERROR_TIMEOUT;
    /* what no byte of has left can't be done twice */
    if (is_connection && !request->has_head && (is_idempotent(request->method) || !was_sent) &&
        try_later(request, UINT64_MAX)) {
        return;
    }
    bool is_distrusted = error == AZFN_ERROR_FORBIDDEN;
    azfn__destination_request_tell(
        request, is_distrusted ? AZFN__EVENT_DESTINATION_DISTRUSTED : AZFN__EVENT_DESTINATION_FAILED, reason);
    azfn__destination_request_finish(request, error == AZFN_OK ? AZFN_ERROR_SYNTAX : error);
}

static enum azfn_error launch(struct azfn__destination_request *request)
{
    const struct azfn__destination_target *target = request->target;
    struct azfn__destination_body *body = &request->body;
    uint64_t time_ms = left_ms(request);
    if (time_ms == 0) {
        return AZFN_ERROR_TIMEOUT;
    }
    if (request->credential) {
        request->headers[0].value = azfn__secret_reveal(request->credential->value);
        request->filter.needle = request->credential->needle;
    }
    body->sent_bytes = 0;
    body->is_awaited = false;
    const struct azfn__https_request_options options = {
        .method = azfn__method_name(request->method),
        .url = azfn__buffer_span(&request->url),
        .headers = request->headers,
        .header_count = request->header_count,
        .body_bytes = body->is_complete && body->dropped_bytes == 0 ? body->window.length : body->total_bytes,
        .trust = target->trust,
        .timeout_ms = (uint32_t)time_ms,
        .max_body_bytes = target->config->max_response_bytes,
        .callbacks = {.on_head = on_head, .on_body = on_body, .on_read = on_read, .on_done = on_done},
        .user_data = request};
    request->tries++;
    request->phase = AZFN__DESTINATION_IN_FLIGHT;
    enum azfn_error error = azfn__https_client_start(request->owner->options.https, &options, &request->https);
    if (request->credential) {
        request->headers[0].value = azfn__absent();
    }
    if (error == AZFN_OK) {
        return AZFN_OK;
    }
    request->https = NULL;
    azfn__destination_request_tell(request, AZFN__EVENT_DESTINATION_FAILED, azfn_error_text(error));
    return error == AZFN_ERROR_NO_MEMORY ? error : AZFN_ERROR_UNAVAILABLE;
}

static enum azfn_error launch_with(struct azfn__destination_request *request, const struct azfn__credential *credential)
{
    enum azfn_error error =
        azfn__destination_credential_acquire(request, azfn__secret_reveal(credential->value));
    return error == AZFN_OK ? launch(request) : error;
}

static void on_credential(enum azfn_error error, const struct azfn__credential *credential, void *user_data)
{
    struct azfn__destination_request *request = user_data;
    request->wait = NULL;
    uv_timer_stop(&request->timer);
    if (error == AZFN_OK) {
        error = launch_with(request, credential);
    } else {
        char what[128];
        bool is_for_good = error == AZFN_ERROR_NOT_FOUND || error == AZFN_ERROR_FORBIDDEN;
        (void)snprintf(what, sizeof(what), "it can't be had: %s", azfn_error_text(error));
        azfn__destination_request_tell(request, AZFN__EVENT_CREDENTIAL_UNUSABLE, what);
        error = is_for_good ? AZFN_ERROR_FORBIDDEN : error;
    }
    if (error != AZFN_OK) {
        azfn__destination_request_finish(request, error);
    }
}

enum azfn_error azfn__destination_try(struct azfn__destination_request *request)
{
    const struct azfn__destinations_options *all = &request->owner->options;
    const struct azfn__config_destination *destination = request->target->config;
    bool has_identity = azfn_span_is_present(destination->managed_identity);
    if (!has_identity && !azfn_span_is_present(destination->header)) {
        return launch(request);
    }
    struct azfn__credential_cache *cache = has_identity ? all->tokens : all->secrets;
    struct azfn_span key = has_identity ? destination->managed_identity : destination->secret;
    const struct azfn__credential *credential = azfn__credential_cache_peek(cache, key);
    if (credential) {
        return launch_with(request, credential);
    }
    enum azfn_error error = azfn__credential_cache_wait(cache, key, on_credential, request, &request->wait);
    if (error == AZFN_OK) {
        request->phase = AZFN__DESTINATION_WAITS_FOR_CREDENTIAL;
        azfn__destination_await_deadline(request);
    }
    return error;
}

void azfn__destination_on_timer(uv_timer_t *timer)
{
    struct azfn__destination_request *request = timer->data;
    switch (request->phase) {
    case AZFN__DESTINATION_WAITS_TO_TRY:
        try_or_finish(request);
        break;
    case AZFN__DESTINATION_DRAINS:
        if (request->is_paused) {
            azfn__destination_request_finish(request, AZFN_ERROR_TIMEOUT);
        } else {
            drain(request);
        }
        break;
    case AZFN__DESTINATION_ENDS:
        azfn__destination_request_finish(request, request->end_error);
        break;
    case AZFN__DESTINATION_WAITS_FOR_CREDENTIAL:
        azfn__destination_request_tell(request, AZFN__EVENT_CREDENTIAL_UNUSABLE, "it did not come in time");
        azfn__destination_request_finish(request, AZFN_ERROR_TIMEOUT);
        break;
    case AZFN__DESTINATION_IN_FLIGHT:
    case AZFN__DESTINATION_OVER:
        break;
    }
}
