#include "worker/worker.h"

#include "base/span.h"
#include "broker/launcher.h"
#include "broker/privileges.h"
#include "config/config.h"
#include "config/config_files.h"
#include "sandbox/landlock.h"
#include "sandbox/layers.h"
#include "sandbox/limits.h"
#include "sandbox/seccomp.h"
#include "worker/asks.h"
#include "worker/blocking_pool.h"
#include "worker/broker_client.h"
#include "worker/dispatcher.h"
#include "worker/flight_record.h"
#include "worker/forbidden_call.h"
#include "worker/http_server.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What stays with the worker when it is freed: single pieces, and all that is free at the end of the heap. */
#define ALLOCATION_KEPT_BYTES (4 << 20)
#define HEAP_KEPT_BYTES (16 << 20)
/* For all but bodies: an accident is to end here, and not in another process that the system ends for its memory. */
#define DATA_BYTES (UINT64_C(2) << 30)
#define DATA_BYTES_PER_BODY_BYTE 4
/* For what the broker has not taken yet when all is done. */
#define END_MS 1000

struct worker {
    uv_loop_t loop;
    struct azfn__broker_client broker;
    struct azfn__config_files files;
    struct azfn__config *config;
    struct azfn__flight_record *flight_record;
    struct azfn__dispatcher dispatcher;
    struct azfn__secret_slab *slab; /* NULL where no function is granted a secret */
    struct azfn__asks asks;
    struct azfn__blocking_pool pool; /* of no threads where no function blocks */
    struct azfn__http_server server;
    int exit_code;
};

/* Tells the broker, which ends the host's log with it. */
AZFN_PRINTF(2, 3) static bool fault(struct worker *worker, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t used = length < 0 ? 0 : (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1;
    azfn__broker_client_send(&worker->broker, AZFN__FRAME_FAULT, azfn__span(text, used));
    return false;
}

static void on_accepted(void *user_data)
{
    struct worker *worker = user_data;
    azfn__broker_client_send(&worker->broker, AZFN__FRAME_ACCEPTED, azfn__span("", 0));
}

static void on_drained(void *user_data)
{
    struct worker *worker = user_data;
    worker->exit_code = 0;
    uv_stop(&worker->loop);
}

static void on_drain(void *user_data)
{
    struct worker *worker = user_data;
    azfn__http_server_drain(&worker->server, on_accepted, on_drained, worker);
}

/* One descriptor per connection, as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A body of a megabyte would otherwise be taken from the system, page by page, and given back with each request: that
 * costs more than all that is done with it. */
static void keep_freed_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, ALLOCATION_KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
#endif
}

/* What the C library would look for in the file system when it is first used. */
static void look_at_files(void)
{
    static char output[BUFSIZ];
    static char input[1];
    setvbuf(stdout, output, _IOFBF, sizeof(output));
    setvbuf(stdin, input, _IOFBF, sizeof(input));
    tzset();
}

/* What execve() undid, and what the launcher's signal handling left behind. */
static bool prepare_process(void)
{
    prctl(PR_SET_NAME, "azfn-worker", 0, 0, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    keep_freed_memory();
    look_at_files();
    /* a child of a function must not get hold of them */
    for (int fd = AZFN__WORKER_LISTENER; fd < AZFN__WORKER_DESCRIPTOR_END; fd++) {
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
            return false;
        }
    }
    return azfn__privileges_forbid_dumps() == AZFN_OK;
}

static bool read_configuration(struct worker *worker, const struct azfn__app *app)
{
    struct azfn__config_fault config_fault = {{0}};
    enum azfn_error error = azfn__config_files_map(&worker->files, AZFN__WORKER_CONFIG);
    if (error == AZFN_OK) {
        error = azfn__config_new(worker->files.files, worker->files.file_count, app->functions, app->function_count,
                                 &worker->config, &config_fault);
    }
    if (error != AZFN_OK) {
        return fault(worker, "the worker can't read the configuration: %s",
                     config_fault.message[0] ? config_fault.message : azfn_error_text(error));
    }
    close(AZFN__WORKER_CONFIG);
    return true;
}

static bool map_flight_record(struct worker *worker)
{
    worker->flight_record = azfn__flight_record_map(AZFN__WORKER_FLIGHT_RECORD);
    if (!worker->flight_record) {
        return fault(worker, "the worker can't map its flight record: %s", strerror(errno));
    }
    close(AZFN__WORKER_FLIGHT_RECORD);
    return azfn__forbidden_call_watch(worker->flight_record) == AZFN_OK ||
           fault(worker, "the worker can't watch its system calls: %s", strerror(errno));
}

/* No file, no TCP but what is accepted, no other process. Covers one thread and what it starts: so before any other. */
static bool leave_the_system(struct worker *worker)
{
    const struct azfn__landlock_rules nothing = {.layers = azfn__sandbox_layers()};
    return worker->config->is_sandbox_report_only || azfn__landlock_apply(&nothing) == AZFN_OK ||
           fault(worker, "the worker can't restrict itself with Landlock: %s", strerror(errno));
}

/* When everything is there that takes more than serving does. */
static bool enter_sandbox(struct worker *worker)
{
    unsigned layers = azfn__sandbox_layers();
    bool is_report_only = worker->config->is_sandbox_report_only;
    const struct azfn__limits limits = {
        .descriptors = azfn__http_server_descriptors(&worker->server),
        .data_bytes = DATA_BYTES + DATA_BYTES_PER_BODY_BYTE * worker->config->limits.body_bytes_in_flight};
    if ((layers & AZFN__SANDBOX_LIMITS) && !is_report_only && azfn__limits_apply(&limits) != AZFN_OK) {
        return fault(worker, "the worker can't lower its limits: %s", strerror(errno));
    }
    return !(layers & AZFN__SANDBOX_SECCOMP) ||
           azfn__seccomp_apply(AZFN__SECCOMP_WORKER, is_report_only) == AZFN_OK || is_report_only ||
           fault(worker, "the worker can't filter its system calls: %s", strerror(errno));
}

static void on_worn_out(struct azfn_span reason, void *user_data)
{
    struct worker *worker = user_data;
    azfn__broker_client_send(&worker->broker, AZFN__FRAME_REPLACE, reason);
}

static bool on_frame(const struct azfn__frame *frame, void *user_data)
{
    struct worker *worker = user_data;
    return azfn__asks_take(&worker->asks, frame);
}

/* Pages of it are only used when there are that many secrets at a time. */
static enum azfn_error make_slab(struct worker *worker)
{
    static const struct azfn__secret_slab_options options = {.small_count = 4096, .medium_count = 128, .large_count = 16};
    size_t grants = 0;
    for (size_t i = 0; i < worker->config->function_count; i++) {
        grants += worker->config->functions[i].secret_count;
    }
    enum azfn_error error = grants > 0 ? azfn__secret_slab_new(&options, &worker->slab) : AZFN_OK;
    size_t unlocked_bytes = error == AZFN_OK && worker->slab ? azfn__secret_slab_unlocked_bytes(worker->slab) : 0;
    if (unlocked_bytes > 0) {
        char text[128];
        int length = snprintf(text, sizeof(text), "the worker could not lock %zu KiB of the memory for secrets, see "
                              "RLIMIT_MEMLOCK: it may be swapped out", unlocked_bytes >> 10);
        const struct azfn__event_fields fields = {.bytes = AZFN__NUMBER(unlocked_bytes)};
        azfn__dispatcher_tell(&worker->dispatcher, NULL, AZFN__EVENT_MEMORY_UNLOCKED, &fields,
                              azfn__span(text, length > 0 ? (size_t)length : 0));
    }
    azfn__asks_init(&worker->asks, &worker->broker, worker->slab);
    worker->dispatcher.asks = &worker->asks;
    return error;
}

static enum azfn_error start_pool(struct worker *worker, const struct azfn__app *app)
{
    if (!azfn__blocking_pool_is_needed(app->functions, app->function_count)) {
        return AZFN_OK;
    }
    const struct azfn__config_limits *limits = &worker->config->limits;
    const struct azfn__blocking_pool_options options = {.threads = (uint32_t)limits->blocking_threads,
                                                        .queue = (uint32_t)limits->blocking_queue,
                                                        .on_worn_out = on_worn_out,
                                                        .user_data = worker};
    return azfn__blocking_pool_start(&worker->pool, &worker->dispatcher, &options);
}

/* A thread that does not come back would be waited for by libuv, at exit. */
static void end_without_lost_threads(const struct worker *worker)
{
    if (worker->pool.lost > 0) {
        _exit(worker->exit_code);
    }
}

static bool serve(struct worker *worker, const struct azfn__app *app)
{
    int status = 0;
    enum azfn_error error =
        azfn__dispatcher_init(&worker->dispatcher, &worker->loop, worker->config, app->functions, app->function_count,
                              &worker->broker, worker->flight_record);
    if (error == AZFN_OK) {
        error = make_slab(worker);
    }
    if (error == AZFN_OK) {
        error = start_pool(worker, app);
    }
    if (error == AZFN_OK) {
        error = azfn__http_server_start(&worker->server, &worker->loop, AZFN__WORKER_LISTENER, &worker->dispatcher,
                                        &worker->config->limits, &status);
    }
    if (error != AZFN_OK) {
        worker->exit_code = status ? AZFN__WORKER_EXIT_CANT_LISTEN : worker->exit_code;
        return fault(worker, "the worker can't listen: %s", status ? uv_strerror(status) : azfn_error_text(error));
    }
    if (!enter_sandbox(worker)) {
        return false;
    }
    azfn__broker_client_send(&worker->broker, AZFN__FRAME_READY, azfn__span("", 0));
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    azfn__broker_client_finish(&worker->broker, END_MS);
    azfn__dispatcher_tell_counts(&worker->dispatcher);
    azfn__broker_client_finish(&worker->broker, END_MS);
    end_without_lost_threads(worker);
    azfn__blocking_pool_clean_up(&worker->pool);
    azfn__dispatcher_clean_up(&worker->dispatcher);
    azfn__asks_clean_up(&worker->asks);
    azfn__secret_slab_destroy(worker->slab);
    return true;
}

int azfn__worker_run(const struct azfn__app *app)
{
    static struct worker worker;
    const struct azfn__broker_client_callbacks callbacks = {
        .on_drain = on_drain, .on_frame = on_frame, .user_data = &worker};
    worker.exit_code = 1;
    if (fcntl(AZFN__WORKER_FLIGHT_RECORD, F_GETFD) < 0) {
        fprintf(stderr, "%s: " AZFN__WORKER_ARGUMENT " is for azfn's own use: see --help\n", app->program);
        return 2;
    }
    if (!prepare_process() || uv_loop_init(&worker.loop) != 0 ||
        azfn__broker_client_start(&worker.broker, &worker.loop, AZFN__WORKER_CHANNEL, &callbacks) != AZFN_OK) {
        fprintf(stderr, "the worker can't start: %s\n", strerror(errno));
        return 1;
    }
    if (read_configuration(&worker, app) && map_flight_record(&worker) && leave_the_system(&worker)) {
        serve(&worker, app);
    }
    return worker.exit_code;
}
