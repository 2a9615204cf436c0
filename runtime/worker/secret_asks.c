/* azfn_secret_get() and what can be done with its result. */
#include "base/span.h"
#include "worker/asks.h"
#include "worker/dispatcher.h"

#include <sodium.h>

#define VERSION_MAX_BYTES 40

/* What functions hold as a struct azfn_secret: an address that is looked up, never followed. */
struct azfn__secret_ask_state {
    struct azfn__secret_ask_state *next; /* in the invocation's list */
    struct azfn__invocation *invocation;
    struct azfn_span name;
    uint32_t id;                  /* 0: answered */
    struct azfn__secret *value;   /* NULL until then, and once it is released */
    char version[VERSION_MAX_BYTES];
    size_t version_length;
    azfn_on_secret_fn *on_secret;
    void *user_data;
};

static const struct azfn_secret *handle_of(const struct azfn__secret_ask_state *state)
{
    return (const struct azfn_secret *)state;
}

static struct azfn__secret_ask_state *state_of(struct azfn__invocation *invocation, const struct azfn_secret *handle)
{
    struct azfn__secret_ask_state *state = invocation ? invocation->secrets : NULL;
    while (state && handle_of(state) != handle) {
        state = state->next;
    }
    return state && state->value ? state : NULL;
}

static enum azfn_error ask_broker(struct azfn__asks *asks, struct azfn__secret_ask_state *state)
{
    if (!azfn__broker_client_has_room(asks->broker)) {
        return AZFN_ERROR_LIMIT;
    }
    state->id = azfn__ask_table_add(&asks->secrets, state);
    if (state->id == 0) {
        return AZFN_ERROR_LIMIT;
    }
    const struct azfn__secret_ask ask = {.id = state->id,
                                         .function = state->invocation->function->config->name,
                                         .invocation_id = state->invocation->id,
                                         .trace_parent = azfn__invocation_trace_parent(state->invocation),
                                         .name = state->name};
    if (!azfn__ask_append_secret(azfn__frame_writer_out(&asks->broker->writer), &ask)) {
        azfn__ask_table_remove(&asks->secrets, state->id);
        return AZFN_ERROR_LIMIT;
    }
    return AZFN_OK;
}

enum azfn_error azfn_secret_get(struct azfn_invocation *handle, const char *name, azfn_on_secret_fn *on_secret,
                                void *user_data)
{
    struct azfn__invocation *invocation = azfn__invocation_running_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (!name || !on_secret) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_INVALID_ARGUMENT, "azfn_secret_get");
    }
    struct azfn__secret_ask_state *state = azfn__invocation_alloc(invocation, sizeof(*state));
    struct azfn_span kept = azfn__arena_copy(&invocation->arena, azfn_span_of(name));
    if (!state || !azfn_span_is_present(kept)) {
        return azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_secret_get");
    }
    *state = (struct azfn__secret_ask_state){
        .invocation = invocation, .name = kept, .on_secret = on_secret, .user_data = user_data};
    enum azfn_error error = ask_broker(invocation->dispatcher->asks, state);
    if (error != AZFN_OK) {
        return azfn__invocation_refuse(invocation, error, "azfn_secret_get");
    }
    state->next = invocation->secrets;
    invocation->secrets = state;
    return AZFN_OK;
}

/* What a callback gets, on its way through azfn__dispatcher_call(). */
struct delivery {
    struct azfn__secret_ask_state *state;
    enum azfn_error error;
};

static void call_on_secret(struct azfn_invocation *handle, void *user_data)
{
    const struct delivery *delivery = user_data;
    const struct azfn__secret_ask_state *state = delivery->state;
    state->on_secret(handle, delivery->error, delivery->error == AZFN_OK ? handle_of(state) : NULL, state->user_data);
}

static enum azfn_error keep(struct azfn__asks *asks, struct azfn__secret_ask_state *state,
                            const struct azfn__secret_answer *answer)
{
    state->value = asks->slab ? azfn__secret_new(asks->slab, answer->value) : NULL;
    if (!state->value) {
        const struct azfn__event_fields fields = {.secret = state->name};
        azfn__dispatcher_tell(state->invocation->dispatcher, state->invocation, AZFN__EVENT_SECRETS_LIMIT, &fields,
                              AZFN__SPAN("a secret did not fit into the worker's locked memory: too many are in use"));
        return AZFN_ERROR_LIMIT;
    }
    state->version_length = answer->version.length < VERSION_MAX_BYTES ? answer->version.length : VERSION_MAX_BYTES;
    memcpy(state->version, answer->version.data, state->version_length);
    return AZFN_OK;
}

bool azfn__secret_asks_take(struct azfn__asks *asks, struct azfn_span payload)
{
    struct azfn__secret_answer answer;
    if (!azfn__ask_decode_secret_answer(payload, &answer)) {
        return false;
    }
    struct azfn__secret_ask_state *state = azfn__ask_table_find(&asks->secrets, answer.id);
    if (!state) {
        return true;
    }
    azfn__ask_table_remove(&asks->secrets, state->id);
    state->id = 0;
    struct delivery delivery = {.state = state, .error = answer.error};
    if (delivery.error == AZFN_OK) {
        delivery.error = keep(asks, state, &answer);
    }
    azfn__dispatcher_call(state->invocation, call_on_secret, &delivery);
    return true;
}

void azfn__secret_asks_stop(struct azfn__invocation *invocation)
{
    for (struct azfn__secret_ask_state *state = invocation->secrets; state; state = state->next) {
        azfn__ask_table_remove(&invocation->dispatcher->asks->secrets, state->id);
        state->id = 0;
    }
}

void azfn__asks_release_secrets(struct azfn__invocation *invocation)
{
    for (struct azfn__secret_ask_state *state = invocation->secrets; state; state = state->next) {
        azfn__secret_release(state->value);
        state->value = NULL;
    }
}

void azfn_secret_release(struct azfn_invocation *handle, const struct azfn_secret *secret)
{
    struct azfn__secret_ask_state *state = state_of(azfn__invocation_of(handle), secret);
    if (state) {
        azfn__secret_release(state->value);
        state->value = NULL;
    }
}

struct azfn_span azfn_secret_reveal(struct azfn_invocation *handle, const struct azfn_secret *secret)
{
    const struct azfn__secret_ask_state *state = state_of(azfn__invocation_of(handle), secret);
    return state ? azfn__secret_reveal(state->value) : azfn__absent();
}

struct azfn_span azfn_secret_version(struct azfn_invocation *handle, const struct azfn_secret *secret)
{
    const struct azfn__secret_ask_state *state = state_of(azfn__invocation_of(handle), secret);
    return state ? azfn__span(state->version, state->version_length) : azfn__absent();
}

bool azfn_secret_equals(struct azfn_invocation *handle, const struct azfn_secret *secret, struct azfn_span candidate)
{
    struct azfn_span value = azfn_secret_reveal(handle, secret);
    return azfn_span_is_present(value) && azfn_span_is_present(candidate) && value.length == candidate.length &&
           sodium_memcmp(value.data, candidate.data, value.length) == 0;
}

/* False: there is no secret. */
static bool sign(struct azfn_span key, struct azfn_span message,
                 unsigned char out_signature[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state;
    if (!azfn_span_is_present(key)) {
        return false;
    }
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.data, key.length);
    if (message.length > 0) {
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)message.data, message.length);
    }
    crypto_auth_hmacsha256_final(&state, out_signature);
    sodium_memzero(&state, sizeof(state));
    return true;
}

bool azfn_secret_has_signed(struct azfn_invocation *handle, const struct azfn_secret *secret,
                            struct azfn_span message, struct azfn_span signature)
{
    unsigned char expected[crypto_auth_hmacsha256_BYTES];
    unsigned char given[crypto_auth_hmacsha256_BYTES];
    size_t given_length = 0;
    if (signature.length != 2 * sizeof(given) || !sign(azfn_secret_reveal(handle, secret), message, expected)) {
        return false;
    }
    bool is_hex = sodium_hex2bin(given, sizeof(given), signature.data, signature.length, NULL, &given_length, NULL) == 0;
    bool is_equal = is_hex && given_length == sizeof(given) && sodium_memcmp(expected, given, sizeof(given)) == 0;
    sodium_memzero(expected, sizeof(expected));
    return is_equal;
}

struct azfn_span azfn_secret_sign(struct azfn_invocation *handle, const struct azfn_secret *secret,
                                  struct azfn_span message)
{
    unsigned char *signature = azfn_alloc(handle, crypto_auth_hmacsha256_BYTES);
    if (!signature || !sign(azfn_secret_reveal(handle, secret), message, signature)) {
        return azfn__absent();
    }
    return azfn__span(signature, crypto_auth_hmacsha256_BYTES);
}
