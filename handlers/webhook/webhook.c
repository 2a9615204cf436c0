/* POST /api/webhook takes an order from a partner, {"id":"A-17","quantity":2}, and says whether it is one.
 * The host forwards the request, so the body's bytes are exactly those that the partner sent. */
#include "functions.h"

#define MAX_QUANTITY 1000

static void refuse(struct azfn_invocation *invocation, const char *problem)
{
    struct azfn_span quoted = azfn_json_quote(invocation, azfn_span_of(problem));
    azfn_log(invocation, AZFN_LOG_WARNING, "order refused: %s", problem);
    azfn_http_reply(invocation, 400, "application/json",
                    azfn_format(invocation, "{\"error\":%.*s}\n", AZFN_SPAN_ARGS(quoted)));
}

void webhook(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    int64_t quantity = 0;
    struct azfn_span body = azfn_json_checked(azfn_http_body(invocation));
    struct azfn_span id = azfn_json_string(invocation, azfn_json_member(body, "id"));
    if (!azfn_span_is_present(body)) {
        refuse(invocation, "the body is not JSON");
    } else if (id.length == 0 || id.length > 64) {
        refuse(invocation, "id must be a string of 1 to 64 bytes");
    } else if (azfn_json_int64(azfn_json_member(body, "quantity"), &quantity) != AZFN_OK || quantity < 1 ||
               quantity > MAX_QUANTITY) {
        refuse(invocation, "quantity must be an integer from 1 to 1000");
    } else {
        struct azfn_span quoted = azfn_json_quote(invocation, id);
        azfn_http_reply(invocation, 202, "application/json",
                        azfn_format(invocation, "{\"accepted\":%.*s}\n", AZFN_SPAN_ARGS(quoted)));
    }
}
