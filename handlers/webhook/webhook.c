/* POST /api/webhook takes an order from a partner, {"id":"A-17","quantity":2}, that is signed: the header X-Signature-256
 * has "sha256=" and the HMAC-SHA256 of the body with a key that lies in Key Vault. The order goes into a storage queue
 * with the app's managed identity. This function never holds a credential but that key, while it checks.
 * The host forwards the request, so the body's bytes are exactly those that the partner signed. */
#include "functions.h"

#define MAX_QUANTITY 1000

static void reply_with_error(struct azfn_invocation *invocation, int status, const char *problem)
{
    struct azfn_span quoted = azfn_json_quote(invocation, azfn_span_of(problem));
    azfn_http_reply(invocation, status, "application/json",
                    azfn_format(invocation, "{\"error\":%.*s}\n", AZFN_SPAN_ARGS(quoted)));
}

/* For what the partner has done wrong. */
static void refuse(struct azfn_invocation *invocation, int status, enum azfn_security_event event, const char *problem)
{
    azfn_security_event(invocation, event, "order refused: %s", problem);
    reply_with_error(invocation, status, problem);
}

static void on_queued(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                      void *user_data)
{
    const struct azfn_span *id = user_data;
    if (error != AZFN_OK || azfn_response_status(invocation, request) != 201) {
        azfn_log(invocation, AZFN_LOG_ERROR, "the queue did not take an order: %s, status %d", azfn_error_text(error),
                 azfn_response_status(invocation, request));
        reply_with_error(invocation, 503, "try again later");
        return;
    }
    struct azfn_span quoted = azfn_json_quote(invocation, *id);
    azfn_http_reply(invocation, 202, "application/json",
                    azfn_format(invocation, "{\"accepted\":%.*s}\n", AZFN_SPAN_ARGS(quoted)));
}

/* The host takes a message's text as base64. */
static void enqueue(struct azfn_invocation *invocation, struct azfn_span order, struct azfn_span *id)
{
    static const struct azfn_header headers[] = {{"Content-Type", {"application/xml", 15}}};
    struct azfn_span text = azfn_base64(invocation, order);
    const struct azfn_request_options options = {
        .method = "POST",
        .path = azfn_span_of("messages"),
        .headers = headers,
        .header_count = 1,
        .body = azfn_format(invocation, "<QueueMessage><MessageText>%.*s</MessageText></QueueMessage>",
                            AZFN_SPAN_ARGS(text))};
    if (azfn_request(invocation, "orders-queue", &options, on_queued, id, NULL) != AZFN_OK) {
        azfn_fail(invocation, "the order can't be sent to the queue");
    }
}

static void take_order(struct azfn_invocation *invocation)
{
    int64_t quantity = 0;
    struct azfn_span *id = azfn_alloc(invocation, sizeof(*id));
    struct azfn_span body = azfn_http_body_json(invocation);
    if (!id) {
        azfn_fail(invocation, "out of memory");
        return;
    }
    *id = azfn_json_string(invocation, azfn_json_member(body, "id"));
    if (!azfn_span_is_present(body)) {
        reply_with_error(invocation, 400, "the body is not JSON"); /* the log was told */
    } else if (id->length == 0 || id->length > 64) {
        refuse(invocation, 400, AZFN_EVENT_INVALID_INPUT, "id must be a string of 1 to 64 bytes");
    } else if (azfn_json_int64(azfn_json_member(body, "quantity"), &quantity) != AZFN_OK || quantity < 1 ||
               quantity > MAX_QUANTITY) {
        refuse(invocation, 400, AZFN_EVENT_INVALID_INPUT, "quantity must be an integer from 1 to 1000");
    } else {
        enqueue(invocation, body, id);
    }
}

static struct azfn_span signature_of(struct azfn_invocation *invocation)
{
    static const char prefix[] = "sha256=";
    const size_t length = sizeof(prefix) - 1;
    struct azfn_span header = azfn_http_header(invocation, "x-signature-256");
    struct azfn_span start = {header.data, length};
    if (header.length < length || !azfn_span_equals(start, prefix)) {
        return (struct azfn_span){"", 0};
    }
    return (struct azfn_span){header.data + length, header.length - length};
}

static void on_key(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *key,
                   void *user_data)
{
    (void)user_data;
    if (error != AZFN_OK) {
        azfn_log(invocation, AZFN_LOG_ERROR, "no key to check signatures with: %s", azfn_error_text(error));
        reply_with_error(invocation, 503, "try again later");
        return;
    }
    bool is_genuine =
        azfn_secret_has_signed(invocation, key, azfn_http_body(invocation), signature_of(invocation));
    azfn_secret_release(invocation, key);
    if (is_genuine) {
        take_order(invocation);
    } else {
        refuse(invocation, 401, AZFN_EVENT_BAD_SIGNATURE, "the signature is not that of the body");
    }
}

void webhook(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    if (!azfn_http_body_is_exact(invocation)) {
        azfn_fail(invocation, "the host does not forward bodies as they are: see enableForwardingHttpRequest");
    } else if (azfn_secret_get(invocation, "webhook-key", on_key, NULL) != AZFN_OK) {
        azfn_fail(invocation, "the key can't be asked for");
    }
}
