#include "broker/supervisor.h"

#include "base/span.h"
#include "broker/death_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* A worker that lived this long has shown that the last crash is not the next one's cause. */
#define STABLE_AFTER_MS 10000

static const uint32_t restart_delays_ms[] = {0, 50, 200, 800, 2000};

static void start_worker(struct azfn__supervisor *supervisor);

static void end(struct azfn__supervisor *supervisor, int exit_code)
{
    if (!supervisor->has_ended) {
        supervisor->has_ended = true;
        supervisor->options.on_end(exit_code, supervisor->options.user_data);
    }
}

static void on_restart_timer(uv_timer_t *timer)
{
    start_worker(timer->data);
}

static void restart_after(struct azfn__supervisor *supervisor, unsigned earlier)
{
    size_t last = sizeof(restart_delays_ms) / sizeof(restart_delays_ms[0]) - 1;
    uint32_t delay_ms = restart_delays_ms[earlier < last ? earlier : last];
    if (delay_ms == 0) {
        start_worker(supervisor);
    } else {
        uv_timer_start(&supervisor->restart_timer, on_restart_timer, delay_ms, 0);
    }
}

/* Logs why a worker can't be there, and keeps it for the last line of all. */
static void tell_fault(struct azfn__supervisor *supervisor, enum azfn__log_origin origin, struct azfn_span text)
{
    azfn__log_sink_write(supervisor->options.log, (struct azfn__log_entry){.level = AZFN_LOG_ERROR,
                                                                           .origin = origin,
                                                                           .event = AZFN__SPAN("sys_crash:worker"),
                                                                           .description = text});
    snprintf(supervisor->last_fault, sizeof(supervisor->last_fault), "%.*s", AZFN_SPAN_ARGS(text));
}

static void tell_errno(struct azfn__supervisor *supervisor, const char *what, int error)
{
    char text[128];
    int length = snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
    tell_fault(supervisor, AZFN__ORIGIN_BROKER, azfn__span(text, length > 0 ? (size_t)length : 0));
}

static void count_failed_start(struct azfn__supervisor *supervisor)
{
    supervisor->failed_starts++;
    if (supervisor->failed_starts >= AZFN__SUPERVISOR_MAX_FAILED_STARTS) {
        azfn__log_sink_say(supervisor->options.log, AZFN_LOG_ERROR, "sys_crash:worker",
                           "the worker ended %u times in a row before it was ready, so the handler ends; the last "
                           "time: %s",
                           supervisor->failed_starts, supervisor->last_fault);
        end(supervisor, 1);
        return;
    }
    restart_after(supervisor, supervisor->failed_starts - 1);
}

static void log_death(struct azfn__supervisor *supervisor, const struct azfn__worker_process *worker, int status)
{
    char text[AZFN__DEATH_TEXT_BYTES];
    azfn__death_report_write(supervisor->options.log, worker->flight_record, status, worker->is_ready, text);
    if (!worker->is_ready && !supervisor->last_fault[0]) {
        snprintf(supervisor->last_fault, sizeof(supervisor->last_fault), "%s", text);
    }
}

static void on_worker_ended(struct azfn__supervisor *supervisor, int status)
{
    struct azfn__worker_process *worker = supervisor->worker;
    uv_timer_stop(&supervisor->watch_timer);
    azfn__worker_process_read_rest(worker);
    bool was_ready = worker->is_ready;
    bool was_stable =
        was_ready && uv_now(supervisor->options.loop) - worker->ready_at_ms >= STABLE_AFTER_MS;
    bool has_finished = supervisor->is_draining && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    supervisor->worker = NULL;
    if (!has_finished) {
        log_death(supervisor, worker, status);
    }
    azfn__worker_process_close(worker);
    if (supervisor->is_draining) {
        end(supervisor, has_finished ? 0 : 1);
    } else if (!was_ready) {
        count_failed_start(supervisor);
    } else {
        supervisor->crashes = was_stable ? 0 : supervisor->crashes;
        azfn__log_sink_say(supervisor->options.log, AZFN_LOG_WARNING, "sys_restart:worker",
                           "starting another worker; the port stays open");
        restart_after(supervisor, supervisor->crashes++);
    }
}

static void on_frame(struct azfn__worker_process *worker, const struct azfn__frame *frame, void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    switch (frame->type) {
    case AZFN__FRAME_READY:
        if (!worker->is_ready) {
            worker->is_ready = true;
            uv_timer_stop(&supervisor->watch_timer);
            worker->ready_at_ms = uv_now(supervisor->options.loop);
            supervisor->failed_starts = 0;
            if (!supervisor->was_ready) {
                supervisor->was_ready = true;
                supervisor->options.on_first_ready(supervisor->options.user_data);
            }
        }
        break;
    case AZFN__FRAME_FAULT:
        tell_fault(supervisor, AZFN__ORIGIN_WORKER, frame->payload);
        break;
    case AZFN__FRAME_ACCEPTED:
        /* every holder's socket stops listening, so later connections are refused and not left waiting */
        if (supervisor->is_draining) {
            shutdown(supervisor->options.listener, SHUT_RDWR);
        }
        break;
    default:
        break;
    }
}

static void on_loss_limit(uv_timer_t *timer)
{
    struct azfn__supervisor *supervisor = timer->data;
    azfn__log_sink_say(supervisor->options.log, AZFN_LOG_ERROR, "sys_crash:launcher",
                       "the end of a lost worker was not reported within %d ms: the launcher does not work any more",
                       AZFN__LOSS_LIMIT_MS);
    end(supervisor, 1);
}

static void on_lost(struct azfn__worker_process *worker, const char *reason, void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    if (reason) {
        azfn__log_sink_say(supervisor->options.log, AZFN_LOG_ERROR, "malicious_frame:worker",
                           "the worker is killed, since %s", reason);
    }
    if (worker->pid > 0 && worker == supervisor->worker) {
        /* a launcher that is gone is noticed by itself; one that hangs, by the timer */
        enum azfn_error error = azfn__launcher_kill(supervisor->options.launcher, worker->pid);
        (void)error;
        uv_timer_start(&supervisor->watch_timer, on_loss_limit, AZFN__LOSS_LIMIT_MS, 0);
    }
}

static void on_ready_limit(uv_timer_t *timer)
{
    struct azfn__supervisor *supervisor = timer->data;
    struct azfn__worker_process *worker = supervisor->worker;
    tell_fault(supervisor, AZFN__ORIGIN_BROKER, AZFN__SPAN("the worker was not ready in time, and is killed"));
    if (worker) {
        on_lost(worker, NULL, supervisor);
    }
}

static void start_worker(struct azfn__supervisor *supervisor)
{
    const struct azfn__worker_process_callbacks callbacks = {
        .on_frame = on_frame, .on_lost = on_lost, .user_data = supervisor};
    if (supervisor->has_ended) {
        return;
    }
    supervisor->last_fault[0] = '\0';
    enum azfn_error error = azfn__worker_process_start(
        supervisor->options.loop, supervisor->options.launcher, supervisor->options.log,
        supervisor->options.listener, supervisor->options.config, &callbacks, &supervisor->worker);
    if (error != AZFN_OK) {
        tell_errno(supervisor, "can't start a worker", errno);
        count_failed_start(supervisor);
        return;
    }
    uv_timer_start(&supervisor->watch_timer, on_ready_limit, AZFN__READY_LIMIT_MS, 0);
}

static void take_report(struct azfn__supervisor *supervisor, const struct azfn__launcher_report *report)
{
    struct azfn__worker_process *worker = supervisor->worker;
    if (!worker) {
        return;
    }
    if (report->kind == AZFN__LAUNCHER_STARTED) {
        worker->pid = report->pid;
        if (report->value != 0) {
            tell_errno(supervisor, "can't execute a worker", report->value);
        }
        if (report->pid == 0) {
            supervisor->worker = NULL;
            azfn__worker_process_close(worker);
            count_failed_start(supervisor);
        } else if (uv_is_closing((uv_handle_t *)&worker->channel)) {
            on_lost(worker, NULL, supervisor);
        }
    } else if (report->kind == AZFN__LAUNCHER_ENDED && report->pid == worker->pid) {
        on_worker_ended(supervisor, report->value);
    }
}

static void on_launcher(uv_poll_t *handle, int status, int events)
{
    struct azfn__supervisor *supervisor = handle->data;
    struct azfn__launcher_report report;
    enum azfn_error error;
    (void)status;
    (void)events;
    while ((error = azfn__launcher_receive(supervisor->options.launcher, &report)) == AZFN_OK) {
        take_report(supervisor, &report);
    }
    if (error == AZFN_ERROR_NOT_FOUND) {
        uv_poll_stop(handle);
        azfn__log_sink_say(supervisor->options.log, AZFN_LOG_ERROR, "sys_crash:launcher",
                           "the launcher has ended, so no worker can be started any more");
        end(supervisor, 1);
    }
}

enum azfn_error azfn__supervisor_start(struct azfn__supervisor *supervisor,
                                       const struct azfn__supervisor_options *options)
{
    *supervisor = (struct azfn__supervisor){.options = *options};
    if (uv_poll_init(options->loop, &supervisor->launcher_poll, options->launcher->fd) != 0 ||
        uv_timer_init(options->loop, &supervisor->restart_timer) != 0 ||
        uv_timer_init(options->loop, &supervisor->drain_timer) != 0 ||
        uv_timer_init(options->loop, &supervisor->watch_timer) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    supervisor->launcher_poll.data = supervisor;
    supervisor->restart_timer.data = supervisor;
    supervisor->drain_timer.data = supervisor;
    supervisor->watch_timer.data = supervisor;
    start_worker(supervisor);
    return uv_poll_start(&supervisor->launcher_poll, UV_READABLE, on_launcher) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void on_drain_limit(uv_timer_t *timer)
{
    struct azfn__supervisor *supervisor = timer->data;
    azfn__log_sink_say(supervisor->options.log, AZFN_LOG_ERROR, "sys_shutdown",
                       "not everything in flight was finished within %d ms: giving up on the rest",
                       AZFN__DRAIN_LIMIT_MS);
    end(supervisor, 0);
}

void azfn__supervisor_drain(struct azfn__supervisor *supervisor)
{
    if (supervisor->is_draining || !supervisor->worker) {
        end(supervisor, 0);
        return;
    }
    supervisor->is_draining = true;
    uv_timer_stop(&supervisor->restart_timer);
    uv_timer_start(&supervisor->drain_timer, on_drain_limit, AZFN__DRAIN_LIMIT_MS, 0);
    if (supervisor->worker->is_ready) {
        azfn__worker_process_send(supervisor->worker, AZFN__FRAME_DRAIN);
    } else {
        end(supervisor, 0);
    }
}
