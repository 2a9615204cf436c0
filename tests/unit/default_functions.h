/* tests/unit/default_functions.h
 * The functions of a worker whose test brings none of its own, and the files that configure them. */
#ifndef TESTS_UNIT_DEFAULT_FUNCTIONS_H
#define TESTS_UNIT_DEFAULT_FUNCTIONS_H

#include "base/span.h"
#include "config/config.h"

#include <azfn.h>
#include <stdlib.h>

#define BIG_BYTES ((size_t)8 << 20)

static struct azfn_invocation *held[4]; /* what "hold" and "never" were called with */
static size_t held_count;
static enum azfn_error second_answer; /* what "twice" got for it */

static inline void hello(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_query(invocation, "name");
    azfn_http_reply(invocation, 200, NULL, azfn_format(invocation, "hello %.*s", AZFN_SPAN_ARGS(name)));
}

static inline void echo(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_http_reply(invocation, 200, "application/octet-stream", azfn_http_body(invocation));
}

static inline void later(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    if (azfn_delay(invocation, 1, hello, NULL) != AZFN_OK) {
        azfn_fail(invocation, "no delay");
    }
}

static inline void hold(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    held[held_count++] = invocation;
}

static inline void never(struct azfn_invocation *invocation, void *user_data)
{
    /* its callbacks must not come once it has lost the invocation */
    if (azfn_delay(invocation, 3600000, hello, NULL) == AZFN_OK) {
        hold(invocation, user_data);
    }
}

static inline void twice(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("first"));
    second_answer = azfn_http_reply(invocation, 200, NULL, azfn_span_of("second"));
    azfn_fail(invocation, "third");
}

static inline void big(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    char *bytes = malloc(BIG_BYTES);
    if (!bytes) {
        azfn_fail(invocation, "no memory");
        return;
    }
    for (size_t i = 0; i < BIG_BYTES; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    azfn_http_reply(invocation, 200, "application/octet-stream", azfn__span(bytes, BIG_BYTES));
    free(bytes);
}

static inline void message(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_output(invocation, "out", azfn_input(invocation, NULL));
    azfn_succeed(invocation);
}

#define HTTP(more) "{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"" more "},{\"type\":\"http\"," \
                   "\"direction\":\"out\",\"name\":\"res\"}]}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"},{\"type\":\"queue\",\"direction\":\"out\"," \
              "\"name\":\"out\"}]}"
#define LITERAL(text) {(text), sizeof(text) - 1}
#define HOST_JSON {LITERAL("host.json"), \
                   LITERAL("{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true," \
                           "\"description\":{\"defaultExecutablePath\":\"handler\"}}}")}

static const struct azfn_function functions[] = {
    {.name = "hello", .handler = hello}, {.name = "echo", .handler = echo},   {.name = "later", .handler = later},
    {.name = "hold", .handler = hold},   {.name = "never", .handler = never}, {.name = "twice", .handler = twice},
    {.name = "big", .handler = big},     {.name = "message", .handler = message}, {.name = "mute", .handler = never},
};

static const struct azfn__config_file files[] = {
    HOST_JSON,
    {LITERAL("azfn.json"),
     LITERAL("{\"functions\":{\"echo\":{\"maxBodyBytes\":1000},\"never\":{\"timeoutMs\":30},"
             "\"mute\":{\"timeoutMs\":30},\"hold\":{\"maxConcurrent\":2}}}")},
    {LITERAL("hello/function.json"), LITERAL(HTTP(""))},
    {LITERAL("echo/function.json"), LITERAL(HTTP(",\"methods\":[\"post\",\"put\"]"))},
    {LITERAL("later/function.json"), LITERAL(HTTP(""))},
    {LITERAL("hold/function.json"), LITERAL(HTTP(""))},
    {LITERAL("never/function.json"), LITERAL(HTTP(""))},
    {LITERAL("twice/function.json"), LITERAL(HTTP(""))},
    {LITERAL("big/function.json"), LITERAL(HTTP(""))},
    {LITERAL("message/function.json"), LITERAL(QUEUE)},
    {LITERAL("mute/function.json"), LITERAL(QUEUE)},
};

#endif
