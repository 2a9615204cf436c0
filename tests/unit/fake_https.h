/* unit/fake_https.h
 * A module in place of azfn-https.so: requests wait in it until the test answers them. After cmocka.h. */
#ifndef TESTS_UNIT_FAKE_HTTPS_H
#define TESTS_UNIT_FAKE_HTTPS_H

#include "base/span.h"
#include "broker/https_client.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FAKE_REQUESTS 8

struct azfn__https_request {
    char url[2048];
    char headers[32768]; /* "Name: value\n" each */
    struct azfn__https_request_options options; /* its spans are not to be looked at */
};

/* Of one test at a time. */
static struct {
    struct azfn__https_request *pending[MAX_FAKE_REQUESTS]; /* the oldest first */
    size_t pending_count;
    unsigned started;
    unsigned cancelled;
    enum azfn_error refusal; /* what start returns */
} fake_https;

static enum azfn_error fake_engine_new(const struct azfn__https_engine_options *options,
                                       struct azfn__https_engine **out_engine, const char **out_reason)
{
    (void)options;
    *out_reason = "";
    *out_engine = (struct azfn__https_engine *)&fake_https;
    return AZFN_OK;
}

static void fake_engine_destroy(struct azfn__https_engine *engine)
{
    (void)engine;
}

static void fake_on_socket(struct azfn__https_engine *engine, int fd, bool is_readable, bool is_writable)
{
    (void)engine;
    (void)fd;
    (void)is_readable;
    (void)is_writable;
}

static void fake_on_timer(struct azfn__https_engine *engine)
{
    (void)engine;
}

static void fake_resume(struct azfn__https_request *request)
{
    (void)request;
}

static enum azfn_error fake_start(struct azfn__https_engine *engine, const struct azfn__https_request_options *options,
                                  struct azfn__https_request **out_request)
{
    (void)engine;
    if (fake_https.refusal != AZFN_OK) {
        return fake_https.refusal;
    }
    struct azfn__https_request *request = calloc(1, sizeof(*request));
    assert_non_null(request);
    assert_true(fake_https.pending_count < MAX_FAKE_REQUESTS);
    assert_true(azfn_span_equals(options->method, "GET"));
    assert_true(options->timeout_ms > 0 && options->max_body_bytes > 0 && options->body_bytes == 0);
    assert_true(options->goes_first);
    request->options = *options;
    (void)snprintf(request->url, sizeof(request->url), "%.*s", AZFN_SPAN_ARGS(options->url));
    for (size_t i = 0, used = 0; i < options->header_count; i++) {
        int length = snprintf(request->headers + used, sizeof(request->headers) - used, "%.*s: %.*s\n",
                              AZFN_SPAN_ARGS(options->headers[i].name), AZFN_SPAN_ARGS(options->headers[i].value));
        assert_true(length > 0 && (size_t)length < sizeof(request->headers) - used);
        used += (size_t)length;
    }
    fake_https.pending[fake_https.pending_count++] = request;
    fake_https.started++;
    *out_request = request;
    return AZFN_OK;
}

static void fake_remove(const struct azfn__https_request *request)
{
    size_t i = 0;
    while (fake_https.pending[i] != request) {
        i++;
        assert_true(i < fake_https.pending_count);
    }
    fake_https.pending_count--;
    memmove(&fake_https.pending[i], &fake_https.pending[i + 1],
            (fake_https.pending_count - i) * sizeof(fake_https.pending[0]));
}

static void fake_cancel(struct azfn__https_request *request)
{
    fake_remove(request);
    free(request);
    fake_https.cancelled++;
}

static const struct azfn__https_api fake_https_api = {
    .version = AZFN__HTTPS_MODULE_VERSION,
    .engine_new = fake_engine_new,
    .engine_destroy = fake_engine_destroy,
    .on_socket = fake_on_socket,
    .on_timer = fake_on_timer,
    .start = fake_start,
    .resume = fake_resume,
    .cancel = fake_cancel,
};

/* Headers as "name: value\n...". The body comes in two pieces. */
static void give_head_and_body(const struct azfn__https_request *request, unsigned status, const char *headers,
                               struct azfn_span body)
{
    const struct azfn__https_callbacks *callbacks = &request->options.callbacks;
    struct azfn__https_header parsed[8];
    size_t count = 0;
    for (const char *line = headers; *line; line = strchr(line, '\n') + 1) {
        const char *colon = strstr(line, ": ");
        assert_true(count < 8 && colon);
        parsed[count].name = azfn__span(line, (size_t)(colon - line));
        parsed[count++].value = azfn__span(colon + 2, (size_t)(strchr(line, '\n') - colon - 2));
    }
    callbacks->on_head((uint16_t)status, parsed, count, request->options.user_data);
    size_t half = body.length / 2;
    assert_true(callbacks->on_body(azfn__span(body.data, half), request->options.user_data));
    assert_true(callbacks->on_body(azfn__span_from(body, half), request->options.user_data));
}

static struct azfn__https_request *take_oldest(void)
{
    assert_true(fake_https.pending_count > 0);
    struct azfn__https_request *request = fake_https.pending[0];
    fake_remove(request);
    return request;
}

static void answer_https_bytes(unsigned status, const char *headers, struct azfn_span body)
{
    struct azfn__https_request *request = take_oldest();
    give_head_and_body(request, status, headers, body);
    request->options.callbacks.on_done(AZFN_OK, "done", true, request->options.user_data);
    free(request);
}

static inline void answer_https(unsigned status, const char *headers, const char *body)
{
    answer_https_bytes(status, headers, azfn_span_of(body));
}

/* Broken off, perhaps in the middle of an answer with status 200. */
static inline void fail_https(enum azfn_error error, const char *reason, const char *body)
{
    struct azfn__https_request *request = take_oldest();
    if (body) {
        give_head_and_body(request, 200, "Content-Type: application/json\n", azfn_span_of(body));
    }
    request->options.callbacks.on_done(error, reason, true, request->options.user_data);
    free(request);
}

#endif
