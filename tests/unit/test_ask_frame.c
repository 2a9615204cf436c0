/* What a worker asks and what it is answered: what goes in comes out, and what is cut or made up is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "channel/ask_frame.h"

#include <stdlib.h>

#define NO_LIMIT ((size_t)1 << 30)

static struct azfn__buffer bytes;
static struct azfn__frame_reader reader;

static int set_up(void **state)
{
    (void)state;
    azfn__buffer_init(&bytes, NO_LIMIT);
    azfn__frame_reader_init(&reader);
    return 0;
}

static int clean_up(void **state)
{
    (void)state;
    azfn__buffer_clean_up(&bytes);
    azfn__frame_reader_clean_up(&reader);
    return 0;
}

/* The payload of the only frame in bytes. */
static struct azfn_span payload(enum azfn__frame_type type)
{
    struct azfn__frame frame;
    assert_true(azfn__frame_reader_feed(&reader, bytes.data, bytes.length));
    assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_OK);
    assert_int_equal(frame.type, type);
    return frame.payload;
}

static bool decode_secret(struct azfn_span text)
{
    struct azfn__secret_ask ask;
    return azfn__ask_decode_secret(text, &ask);
}

static bool decode_answer(struct azfn_span text)
{
    struct azfn__secret_answer answer;
    return azfn__ask_decode_secret_answer(text, &answer);
}

static bool decode_request(struct azfn_span text)
{
    struct azfn__request_ask ask;
    return azfn__ask_decode_request(text, &ask);
}

static bool decode_response(struct azfn_span text)
{
    struct azfn__response_head head;
    return azfn__ask_decode_response(text, &head);
}

static bool decode_number(struct azfn_span text)
{
    struct azfn__ask_number number;
    return azfn__ask_decode_number(text, &number);
}

/* A payload is no longer one when something is cut off or added; each cut in memory of exactly its size. */
static void require_exact(bool (*decode)(struct azfn_span), struct azfn_span whole)
{
    for (size_t length = 0; length <= whole.length + 1; length++) {
        char *copy = calloc(1, length + 1);
        assert_non_null(copy);
        memcpy(copy, whole.data, length < whole.length ? length : whole.length);
        char *exact = malloc(length > 0 ? length : 1);
        assert_non_null(exact);
        memcpy(exact, copy, length);
        assert_int_equal(decode(azfn__span(exact, length)), length == whole.length);
        free(exact);
        free(copy);
    }
}

static void an_ask_for_a_secret_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const struct azfn__secret_ask ask = {.id = 0x80010002,
                                         .function = AZFN__SPAN("webhook"),
                                         .invocation_id = AZFN__SPAN("id-1"),
                                         .trace_parent = AZFN__SPAN("00-1-2-3"),
                                         .name = AZFN__SPAN("webhook-key")};
    struct azfn__secret_ask decoded;
    assert_true(azfn__ask_append_secret(&bytes, &ask));
    struct azfn_span text = payload(AZFN__FRAME_SECRET_ASK);
    assert_true(azfn__ask_decode_secret(text, &decoded));
    assert_int_equal(decoded.id, ask.id);
    assert_true(azfn__span_equal(decoded.function, ask.function));
    assert_true(azfn__span_equal(decoded.invocation_id, ask.invocation_id));
    assert_true(azfn__span_equal(decoded.trace_parent, ask.trace_parent));
    assert_true(azfn__span_equal(decoded.name, ask.name));
    require_exact(decode_secret, text);
}

static void a_secret_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const struct azfn__secret_answer answer = {
        .id = 7, .version = AZFN__SPAN("0123"), .value = AZFN__SPAN("not a secret\0 at all")};
    struct azfn__secret_answer decoded;
    assert_true(azfn__ask_append_secret_answer(&bytes, &answer));
    struct azfn_span text = payload(AZFN__FRAME_SECRET);
    assert_true(azfn__ask_decode_secret_answer(text, &decoded));
    assert_int_equal(decoded.id, 7);
    assert_int_equal(decoded.error, AZFN_OK);
    assert_true(azfn__span_equal(decoded.version, answer.version));
    assert_true(azfn__span_equal(decoded.value, answer.value));
    require_exact(decode_answer, text);
}

static void the_longest_secret_fits(void **state)
{
    (void)state;
    static char longest[25600];
    memset(longest, 'x', sizeof(longest));
    const struct azfn__secret_answer answer = {
        .id = 1, .version = AZFN__SPAN("0123456789abcdef0123456789abcdef"), .value = azfn__span(longest, sizeof(longest))};
    struct azfn__secret_answer decoded;
    assert_true(azfn__ask_append_secret_answer(&bytes, &answer));
    assert_true(azfn__ask_decode_secret_answer(payload(AZFN__FRAME_SECRET), &decoded));
    assert_true(azfn__span_equal(decoded.value, answer.value));
}

static void an_error_that_there_is_not_is_refused(void **state)
{
    (void)state;
    assert_true(decode_answer(azfn__span("\1\0\0\0\x0b\0\0\0\0", 9)));
    assert_false(decode_answer(azfn__span("\1\0\0\0\x0c\0\0\0\0", 9)));
}

static void a_request_comes_out_with_its_headers(void **state)
{
    (void)state;
    const struct azfn__request_ask ask = {.id = 3,
                                          .timeout_ms = 30000,
                                          .body_bytes = AZFN__ASK_UNKNOWN_BYTES,
                                          .function = AZFN__SPAN("order"),
                                          .invocation_id = AZFN__SPAN("id"),
                                          .trace_parent = AZFN__SPAN(""),
                                          .destination = AZFN__SPAN("partner"),
                                          .method = AZFN__SPAN("POST"),
                                          .path = AZFN__SPAN("orders?x=1"),
                                          .headers.count = 2};
    size_t begin = azfn__ask_begin_request(&bytes, &ask);
    azfn__ask_append_header(&bytes, AZFN__SPAN("accept"), AZFN__SPAN("application/json"));
    azfn__ask_append_header(&bytes, AZFN__SPAN("x-empty"), AZFN__SPAN(""));
    assert_true(azfn__frame_end(&bytes, begin));
    struct azfn_span text = payload(AZFN__FRAME_REQUEST);
    struct azfn__request_ask decoded;
    struct azfn_span name;
    struct azfn_span value;
    assert_true(azfn__ask_decode_request(text, &decoded));
    assert_int_equal(decoded.timeout_ms, 30000);
    assert_true(decoded.body_bytes == AZFN__ASK_UNKNOWN_BYTES);
    assert_true(azfn__span_equal(decoded.destination, ask.destination));
    assert_true(azfn__span_equal(decoded.path, ask.path));
    assert_int_equal(decoded.headers.count, 2);
    assert_true(azfn__ask_next_header(&decoded.headers, &name, &value));
    assert_true(azfn_span_equals(name, "accept") && azfn_span_equals(value, "application/json"));
    assert_true(azfn__ask_next_header(&decoded.headers, &name, &value));
    assert_true(azfn_span_equals(name, "x-empty") && value.length == 0);
    assert_false(azfn__ask_next_header(&decoded.headers, &name, &value));
    require_exact(decode_request, text);
}

static void more_headers_than_there_are_are_refused(void **state)
{
    (void)state;
    assert_true(decode_response(azfn__span("\1\0\0\0\xc8\0\1\0\1\0a\1\0b", 14)));
    assert_false(decode_response(azfn__span("\1\0\0\0\xc8\0\2\0\1\0a\1\0b", 14)));
    assert_false(decode_response(azfn__span("\1\0\0\0\xc8\0\0\0\1\0a\1\0b", 14)));
    assert_false(decode_response(azfn__span("\1\0\0\0\xc8\0\xff\xff\1\0a\1\0b", 14)));
}

static void what_does_not_fit_into_a_frame_leaves_nothing_behind(void **state)
{
    (void)state;
    static char large[AZFN__FRAME_MAX_PAYLOAD_BYTES];
    const struct azfn__request_ask ask = {.id = 1, .path = azfn__span(large, sizeof(large))};
    size_t begin = azfn__ask_begin_request(&bytes, &ask);
    assert_false(azfn__frame_end(&bytes, begin));
    assert_int_equal(bytes.length, 0);
    assert_true(azfn__ask_append_number(&bytes, AZFN__FRAME_RESPONSE_END, 1, AZFN_ERROR_LIMIT));
    require_exact(decode_number, payload(AZFN__FRAME_RESPONSE_END));
}

static void pieces_carry_what_is_left(void **state)
{
    (void)state;
    struct azfn__ask_piece piece = {.id = 9, .is_last = true, .bytes = AZFN__SPAN("body")};
    assert_true(azfn__ask_append_piece(&bytes, AZFN__FRAME_REQUEST_BODY, &piece));
    struct azfn_span text = payload(AZFN__FRAME_REQUEST_BODY);
    struct azfn__ask_piece decoded;
    assert_true(azfn__ask_decode_piece(text, &decoded));
    assert_true(decoded.is_last && azfn_span_equals(decoded.bytes, "body") && decoded.id == 9);
    assert_false(azfn__ask_decode_piece(azfn__span("\1\0\0\0", 4), &decoded));
    assert_false(azfn__ask_decode_piece(azfn__span("\1\0\0\0\2x", 6), &decoded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_ask_for_a_secret_comes_out_as_it_went_in, set_up, clean_up),
        cmocka_unit_test_setup_teardown(a_secret_comes_out_as_it_went_in, set_up, clean_up),
        cmocka_unit_test_setup_teardown(the_longest_secret_fits, set_up, clean_up),
        cmocka_unit_test_setup_teardown(an_error_that_there_is_not_is_refused, set_up, clean_up),
        cmocka_unit_test_setup_teardown(a_request_comes_out_with_its_headers, set_up, clean_up),
        cmocka_unit_test_setup_teardown(more_headers_than_there_are_are_refused, set_up, clean_up),
        cmocka_unit_test_setup_teardown(what_does_not_fit_into_a_frame_leaves_nothing_behind, set_up, clean_up),
        cmocka_unit_test_setup_teardown(pieces_carry_what_is_left, set_up, clean_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
