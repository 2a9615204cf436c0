/* Requests in pieces and whole: the same must come out. The first two bytes say how long the pieces are, the
 * third chooses the limits. */
#include "../unit/http_parser_outcome.h"

struct cuts {
    size_t odd;
    size_t even;
};

static size_t alternating(size_t begin, const void *user_data)
{
    const struct cuts *cuts = user_data;
    return begin % 2 != 0 ? cuts->odd : cuts->even;
}

static size_t whole(size_t begin, const void *user_data)
{
    (void)begin;
    (void)user_data;
    return SIZE_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct azfn__http_parser_limits small = {
        .target_bytes = 24, .header_bytes = 96, .header_count = 3, .chunk_extension_bytes = 5,
        .trailer_bytes = 9};
    static const struct azfn__http_parser_limits usual = {
        .target_bytes = 8192, .header_bytes = 32768, .header_count = 100,
        .chunk_extension_bytes = 4096, .trailer_bytes = 8192};
    if (size < 3) {
        return 0;
    }
    const struct cuts cuts = {.odd = (size_t)data[0] + 1, .even = (size_t)data[1] + 1};
    const struct azfn__http_parser_limits *limits = data[2] % 2 != 0 ? &small : &usual;
    const uint64_t max_body_bytes = data[2] % 4 >= 2 ? 32 : 65536;
    const struct azfn_span bytes = azfn__span(data + 3, size - 3);

    struct outcome expected;
    struct outcome found;
    outcome_init(&expected);
    outcome_init(&found);
    read_in_pieces(&expected, limits, max_body_bytes, bytes, whole, NULL);
    read_in_pieces(&found, limits, max_body_bytes, bytes, alternating, &cuts);
    OUTCOME_REQUIRE(outcome_equals(&expected, &found));
    outcome_clean_up(&expected);
    outcome_clean_up(&found);
    return 0;
}
