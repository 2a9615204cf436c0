/* tests/unit/http_parser_outcome.h
 * Feeds bytes to the parser in pieces and writes down all that came out of it, as text that two runs can be
 * compared by. For test_http_parser.c and fuzz_http_parser.c. */
#ifndef TESTS_UNIT_HTTP_PARSER_OUTCOME_H
#define TESTS_UNIT_HTTP_PARSER_OUTCOME_H

#include "base/span.h"
#include "worker/http_parser.h"

#include <stdlib.h>
#include <string.h>

/* How long the next piece is, given where it begins; at least 1. */
typedef size_t piece_length_fn(size_t begin, const void *user_data);

struct outcome {
    /* "POST /x keep 5:hello; GET / 1.0 close; 400": what is expected in a table */
    struct azfn__buffer summary;
    /* besides it: positions, headers, every field */
    struct azfn__buffer details;
    const char *refusal_reason;
    size_t request_count;
};

static inline void outcome_init(struct outcome *outcome)
{
    *outcome = (struct outcome){.refusal_reason = NULL};
    azfn__buffer_init(&outcome->summary, SIZE_MAX / 2);
    azfn__buffer_init(&outcome->details, SIZE_MAX / 2);
}

static inline void outcome_clean_up(struct outcome *outcome)
{
    azfn__buffer_clean_up(&outcome->summary);
    azfn__buffer_clean_up(&outcome->details);
}

static inline void add_item(struct outcome *outcome, const char *text)
{
    if (outcome->summary.length > 0) {
        azfn__buffer_append_text(&outcome->summary, "; ");
    }
    azfn__buffer_append_text(&outcome->summary, text);
}

static inline void add_detail(struct outcome *outcome, const char *name, struct azfn_span value)
{
    azfn__buffer_append_text(&outcome->details, name);
    azfn__buffer_append_text(&outcome->details, value.data ? "=" : " is absent");
    if (value.data) {
        azfn__buffer_append_uint(&outcome->details, value.length);
        azfn__buffer_append_char(&outcome->details, ':');
        azfn__buffer_append_span(&outcome->details, value);
    }
    azfn__buffer_append_char(&outcome->details, '\n');
}

static inline void add_number(struct outcome *outcome, const char *name, uint64_t value)
{
    azfn__buffer_append_text(&outcome->details, name);
    azfn__buffer_append_char(&outcome->details, '=');
    azfn__buffer_append_uint(&outcome->details, value);
    azfn__buffer_append_char(&outcome->details, '\n');
}

/* All of a request, also of one that was refused. */
static inline void add_fields(struct outcome *outcome, const struct azfn__http_request *request)
{
    add_number(outcome, "method", (uint64_t)request->method);
    add_number(outcome, "minor_version", request->minor_version);
    add_detail(outcome, "target", request->target);
    add_detail(outcome, "path", request->path);
    add_detail(outcome, "query", request->query);
    add_number(outcome, "is_chunked", request->is_chunked);
    add_number(outcome, "content_length", request->content_length);
    add_number(outcome, "header_count", request->header_count);
    for (size_t i = 0; i < request->header_count; i++) {
        add_detail(outcome, "name", request->headers[i].name);
        add_detail(outcome, "value", request->headers[i].value);
    }
    add_detail(outcome, "host", azfn__http_request_header(request, AZFN__SPAN("host")));
}

static inline void add_request(struct outcome *outcome, const struct azfn__http_request *request)
{
    outcome->request_count++;
    add_item(outcome, "");
    azfn__buffer_append_span(&outcome->summary, request->method_name);
    azfn__buffer_append_char(&outcome->summary, ' ');
    azfn__buffer_append_span(&outcome->summary, request->target);
    azfn__buffer_append_text(&outcome->summary, request->minor_version == 0 ? " 1.0" : "");
    azfn__buffer_append_text(&outcome->summary, request->is_keep_alive ? " keep" : " close");
    if (request->has_body) {
        azfn__buffer_append_char(&outcome->summary, ' ');
        azfn__buffer_append_uint(&outcome->summary, request->body.length);
        azfn__buffer_append_char(&outcome->summary, ':');
        azfn__buffer_append_span(&outcome->summary, request->body);
    }
    azfn__buffer_append_text(&outcome->summary, request->expects_continue ? " continue" : "");
    add_fields(outcome, request);
}

/* What the parser must never do, whatever it is fed. */
#define OUTCOME_REQUIRE(condition)                                                                           \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* One piece, until it is taken. False: refused. */
static inline bool feed_piece(struct outcome *outcome, struct azfn__http_parser *parser,
                              struct azfn__http_message *message, uint64_t max_body_bytes, const char *data,
                              size_t length, size_t *total)
{
    size_t offset = 0;
    for (;;) {
        size_t taken = SIZE_MAX;
        enum azfn__http_parser_state state =
            azfn__http_parser_feed(parser, data + offset, length - offset, &taken);
        OUTCOME_REQUIRE(taken <= length - offset);
        offset += taken;
        *total += taken;
        switch (state) {
        case AZFN__HTTP_NEED_MORE:
            OUTCOME_REQUIRE(offset == length);
            return true;
        case AZFN__HTTP_HEAD:
            OUTCOME_REQUIRE(azfn__http_parser_is_inside(parser));
            add_number(outcome, "head at", *total);
            azfn__http_parser_limit_body(parser, max_body_bytes);
            break;
        case AZFN__HTTP_COMPLETE:
            OUTCOME_REQUIRE(!azfn__http_parser_is_inside(parser));
            OUTCOME_REQUIRE(parser->request.body.length <= max_body_bytes);
            OUTCOME_REQUIRE(azfn__http_parser_feed(parser, "x", 1, &taken) == AZFN__HTTP_COMPLETE && taken == 0);
            add_request(outcome, &parser->request);
            add_number(outcome, "complete at", *total);
            azfn__http_parser_begin(parser, message);
            if (offset == length) {
                return true;
            }
            break;
        case AZFN__HTTP_REFUSED:
        default:
            OUTCOME_REQUIRE(parser->fault.status >= 400 && parser->fault.status < 600);
            OUTCOME_REQUIRE(parser->fault.reason && parser->fault.reason[0]);
            OUTCOME_REQUIRE(azfn__http_parser_feed(parser, "x", 1, &taken) == AZFN__HTTP_REFUSED && taken == 0);
            add_item(outcome, "");
            azfn__buffer_append_uint(&outcome->summary, parser->fault.status);
            add_fields(outcome, &parser->request);
            add_number(outcome, "refused at", *total);
            add_detail(outcome, "reason", azfn_span_of(parser->fault.reason));
            outcome->refusal_reason = parser->fault.reason;
            return false;
        }
    }
}

static inline void read_in_pieces(struct outcome *outcome, const struct azfn__http_parser_limits *limits,
                                  uint64_t max_body_bytes, struct azfn_span bytes, piece_length_fn *piece_length,
                                  const void *user_data)
{
    struct azfn__http_parser parser;
    struct azfn__http_message message;
    size_t total = 0;
    bool is_refused = false;
    azfn__http_message_init(&message);
    azfn__http_parser_init(&parser, limits);
    azfn__http_parser_begin(&parser, &message);
    for (size_t begin = 0; begin < bytes.length && !is_refused;) {
        size_t length = piece_length(begin, user_data);
        length = length > bytes.length - begin ? bytes.length - begin : length;
        /* a copy of exactly this size, gone afterwards: what reads beyond it or keeps a span of it is found */
        char *copy = malloc(length);
        OUTCOME_REQUIRE(copy);
        memcpy(copy, bytes.data + begin, length);
        is_refused = !feed_piece(outcome, &parser, &message, max_body_bytes, copy, length, &total);
        free(copy);
        begin += length;
    }
    if (!is_refused) {
        OUTCOME_REQUIRE(total == bytes.length);
        if (azfn__http_parser_is_inside(&parser)) {
            add_item(outcome, "more");
        }
    }
    azfn__http_message_clean_up(&message);
}

static inline bool outcome_equals(const struct outcome *a, const struct outcome *b)
{
    return azfn__span_equal(azfn__buffer_span(&a->summary), azfn__buffer_span(&b->summary)) &&
           azfn__span_equal(azfn__buffer_span(&a->details), azfn__buffer_span(&b->details));
}

#endif
