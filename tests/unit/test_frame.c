/* The frames between broker and worker: what goes in comes out, and what is no frame is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "channel/frame.h"

#include <stdlib.h>

#define NO_LIMIT ((size_t)1 << 30)

/* More than any frame may carry. */
static char big[100000];

static void require_next(struct azfn__frame_reader *reader, enum azfn__frame_type type, struct azfn_span payload)
{
    struct azfn__frame frame;
    assert_int_equal(azfn__frame_reader_next(reader, &frame), AZFN_OK);
    assert_int_equal(frame.type, type);
    assert_true(azfn__span_equal(frame.payload, payload));
}

static void require_nothing_more(struct azfn__frame_reader *reader)
{
    struct azfn__frame frame;
    assert_int_equal(azfn__frame_reader_next(reader, &frame), AZFN_ERROR_UNAVAILABLE);
}

static void frames_come_out_in_the_order_they_went_in(void **state)
{
    (void)state;
    struct azfn__buffer bytes;
    struct azfn__frame_reader reader;
    azfn__buffer_init(&bytes, NO_LIMIT);
    azfn__frame_append(&bytes, AZFN__FRAME_READY, (struct azfn_span){0});
    azfn__frame_append(&bytes, AZFN__FRAME_FAULT, AZFN__SPAN("no port"));
    azfn__frame_append(&bytes, AZFN__FRAME_DRAIN, AZFN__SPAN(""));
    azfn__frame_reader_init(&reader);
    assert_true(azfn__frame_reader_feed(&reader, bytes.data, bytes.length));
    require_next(&reader, AZFN__FRAME_READY, AZFN__SPAN(""));
    require_next(&reader, AZFN__FRAME_FAULT, AZFN__SPAN("no port"));
    require_next(&reader, AZFN__FRAME_DRAIN, AZFN__SPAN(""));
    require_nothing_more(&reader);
    azfn__frame_reader_clean_up(&reader);
    azfn__buffer_clean_up(&bytes);
}

static void a_frame_has_its_length_first_in_little_endian(void **state)
{
    (void)state;
    struct azfn__buffer bytes;
    azfn__buffer_init(&bytes, NO_LIMIT);
    azfn__frame_append(&bytes, AZFN__FRAME_FAULT, azfn__span(big, 0x0123));
    assert_int_equal(bytes.length, AZFN__FRAME_HEADER_BYTES + 0x0123);
    assert_memory_equal(bytes.data, "\x23\x01\0\0\x02\0\0\0", AZFN__FRAME_HEADER_BYTES);
    azfn__buffer_clean_up(&bytes);
}

static void an_oversized_payload_is_cut_when_it_is_written(void **state)
{
    (void)state;
    struct azfn__buffer bytes;
    struct azfn__frame_reader reader;
    azfn__buffer_init(&bytes, NO_LIMIT);
    azfn__frame_append(&bytes, AZFN__FRAME_FAULT, azfn__span(big, sizeof(big)));
    azfn__frame_append(&bytes, AZFN__FRAME_READY, AZFN__SPAN(""));
    azfn__frame_reader_init(&reader);
    assert_true(azfn__frame_reader_feed(&reader, bytes.data, bytes.length));
    require_next(&reader, AZFN__FRAME_FAULT, azfn__span(big, AZFN__FRAME_MAX_PAYLOAD_BYTES));
    require_next(&reader, AZFN__FRAME_READY, AZFN__SPAN(""));
    require_nothing_more(&reader);
    azfn__frame_reader_clean_up(&reader);
    azfn__buffer_clean_up(&bytes);
}

static void frames_may_come_one_byte_at_a_time(void **state)
{
    (void)state;
    struct azfn__buffer bytes;
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    size_t found = 0;
    azfn__buffer_init(&bytes, NO_LIMIT);
    for (size_t i = 0; i < 5; i++) {
        azfn__frame_append(&bytes, AZFN__FRAME_FAULT, azfn__span("abcde", i));
    }
    azfn__frame_reader_init(&reader);
    for (size_t i = 0; i < bytes.length; i++) {
        assert_true(azfn__frame_reader_feed(&reader, bytes.data + i, 1));
        enum azfn_error error = azfn__frame_reader_next(&reader, &frame);
        if (error == AZFN_OK) {
            assert_int_equal(frame.type, AZFN__FRAME_FAULT);
            assert_true(azfn__span_equal(frame.payload, azfn__span("abcde", found)));
            found++;
            error = azfn__frame_reader_next(&reader, &frame);
        }
        assert_int_equal(error, AZFN_ERROR_UNAVAILABLE);
    }
    assert_int_equal(found, 5);
    azfn__frame_reader_clean_up(&reader);
    azfn__buffer_clean_up(&bytes);
}

static void a_header_that_is_none_is_refused_and_stays_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "\x01\x80\0\0\x01\0\0\0",     /* one byte more than a frame may have */
        "\0\0\0\x80\x01\0\0\0",       /* a length that is negative in 32 bits */
        "\xff\xff\xff\xff\x01\0\0\0", /* ... and one that overflows with the header */
        "\0\0\0\0\x01\x01\0\0",       /* each of the bytes that have to be zero */
        "\0\0\0\0\x01\0\x01\0",
        "\0\0\0\0\x01\0\0\x01",
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct azfn__frame_reader reader;
        struct azfn__frame frame;
        azfn__frame_reader_init(&reader);
        assert_true(azfn__frame_reader_feed(&reader, headers[i], AZFN__FRAME_HEADER_BYTES));
        assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_ERROR_SYNTAX);
        assert_true(azfn__frame_reader_feed(&reader, "\0\0\0\0\x01\0\0\0", AZFN__FRAME_HEADER_BYTES));
        assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_ERROR_SYNTAX);
        azfn__frame_reader_clean_up(&reader);
    }
}

static void a_type_that_nobody_knows_is_handed_on_for_the_reader_to_judge(void **state)
{
    (void)state;
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    azfn__frame_reader_init(&reader);
    assert_true(azfn__frame_reader_feed(&reader, "\0\0\0\0\xff\0\0\0", AZFN__FRAME_HEADER_BYTES));
    assert_int_equal(azfn__frame_reader_next(&reader, &frame), AZFN_OK);
    assert_int_equal((int)frame.type, 0xff);
    azfn__frame_reader_clean_up(&reader);
}

static void more_bytes_than_a_frame_can_have_are_not_taken(void **state)
{
    (void)state;
    struct azfn__frame_reader reader;
    bool is_taken = true;
    size_t fed = 0;
    azfn__frame_reader_init(&reader);
    while (is_taken && fed < NO_LIMIT) {
        is_taken = azfn__frame_reader_feed(&reader, big, 1000);
        fed += 1000;
    }
    assert_false(is_taken);
    assert_in_range(fed, AZFN__FRAME_HEADER_BYTES + AZFN__FRAME_MAX_PAYLOAD_BYTES, 128 << 10);
    assert_false(azfn__frame_reader_feed(&reader, "", 0));
    azfn__frame_reader_clean_up(&reader);
}

static void an_endless_stream_is_no_flood_while_its_frames_are_taken(void **state)
{
    (void)state;
    struct azfn__buffer bytes;
    struct azfn__frame_reader reader;
    azfn__buffer_init(&bytes, NO_LIMIT);
    for (size_t i = 0; i < 2; i++) {
        azfn__frame_append(&bytes, AZFN__FRAME_FAULT, azfn__span(big, AZFN__FRAME_MAX_PAYLOAD_BYTES));
    }
    azfn__frame_reader_init(&reader);
    for (size_t i = 0; i < 1000; i++) {
        assert_true(azfn__frame_reader_feed(&reader, bytes.data, bytes.length));
        for (size_t j = 0; j < 2; j++) {
            require_next(&reader, AZFN__FRAME_FAULT, azfn__span(big, AZFN__FRAME_MAX_PAYLOAD_BYTES));
        }
        require_nothing_more(&reader);
    }
    azfn__frame_reader_clean_up(&reader);
    azfn__buffer_clean_up(&bytes);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)(i * 7 + i / 251);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_out_in_the_order_they_went_in),
        cmocka_unit_test(a_frame_has_its_length_first_in_little_endian),
        cmocka_unit_test(an_oversized_payload_is_cut_when_it_is_written),
        cmocka_unit_test(frames_may_come_one_byte_at_a_time),
        cmocka_unit_test(a_header_that_is_none_is_refused_and_stays_refused),
        cmocka_unit_test(a_type_that_nobody_knows_is_handed_on_for_the_reader_to_judge),
        cmocka_unit_test(more_bytes_than_a_frame_can_have_are_not_taken),
        cmocka_unit_test(an_endless_stream_is_no_flood_while_its_frames_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
