/* fuzz/http_functions.h
 * Functions of every temper, for fuzz_http_connection.c: at once, later, never, twice, too late, told to stop. */
#ifndef TESTS_FUZZ_HTTP_FUNCTIONS_H
#define TESTS_FUZZ_HTTP_FUNCTIONS_H

#include "fuzz/http_exchange.h"
#include "worker/dispatcher.h"

#define MAX_HELD 16
#define MAX_STALE 8
#define BIG_BYTES ((size_t)24 << 10)

/* What functions were called with, and have not answered; and handles of events that are over. */
static struct {
    struct azfn_invocation *held[MAX_HELD];
    size_t held_count;
    struct azfn_invocation *stale[MAX_STALE];
    size_t stale_count;
    char big[BIG_BYTES];
} functions_state;

/* They are void once the memory has served 65,536 more events: so none is kept for the next input. */
static inline void keep_stale(struct azfn_invocation *invocation)
{
    functions_state.stale[functions_state.stale_count++ % MAX_STALE] = invocation;
}

static inline void set_mark(struct azfn_invocation *invocation)
{
    const struct azfn__invocation *event = azfn__invocation_of(invocation);
    if (event) {
        (void)azfn_http_set_header(invocation, "X-Is",
                                   azfn_format(invocation, "%016llx", (unsigned long long)mark_of(&event->request)));
    }
}

static inline void reply(struct azfn_invocation *invocation, struct azfn_span body)
{
    set_mark(invocation);
    (void)azfn_http_reply(invocation, 200, NULL, body);
    keep_stale(invocation);
}

static inline void now(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    (void)azfn_http_set_header(invocation, "X-Echo", AZFN__SPAN("1"));
    reply(invocation, azfn_http_body(invocation));
}

static inline void elapsed(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    reply(invocation, AZFN__SPAN("later"));
}

static inline void later(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    CHECK(azfn_delay(invocation, 1, elapsed, NULL) == AZFN_OK);
    CHECK(azfn_delay(invocation, 7, elapsed, NULL) == AZFN_OK);
}

static inline void hold(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    if (functions_state.held_count == MAX_HELD) {
        azfn_fail(invocation, "too many");
    } else {
        functions_state.held[functions_state.held_count++] = invocation;
    }
}

static inline void never(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_log(invocation, AZFN_LOG_WARNING, "this \"line\" waits for an answer that does not come");
    CHECK(azfn_delay(invocation, 3600000, elapsed, NULL) == AZFN_OK);
    keep_stale(invocation);
}

static inline void twice(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    reply(invocation, AZFN__SPAN("first"));
    CHECK(azfn_http_reply(invocation, 200, NULL, AZFN__SPAN("second")) == AZFN_ERROR_STATE);
    azfn_fail(invocation, "third");
}

static inline void on_cancelled(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < functions_state.held_count; i++) {
        if (functions_state.held[i] == invocation) {
            functions_state.held[i] = functions_state.held[--functions_state.held_count];
        }
    }
    reply(invocation, AZFN__SPAN("cancelled"));
}

static inline void stop(struct azfn_invocation *invocation, void *user_data)
{
    if (functions_state.held_count < MAX_HELD) {
        CHECK(azfn_on_cancelled(invocation, on_cancelled, NULL) == AZFN_OK);
    }
    hold(invocation, user_data);
}

static inline void big(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    reply(invocation, azfn__span(functions_state.big, BIG_BYTES));
}

static inline void bad(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    CHECK(azfn_http_set_header(invocation, "X", azfn_http_body(invocation)) == AZFN_OK ||
          azfn_http_set_header(invocation, "A:", AZFN__SPAN("b")) != AZFN_OK);
    (void)azfn_http_reply(invocation, 200, NULL, azfn_http_path(invocation));
    keep_stale(invocation);
}

/* Every byte has to be there to be read. */
static inline void read_all(struct azfn_invocation *invocation, struct azfn_span text)
{
    azfn_log(invocation, AZFN_LOG_INFORMATION, "%.*s", AZFN_SPAN_ARGS(text));
}

static inline void view(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name;
    struct azfn_span value;
    for (size_t i = 0; azfn_http_query_at(invocation, i, &name, &value); i++) {
        read_all(invocation, name);
        read_all(invocation, value);
    }
    for (size_t i = 0; azfn_http_header_at(invocation, i, &name, &value); i++) {
        read_all(invocation, value);
    }
    for (size_t i = 0; azfn_http_param_at(invocation, i, &name, &value); i++) {
        read_all(invocation, name);
        read_all(invocation, value);
    }
    read_all(invocation, azfn_http_query(invocation, "a"));
    read_all(invocation, azfn_http_header(invocation, "cookie"));
    read_all(invocation, azfn_http_param(invocation, "rest"));
    read_all(invocation, azfn_http_method(invocation));
    read_all(invocation, azfn_trace_parent(invocation));
    read_all(invocation, azfn_http_body_json(invocation));
    azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "%.*s", AZFN_SPAN_ARGS(azfn_http_path(invocation)));
    read_all(invocation, azfn_invocation_id(invocation));
    bool is_exact = azfn_http_body_is_exact(invocation);
    set_mark(invocation);
    (void)azfn_http_reply(invocation, is_exact ? 200 : 203, "text/plain", azfn_http_path(invocation));
    keep_stale(invocation);
}

struct piping {
    struct azfn_span piece; /* that could not be written yet */
    bool is_last;
    bool is_begun;
};

static inline void pipe_piece(struct azfn_invocation *invocation, void *user_data);

static inline void on_pipe_body(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece,
                                bool is_last, void *user_data)
{
    struct piping *piping = user_data;
    char *copy = error == AZFN_OK ? azfn_alloc(invocation, piece.length + 1) : NULL;
    if (!copy) {
        azfn_fail(invocation, "the body broke");
        return;
    }
    memcpy(copy, piece.length > 0 ? piece.data : "", piece.length);
    piping->piece = azfn__span(copy, piece.length);
    piping->is_last = is_last;
    pipe_piece(invocation, piping);
}

static inline void pipe_piece(struct azfn_invocation *invocation, void *user_data)
{
    struct piping *piping = user_data;
    switch (azfn_http_write(invocation, piping->piece)) {
    case AZFN_OK:
        if (piping->is_last) {
            (void)azfn_http_end(invocation);
            keep_stale(invocation);
        } else {
            CHECK(azfn_http_read_body(invocation, on_pipe_body, piping) == AZFN_OK);
            CHECK(azfn_http_read_body(invocation, on_pipe_body, piping) == AZFN_ERROR_STATE);
        }
        break;
    case AZFN_ERROR_UNAVAILABLE:
        CHECK(azfn_http_on_writable(invocation, pipe_piece, piping) == AZFN_OK);
        break;
    default:
        azfn_fail(invocation, "the caller has gone");
        break;
    }
}

/* Everything goes out as it comes in. */
static inline void pipe_through(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct piping *piping = azfn_alloc(invocation, sizeof(*piping));
    CHECK(piping != NULL);
    *piping = (struct piping){.is_last = false};
    set_mark(invocation);
    (void)azfn_http_set_header(invocation, "X-Echo", AZFN__SPAN("1"));
    (void)azfn_http_set_header(invocation, "X-Cut", AZFN__SPAN("1"));
    if (azfn_http_begin(invocation, 200, NULL) != AZFN_OK) {
        azfn_fail(invocation, "no answer");
        return;
    }
    CHECK(azfn_http_read_body(invocation, on_pipe_body, piping) == AZFN_OK);
}

/* Reads all of it, says what it was. */
static inline void on_eat_body(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece,
                               bool is_last, void *user_data)
{
    struct azfn_span *whole = user_data;
    char *copy = azfn_alloc(invocation, whole->length + piece.length + 1);
    if (!copy || error != AZFN_OK) {
        (void)azfn_http_reply(invocation, 400, NULL, azfn_span_of(azfn_error_text(error)));
        keep_stale(invocation);
        return;
    }
    memcpy(copy, whole->length > 0 ? whole->data : "", whole->length);
    memcpy(copy + whole->length, piece.length > 0 ? piece.data : "", piece.length);
    *whole = azfn__span(copy, whole->length + piece.length);
    if (is_last) {
        CHECK(azfn_http_read_body(invocation, on_eat_body, whole) == AZFN_ERROR_STATE);
        (void)azfn_http_set_header(invocation, "X-Echo", AZFN__SPAN("1"));
        reply(invocation, *whole);
    } else {
        CHECK(azfn_http_read_body(invocation, on_eat_body, whole) == AZFN_OK);
    }
}

static inline void eat(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span *whole = azfn_alloc(invocation, sizeof(*whole));
    CHECK(whole != NULL);
    *whole = azfn__span("", 0);
    CHECK(azfn_http_read_body(invocation, on_eat_body, whole) == AZFN_OK);
}

/* More than a socket takes, with waits in between; with ?cut it ends in the middle. */
static inline void pour_more(struct azfn_invocation *invocation, void *user_data)
{
    uintptr_t pieces = (uintptr_t)user_data;
    for (; pieces < 12; pieces++) {
        enum azfn_error error = azfn_http_write(invocation, azfn__span(functions_state.big, 1 + pieces * 301));
        if (error == AZFN_ERROR_UNAVAILABLE) {
            CHECK(azfn_http_on_writable(invocation, pour_more, (void *)pieces) == AZFN_OK); /* NOLINT */
            return;
        }
        if (error != AZFN_OK || (pieces == 6 && azfn_span_is_present(azfn_http_query(invocation, "cut")))) {
            azfn_fail(invocation, "cut");
            return;
        }
        if (pieces % 4 == 3 &&
            azfn_delay(invocation, 1, pour_more, (void *)(pieces + 1)) == AZFN_OK) { /* NOLINT */
            return;
        }
    }
    (void)azfn_http_end(invocation);
    keep_stale(invocation);
}

static inline void pour(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    set_mark(invocation);
    if (azfn_span_is_present(azfn_http_query(invocation, "cut"))) {
        (void)azfn_http_set_header(invocation, "X-Cut", AZFN__SPAN("1"));
    }
    if (azfn_http_begin(invocation, 200, "text/event-stream") != AZFN_OK) {
        azfn_fail(invocation, "no answer");
        return;
    }
    pour_more(invocation, NULL);
}

static inline void message(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span json = azfn_input_json(invocation, NULL);
    size_t cursor = 0;
    while (azfn_span_is_present(azfn_json_next_item(json, &cursor))) {
    }
    read_all(invocation, azfn_metadata(invocation, "DequeueCount"));
    read_all(invocation, azfn_json_string(invocation, azfn_json_member(json, "a")));
    read_all(invocation, azfn_input_bytes(invocation, "msg"));
    CHECK(!azfn_span_is_present(json) || azfn_json_tree(invocation, json) || json.length > 0);
    (void)azfn_output(invocation, "out", azfn_input(invocation, NULL));
    (void)azfn_succeed(invocation);
    keep_stale(invocation);
}

static const struct azfn_function functions[] = {
    {.name = "bad", .handler = bad},     {.name = "big", .handler = big},     {.name = "hold", .handler = hold},
    {.name = "later", .handler = later}, {.name = "msg", .handler = message}, {.name = "mute", .handler = never},
    {.name = "never", .handler = never}, {.name = "now", .handler = now},     {.name = "stop", .handler = stop},
    {.name = "twice", .handler = twice}, {.name = "view", .handler = view},   {.name = "pour", .handler = pour},
    {.name = "eat", .handler = eat, .streams_body = true},
    {.name = "pipe", .handler = pipe_through, .streams_body = true},
};
#define FUNCTION_COUNT (sizeof(functions) / sizeof(functions[0]))

/* Answers what is held at index, in one of several ways. */
static inline void answer_held(size_t index, unsigned how)
{
    if (functions_state.held_count == 0) {
        return;
    }
    index %= functions_state.held_count;
    struct azfn_invocation *invocation = functions_state.held[index];
    functions_state.held[index] = functions_state.held[--functions_state.held_count];
    switch (how % 7) {
    case 0:
        reply(invocation, AZFN__SPAN("held"));
        break;
    case 1:
        reply(invocation, azfn__span(functions_state.big, BIG_BYTES));
        break;
    case 2:
        azfn_fail(invocation, "as it was asked for");
        break;
    case 3:
        (void)azfn_succeed(invocation);
        break;
    case 4:
        (void)azfn_http_reply(invocation, 99, "a\r\nb: c", AZFN__SPAN("not sent"));
        break;
    case 5:
        if (azfn_delay(invocation, 2, elapsed, NULL) != AZFN_OK) {
            azfn_fail(invocation, "it is over");
        }
        break;
    default:
        twice(invocation, NULL);
        break;
    }
}

/* A function that comes back to what is over reaches nobody. The one that waits for its deadline is not over yet. */
static inline void touch_stale(size_t index)
{
    size_t count = functions_state.stale_count < MAX_STALE ? functions_state.stale_count : MAX_STALE;
    struct azfn_invocation *invocation = count > 0 ? functions_state.stale[index % count] : NULL;
    if (!invocation) {
        return;
    }
    const struct azfn__invocation *event = azfn__invocation_of(invocation);
    if (event && event->state == AZFN__INVOCATION_RUNNING) {
        return;
    }
    CHECK(azfn_delay(invocation, 1, elapsed, NULL) == AZFN_ERROR_STATE);
    CHECK(azfn_on_cancelled(invocation, on_cancelled, NULL) == AZFN_ERROR_STATE);
    CHECK(azfn_http_reply(invocation, 200, NULL, AZFN__SPAN("stale")) == AZFN_ERROR_STATE);
    CHECK(azfn_succeed(invocation) == AZFN_ERROR_STATE);
    azfn_fail(invocation, "stale");
    azfn_log(invocation, AZFN_LOG_ERROR, "stale");
    azfn_security_event(invocation, AZFN_EVENT_FORBIDDEN, "stale");
    if (!event) {
        CHECK(!azfn_alloc(invocation, 1) && azfn_remaining_ms(invocation) == 0);
        CHECK(!azfn_span_is_present(azfn_http_body(invocation)));
        CHECK(azfn_http_set_header(invocation, "X-Stale", AZFN__SPAN("1")) == AZFN_ERROR_STATE);
    }
}

#endif
