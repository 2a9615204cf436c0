#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

#include <string.h>

#define NO_LIMIT ((size_t)1 << 30)

static void assert_content(const struct azfn__buffer *buffer, const char *expected)
{
    struct azfn_span content = azfn__buffer_span(buffer);
    assert_int_equal(content.length, strlen(expected));
    assert_memory_equal(content.data, expected, content.length);
}

static void a_new_buffer_is_empty_and_present(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, 10);
    assert_content(&buffer, "");
    assert_non_null(azfn__buffer_span(&buffer).data);
    assert_null(buffer.data);
    azfn__buffer_clean_up(&buffer);
}

static void what_is_appended_is_in_order(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    azfn__buffer_append_text(&buffer, "a=");
    azfn__buffer_append_uint(&buffer, 0);
    azfn__buffer_append_char(&buffer, ' ');
    azfn__buffer_append_uint(&buffer, UINT64_MAX);
    azfn__buffer_append_span(&buffer, azfn_span_of("; b"));
    azfn__buffer_append_span(&buffer, (struct azfn_span){0});
    azfn__buffer_append(&buffer, "xyz", 2);
    azfn__buffer_append(&buffer, NULL, 0);
    azfn__buffer_append_text(&buffer, "");
    azfn__buffer_append_uint(&buffer, 10);
    assert_content(&buffer, "a=0 18446744073709551615; bxy10");
    assert_false(buffer.has_failed);
    azfn__buffer_clean_up(&buffer);
}

static void nul_bytes_are_kept(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    azfn__buffer_append(&buffer, "a\0b", 3);
    azfn__buffer_append_char(&buffer, '\0');
    assert_int_equal(buffer.length, 4);
    assert_memory_equal(buffer.data, "a\0b\0", 4);
    azfn__buffer_clean_up(&buffer);
}

static void it_grows_and_keeps_its_content(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    for (size_t i = 0; i < 100000; i++) {
        azfn__buffer_append_char(&buffer, (char)(i % 251));
    }
    assert_int_equal(buffer.length, 100000);
    for (size_t i = 0; i < 100000; i++) {
        assert_int_equal((unsigned char)buffer.data[i], i % 251);
    }
    azfn__buffer_clean_up(&buffer);
    assert_null(buffer.data);
}

static void it_takes_exactly_its_maximum(void **state)
{
    (void)state;
    static const size_t limits[] = {1, 2, 511, 512, 513, 1000, 1024, 1025, 5000};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct azfn__buffer buffer;
        azfn__buffer_init(&buffer, limits[i]);
        for (size_t k = 0; k < limits[i]; k++) {
            azfn__buffer_append_char(&buffer, 'x');
        }
        assert_false(buffer.has_failed);
        assert_int_equal(buffer.length, limits[i]);
        assert_int_equal(buffer.capacity, limits[i]);
        azfn__buffer_append_char(&buffer, 'y');
        assert_true(buffer.has_failed);
        assert_int_equal(buffer.length, limits[i]);
        azfn__buffer_clean_up(&buffer);
    }
}

static void a_buffer_of_no_bytes_takes_none(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, 0);
    assert_true(azfn__buffer_reserve(&buffer, 0));
    azfn__buffer_append_text(&buffer, "");
    assert_false(buffer.has_failed);
    assert_false(azfn__buffer_reserve(&buffer, 1));
    assert_true(buffer.has_failed);
    azfn__buffer_clean_up(&buffer);
}

static void after_a_failure_nothing_is_appended(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, 5);
    azfn__buffer_append_text(&buffer, "abc");
    azfn__buffer_append_text(&buffer, "def");
    azfn__buffer_append_char(&buffer, 'g');
    azfn__buffer_append_uint(&buffer, 1);
    assert_true(buffer.has_failed);
    assert_false(azfn__buffer_reserve(&buffer, 0));
    assert_content(&buffer, "abc");
    azfn__buffer_clean_up(&buffer);
}

static void an_absurd_reservation_fails(void **state)
{
    (void)state;
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 2, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        struct azfn__buffer buffer;
        azfn__buffer_init(&buffer, NO_LIMIT);
        azfn__buffer_append_text(&buffer, "abc");
        assert_false(azfn__buffer_reserve(&buffer, absurd[i]));
        assert_true(buffer.has_failed);
        assert_content(&buffer, "abc");
        azfn__buffer_clean_up(&buffer);
    }
}

static void reserved_room_stays_where_it_is(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    assert_true(azfn__buffer_reserve(&buffer, 3000));
    assert_true(buffer.capacity >= 3000);
    const char *data = buffer.data;
    for (size_t i = 0; i < 3000; i++) {
        azfn__buffer_append_char(&buffer, 'x');
    }
    assert_ptr_equal(buffer.data, data);
    azfn__buffer_clean_up(&buffer);
}

static void a_reset_wipes_and_keeps_the_memory(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    azfn__buffer_append_text(&buffer, "secret");
    const char *data = buffer.data;
    azfn__buffer_reset(&buffer, buffer.capacity);
    assert_int_equal(buffer.length, 0);
    assert_ptr_equal(buffer.data, data);
    assert_memory_equal(data, "\0\0\0\0\0\0", 6);
    azfn__buffer_clean_up(&buffer);
}

static void a_reset_gives_large_memory_back(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, 2000);
    assert_true(azfn__buffer_reserve(&buffer, 2000));
    azfn__buffer_reset(&buffer, 1000);
    assert_null(buffer.data);
    assert_int_equal(buffer.max_bytes, 2000);
    azfn__buffer_append_text(&buffer, "again");
    assert_content(&buffer, "again");
    azfn__buffer_clean_up(&buffer);
}

static void a_reset_forgets_a_failure(void **state)
{
    (void)state;
    static const size_t keep[] = {0, 100};
    for (size_t i = 0; i < 2; i++) {
        struct azfn__buffer buffer;
        azfn__buffer_init(&buffer, 4);
        azfn__buffer_append_text(&buffer, "abc");
        azfn__buffer_append_text(&buffer, "abc");
        assert_true(buffer.has_failed);
        azfn__buffer_reset(&buffer, keep[i]);
        azfn__buffer_append_text(&buffer, "abcd");
        assert_false(buffer.has_failed);
        assert_content(&buffer, "abcd");
        azfn__buffer_clean_up(&buffer);
    }
}

static void consuming_takes_from_the_front_and_wipes_the_end(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, NO_LIMIT);
    azfn__buffer_consume(&buffer, 3);
    azfn__buffer_append_text(&buffer, "abcdefgh");
    azfn__buffer_consume(&buffer, 0);
    azfn__buffer_consume(&buffer, 3);
    assert_content(&buffer, "defgh");
    assert_memory_equal(buffer.data, "defgh\0\0\0", 8);
    azfn__buffer_append_text(&buffer, "ij");
    assert_content(&buffer, "defghij");
    azfn__buffer_consume(&buffer, 7);
    assert_content(&buffer, "");
    assert_memory_equal(buffer.data, "\0\0\0\0\0\0\0\0", 8);
    azfn__buffer_append_text(&buffer, "k");
    azfn__buffer_consume(&buffer, SIZE_MAX);
    assert_content(&buffer, "");
    azfn__buffer_clean_up(&buffer);
}

static void it_can_be_used_after_it_was_cleaned_up(void **state)
{
    (void)state;
    struct azfn__buffer buffer;
    azfn__buffer_init(&buffer, 10);
    azfn__buffer_append_text(&buffer, "abc");
    azfn__buffer_clean_up(&buffer);
    azfn__buffer_clean_up(&buffer);
    azfn__buffer_append_text(&buffer, "0123456789");
    assert_content(&buffer, "0123456789");
    azfn__buffer_clean_up(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_empty_and_present),
        cmocka_unit_test(what_is_appended_is_in_order),
        cmocka_unit_test(nul_bytes_are_kept),
        cmocka_unit_test(it_grows_and_keeps_its_content),
        cmocka_unit_test(it_takes_exactly_its_maximum),
        cmocka_unit_test(a_buffer_of_no_bytes_takes_none),
        cmocka_unit_test(after_a_failure_nothing_is_appended),
        cmocka_unit_test(an_absurd_reservation_fails),
        cmocka_unit_test(reserved_room_stays_where_it_is),
        cmocka_unit_test(a_reset_wipes_and_keeps_the_memory),
        cmocka_unit_test(a_reset_gives_large_memory_back),
        cmocka_unit_test(a_reset_forgets_a_failure),
        cmocka_unit_test(consuming_takes_from_the_front_and_wipes_the_end),
        cmocka_unit_test(it_can_be_used_after_it_was_cleaned_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
