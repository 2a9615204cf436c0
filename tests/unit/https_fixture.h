/* A client with azfn-https.so, servers of the test's own (tests/https_server.py), and calls that write down what they
 * were told. Names that end with ".test" are this machine; "slow.test" takes its time. */
#ifndef AZFN_TEST_HTTPS_FIXTURE_H
#define AZFN_TEST_HTTPS_FIXTURE_H

#include "broker/https_client.h"

#include <dlfcn.h>
#include <ftw.h>
#include <netdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/span.h"

#define SLOW_NAME_MS 3000
#define WATCHDOG_S 100

static struct {
    uv_loop_t loop;
    struct azfn__https_client *client;
    char folder[64];
    char ports[512];
    char ca[4096];
    pid_t server;
    int server_input;
} fixture;

struct call {
    struct azfn__https_request *request; /* NULL: over */
    enum azfn_error error;
    char reason[160];
    bool was_sent;
    bool is_done;
    uint16_t status;
    unsigned head_count;
    char headers[4096]; /* "name: value\n" of all */
    struct azfn__buffer body;
    unsigned body_calls;
    unsigned read_calls;
    size_t refusals_left;  /* calls of on_body that are refused */
    bool resumes_at_once;  /* inside the very call that refuses */
    struct azfn_span send; /* the request's body */
    size_t send_piece;     /* bytes at a time */
    bool pauses_sending;   /* before each piece */
    bool is_sending_paused;
    bool repeats_sending;  /* without end */
    /* called at the end of each callback */
    void (*hook)(struct call *call, const char *where);
    void *data;
};

static atomic_uint slow_names_under_way;

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    static int (*original)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (!original) {
        *(void **)&original = dlsym(RTLD_NEXT, "getaddrinfo");
    }
    size_t length = node ? strlen(node) : 0;
    if (length > 5 && strcmp(node + length - 5, ".test") == 0) {
        if (strcmp(node, "slow.test") == 0) {
            atomic_fetch_add(&slow_names_under_way, 1);
            const struct timespec pause = {.tv_sec = SLOW_NAME_MS / 1000};
            nanosleep(&pause, NULL);
            atomic_fetch_sub(&slow_names_under_way, 1);
        }
        node = "127.0.0.1";
    }
    return original(node, service, hints, out);
}

static inline uint64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void read_text(const char *folder, const char *name, char *out, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Runs a program that says its ports in one line and ends with its stdin. */
static inline pid_t start_server(char *const *arguments, int *out_input, char *out_line, size_t size)
{
    int in[2];
    int out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    size_t length = 0;
    while (length + 1 < size && (length == 0 || out_line[length - 1] != '\n')) {
        ssize_t got = read(out[0], out_line + length, size - 1 - length);
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    out_line[length] = '\0';
    close(out[0]);
    *out_input = in[1];
    return pid;
}

static inline void stop_server(pid_t pid, int input)
{
    close(input);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static inline void start_servers(void)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(fixture.folder, sizeof(fixture.folder), "%s/azfn-https-XXXXXX", temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(fixture.folder));
    char *const arguments[] = {(char *)TEST_PYTHON, (char *)"-B", (char *)TEST_HTTPS_SERVER, fixture.folder, NULL};
    fixture.server = start_server(arguments, &fixture.server_input, fixture.ports, sizeof(fixture.ports));
    assert_non_null(strstr(fixture.ports, "good="));
    read_text(fixture.folder, "development.pem", fixture.ca, sizeof(fixture.ca));
}

static inline int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static inline void stop_servers(void)
{
    stop_server(fixture.server, fixture.server_input);
    nftw(fixture.folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const struct azfn__https_api *load_module(const char *path)
{
    const char *reason = "";
    const struct azfn__https_api *api = azfn__https_module_load(path, &reason);
    if (!api) {
        fail_msg("%s", reason);
    }
    return api;
}

static inline void start_client(const char *module)
{
    const char *reason = "";
    assert_int_equal(uv_loop_init(&fixture.loop), 0);
    enum azfn_error error = azfn__https_client_new(&fixture.loop, load_module(module), azfn_span_of(fixture.ca),
                                                   &fixture.client, &reason);
    if (error != AZFN_OK) {
        fail_msg("%s", reason);
    }
}

static inline void stop_client(void)
{
    azfn__https_client_destroy(fixture.client);
    uv_run(&fixture.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture.loop), 0);
}

/* Servers for all tests of a file, and a client for each. */
static inline int start_all(void **state)
{
    (void)state;
    start_servers();
    return 0;
}

static inline int stop_all(void **state)
{
    (void)state;
    stop_servers();
    return 0;
}

static inline int set_up(void **state)
{
    (void)state;
    start_client(TEST_HTTPS_MODULE);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    stop_client();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline unsigned port_of(const char *name)
{
    char key[32];
    int length = snprintf(key, sizeof(key), "%s=", name);
    const char *at = strstr(fixture.ports, key);
    assert_non_null(at);
    return (unsigned)strtoul(at + length, NULL, 10);
}

static inline void say(struct call *call, const char *where)
{
    if (call->hook) {
        call->hook(call, where);
    }
}

static inline void note_head(uint16_t status, const struct azfn__https_header *headers, size_t header_count,
                             void *user_data)
{
    struct call *call = user_data;
    assert_false(call->is_done);
    call->status = status;
    call->head_count++;
    size_t length = 0;
    for (size_t i = 0; i < header_count; i++) {
        int more = snprintf(call->headers + length, sizeof(call->headers) - length, "%.*s: %.*s\n",
                            AZFN_SPAN_ARGS(headers[i].name), AZFN_SPAN_ARGS(headers[i].value));
        length += more > 0 && (size_t)more < sizeof(call->headers) - length ? (size_t)more : 0;
    }
    say(call, "head");
}

static inline bool note_body(struct azfn_span bytes, void *user_data)
{
    struct call *call = user_data;
    assert_false(call->is_done);
    assert_int_equal(call->head_count, 1);
    call->body_calls++;
    if (call->refusals_left > 0) {
        call->refusals_left--;
        if (call->resumes_at_once) {
            azfn__https_client_resume(fixture.client, call->request);
        }
        say(call, "refused");
        return false;
    }
    azfn__buffer_append_span(&call->body, bytes);
    assert_false(call->body.has_failed);
    say(call, "body");
    return true;
}

static inline void give_body(char *bytes, size_t capacity, size_t *out_length, bool *out_is_last, void *user_data)
{
    struct call *call = user_data;
    assert_false(call->is_done);
    call->read_calls++;
    if (call->pauses_sending && !call->is_sending_paused) {
        call->is_sending_paused = true;
        *out_length = 0;
        *out_is_last = false;
        say(call, "refused to read");
        return;
    }
    call->is_sending_paused = false;
    size_t length = call->send.length < capacity ? call->send.length : capacity;
    length = call->send_piece > 0 && length > call->send_piece ? call->send_piece : length;
    memcpy(bytes, call->send.data, length);
    if (!call->repeats_sending) {
        call->send.data += length;
        call->send.length -= length;
    }
    *out_length = length;
    *out_is_last = call->send.length == 0;
    say(call, "read");
}

static inline void note_done(enum azfn_error error, const char *reason, bool was_sent, void *user_data)
{
    struct call *call = user_data;
    assert_false(call->is_done);
    assert_non_null(reason);
    call->is_done = true;
    call->error = error;
    call->was_sent = was_sent;
    snprintf(call->reason, sizeof(call->reason), "%s", reason);
    say(call, "done");
    call->request = NULL;
    uv_stop(&fixture.loop); /* run_until_done() need not wait for anything else */
}

/* "good:/hello", "plain:/hello": the server by its name; or a whole URL. */
static inline void url_of(const char *target, char *out, size_t size)
{
    const char *colon = strchr(target, ':');
    char name[32];
    if (!colon || strncmp(colon, "://", 3) == 0) {
        snprintf(out, size, "%s", target);
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(colon - target), target);
    bool is_plain = strcmp(name, "plain") == 0;
    snprintf(out, size, "%s://%s:%u%s", is_plain ? "http" : "https", is_plain ? "127.0.0.1" : "good.test",
             port_of(name), colon + 1);
}

static inline struct azfn__https_request_options options_of(struct call *call)
{
    return (struct azfn__https_request_options){
        .method = AZFN__SPAN("GET"),
        .trust = AZFN__HTTPS_TRUST_DEVELOPMENT,
        .timeout_ms = 30000,
        .max_body_bytes = (uint64_t)1 << 30,
        .callbacks = {.on_head = note_head, .on_body = note_body, .on_read = give_body, .on_done = note_done},
        .user_data = call};
}

static inline void init_call(struct call *call)
{
    memset(call, 0, sizeof(*call));
    azfn__buffer_init(&call->body, (size_t)1 << 30);
}

static inline enum azfn_error try_call(struct call *call, const char *target,
                                       struct azfn__https_request_options options)
{
    char url[256];
    url_of(target, url, sizeof(url));
    options.url = azfn_span_of(url);
    options.user_data = call;
    return azfn__https_client_start(fixture.client, &options, &call->request);
}

static inline void start_call(struct call *call, const char *target, struct azfn__https_request_options options)
{
    assert_int_equal(try_call(call, target, options), AZFN_OK);
    assert_false(call->is_done);
}

static inline void run_until_done(struct call *call)
{
    uint64_t limit_ms = test_now_ms() + WATCHDOG_S * 1000;
    while (!call->is_done) {
        assert_true(test_now_ms() < limit_ms);
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
}

static inline void run_for(uint64_t time_ms)
{
    uint64_t limit_ms = test_now_ms() + time_ms;
    while (test_now_ms() < limit_ms) {
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
        usleep(500);
    }
}

static inline void clean_up_call(struct call *call)
{
    azfn__buffer_clean_up(&call->body);
}

/* From start to end; clean_up_call() after it. */
static inline void make_call(struct call *call, const char *target, struct azfn__https_request_options options)
{
    init_call(call);
    start_call(call, target, options);
    run_until_done(call);
}

static inline void get(struct call *call, const char *target)
{
    make_call(call, target, options_of(call));
}

static inline bool has_body(const struct call *call, const char *text)
{
    return azfn_span_equals(azfn__buffer_span(&call->body), text);
}

#endif
