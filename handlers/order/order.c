/* Takes an order from the queue "orders", {"id":"A-17","quantity":2}, and puts a receipt into "receipts". A
 * message that is no order fails: the host tries it again and moves it to "orders-poison" in the end. */
#include "functions.h"

#include <inttypes.h>

void order(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    int64_t quantity = 0;
    struct azfn_span message = azfn_input_json(invocation, NULL);
    struct azfn_span id = azfn_json_member(message, "id");
    if (!azfn_span_is_present(azfn_json_string(invocation, id)) ||
        azfn_json_int64(azfn_json_member(message, "quantity"), &quantity) != AZFN_OK) {
        azfn_fail(invocation, "the message is no order");
        return;
    }
    azfn_log(invocation, AZFN_LOG_INFORMATION, "order of %" PRId64 " taken", quantity);
    azfn_output_json(invocation, "receipt",
                     azfn_format(invocation, "{\"order\":%.*s,\"packed\":%" PRId64 "}", AZFN_SPAN_ARGS(id), quantity));
    azfn_succeed(invocation);
}
