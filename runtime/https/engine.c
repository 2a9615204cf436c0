#include "https/engine.h"

#include "base/steady_clock.h"
#include "https/request.h"
#include "https/trust.h"
#include "https/wiping_memory.h"

#include <string.h>

#define DEFAULT_CONNECTIONS 64U
/* For those that go first: slow destinations must not keep tokens and secrets away from all others. */
#define EXTRA_CONNECTIONS 8U
#define TOO_LATE "the time limit was reached"
#define LINGER_MS 30000U
#define NEVER UINT64_MAX

static void append(struct azfn__https_list *list, struct azfn__https_request *request)
{
    request->previous = list->last;
    request->next = NULL;
    *(list->last ? &list->last->next : &list->first) = request;
    list->last = request;
}

static void take_out(struct azfn__https_list *list, struct azfn__https_request *request)
{
    *(request->previous ? &request->previous->next : &list->first) = request->next;
    *(request->next ? &request->next->previous : &list->last) = request->previous;
}

static struct azfn__https_list *queue_of(const struct azfn__https_request *request)
{
    return request->options.goes_first ? &request->engine->queued_first : &request->engine->queued;
}

static bool is_anybody_queued(const struct azfn__https_engine *engine)
{
    return engine->queued.first || engine->queued_first.first;
}

/* The one timer, for libcurl, the deadlines, and what has to wait for a later turn. */
static void arm_timer(struct azfn__https_engine *engine)
{
    if (engine->is_in_turn) {
        return; /* its end does so */
    }
    if (!engine->active.first && !is_anybody_queued(engine)) {
        engine->deadline_due_ms = NEVER;
    }
    uint64_t due_ms =
        engine->libcurl_due_ms < engine->deadline_due_ms ? engine->libcurl_due_ms : engine->deadline_due_ms;
    uint64_t now = azfn__steady_clock_ms();
    int64_t delay_ms = -1;
    if (engine->wants_turn || due_ms <= now) {
        delay_ms = 0;
    } else if (due_ms != NEVER) {
        delay_ms = (int64_t)(due_ms - now);
    }
    engine->io.arm_timer(delay_ms, engine->io.user_data);
}

static void want_turn(struct azfn__https_engine *engine)
{
    engine->wants_turn = true;
    arm_timer(engine);
}

static int on_libcurl_timer(CURLM *multi, long timeout_ms, void *user_data)
{
    (void)multi;
    struct azfn__https_engine *engine = user_data;
    engine->libcurl_due_ms = timeout_ms < 0 ? NEVER : azfn__steady_clock_ms() + (uint64_t)timeout_ms;
    arm_timer(engine);
    return 0;
}

static int on_libcurl_socket(CURL *easy, curl_socket_t fd, int what, void *user_data, void *socket_data)
{
    (void)easy;
    (void)socket_data;
    struct azfn__https_engine *engine = user_data;
    engine->io.watch(fd, what == CURL_POLL_IN || what == CURL_POLL_INOUT,
                     what == CURL_POLL_OUT || what == CURL_POLL_INOUT, engine->io.user_data);
    return 0;
}

static bool set_up_multi(struct azfn__https_engine *engine)
{
    long max_connections = (long)(engine->max_active + EXTRA_CONNECTIONS);
    engine->multi = curl_multi_init();
    return engine->multi &&
           curl_multi_setopt(engine->multi, CURLMOPT_SOCKETFUNCTION, on_libcurl_socket) == CURLM_OK &&
           curl_multi_setopt(engine->multi, CURLMOPT_SOCKETDATA, engine) == CURLM_OK &&
           curl_multi_setopt(engine->multi, CURLMOPT_TIMERFUNCTION, on_libcurl_timer) == CURLM_OK &&
           curl_multi_setopt(engine->multi, CURLMOPT_TIMERDATA, engine) == CURLM_OK &&
           curl_multi_setopt(engine->multi, CURLMOPT_MAXCONNECTS, max_connections) == CURLM_OK &&
           curl_multi_setopt(engine->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections) == CURLM_OK;
}

/* The functions of OpenSSL that are used here have to be those that libcurl uses. */
static bool is_libcurl_right(void)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    return info->version_num >= 0x075800 && (info->features & CURL_VERSION_ASYNCHDNS) && info->ssl_version &&
           strncmp(info->ssl_version, "OpenSSL/", 8) == 0;
}

enum azfn_error azfn__https_engine_new(const struct azfn__https_engine_options *options,
                                       struct azfn__https_engine **out_engine, const char **out_reason)
{
    if (!azfn__https_memory_install(out_reason)) {
        return AZFN_ERROR_SYSTEM;
    }
    *out_reason = "libcurl 7.88 or newer with OpenSSL and its own threads for names is needed";
    if (!is_libcurl_right()) {
        return AZFN_ERROR_SYSTEM;
    }
    *out_reason = "out of memory";
    struct azfn__https_engine *engine = azfn__https_calloc(1, sizeof(*engine));
    if (!engine) {
        return AZFN_ERROR_NO_MEMORY;
    }
    engine->io = options->io;
    engine->max_active = options->max_connections > 0 ? options->max_connections : DEFAULT_CONNECTIONS;
    engine->libcurl_due_ms = NEVER;
    engine->deadline_due_ms = NEVER;
    engine->system_store = azfn__https_trust_system();
    engine->development_ca_bytes = options->development_ca.length;
    engine->development_ca = options->development_ca.length > 0 ? azfn__https_copy(options->development_ca) : NULL;
    if (!set_up_multi(engine) || (options->development_ca.length > 0 && !engine->development_ca)) {
        azfn__https_engine_destroy(engine);
        return AZFN_ERROR_NO_MEMORY;
    }
    *out_engine = engine;
    return AZFN_OK;
}

/* Out of libcurl and of the lists; not from within a callback of libcurl's. */
static void detach(struct azfn__https_request *request)
{
    struct azfn__https_engine *engine = request->engine;
    if (request->state == AZFN__HTTPS_QUEUED) {
        take_out(queue_of(request), request);
    } else if (request->state == AZFN__HTTPS_ACTIVE) {
        take_out(&engine->active, request);
        engine->active_count--;
        engine->wants_turn |= is_anybody_queued(engine);
    }
    request->state = AZFN__HTTPS_ENDED;
    if (!request->easy) {
        return;
    }
    curl_multi_remove_handle(engine->multi, request->easy);
    curl_easy_reset(request->easy);
    if (engine->spare_count < AZFN__HTTPS_SPARE_COUNT) {
        engine->spare[engine->spare_count++] = request->easy;
    } else {
        curl_easy_cleanup(request->easy);
    }
    request->easy = NULL;
}

static void conclude(struct azfn__https_request *request, enum azfn_error error, const char *reason)
{
    detach(request);
    if (!request->is_cancelled) {
        request->options.callbacks.on_done(error, reason, request->was_sent, request->options.user_data);
    }
    azfn__https_request_destroy(request);
}

static bool is_looking_up(const struct azfn__https_request *request)
{
    curl_off_t lookup_us = 0;
    return request->state == AZFN__HTTPS_ACTIVE && !request->was_sent && !request->lingers &&
           curl_easy_getinfo(request->easy, CURLINFO_NAMELOOKUP_TIME_T, &lookup_us) == CURLE_OK && lookup_us == 0;
}

/* libcurl would leave the thread that looks up the name to itself. So the request, of which nobody hears any more, keeps
 * its place as long as the thread may run: there are never many more threads than places. */
static void linger(struct azfn__https_request *request)
{
    request->is_cancelled = true;
    request->lingers = true;
    request->deadline_ms = azfn__steady_clock_ms() + LINGER_MS;
}

static void drop(struct azfn__https_request *request)
{
    request->is_cancelled = true;
    conclude(request, AZFN_ERROR_STATE, "");
}

void azfn__https_engine_destroy(struct azfn__https_engine *engine)
{
    engine->is_in_turn = true; /* no timer any more */
    while (engine->active.first) {
        drop(engine->active.first);
    }
    while (is_anybody_queued(engine)) {
        drop(engine->queued.first ? engine->queued.first : engine->queued_first.first);
    }
    while (engine->spare_count > 0) {
        curl_easy_cleanup(engine->spare[--engine->spare_count]);
    }
    curl_multi_cleanup(engine->multi);
    engine->io.arm_timer(-1, engine->io.user_data);
    X509_STORE_free(engine->system_store);
    azfn__https_free(engine->development_ca);
    azfn__https_free(engine);
}

/* What callbacks of libcurl's have left to do: requests that are cancelled, or can't go on. */
static void sweep(struct azfn__https_engine *engine)
{
    struct azfn__https_request *request = engine->wants_sweep ? engine->active.first : NULL;
    engine->wants_sweep = false;
    while (request) {
        if ((request->is_cancelled && !request->lingers) || request->must_end) {
            conclude(request, request->failure, request->failure_reason ? request->failure_reason : "no error");
            request = engine->active.first; /* on_done may have cancelled others */
        } else {
            request = request->next;
        }
    }
}

static void talk_to_libcurl(struct azfn__https_engine *engine, curl_socket_t fd, int events)
{
    unsigned memory_failures = azfn__https_memory_failures();
    int running;
    engine->is_in_libcurl = true;
    curl_multi_socket_action(engine->multi, fd, events, &running);
    engine->is_in_libcurl = false;
    sweep(engine);
    int left;
    for (CURLMsg *message = curl_multi_info_read(engine->multi, &left); message;
         message = curl_multi_info_read(engine->multi, &left)) {
        struct azfn__https_request *request = NULL;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request) == CURLE_OK && request) {
            const char *reason;
            enum azfn_error error =
                azfn__https_request_outcome(request, message->data.result, memory_failures, &reason);
            conclude(request, error, reason);
        }
    }
}

static const char *missing_trust(const struct azfn__https_request *request)
{
    const struct azfn__https_engine *engine = request->engine;
    if (request->options.trust == AZFN__HTTPS_TRUST_SYSTEM && !engine->system_store) {
        return "this system has no bundle of certificate authorities (ca-certificates) where one was looked for";
    }
    if (request->options.trust == AZFN__HTTPS_TRUST_DEVELOPMENT && !engine->development_ca) {
        return "there is no authority for development";
    }
    return NULL;
}

static void admit(struct azfn__https_engine *engine, struct azfn__https_request *request)
{
    const char *reason = missing_trust(request);
    if (reason) {
        conclude(request, AZFN_ERROR_UNAVAILABLE, reason); /* nobody has shown a certificate */
        return;
    }
    request->easy = engine->spare_count > 0 ? engine->spare[--engine->spare_count] : curl_easy_init();
    CURLcode code = request->easy ? azfn__https_request_set_up(request, request->easy) : CURLE_OUT_OF_MEMORY;
    if (code != CURLE_OK) {
        conclude(request, code == CURLE_OUT_OF_MEMORY ? AZFN_ERROR_NO_MEMORY : AZFN_ERROR_UNAVAILABLE,
                 curl_easy_strerror(code));
        return;
    }
    take_out(queue_of(request), request);
    append(&engine->active, request);
    request->state = AZFN__HTTPS_ACTIVE;
    engine->active_count++;
    if (curl_multi_add_handle(engine->multi, request->easy) != CURLM_OK) {
        conclude(request, AZFN_ERROR_NO_MEMORY, "out of memory");
    }
}

/* Those that were there when the turn began: one that is started meanwhile waits for the next. */
static void admit_queued(struct azfn__https_engine *engine, const struct azfn__https_list *queue, size_t max_active,
                         uint64_t last_number)
{
    while (queue->first && queue->first->number <= last_number && engine->active_count < max_active) {
        admit(engine, queue->first);
    }
}

static void resume_waiting(struct azfn__https_engine *engine)
{
    unsigned memory_failures = azfn__https_memory_failures();
    engine->is_in_libcurl = true;
    for (struct azfn__https_request *request = engine->active.first; request; request = request->next) {
        if (!request->wants_resume || request->is_cancelled) {
            continue;
        }
        request->wants_resume = false;
        CURLcode code = curl_easy_pause(request->easy, CURLPAUSE_CONT);
        if (code != CURLE_OK) {
            request->failure =
                azfn__https_request_outcome(request, code, memory_failures, &request->failure_reason);
            request->must_end = true;
            engine->wants_sweep = true;
        }
    }
    engine->is_in_libcurl = false;
    sweep(engine);
}

static void end_late(struct azfn__https_engine *engine, struct azfn__https_list *list, uint64_t now)
{
    struct azfn__https_request *request = list->first;
    while (request) {
        if (request->deadline_ms <= now) {
            if (is_looking_up(request)) {
                linger(request);
                request->options.callbacks.on_done(AZFN_ERROR_TIMEOUT, TOO_LATE, false, request->options.user_data);
            } else {
                conclude(request, AZFN_ERROR_TIMEOUT, TOO_LATE);
            }
            request = list->first; /* on_done may have cancelled others */
            continue;
        }
        if (request->deadline_ms < engine->deadline_due_ms) {
            engine->deadline_due_ms = request->deadline_ms;
        }
        request = request->next;
    }
}

static void end_turn(struct azfn__https_engine *engine)
{
    engine->is_in_turn = false;
    arm_timer(engine);
}

void azfn__https_engine_on_socket(struct azfn__https_engine *engine, int fd, bool is_readable, bool is_writable)
{
    engine->is_in_turn = true;
    talk_to_libcurl(engine, fd, (is_readable ? CURL_CSELECT_IN : 0) | (is_writable ? CURL_CSELECT_OUT : 0));
    end_turn(engine);
}

void azfn__https_engine_on_timer(struct azfn__https_engine *engine)
{
    engine->is_in_turn = true;
    engine->wants_turn = false;
    uint64_t last_number = engine->last_number;
    uint64_t now = azfn__steady_clock_ms();
    if (engine->deadline_due_ms <= now) {
        engine->deadline_due_ms = NEVER;
        end_late(engine, &engine->active, now);
        end_late(engine, &engine->queued, now);
        end_late(engine, &engine->queued_first, now);
    }
    if (engine->wants_resume) {
        engine->wants_resume = false;
        resume_waiting(engine);
    }
    admit_queued(engine, &engine->queued_first, engine->max_active + EXTRA_CONNECTIONS, last_number);
    admit_queued(engine, &engine->queued, engine->max_active, last_number);
    if (engine->libcurl_due_ms <= azfn__steady_clock_ms()) {
        engine->libcurl_due_ms = NEVER;
        talk_to_libcurl(engine, CURL_SOCKET_TIMEOUT, 0);
    }
    end_turn(engine);
}

enum azfn_error azfn__https_engine_start(struct azfn__https_engine *engine,
                                         const struct azfn__https_request_options *options,
                                         struct azfn__https_request **out_request)
{
    struct azfn__https_request *request;
    enum azfn_error error = azfn__https_request_new(engine, options, &request);
    if (error != AZFN_OK) {
        return error;
    }
    request->number = ++engine->last_number;
    request->deadline_ms = azfn__steady_clock_ms() + options->timeout_ms;
    if (request->deadline_ms < engine->deadline_due_ms) {
        engine->deadline_due_ms = request->deadline_ms;
    }
    append(queue_of(request), request);
    *out_request = request;
    want_turn(engine);
    return AZFN_OK;
}

void azfn__https_engine_resume(struct azfn__https_request *request)
{
    request->wants_resume = true;
    request->engine->wants_resume = true;
    want_turn(request->engine);
}

void azfn__https_engine_cancel(struct azfn__https_request *request)
{
    struct azfn__https_engine *engine = request->engine;
    if (request->state == AZFN__HTTPS_ENDED || request->is_cancelled) {
        return;
    }
    if (engine->is_in_libcurl && request->state == AZFN__HTTPS_ACTIVE) {
        request->is_cancelled = true; /* libcurl is told when it has returned */
        engine->wants_sweep = true;
        return;
    }
    if (is_looking_up(request)) {
        linger(request);
        return;
    }
    bool was_in_turn = engine->is_in_turn;
    engine->is_in_turn = true;
    drop(request);
    engine->is_in_turn = was_in_turn;
    arm_timer(engine);
}
