#include "worker/blocking_job.h"

#include "base/span.h"
#include "worker/dispatcher.h"

static _Thread_local struct azfn__blocking_job *current;

struct azfn__blocking_job *azfn__blocking_job_current(void)
{
    return current;
}

void azfn__blocking_job_run(struct azfn__blocking_job *job, struct azfn__flight_slot *slot)
{
    const struct azfn__invocation *invocation = job->invocation;
    const struct azfn_function *registered = invocation->function->registered;
    current = job;
    azfn__flight_record_enter(slot, invocation->function->config->name, invocation->id);
    registered->handler(azfn__invocation_handle(invocation), registered->user_data);
    azfn__flight_record_leave(slot);
    current = NULL;
    atomic_store_explicit(&job->has_returned, true, memory_order_release);
}

static bool lies_in(const struct azfn__buffer *buffer, struct azfn_span span)
{
    return buffer->data && span.data >= buffer->data && span.data < buffer->data + buffer->capacity;
}

void azfn__blocking_job_keep(struct azfn__blocking_job *job, const struct azfn__http_response *response)
{
    struct azfn__invocation *invocation = job->invocation;
    job->response = *response;
    if (response->content_type.length > 0) {
        job->response.content_type = azfn__arena_copy(&invocation->arena, response->content_type);
    }
    /* where on_respond finds it in out, it does not copy it once more */
    if (response->body.length > 0 && !lies_in(&invocation->out, response->body)) {
        azfn__buffer_reset(&invocation->out, SIZE_MAX);
        azfn__buffer_append_span(&invocation->out, response->body);
        job->response.body = azfn__buffer_span(&invocation->out);
    }
    if (invocation->out.has_failed ||
        (response->content_type.length > 0 && !azfn_span_is_present(job->response.content_type))) {
        azfn__blocking_job_log(job, AZFN_LOG_ERROR, AZFN__SPAN("the answer was lost: no memory for it"));
        job->response = (struct azfn__http_response){.status = 500, .body = azfn__span("", 0)};
    }
    bool carries_logs = invocation->mode == AZFN__MODE_ENVELOPE && job->response.status == 200;
    job->sent_log_bytes = carries_logs ? invocation->logs.length : 0;
}

void azfn__blocking_job_log(struct azfn__blocking_job *job, enum azfn_log_level level, struct azfn_span text)
{
    if (!azfn__invocation_collect_log(job->invocation, level, text)) {
        job->dropped_logs++;
    }
}
