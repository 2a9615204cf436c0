/* Functions whose bodies come and go in pieces. What they are to do stands in the query:
 *
 *   StreamOut   pieces=N size=N delay=MS (between pieces) stop=fail|never|header|reply|second (after them)
 *               deaf=1 (does not look at what writing returns)
 *   StreamIn    delay=MS (before each read) enough=N (answers after so many bytes) never=1 (never reads) twice=1
 *               big=N (an answer of N bytes)
 *   StreamEcho  nothing: every piece goes back as it comes */
#include "probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long number_of(struct azfn_invocation *invocation, const char *name, long otherwise)
{
    struct azfn_span text = azfn_http_query(invocation, name);
    return text.length > 0 ? strtol(azfn_format(invocation, "%.*s", AZFN_SPAN_ARGS(text)).data, NULL, 10) : otherwise;
}

static void say(struct azfn_invocation *invocation, const char *what)
{
    printf("%s %.*s\n", what, AZFN_SPAN_ARGS(azfn_invocation_id(invocation)));
    fflush(stdout);
}

struct out {
    long pieces;
    long sent;
    long waited;
    size_t size;
    uint32_t delay_ms;
    bool is_deaf;
    struct azfn_span stop;
};

static void write_more(struct azfn_invocation *invocation, void *user_data);

static void stop(struct azfn_invocation *invocation, struct out *out)
{
    printf("waited %ld\n", out->waited);
    fflush(stdout);
    if (azfn_span_equals(out->stop, "fail")) {
        azfn_fail(invocation, "in the middle");
    } else if (azfn_span_equals(out->stop, "header")) {
        azfn_http_set_header(invocation, "X-Late", azfn_span_of("1"));
        azfn_http_end(invocation);
    } else if (azfn_span_equals(out->stop, "reply")) {
        azfn_http_reply(invocation, 200, NULL, azfn_span_of("whole"));
    } else if (azfn_span_equals(out->stop, "second")) {
        enum azfn_error error = azfn_http_begin(invocation, 200, NULL);
        printf("second %s\n", azfn_error_name(error));
        azfn_http_end(invocation);
        printf("after %s\n", azfn_error_name(azfn_http_end(invocation)));
        fflush(stdout);
    } else if (!azfn_span_equals(out->stop, "never")) {
        azfn_http_end(invocation);
    }
}

static bool wait_for(struct azfn_invocation *invocation, struct out *out, enum azfn_error error)
{
    if (error == AZFN_ERROR_UNAVAILABLE) {
        out->waited++;
        return azfn_http_on_writable(invocation, write_more, out) == AZFN_OK;
    }
    if (error != AZFN_OK && !out->is_deaf) {
        printf("write %s\n", azfn_error_name(error));
        fflush(stdout);
        azfn_http_end(invocation);
        return true;
    }
    return out->delay_ms > 0 && azfn_delay(invocation, out->delay_ms, write_more, out) == AZFN_OK;
}

static void write_more(struct azfn_invocation *invocation, void *user_data)
{
    struct out *out = user_data;
    while (out->sent < out->pieces) {
        char *piece = malloc(out->size + 1);
        if (!piece) {
            azfn_fail(invocation, "no memory");
            return;
        }
        memset(piece, 'a' + (int)(out->sent % 26), out->size);
        enum azfn_error error = azfn_http_write(invocation, (struct azfn_span){piece, out->size});
        free(piece);
        out->sent += error != AZFN_ERROR_UNAVAILABLE;
        if (wait_for(invocation, out, error)) {
            return;
        }
    }
    stop(invocation, out);
}

static void on_cancelled(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    say(invocation, "cancelled");
}

void probe_stream_out(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct out *out = azfn_alloc(invocation, sizeof(*out));
    *out = (struct out){.pieces = number_of(invocation, "pieces", 3),
                        .size = (size_t)number_of(invocation, "size", 10),
                        .delay_ms = (uint32_t)number_of(invocation, "delay", 0),
                        .is_deaf = number_of(invocation, "deaf", 0) != 0,
                        .stop = azfn_http_query(invocation, "stop")};
    azfn_http_set_header(invocation, "X-Early", azfn_span_of("1"));
    azfn_http_begin(invocation, (int)number_of(invocation, "status", 200), "text/event-stream");
    if (azfn_on_cancelled(invocation, on_cancelled, NULL) == AZFN_OK) {
        write_more(invocation, out);
    }
}

struct in {
    uint64_t bytes;
    uint64_t pieces;
    uint64_t enough;
    uint32_t sum;
    uint32_t delay_ms;
};

static void read_more(struct azfn_invocation *invocation, void *user_data);

static void tell(struct azfn_invocation *invocation, const struct in *in, enum azfn_error error)
{
    printf("read %" PRIu64 " %s\n", in->bytes, azfn_error_name(error));
    fflush(stdout);
    size_t big = (size_t)number_of(invocation, "big", 0);
    char *filler = big > 0 ? azfn_alloc(invocation, big) : NULL;
    if (filler) {
        memset(filler, 'f', big);
        azfn_http_reply(invocation, 200, NULL, (struct azfn_span){filler, big});
        return;
    }
    azfn_http_reply(invocation, error == AZFN_ERROR_LIMIT ? 413 : 200, "application/json",
                    azfn_format(invocation,
                                "{\"bytes\":%" PRIu64 ",\"pieces\":%" PRIu64 ",\"sum\":%" PRIu32 ",\"error\":\"%s\"}",
                                in->bytes, in->pieces, in->sum, azfn_error_name(error)));
}

static void on_body(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece, bool is_last,
                    void *user_data)
{
    struct in *in = user_data;
    for (size_t i = 0; i < piece.length; i++) {
        in->sum = in->sum * 31 + (unsigned char)piece.data[i];
    }
    in->bytes += piece.length;
    in->pieces++;
    if (is_last || (in->enough > 0 && in->bytes >= in->enough)) {
        tell(invocation, in, error);
    } else if (in->delay_ms == 0) {
        read_more(invocation, in);
    } else if (azfn_delay(invocation, in->delay_ms, read_more, in) != AZFN_OK) {
        azfn_fail(invocation, "no delay");
    }
}

static void read_more(struct azfn_invocation *invocation, void *user_data)
{
    enum azfn_error error = azfn_http_read_body(invocation, on_body, user_data);
    if (error != AZFN_OK) {
        tell(invocation, user_data, error);
    }
}

void probe_stream_in(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct in *in = azfn_alloc(invocation, sizeof(*in));
    *in = (struct in){.delay_ms = (uint32_t)number_of(invocation, "delay", 0),
                      .enough = (uint64_t)number_of(invocation, "enough", 0)};
    say(invocation, "called");
    if (number_of(invocation, "never", 0)) {
        tell(invocation, in, AZFN_OK);
        return;
    }
    read_more(invocation, in);
    if (number_of(invocation, "twice", 0)) {
        enum azfn_error error = azfn_http_read_body(invocation, on_body, in);
        printf("second %s\n", azfn_error_name(error));
        fflush(stdout);
    }
}

struct echo {
    char *piece;
    size_t length;
    bool is_last;
};

static void read_echo(struct azfn_invocation *invocation, struct echo *echo);

static void write_echo(struct azfn_invocation *invocation, void *user_data)
{
    struct echo *echo = user_data;
    enum azfn_error error = azfn_http_write(invocation, (struct azfn_span){echo->piece, echo->length});
    if (error == AZFN_ERROR_UNAVAILABLE && azfn_http_on_writable(invocation, write_echo, echo) == AZFN_OK) {
        return;
    }
    free(echo->piece);
    echo->piece = NULL;
    if (echo->is_last || error != AZFN_OK) {
        azfn_http_end(invocation);
    } else {
        read_echo(invocation, echo);
    }
}

static void on_echo(struct azfn_invocation *invocation, enum azfn_error error, struct azfn_span piece, bool is_last,
                    void *user_data)
{
    struct echo *echo = user_data;
    if (error != AZFN_OK) {
        azfn_fail(invocation, azfn_error_name(error));
        return;
    }
    echo->piece = malloc(piece.length + 1);
    if (!echo->piece) {
        azfn_fail(invocation, "no memory");
        return;
    }
    memcpy(echo->piece, piece.data, piece.length);
    echo->length = piece.length;
    echo->is_last = is_last;
    write_echo(invocation, echo);
}

static void read_echo(struct azfn_invocation *invocation, struct echo *echo)
{
    if (azfn_http_read_body(invocation, on_echo, echo) != AZFN_OK) {
        azfn_fail(invocation, "no body to read");
    }
}

void probe_stream_echo(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct echo *echo = azfn_alloc(invocation, sizeof(*echo));
    *echo = (struct echo){0};
    azfn_http_begin(invocation, 200, "application/octet-stream");
    read_echo(invocation, echo);
}
