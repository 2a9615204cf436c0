#include "worker/blocking_job.h"

#include "base/span.h"
#include "worker/blocking_pool.h"

/* A function that writes too many lines does not hide its events behind them. */
#define EVENTS_MAX_BYTES ((size_t)64 << 10)
#define LINES_MAX_BYTES (AZFN__JOB_TOLD_MAX_BYTES - EVENTS_MAX_BYTES)
/* A line of azfn_log(), and what stands around it. */
#define LINE_MAX_BYTES ((size_t)5 << 10)

#define NS_PER_MS UINT64_C(1000000)

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
    azfn__buffer_init(&job->told, AZFN__JOB_TOLD_MAX_BYTES);
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

/* With the mutex, which it gives back meanwhile. */
static void await_passing(struct azfn__blocking_job *job)
{
    struct azfn__blocking_pool *pool = job->pool;
    uint64_t mine = job->told_count;
    uint64_t end_ns = uv_hrtime() + AZFN__BLOCKING_PASSING_MAX_MS * NS_PER_MS;
    while (job->passed_count < mine && !job->is_loop_slow) {
        uint64_t now_ns = uv_hrtime();
        job->is_loop_slow =
            now_ns >= end_ns || uv_cond_timedwait(&pool->passed, &pool->mutex, end_ns - now_ns) == UV_ETIMEDOUT;
    }
}

static void tell_loop(struct azfn__blocking_job *job, bool is_event)
{
    job->told_count++;
    uv_async_send(&job->pool->bell);
    if (is_event) {
        await_passing(job);
    }
}

void azfn__blocking_job_log(struct azfn__blocking_job *job, const struct azfn__log_frame *log)
{
    struct azfn__buffer *told = &job->told;
    bool is_event = log->event != AZFN__EVENT_NONE;
    uv_mutex_lock(&job->pool->mutex);
    size_t before = told->length;
    if (is_event || before + LINE_MAX_BYTES <= LINES_MAX_BYTES) {
        azfn__frame_append_log(told, log);
    }
    if (told->length == before) {
        azfn__dropped_logs_count(&job->dropped, log);
    }
    tell_loop(job, is_event);
    uv_mutex_unlock(&job->pool->mutex);
}

static struct azfn__refused_setting *find_refused(const struct azfn__blocking_job *job, struct azfn_span name)
{
    for (size_t i = 0; i < job->refused_setting_count; i++) {
        if (azfn__span_equal(job->refused_settings[i].name, name)) {
            return &job->refused_settings[i];
        }
    }
    return NULL;
}

/* NULL: they are too many. */
static struct azfn__refused_setting *add_refused(struct azfn__blocking_job *job, struct azfn_span name)
{
    struct azfn__arena *arena = &job->invocation->arena;
    if (!job->refused_settings) {
        job->refused_settings = azfn__arena_alloc(arena, AZFN__JOB_REFUSED_SETTINGS * sizeof(*job->refused_settings));
    }
    bool has_room = job->refused_settings && job->refused_setting_count < AZFN__JOB_REFUSED_SETTINGS;
    struct azfn_span copy = has_room ? azfn__arena_copy(arena, name) : azfn__absent();
    if (!azfn_span_is_present(copy)) {
        return NULL;
    }
    struct azfn__refused_setting *refused = &job->refused_settings[job->refused_setting_count++];
    *refused = (struct azfn__refused_setting){.name = copy};
    return refused;
}

void azfn__blocking_job_refuse_setting(struct azfn__blocking_job *job, struct azfn_span name)
{
    struct azfn__refused_setting *refused = find_refused(job, name);
    bool is_new = !refused;
    uv_mutex_lock(&job->pool->mutex);
    refused = is_new ? add_refused(job, name) : refused;
    *(refused ? &refused->times : &job->other_refused_settings) += 1;
    tell_loop(job, is_new && refused);
    uv_mutex_unlock(&job->pool->mutex);
}
