/* GET /api/hello/Ada greets Ada; without a name it greets the world. */
#include "functions.h"

void hello(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_param(invocation, "name");
    if (!azfn_span_is_present(name)) {
        name = azfn_span_of("world");
    }
    struct azfn_span text = azfn_format(invocation, "Hello, %.*s!\n", AZFN_SPAN_ARGS(name));
    azfn_http_reply(invocation, 200, "text/plain; charset=utf-8", text);
}
