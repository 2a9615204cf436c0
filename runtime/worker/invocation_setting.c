/* azfn_setting(). */
#include "base/span.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <stdio.h>

#define SHOWN_BYTES 128

void azfn__invocation_report_setting(struct azfn__invocation *invocation, struct azfn_span name, uint64_t times)
{
    char text[256];
    int shown = (int)(name.length < SHOWN_BYTES ? name.length : SHOWN_BYTES);
    int length =
        snprintf(text, sizeof(text), "the function asked for a setting that azfn.json does not grant to it: %.*s",
                 shown, name.data);
    const struct azfn__event_fields fields = {.setting = name};
    azfn__event_counts_add(&invocation->dispatcher->event_counts, invocation, AZFN__EVENT_SETTING_REFUSED, &fields,
                           azfn__span(text, length > 0 ? (size_t)length : 0), times);
}

struct azfn_span azfn_setting(struct azfn_invocation *handle, const char *name)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    struct azfn_span wanted = azfn_span_of(name);
    if (!invocation || !invocation->function || !azfn_span_is_present(wanted)) {
        return azfn__absent();
    }
    const struct azfn__config_function *function = invocation->function->config;
    for (size_t i = 0; i < function->setting_count; i++) {
        if (azfn__span_equal(function->settings[i], wanted)) {
            return function->setting_values ? function->setting_values[i] : azfn__absent();
        }
    }
    struct azfn__blocking_job *job = azfn__blocking_job_current();
    if (!job) {
        azfn__invocation_report_setting(invocation, wanted, 1);
    } else {
        azfn__blocking_job_refuse_setting(job, wanted);
    }
    return azfn__absent();
}
