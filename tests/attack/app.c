/* A function app with one function that an attacker controls, and another one that goes on serving.
 *   Attack?step=NAME         with the header x-target: see attack.h; runs a step, and answers what came of it
 *   Attack?show=1            what the attacker has collected
 *   Victim?do=WHAT           secret, call, hold: uses what azfn.json grants it; mark: a line on both streams */
#include "attack.h"

#include <azfn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MANY 6000

static char collected[256];

static void answer(struct azfn_invocation *invocation, const struct attack_result *result)
{
    char text[512];
    attack_describe(result, text, sizeof(text));
    (void)azfn_http_reply(invocation, 200, "application/json", azfn_span_of(text));
}

/* What takes the place of Victim. */
static void impostor(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span stolen = azfn_http_header(invocation, "x-private");
    (void)snprintf(collected, sizeof(collected), "%.*s", AZFN_SPAN_ARGS(stolen));
    (void)azfn_http_reply(invocation, 200, NULL, azfn_span_of("a lie"));
}

static const struct azfn_function *victim(void);

/* The table is read-only after the start; the attacker changes that. */
static void take_victims_place(struct azfn_invocation *invocation)
{
    /* NOLINTBEGIN(performance-no-int-to-ptr) */
    const struct azfn_function *entry = victim();
    /* so that the compiler does not know that it is constant */
    __asm__ volatile("" : "+r"(entry) : : "memory");
    uintptr_t first = (uintptr_t)entry & ~(uintptr_t)4095;
    uintptr_t last = (uintptr_t)(entry + 1);
    azfn_handler_fn *replacement = impostor;
    struct attack_result result = attack_succeeded("in its place");
    if (mprotect((void *)first, last - first, PROT_READ | PROT_WRITE) != 0) {
        result = attack_refused("mprotect");
    } else {
        memcpy((char *)(uintptr_t)entry + offsetof(struct azfn_function, handler), &replacement, sizeof(replacement));
        __asm__ volatile("" : : : "memory");
    }
    /* NOLINTEND(performance-no-int-to-ptr) */
    answer(invocation, &result);
}

struct many {
    int pending;
    int refused;
};

static void on_one_of_many(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                           void *user_data)
{
    struct many *many = user_data;
    (void)secret;
    many->refused += error == AZFN_ERROR_LIMIT;
    if (--many->pending == 0) {
        const struct attack_result result = many->refused > 0 ? attack_nothing("its own is used up, nobody else's")
                                                              : attack_succeeded("there is no end");
        answer(invocation, &result);
    }
}

static void exhaust_slab(struct azfn_invocation *invocation)
{
    struct many *many = azfn_alloc(invocation, sizeof(*many));
    *many = (struct many){0};
    while (many->pending < MANY && azfn_secret_get(invocation, "own-key", on_one_of_many, many) == AZFN_OK) {
        many->pending++;
    }
}

static void on_own_secret(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                          void *user_data)
{
    (void)user_data;
    (void)azfn_http_reply(invocation, error == AZFN_OK ? 200 : 500, NULL, azfn_secret_reveal(invocation, secret));
}

static bool run_in_app(struct azfn_invocation *invocation, const char *name)
{
    if (strcmp(name, "exhaust-slab") == 0) {
        exhaust_slab(invocation);
    } else if (strcmp(name, "data-out-in-answers") == 0) {
        if (azfn_secret_get(invocation, "own-key", on_own_secret, NULL) != AZFN_OK) {
            azfn_fail(invocation, "no secret");
        }
    } else {
        take_victims_place(invocation);
    }
    return true;
}

static void attack(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_query(invocation, "step");
    const struct attack_step *step = attack_find(name.data ? name.data : "", name.length);
    const struct attack_target target = {
        azfn_format(invocation, "%.*s", AZFN_SPAN_ARGS(azfn_http_header(invocation, "x-target"))).data};
    if (azfn_span_is_present(azfn_http_query(invocation, "show"))) {
        (void)azfn_http_reply(invocation, 200, NULL, azfn_span_of(collected));
    } else if (!step) {
        (void)azfn_http_reply(invocation, 404, NULL, azfn_span_of("no such step"));
    } else if (!step->run) {
        (void)run_in_app(invocation, step->name);
    } else {
        const struct attack_result result = step->run(&target);
        if (strcmp(step->name, "redirect-host") == 0) {
            (void)azfn_http_set_header(invocation, "Location", azfn_http_header(invocation, "x-location"));
            (void)azfn_http_reply(invocation, 307, NULL, azfn_span_of(""));
            return;
        }
        answer(invocation, &result);
    }
}

static void on_delay(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    (void)azfn_http_reply(invocation, 200, NULL, azfn_span_of("held"));
}

static void on_victims_secret(struct azfn_invocation *invocation, enum azfn_error error,
    const struct azfn_secret *secret,
                              void *user_data)
{
    const bool *holds = user_data;
    (void)secret;
    if (error == AZFN_OK && *holds) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "holding");
        if (azfn_on_cancelled(invocation, on_delay, NULL) == AZFN_OK) {
            return;
        }
    }
    (void)azfn_http_reply(invocation, error == AZFN_OK ? 200 : 500, NULL, azfn_span_of(azfn_error_name(error)));
}

static void on_response(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                        void *user_data)
{
    (void)user_data;
    (void)request;
    (void)azfn_http_reply(invocation, error == AZFN_OK ? 200 : 500, NULL, azfn_span_of(azfn_error_name(error)));
}

static void serve(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span what = azfn_http_query(invocation, "do");
    if (azfn_span_equals(what, "secret") || azfn_span_equals(what, "hold")) {
        bool *holds = azfn_alloc(invocation, sizeof(*holds));
        *holds = azfn_span_equals(what, "hold");
        if (azfn_secret_get(invocation, "victim-key", on_victims_secret, holds) == AZFN_OK) {
            return;
        }
    } else if (azfn_span_equals(what, "call")) {
        const struct azfn_request_options options = {.method = "GET", .path = azfn_span_of("orders")};
        if (azfn_request(invocation, "partner", &options, on_response, NULL, NULL) == AZFN_OK) {
            return;
        }
    } else if (azfn_span_equals(what, "mark")) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "end-mark");
        azfn_log(invocation, AZFN_LOG_WARNING, "end-mark");
    }
    (void)azfn_http_reply(invocation, 200, NULL, azfn_span_of("honest"));
}

static const struct azfn_function functions[] = {
    {.name = "Attack", .handler = attack},
    {.name = "Victim", .handler = serve},
#ifdef ATTACK_POOL
    {.name = "AttackPool", .handler = attack, .blocking = true},
#endif
};

static const struct azfn_function *victim(void)
{
    return &functions[1];
}

int main(int argc, char **argv)
{
    return azfn_main(argc, argv, functions, sizeof(functions) / sizeof(functions[0]));
}
