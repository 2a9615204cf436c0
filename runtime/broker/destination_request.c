#include "base/ascii.h"
#include "base/span.h"
#include "base/trace_id.h"
#include "broker/destination_parts.h"
#include "broker/destination_url.h"

#include <stdlib.h>

#define MAX_URL_BYTES ((size_t)12 << 10)
#define MAX_HEADER_BYTES ((size_t)64 << 10)
#define ARENA_BYTES ((size_t)256 << 10)
/* The credential's, Accept-Encoding, traceparent, x-ms-client-request-id. */
#define OWN_HEADERS ((size_t)4)
/* Of a body whose end is not known: what is kept for another try, so that there is credit for more. */
#define KEPT_BYTES (AZFN__ASK_WINDOW_BYTES / 2)

/* False: not one of those that the destination takes. */
static bool find_method(const struct azfn__config_destination *destination, struct azfn_span name,
                        enum azfn__method *out_method)
{
    for (unsigned i = 0; i < AZFN__METHOD_COUNT; i++) {
        if (azfn__span_equal(azfn__method_name((enum azfn__method)i), name)) {
            *out_method = (enum azfn__method)i;
            return (destination->methods >> i & 1) != 0;
        }
    }
    return false;
}

static const char *check_headers(const struct azfn__config_destination *destination,
                                 const struct azfn__destination_request_options *options)
{
    size_t bytes = 0;
    if (options->header_count > AZFN__DESTINATION_MAX_HEADERS) {
        return "more than 100 headers";
    }
    for (size_t i = 0; i < options->header_count; i++) {
        const struct azfn__https_header *header = &options->headers[i];
        const char *wrong = azfn__destination_header_check(header->name, header->value, destination->header);
        for (size_t k = 0; !wrong && k < destination->header_count; k++) {
            wrong = azfn__destination_header_check(header->name, header->value, destination->headers[k].name);
        }
        bytes += header->name.length + header->value.length;
        if (wrong || bytes > MAX_HEADER_BYTES) {
            return wrong ? wrong : "headers of more than 64 KiB";
        }
    }
    return NULL;
}

/* NULL, or what of the request the destination does not allow. */
static const char *check(struct azfn__destination_request *request,
                         const struct azfn__destination_request_options *options)
{
    const struct azfn__config_destination *destination = options->destination;
    if (!find_method(destination, options->method, &request->method)) {
        return "a method that is not in its methods";
    }
    if (options->body_bytes != AZFN__HTTPS_UNKNOWN_LENGTH && options->body_bytes > destination->max_request_bytes) {
        return "a body of more than its maxRequestBytes";
    }
    const char *wrong = azfn__destination_url_join(request->target->url, options->path, &request->url);
    return wrong ? wrong : check_headers(destination, options);
}

static bool has_header(const struct azfn__destination_request *request, struct azfn_span name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (azfn__span_equal_ignore_case(request->headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

static void add_header(struct azfn__destination_request *request, struct azfn_span name, struct azfn_span value)
{
    request->headers[request->header_count++] = (struct azfn__https_header){.name = name, .value = value};
}

/* False: without memory. */
static bool copy_headers(struct azfn__destination_request *request,
                         const struct azfn__destination_request_options *options)
{
    const struct azfn__config_destination *destination = options->destination;
    bool has_identity = azfn_span_is_present(destination->managed_identity);
    size_t room = OWN_HEADERS + destination->header_count + options->header_count;
    request->headers = azfn__arena_alloc(&request->arena, room * sizeof(*request->headers));
    if (!request->headers) {
        return false;
    }
    if (has_identity || azfn_span_is_present(destination->header)) {
        add_header(request, has_identity ? AZFN__SPAN("Authorization") : destination->header, azfn__absent());
    }
    for (size_t i = 0; i < destination->header_count; i++) {
        add_header(request, destination->headers[i].name, destination->headers[i].value);
    }
    for (size_t i = 0; i < options->header_count; i++) {
        struct azfn_span name = azfn__arena_copy(&request->arena, options->headers[i].name);
        struct azfn_span value = azfn__arena_copy(&request->arena, options->headers[i].value);
        if (!azfn_span_is_present(name) || !azfn_span_is_present(value)) {
            return false;
        }
        add_header(request, name, value);
    }
    if (!has_header(request, AZFN__SPAN("accept-encoding"))) {
        add_header(request, AZFN__SPAN("Accept-Encoding"), AZFN__SPAN("identity"));
    }
    if (azfn_span_is_present(azfn__trace_id_of(options->trace_parent)) &&
        !has_header(request, AZFN__SPAN("traceparent"))) {
        struct azfn_span value = azfn__arena_copy(&request->arena, options->trace_parent);
        add_header(request, AZFN__SPAN("traceparent"), value);
        if (!azfn_span_is_present(value)) {
            return false;
        }
    }
    /* Azure's services log it; to others it says nothing */
    if (has_identity && azfn__span_is_guid(request->asker.invocation_id) &&
        !has_header(request, AZFN__SPAN("x-ms-client-request-id"))) {
        add_header(request, AZFN__SPAN("x-ms-client-request-id"), request->asker.invocation_id);
    }
    return true;
}

static bool copy_asker(struct azfn__destination_request *request, const struct azfn__policy_asker *asker)
{
    request->asker.function = azfn__arena_copy(&request->arena, asker->function);
    request->asker.invocation_id = azfn__arena_copy(&request->arena, asker->invocation_id);
    bool has_trace = azfn_span_is_present(asker->trace_id);
    request->asker.trace_id = has_trace ? azfn__arena_copy(&request->arena, asker->trace_id) : azfn__absent();
    return azfn_span_is_present(request->asker.function) && azfn_span_is_present(request->asker.invocation_id) &&
           azfn_span_is_present(request->asker.trace_id) == has_trace;
}

static void init_body(struct azfn__destination_body *body, uint64_t total_bytes)
{
    azfn__buffer_init(&body->window, AZFN__ASK_WINDOW_BYTES);
    body->total_bytes = total_bytes;
    body->credit_bytes = AZFN__ASK_WINDOW_BYTES;
    body->is_complete = total_bytes == 0;
    body->is_kept = total_bytes == AZFN__HTTPS_UNKNOWN_LENGTH || total_bytes <= AZFN__ASK_WINDOW_BYTES;
}

static uint32_t shorter_of(uint32_t a_ms, uint32_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void free_request(struct azfn__destination_request *request)
{
    azfn__buffer_clean_up(&request->url);
    azfn__buffer_clean_up(&request->body.window);
    azfn__arena_clean_up(&request->arena);
    free(request);
}

static struct azfn__destination_target *find_target(struct azfn__destinations *destinations,
                                                    const struct azfn__config_destination *destination)
{
    return &destinations->targets[destination - destinations->options.config->destinations];
}

/* Not yet known to anybody else. */
static enum azfn_error make_request(struct azfn__destinations *destinations,
                                    const struct azfn__destination_request_options *options,
                                    struct azfn__destination_request **out_request)
{
    struct azfn__destination_request *request = calloc(1, sizeof(*request));
    if (!request) {
        return AZFN_ERROR_NO_MEMORY;
    }
    request->owner = destinations;
    request->target = find_target(destinations, options->destination);
    request->callbacks = options->callbacks;
    request->user_data = options->user_data;
    azfn__arena_init(&request->arena, ARENA_BYTES);
    azfn__buffer_init(&request->url, MAX_URL_BYTES);
    init_body(&request->body, options->body_bytes);
    const char *wrong = check(request, options);
    if (wrong) {
        azfn__policy_record_refusal(destinations->options.policy, &options->asker, options->destination, wrong);
        free_request(request);
        return AZFN_ERROR_FORBIDDEN;
    }
    if (request->url.has_failed || !copy_asker(request, &options->asker) || !copy_headers(request, options) ||
        uv_timer_init(destinations->options.loop, &request->timer) != 0) {
        free_request(request);
        return AZFN_ERROR_NO_MEMORY;
    }
    request->timer.data = request;
    request->deadline_ms =
        uv_now(destinations->options.loop) + shorter_of(options->timeout_ms, options->destination->timeout_ms);
    *out_request = request;
    return AZFN_OK;
}

enum azfn_error azfn__destination_request_start(struct azfn__destinations *destinations,
                                                const struct azfn__destination_request_options *options,
                                                struct azfn__destination_request **out_request)
{
    struct azfn__destination_request *request;
    *out_request = NULL;
    if (destinations->in_flight >= destinations->options.config->limits.destination_requests) {
        azfn__destination_tell(destinations, find_target(destinations, options->destination), &options->asker,
                               AZFN__EVENT_DESTINATION_LIMIT, "as many are in flight as azfn.json's limits allow");
        return AZFN_ERROR_LIMIT;
    }
    enum azfn_error error = make_request(destinations, options, &request);
    if (error != AZFN_OK) {
        return error;
    }
    destinations->in_flight++;
    error = azfn__destination_try(request);
    if (error != AZFN_OK) {
        azfn__destination_request_release(request);
        return error;
    }
    azfn__policy_record_use(destinations->options.policy, &request->asker, options->destination);
    *out_request = request;
    return AZFN_OK;
}

void azfn__destination_request_tell(const struct azfn__destination_request *request, enum azfn__security_event event,
                                    const char *reason)
{
    azfn__destination_tell(request->owner, request->target, &request->asker, event, reason);
}

static void on_closed(uv_handle_t *handle)
{
    free_request(handle->data);
}

void azfn__destination_request_release(struct azfn__destination_request *request)
{
    struct azfn__https_request *https = request->https;
    struct azfn__credential_wait *wait = request->wait;
    request->phase = AZFN__DESTINATION_OVER;
    request->https = NULL;
    request->wait = NULL;
    if (https) {
        azfn__https_client_cancel(request->owner->options.https, https);
    }
    if (wait) {
        azfn__credential_cache_cancel(wait);
    }
    request->filter = (struct azfn__destination_filter){.held_bytes = 0};
    azfn__destination_credential_release(request->target, request->credential);
    request->credential = NULL;
    request->owner->in_flight--;
    uv_close((uv_handle_t *)&request->timer, on_closed);
}

void azfn__destination_request_finish(struct azfn__destination_request *request, enum azfn_error error)
{
    azfn__destination_request_release(request);
    request->callbacks.on_done(error, request->user_data);
}

void azfn__destination_request_cancel(struct azfn__destination_request *request)
{
    azfn__destination_request_release(request);
}

void azfn__destination_request_resume(struct azfn__destination_request *request)
{
    if (!request->is_paused) {
        return;
    }
    request->is_paused = false;
    if (request->phase == AZFN__DESTINATION_IN_FLIGHT) {
        azfn__https_client_resume(request->owner->options.https, request->https);
    } else if (request->phase == AZFN__DESTINATION_DRAINS) {
        uv_timer_start(&request->timer, azfn__destination_on_timer, 0, 0);
    }
}

static void end_later(struct azfn__destination_request *request, enum azfn_error error)
{
    struct azfn__https_request *https = request->https;
    struct azfn__credential_wait *wait = request->wait;
    request->https = NULL;
    request->wait = NULL;
    request->phase = AZFN__DESTINATION_ENDS;
    request->end_error = error;
    if (https) {
        azfn__https_client_cancel(request->owner->options.https, https);
    }
    if (wait) {
        azfn__credential_cache_cancel(wait);
    }
    uv_timer_start(&request->timer, azfn__destination_on_timer, 0, 0);
}

/* What the worker may write now, after this. */
static bool may_write(const struct azfn__destination_body *body, size_t length, bool is_last)
{
    uint64_t total = body->written_bytes + length;
    if (body->is_complete) {
        return length == 0 && is_last; /* says once more what was known */
    }
    if (length > body->credit_bytes) {
        return false;
    }
    return body->total_bytes == AZFN__HTTPS_UNKNOWN_LENGTH ||
           (is_last ? total == body->total_bytes : total <= body->total_bytes);
}

bool azfn__destination_request_write(struct azfn__destination_request *request, struct azfn_span bytes, bool is_last)
{
    struct azfn__destination_body *body = &request->body;
    if (!may_write(body, bytes.length, is_last)) {
        return false;
    }
    body->written_bytes += bytes.length;
    body->credit_bytes -= bytes.length;
    body->is_complete = body->is_complete || is_last || body->written_bytes == body->total_bytes;
    if (request->phase == AZFN__DESTINATION_DRAINS || request->phase == AZFN__DESTINATION_ENDS) {
        return true; /* it is answered without them */
    }
    if (body->written_bytes > request->target->config->max_request_bytes) {
        azfn__policy_record_refusal(request->owner->options.policy, &request->asker, request->target->config,
                                    "a body of more than its maxRequestBytes");
        end_later(request, AZFN_ERROR_LIMIT);
        return true;
    }
    azfn__buffer_append_span(&body->window, bytes);
    if (body->window.has_failed) {
        end_later(request, AZFN_ERROR_NO_MEMORY);
        return true;
    }
    if (!body->is_complete && body->total_bytes == AZFN__HTTPS_UNKNOWN_LENGTH && body->window.length > KEPT_BYTES) {
        body->is_kept = false;
    }
    if (body->is_awaited && request->phase == AZFN__DESTINATION_IN_FLIGHT) {
        body->is_awaited = false;
        azfn__https_client_resume(request->owner->options.https, request->https);
    }
    return true;
}
