/* Runs every night at 02:30 UTC. A tick that comes late, since the app was not running, is said aloud. */
#include "functions.h"

void tidy(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span timer = azfn_input_json(invocation, "timer");
    if (azfn_span_equals(azfn_json_member(timer, "IsPastDue"), "true")) {
        azfn_log(invocation, AZFN_LOG_WARNING, "this tick is late");
    }
    struct azfn_span status = azfn_json_member(timer, "ScheduleStatus");
    struct azfn_span last = azfn_json_string(invocation, azfn_json_member(status, "Last"));
    /* the host's way to say never */
    if (azfn_span_is_present(last) && !azfn_span_equals(last, "0001-01-01T00:00:00+00:00")) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "tidied; the last time was %.*s", AZFN_SPAN_ARGS(last));
    } else {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "tidied for the first time");
    }
    azfn_succeed(invocation);
}
