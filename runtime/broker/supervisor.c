#include "broker/supervisor.h"

#include "base/span.h"
#include "worker/worker.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* While one worker serves, others that fail to start are tried again this often, after the quick tries. */
#define SUCCESSOR_RETRY_MS 60000

/* Until a place for a worker has become free. */
#define ROOM_RETRY_MS 50

static void end(struct azfn__supervisor *supervisor, int exit_code)
{
    if (!supervisor->has_ended) {
        supervisor->has_ended = true;
        supervisor->options.on_end(exit_code, supervisor->options.user_data);
    }
}

static void count_failed_start(struct azfn__supervisor *supervisor)
{
    if (azfn__restart_schedule_retry(&supervisor->schedule)) {
        return;
    }
    bool is_other_serving = supervisor->workers.serving;
    azfn__supervisor_log_failed_starts(&supervisor->log, supervisor->schedule.failed_starts, is_other_serving);
    if (is_other_serving) {
        azfn__restart_schedule_wait(&supervisor->schedule, SUCCESSOR_RETRY_MS);
    } else {
        end(supervisor, 1);
    }
}

static void on_loss_limit(uv_timer_t *timer)
{
    struct azfn__supervisor *supervisor = timer->data;
    azfn__supervisor_log_launcher_hangs(&supervisor->log, AZFN__LOSS_LIMIT_MS);
    end(supervisor, 1);
}

/* A launcher that is gone is noticed by itself; one that hangs, by the timer. */
static void kill_worker(struct azfn__supervisor *supervisor, struct azfn__worker_process *worker)
{
    worker->is_killed = true;
    if (worker->pid > 0) {
        enum azfn_error error = azfn__launcher_kill(supervisor->options.launcher, worker->pid);
        (void)error;
    }
    uv_timer_start(&supervisor->loss_timer, on_loss_limit, AZFN__LOSS_LIMIT_MS, 0);
}

static void replace_ended(struct azfn__supervisor *supervisor, const struct azfn__worker_process *worker)
{
    azfn__supervisor_log_restart(&supervisor->log);
    supervisor->is_replacing = false;
    supervisor->workers.serving = supervisor->workers.successor; /* which is on its way, if there is one */
    supervisor->workers.successor = NULL;
    if (!supervisor->workers.serving) {
        azfn__restart_schedule_replace(&supervisor->schedule, worker->ready_at_ms);
    }
}

/* What is in flight until now is lost. */
static void end_draining(struct azfn__supervisor *supervisor)
{
    const struct azfn__worker_set *workers = &supervisor->workers;
    bool is_serving = workers->serving && workers->serving->is_ready;
    end(supervisor, supervisor->has_lost_work || is_serving || workers->retirement.count > 0 ? 1 : 0);
}

static void end_if_drained(struct azfn__supervisor *supervisor)
{
    if (!supervisor->workers.serving && supervisor->workers.retirement.count == 0) {
        end_draining(supervisor);
    }
}

/* While draining: one that was told to finish, or one that is not needed any more. */
static void take_drained_end(struct azfn__supervisor *supervisor, const struct azfn__worker_process *worker,
                             bool was_told, int status)
{
    bool has_finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (was_told && !has_finished) {
        azfn__supervisor_log_death(&supervisor->log, worker, status, &supervisor->suspects);
        supervisor->has_lost_work = true;
    }
    end_if_drained(supervisor);
}

/* An earlier worker could listen on it. The host makes a new one at once, and does not count this as a failure. */
static void end_for_socket(struct azfn__supervisor *supervisor)
{
    azfn__supervisor_log_socket(&supervisor->log);
    end(supervisor, AZFN__EXIT_RESTART);
}

static void take_end(struct azfn__supervisor *supervisor, struct azfn__worker_process *worker, bool was_serving,
                     bool was_told, int status)
{
    if (was_told && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        azfn__supervisor_log_finished(&supervisor->log);
        return;
    }
    azfn__supervisor_log_death(&supervisor->log, worker, status, &supervisor->suspects);
    if (!worker->is_ready && supervisor->was_ready && WIFEXITED(status) &&
        WEXITSTATUS(status) == AZFN__WORKER_EXIT_CANT_LISTEN) {
        end_for_socket(supervisor);
    } else if (!worker->is_ready) {
        count_failed_start(supervisor);
    } else if (was_serving) {
        replace_ended(supervisor, worker);
    } else if (!was_told) { /* a successor that died before anybody saw that it was ready */
        azfn__restart_schedule_replace(&supervisor->schedule, worker->ready_at_ms);
    }
}

/* True: it was among those that were told to finish when they were replaced. */
static bool remove_worker(struct azfn__supervisor *supervisor, const struct azfn__worker_process *worker)
{
    if (!worker->is_ready) {
        uv_timer_stop(&supervisor->ready_timer);
    }
    bool was_told = azfn__worker_set_remove(&supervisor->workers, worker);
    if (azfn__worker_set_has_killed(&supervisor->workers)) {
        uv_timer_start(&supervisor->loss_timer, on_loss_limit, AZFN__LOSS_LIMIT_MS, 0);
    } else {
        uv_timer_stop(&supervisor->loss_timer);
    }
    return was_told;
}

static void on_worker_ended(struct azfn__supervisor *supervisor, struct azfn__worker_process *worker, int status)
{
    worker->has_ended = true;
    azfn__worker_process_read_rest(worker);
    bool was_serving = supervisor->workers.serving == worker;
    if (was_serving) {
        azfn__loop_watch_turn_to(&supervisor->loop_watch, NULL);
    }
    bool was_told = remove_worker(supervisor, worker);
    if (supervisor->is_draining) {
        take_drained_end(supervisor, worker, was_told || (was_serving && worker->is_ready), status);
    } else {
        take_end(supervisor, worker, was_serving, was_told, status);
    }
    azfn__worker_process_close(worker);
}

static void on_ready(struct azfn__supervisor *supervisor, struct azfn__worker_process *worker)
{
    worker->is_ready = true;
    worker->is_told = false;
    worker->ready_at_ms = uv_now(supervisor->options.loop);
    uv_timer_stop(&supervisor->ready_timer);
    azfn__restart_schedule_succeed(&supervisor->schedule);
    const bool is_successor =
        worker == supervisor->workers.successor && !worker->has_ended && !worker->is_killed;
    if (is_successor) {
        supervisor->is_replacing = false;
        azfn__worker_set_hand_over(&supervisor->workers);
    }
    if (worker == supervisor->workers.serving && !worker->has_ended) {
        azfn__loop_watch_turn_to(&supervisor->loop_watch, worker->flight_record);
    }
    if (!supervisor->was_ready) {
        supervisor->was_ready = true;
        supervisor->options.on_first_ready(supervisor->options.user_data);
    }
    if (!worker->has_ended) {
        azfn__supervisor_log_startup(&supervisor->log, worker, is_successor);
    }
}

/* The worker may be in an attacker's hands: it gets what it asks for no sooner than by a crash, and why is told as its
 * own word. */
static void on_replace(struct azfn__supervisor *supervisor, const struct azfn__worker_process *worker,
                       struct azfn_span reason)
{
    if (worker != supervisor->workers.serving || !worker->is_ready || worker->is_killed || worker->has_ended ||
        supervisor->is_replacing || supervisor->is_draining) {
        return;
    }
    supervisor->is_replacing = true;
    azfn__supervisor_log_replacement(&supervisor->log, reason);
    azfn__restart_schedule_replace(&supervisor->schedule, worker->ready_at_ms);
}

static bool on_frame(struct azfn__worker_process *worker, const struct azfn__frame *frame, void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    switch (frame->type) {
    case AZFN__FRAME_READY:
        if (!worker->is_ready) {
            on_ready(supervisor, worker);
        }
        break;
    case AZFN__FRAME_FAULT:
        if (!worker->is_ready) { /* another one's is none of its business */
            azfn__supervisor_log_fault(&supervisor->log, worker, AZFN__ORIGIN_WORKER, frame->payload);
        }
        break;
    case AZFN__FRAME_ACCEPTED:
        /* every holder's socket stops listening, so later connections are refused and not left waiting */
        if (supervisor->is_draining && worker == supervisor->workers.serving) {
            shutdown(supervisor->options.listener, SHUT_RDWR);
        }
        break;
    case AZFN__FRAME_REPLACE:
        on_replace(supervisor, worker, frame->payload);
        break;
    default:
        return false;
    }
    return true;
}

static void on_lost(struct azfn__worker_process *worker, const char *reason, void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    if (reason) {
        azfn__supervisor_log_kill(&supervisor->log, worker, AZFN__EVENT_WORKER_FRAME, "", reason);
    }
    if (worker->pid > 0 && !worker->has_ended) {
        kill_worker(supervisor, worker);
    }
}

static void on_retirement_expired(struct azfn__worker_process *worker, const char *reason, void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    azfn__supervisor_log_kill(&supervisor->log, worker, AZFN__EVENT_WORKER_SHUTDOWN_KILLED,
                              " that was replaced", reason);
    kill_worker(supervisor, worker);
}

static void on_blocked(void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    if (supervisor->workers.serving) {
        supervisor->workers.serving->is_told = true;
        kill_worker(supervisor, supervisor->workers.serving);
    }
}

static void on_ready_limit(uv_timer_t *timer)
{
    struct azfn__supervisor *supervisor = timer->data;
    struct azfn__worker_process *worker = azfn__worker_set_starting(&supervisor->workers);
    azfn__supervisor_log_fault(&supervisor->log, worker, AZFN__ORIGIN_BROKER,
                               AZFN__SPAN("the worker was not ready in time, and is killed"));
    if (worker) {
        kill_worker(supervisor, worker);
    }
}

static void start_worker(void *user_data)
{
    struct azfn__supervisor *supervisor = user_data;
    const struct azfn__worker_process_options options = {
        .loop = supervisor->options.loop,
        .log = supervisor->options.log,
        .services = supervisor->options.services,
        .launcher = supervisor->options.launcher,
        .listener = supervisor->options.listener,
        .config_fd = supervisor->options.config_fd,
        .suspects = &supervisor->suspects,
        .callbacks = {.on_frame = on_frame, .on_lost = on_lost, .user_data = supervisor}};
    if (supervisor->has_ended) {
        return;
    }
    if (supervisor->workers.serving && !azfn__retirement_make_room(&supervisor->workers.retirement)) {
        azfn__restart_schedule_wait(&supervisor->schedule, ROOM_RETRY_MS); /* one was killed for it */
        return;
    }
    azfn__supervisor_log_forget_fault(&supervisor->log);
    enum azfn_error error = azfn__worker_process_start(
        &options, supervisor->workers.serving ? &supervisor->workers.successor : &supervisor->workers.serving);
    if (error != AZFN_OK) {
        azfn__supervisor_log_errno(&supervisor->log, NULL, "can't start a worker", errno);
        count_failed_start(supervisor);
        return;
    }
    uv_timer_start(&supervisor->ready_timer, on_ready_limit, AZFN__READY_LIMIT_MS, 0);
}

static void take_started(struct azfn__supervisor *supervisor, const struct azfn__launcher_report *report)
{
    struct azfn__worker_process *worker = azfn__worker_set_find(&supervisor->workers, 0);
    if (!worker) {
        return;
    }
    worker->pid = report->pid;
    if (report->value != 0) {
        azfn__supervisor_log_errno(&supervisor->log, worker, "can't execute a worker", report->value);
    }
    if (report->pid == 0) {
        remove_worker(supervisor, worker);
        azfn__worker_process_close(worker);
        if (supervisor->is_draining) {
            end_if_drained(supervisor);
        } else {
            count_failed_start(supervisor);
        }
    } else if (worker->is_killed || uv_is_closing((uv_handle_t *)&worker->channel)) {
        kill_worker(supervisor, worker);
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
        struct azfn__worker_process *worker = azfn__worker_set_find(&supervisor->workers, report.pid);
        if (report.kind == AZFN__LAUNCHER_STARTED) {
            take_started(supervisor, &report);
        } else if (report.kind == AZFN__LAUNCHER_ENDED && worker && report.pid > 0) {
            on_worker_ended(supervisor, worker, report.value);
        }
    }
    if (error == AZFN_ERROR_NOT_FOUND) {
        uv_poll_stop(handle);
        azfn__supervisor_log_launcher_ended(&supervisor->log);
        end(supervisor, 1);
    }
}

enum azfn_error azfn__supervisor_start(struct azfn__supervisor *supervisor,
                                       const struct azfn__supervisor_options *options)
{
    const struct azfn__retirement_options retirement = {.loop = options->loop,
                                                        .limit_ms = AZFN__DRAIN_LIMIT_MS,
                                                        .on_expired = on_retirement_expired,
                                                        .user_data = supervisor};
    const struct azfn__loop_watch_options loop_watch = {.loop = options->loop,
                                                        .config = options->config,
                                                        .log = options->log,
                                                        .on_blocked = on_blocked,
                                                        .user_data = supervisor};
    *supervisor = (struct azfn__supervisor){.options = *options, .log = {.sink = options->log}};
    if (uv_poll_init(options->loop, &supervisor->launcher_poll, options->launcher->fd) != 0 ||
        uv_timer_init(options->loop, &supervisor->drain_timer) != 0 ||
        uv_timer_init(options->loop, &supervisor->ready_timer) != 0 ||
        uv_timer_init(options->loop, &supervisor->loss_timer) != 0 ||
        azfn__restart_schedule_init(&supervisor->schedule, options->loop, start_worker, supervisor) != AZFN_OK ||
        azfn__loop_watch_init(&supervisor->loop_watch, &loop_watch) != AZFN_OK ||
        azfn__retirement_init(&supervisor->workers.retirement, &retirement) != AZFN_OK) {
        return AZFN_ERROR_SYSTEM;
    }
    supervisor->launcher_poll.data = supervisor;
    supervisor->drain_timer.data = supervisor;
    supervisor->ready_timer.data = supervisor;
    supervisor->loss_timer.data = supervisor;
    start_worker(supervisor);
    return uv_poll_start(&supervisor->launcher_poll, UV_READABLE, on_launcher) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void end_unfinished(struct azfn__supervisor *supervisor, const char *why)
{
    uint64_t waited_ms = uv_now(supervisor->options.loop) - supervisor->draining_since_ms;
    azfn__supervisor_log_unfinished(&supervisor->log, waited_ms, why);
    end_draining(supervisor);
}

static void on_drain_limit(uv_timer_t *timer)
{
    end_unfinished(timer->data, "which is the limit");
}

void azfn__supervisor_drain(struct azfn__supervisor *supervisor)
{
    struct azfn__worker_process *starting = azfn__worker_set_starting(&supervisor->workers);
    if (starting) {
        azfn__worker_process_read_rest(starting); /* it may have said that it serves */
    }
    struct azfn__worker_process *worker = supervisor->workers.serving;
    bool is_serving = worker && worker->is_ready && !worker->is_killed;
    if (supervisor->is_draining) {
        end_unfinished(supervisor, "and the end was asked for once more");
        return;
    }
    if (!is_serving && supervisor->workers.retirement.count == 0) {
        end_draining(supervisor);
        return;
    }
    supervisor->is_draining = true;
    supervisor->draining_since_ms = uv_now(supervisor->options.loop);
    azfn__restart_schedule_stop(&supervisor->schedule);
    uv_timer_stop(&supervisor->ready_timer);
    uv_timer_start(&supervisor->drain_timer, on_drain_limit, AZFN__DRAIN_LIMIT_MS, 0);
    starting = azfn__worker_set_starting(&supervisor->workers);
    if (starting) {
        kill_worker(supervisor, starting); /* before it listens */
    }
    if (is_serving) {
        azfn__worker_process_send(worker, AZFN__FRAME_DRAIN);
    } else {
        shutdown(supervisor->options.listener, SHUT_RDWR);
    }
}
