#include "worker/http_parser.h"

#include "base/bytes.h"
#include "base/span.h"
#include "worker/http_header_rules.h"
#include "worker/http_token.h"

#define BLANK_MAX_BYTES 4
#define HEAD_FIRST_BYTES ((size_t)2 << 10)
#define BODY_FIRST_BYTES ((uint64_t)64 << 10)

static enum azfn__http_parser_state refuse(struct azfn__http_parser *parser, struct azfn__http_fault fault)
{
    parser->phase = AZFN__HTTP_PHASE_REFUSED;
    parser->fault = fault;
    return AZFN__HTTP_REFUSED;
}

static enum azfn__http_parser_state refuse_memory(struct azfn__http_parser *parser)
{
    return refuse(parser, azfn__http_beyond(AZFN__HTTP_LIMIT_MEMORY, 503, "no memory for the request"));
}

static enum azfn__http_parser_state refuse_as_llhttp(struct azfn__http_parser *parser)
{
    const char *reason = llhttp_get_error_reason(&parser->llhttp);
    return refuse(parser, azfn__http_fault_of(400, reason && reason[0] ? reason : "not HTTP"));
}

/* llhttp's callbacks. The head is one piece of memory that no longer moves when llhttp reads it, so a name or
 * value that comes in several pieces is contiguous. */

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
    struct azfn__http_parser *parser = llhttp->data;
    struct azfn_span *target = &parser->request.target;
    *target = target->data ? azfn__span(target->data, (size_t)(at + length - target->data)) : azfn__span(at, length);
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct azfn__http_parser *parser = llhttp->data;
    struct azfn__http_request *request = &parser->request;
    if (parser->phase == AZFN__HTTP_PHASE_CHUNKS) {
        return 0; /* a trailer */
    }
    if (request->header_count > 0) {
        struct azfn_span *name = &parser->message->headers[request->header_count - 1].name;
        if (name->data + name->length == at) {
            name->length += length;
            return 0;
        }
    }
    if (request->header_count == parser->line_count) {
        llhttp_set_error_reason(llhttp, "more headers than lines");
        return HPE_USER;
    }
    struct azfn__http_header *header = &parser->message->headers[request->header_count++];
    header->name = azfn__span(at, length);
    header->value = azfn__span("", 0);
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct azfn__http_parser *parser = llhttp->data;
    if (parser->phase == AZFN__HTTP_PHASE_CHUNKS || parser->request.header_count == 0) {
        return 0;
    }
    struct azfn_span *value = &parser->message->headers[parser->request.header_count - 1].value;
    *value = value->length > 0 ? azfn__span(value->data, (size_t)(at + length - value->data)) : azfn__span(at, length);
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    /* an Upgrade is an offer; we stay with HTTP/1.1 and read the body (RFC 9110, 7.8) */
    llhttp->upgrade = 0;
    return HPE_PAUSED;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct azfn__http_parser *parser = llhttp->data;
    azfn__http_chunk_guard_begin_chunk(&parser->chunk_guard, llhttp->content_length);
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct azfn__http_parser *parser = llhttp->data;
    parser->body_bytes += length;
    if (!azfn__http_message_append_body(parser->message, at, length)) {
        parser->is_over_budget = true;
        return HPE_USER;
    }
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct azfn__http_parser *parser = llhttp->data;
    parser->is_llhttp_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* The head is collected line by line, each is checked when its LF is there, and llhttp reads it as a whole at
 * its end: so nothing can depend on how the bytes were cut. */

/* Takes CR LF before the request line; returns how many bytes. */
static size_t skip_blank_lines(struct azfn__http_parser *parser, const char *data, size_t length)
{
    size_t i = 0;
    for (; i < length; i++) {
        bool is_inside_pair = parser->blank_bytes % 2 != 0;
        if (is_inside_pair != (data[i] == '\n')) {
            refuse(parser, azfn__http_fault_of(400, "CR and LF that are no pair before the request line"));
            break;
        }
        if (!is_inside_pair && data[i] != '\r') {
            parser->phase = AZFN__HTTP_PHASE_REQUEST_LINE;
            break;
        }
        if (parser->blank_bytes == BLANK_MAX_BYTES) {
            refuse(parser, azfn__http_fault_of(400, "blank lines before the request line"));
            break;
        }
        parser->blank_bytes++;
    }
    return i;
}

static struct azfn__http_fault guard_request_line(struct azfn__http_parser *parser, struct azfn_span line,
                                                  bool is_whole)
{
    struct azfn__http_fault fault =
        azfn__http_guard_request_line(line, is_whole, parser->limits->target_bytes, &parser->line);
    if (fault.status == 0) {
        /* already now: an answer to a request that is refused further on depends on these */
        parser->request.method = parser->line.method;
        parser->request.minor_version = parser->line.minor_version;
    }
    return fault;
}

/* A line with its end, which is_clean says was looked at: one CR, and LF behind it. */
static struct azfn__http_fault guard_line(struct azfn__http_parser *parser, struct azfn_span line, bool is_clean,
                                          bool *out_is_last)
{
    struct azfn__http_fault fault = is_clean ? AZFN__HTTP_NO_FAULT : azfn__http_guard_line_end(line);
    parser->line_start += line.length;
    *out_is_last = false;
    if (fault.status != 0) {
        return fault;
    }
    line.length -= 2;
    if (parser->phase == AZFN__HTTP_PHASE_REQUEST_LINE) {
        parser->phase = AZFN__HTTP_PHASE_HEADERS;
        return guard_request_line(parser, line, true);
    }
    if (line.length == 0) {
        *out_is_last = true;
        return AZFN__HTTP_NO_FAULT;
    }
    if (++parser->line_count > parser->limits->header_count) {
        return azfn__http_beyond(AZFN__HTTP_LIMIT_HEADER_COUNT, 431, "more headers than the limit");
    }
    return azfn__http_guard_header_line(line);
}

static void cut_target(struct azfn__http_request *request, struct azfn_span target)
{
    const char *mark = target.length > 0 ? memchr(target.data, '?', target.length) : NULL;
    size_t length = mark ? (size_t)(mark - target.data) : target.length;
    request->path = length > 0 ? azfn__span(target.data, length) : AZFN__SPAN("/");
    if (mark) {
        request->query = azfn__span_from(target, length + 1);
    }
}

/* The authority of an absolute target counts, and not what Host says (RFC 9112, 3.2.2). */
static void take_authority(struct azfn__http_message *message, size_t header_count, struct azfn_span authority)
{
    for (size_t i = 0; i < header_count; i++) {
        if (azfn__span_equal_ignore_case(message->headers[i].name, AZFN__SPAN("Host"))) {
            message->headers[i].value = authority;
        }
    }
}

static void take_target(struct azfn__http_parser *parser)
{
    struct azfn__http_request *request = &parser->request;
    struct azfn_span target = request->target;
    size_t authority_length = parser->line.authority_length;
    if (authority_length > 0) {
        target = azfn__span_from(target, AZFN__HTTP_SCHEME.length);
        take_authority(parser->message, request->header_count, azfn__span(target.data, authority_length));
        target = azfn__span_from(target, authority_length);
    }
    cut_target(request, target);
}

/* llhttp and the guards have to agree on what the head is made of: where they do not, one of them is wrong. */
static bool is_head_agreed(const struct azfn__http_parser *parser)
{
    const struct azfn__buffer *head = &parser->message->head;
    return llhttp_get_error_pos(&parser->llhttp) == head->data + head->length &&
           parser->request.header_count == parser->line_count && parser->request.target.data &&
           parser->request.target.length == parser->line.target_length;
}

static enum azfn__http_parser_state finish_head(struct azfn__http_parser *parser)
{
    struct azfn__http_message *message = parser->message;
    struct azfn__http_request *request = &parser->request;
    struct azfn__http_header_facts facts = {.is_chunked = false};

    if (!azfn__http_message_reserve_headers(message, parser->line_count, parser->limits->header_count)) {
        return refuse_memory(parser);
    }
    request->headers = message->headers;
    request->method_name = azfn__span(message->head.data, parser->line.method_length);
    if (llhttp_execute(&parser->llhttp, message->head.data, message->head.length) != HPE_PAUSED) {
        return refuse_as_llhttp(parser);
    }
    if (!is_head_agreed(parser)) {
        return refuse(parser, azfn__http_fault_of(400, "an ambiguous head"));
    }
    for (size_t i = 0; i < request->header_count; i++) {
        message->headers[i].value = azfn__span_trim(message->headers[i].value);
    }
    struct azfn__http_fault fault =
        azfn__http_check_headers(message->headers, request->header_count, parser->line.minor_version, &facts);
    if (fault.status != 0) {
        return refuse(parser, fault);
    }
    request->content_length = facts.has_content_length ? parser->llhttp.content_length : 0;
    request->is_chunked = facts.is_chunked;
    request->has_body = facts.is_chunked || request->content_length > 0;
    request->is_keep_alive = facts.is_keep_alive;
    request->names_principal = facts.names_principal;
    request->trace_parent = facts.trace_parent;
    request->expects_continue = facts.expects_continue && request->has_body;
    request->body = azfn__span("", 0);
    take_target(parser);
    parser->phase = AZFN__HTTP_PHASE_BODY_START;
    return AZFN__HTTP_HEAD;
}

static enum azfn__http_parser_state refuse_long_head(struct azfn__http_parser *parser)
{
    if (parser->phase == AZFN__HTTP_PHASE_REQUEST_LINE) {
        return refuse(parser, guard_request_line(parser, azfn__buffer_span(&parser->message->head), false));
    }
    return refuse(parser, azfn__http_beyond(AZFN__HTTP_LIMIT_HEADER_BYTES, 431,
                                            "the head is longer than the limit"));
}

/* Behind the line's LF, or the end. *out_is_clean: it ends with CR LF and has neither of them before. */
static const char *find_line_end(const char *p, const char *end, bool *out_has_end, bool *out_is_clean)
{
    const char *line_break = azfn__find_line_break(p, end);
    *out_is_clean = end - line_break >= 2 && line_break[0] == '\r' && line_break[1] == '\n';
    if (*out_is_clean) {
        *out_has_end = true;
        return line_break + 2;
    }
    const char *line_feed = line_break < end ? memchr(line_break, '\n', (size_t)(end - line_break)) : NULL;
    *out_has_end = line_feed != NULL;
    return line_feed ? line_feed + 1 : end;
}

/* Lines that came whole are checked where they came, and kept with those around them in one piece. */
static enum azfn__http_parser_state feed_head(struct azfn__http_parser *parser, const char *data, size_t length,
                                              size_t *out_taken)
{
    struct azfn__buffer *head = &parser->message->head;
    size_t kept = 0;
    size_t i = 0;
    if (head->length == 0) {
        /* something that is no HTTP at all, such as TLS, shows at its first byte: no need to wait for a line */
        if (!azfn__http_is_token_char(data[0])) {
            return refuse(parser, azfn__http_fault_of(400, "a method that is no token"));
        }
        (void)azfn__buffer_reserve(head, HEAD_FIRST_BYTES);
    }
    while (i < length) {
        bool has_end;
        bool is_clean;
        bool is_last = false;
        struct azfn__http_fault fault = AZFN__HTTP_NO_FAULT;
        size_t room = parser->limits->header_bytes - head->length - (i - kept);
        const char *line_end = find_line_end(data + i, data + length, &has_end, &is_clean);
        struct azfn_span line = azfn__span(data + i, (size_t)(line_end - (data + i)));
        bool is_beyond = line.length > room;
        bool came_whole = has_end && !is_beyond && parser->line_start >= head->length;
        i += is_beyond ? room : line.length;
        *out_taken = i;
        if (came_whole) {
            fault = guard_line(parser, line, is_clean, &is_last);
        }
        if (!came_whole || is_last || fault.status != 0 || i == length) {
            azfn__buffer_append(head, data + kept, i - kept);
            kept = i;
        }
        if (head->has_failed) {
            return refuse_memory(parser);
        }
        if (is_beyond) {
            return refuse_long_head(parser);
        }
        if (has_end && !came_whole) {
            line = azfn__span_from(azfn__buffer_span(head), parser->line_start);
            fault = guard_line(parser, line, false, &is_last);
        }
        if (fault.status != 0) {
            return refuse(parser, fault);
        }
        if (is_last) {
            return finish_head(parser);
        }
    }
    return AZFN__HTTP_NEED_MORE;
}

static enum azfn__http_parser_state complete(struct azfn__http_parser *parser)
{
    parser->phase = AZFN__HTTP_PHASE_IDLE;
    parser->request.body = azfn__buffer_span(&parser->message->body);
    return AZFN__HTTP_COMPLETE;
}

static enum azfn__http_parser_state start_body(struct azfn__http_parser *parser)
{
    const struct azfn__http_request *request = &parser->request;
    if (!request->has_body) {
        return complete(parser);
    }
    if (request->content_length > parser->max_body_bytes) {
        return refuse(parser, azfn__http_beyond(AZFN__HTTP_LIMIT_BODY_BYTES, 413,
                                                "a Content-Length beyond the limit"));
    }
    /* no more than this for a mere announcement; the rest grows with what arrives */
    uint64_t first = request->content_length < BODY_FIRST_BYTES ? request->content_length : BODY_FIRST_BYTES;
    if (!azfn__buffer_reserve(&parser->message->body, (size_t)first)) {
        return refuse_memory(parser);
    }
    llhttp_resume(&parser->llhttp);
    parser->chunk_guard.max_extension_bytes = parser->limits->chunk_extension_bytes;
    parser->chunk_guard.max_trailer_bytes = parser->limits->trailer_bytes;
    parser->phase = request->is_chunked ? AZFN__HTTP_PHASE_CHUNKS : AZFN__HTTP_PHASE_BODY;
    return AZFN__HTTP_NEED_MORE;
}

/* Passes bytes on to llhttp. *out_taken: what it took, which is all of them, or as far as the first bad one. */
static enum azfn__http_parser_state execute(struct azfn__http_parser *parser, const char *data, size_t length,
                                            size_t *out_taken)
{
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, data, length);
    *out_taken = length;
    if (parser->message->body.has_failed) {
        return refuse_memory(parser);
    }
    if (parser->is_over_budget) {
        return refuse(parser, azfn__http_beyond(AZFN__HTTP_LIMIT_BODY_BYTES_IN_FLIGHT, 503,
                                                "the bodies of all requests reach bodyBytesInFlight"));
    }
    if (error == HPE_OK) {
        return AZFN__HTTP_NEED_MORE;
    }
    *out_taken = (size_t)(llhttp_get_error_pos(&parser->llhttp) - data);
    if (error == HPE_PAUSED && parser->is_llhttp_complete && *out_taken == length) {
        return complete(parser);
    }
    return refuse_as_llhttp(parser);
}

static enum azfn__http_parser_state feed_body(struct azfn__http_parser *parser, const char *data, size_t length,
                                              size_t *out_taken)
{
    uint64_t left = parser->request.content_length - parser->body_bytes;
    return execute(parser, data, left < length ? (size_t)left : length, out_taken);
}

static enum azfn__http_parser_state feed_chunk_framing(struct azfn__http_parser *parser, const char *data,
                                                       size_t length, size_t *out_taken)
{
    struct azfn__http_chunk_guard *guard = &parser->chunk_guard;
    struct azfn__http_fault fault = AZFN__HTTP_NO_FAULT;
    bool was_data = false;
    size_t clean = azfn__http_chunk_guard_scan(guard, data, length, &fault);
    enum azfn__http_parser_state state = AZFN__HTTP_NEED_MORE;
    if (clean > 0) {
        /* llhttp first, even if the guard found something: its complaint is about an earlier byte */
        state = execute(parser, data, clean, out_taken);
        was_data = guard->place == AZFN__HTTP_CHUNK_DATA;
    }
    if (state != AZFN__HTTP_NEED_MORE) {
        return state;
    }
    if (fault.status != 0) {
        return refuse(parser, fault);
    }
    if (was_data && guard->data_left > parser->max_body_bytes - guard->body_bytes) {
        return refuse(parser, azfn__http_beyond(AZFN__HTTP_LIMIT_BODY_BYTES, 413,
                                                "a chunked body beyond the limit"));
    }
    return AZFN__HTTP_NEED_MORE;
}

static enum azfn__http_parser_state feed_chunks(struct azfn__http_parser *parser, const char *data, size_t length,
                                                size_t *out_taken)
{
    struct azfn__http_chunk_guard *guard = &parser->chunk_guard;
    enum azfn__http_parser_state state = AZFN__HTTP_NEED_MORE;
    size_t i = 0;
    while (i < length && state == AZFN__HTTP_NEED_MORE) {
        size_t taken = 0;
        if (guard->place == AZFN__HTTP_CHUNK_DATA) {
            size_t piece = guard->data_left < length - i ? (size_t)guard->data_left : length - i;
            azfn__http_chunk_guard_take_data(guard, piece);
            state = execute(parser, data + i, piece, &taken);
        } else {
            state = feed_chunk_framing(parser, data + i, length - i, &taken);
        }
        i += taken;
    }
    *out_taken = i;
    return state;
}

void azfn__http_parser_init(struct azfn__http_parser *parser, const struct azfn__http_parser_limits *limits)
{
    memset(parser, 0, sizeof(*parser));
    parser->limits = limits;
}

void azfn__http_parser_begin(struct azfn__http_parser *parser, struct azfn__http_message *message)
{
    azfn__http_parser_init(parser, parser->limits);
    azfn__http_message_reset(message);
    parser->message = message;
    parser->phase = AZFN__HTTP_PHASE_BLANK_LINES;
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
}

bool azfn__http_parser_is_inside(const struct azfn__http_parser *parser)
{
    return parser->phase != AZFN__HTTP_PHASE_IDLE && parser->phase != AZFN__HTTP_PHASE_BLANK_LINES;
}

bool azfn__http_parser_is_in_body(const struct azfn__http_parser *parser)
{
    return parser->phase == AZFN__HTTP_PHASE_BODY_START || parser->phase == AZFN__HTTP_PHASE_BODY ||
           parser->phase == AZFN__HTTP_PHASE_CHUNKS;
}

void azfn__http_parser_limit_body(struct azfn__http_parser *parser, uint64_t max_body_bytes)
{
    parser->max_body_bytes = max_body_bytes;
}

enum azfn__http_parser_state azfn__http_parser_feed(struct azfn__http_parser *parser, const char *data,
                                                    size_t length, size_t *out_taken)
{
    enum azfn__http_parser_state state = AZFN__HTTP_NEED_MORE;
    size_t before = 0;
    *out_taken = 0;
    if (parser->phase == AZFN__HTTP_PHASE_REFUSED) {
        return AZFN__HTTP_REFUSED;
    }
    if (parser->phase == AZFN__HTTP_PHASE_IDLE) {
        return AZFN__HTTP_COMPLETE;
    }
    if (parser->phase == AZFN__HTTP_PHASE_BODY_START) {
        state = start_body(parser);
    } else if (parser->phase == AZFN__HTTP_PHASE_BLANK_LINES) {
        before = skip_blank_lines(parser, data, length);
        state = parser->phase == AZFN__HTTP_PHASE_REFUSED ? AZFN__HTTP_REFUSED : AZFN__HTTP_NEED_MORE;
    }
    *out_taken = before;
    if (state != AZFN__HTTP_NEED_MORE || before == length) {
        return state;
    }

    size_t taken = 0;
    if (parser->phase == AZFN__HTTP_PHASE_BODY) {
        state = feed_body(parser, data, length, &taken);
    } else if (parser->phase == AZFN__HTTP_PHASE_CHUNKS) {
        state = feed_chunks(parser, data, length, &taken);
    } else {
        state = feed_head(parser, data + before, length - before, &taken);
    }
    *out_taken = before + taken;
    return state;
}
