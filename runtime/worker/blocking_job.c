#include "worker/blocking_job.h"

#include "base/span.h"
#include "worker/dispatcher.h"

#define LINES_MAX_BYTES ((size_t)1 << 20)
/* A function that writes too many lines does not hide its events behind them. */
#define EVENTS_MAX_BYTES ((size_t)64 << 10)
/* A line of azfn_log(), and what stands around it. */
#define LINE_MAX_BYTES ((size_t)5 << 10)

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
    azfn__flight_record_enter(slot, invocation->function->config->name, invocation->id,
                              azfn__invocation_trace_parent(invocation));
    registered->handler(azfn__invocation_handle(invocation), registered->user_data);
    azfn__flight_record_leave(slot);
    current = NULL;
    atomic_store_explicit(&job->has_returned, true, memory_order_release);
}

void azfn__blocking_job_init(struct azfn__blocking_job *job, struct azfn__blocking_pool *pool)
{
    *job = (struct azfn__blocking_job){.work.data = job, .pool = pool};
    azfn__buffer_init(&job->told, LINES_MAX_BYTES + EVENTS_MAX_BYTES);
}

void azfn__blocking_job_clean_up(struct azfn__blocking_job *job)
{
    azfn__buffer_clean_up(&job->told);
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
        const struct azfn__event_fields fields = {.limit = AZFN__SPAN("memory")};
        azfn__dispatcher_tell(invocation->dispatcher, invocation, AZFN__EVENT_MEMORY_LIMIT, &fields,
                              AZFN__SPAN("the answer was lost: no memory for it"));
        azfn__invocation_flush_logs(invocation);
        job->response = (struct azfn__http_response){.status = 500, .body = azfn__span("", 0)};
    }
}

void azfn__blocking_job_log(struct azfn__blocking_job *job, const struct azfn__log_frame *log)
{
    struct azfn__buffer *told = &job->told;
    size_t before = told->length;
    bool has_room = log->event != AZFN__EVENT_NONE || before + LINE_MAX_BYTES <= LINES_MAX_BYTES;
    if (has_room) {
        azfn__frame_append_log(told, log);
    }
    if (told->length == before) {
        azfn__dropped_logs_count(&job->dropped, log->event);
    }
}

void azfn__blocking_job_refuse_setting(struct azfn__blocking_job *job, struct azfn_span name)
{
    for (size_t i = 0; i < job->refused_setting_count; i++) {
        if (azfn__span_equal(job->refused_settings[i].name, name)) {
            job->refused_settings[i].times++;
            return;
        }
    }
    struct azfn__arena *arena = &job->invocation->arena;
    if (!job->refused_settings) {
        job->refused_settings = azfn__arena_alloc(arena, AZFN__JOB_REFUSED_SETTINGS * sizeof(*job->refused_settings));
    }
    bool has_room = job->refused_settings && job->refused_setting_count < AZFN__JOB_REFUSED_SETTINGS;
    struct azfn_span copy = has_room ? azfn__arena_copy(arena, name) : azfn__absent();
    if (azfn_span_is_present(copy)) {
        job->refused_settings[job->refused_setting_count++] = (struct azfn__refused_setting){.name = copy, .times = 1};
    } else {
        job->other_refused_settings++;
    }
}
