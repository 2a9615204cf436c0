#include "broker/broker.h"

#include "base/secret_slab.h"
#include "base/span.h"
#include "broker/build_id.h"
#include "broker/development.h"
#include "broker/environment.h"
#include "broker/environment_audit.h"
#include "broker/host_environment.h"
#include "broker/host_watch.h"
#include "broker/last_words.h"
#include "broker/launcher.h"
#include "broker/listener.h"
#include "broker/log_sink.h"
#include "broker/privileges.h"
#include "broker/sandboxing.h"
#include "broker/services.h"
#include "broker/settings.h"
#include "broker/supervisor.h"
#include "config/config.h"
#include "config/config_files.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A killed handler's worker is gone within milliseconds; this is for a machine that is very busy. */
#define BIND_PATIENCE_MS 5000
#define LAST_WORDS_MS 1000
/* The kernel lets an environment have 6 MiB. */
#define ARENA_MAX_BYTES ((size_t)16 << 20)

static const int stop_signals[] = {SIGTERM, SIGINT, SIGHUP};
#define STOP_SIGNAL_COUNT (sizeof(stop_signals) / sizeof(stop_signals[0]))

struct broker {
    const struct azfn__app *app;
    struct azfn__log_sink log;
    struct azfn__host_watch host_watch;
    struct azfn__launcher launcher;
    struct azfn__arena arena; /* what was copied out of the environment */
    struct azfn__host_environment environment;
    struct azfn__settings settings;
    struct azfn__development development;
    struct azfn__secret_slab *slab;
    struct azfn__secret *identity_header; /* NULL: not set */
    struct azfn__config_files files;
    struct azfn__config *config;
    char module_path[PATH_MAX];
    struct azfn__services services;
    struct azfn__sandboxing sandboxing;
    struct azfn__supervisor supervisor;
    uv_loop_t loop;
    uv_signal_t signals[STOP_SIGNAL_COUNT];
    bool is_root;
    int executable;
    int listener;
    int config_fd;
    int exit_code;
};

AZFN_PRINTF(2, 3) static bool fault(struct broker *broker, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    azfn__log_sink_say(&broker->log, AZFN__EVENT_START_CRASH, NULL, "%s", text);
    return false;
}

/* What a careless parent may have left behind: closed standard descriptors, whose numbers something of ours
 * would get, and blocked or ignored signals. Then step 1 of the start. */
static bool prepare_process(struct broker *broker)
{
    int fd;
    sigset_t none;
    sigemptyset(&none);
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
    azfn__host_watch_init(&broker->host_watch);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (azfn__privileges_forbid_dumps() != AZFN_OK || azfn__privileges_forbid_new() != AZFN_OK) {
        return fault(broker, "can't forbid core dumps and new privileges: %s", strerror(errno));
    }
    return true;
}

static bool fork_launcher(struct broker *broker)
{
    char worker_argument[] = AZFN__WORKER_ARGUMENT;
    char *const arguments[] = {broker->app->program, worker_argument, NULL};
    broker->executable = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (broker->executable < 0) {
        return fault(broker, "can't find this program's file: /proc/self/exe: %s", strerror(errno));
    }
    if (azfn__launcher_fork(&broker->launcher, broker->executable, arguments) != AZFN_OK) {
        return fault(broker, "can't fork the launcher: %s", strerror(errno));
    }
    return true;
}

static bool prepare_last_words(struct broker *broker)
{
    return azfn__last_words_prepare(&broker->log) == AZFN_OK ||
           fault(broker, "can't watch for crashes: %s", strerror(errno));
}

/* It is part of the program, wherever the app's root is. */
static bool find_module(struct broker *broker)
{
    static const char name[] = "azfn-https.so";
    ssize_t length = readlink("/proc/self/exe", broker->module_path, sizeof(broker->module_path) - sizeof(name));
    const char *slash = length > 0 ? memrchr(broker->module_path, '/', (size_t)length) : NULL;
    if (!slash) {
        return fault(broker, "can't find this program's folder: /proc/self/exe: %s", strerror(errno));
    }
    memcpy(broker->module_path + (slash + 1 - broker->module_path), name, sizeof(name));
    return true;
}

static bool read_configuration(struct broker *broker, const char *root)
{
    struct azfn__config_fault config_fault = {{0}};
    enum azfn_error error =
        azfn__config_files_read(&broker->files, root, broker->environment.config_lines, &config_fault);
    if (error == AZFN_OK) {
        error = azfn__config_new(broker->files.files, broker->files.file_count, broker->app->functions,
                                 broker->app->function_count, &broker->config, &config_fault);
    }
    if (error == AZFN_OK) {
        error = azfn__settings_copy(&broker->settings, &broker->arena, broker->config, &config_fault);
    }
    return error == AZFN_OK ||
           fault(broker, "%s", config_fault.message[0] ? config_fault.message : azfn_error_text(error));
}

/* By name, and no secret but one, which goes into locked memory. */
static bool copy_environment(struct broker *broker)
{
    const struct azfn__secret_slab_options slots = {.small_count = 1024, .medium_count = 256, .large_count = 32};
    struct azfn_span identity_header = azfn__environment_get(AZFN__SPAN("IDENTITY_HEADER"));
    const char *reason = azfn__host_environment_copy(&broker->environment, &broker->arena);
    if (broker->environment.app_id.length > 0) {
        broker->log.app_id = broker->environment.app_id;
    }
    if (azfn__secret_slab_new(&slots, &broker->slab) != AZFN_OK) {
        return fault(broker, "can't make the memory for secrets: %s", strerror(errno));
    }
    if (identity_header.length > 0 && !(broker->identity_header = azfn__secret_new(broker->slab, identity_header))) {
        return fault(broker, "IDENTITY_HEADER is longer than any that the platform makes");
    }
    return !reason || fault(broker, "%s", reason);
}

static bool read_development(struct broker *broker)
{
    struct azfn__config_fault file_fault = {{0}};
    struct azfn_span path = azfn__environment_get(AZFN__SPAN("AZFN_DEVELOPMENT"));
    const char *marker = azfn__development_platform_marker();
    if (path.length == 0) {
        return true;
    }
    if (marker) {
        return fault(broker, "AZFN_DEVELOPMENT is set, which is for a developer's machine, but so is %s, which the "
                             "platform sets: remove one of them",
                     marker);
    }
    enum azfn_error error =
        azfn__development_read(&broker->development, &broker->arena, path.data, &file_fault);
    return error == AZFN_OK ||
           fault(broker, "%s", file_fault.message[0] ? file_fault.message : azfn_error_text(error));
}

static bool audit_environment(struct broker *broker)
{
    struct azfn__config_fault secrets_fault;
    return azfn__environment_audit(broker->config, &broker->settings, &broker->log, &secrets_fault) ||
           fault(broker, "%s", secrets_fault.message);
}

/* What is needed of the environment is known only when azfn.json was read. So the files are read and parsed before it
 * is wiped: no byte of the network has been seen then, the launcher was forked and has wiped its own. */
static bool take_environment(struct broker *broker)
{
    const char *root = broker->app->app_root;
    bool is_fine = copy_environment(broker);
    if (!root) {
        root = broker->environment.app_root.length > 0 ? broker->environment.app_root.data : ".";
    }
    is_fine = is_fine && read_configuration(broker, root) && read_development(broker) && audit_environment(broker);
    azfn__environment_wipe();
    return is_fine;
}

static bool seal_configuration(struct broker *broker)
{
    struct azfn__buffer lines;
    azfn__buffer_init(&lines, AZFN__CONFIG_FILE_MAX_BYTES);
    azfn__settings_append_granted(&broker->settings, broker->config, &lines);
    if (!lines.has_failed) {
        broker->config_fd = azfn__config_files_seal(&broker->files, azfn__buffer_span(&lines));
    }
    bool has_failed = lines.has_failed;
    azfn__buffer_clean_up(&lines);
    if (has_failed) {
        return fault(broker, "the settings that functions are granted are longer than 4 MiB");
    }
    return broker->config_fd >= 0 || fault(broker, "can't keep the configuration in memory: %s", strerror(errno));
}

static bool bind_port(struct broker *broker)
{
    broker->listener = azfn__listener_bind(broker->environment.port, BIND_PATIENCE_MS, &broker->environment.port);
    return broker->listener >= 0 ||
           fault(broker, "can't bind 127.0.0.1:%u: %s", (unsigned)broker->environment.port, strerror(errno));
}

/* With execveat() the folders above don't matter, only the file's own mode does. */
static bool check_executable(struct broker *broker, uid_t user)
{
    struct stat status;
    if (fstat(broker->executable, &status) != 0) {
        return fault(broker, "can't look at this program's file: %s", strerror(errno));
    }
    mode_t needed = status.st_uid == user ? S_IXUSR : status.st_gid == user ? S_IXGRP : S_IXOTH;
    if (status.st_mode & needed) {
        return true;
    }
    return fault(broker, "the worker's user %u may not execute %s: chmod %s+x it", (unsigned)user,
                 broker->app->program, needed == S_IXUSR ? "u" : needed == S_IXGRP ? "g" : "o");
}

static bool give_up_privileges(struct broker *broker)
{
    broker->is_root = azfn__privileges_are_root();
    uid_t worker = broker->is_root ? broker->config->worker_user : 0;
    if (broker->is_root && !check_executable(broker, worker)) {
        return false;
    }
    if (azfn__launcher_become(&broker->launcher, worker,
                              broker->config->is_sandbox_report_only ? AZFN__LAUNCHER_REPORT
                                                                     : AZFN__LAUNCHER_ENFORCE) != AZFN_OK) {
        return fault(broker, "the launcher can't become user %u in its sandbox: %s", (unsigned)worker, strerror(errno));
    }
    if (broker->is_root && azfn__privileges_become(broker->config->broker_user) != AZFN_OK) {
        return fault(broker, "can't become user %u: %s", (unsigned)broker->config->broker_user, strerror(errno));
    }
    close(broker->executable);
    return azfn__privileges_forbid_dumps() == AZFN_OK || fault(broker, "can't forbid core dumps: %s", strerror(errno));
}

static void on_end(int exit_code, void *user_data)
{
    struct broker *broker = user_data;
    broker->exit_code = exit_code;
    uv_stop(&broker->loop);
}

static void report_weaknesses(struct broker *broker)
{
    for (size_t i = 0; i < broker->config->weakness_count; i++) {
        const struct azfn__config_weakness *weakness = &broker->config->weaknesses[i];
        const struct azfn__event_fields fields = {.reason = weakness->reason, .function = weakness->function};
        azfn__log_sink_say(&broker->log, AZFN__EVENT_HOST_WEAKNESS, &fields, "%.*s", AZFN_SPAN_ARGS(weakness->text));
    }
    size_t unlocked_bytes = azfn__secret_slab_unlocked_bytes(broker->slab);
    if (unlocked_bytes > 0) {
        const struct azfn__event_fields fields = {.bytes = AZFN__NUMBER(unlocked_bytes)};
        azfn__log_sink_say(&broker->log, AZFN__EVENT_MEMORY_UNLOCKED, &fields,
                           "%zu bytes of the memory for secrets could not be locked, so that they may be swapped out: "
                           "raise the limit of locked memory (RLIMIT_MEMLOCK)",
                           unlocked_bytes);
    }
    azfn__sandboxing_report(&broker->sandboxing, broker->config, &broker->log);
    if (broker->development.is_on) {
        azfn__log_sink_say(&broker->log, AZFN__EVENT_DEVELOPMENT, NULL,
                           "AZFN_DEVELOPMENT is set: stand-ins on this machine take the place of Key Vault and of "
                           "destinations");
    }
}

static void on_first_ready(void *user_data)
{
    struct broker *broker = user_data;
    char build[AZFN__BUILD_ID_TEXT_BYTES];
    struct azfn__sandboxing_lists layers;
    azfn__build_id(build);
    azfn__sandboxing_list(&broker->sandboxing, broker->config, &layers);
    const struct azfn__event_fields fields = {
        .azfn_version = AZFN__SPAN(AZFN__VERSION),
        .build = azfn_span_of(build),
        .functions = AZFN__NUMBER(broker->config->function_count),
        .port = AZFN__NUMBER(broker->environment.port),
        .broker_user = AZFN__NUMBER(getuid()),
        .worker_user = AZFN__NUMBER(broker->is_root ? broker->config->worker_user : getuid()),
        .layers_on = azfn_span_of(layers.on),
        .layers_off = azfn_span_of(layers.off),
    };
    azfn__log_sink_say(&broker->log, AZFN__EVENT_STARTUP, &fields,
                       "azfn " AZFN__VERSION " serves %zu functions on 127.0.0.1:%u; %s",
                       broker->config->function_count, (unsigned)broker->environment.port,
                       broker->is_root ? "root was given up, broker and worker are different users"
                                       : "broker and worker are the same ordinary user");
    report_weaknesses(broker);
}

static void on_host_ended(void *user_data)
{
    struct broker *broker = user_data;
    const struct azfn__event_fields fields = {.reason = AZFN__SPAN("the host has ended")};
    azfn__log_sink_say(&broker->log, AZFN__EVENT_SHUTDOWN, &fields, "the process that started this one has ended");
    on_end(1, broker);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct broker *broker = handle->data;
    char name[16];
    (void)snprintf(name, sizeof(name), "SIG%s", sigabbrev_np(number));
    const struct azfn__event_fields fields = {.signal = azfn_span_of(name)};
    azfn__log_sink_say(&broker->log, AZFN__EVENT_SHUTDOWN, &fields, "asked to end by signal %d", number);
    azfn__supervisor_drain(&broker->supervisor);
}

static bool watch_signals(struct broker *broker)
{
    for (size_t i = 0; i < STOP_SIGNAL_COUNT; i++) {
        broker->signals[i].data = broker;
        if (uv_signal_init(&broker->loop, &broker->signals[i]) != 0 ||
            uv_signal_start(&broker->signals[i], on_signal, stop_signals[i]) != 0) {
            return false;
        }
    }
    return true;
}

static struct azfn__services_options services_options(struct broker *broker)
{
    return (struct azfn__services_options){.loop = &broker->loop,
                                           .config = broker->config,
                                           .settings = &broker->settings,
                                           .development = &broker->development,
                                           .slab = broker->slab,
                                           .log = &broker->log,
                                           .module_path = broker->module_path,
                                           .identity_endpoint = broker->environment.identity_endpoint,
                                           .identity_header = broker->identity_header};
}

static bool check_services(struct broker *broker)
{
    struct azfn__config_fault config_fault;
    const struct azfn__services_options options = services_options(broker);
    return azfn__services_check(&options, &config_fault) == AZFN_OK || fault(broker, "%s", config_fault.message);
}

static bool check_sandbox(struct broker *broker)
{
    const char *reason = azfn__sandboxing_check(&broker->sandboxing, broker->config, broker->app->is_sandbox_required);
    return !reason || fault(broker, "%s", reason);
}

/* Behind the start of the first worker, which does not need them to be ready. */
static bool start_services(struct broker *broker)
{
    struct azfn__config_fault config_fault;
    const struct azfn__services_options options = services_options(broker);
    return azfn__services_init(&broker->services, &options, &config_fault) == AZFN_OK ||
           fault(broker, "%s", config_fault.message);
}

static bool enter_sandbox(struct broker *broker)
{
    const struct azfn__services_options options = services_options(broker);
    return azfn__sandboxing_enter(&broker->services, &options) == AZFN_OK ||
           fault(broker, "the broker can't enter its sandbox: %s", strerror(errno));
}

static bool run_loop(struct broker *broker)
{
    if (azfn__sandboxing_begin(broker->config) != AZFN_OK) {
        return fault(broker, "the broker can't filter its system calls: %s", strerror(errno));
    }
    if (uv_loop_init(&broker->loop) != 0) {
        return fault(broker, "can't make an event loop: %s", strerror(errno));
    }
    const struct azfn__supervisor_options options = {.loop = &broker->loop,
                                                     .config = broker->config,
                                                     .launcher = &broker->launcher,
                                                     .services = &broker->services,
                                                     .log = &broker->log,
                                                     .listener = broker->listener,
                                                     .config_fd = broker->config_fd,
                                                     .on_end = on_end,
                                                     .on_first_ready = on_first_ready,
                                                     .user_data = broker};
    if (azfn__supervisor_start(&broker->supervisor, &options) != AZFN_OK || !watch_signals(broker) ||
        azfn__log_sink_attach(&broker->log, &broker->loop) != AZFN_OK ||
        azfn__host_watch_start(&broker->host_watch, &broker->loop, on_host_ended, broker) != AZFN_OK) {
        return fault(broker, "can't watch worker, signals and host: %s", strerror(errno));
    }
    if (!start_services(broker) || !enter_sandbox(broker)) {
        return false;
    }
    uv_run(&broker->loop, UV_RUN_DEFAULT);
    azfn__services_end(&broker->services);
    return true;
}

int azfn__broker_run(const struct azfn__app *app)
{
    static struct broker broker;
    broker = (struct broker){.app = app, .executable = -1, .listener = -1, .config_fd = -1, .exit_code = 1};
    azfn__log_sink_init(&broker.log);
    azfn__log_sink_make_own(&broker.log);
    azfn__arena_init(&broker.arena, ARENA_MAX_BYTES);
    prctl(PR_SET_NAME, "azfn-broker", 0, 0, 0);

    if (prepare_process(&broker) && fork_launcher(&broker) && prepare_last_words(&broker) && find_module(&broker) &&
        take_environment(&broker) && check_sandbox(&broker) && check_services(&broker) && seal_configuration(&broker) &&
        bind_port(&broker) && give_up_privileges(&broker)) {
        run_loop(&broker);
    }
    azfn__launcher_end(&broker.launcher, LAST_WORDS_MS);
    azfn__log_sink_flush(&broker.log, LAST_WORDS_MS);
    azfn__secret_slab_destroy(broker.slab);
    return broker.exit_code;
}
