#include "worker/blocking_pool.h"

#include "base/span.h"
#include "worker/forbidden_call.h"

#include <stdio.h>
#include <stdlib.h>

#define POOL_SIZE_VARIABLE "UV_THREADPOOL_SIZE"
#define PASSING_KEPT_BYTES ((size_t)64 << 10)

static atomic_uint thread_count;
static _Thread_local unsigned thread_number; /* from 1; 0 on the loop */

unsigned azfn__blocking_pool_thread_number(void)
{
    return thread_number;
}

bool azfn__blocking_pool_is_needed(const struct azfn_function *functions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (functions[i].blocking) {
            return true;
        }
    }
    return false;
}

static struct azfn__blocking_job *take_job(struct azfn__blocking_pool *pool)
{
    struct azfn__blocking_job *job = pool->free;
    pool->free = job->next_free;
    azfn__blocking_job_init(job, pool);
    return job;
}

static void give_job_back(struct azfn__blocking_job *job)
{
    azfn__blocking_job_clean_up(job);
    job->next_free = job->pool->free;
    job->pool->free = job;
}

/* A thread's first allocation makes an arena, and looks at the machine for it: not to be done under a sandbox. */
static void on_thread_start(uv_work_t *work)
{
    struct azfn__blocking_job *job = work->data;
    if (thread_number == 0) {
        thread_number = atomic_fetch_add(&thread_count, 1) + 1;
    }
    if (azfn__forbidden_call_watch_thread(thread_number) != AZFN_OK) {
        atomic_store(&job->pool->has_failed, true);
    }
    void *volatile memory = malloc(1);
    free(memory);
    uv_barrier_wait(&job->pool->start);
}

static void on_thread_started(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

static enum azfn_error make_threads(struct azfn__blocking_pool *pool)
{
    char size[16];
    snprintf(size, sizeof(size), "%u", (unsigned)pool->options.threads);
    if (uv_os_setenv(POOL_SIZE_VARIABLE, size) != 0 || uv_barrier_init(&pool->start, pool->options.threads + 1) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    for (uint32_t i = 0; i < pool->options.threads; i++) {
        uv_queue_work(pool->dispatcher->loop, &take_job(pool)->work, on_thread_start, on_thread_started);
    }
    /* each waits here, so each of them has run one */
    uv_barrier_wait(&pool->start);
    uv_os_unsetenv(POOL_SIZE_VARIABLE);
    return atomic_load(&pool->has_failed) ? AZFN_ERROR_SYSTEM : AZFN_OK;
}

static void on_bell(uv_async_t *bell);

static enum azfn_error make_bell(struct azfn__blocking_pool *pool)
{
    if (uv_mutex_init(&pool->mutex) != 0 || uv_cond_init(&pool->passed) != 0 ||
        uv_async_init(pool->dispatcher->loop, &pool->bell, on_bell) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    pool->bell.data = pool;
    uv_unref((uv_handle_t *)&pool->bell);
    azfn__buffer_init(&pool->passing, AZFN__JOB_TOLD_MAX_BYTES);
    return AZFN_OK;
}

enum azfn_error azfn__blocking_pool_start(struct azfn__blocking_pool *pool, struct azfn__dispatcher *dispatcher,
                                          const struct azfn__blocking_pool_options *options)
{
    *pool = (struct azfn__blocking_pool){.dispatcher = dispatcher, .options = *options};
    if (pool->options.threads > AZFN__FLIGHT_RECORD_THREADS) {
        pool->options.threads = AZFN__FLIGHT_RECORD_THREADS;
    }
    /* those that start the threads are not used again: the loop learns of their end at some later time */
    size_t job_count = 2 * (size_t)pool->options.threads + pool->options.queue;
    pool->jobs = calloc(job_count, sizeof(*pool->jobs));
    if (!pool->jobs) {
        return AZFN_ERROR_NO_MEMORY;
    }
    for (size_t i = 0; i < job_count; i++) {
        pool->jobs[i].pool = pool;
        give_job_back(&pool->jobs[i]);
    }
    enum azfn_error error = make_bell(pool);
    if (error == AZFN_OK) {
        error = make_threads(pool);
    }
    if (error != AZFN_OK) {
        free(pool->jobs);
        pool->jobs = NULL;
        return error;
    }
    dispatcher->pool = pool;
    return AZFN_OK;
}

void azfn__blocking_pool_clean_up(struct azfn__blocking_pool *pool)
{
    if (!pool->jobs) {
        return; /* it was never started */
    }
    uv_barrier_destroy(&pool->start);
    uv_cond_destroy(&pool->passed);
    uv_mutex_destroy(&pool->mutex);
    azfn__buffer_clean_up(&pool->passing);
    free(pool->jobs);
    pool->jobs = NULL;
    pool->free = NULL;
}

bool azfn__blocking_pool_is_full(const struct azfn__blocking_pool *pool)
{
    return !pool->free;
}

static void log_about(const struct azfn__invocation *invocation, enum azfn_log_level level, struct azfn_span text)
{
    azfn__dispatcher_log(invocation->dispatcher, invocation, level, text);
}

static void tell_timeout(const struct azfn__invocation *invocation, struct azfn_span text)
{
    const struct azfn__event_fields fields = {.limit = AZFN__SPAN("timeoutMs")};
    azfn__dispatcher_tell(invocation->dispatcher, invocation, AZFN__EVENT_TIMEOUT, &fields, text);
}

/* The invocation leaves the job, which may still be in libuv's hands. */
static struct azfn__invocation *detach(struct azfn__blocking_job *job)
{
    struct azfn__invocation *invocation = job->invocation;
    job->invocation = NULL;
    invocation->job = NULL;
    return invocation;
}

/* With the mutex. */
static void tell_refused_settings(struct azfn__blocking_job *job, struct azfn__invocation *invocation)
{
    for (size_t i = 0; i < job->refused_setting_count; i++) {
        struct azfn__refused_setting *refused = &job->refused_settings[i];
        if (refused->times > 0) {
            azfn__invocation_report_setting(invocation, refused->name, refused->times);
            refused->times = 0;
        }
    }
    if (job->other_refused_settings > 0) {
        azfn__event_counts_add_others(&invocation->dispatcher->event_counts, job->other_refused_settings);
        job->other_refused_settings = 0;
    }
}

/* What the function has told until now. It may run and tell more. */
static void pass_told(struct azfn__blocking_job *job, struct azfn__invocation *invocation)
{
    struct azfn__blocking_pool *pool = job->pool;
    uv_mutex_lock(&pool->mutex);
    const struct azfn__buffer told = job->told;
    job->told = pool->passing;
    pool->passing = told;
    struct azfn__dropped_logs dropped = job->dropped;
    job->dropped = (struct azfn__dropped_logs){.lines = 0};
    uint64_t told_count = job->told_count;
    tell_refused_settings(job, invocation);
    uv_mutex_unlock(&pool->mutex);

    azfn__dispatcher_tell_dropped(invocation->dispatcher, invocation, &dropped); /* while there is room */
    azfn__broker_client_pass(invocation->dispatcher->broker, azfn__buffer_span(&pool->passing));
    azfn__buffer_reset(&pool->passing, PASSING_KEPT_BYTES);

    uv_mutex_lock(&pool->mutex);
    job->passed_count = told_count;
    uv_cond_broadcast(&pool->passed);
    uv_mutex_unlock(&pool->mutex);
}

static void on_bell(uv_async_t *bell)
{
    struct azfn__blocking_pool *pool = bell->data;
    for (size_t i = 0; i < AZFN__FLIGHT_RECORD_THREADS; i++) {
        uv_mutex_lock(&pool->mutex);
        struct azfn__blocking_job *job = pool->running[i];
        bool has_told = job && job->passed_count < job->told_count;
        uv_mutex_unlock(&pool->mutex);
        if (has_told && job->invocation) { /* it is there until the loop has seen the job's end */
            pass_told(job, job->invocation);
        }
    }
}

static bool has_worn_out(const struct azfn__blocking_pool *pool)
{
    return pool->lost >= (pool->options.threads + 1) / 2;
}

/* The function is back, but its time was over. */
static void settle_late(struct azfn__blocking_job *job)
{
    struct azfn__blocking_pool *pool = job->pool;
    struct azfn__invocation *invocation = detach(job);
    pool->lost--;
    pool->is_worn_out = pool->is_worn_out && has_worn_out(pool);
    pass_told(job, invocation);
    azfn__invocation_flush_logs(invocation);
    log_about(invocation, AZFN_LOG_WARNING,
              job->has_answered
                  ? AZFN__SPAN("the function answered after its timeoutMs: its answer is lost, its thread is back")
                  : AZFN__SPAN("the function returned after its timeoutMs, without an answer: its thread is back"));
    invocation->state = AZFN__INVOCATION_ANSWERED;
    if (invocation->responder) { /* there was no memory for a stand-in */
        azfn__invocation_answer_timeout(invocation);
    } else {
        azfn__dispatcher_release(invocation->dispatcher, invocation);
    }
}

/* Carries out what the function has left behind. */
static void settle(struct azfn__blocking_job *job)
{
    if (job->is_late) {
        settle_late(job);
        return;
    }
    struct azfn__invocation *invocation = detach(job);
    azfn__dispatcher_finish(invocation);
    pass_told(job, invocation);
    if (job->has_answered) {
        azfn__invocation_send(invocation, &job->response);
    } else {
        azfn__invocation_flush_logs(invocation);
        log_about(invocation, AZFN_LOG_ERROR,
                  AZFN__SPAN("a blocking function returned without an answer, so the invocation has failed"));
        azfn__invocation_answer_status(invocation, 500);
    }
}

static void set_running(struct azfn__blocking_pool *pool, size_t place, struct azfn__blocking_job *job)
{
    uv_mutex_lock(&pool->mutex);
    pool->running[place] = job;
    uv_mutex_unlock(&pool->mutex);
}

static void on_work(uv_work_t *work)
{
    struct azfn__blocking_job *job = work->data;
    struct azfn__flight_record *record = job->pool->dispatcher->flight_record;
    size_t place = (thread_number - 1) % AZFN__FLIGHT_RECORD_THREADS;
    set_running(job->pool, place, job);
    azfn__blocking_job_run(job, &record->threads[place]);
    set_running(job->pool, place, NULL);
}

static void on_work_done(uv_work_t *work, int status)
{
    struct azfn__blocking_job *job = work->data;
    (void)status;
    if (job->invocation) {
        settle(job);
    }
    give_job_back(job);
}

void azfn__blocking_pool_submit(struct azfn__blocking_pool *pool, struct azfn__invocation *invocation)
{
    struct azfn__blocking_job *job = take_job(pool);
    job->invocation = invocation;
    invocation->job = job;
    uv_queue_work(pool->dispatcher->loop, &job->work, on_work, on_work_done);
}

/* The caller gets his answer although the invocation is in the hands of a thread: another one takes over the
 * responder and what the answer needs. */
static void answer_by_stand_in(struct azfn__invocation *invocation)
{
    struct azfn__invocation *stand_in =
        invocation->responder ? azfn__dispatcher_acquire(invocation->dispatcher) : NULL;
    if (!stand_in) {
        return;
    }
    stand_in->state = AZFN__INVOCATION_ANSWERED;
    stand_in->mode = invocation->mode;
    stand_in->function = invocation->function;
    stand_in->id = azfn__arena_copy(&stand_in->arena, invocation->id);
    stand_in->request.method = invocation->request.method;
    stand_in->request.minor_version = invocation->request.minor_version;
    stand_in->request.is_keep_alive = invocation->request.is_keep_alive;
    stand_in->responder = invocation->responder;
    stand_in->responder_context = invocation->responder_context;
    azfn__dispatcher_abandon(invocation);
    azfn__invocation_answer_timeout(stand_in);
}

static void lose_thread(struct azfn__blocking_job *job)
{
    struct azfn__blocking_pool *pool = job->pool;
    struct azfn__invocation *invocation = job->invocation;
    char text[160];
    job->is_late = true;
    pool->lost++;
    int length = snprintf(text, sizeof(text),
                          "the blocking function did not return within its timeoutMs: its thread is lost until it "
                          "does (%u of %u are)",
                          (unsigned)pool->lost, (unsigned)pool->options.threads);
    azfn__dispatcher_forget(invocation);
    tell_timeout(invocation, azfn__span(text, (size_t)length));
    answer_by_stand_in(invocation);
    if (has_worn_out(pool) && !pool->is_worn_out && pool->options.on_worn_out) {
        pool->is_worn_out = true;
        length = snprintf(text, sizeof(text), "%u of its %u threads are lost to blocking functions that do not return",
                          (unsigned)pool->lost, (unsigned)pool->options.threads);
        pool->options.on_worn_out(azfn__span(text, (size_t)length), pool->options.user_data);
    }
}

void azfn__blocking_pool_expire(struct azfn__blocking_job *job)
{
    if (atomic_load_explicit(&job->has_returned, memory_order_acquire)) {
        settle(job); /* just in time: libuv has yet to tell */
        return;
    }
    atomic_store(&job->invocation->is_cancelled, true);
    if (uv_cancel((uv_req_t *)&job->work) != 0) {
        lose_thread(job);
        return;
    }
    struct azfn__invocation *invocation = detach(job);
    azfn__dispatcher_finish(invocation);
    tell_timeout(invocation,
                 AZFN__SPAN("the blocking function was not begun within its timeoutMs: all threads were busy"));
    azfn__invocation_answer_timeout(invocation);
}
