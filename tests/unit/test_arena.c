#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/span.h"

#include <string.h>

#define NO_LIMIT ((size_t)1 << 30)

static void every_piece_is_aligned_and_its_own(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    unsigned char *pieces[300];
    for (size_t i = 0; i < 300; i++) {
        pieces[i] = azfn__arena_alloc(&arena, i * 7);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 256), i * 7);
    }
    for (size_t i = 0; i < 300; i++) {
        for (size_t k = 0; k < i * 7; k++) {
            assert_int_equal(pieces[i][k], i % 256);
        }
    }
    azfn__arena_clean_up(&arena);
}

static void a_piece_of_no_bytes_is_no_failure(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 100);
    void *first = azfn__arena_alloc(&arena, 0);
    void *second = azfn__arena_alloc(&arena, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    azfn__arena_clean_up(&arena);
}

static void the_limit_is_not_passed(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 10000);
    size_t given = 0;
    while (azfn__arena_alloc(&arena, 48)) {
        given += 48;
    }
    assert_true(given <= 10000 && given > 10000 - 48);
    assert_null(azfn__arena_alloc(&arena, 10000));
    assert_true(arena.used_bytes <= 10000);
    azfn__arena_reset(&arena);
    assert_non_null(azfn__arena_alloc(&arena, 9984));
    assert_null(azfn__arena_alloc(&arena, 48));
    azfn__arena_clean_up(&arena);
}

static void a_smaller_piece_still_fits_after_a_refused_one(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 64);
    assert_null(azfn__arena_alloc(&arena, 65));
    assert_non_null(azfn__arena_alloc(&arena, 32));
    assert_null(azfn__arena_alloc(&arena, 33));
    assert_non_null(azfn__arena_alloc(&arena, 32));
    assert_null(azfn__arena_alloc(&arena, 1));
    azfn__arena_clean_up(&arena);
}

static void an_absurd_size_is_refused_whatever_the_limit(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1000, SIZE_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct azfn__arena arena;
        azfn__arena_init(&arena, limits[i]);
        for (size_t less = 0; less < 64; less++) {
            assert_null(azfn__arena_alloc(&arena, SIZE_MAX - less));
        }
        assert_int_equal(arena.used_bytes, 0);
        azfn__arena_clean_up(&arena);
    }
}

static void a_large_piece_does_not_end_the_current_block(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    char *first = azfn__arena_alloc(&arena, 16);
    char *large = azfn__arena_alloc(&arena, 100000);
    char *second = azfn__arena_alloc(&arena, 16);
    assert_non_null(first);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_ptr_equal(second, first + 16);
    azfn__arena_clean_up(&arena);
}

static void a_reset_wipes_what_was_used_and_keeps_one_block(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    char *piece = azfn__arena_alloc(&arena, 64);
    assert_non_null(piece);
    memset(piece, 's', 64);
    char *large = azfn__arena_alloc(&arena, 50000);
    assert_non_null(large);
    memset(large, 's', 50000);
    azfn__arena_reset(&arena);
    assert_int_equal(arena.used_bytes, 0);
    char *again = azfn__arena_alloc(&arena, 64);
    assert_ptr_equal(again, piece);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(again[i], 0);
    }
    azfn__arena_clean_up(&arena);
}

static void a_kept_block_is_clean_after_every_use(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    for (size_t count = 30; count > 0; count--) { /* fewer and fewer: what the fuller rounds left must be gone, too */
        for (size_t i = 0; i < count; i++) {
            char *piece = azfn__arena_alloc(&arena, 128);
            assert_non_null(piece);
            memset(piece, 's', 128);
        }
        azfn__arena_reset(&arena);
        for (size_t i = 0; i < (size_t)30 * 128; i++) {
            assert_int_equal(arena.next[i], 0);
        }
    }
    azfn__arena_clean_up(&arena);
}

static void the_newest_of_many_blocks_is_kept_clean(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    char *last = NULL;
    for (size_t i = 0; i < 1000; i++) {
        last = azfn__arena_alloc(&arena, 128);
        assert_non_null(last);
        memset(last, 's', 128);
    }
    azfn__arena_reset(&arena);
    for (const char *p = arena.next; p < last + 128; p++) {
        assert_int_equal(*p, 0);
    }
    azfn__arena_clean_up(&arena);
}

static void a_copy_has_a_nul_behind_it(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    char text[] = "some text";
    struct azfn_span copy = azfn__arena_copy(&arena, azfn__span(text, 4));
    text[0] = 'x';
    assert_int_equal(copy.length, 4);
    assert_string_equal(copy.data, "some");
    struct azfn_span empty = azfn__arena_copy(&arena, (struct azfn_span){0});
    assert_string_equal(empty.data, "");
    assert_int_equal(empty.length, 0);
    azfn__arena_clean_up(&arena);
}

static void a_copy_that_does_not_fit_is_absent(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 16);
    assert_null(azfn__arena_copy(&arena, azfn_span_of("0123456789abcdef")).data);
    assert_null(azfn__arena_copy(&arena, azfn__span("", SIZE_MAX)).data);
    assert_string_equal(azfn__arena_copy(&arena, azfn_span_of("0123456789abcde")).data, "0123456789abcde");
    assert_null(azfn__arena_copy(&arena, azfn_span_of("")).data);
    azfn__arena_clean_up(&arena);
}

static void a_text_that_does_not_fit_leaves_nothing_where_it_was_tried(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 10000);
    memset(azfn__arena_alloc(&arena, 64), 'x', 64);
    char *tried = arena.next;
    size_t room = arena.left;
    memset(tried, 0, room);
    assert_int_equal(azfn__arena_format(&arena, "%09000d", 7).length, 9000);
    assert_ptr_equal(arena.next, tried);
    assert_null(azfn__arena_format(&arena, "%0300d%0800d", 7, 8).data); /* beyond the arena's limit */
    assert_ptr_equal(arena.next, tried);
    for (size_t i = 0; i < room; i++) {
        assert_int_equal(tried[i], 0);
    }
    assert_ptr_equal(azfn__arena_format(&arena, "%0300d", 7).data, tried);
    azfn__arena_clean_up(&arena);
}

static void text_is_formatted_at_any_length(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, NO_LIMIT);
    struct azfn_span text = azfn__arena_format(&arena, "%s-%d", "a", 42);
    assert_int_equal(text.length, 4);
    assert_string_equal(text.data, "a-42");
    text = azfn__arena_format(&arena, "%.*s", AZFN_SPAN_ARGS(azfn_span_of("")));
    assert_string_equal(text.data, "");
    text = azfn__arena_format(&arena, "%20000d", 7);
    assert_int_equal(text.length, 20000);
    assert_int_equal(text.data[19999], '7');
    assert_int_equal(text.data[20000], '\0');
    azfn__arena_clean_up(&arena);
    azfn__arena_init(&arena, 16);
    assert_string_equal(azfn__arena_format(&arena, "%d", 7).data, "7");
    assert_null(azfn__arena_format(&arena, "x").data);
    azfn__arena_clean_up(&arena);
}

static void it_can_be_used_after_it_was_cleaned_up(void **state)
{
    (void)state;
    struct azfn__arena arena;
    azfn__arena_init(&arena, 100);
    azfn__arena_reset(&arena);
    azfn__arena_clean_up(&arena);
    assert_non_null(azfn__arena_alloc(&arena, 100 / 16 * 16));
    azfn__arena_clean_up(&arena);
    azfn__arena_clean_up(&arena);
    assert_null(azfn__arena_alloc(&arena, 101));
    azfn__arena_clean_up(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_is_aligned_and_its_own),
        cmocka_unit_test(a_piece_of_no_bytes_is_no_failure),
        cmocka_unit_test(the_limit_is_not_passed),
        cmocka_unit_test(a_smaller_piece_still_fits_after_a_refused_one),
        cmocka_unit_test(an_absurd_size_is_refused_whatever_the_limit),
        cmocka_unit_test(a_large_piece_does_not_end_the_current_block),
        cmocka_unit_test(a_reset_wipes_what_was_used_and_keeps_one_block),
        cmocka_unit_test(a_kept_block_is_clean_after_every_use),
        cmocka_unit_test(the_newest_of_many_blocks_is_kept_clean),
        cmocka_unit_test(a_copy_has_a_nul_behind_it),
        cmocka_unit_test(a_copy_that_does_not_fit_is_absent),
        cmocka_unit_test(a_text_that_does_not_fit_leaves_nothing_where_it_was_tried),
        cmocka_unit_test(text_is_formatted_at_any_length),
        cmocka_unit_test(it_can_be_used_after_it_was_cleaned_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
