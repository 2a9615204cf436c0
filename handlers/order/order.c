/* Takes an order from the queue "orders", {"id":"A-17","quantity":2}, orders it of a partner, and puts a receipt into
 * "receipts". The partner's API wants a key, which the broker adds: this function never sees it. An order that fails is
 * tried again by the host, and moved to "orders-poison" in the end. */
#include "functions.h"

#include <inttypes.h>

static void on_ordered(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                       void *user_data)
{
    (void)user_data;
    int64_t quantity = 0;
    int status = azfn_response_status(invocation, request);
    struct azfn_span message = azfn_input_json(invocation, NULL);
    struct azfn_span id = azfn_json_member(message, "id");
    if (error != AZFN_OK || status < 200 || status > 299 ||
        azfn_json_int64(azfn_json_member(message, "quantity"), &quantity) != AZFN_OK) {
        azfn_log(invocation, AZFN_LOG_ERROR, "the partner did not take an order: %s, status %d", azfn_error_text(error),
                 status);
        azfn_fail(invocation, "the partner did not take the order");
        return;
    }
    azfn_log(invocation, AZFN_LOG_INFORMATION, "order of %" PRId64 " taken", quantity);
    azfn_output_json(invocation, "receipt",
                     azfn_format(invocation, "{\"order\":%.*s,\"packed\":%" PRId64 "}", AZFN_SPAN_ARGS(id), quantity));
    azfn_succeed(invocation);
}

void order(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    static const struct azfn_header headers[] = {{"Content-Type", {"application/json", 16}}};
    int64_t quantity = 0;
    struct azfn_span message = azfn_input_json(invocation, NULL);
    const struct azfn_request_options options = {.method = "POST",
                                                 .path = azfn_span_of("orders"),
                                                 .headers = headers,
                                                 .header_count = 1,
                                                 .body = message};
    if (!azfn_span_is_present(azfn_json_string(invocation, azfn_json_member(message, "id"))) ||
        azfn_json_int64(azfn_json_member(message, "quantity"), &quantity) != AZFN_OK) {
        azfn_security_event(invocation, AZFN_EVENT_INVALID_INPUT, "the message is no order");
        azfn_fail(invocation, "the message is no order");
    } else if (azfn_request(invocation, "partner", &options, on_ordered, NULL, NULL) != AZFN_OK) {
        azfn_fail(invocation, "the order can't be sent to the partner");
    }
}
