/* The answer of azfn.h: what the host would mangle, drop or hang on is refused before it is sent. */
#include "base/json_scan.h"
#include "base/span.h"
#include "worker/asks.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"
#include "worker/invocation_answer.h"

#include <stdio.h>

#define CONTENT_TYPE_MAX_BYTES ((size_t)256)

static bool is_enveloped(const struct azfn__invocation *invocation)
{
    return invocation->mode == AZFN__MODE_ENVELOPE;
}

void azfn__invocation_send(struct azfn__invocation *invocation, const struct azfn__http_response *response)
{
    struct azfn__blocking_job *job = azfn__blocking_job_current();
    if (job) {
        azfn__blocking_job_keep(job, response);
    } else if (invocation->responder) {
        uint16_t generation = invocation->generation;
        invocation->responder->respond(invocation, response, invocation->responder_context);
        if (invocation->generation == generation) { /* a slow caller may take long to read it */
            azfn__asks_release_secrets(invocation);
        }
    } else {
        azfn__dispatcher_release(invocation->dispatcher, invocation);
    }
}

void azfn__invocation_answer_status(struct azfn__invocation *invocation, uint16_t status)
{
    char text[64];
    if (invocation->stream.state == AZFN__ANSWER_STREAMING) {
        if (invocation->responder) {
            invocation->responder->abort(invocation, invocation->responder_context);
        } else {
            azfn__dispatcher_release(invocation->dispatcher, invocation);
        }
        return;
    }
    int length = snprintf(text, sizeof(text), "%u %s\n", (unsigned)status, azfn__http_reason_phrase(status));
    const struct azfn__http_response response = {
        .status = status,
        .content_type = AZFN__DEFAULT_CONTENT_TYPE,
        .header_lines = invocation->function ? azfn__absent() : azfn__buffer_span(&invocation->header_lines),
        .body = azfn__span(text, length > 0 ? (size_t)length : 0),
    };
    azfn__invocation_send(invocation, &response);
}

void azfn__invocation_answer_timeout(struct azfn__invocation *invocation)
{
    azfn__invocation_answer_status(invocation, invocation->mode == AZFN__MODE_FORWARDED ? 504 : 500);
}

static void fail(struct azfn__invocation *invocation, struct azfn_span reason)
{
    azfn__invocation_flush_logs(invocation);
    azfn__dispatcher_log(invocation->dispatcher, invocation, AZFN_LOG_ERROR, reason);
    azfn__invocation_answer_status(invocation, 500);
}

enum azfn_error azfn__answer_fail_refused(struct azfn__invocation *invocation)
{
    char text[192];
    enum azfn_error error = invocation->first_error;
    int length = snprintf(text, sizeof(text), "the answer was not sent, since %s was refused: %s",
                          invocation->first_error_what, azfn_error_text(error));
    fail(invocation, azfn__span(text, length > 0 ? (size_t)length : 0));
    return error;
}

static enum azfn_error send_envelope(struct azfn__invocation *invocation, const struct azfn__envelope_http *http)
{
    const struct azfn__envelope_answer answer = {.function = invocation->function->config,
                                                 .outputs = invocation->outputs,
                                                 .http = http,
                                                 .logs = azfn__buffer_span(&invocation->logs),
                                                 .dropped_logs = invocation->dropped_logs};
    azfn__envelope_write(&answer, &invocation->out);
    if (invocation->out.has_failed) {
        azfn__buffer_reset(&invocation->out, 0);
        azfn__invocation_refuse(invocation, AZFN_ERROR_LIMIT, "the size of the answer");
        return azfn__answer_fail_refused(invocation);
    }
    azfn__invocation_tell_dropped_logs(invocation);
    const struct azfn__http_response response = {.status = 200,
                                                 .content_type = AZFN__SPAN("application/json"),
                                                 .body = azfn__buffer_span(&invocation->out)};
    azfn__invocation_send(invocation, &response);
    return AZFN_OK;
}

bool azfn__answer_has_no_body(int status)
{
    return status == 204 || status == 205 || status == 304;
}

enum azfn_error azfn__answer_check(struct azfn__invocation *invocation, int status, struct azfn_span content_type,
                                   struct azfn_span body)
{
    const struct azfn__config_function *function = invocation->function->config;
    if (function->trigger != AZFN__TRIGGER_HTTP || !function->http_output) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_STATE, "an HTTP reply without an http output binding");
    }
    if (status < 200 || status > 599) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "the status");
    }
    if (azfn__answer_has_no_body(status) && body.length > 0) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "a body with a status that has none");
    }
    if (body.length > AZFN__ANSWER_MAX_BYTES) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_LIMIT, "the size of the body");
    }
    if (content_type.length > CONTENT_TYPE_MAX_BYTES || !azfn__http_header_value_is_valid(content_type)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "the content type");
    }
    if (is_enveloped(invocation) && !azfn__span_is_utf8(body)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT,
                                       "a body that is not UTF-8, in an envelope,");
    }
    if (is_enveloped(invocation) && azfn__envelope_is_rewritten_date(body)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT,
                                       "a body that is a date, which the host would rewrite,");
    }
    return invocation->first_error;
}

bool azfn__answer_is_given(const struct azfn__invocation *invocation)
{
    const struct azfn__blocking_job *job = azfn__blocking_job_current();
    return job ? job->has_answered : invocation->state != AZFN__INVOCATION_RUNNING;
}

struct azfn__invocation *azfn__answerable_of(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (invocation && azfn__answer_is_given(invocation)) {
        azfn__dispatcher_log(invocation->dispatcher, invocation, AZFN_LOG_WARNING,
                             AZFN__SPAN("the function answered an invocation that was already answered"));
        return NULL;
    }
    return invocation;
}

enum azfn_error azfn__answer_reply(struct azfn__invocation *invocation, int status, struct azfn_span type,
                                   struct azfn_span body)
{
    enum azfn_error error = azfn__answer_check(invocation, status, type, body);
    azfn__dispatcher_finish(invocation);
    if (error != AZFN_OK) {
        return azfn__answer_fail_refused(invocation);
    }
    type = azfn__answer_has_no_body(status) ? azfn__absent() : type;
    if (is_enveloped(invocation)) {
        const struct azfn__envelope_http http = {.status = (uint16_t)status,
                                                 .content_type = type,
                                                 .header_members = azfn__buffer_span(&invocation->header_lines),
                                                 .body = body};
        return send_envelope(invocation, &http);
    }
    const struct azfn__http_response response = {.status = (uint16_t)status,
                                                 .content_type = type,
                                                 .header_lines = azfn__buffer_span(&invocation->header_lines),
                                                 .body = body};
    azfn__invocation_send(invocation, &response);
    return AZFN_OK;
}

enum azfn_error azfn_http_reply(struct azfn_invocation *handle, int status, const char *content_type,
                                struct azfn_span body)
{
    struct azfn__invocation *invocation = azfn__answerable_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (invocation->stream.state != AZFN__ANSWER_WHOLE) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_STATE, "an HTTP reply after azfn_http_begin()");
    }
    return azfn__answer_reply(invocation, status, content_type ? azfn_span_of(content_type) : AZFN__DEFAULT_CONTENT_TYPE,
                              azfn_span_is_present(body) ? body : azfn__span("", 0));
}

enum azfn_error azfn_succeed(struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__answerable_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (invocation->stream.state != AZFN__ANSWER_WHOLE) {
        return azfn_http_end(handle);
    }
    const struct azfn__config_function *function = invocation->function->config;
    if (function->trigger == AZFN__TRIGGER_HTTP && function->http_output) {
        return azfn__answer_reply(invocation, 204, AZFN__DEFAULT_CONTENT_TYPE, azfn__span("", 0));
    }
    azfn__dispatcher_finish(invocation);
    return invocation->first_error != AZFN_OK ? azfn__answer_fail_refused(invocation) : send_envelope(invocation, NULL);
}

void azfn_fail(struct azfn_invocation *handle, const char *reason)
{
    struct azfn__invocation *invocation = azfn__answerable_of(handle);
    if (invocation) {
        azfn__dispatcher_finish(invocation);
        fail(invocation, azfn_span_of(reason ? reason : "the function failed and gave no reason"));
    }
}

/* In an envelope the host keeps the first of two names that differ in case only, and drops the other. */
static bool has_name(const struct azfn__invocation *invocation, struct azfn_span name)
{
    for (const struct azfn__answer_header *header = invocation->header_names; header; header = header->next) {
        if (azfn__span_equal_ignore_case(header->name, name)) {
            return true;
        }
    }
    return false;
}

static enum azfn_error add_enveloped_header(struct azfn__invocation *invocation, struct azfn_span name,
                                            struct azfn_span value)
{
    if (has_name(invocation, name) || azfn__span_equal_ignore_case(name, AZFN__SPAN("Content-Encoding")) ||
        azfn__envelope_is_rewritten_date(value)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT,
                                       "a header that the host would change, in an envelope,");
    }
    struct azfn__answer_header *header = azfn__invocation_alloc(invocation, sizeof(*header));
    struct azfn_span kept = azfn__arena_copy(&invocation->arena, name);
    if (!header || !azfn_span_is_present(kept)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "a header");
    }
    *header = (struct azfn__answer_header){.next = invocation->header_names, .name = kept};
    invocation->header_names = header;
    azfn__json_append_string(&invocation->header_lines, name);
    azfn__buffer_append_char(&invocation->header_lines, ':');
    azfn__json_append_string(&invocation->header_lines, value);
    azfn__buffer_append_char(&invocation->header_lines, ',');
    return AZFN_OK;
}

enum azfn_error azfn_http_set_header(struct azfn_invocation *handle, const char *name, struct azfn_span value)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation || azfn__answer_is_given(invocation)) {
        return AZFN_ERROR_STATE;
    }
    if (invocation->stream.state != AZFN__ANSWER_WHOLE) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_STATE, "a header after azfn_http_begin()");
    }
    struct azfn_span header_name = azfn_span_of(name);
    if (!azfn__http_header_name_is_allowed(header_name) || !azfn__http_header_value_is_valid(value) ||
        azfn__span_equal_ignore_case(header_name, AZFN__SPAN("Content-Type"))) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "a header");
    }
    if (is_enveloped(invocation)) {
        enum azfn_error error = add_enveloped_header(invocation, header_name, value);
        if (error != AZFN_OK) {
            return error;
        }
    } else {
        azfn__buffer_append_span(&invocation->header_lines, header_name);
        azfn__buffer_append_text(&invocation->header_lines, ": ");
        azfn__buffer_append_span(&invocation->header_lines, value);
        azfn__buffer_append_text(&invocation->header_lines, "\r\n");
    }
    return invocation->header_lines.has_failed
               ? azfn__invocation_refuse(invocation, AZFN_ERROR_LIMIT, "the size of the headers")
               : AZFN_OK;
}

static const struct azfn__config_binding *find_output(const struct azfn__invocation *invocation, struct azfn_span name)
{
    const struct azfn__config_function *function = invocation->function->config;
    for (size_t i = 0; i < function->binding_count; i++) {
        if (!function->bindings[i].is_input && azfn__span_equal(function->bindings[i].name, name)) {
            return &function->bindings[i];
        }
    }
    return NULL;
}

static enum azfn_error add_output(struct azfn__invocation *invocation, const char *name, struct azfn_span value,
                                  bool is_json)
{
    const struct azfn__config_binding *binding = find_output(invocation, azfn_span_of(name));
    if (!binding) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_NOT_FOUND,
                                       "an output that function.json does not name");
    }
    enum azfn_error error =
        azfn__envelope_check_output(binding, value, azfn__envelope_first_output(invocation->outputs, binding));
    if (error != AZFN_OK) {
        return azfn__invocation_refuse(invocation, error, "an output that the host would change");
    }
    struct azfn__envelope_output *output = azfn__invocation_alloc(invocation, sizeof(*output));
    struct azfn_span copy = azfn__arena_copy(&invocation->arena, value);
    if (!output || !azfn_span_is_present(copy)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "an output");
    }
    *output = (struct azfn__envelope_output){.binding = binding, .value = copy, .is_json = is_json};
    azfn__envelope_add_output(&invocation->outputs, output);
    return AZFN_OK;
}

enum azfn_error azfn_output(struct azfn_invocation *handle, const char *name, struct azfn_span text)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (!azfn_span_is_present(text) || !azfn__span_is_utf8(text)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "an output that is not UTF-8");
    }
    return add_output(invocation, name, text, false);
}

enum azfn_error azfn_output_json(struct azfn_invocation *handle, const char *name, struct azfn_span json)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (!azfn_span_is_present(azfn_json_checked(json))) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_SYNTAX, "an output that is not JSON");
    }
    return add_output(invocation, name, json, true);
}
