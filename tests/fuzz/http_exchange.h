/* fuzz/http_exchange.h
 * Holds what a client received against what it sent: each complete request has exactly one answer, in order, and
 * nothing else is there. The requests are cut by azfn's own parser, in one piece (fuzz_http_parser.c sees to it that
 * pieces make no difference); the answers by a strict reader of this file. */
#ifndef TESTS_FUZZ_HTTP_EXCHANGE_H
#define TESTS_FUZZ_HTTP_EXCHANGE_H

#include "base/span.h"
#include "fuzz/check.h"
#include "worker/http_parser.h"
#include "worker/http_token.h"

#define NO_LENGTH UINT64_MAX

struct exchange_answer {
    unsigned status;
    uint64_t content_length; /* NO_LENGTH: not said */
    bool is_chunked;
    bool is_last; /* Connection: close */
    struct azfn_span mark; /* X-Is */
    bool is_echo;          /* X-Echo: its body is the request's */
    bool may_be_cut;       /* X-Cut: its function does not end it */
    struct azfn_span body; /* with its framing where it is chunked */
    uint64_t body_sum;     /* of its content, where it is an echo */
    bool is_cut;  /* more of it has yet to come */
};

#define EMPTY_SUM UINT64_C(14695981039346656037)

static inline uint64_t sum_of(uint64_t sum, struct azfn_span bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        sum = (sum ^ (unsigned char)bytes.data[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

/* Without its CR LF. False: there is no whole line. */
static inline bool take_line(struct azfn_span *rest, struct azfn_span *out_line)
{
    const char *end = rest->length > 0 ? memmem(rest->data, rest->length, "\r\n", 2) : NULL;
    if (!end) {
        return false;
    }
    *out_line = azfn__span(rest->data, (size_t)(end - rest->data));
    *rest = azfn__span_from(*rest, out_line->length + 2);
    return true;
}

static inline uint64_t number_of(struct azfn_span digits)
{
    uint64_t value = 0;
    CHECK(digits.length > 0 && digits.length < 19);
    for (size_t i = 0; i < digits.length; i++) {
        CHECK(digits.data[i] >= '0' && digits.data[i] <= '9');
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
    }
    return value;
}

static inline void read_field(struct exchange_answer *answer, struct azfn_span line)
{
    const char *colon = memchr(line.data, ':', line.length);
    CHECK(colon != NULL);
    struct azfn_span name = azfn__span(line.data, (size_t)(colon - line.data));
    struct azfn_span value = azfn__span_from(line, name.length + 1);
    CHECK(azfn__http_is_token(name) && value.length > 1 && value.data[0] == ' ');
    value = azfn__span_from(value, 1);
    for (size_t i = 0; i < value.length; i++) {
        CHECK((value.data[i] >= ' ' && value.data[i] <= '~') || value.data[i] == '\t');
    }
    if (azfn__span_equal_ignore_case(name, AZFN__SPAN("Content-Length"))) {
        CHECK(answer->content_length == NO_LENGTH);
        answer->content_length = number_of(value);
    } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("Transfer-Encoding"))) {
        CHECK(azfn_span_equals(value, "chunked"));
        answer->is_chunked = true;
    } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("Connection"))) {
        answer->is_last = azfn_span_equals(value, "close");
        CHECK(answer->is_last || azfn_span_equals(value, "keep-alive"));
    } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("X-Is"))) {
        answer->mark = value;
    } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("X-Echo"))) {
        answer->is_echo = true;
    } else if (azfn__span_equal_ignore_case(name, AZFN__SPAN("X-Cut"))) {
        answer->may_be_cut = true;
    }
}

/* False: the body is not whole. */
static inline bool skip_chunks(struct azfn_span *rest, uint64_t *sum)
{
    struct azfn_span line;
    while (take_line(rest, &line)) {
        uint64_t size = 0;
        CHECK(line.length > 0 && line.length <= 8);
        for (size_t i = 0; i < line.length; i++) {
            const char *digits = "0123456789abcdefABCDEF";
            const char *digit = line.data[i] ? strchr(digits, line.data[i]) : NULL;
            CHECK(digit != NULL);
            uint64_t value = (uint64_t)(digit - digits);
            size = size * 16 + (value > 15 ? value - 6 : value);
        }
        if (rest->length < size + 2) {
            return false;
        }
        *sum = sum_of(*sum, azfn__span(rest->data, size));
        *rest = azfn__span_from(*rest, size);
        CHECK(take_line(rest, &line) && line.length == 0);
        if (size == 0) {
            return true;
        }
    }
    return false;
}

/* The next answer, an interim one too. False: there are no bytes of one. */
static inline bool take_answer(struct azfn_span *rest, bool is_head_request, struct exchange_answer *out_answer)
{
    struct azfn_span line;
    *out_answer = (struct exchange_answer){.content_length = NO_LENGTH, .body_sum = EMPTY_SUM};
    if (rest->length == 0) {
        return false;
    }
    if (!memmem(rest->data, rest->length, "\r\n\r\n", 4)) {
        out_answer->is_cut = true;
        return true;
    }
    CHECK(take_line(rest, &line) && azfn__span_starts_with(line, AZFN__SPAN("HTTP/1.1 ")) && line.length > 13);
    out_answer->status = (unsigned)number_of(azfn__span(line.data + 9, 3));
    CHECK(line.data[12] == ' ' && out_answer->status >= 100 && out_answer->status < 600);
    while (take_line(rest, &line) && line.length > 0) {
        read_field(out_answer, line);
    }
    unsigned status = out_answer->status;
    bool has_length = out_answer->content_length != NO_LENGTH;
    bool has_no_content = status < 200 || status == 204 || status == 304;
    CHECK(!(has_length && out_answer->is_chunked));
    CHECK(!has_no_content || (!has_length && !out_answer->is_chunked));
    out_answer->body = azfn__span(rest->data, 0);
    if (has_no_content || is_head_request) {
        return true;
    }
    if (out_answer->is_chunked) {
        out_answer->is_cut = !skip_chunks(rest, &out_answer->body_sum);
        out_answer->body.length = (size_t)(rest->data - out_answer->body.data);
        return true;
    }
    CHECK(has_length || out_answer->is_last);
    size_t length = rest->length;
    if (has_length && out_answer->content_length <= length) {
        length = (size_t)out_answer->content_length;
    } else {
        out_answer->is_cut = has_length;
    }
    out_answer->body.length = length;
    out_answer->body_sum = out_answer->is_echo ? sum_of(EMPTY_SUM, out_answer->body) : EMPTY_SUM;
    *rest = azfn__span_from(*rest, length);
    return true;
}

/* What a function marks its answer with, and the client finds again: of the request's head as it was on the wire. */
static inline uint64_t mark_of(const struct azfn__http_request *request)
{
    return sum_of(sum_of(sum_of(EMPTY_SUM, request->method_name), AZFN__SPAN(" ")), request->target);
}

/* Functions that are called before the body is there. */
static inline bool streams_body(const struct azfn__http_request *request)
{
    return azfn_span_equals(request->path, "/api/eat") || azfn_span_equals(request->path, "/api/pipe");
}

static inline void check_mark(const struct azfn__http_request *request, const struct exchange_answer *answer)
{
    char expected[17];
    static const char member[] = "\"X-Is\":\"";
    struct azfn_span found = answer->mark;
    if (!found.data && answer->body.length >= sizeof(member) + sizeof(expected)) {
        const char *at = memmem(answer->body.data, answer->body.length, member, sizeof(member) - 1);
        found = at && azfn__span_starts_with(answer->body, AZFN__SPAN("{\"Outputs\""))
                    ? azfn__span(at + sizeof(member) - 1, 16)
                    : found;
    }
    if (found.data) {
        (void)snprintf(expected, sizeof(expected), "%016llx", (unsigned long long)mark_of(request));
        CHECK(azfn_span_equals(found, expected));
    }
}

struct exchange_rules {
    const struct azfn__http_parser_limits *limits;
    bool is_final;     /* no more answers will come */
    bool is_disturbed; /* time may have ended the connection, or the client left: answers may be missing */
};

/* One request and its answer. False: that was the last. */
static inline bool check_exchange(struct azfn__http_parser *parser, const struct exchange_rules *rules,
                                  struct azfn_span *sent, struct azfn_span *received)
{
    enum azfn__http_parser_state state;
    bool has_head = false;
    for (;;) {
        size_t taken = 0;
        state = azfn__http_parser_feed(parser, sent->data, sent->length, &taken);
        *sent = azfn__span_from(*sent, taken);
        if (state != AZFN__HTTP_HEAD) {
            break;
        }
        has_head = true;
        azfn__http_parser_limit_body(parser, (uint64_t)1 << 24);
    }
    const struct azfn__http_request *request = &parser->request;
    bool is_head_request = (has_head || state == AZFN__HTTP_REFUSED) && request->method == AZFN__METHOD_HEAD;
    struct exchange_answer answer;
    bool has_answer = take_answer(received, is_head_request, &answer);
    if (has_answer && !answer.is_cut && answer.status < 200) {
        CHECK(answer.status == 100 && has_head && request->expects_continue);
        has_answer = take_answer(received, is_head_request, &answer);
    }
    if (state == AZFN__HTTP_NEED_MORE && !azfn__http_parser_is_inside(parser)) {
        CHECK(!has_answer);
        return false;
    }
    if (has_answer && answer.may_be_cut && (answer.is_cut || is_head_request)) {
        return false; /* a cut answer to HEAD is whole to the eye, and the connection ends all the same */
    }
    if (has_head && state != AZFN__HTTP_COMPLETE && streams_body(request)) {
        /* the function may answer what it likes to half a body, and it is the last; less than a head may be out */
        CHECK(!has_answer || answer.is_cut || received->length == 0);
        return false;
    }
    if (has_answer && answer.is_cut && request->target.length > 0 &&
        memmem(request->target.data, request->target.length, "cut", 3)) {
        return false; /* not even the mark of what is cut has to be out */
    }
    if (!has_answer || answer.is_cut) {
        CHECK(!rules->is_final || rules->is_disturbed || (state == AZFN__HTTP_NEED_MORE && !has_answer));
        return false;
    }
    if (state != AZFN__HTTP_COMPLETE) {
        CHECK(answer.status >= 400 && answer.is_last);
        CHECK(state != AZFN__HTTP_REFUSED || has_head || rules->is_disturbed ||
              answer.status == parser->fault.status);
        CHECK(state == AZFN__HTTP_REFUSED || has_head || (answer.status == 408 && rules->is_disturbed));
    } else {
        CHECK(request->is_keep_alive || answer.is_last);
        CHECK(!answer.is_echo || is_head_request || answer.body_sum == sum_of(EMPTY_SUM, request->body));
        check_mark(request, &answer);
    }
    CHECK(!answer.is_last || received->length == 0);
    return !answer.is_last;
}

static inline void check_exchanges(const struct exchange_rules *rules, struct azfn_span sent,
                                   struct azfn_span received)
{
    struct azfn__http_parser parser;
    struct azfn__http_message message;
    azfn__http_message_init(&message);
    azfn__http_parser_init(&parser, rules->limits);
    do {
        azfn__http_parser_begin(&parser, &message);
    } while (check_exchange(&parser, rules, &sent, &received));
    azfn__http_message_clean_up(&message);
}

#endif
