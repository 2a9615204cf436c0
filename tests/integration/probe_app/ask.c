/* A function that does what it is told, by the header x-do (HTTP) or the message (queue): words apart by
 * blanks, one after the other.
 *
 *   status=N  body=TEXT  type=TEXT  header=Name:value   what the reply will have ("\r", "\n", "\xHH" are bytes)
 *   reply  succeed  fail  never  twice                  how it answers
 *   watch                                               succeeds, and prints, when the caller has gone
 *   stash  poke                                         keeps its invocation; answers the kept one
 *   delay=MS                                            the words behind it come later, from a callback
 *   big=N  pid                                          a body of N bytes; of the number of the process
 *   setting=NAME                                        a body that is its value in brackets, or "absent"
 *   print=TEXT  complain=TEXT                           on stdout, on stderr
 *   log=TEXT  info=TEXT  infos=N                        a Warning, Information, by azfn_log(); N of these
 *   event=KIND,TEXT                                     a security event: signature, forbidden, suspicious, input
 *   json  tree                                          takes the input for JSON; body = "json" or "absent"
 *   sleep=MS  wait  open                                for functions that block: "wait" until somebody does "open"
 *   await                                               until nobody waits for the answer any more
 *   crash  exit=N  spin=MS  hang                        what no function should do
 *   secret=NAME                                         gets it, body = error, version and HMAC of "probe"
 *   secrets=N:NAME                                      the same N times at once, body of the last one
 *   take=NAME                                           the same, body = its value, which it should keep to itself
 *   request=DESTINATION,METHOD,PATH[,BODY]              body = error, status and body of the answer; reqheader=Name:value before it
 *   relay=DESTINATION,METHOD,PATH                       the same with the body that came, and body = the answer's
 *   carry=DESTINATION,METHOD,PATH                       the same with the body that "take" has made
 *   syscall=NAME                                        a body that says how it went, see attempts.c
 *   abort                                               ends as a failed assertion does
 *   demand  raw=BYTES  flood=BYTES                      what an attacker may do: asks the broker for another worker; writes
 *                                                       to the channel, once, or until it takes no more for a second */
#include "probe.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ask {
    struct azfn_header header; /* of a request */
    int pending;
    int status;
    const char *type;
    struct azfn_span body;
    struct azfn_span words;
};

static void go_on(struct azfn_invocation *invocation, void *user_data);

static void on_cancelled(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    printf("cancelled %.*s\n", AZFN_SPAN_ARGS(azfn_invocation_id(invocation)));
    fflush(stdout);
    azfn_succeed(invocation);
}

/* What a function must not do: keep an invocation beyond its answer. */
static struct azfn_invocation *stashed;

static void poke(void)
{
    enum azfn_error error = azfn_http_reply(stashed, 200, NULL, azfn_span_of("for somebody else"));
    printf("poke %s %zu %d\n", azfn_error_name(error), azfn_invocation_id(stashed).length,
           azfn_alloc(stashed, 8) != NULL);
    fflush(stdout);
}

static sem_t gate;

static void make_gate(void) __attribute__((constructor));
static void make_gate(void)
{
    sem_init(&gate, 0, 0);
}

static void crash(void)
{
#ifdef AZFN_SANITIZE
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
#else
    volatile uintptr_t nowhere = 8; /* raise() the sandbox ends in another way */
    *(volatile int *)nowhere = 0;
#endif
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void await_cancellation(const struct azfn_invocation *invocation)
{
    while (!azfn_is_cancelled(invocation)) {
        sleep_ms(1);
    }
    printf("cancelled\n");
    fflush(stdout);
}

/* Past everything: a frame of the worker's channel, as code of an attacker would send it. */
static void demand(void)
{
    static const char frame[] = "\x0e\0\0\0\x05\0\0\0I say\nso\x1b WARN";
    ssize_t count = write(4, frame, sizeof(frame) - 1);
    (void)count;
}

static void write_raw(struct azfn_span bytes)
{
    ssize_t count = write(4, bytes.data, bytes.length);
    (void)count;
}

static void flood(struct azfn_span bytes)
{
    static char many[32768]; /* the kernel takes all of it or nothing, so that no half frame is left at the end */
    size_t length = 0;
    while (length + bytes.length <= sizeof(many)) {
        memcpy(many + length, bytes.data, bytes.length);
        length += bytes.length;
    }
    int refusals = 0;
    size_t offset = 0;
    while (refusals < 1000) { /* whole frames, however they are taken */
        ssize_t count = write(4, many + offset, length - offset);
        if (count <= 0) {
            refusals++;
            sleep_ms(1);
        } else {
            offset = (offset + (size_t)count) % length;
            refusals = 0;
        }
    }
}

static struct azfn_span next_word(struct azfn_span *words)
{
    while (words->length > 0 && words->data[0] == ' ') {
        words->data++;
        words->length--;
    }
    struct azfn_span word = *words;
    word.length = 0;
    while (word.length < words->length && words->data[word.length] != ' ') {
        word.length++;
    }
    words->data += word.length;
    words->length -= word.length;
    return word;
}

/* NUL-terminated, with "\xHH" for a byte and "~" for a blank. */
static struct azfn_span unescape(struct azfn_invocation *invocation, const char *data, size_t length)
{
    char *text = azfn_alloc(invocation, length + 1);
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (data[i] == '\\' && i + 3 < length && data[i + 1] == 'x') {
            const char digits[3] = {data[i + 2], data[i + 3], 0};
            text[used++] = (char)strtol(digits, NULL, 16);
            i += 3;
        } else {
            text[used++] = data[i] == '~' ? ' ' : data[i];
        }
    }
    text[used] = '\0';
    return (struct azfn_span){text, used};
}

static void set_header(struct azfn_invocation *invocation, struct azfn_span argument)
{
    char *colon = memchr(argument.data, ':', argument.length);
    if (colon) {
        *colon = '\0';
        struct azfn_span value = {colon + 1, argument.length - (size_t)(colon + 1 - argument.data)};
        enum azfn_error error = azfn_http_set_header(invocation, argument.data, value);
        printf("set_header %s\n", azfn_error_name(error));
        fflush(stdout);
    }
}

static void spin(long ms)
{
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < ms);
}

static void make_body(struct azfn_invocation *invocation, struct ask *ask, size_t length)
{
    char *bytes = azfn_alloc(invocation, length + 1);
    memset(bytes, 'b', length);
    ask->body = (struct azfn_span){bytes, length};
}

static struct azfn_span hex(struct azfn_invocation *invocation, struct azfn_span bytes)
{
    char *text = azfn_alloc(invocation, 2 * bytes.length + 1);
    for (size_t i = 0; i < bytes.length; i++) {
        snprintf(text + 2 * i, 3, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    }
    return (struct azfn_span){text, 2 * bytes.length};
}

static void on_secret(struct azfn_invocation *invocation, enum azfn_error error, const struct azfn_secret *secret,
                      void *user_data)
{
    struct ask *ask = user_data;
    ask->body = azfn_format(invocation, "%s %.*s %.*s", azfn_error_name(error),
                            AZFN_SPAN_ARGS(azfn_secret_version(invocation, secret)),
                            AZFN_SPAN_ARGS(hex(invocation, azfn_secret_sign(invocation, secret, azfn_span_of("probe")))));
    if (--ask->pending == 0) {
        go_on(invocation, ask);
    }
}

static void on_secret_to_take(struct azfn_invocation *invocation, enum azfn_error error,
                              const struct azfn_secret *secret, void *user_data)
{
    struct ask *ask = user_data;
    struct azfn_span value = azfn_secret_reveal(invocation, secret);
    ask->body = error == AZFN_OK ? azfn_format(invocation, "%.*s", AZFN_SPAN_ARGS(value))
                                 : azfn_span_of(azfn_error_name(error));
    go_on(invocation, ask);
}

static bool get_secrets(struct azfn_invocation *invocation, struct ask *ask, int count, const char *name)
{
    for (ask->pending = 0; ask->pending < count; ask->pending++) {
        enum azfn_error error = azfn_secret_get(invocation, name, on_secret, ask);
        if (error != AZFN_OK) {
            ask->body = azfn_span_of(azfn_error_name(error));
            return true;
        }
    }
    return false;
}

static void on_relayed(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                       void *user_data)
{
    struct ask *ask = user_data;
    ask->body = error == AZFN_OK ? azfn_response_body(invocation, request) : azfn_span_of(azfn_error_name(error));
    ask->type = "application/octet-stream";
    go_on(invocation, ask);
}

static void on_response(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_request *request,
                        void *user_data)
{
    struct ask *ask = user_data;
    ask->body = azfn_format(invocation, "%s %d %.*s", azfn_error_name(error), azfn_response_status(invocation, request),
                            AZFN_SPAN_ARGS(azfn_response_body(invocation, request)));
    go_on(invocation, ask);
}

enum body_source { OF_THE_WORD, OF_THE_CALLER, OF_THE_SECRET };

static bool send_request(struct azfn_invocation *invocation, struct ask *ask, char *argument, enum body_source source)
{
    char *method = strchr(argument, ',');
    char *path = method ? strchr(method + 1, ',') : NULL;
    char *body = path ? strchr(path + 1, ',') : NULL;
    if (!path) {
        return true;
    }
    *method++ = '\0';
    *path++ = '\0';
    if (body) {
        *body++ = '\0';
    }
    const struct azfn_span bodies[] = {
        [OF_THE_WORD] = azfn_span_of(body), [OF_THE_CALLER] = azfn_http_body(invocation), [OF_THE_SECRET] = ask->body};
    const struct azfn_request_options options = {.method = method,
                                                 .path = azfn_span_of(path),
                                                 .headers = &ask->header,
                                                 .header_count = ask->header.name ? 1 : 0,
                                                 .body = bodies[source]};
    enum azfn_error error =
        azfn_request(invocation, argument, &options, source == OF_THE_WORD ? on_response : on_relayed, ask, NULL);
    ask->body = azfn_span_of(azfn_error_name(error));
    return error != AZFN_OK;
}

static void set_request_header(struct ask *ask, char *argument)
{
    char *colon = strchr(argument, ':');
    if (colon) {
        *colon = '\0';
        ask->header = (struct azfn_header){argument, azfn_span_of(colon + 1)};
    }
}

static void log_many(struct azfn_invocation *invocation, long count)
{
    for (long i = 0; i < count; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%ld", i);
    }
}

static void raise_event(struct azfn_invocation *invocation, char *argument)
{
    static const char *const kinds[] = {[AZFN_EVENT_BAD_SIGNATURE] = "signature",
                                        [AZFN_EVENT_FORBIDDEN] = "forbidden",
                                        [AZFN_EVENT_SUSPICIOUS] = "suspicious",
                                        [AZFN_EVENT_INVALID_INPUT] = "input"};
    char *text = strchr(argument, ',');
    if (!text) {
        return;
    }
    *text++ = '\0';
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argument, kinds[i]) == 0) {
            azfn_security_event(invocation, (enum azfn_security_event)i, "%s", text);
        }
    }
}

static void take_json(struct azfn_invocation *invocation, struct ask *ask)
{
    bool is_http = azfn_span_is_present(azfn_http_method(invocation));
    struct azfn_span json = is_http ? azfn_http_body_json(invocation) : azfn_input_json(invocation, NULL);
    ask->body = azfn_span_of(azfn_span_is_present(json) ? "json" : "absent");
}

static void take_tree(struct azfn_invocation *invocation, struct ask *ask)
{
    ask->body = azfn_span_of(azfn_json_tree(invocation, azfn_http_body(invocation)) ? "json" : "absent");
}

/* False: it has answered, or something later will. */
static bool obey(struct azfn_invocation *invocation, struct ask *ask, struct azfn_span word)
{
    const char *equals = memchr(word.data, '=', word.length);
    size_t name_length = equals ? (size_t)(equals - word.data) : word.length;
    struct azfn_span name = {word.data, name_length};
    struct azfn_span argument =
        equals ? unescape(invocation, equals + 1, word.length - name_length - 1) : (struct azfn_span){"", 0};
    long number = strtol(argument.data, NULL, 10);
    if (azfn_span_equals(name, "status")) {
        ask->status = (int)number;
    } else if (azfn_span_equals(name, "type")) {
        ask->type = argument.data;
    } else if (azfn_span_equals(name, "body")) {
        ask->body = argument;
    } else if (azfn_span_equals(name, "big")) {
        make_body(invocation, ask, (size_t)number);
    } else if (azfn_span_equals(name, "pid")) {
        ask->body = azfn_format(invocation, "%d", (int)getpid());
    } else if (azfn_span_equals(name, "setting")) {
        struct azfn_span value = azfn_setting(invocation, argument.data);
        ask->body = azfn_span_is_present(value) ? azfn_format(invocation, "[%.*s]", AZFN_SPAN_ARGS(value))
                                                : azfn_span_of("absent");
    } else if (azfn_span_equals(name, "header")) {
        set_header(invocation, argument);
    } else if (azfn_span_equals(name, "print")) {
        printf("%s\n", argument.data);
        fflush(stdout);
    } else if (azfn_span_equals(name, "complain")) {
        fprintf(stderr, "%s\n", argument.data);
    } else if (azfn_span_equals(name, "log")) {
        azfn_log(invocation, AZFN_LOG_WARNING, "%s", argument.data);
    } else if (azfn_span_equals(name, "info")) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%s", argument.data);
    } else if (azfn_span_equals(name, "infos")) {
        log_many(invocation, number);
    } else if (azfn_span_equals(name, "event")) {
        raise_event(invocation, (char *)argument.data);
    } else if (azfn_span_equals(name, "json")) {
        take_json(invocation, ask);
    } else if (azfn_span_equals(name, "tree")) {
        take_tree(invocation, ask);
    } else if (azfn_span_equals(name, "crash")) {
        crash();
    } else if (azfn_span_equals(name, "exit")) {
        _exit((int)number);
    } else if (azfn_span_equals(name, "spin")) {
        spin(number);
    } else if (azfn_span_equals(name, "hang")) {
        for (;;) {
            sleep_ms(1000);
        }
    } else if (azfn_span_equals(name, "sleep")) {
        sleep_ms(number);
    } else if (azfn_span_equals(name, "wait")) {
        sem_wait(&gate);
    } else if (azfn_span_equals(name, "open")) {
        sem_post(&gate);
    } else if (azfn_span_equals(name, "await")) {
        await_cancellation(invocation);
    } else if (azfn_span_equals(name, "secret")) {
        return get_secrets(invocation, ask, 1, argument.data);
    } else if (azfn_span_equals(name, "secrets")) {
        return get_secrets(invocation, ask, (int)number, argument.data + strcspn(argument.data, ":") + 1);
    } else if (azfn_span_equals(name, "request")) {
        return send_request(invocation, ask, (char *)argument.data, OF_THE_WORD);
    } else if (azfn_span_equals(name, "relay")) {
        return send_request(invocation, ask, (char *)argument.data, OF_THE_CALLER);
    } else if (azfn_span_equals(name, "carry")) {
        return send_request(invocation, ask, (char *)argument.data, OF_THE_SECRET);
    } else if (azfn_span_equals(name, "take")) {
        return azfn_secret_get(invocation, argument.data, on_secret_to_take, ask) != AZFN_OK;
    } else if (azfn_span_equals(name, "reqheader")) {
        set_request_header(ask, (char *)argument.data);
    } else if (azfn_span_equals(name, "raw")) {
        write_raw(argument);
    } else if (azfn_span_equals(name, "flood")) {
        flood(argument);
    } else if (azfn_span_equals(name, "syscall")) {
        ask->body = azfn_span_of(probe_attempt(argument.data));
    } else if (azfn_span_equals(name, "abort")) {
        abort();
    } else if (azfn_span_equals(name, "demand")) {
        demand();
    } else if (azfn_span_equals(name, "delay")) {
        return azfn_delay(invocation, (uint32_t)number, go_on, ask) != AZFN_OK;
    } else if (azfn_span_equals(name, "stash")) {
        stashed = invocation;
    } else if (azfn_span_equals(name, "poke")) {
        poke();
    } else if (azfn_span_equals(name, "watch")) {
        return azfn_on_cancelled(invocation, on_cancelled, NULL) == AZFN_OK;
    } else if (azfn_span_equals(name, "never")) {
        return false;
    } else if (azfn_span_equals(name, "succeed")) {
        azfn_succeed(invocation);
        return false;
    } else if (azfn_span_equals(name, "fail")) {
        azfn_fail(invocation, "asked to fail");
        return false;
    } else if (azfn_span_equals(name, "twice")) {
        azfn_http_reply(invocation, ask->status, ask->type, ask->body);
        printf("second %s\n", azfn_error_name(azfn_http_reply(invocation, 500, NULL, ask->body)));
        fflush(stdout);
        return false;
    } else if (azfn_span_equals(name, "reply")) {
        printf("reply %s\n", azfn_error_name(azfn_http_reply(invocation, ask->status, ask->type, ask->body)));
        fflush(stdout);
        return false;
    }
    return true;
}

static void go_on(struct azfn_invocation *invocation, void *user_data)
{
    struct ask *ask = user_data;
    while (ask->words.length > 0) {
        struct azfn_span word = next_word(&ask->words);
        if (word.length > 0 && !obey(invocation, ask, word)) {
            return;
        }
    }
    azfn_fail(invocation, "the words ended without an answer");
}

void probe_ask(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct ask *ask = azfn_alloc(invocation, sizeof(*ask));
    struct azfn_span words = azfn_span_is_present(azfn_http_method(invocation))
                                 ? azfn_http_header(invocation, "x-do")
                                 : azfn_input(invocation, NULL);
    *ask = (struct ask){.status = 200, .body = {"", 0}, .words = words};
    go_on(invocation, ask);
}
