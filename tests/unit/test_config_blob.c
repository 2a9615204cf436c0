/* The form in which a configuration goes to the worker: what was put in comes out, and no other bytes are taken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/config_blob.h"

#include <stdlib.h>

static void add(struct azfn__buffer *blob, const char *path, const char *text)
{
    size_t begin = azfn__config_blob_begin_file(blob, azfn_span_of(path));
    azfn__buffer_append_span(blob, azfn_span_of(text));
    azfn__config_blob_end_file(blob, begin);
}

static void make(struct azfn__buffer *blob)
{
    azfn__buffer_init(blob, 4096);
    azfn__config_blob_begin(blob);
    add(blob, "host.json", "{}");
    add(blob, "a/function.json", "");
}

static enum azfn_error find(struct azfn_span bytes, size_t *out_count)
{
    struct azfn__config_file *files;
    enum azfn_error error = azfn__config_blob_find(bytes, &files, out_count);
    free(files);
    return error;
}

static void what_was_put_in_comes_out(void **state)
{
    (void)state;
    struct azfn__buffer blob;
    struct azfn__config_file *files;
    size_t count;
    make(&blob);
    assert_int_equal(azfn__config_blob_find(azfn__buffer_span(&blob), &files, &count), AZFN_OK);
    assert_int_equal(count, 2);
    assert_true(azfn_span_equals(files[0].path, "host.json") && azfn_span_equals(files[0].text, "{}"));
    assert_true(azfn_span_equals(files[1].path, "a/function.json") && azfn_span_equals(files[1].text, ""));
    free(files);
    azfn__buffer_clean_up(&blob);
}

static void one_without_files_is_one(void **state)
{
    (void)state;
    struct azfn__buffer blob;
    size_t count = 1;
    azfn__buffer_init(&blob, 4096);
    azfn__config_blob_begin(&blob);
    assert_int_equal(find(azfn__buffer_span(&blob), &count), AZFN_OK);
    assert_int_equal(count, 0);
    azfn__buffer_clean_up(&blob);
}

static void one_that_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    struct azfn__buffer blob;
    size_t count;
    make(&blob);
    for (size_t length = 0; length < blob.length; length++) {
        assert_int_equal(find(azfn__span(blob.data, length), &count), AZFN_ERROR_SYNTAX);
        assert_int_equal(count, 0);
    }
    azfn__buffer_append(&blob, "x", 1);
    assert_int_equal(find(azfn__buffer_span(&blob), &count), AZFN_ERROR_SYNTAX);
    azfn__buffer_clean_up(&blob);
}

/* Of the texts and paths any byte may be another one; of the headers none. */
static void lengths_and_counts_that_lie_are_refused(void **state)
{
    (void)state;
    struct azfn__buffer blob;
    size_t count;
    make(&blob);
    for (size_t i = 0; i < 32; i++) {
        blob.data[i] ^= 0x40;
        assert_int_equal(find(azfn__buffer_span(&blob), &count), AZFN_ERROR_SYNTAX);
        blob.data[i] ^= 0x40;
    }
    assert_int_equal(find(azfn__buffer_span(&blob), &count), AZFN_OK);
    azfn__buffer_clean_up(&blob);
}

static void one_that_has_no_room_says_so(void **state)
{
    (void)state;
    struct azfn__buffer blob;
    azfn__buffer_init(&blob, 64);
    azfn__config_blob_begin(&blob);
    add(&blob, "host.json", "a text that is longer than the room that there is for it, which is little");
    assert_true(blob.has_failed);
    azfn__buffer_clean_up(&blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_comes_out),
        cmocka_unit_test(one_without_files_is_one),
        cmocka_unit_test(one_that_is_cut_or_longer_is_refused),
        cmocka_unit_test(lengths_and_counts_that_lie_are_refused),
        cmocka_unit_test(one_that_has_no_room_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
