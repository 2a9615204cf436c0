#include "worker/invocation.h"

#include "base/span.h"
#include "worker/asks.h"
#include "worker/blocking_job.h"
#include "worker/dispatcher.h"

#include <sodium.h>
#include <stdlib.h>

/* What a function may take from its invocation's memory, with all that azfn decodes there. */
#define ARENA_MAX_BYTES ((size_t)256 << 20)
#define HEADER_LINES_MAX_BYTES ((size_t)32 << 10)
#define HEAD_MAX_BYTES ((size_t)64 << 10)
#define LOGS_MAX_BYTES ((size_t)256 << 10)
/* Buffers up to this size stay for the next event. */
#define KEPT_BYTES ((size_t)16 << 10)
#define GENERATION_SHIFT 48

struct azfn__delay {
    uv_timer_t timer;
    struct azfn__invocation *invocation;
    struct azfn__delay *next;
    azfn_on_elapsed_fn *on_elapsed;
    void *user_data;
};

struct azfn_invocation *azfn__invocation_handle(const struct azfn__invocation *invocation)
{
    _Static_assert(sizeof(uintptr_t) == 8, "addresses of user space leave the upper 16 bits to us");
    uintptr_t address = (uintptr_t)invocation;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): nobody follows it */
    return (struct azfn_invocation *)(address | (uintptr_t)invocation->generation << GENERATION_SHIFT);
}

struct azfn__invocation *azfn__invocation_of(const struct azfn_invocation *handle)
{
    if (!handle) {
        return NULL;
    }
    uintptr_t value = (uintptr_t)handle;
    uintptr_t address = value & (((uintptr_t)1 << GENERATION_SHIFT) - 1);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    struct azfn__invocation *invocation = (struct azfn__invocation *)address;
    const struct azfn__blocking_job *job = azfn__blocking_job_current();
    if (job ? job->invocation != invocation : invocation->job != NULL) {
        azfn__dispatcher_log(job ? job->invocation->dispatcher : invocation->dispatcher, NULL, AZFN_LOG_WARNING,
                             AZFN__SPAN("a function used an invocation that runs on another thread, or is over"));
        return NULL;
    }
    if (invocation->generation != value >> GENERATION_SHIFT) {
        azfn__dispatcher_log(invocation->dispatcher, NULL, AZFN_LOG_WARNING,
                             AZFN__SPAN("a function came back to an invocation that was over"));
        return NULL;
    }
    return invocation;
}

void azfn__invocation_init(struct azfn__invocation *invocation, struct azfn__dispatcher *dispatcher)
{
    *invocation = (struct azfn__invocation){.dispatcher = dispatcher};
    azfn__arena_init(&invocation->arena, ARENA_MAX_BYTES);
    azfn__http_message_init(&invocation->message);
    azfn__buffer_init(&invocation->header_lines, HEADER_LINES_MAX_BYTES);
    azfn__buffer_init(&invocation->logs, LOGS_MAX_BYTES);
    azfn__buffer_init(&invocation->head, HEAD_MAX_BYTES);
    azfn__buffer_init(&invocation->out, AZFN__ANSWER_MAX_BYTES);
    azfn__buffer_init(&invocation->stream.collected, AZFN__ANSWER_MAX_BYTES);
}

void azfn__invocation_reset(struct azfn__invocation *invocation)
{
    azfn__asks_release(invocation);
    azfn__arena_reset(&invocation->arena);
    azfn__http_message_reset(&invocation->message);
    azfn__buffer_reset(&invocation->header_lines, KEPT_BYTES);
    azfn__buffer_reset(&invocation->logs, KEPT_BYTES);
    azfn__buffer_reset(&invocation->head, KEPT_BYTES);
    azfn__buffer_reset(&invocation->out, KEPT_BYTES);
    azfn__buffer_reset(&invocation->stream.collected, 0);
    struct azfn__invocation kept = {.dispatcher = invocation->dispatcher,
                                    .generation = (uint16_t)(invocation->generation + 1),
                                   .arena = invocation->arena,
                                   .message = invocation->message,
                                   .header_lines = invocation->header_lines,
                                   .logs = invocation->logs,
                                   .head = invocation->head,
                                   .out = invocation->out,
                                   .stream.collected = invocation->stream.collected};
    *invocation = kept;
}

void azfn__invocation_shed(struct azfn__invocation *invocation)
{
    azfn__invocation_clean_up(invocation);
    azfn__invocation_reset(invocation);
}

void azfn__invocation_clean_up(struct azfn__invocation *invocation)
{
    azfn__asks_release(invocation);
    azfn__arena_clean_up(&invocation->arena);
    azfn__http_message_clean_up(&invocation->message);
    azfn__buffer_clean_up(&invocation->header_lines);
    azfn__buffer_clean_up(&invocation->logs);
    azfn__buffer_clean_up(&invocation->head);
    azfn__buffer_clean_up(&invocation->out);
    azfn__buffer_clean_up(&invocation->stream.collected);
}

enum azfn_error azfn__invocation_refuse(struct azfn__invocation *invocation, enum azfn_error error, const char *what)
{
    if (invocation->first_error == AZFN_OK) {
        invocation->first_error = error;
        invocation->first_error_what = what;
    }
    return error;
}

struct azfn_span azfn_invocation_id(const struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return invocation->id;
}

struct azfn_span azfn_function_name(const struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return invocation->function->config->name;
}

struct azfn_span azfn__invocation_trace_parent(const struct azfn__invocation *invocation)
{
    return invocation->request.trace_parent;
}

struct azfn_span azfn_trace_parent(const struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__invocation_trace_parent(invocation);
}

uint32_t azfn_remaining_ms(const struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return 0;
    }
    uint64_t now = azfn__blocking_job_current() ? uv_hrtime() / 1000000 : uv_now(invocation->dispatcher->loop);
    return invocation->deadline_ms > now ? (uint32_t)(invocation->deadline_ms - now) : 0;
}

bool azfn_is_cancelled(const struct azfn_invocation *handle)
{
    const struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return !invocation || atomic_load(&invocation->is_cancelled) || azfn_remaining_ms(handle) == 0;
}

void *azfn__invocation_alloc(struct azfn__invocation *invocation, size_t size_bytes)
{
    void *memory = azfn__arena_alloc(&invocation->arena, size_bytes);
    if (!memory) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_alloc");
    }
    return memory;
}

void *azfn_alloc(struct azfn_invocation *handle, size_t size_bytes)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    return invocation ? azfn__invocation_alloc(invocation, size_bytes) : NULL;
}

struct azfn_span azfn_format(struct azfn_invocation *handle, const char *format, ...)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    va_list arguments;
    va_start(arguments, format);
    struct azfn_span text = azfn__arena_vformat(&invocation->arena, format, arguments);
    va_end(arguments);
    if (!azfn_span_is_present(text)) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_format");
    }
    return text;
}

struct azfn_span azfn_base64(struct azfn_invocation *handle, struct azfn_span bytes)
{
    if (bytes.length > ARENA_MAX_BYTES) {
        return azfn__absent();
    }
    size_t capacity = sodium_base64_encoded_len(bytes.length, sodium_base64_VARIANT_ORIGINAL);
    char *text = azfn_alloc(handle, capacity);
    if (!text) {
        return azfn__absent();
    }
    sodium_bin2base64(text, capacity, (const unsigned char *)bytes.data, bytes.length, sodium_base64_VARIANT_ORIGINAL);
    return azfn__span(text, capacity - 1);
}

static void on_delay_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void call_elapsed(struct azfn_invocation *handle, void *user_data)
{
    const struct azfn__delay *delay = user_data;
    delay->on_elapsed(handle, delay->user_data);
}

static void on_delay_timer(uv_timer_t *timer)
{
    struct azfn__delay *delay = timer->data;
    struct azfn__invocation *invocation = delay->invocation;
    for (struct azfn__delay **link = &invocation->delays; *link; link = &(*link)->next) {
        if (*link == delay) {
            *link = delay->next;
            break;
        }
    }
    azfn__dispatcher_call(invocation, call_elapsed, delay);
    uv_close((uv_handle_t *)timer, on_delay_closed);
}

struct azfn__invocation *azfn__invocation_running_of(const struct azfn_invocation *handle)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    bool can_come_back =
        invocation && invocation->state == AZFN__INVOCATION_RUNNING && !azfn__blocking_job_current();
    return can_come_back ? invocation : NULL;
}

enum azfn_error azfn_delay(struct azfn_invocation *handle, uint32_t delay_ms, azfn_on_elapsed_fn *on_elapsed,
                           void *user_data)
{
    struct azfn__invocation *invocation = azfn__invocation_running_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    struct azfn__delay *delay = calloc(1, sizeof(*delay));
    if (!delay || uv_timer_init(invocation->dispatcher->loop, &delay->timer) != 0) {
        free(delay);
        return azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_delay");
    }
    delay->timer.data = delay;
    delay->invocation = invocation;
    delay->on_elapsed = on_elapsed;
    delay->user_data = user_data;
    delay->next = invocation->delays;
    invocation->delays = delay;
    return uv_timer_start(&delay->timer, on_delay_timer, delay_ms, 0) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

enum azfn_error azfn_on_cancelled(struct azfn_invocation *handle, azfn_on_cancelled_fn *on_cancelled,
                                  void *user_data)
{
    struct azfn__invocation *invocation = azfn__invocation_running_of(handle);
    if (!invocation) {
        return AZFN_ERROR_STATE;
    }
    if (atomic_load(&invocation->is_cancelled)) {
        return azfn_delay(handle, 0, on_cancelled, user_data); /* the caller goes but once */
    }
    invocation->on_cancelled = on_cancelled;
    invocation->on_cancelled_data = user_data;
    return AZFN_OK;
}

void azfn__invocation_stop_delays(struct azfn__invocation *invocation)
{
    while (invocation->delays) {
        struct azfn__delay *delay = invocation->delays;
        invocation->delays = delay->next;
        uv_close((uv_handle_t *)&delay->timer, on_delay_closed);
    }
}
