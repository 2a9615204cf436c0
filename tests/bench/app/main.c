/* The functions that are measured: as little as a function can do with what it is given. BENCH_ROUTES more of them
 * only have to be told apart. */
#include <azfn.h>

#include <stdio.h>

#ifndef BENCH_ROUTES
#define BENCH_ROUTES 0
#endif

static void hello(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_param(invocation, "name");
    azfn_http_reply(invocation, 200, "text/plain; charset=utf-8",
                    azfn_format(invocation, "Hello, %.*s!\n", AZFN_SPAN_ARGS(name)));
}

static void on_secret(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                      void *user_data)
{
    if (error != AZFN_OK || azfn_secret_reveal(invocation, secret).length == 0) {
        azfn_http_reply(invocation, 503, NULL, azfn_span_of(azfn_error_name(error)));
        return;
    }
    hello(invocation, user_data);
}

/* The same answer, once the secret is there. */
static void with_secret(struct azfn_invocation *invocation, void *user_data)
{
    if (azfn_secret_get(invocation, "key", on_secret, user_data) != AZFN_OK) {
        azfn_fail(invocation, "no secret");
    }
}

static void upload(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_http_reply(invocation, 200, "text/plain; charset=utf-8",
                    azfn_format(invocation, "%zu\n", azfn_http_body(invocation).length));
}

/* A queue message, of which one member is read, and one output. */
static void one_member(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span id = azfn_json_member(azfn_input_json(invocation, NULL), "id");
    azfn_output_json(invocation, "receipt", id);
    azfn_succeed(invocation);
}

/* The longest member of the message: its text, not its JSON. */
static void long_text(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span note = azfn_json_member(azfn_input_json(invocation, NULL), "note");
    azfn_output(invocation, "receipt",
                azfn_format(invocation, "%zu bytes", azfn_json_string(invocation, note).length));
    azfn_succeed(invocation);
}

/* An event that comes as an object or as text, of which two members are read: the first and the last. */
static void two_members(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    int64_t quantity = 0;
    struct azfn_span message = azfn_input_json(invocation, NULL);
    struct azfn_span id = azfn_json_member(message, "id");
    if (azfn_json_int64(azfn_json_member(message, "quantity"), &quantity) != AZFN_OK) {
        azfn_fail(invocation, "the message has no quantity");
        return;
    }
    azfn_output_json(invocation, "receipt", id);
    azfn_succeed(invocation);
}

int main(int argc, char **argv)
{
    static struct azfn_function functions[6 + BENCH_ROUTES] = {
        {.name = "hello", .handler = hello},
        {.name = "long_text", .handler = long_text},
        {.name = "one_member", .handler = one_member},
        {.name = "secret", .handler = with_secret},
        {.name = "two_members", .handler = two_members},
        {.name = "upload", .handler = upload},
    };
    static char names[BENCH_ROUTES + 1][16];
    const size_t routes = BENCH_ROUTES;
    for (size_t i = 0; i < routes; i++) {
        snprintf(names[i], sizeof(names[i]), "route_%04zu", i);
        functions[6 + i] = (struct azfn_function){.name = names[i], .handler = hello};
    }
    return azfn_main(argc, argv, functions, 6 + BENCH_ROUTES);
}
