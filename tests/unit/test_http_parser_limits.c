/* What the parser takes, keeps and refuses where numbers matter: limits, memory, positions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/http_parser.h"

#include <stdlib.h>

static const struct azfn__http_parser_limits usual_limits = {
    .target_bytes = 8192, .header_bytes = 32768, .header_count = 100,
    .chunk_extension_bytes = 1000, .trailer_bytes = 2000};

/* A parser with its message and the bytes of one request, for what a table cannot say. */
struct fixture {
    struct azfn__http_parser_limits limits;
    struct azfn__http_parser parser;
    struct azfn__http_message message;
    struct azfn__buffer bytes;
    size_t taken;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->limits = usual_limits;
    azfn__http_message_init(&fixture->message);
    azfn__http_parser_init(&fixture->parser, &fixture->limits);
    azfn__http_parser_begin(&fixture->parser, &fixture->message);
    azfn__buffer_init(&fixture->bytes, SIZE_MAX / 2);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    azfn__http_message_clean_up(&fixture->message);
    azfn__buffer_clean_up(&fixture->bytes);
    free(fixture);
    return 0;
}

static void add_text(struct fixture *fixture, const char *text)
{
    azfn__buffer_append_text(&fixture->bytes, text);
}

static void add_many(struct fixture *fixture, char c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        azfn__buffer_append_char(&fixture->bytes, c);
    }
}

/* What has not been taken yet of the bytes. */
static enum azfn__http_parser_state feed_rest(struct fixture *fixture)
{
    struct azfn_span rest = azfn__span_from(azfn__buffer_span(&fixture->bytes), fixture->taken);
    size_t taken;
    enum azfn__http_parser_state state = azfn__http_parser_feed(&fixture->parser, rest.data, rest.length, &taken);
    fixture->taken += taken;
    return state;
}

static void begin_again(struct fixture *fixture)
{
    azfn__buffer_reset(&fixture->bytes, SIZE_MAX);
    fixture->taken = 0;
    azfn__http_parser_begin(&fixture->parser, &fixture->message);
}

static void require_refused(struct fixture *fixture, uint16_t status, size_t taken)
{
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(fixture->parser.fault.status, status);
    assert_int_equal(fixture->taken, taken);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(fixture->taken, taken);
}

static void the_view_of_a_request_is_complete(void **state)
{
    struct fixture *fixture = *state;
    struct azfn__http_request *request = &fixture->parser.request;
    add_text(fixture, "PATCH /api/x%20y?z=1 HTTP/1.1\r\nHost: a\r\nX-A: \t 1 2\t\r\nx-a: 3\r\nEmpty:\r\n"
                      "Content-Length: 2\r\n\r\nhiGET");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 2);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
    assert_int_equal(fixture->taken, fixture->bytes.length - 3);

    assert_int_equal(request->method, AZFN__METHOD_PATCH);
    assert_true(azfn_span_equals(request->method_name, "PATCH"));
    assert_true(azfn_span_equals(request->target, "/api/x%20y?z=1"));
    assert_true(azfn_span_equals(request->path, "/api/x%20y"));
    assert_true(azfn_span_equals(request->query, "z=1"));
    assert_int_equal(request->minor_version, 1);
    assert_true(request->has_body);
    assert_false(request->is_chunked);
    assert_int_equal(request->content_length, 2);
    assert_true(azfn_span_equals(request->body, "hi"));
    assert_int_equal(request->header_count, 5);
    assert_true(azfn_span_equals(request->headers[1].name, "X-A"));
    assert_true(azfn_span_equals(request->headers[1].value, "1 2"));
    assert_true(azfn_span_equals(request->headers[3].value, ""));
    assert_true(azfn_span_equals(azfn__http_request_header(request, AZFN__SPAN("x-A")), "1 2"));
    assert_false(azfn_span_is_present(azfn__http_request_header(request, AZFN__SPAN("x-b"))));
}

static void a_target_without_a_query_has_none(void **state)
{
    struct fixture *fixture = *state;
    add_text(fixture, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
    assert_true(azfn_span_equals(fixture->parser.request.path, "*"));
    assert_false(azfn_span_is_present(fixture->parser.request.query));
    assert_true(azfn_span_is_present(fixture->parser.request.body));
    assert_int_equal(fixture->parser.request.body.length, 0);
}

static void inside_begins_after_blank_lines(void **state)
{
    struct fixture *fixture = *state;
    assert_false(azfn__http_parser_is_inside(&fixture->parser));
    add_text(fixture, "\r\n\r");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_NEED_MORE);
    assert_false(azfn__http_parser_is_inside(&fixture->parser));
    add_text(fixture, "\nG");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_NEED_MORE);
    assert_true(azfn__http_parser_is_inside(&fixture->parser));
    add_text(fixture, "ET / HTTP/1.0\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    assert_true(azfn__http_parser_is_inside(&fixture->parser));
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
    assert_false(azfn__http_parser_is_inside(&fixture->parser));
}

static void a_target_may_be_as_long_as_the_limit(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        begin_again(fixture);
        add_text(fixture, "GET /");
        add_many(fixture, 'a', fixture->limits.target_bytes - 1 + excess);
        add_text(fixture, " HTTP/1.1\r\n");
        size_t line_end = fixture->bytes.length;
        add_text(fixture, "Host: a\r\n\r\n");
        if (excess == 0) {
            assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
            assert_int_equal(fixture->parser.request.target.length, fixture->limits.target_bytes);
        } else {
            require_refused(fixture, 414, line_end);
        }
    }
}

static void a_request_line_without_end_is_refused_for_what_it_has(void **state)
{
    static const struct {
        const char *begin;
        char filler;
        uint16_t status;
    } lines[] = {{"GET /", 'a', 414}, {"", 'A', 501}, {"A", ':', 400}, {"GET ", ' ', 400}, {"GET / HTTP/1.1", ' ', 431}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        begin_again(fixture);
        add_text(fixture, lines[i].begin);
        add_many(fixture, lines[i].filler, fixture->limits.header_bytes + 1);
        require_refused(fixture, lines[i].status, fixture->limits.header_bytes);
    }
}

static void a_head_that_ends_with_its_request_line_is_too_long(void **state)
{
    struct fixture *fixture = *state;
    /* also where the limit cuts the version or its line end */
    for (uint32_t header_bytes = 7; header_bytes <= 16; header_bytes++) {
        begin_again(fixture);
        fixture->limits.header_bytes = header_bytes;
        add_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        require_refused(fixture, 431, header_bytes);
    }
}

static void a_head_may_be_as_long_as_the_limit(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        begin_again(fixture);
        add_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        add_many(fixture, 'a', fixture->limits.header_bytes + excess - fixture->bytes.length - 4);
        add_text(fixture, "\r\n\r\n");
        if (excess == 0) {
            assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
            assert_int_equal(fixture->taken, fixture->limits.header_bytes);
            assert_true(azfn_span_equals(fixture->parser.request.headers[0].value, "a"));
        } else {
            require_refused(fixture, 431, fixture->limits.header_bytes);
        }
    }
}

static void there_may_be_as_many_headers_as_the_limit(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        begin_again(fixture);
        add_text(fixture, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (size_t i = 1; i < fixture->limits.header_count + excess; i++) {
            add_text(fixture, "A: ");
            azfn__buffer_append_uint(&fixture->bytes, i);
            add_text(fixture, "\r\n");
        }
        size_t last_line_end = fixture->bytes.length;
        add_text(fixture, "\r\n");
        if (excess == 0) {
            assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
            assert_int_equal(fixture->parser.request.header_count, fixture->limits.header_count);
            assert_true(azfn_span_equals(fixture->parser.request.headers[99].value, "99"));
            assert_int_equal(fixture->message.header_capacity, fixture->limits.header_count);
        } else {
            require_refused(fixture, 431, last_line_end);
        }
    }
}

static void a_body_is_refused_before_its_first_byte(void **state)
{
    struct fixture *fixture = *state;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    size_t head_end = fixture->bytes.length;
    add_text(fixture, "abc");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 2);
    require_refused(fixture, 413, head_end);
}

static void without_a_limit_there_is_no_body(void **state)
{
    struct fixture *fixture = *state;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    require_refused(fixture, 413, fixture->taken);
}

static void an_announced_body_costs_no_memory(void **state)
{
    struct fixture *fixture = *state;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, UINT64_MAX);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_NEED_MORE);
    assert_true(fixture->message.body.capacity <= 65536);
    add_many(fixture, 'a', 65537);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_NEED_MORE);
    assert_true(fixture->message.body.capacity <= 131072);
}

static void big_bodies_arrive_unchanged(void **state)
{
    enum { BODY_BYTES = 300000 };
    struct fixture *fixture = *state;
    for (int is_chunked = 0; is_chunked < 2; is_chunked++) {
        begin_again(fixture);
        add_text(fixture, is_chunked ? "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n493E0\r\n"
                                     : "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
        size_t begin = fixture->bytes.length;
        for (unsigned i = 0; i < BODY_BYTES; i++) {
            azfn__buffer_append_char(&fixture->bytes, (char)(i * 2654435761u >> 24));
        }
        add_text(fixture, is_chunked ? "\r\n0\r\n\r\n" : "");
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
        azfn__http_parser_limit_body(&fixture->parser, BODY_BYTES);
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
        assert_int_equal(fixture->taken, fixture->bytes.length);
        assert_true(azfn__span_equal(fixture->parser.request.body,
                                     azfn__span(fixture->bytes.data + begin, BODY_BYTES)));
        assert_int_equal(fixture->parser.request.content_length, is_chunked ? 0 : BODY_BYTES);
    }
}

static void add_chunked_head(struct fixture *fixture)
{
    begin_again(fixture);
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* With a body of at most 100 bytes. status 0: complete. */
static void require_chunked(struct fixture *fixture, uint16_t status, size_t taken)
{
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 100);
    if (status == 0) {
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
        assert_int_equal(fixture->taken, fixture->bytes.length);
    } else {
        require_refused(fixture, status, taken);
    }
}

/* 16 KiB, and 8 bytes for each byte of the body. */
static void chunk_sizes_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        add_chunked_head(fixture);
        size_t end = fixture->bytes.length + 16384;
        add_many(fixture, '0', 16384 - 3 + excess);
        add_text(fixture, "2\r\nhi\r\n0\r\n\r\n");
        require_chunked(fixture, excess == 0 ? 0 : 400, end);
    }
}

static void the_extensions_of_all_chunks_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        add_chunked_head(fixture);
        add_text(fixture, "2;a=");
        add_many(fixture, 'b', 400 - 3);
        add_text(fixture, "\r\nhi\r\n3;");
        add_many(fixture, 'c', 500 - 1);
        add_text(fixture, "\r\nyou\r\n0;");
        add_many(fixture, 'd', 100 - 1);
        size_t end = fixture->bytes.length;
        add_many(fixture, 'd', excess);
        add_text(fixture, "\r\n\r\n");
        require_chunked(fixture, excess == 0 ? 0 : 400, end);
    }
}

static void all_trailers_are_limited(void **state)
{
    struct fixture *fixture = *state;
    for (size_t excess = 0; excess < 2; excess++) {
        add_chunked_head(fixture);
        add_text(fixture, "2\r\nhi\r\n0\r\n");
        size_t end = fixture->bytes.length + fixture->limits.trailer_bytes;
        add_text(fixture, "X: y\r\nZ: ");
        add_many(fixture, 'z', end + excess - fixture->bytes.length - 2);
        add_text(fixture, "\r\n\r\n");
        require_chunked(fixture, excess == 0 ? 0 : 431, end);
    }
}

/* Two messages share 100 bytes. */
static void all_bodies_together_are_limited(void **state)
{
    struct fixture *fixture = *state;
    struct azfn__http_body_budget budget = {.max_bytes = 100};
    struct azfn__http_message other;
    azfn__http_message_init(&other);
    other.budget = &budget;
    fixture->message.budget = &budget;
    assert_true(azfn__http_message_append_body(&other, "0123456789", 10));
    for (size_t excess = 0; excess < 2; excess++) {
        begin_again(fixture);
        assert_int_equal(budget.used_bytes, 10);
        add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        add_many(fixture, 'x', 90 + excess);
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
        azfn__http_parser_limit_body(&fixture->parser, 1000);
        if (excess == 0) {
            assert_int_equal(feed_rest(fixture), AZFN__HTTP_NEED_MORE);
            assert_int_equal(budget.used_bytes, 100);
            assert_false(azfn__http_message_append_body(&other, "x", 1));
            assert_int_equal(other.body.length, 10);
        } else {
            require_refused(fixture, 503, fixture->bytes.length);
        }
    }
    /* bytes that were taken out make room */
    azfn__buffer_consume(&other.body, 10);
    assert_true(azfn__http_message_append_body(&other, "ab", 2));
    assert_int_equal(budget.used_bytes, 2);
    azfn__http_message_reset(&fixture->message);
    azfn__http_message_clean_up(&other);
    assert_int_equal(budget.used_bytes, 0);
}

static void chunks_of_one_byte_are_fine(void **state)
{
    struct fixture *fixture = *state;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 50000; i++) {
        add_text(fixture, "1\r\nx\r\n");
    }
    add_text(fixture, "0\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 50000);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
    assert_int_equal(fixture->parser.request.body.length, 50000);
}

static void no_memory_is_503(void **state)
{
    struct fixture *fixture = *state;
    fixture->message.head.max_bytes = 20;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(fixture->parser.fault.status, 503);

    azfn__http_message_clean_up(&fixture->message);
    azfn__http_message_init(&fixture->message);
    azfn__http_parser_begin(&fixture->parser, &fixture->message);
    fixture->taken = 0;
    fixture->message.body.max_bytes = 99;
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 100);
    require_refused(fixture, 503, fixture->bytes.length);
}

static void no_memory_while_chunks_come_is_503(void **state)
{
    struct fixture *fixture = *state;
    fixture->message.body.max_bytes = 4;
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 100);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(fixture->parser.fault.status, 503);
}

static void warm_buffers_stay_and_big_ones_go(void **state)
{
    struct fixture *fixture = *state;
    const char *head = NULL;
    const struct azfn__http_header *headers = NULL;
    for (int i = 0; i < 3; i++) {
        begin_again(fixture);
        add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
        azfn__http_parser_limit_body(&fixture->parser, 2);
        assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
        if (head) {
            assert_ptr_equal(fixture->message.head.data, head);
            assert_ptr_equal(fixture->message.headers, headers);
        }
        head = fixture->message.head.data;
        headers = fixture->message.headers;
    }
    azfn__http_message_reset(&fixture->message);
    assert_int_equal(fixture->message.body.data[0], 0);
    assert_int_equal(fixture->message.head.data[0], 0);
    assert_int_equal(fixture->message.head.length, 0);

    begin_again(fixture);
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\nX: ");
    add_many(fixture, 'x', 9000);
    add_text(fixture, "\r\n\r\n");
    add_many(fixture, 'x', 20000);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    azfn__http_parser_limit_body(&fixture->parser, 20000);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
    azfn__http_message_reset(&fixture->message);
    assert_int_equal(fixture->message.head.capacity, 0);
    assert_int_equal(fixture->message.body.capacity, 0);
}

static void a_refused_request_says_what_was_read_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct azfn__http_request *request = &fixture->parser.request;
    add_text(fixture, "HEAD / HTTP/1.0\r\nA: b\nC");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(request->method, AZFN__METHOD_HEAD);
    assert_int_equal(request->minor_version, 0);
    assert_int_equal(request->header_count, 0);

    begin_again(fixture);
    add_text(fixture, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_REFUSED);
    assert_int_equal(request->method, AZFN__METHOD_POST);
    assert_true(azfn_span_equals(request->path, "/x"));
    assert_true(azfn_span_equals(azfn__http_request_header(request, AZFN__SPAN("host")), "a"));
}

static void feeding_nothing_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    size_t taken = 1;
    assert_int_equal(azfn__http_parser_feed(&fixture->parser, NULL, 0, &taken), AZFN__HTTP_NEED_MORE);
    assert_int_equal(taken, 0);
    add_text(fixture, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_HEAD);
    assert_int_equal(azfn__http_parser_feed(&fixture->parser, NULL, 0, &taken), AZFN__HTTP_NEED_MORE);
    assert_int_equal(azfn__http_parser_feed(&fixture->parser, NULL, 0, &taken), AZFN__HTTP_NEED_MORE);
    add_text(fixture, "0\r\n\r\n");
    assert_int_equal(feed_rest(fixture), AZFN__HTTP_COMPLETE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_view_of_a_request_is_complete, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_target_without_a_query_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(inside_begins_after_blank_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_target_may_be_as_long_as_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_line_without_end_is_refused_for_what_it_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_that_ends_with_its_request_line_is_too_long, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_may_be_as_long_as_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_may_be_as_many_headers_as_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_is_refused_before_its_first_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_limit_there_is_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_announced_body_costs_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(big_bodies_arrive_unchanged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunk_sizes_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_extensions_of_all_chunks_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_trailers_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_bodies_together_are_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chunks_of_one_byte_are_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory_is_503, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory_while_chunks_come_is_503, set_up, tear_down),
        cmocka_unit_test_setup_teardown(warm_buffers_stay_and_big_ones_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refused_request_says_what_was_read_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(feeding_nothing_changes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
