#include "broker/worker_secrets.h"

#include "base/span.h"
#include "base/trace_id.h"

#include <stdlib.h>

#define FUNCTION_MAX_BYTES 128
#define INVOCATION_ID_MAX_BYTES 64

/* A secret that is being fetched, or that the worker has yet to make room for. */
struct azfn__secret_wait {
    struct azfn__secret_wait *next;
    struct azfn__secret_wait **from; /* what points to this one */
    struct azfn__worker_secrets *owner;
    struct azfn__credential_wait *handle; /* NULL: it is due */
    const struct azfn__config_secret *secret;
    uint32_t id;
    char function[FUNCTION_MAX_BYTES];
    size_t function_length;
    char invocation_id[INVOCATION_ID_MAX_BYTES];
    size_t invocation_id_length;
    char trace_id[AZFN__TRACE_ID_BYTES];
    size_t trace_id_length; /* 0: it has none */
};

void azfn__worker_secrets_init(struct azfn__worker_secrets *secrets, struct azfn__services *services,
                               struct azfn__frame_writer *writer)
{
    *secrets = (struct azfn__worker_secrets){.services = services, .writer = writer};
}

static void put(struct azfn__secret_wait **list, struct azfn__secret_wait *wait)
{
    wait->next = *list;
    wait->from = list;
    if (wait->next) {
        wait->next->from = &wait->next;
    }
    *list = wait;
}

static void take_out(struct azfn__secret_wait *wait)
{
    *wait->from = wait->next;
    if (wait->next) {
        wait->next->from = wait->from;
    }
}

static void forget(struct azfn__secret_wait *wait)
{
    wait->owner->wait_count--;
    free(wait);
}

/* The list itself is of no use any more. */
static void end_waits(struct azfn__secret_wait *first)
{
    while (first) {
        struct azfn__secret_wait *next = first->next;
        azfn__credential_cache_cancel(first->handle);
        free(first);
        first = next;
    }
}

void azfn__worker_secrets_clean_up(struct azfn__worker_secrets *secrets)
{
    end_waits(secrets->waits);
    end_waits(secrets->due);
    *secrets = (struct azfn__worker_secrets){0};
}

/* Without memory the worker gets an error at least; if not even that, its invocation ends by its deadline. */
static void answer_secret(struct azfn__worker_secrets *secrets, const struct azfn__secret_answer *answer)
{
    struct azfn__buffer *out = azfn__frame_writer_out(secrets->writer);
    const struct azfn__secret_answer failure = {.id = answer->id, .error = AZFN_ERROR_NO_MEMORY};
    bool is_answered =
        azfn__ask_append_secret_answer(out, answer) || azfn__ask_append_secret_answer(out, &failure);
    (void)is_answered;
}

static void refuse_secret(struct azfn__worker_secrets *secrets, uint32_t id, enum azfn_error error)
{
    answer_secret(secrets, &(struct azfn__secret_answer){.id = id, .error = error});
}

static void hand_over(struct azfn__worker_secrets *secrets, uint32_t id, const struct azfn__policy_asker *asker,
                      const struct azfn__config_secret *secret, const struct azfn__credential *credential)
{
    const struct azfn__secret_answer answer = {.id = id,
                                               .error = AZFN_OK,
                                               .version = azfn_span_of(credential->version),
                                               .value = azfn__secret_reveal(credential->value)};
    azfn__policy_record_read(secrets->services->policy, asker, secret, credential->version);
    answer_secret(secrets, &answer);
}

static void give(struct azfn__secret_wait *wait, const struct azfn__credential *credential)
{
    const struct azfn__policy_asker asker = {
        .function = azfn__span(wait->function, wait->function_length),
        .invocation_id = azfn__span(wait->invocation_id, wait->invocation_id_length),
        .trace_id = wait->trace_id_length > 0 ? azfn__span(wait->trace_id, wait->trace_id_length) : azfn__absent()};
    hand_over(wait->owner, wait->id, &asker, wait->secret, credential);
    forget(wait);
}

static void on_credential(enum azfn_error error, const struct azfn__credential *credential, void *user_data)
{
    struct azfn__secret_wait *wait = user_data;
    wait->handle = NULL;
    take_out(wait);
    if (!credential) {
        refuse_secret(wait->owner, wait->id, error);
        forget(wait);
    } else if (azfn__frame_writer_is_behind(wait->owner->writer)) {
        put(&wait->owner->due, wait);
    } else {
        give(wait, credential);
    }
}

/* The first of them. What it waited for may have gone meanwhile: then it waits once more. */
static void serve_due(struct azfn__worker_secrets *secrets)
{
    struct azfn__secret_wait *wait = secrets->due;
    struct azfn__credential_cache *cache = secrets->services->secrets;
    const struct azfn__credential *credential = azfn__credential_cache_peek(cache, wait->secret->name);
    secrets->due = wait->next;
    if (secrets->due) {
        secrets->due->from = &secrets->due;
    }
    if (credential) {
        give(wait, credential);
        return;
    }
    enum azfn_error error =
        azfn__credential_cache_wait(cache, wait->secret->name, on_credential, wait, &wait->handle);
    if (error == AZFN_OK) {
        put(&secrets->waits, wait);
    } else {
        refuse_secret(secrets, wait->id, error);
        forget(wait);
    }
}

static size_t keep(char *out, size_t capacity, struct azfn_span text)
{
    size_t length = text.length < capacity ? text.length : capacity;
    if (length > 0) {
        memcpy(out, text.data, length);
    }
    return length;
}

static enum azfn_error await_secret(struct azfn__worker_secrets *secrets, uint32_t id,
                                    const struct azfn__policy_asker *asker, const struct azfn__config_secret *secret)
{
    if (secrets->wait_count >= AZFN__ASK_MAX_SECRETS) {
        return AZFN_ERROR_LIMIT;
    }
    struct azfn__secret_wait *wait = calloc(1, sizeof(*wait));
    if (!wait) {
        return AZFN_ERROR_NO_MEMORY;
    }
    wait->owner = secrets;
    wait->id = id;
    wait->secret = secret;
    wait->function_length = keep(wait->function, sizeof(wait->function), asker->function);
    wait->invocation_id_length = keep(wait->invocation_id, sizeof(wait->invocation_id), asker->invocation_id);
    wait->trace_id_length = keep(wait->trace_id, sizeof(wait->trace_id), asker->trace_id);
    enum azfn_error error =
        azfn__credential_cache_wait(secrets->services->secrets, secret->name, on_credential, wait, &wait->handle);
    if (error != AZFN_OK) {
        free(wait);
        return error;
    }
    put(&secrets->waits, wait);
    secrets->wait_count++;
    return AZFN_OK;
}

bool azfn__worker_secrets_take(struct azfn__worker_secrets *secrets, struct azfn_span payload)
{
    struct azfn__secret_ask ask;
    if (!azfn__ask_decode_secret(payload, &ask)) {
        return false;
    }
    const struct azfn__policy_asker asker = {.function = ask.function,
                                             .invocation_id = ask.invocation_id,
                                             .trace_id = azfn__trace_id_of(ask.trace_parent)};
    const struct azfn__config_secret *secret =
        azfn__policy_find_secret(secrets->services->policy, &asker, ask.name);
    if (!secret) {
        refuse_secret(secrets, ask.id, AZFN_ERROR_FORBIDDEN);
        return true;
    }
    const struct azfn__credential *credential = azfn__credential_cache_peek(secrets->services->secrets, secret->name);
    if (credential) {
        hand_over(secrets, ask.id, &asker, secret, credential);
        return true;
    }
    enum azfn_error error = await_secret(secrets, ask.id, &asker, secret);
    if (error != AZFN_OK) {
        refuse_secret(secrets, ask.id, error);
    }
    return true;
}

void azfn__worker_secrets_resume(struct azfn__worker_secrets *secrets)
{
    while (secrets->due && !azfn__frame_writer_is_behind(secrets->writer)) {
        serve_due(secrets);
    }
}
