/* Requests out of bytes, however these are cut. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_parser_cases.h"
#include "http_parser_outcome.h"

static const struct azfn__http_parser_limits case_limits = {
    .target_bytes = 64, .header_bytes = 1024, .header_count = 16, .chunk_extension_bytes = 64,
    .trailer_bytes = 64};
#define CASE_BODY_BYTES 64

static size_t whole(size_t begin, const void *user_data)
{
    (void)begin;
    (void)user_data;
    return SIZE_MAX;
}

static size_t pieces_of(size_t begin, const void *user_data)
{
    (void)begin;
    return *(const size_t *)user_data;
}

static size_t split_at(size_t begin, const void *user_data)
{
    return begin == 0 ? *(const size_t *)user_data : SIZE_MAX;
}

static struct outcome outcome_of(struct azfn_span bytes, piece_length_fn *piece_length, size_t length)
{
    struct outcome outcome;
    outcome_init(&outcome);
    read_in_pieces(&outcome, &case_limits, CASE_BODY_BYTES, bytes, piece_length, &length);
    return outcome;
}

static void require_same(const char *name, const struct outcome *expected, struct azfn_span bytes,
                         piece_length_fn *piece_length, size_t length)
{
    struct outcome outcome = outcome_of(bytes, piece_length, length);
    if (!outcome_equals(expected, &outcome)) {
        fail_msg("%s: cut at %zu it became \"%.*s\":\n%.*s\nand whole:\n%.*s", name, length,
                 AZFN_SPAN_ARGS(azfn__buffer_span(&outcome.summary)),
                 AZFN_SPAN_ARGS(azfn__buffer_span(&outcome.details)),
                 AZFN_SPAN_ARGS(azfn__buffer_span(&expected->details)));
    }
    outcome_clean_up(&outcome);
}

static void every_case_gives_what_is_expected(void **state)
{
    size_t failed_count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(parser_cases) / sizeof(parser_cases[0]); i++) {
        const struct parser_case *c = &parser_cases[i];
        struct outcome outcome = outcome_of(azfn__span(c->bytes, c->length), whole, 0);
        /* up to a NUL, which a text in the table ends at */
        struct azfn_span found = azfn__buffer_span(&outcome.summary);
        struct azfn_span expected = azfn_span_of(c->summary);
        const char *nul = found.length > 0 ? memchr(found.data, '\0', found.length) : NULL;
        found.length = nul ? (size_t)(nul - found.data) : found.length;
        if (!azfn__span_equal(found, expected)) {
            failed_count++;
            print_error("%s: expected \"%s\", found \"%.*s\" (%s)\n", c->name, c->summary, AZFN_SPAN_ARGS(found),
                     outcome.refusal_reason ? outcome.refusal_reason : "not refused");
        }
        if (c->reason && (!outcome.refusal_reason || strcmp(c->reason, outcome.refusal_reason) != 0)) {
            failed_count++;
            print_error("%s: expected the reason \"%s\", found \"%s\"\n", c->name, c->reason,
                     outcome.refusal_reason ? outcome.refusal_reason : "not refused");
        }
        outcome_clean_up(&outcome);
    }
    assert_int_equal(failed_count, 0);
}

static void no_case_depends_on_how_the_bytes_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(parser_cases) / sizeof(parser_cases[0]); i++) {
        const struct parser_case *c = &parser_cases[i];
        struct azfn_span bytes = azfn__span(c->bytes, c->length);
        struct outcome expected = outcome_of(bytes, whole, 0);
        for (size_t length = 1; length < 4; length++) {
            require_same(c->name, &expected, bytes, pieces_of, length);
        }
        for (size_t at = 1; at < c->length; at++) {
            require_same(c->name, &expected, bytes, split_at, at);
        }
        outcome_clean_up(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gives_what_is_expected),
        cmocka_unit_test(no_case_depends_on_how_the_bytes_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
