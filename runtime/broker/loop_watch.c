#include "broker/loop_watch.h"

#include "base/span.h"

enum azfn_error azfn__loop_watch_init(struct azfn__loop_watch *watch, const struct azfn__loop_watch_options *options)
{
    *watch = (struct azfn__loop_watch){.options = *options};
    watch->timer.data = watch;
    return uv_timer_init(options->loop, &watch->timer) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__loop_watch *watch = timer->data;
    azfn__loop_watch_look(watch, uv_now(watch->options.loop));
}

void azfn__loop_watch_turn_to(struct azfn__loop_watch *watch, const struct azfn__flight_record *record)
{
    watch->record = record;
    watch->was_running = false;
    if (record) {
        uv_timer_start(&watch->timer, on_timer, AZFN__LOOP_WATCH_INTERVAL_MS, AZFN__LOOP_WATCH_INTERVAL_MS);
    } else {
        uv_timer_stop(&watch->timer);
    }
}

/* A name that is none of ours gets the longest time of all. */
static uint32_t timeout_of(const struct azfn__config *config, struct azfn_span name)
{
    const struct azfn__config_function *function = azfn__config_find(config, name);
    uint32_t longest_ms = 0;
    for (size_t i = 0; !function && i < config->function_count; i++) {
        longest_ms = config->functions[i].timeout_ms > longest_ms ? config->functions[i].timeout_ms : longest_ms;
    }
    return function ? function->timeout_ms : longest_ms;
}

AZFN_PRINTF(4, 5)
static void tell(struct azfn__loop_watch *watch, enum azfn__security_event event,
                 const struct azfn__flight_slot *copy, const char *format, ...)
{
    struct azfn__event_fields fields = {.duration_ms = AZFN__NUMBER(watch->blocked_ms)};
    va_list arguments;
    azfn__flight_record_read(copy, &fields);
    va_start(arguments, format);
    azfn__log_sink_vsay(watch->options.log, event, &fields, format, arguments);
    va_end(arguments);
}

/* Whoever comes that late was stopped, as all of the machine may have been: that is no function's time. */
static uint64_t time_since_last_look(struct azfn__loop_watch *watch, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - watch->looked_ms;
    watch->looked_ms = now_ms;
    return passed_ms < 2 * AZFN__LOOP_WATCH_INTERVAL_MS ? passed_ms : AZFN__LOOP_WATCH_INTERVAL_MS;
}

void azfn__loop_watch_look(struct azfn__loop_watch *watch, uint64_t now_ms)
{
    const struct azfn__flight_slot copy = watch->record->loop; /* the worker may write to it at any time */
    struct azfn__event_fields running = {.function = azfn__absent()};
    azfn__flight_record_read(&copy, &running);
    bool is_running = running.function.length > 0;
    uint64_t passed_ms = time_since_last_look(watch, now_ms);
    if (!is_running || !watch->was_running || copy.calls != watch->calls) {
        watch->was_running = is_running;
        watch->calls = copy.calls;
        watch->blocked_ms = 0;
        watch->is_told = false;
        return;
    }
    watch->blocked_ms += passed_ms;
    unsigned blocked_s = (unsigned)((watch->blocked_ms + 500) / 1000);
    if (!watch->is_told) {
        watch->is_told = true;
        tell(watch, AZFN__EVENT_LOOP_BLOCKED, &copy,
             "the worker says it runs the function named here, which blocks the loop since about %u s: nothing else "
             "is served meanwhile",
             blocked_s);
    }
    if (watch->blocked_ms >= (uint64_t)timeout_of(watch->options.config, running.function) + AZFN__LOOP_WATCH_GRACE_MS) {
        tell(watch, AZFN__EVENT_WORKER_BLOCKED, &copy,
             "the worker is killed, since its loop is blocked for about %u s, beyond the timeoutMs of the function "
             "that it says it runs",
             blocked_s);
        azfn__loop_watch_turn_to(watch, NULL);
        watch->options.on_blocked(watch->options.user_data);
    }
}
