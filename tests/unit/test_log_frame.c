/* Log frames: what a worker says comes out as it went in, and what azfn never writes is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "channel/frame.h"
#include "channel/payload.h"

#include <stdlib.h>

#define NO_LIMIT ((size_t)1 << 30)

/* More than any frame may carry. */
static char big[100000];

static struct azfn__log_frame round_trip(struct azfn__frame_reader *reader, const struct azfn__log_frame *log)
{
    struct azfn__buffer bytes;
    struct azfn__frame frame;
    struct azfn__log_frame found;
    azfn__buffer_init(&bytes, NO_LIMIT);
    azfn__frame_append_log(&bytes, log);
    azfn__frame_reader_init(reader);
    assert_true(azfn__frame_reader_feed(reader, bytes.data, bytes.length));
    azfn__buffer_clean_up(&bytes);
    assert_int_equal(azfn__frame_reader_next(reader, &frame), AZFN_OK);
    assert_int_equal(frame.type, AZFN__FRAME_LOG);
    assert_true(azfn__frame_decode_log(frame.payload, &found));
    assert_int_equal(azfn__frame_reader_next(reader, &frame), AZFN_ERROR_UNAVAILABLE);
    return found;
}

static void a_log_frame_comes_back_as_it_was(void **state)
{
    (void)state;
    const struct azfn__log_frame log = {.event = AZFN__EVENT_INVALID_ENVELOPE,
                                        .level = AZFN_LOG_WARNING,
                                        .fields = {.function = AZFN__SPAN("webhook"),
                                                   .invocation_id = AZFN__SPAN("0b9c\0\xff"),
                                                   .trace_id = AZFN__SPAN(""),
                                                   .status = AZFN__NUMBER(-404)},
                                        .text = AZFN__SPAN("two\nlines")};
    struct azfn__frame_reader reader;
    struct azfn__log_frame found = round_trip(&reader, &log);
    assert_int_equal(found.event, AZFN__EVENT_INVALID_ENVELOPE);
    assert_int_equal(found.level, AZFN_LOG_WARNING);
    assert_int_equal(azfn__event_fields_set(&found.fields), azfn__event_fields_set(&log.fields));
    assert_true(azfn__span_equal(found.fields.function, log.fields.function));
    assert_true(azfn__span_equal(found.fields.invocation_id, log.fields.invocation_id));
    assert_false(azfn_span_is_present(found.fields.trace_id));
    assert_int_equal(found.fields.status.value, -404);
    assert_true(azfn__span_equal(found.text, log.text));
    azfn__frame_reader_clean_up(&reader);
}

static void what_is_absent_of_a_log_frame_stays_absent(void **state)
{
    (void)state;
    struct azfn__frame_reader reader;
    struct azfn__log_frame found = round_trip(&reader, &(struct azfn__log_frame){.level = AZFN_LOG_ERROR});
    assert_int_equal(found.event, AZFN__EVENT_NONE);
    assert_int_equal(found.level, AZFN_LOG_ERROR);
    assert_int_equal(azfn__event_fields_set(&found.fields), 0);
    assert_true(azfn_span_equals(found.text, ""));
    azfn__frame_reader_clean_up(&reader);
}

static void texts_that_are_too_long_for_a_log_frame_are_cut_each_for_itself(void **state)
{
    (void)state;
    struct azfn_span whole = azfn__span(big, sizeof(big));
    const struct azfn__log_frame log = {.fields = {.function = whole, .invocation_id = whole}, .text = whole};
    struct azfn__frame_reader reader;
    struct azfn__log_frame found = round_trip(&reader, &log);
    assert_int_equal(found.fields.function.length, 1280);
    assert_int_equal(found.fields.invocation_id.length, 1280);
    assert_int_equal(found.text.length, 8192);
    assert_memory_equal(found.text.data, big, found.text.length);
    azfn__frame_reader_clean_up(&reader);
}

static void what_an_event_does_not_have_is_not_written(void **state)
{
    (void)state;
    const struct azfn__log_frame log = {.event = AZFN__EVENT_INVALID_JSON,
                                        .level = AZFN_LOG_ERROR,
                                        .fields = {.function = AZFN__SPAN("f"),
                                                   .secret = AZFN__SPAN("s"),
                                                   .status = AZFN__NUMBER(500),
                                                   .count = AZFN__NUMBER(3)}};
    struct azfn__frame_reader reader;
    struct azfn__log_frame found = round_trip(&reader, &log);
    assert_int_equal(found.level, AZFN_LOG_WARNING);
    assert_true(azfn__event_fields_set(&found.fields) == AZFN__FIELD_BIT(FUNCTION));
    azfn__frame_reader_clean_up(&reader);
}

static void user_info_is_gone_before_a_url_is_cut(void **state)
{
    (void)state;
    static const char before[] = "https://user:";
    char url[2000];
    memset(url, 'k', sizeof(url));
    memcpy(url, before, sizeof(before) - 1);
    memcpy(url + sizeof(url) - 8, "@host/ab", 8);
    const struct azfn__log_frame log = {.event = AZFN__EVENT_INVALID_ENVELOPE,
                                        .fields = {.request_uri = azfn__span(url, sizeof(url))}};
    struct azfn__frame_reader reader;
    struct azfn__log_frame found = round_trip(&reader, &log);
    assert_true(azfn_span_equals(found.fields.request_uri, "host/ab"));
    azfn__frame_reader_clean_up(&reader);
}

/* All of it may be a user, as the most lenient reader sees it: what is sent is one that can be taken. */
static void a_url_of_which_nothing_is_shown_is_absent(void **state)
{
    (void)state;
    static const char *const urls[] = {"//x@", "/api/hello/:%2F@", "https://user:key@", "?code=key", "#x"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        const struct azfn__log_frame log = {
            .event = AZFN__EVENT_INVALID_ENVELOPE,
            .fields = {.request_uri = azfn_span_of(urls[i]), .request_method = AZFN__SPAN("GET")}};
        struct azfn__frame_reader reader;
        struct azfn__log_frame found = round_trip(&reader, &log);
        assert_false(azfn_span_is_present(found.fields.request_uri));
        assert_true(azfn_span_equals(found.fields.request_method, "GET"));
        azfn__frame_reader_clean_up(&reader);
    }
}

static void the_longest_log_frame_of_each_event_fits(void **state)
{
    (void)state;
    struct azfn_span whole = azfn__span(big, sizeof(big));
    for (unsigned event = AZFN__EVENT_NONE; event < AZFN__EVENT_COUNT; event++) {
        struct azfn__buffer bytes;
        struct azfn__log_frame log = {.event = (enum azfn__security_event)event, .text = whole};
        for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
            enum azfn__event_field field = (enum azfn__event_field)i;
            if (azfn__event_field_is_number(field)) {
                *azfn__event_field_number(&log.fields, field) = AZFN__NUMBER(-1);
            } else {
                *azfn__event_field_text(&log.fields, field) = whole;
            }
        }
        azfn__buffer_init(&bytes, NO_LIMIT);
        azfn__frame_append_log(&bytes, &log);
        assert_true(bytes.length > 8192);
        azfn__buffer_clean_up(&bytes);
    }
}

/* A log frame that is made by hand. */
static void begin(struct azfn__buffer *payload, unsigned level, unsigned event, unsigned count)
{
    azfn__buffer_init(payload, NO_LIMIT);
    azfn__payload_append(payload, level, 1);
    azfn__payload_append(payload, event, 2);
    azfn__payload_append(payload, count, 1);
}

static void add_text(struct azfn__buffer *payload, unsigned field, struct azfn_span text)
{
    azfn__payload_append(payload, field, 1);
    azfn__payload_append_text(payload, text);
}

static void add_number(struct azfn__buffer *payload, unsigned field, size_t byte_count)
{
    azfn__payload_append(payload, field, 1);
    azfn__payload_append_text(payload, azfn__span("\x11\x12\x13\x14\x15\x16\x17\x18\x19", byte_count));
}

static bool decode(const void *bytes, size_t length, struct azfn__log_frame *out_log)
{
    /* a copy of exactly this size, so that a read beyond it is seen */
    char *exact = malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, length);
    bool is_good = azfn__frame_decode_log(azfn__span(exact, length), out_log);
    free(exact);
    return is_good;
}

/* Ends it with its text. */
static bool is_taken(struct azfn__buffer *payload, const char *text)
{
    struct azfn__log_frame log;
    azfn__payload_append_text(payload, azfn_span_of(text));
    bool is_good = decode(payload->data, payload->length, &log);
    azfn__buffer_clean_up(payload);
    return is_good;
}

static void a_log_frame_of_any_other_length_is_refused(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    struct azfn__log_frame log;
    begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 3);
    add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
    add_text(&payload, AZFN__FIELD_REQUEST_URI, AZFN__SPAN("/"));
    add_number(&payload, AZFN__FIELD_STATUS, 8);
    azfn__payload_append_text(&payload, AZFN__SPAN("abc"));
    assert_true(decode(payload.data, payload.length, &log));
    assert_int_equal(log.fields.status.value, 0x1817161514131211);
    for (size_t length = 0; length < payload.length; length++) {
        assert_false(decode(payload.data, length, &log));
    }
    azfn__buffer_append_char(&payload, 0);
    assert_false(decode(payload.data, payload.length, &log));
    azfn__buffer_clean_up(&payload);
}

static void a_level_is_one_that_there_is_and_the_events_own(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    for (unsigned level = 0; level < 256; level++) {
        begin(&payload, level, AZFN__EVENT_NONE, 0);
        assert_int_equal(is_taken(&payload, "x"), level <= AZFN_LOG_ERROR);
        begin(&payload, level, AZFN__EVENT_INVALID_JSON, 0);
        assert_int_equal(is_taken(&payload, "x"), level == AZFN_LOG_WARNING);
    }
}

static void an_event_is_one_that_there_is_and_that_a_worker_has_a_word_in(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    for (unsigned event = 0; event <= UINT16_MAX; event++) {
        const struct azfn__security_event_info *info =
            azfn__security_event_info(event < AZFN__EVENT_COUNT ? (enum azfn__security_event)event : AZFN__EVENT_NONE);
        begin(&payload, info->level, event, 0);
        assert_int_equal(is_taken(&payload, "x"), event < AZFN__EVENT_COUNT && info->source != AZFN__SOURCE_BROKER);
    }
}

static void a_field_is_one_of_the_events(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    for (unsigned event = AZFN__EVENT_NONE; event < AZFN__EVENT_COUNT; event++) {
        const struct azfn__security_event_info *info = azfn__security_event_info((enum azfn__security_event)event);
        for (unsigned field = 0; field < 256; field++) {
            bool is_known = field < AZFN__EVENT_FIELD_COUNT;
            begin(&payload, info->level, event, 1);
            if (is_known && azfn__event_field_is_number((enum azfn__event_field)field)) {
                add_number(&payload, field, 8);
            } else {
                add_text(&payload, field, AZFN__SPAN("8 bytes!"));
            }
            assert_int_equal(is_taken(&payload, "x"), info->source != AZFN__SOURCE_BROKER && is_known &&
                                                          (info->fields >> (field & 63) & 1));
        }
    }
}

static void a_number_has_its_eight_bytes(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    for (size_t byte_count = 0; byte_count <= 9; byte_count++) {
        begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 1);
        add_number(&payload, AZFN__FIELD_STATUS, byte_count);
        assert_int_equal(is_taken(&payload, "x"), byte_count == 8);
    }
}

/* There is one way only to write a log frame. */
static void fields_come_once_and_in_their_order(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 2);
    add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
    add_number(&payload, AZFN__FIELD_STATUS, 8);
    assert_true(is_taken(&payload, "x"));
    begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 2);
    add_number(&payload, AZFN__FIELD_STATUS, 8);
    add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
    assert_false(is_taken(&payload, "x"));
    begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 2);
    add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
    add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
    assert_false(is_taken(&payload, "x"));
    begin(&payload, AZFN_LOG_WARNING, AZFN__EVENT_INVALID_ENVELOPE, 2);
    add_number(&payload, AZFN__FIELD_STATUS, 8);
    add_number(&payload, AZFN__FIELD_STATUS, 8);
    assert_false(is_taken(&payload, "x"));
}

static void there_are_as_many_fields_as_it_says(void **state)
{
    (void)state;
    struct azfn__buffer payload;
    for (unsigned count = 0; count < 256; count++) {
        begin(&payload, AZFN_LOG_INFORMATION, AZFN__EVENT_NONE, count);
        add_text(&payload, AZFN__FIELD_FUNCTION, AZFN__SPAN("f"));
        add_text(&payload, AZFN__FIELD_INVOCATION_ID, AZFN__SPAN("17"));
        assert_int_equal(is_taken(&payload, "x"), count == 2);
    }
}

static void a_text_is_no_longer_than_it_is_written(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct azfn__buffer payload;
        struct azfn__log_frame log;
        begin(&payload, AZFN_LOG_INFORMATION, AZFN__EVENT_NONE, 1);
        add_text(&payload, AZFN__FIELD_FUNCTION, azfn__span(big, 1280 + more));
        assert_int_equal(is_taken(&payload, "x"), more == 0);
        begin(&payload, AZFN_LOG_INFORMATION, AZFN__EVENT_NONE, 0);
        azfn__payload_append_text(&payload, azfn__span(big, 8192 + more));
        assert_int_equal(decode(payload.data, payload.length, &log), more == 0);
        azfn__buffer_clean_up(&payload);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)(i * 7 + i / 251);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_frame_comes_back_as_it_was),
        cmocka_unit_test(what_is_absent_of_a_log_frame_stays_absent),
        cmocka_unit_test(texts_that_are_too_long_for_a_log_frame_are_cut_each_for_itself),
        cmocka_unit_test(what_an_event_does_not_have_is_not_written),
        cmocka_unit_test(user_info_is_gone_before_a_url_is_cut),
        cmocka_unit_test(a_url_of_which_nothing_is_shown_is_absent),
        cmocka_unit_test(the_longest_log_frame_of_each_event_fits),
        cmocka_unit_test(a_log_frame_of_any_other_length_is_refused),
        cmocka_unit_test(a_level_is_one_that_there_is_and_the_events_own),
        cmocka_unit_test(an_event_is_one_that_there_is_and_that_a_worker_has_a_word_in),
        cmocka_unit_test(a_field_is_one_of_the_events),
        cmocka_unit_test(a_number_has_its_eight_bytes),
        cmocka_unit_test(fields_come_once_and_in_their_order),
        cmocka_unit_test(there_are_as_many_fields_as_it_says),
        cmocka_unit_test(a_text_is_no_longer_than_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
