#include "broker/last_words.h"

#include "base/span.h"
#include "base/steady_clock.h"
#include "base/wall_clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* Debian 12's signal.h does not know it. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* For each stream: whoever reads it may be slow, or gone without having closed it. */
#define WAIT_MS 500
#define RETRY_MS 10
#define STACK_BYTES ((size_t)64 << 10)

static const struct {
    int number;
    const char *name;
} SIGNALS[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGILL, "SIGILL"},
               {SIGFPE, "SIGFPE"},   {SIGABRT, "SIGABRT"}, {SIGSYS, "SIGSYS"}};
#define SIGNAL_COUNT (sizeof(SIGNALS) / sizeof(SIGNALS[0]))

/* The log's state is unknown when it is needed, so what it takes was made ready before: a line end and the line. */
static struct azfn__buffer last_line;
static const struct azfn__log_sink *last_log;
static char stack[STACK_BYTES];
static atomic_flag has_begun = ATOMIC_FLAG_INIT;

/* False: the stream does not take it in time. */
static bool write_whole(const struct azfn__log_stream *stream, struct azfn_span text)
{
    uint64_t deadline = azfn__steady_clock_ms() + WAIT_MS;
    while (text.length > 0) {
        ssize_t count = azfn__log_stream_put(stream, text.data, text.length);
        if (count >= 0) {
            text = azfn__span_from(text, (size_t)count);
        } else if (errno != EAGAIN || azfn__steady_clock_ms() >= deadline) {
            return false;
        } else {
            struct pollfd ready = {.fd = stream->fd, .events = POLLOUT};
            (void)poll(&ready, 1, RETRY_MS);
        }
    }
    return true;
}

/* No memory is asked for, no lock is taken, and nobody is waited for without end. */
static void say(enum azfn__security_event event, struct azfn__event_fields fields, struct azfn_span description)
{
    const struct azfn__log_entry entry = {.event = event,
                                          .origin = AZFN__ORIGIN_BROKER,
                                          .fields = fields,
                                          .description = description,
                                          .app_id = last_log->app_id,
                                          .sequence = last_log->sequence + 1,
                                          .time_ms = (int64_t)azfn__wall_clock_ms()};
    azfn__buffer_append_char(&last_line, '\n');
    azfn__log_line_append(&last_line, &entry);
    struct azfn_span text = azfn__buffer_span(&last_line);
    for (size_t i = 2; i > 0; i--) { /* stderr, or else stdout */
        const struct azfn__log_stream *stream = &last_log->streams[i - 1];
        /* what was begun stays half a line */
        size_t skipped = stream->begun_bytes > 0 ? 0 : 1;
        if (!stream->is_closed && write_whole(stream, azfn__span_from(text, skipped))) {
            return;
        }
    }
}

static struct azfn_span name_of(int number)
{
    size_t i = 0;
    while (i < SIGNAL_COUNT - 1 && SIGNALS[i].number != number) {
        i++;
    }
    return azfn_span_of(SIGNALS[i].name);
}

static void on_death(int number, siginfo_t *info, void *context)
{
    (void)context;
    bool is_forbidden_call = number == SIGSYS && info->si_code == SYS_SECCOMP;
    if (atomic_flag_test_and_set(&has_begun)) {
        (void)poll(NULL, 0, 2 * WAIT_MS); /* another thread is speaking */
    } else if (is_forbidden_call) {
        say(AZFN__EVENT_BROKER_VIOLATION,
            (struct azfn__event_fields){.system_call_number = AZFN__NUMBER(info->si_syscall)},
            AZFN__SPAN("the broker ends, since it made a system call that its sandbox forbids"));
    } else {
        say(AZFN__EVENT_BROKER_CRASH, (struct azfn__event_fields){.signal = name_of(number)},
            AZFN__SPAN("the broker is ended by a signal that a fault in it raises, and the handler with it"));
    }
    if (is_forbidden_call) {
        _exit(1);
    }
    /* it comes when this returns, if the fault itself does not come first */
    signal(number, SIG_DFL);
    raise(number);
}

enum azfn_error azfn__last_words_prepare(struct azfn__log_sink *log)
{
#ifdef AZFN_SANITIZE
    const size_t count = 0;
#else
    const size_t count = SIGNAL_COUNT;
#endif
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_death, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    last_log = log;
    azfn__buffer_init(&last_line, AZFN__LOG_LINE_MAX_BYTES + 1);
    if (!azfn__buffer_reserve(&last_line, AZFN__LOG_LINE_MAX_BYTES + 1)) {
        return AZFN_ERROR_NO_MEMORY;
    }
    if (count > 0 && sigaltstack(&alternate, NULL) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < count; i++) {
        if (sigaction(SIGNALS[i].number, &action, NULL) != 0) {
            return AZFN_ERROR_SYSTEM;
        }
    }
    return AZFN_OK;
}
