/* Lines for the host's log: whatever text they carry, the host reads one line of the right level. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/log_line.h"

#include <stdlib.h>

#define NO_LIMIT ((size_t)1 << 30)
#define BIG_BYTES ((size_t)100 << 10)
/* 2001-09-09T01:46:40.007Z */
#define SOME_TIME INT64_C(1000000000007)

static bool holds_warn(struct azfn_span text)
{
    for (size_t i = 0; i + 4 <= text.length; i++) {
        if (azfn__span_equal_ignore_case(azfn__span(text.data + i, 4), AZFN__SPAN("warn"))) {
            return true;
        }
    }
    return false;
}

/* Writes the line behind another one, and checks what holds for every line. */
static struct azfn_span write_line(struct azfn__buffer *out, const struct azfn__log_entry *entry)
{
    azfn__buffer_init(out, NO_LIMIT);
    azfn__buffer_append_text(out, "warn\n");
    azfn__log_line_append(out, entry);
    assert_false(out->has_failed);
    struct azfn_span line = azfn__span_from(azfn__buffer_span(out), 5);
    assert_true(azfn__span_starts_with(azfn__buffer_span(out), AZFN__SPAN("warn\n")));
    assert_in_range(line.length, 2, AZFN__LOG_LINE_MAX_BYTES);
    assert_int_equal(line.data[0], '{');
    assert_int_equal(line.data[line.length - 1], '\n');
    line.length--;
    for (size_t i = 0; i < line.length; i++) {
        assert_true((unsigned char)line.data[i] >= ' ' && line.data[i] != 0x7f);
    }
    assert_int_equal(azfn__json_scan(line, NULL, NULL), AZFN_OK);
    if (entry->level != AZFN_LOG_INFORMATION) {
        assert_int_equal(holds_warn(line), entry->level == AZFN_LOG_WARNING);
    }
    return line;
}

/* The decoded member of the line, in out. */
static struct azfn_span read_member(struct azfn_span line, const char *name, struct azfn__buffer *out)
{
    azfn__buffer_init(out, NO_LIMIT);
    if (!azfn__json_string_decode(azfn__json_member(line, azfn_span_of(name)), out)) {
        return (struct azfn_span){0};
    }
    return azfn__buffer_span(out);
}

static void require_member(struct azfn_span line, const char *name, struct azfn_span expected)
{
    struct azfn__buffer found;
    struct azfn_span text = read_member(line, name, &found);
    if (!azfn__span_equal(text, expected)) {
        fail_msg("%s is \"%.*s\", expected \"%.*s\"", name, AZFN_SPAN_ARGS(text), AZFN_SPAN_ARGS(expected));
    }
    azfn__buffer_clean_up(&found);
}

static char *repeat(const char *pattern, size_t pattern_length, size_t length)
{
    char *text = malloc(length);
    assert_non_null(text);
    for (size_t i = 0; i < length; i++) {
        text[i] = pattern[i % pattern_length];
    }
    return text;
}

static void a_line_has_the_fields_that_are_known_of_an_event(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_INFORMATION,
                                          .origin = AZFN__ORIGIN_WORKER,
                                          .event = AZFN__SPAN("sys_startup"),
                                          .description = AZFN__SPAN("ready"),
                                          .function = AZFN__SPAN("hello"),
                                          .invocation_id = AZFN__SPAN("17"),
                                          .app_id = AZFN__SPAN("shop"),
                                          .time_ms = SOME_TIME};
    write_line(&out, &entry);
    assert_true(azfn_span_equals(azfn__buffer_span(&out),
                                 "warn\n{\"datetime\":\"2001-09-09T01:46:40.007+00:00\",\"level\":\"INFO\",\"appid\":"
                                 "\"shop\",\"origin\":\"worker\",\"event\":\"sys_startup\",\"function\":\"hello\","
                                 "\"invocation_id\":\"17\",\"description\":\"ready\"}\n"));
    azfn__buffer_clean_up(&out);
}

static void fields_that_are_absent_or_empty_are_left_out_but_not_the_description(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {
        .level = AZFN_LOG_ERROR, .function = AZFN__SPAN(""), .description = AZFN__SPAN(""), .time_ms = SOME_TIME};
    write_line(&out, &entry);
    assert_true(azfn_span_equals(azfn__buffer_span(&out),
                                 "warn\n{\"datetime\":\"2001-09-09T01:46:40.007+00:00\",\"level\":\"ERROR\",\"origin\":"
                                 "\"broker\",\"description\":\"\"}\n"));
    azfn__buffer_clean_up(&out);
}

static void every_origin_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"broker", "worker", "worker-stdout", "worker-stderr"};
    for (int origin = AZFN__ORIGIN_BROKER; origin <= AZFN__ORIGIN_WORKER_STDERR; origin++) {
        struct azfn__buffer out;
        const struct azfn__log_entry entry = {.origin = (enum azfn__log_origin)origin, .description = AZFN__SPAN("x")};
        require_member(write_line(&out, &entry), "origin", azfn_span_of(names[origin]));
        azfn__buffer_clean_up(&out);
    }
}

static void text_can_neither_end_a_line_nor_start_one(void **state)
{
    (void)state;
    const struct azfn_span text =
        AZFN__SPAN("a\nLanguageWorkerConsoleLog\r\nazfuncjsonlog:\x0b\x0c\x1b\x7f\"},{\xe2\x80\xa8\xe2\x80\xa9\0end");
    for (int level = AZFN_LOG_INFORMATION; level <= AZFN_LOG_ERROR; level++) {
        struct azfn__buffer out;
        const struct azfn__log_entry entry = {.level = (enum azfn_log_level)level, .event = text, .description = text,
                                              .function = text, .invocation_id = text, .app_id = text};
        struct azfn_span line = write_line(&out, &entry);
        static const char *const fields[] = {"event", "description", "function", "invocation_id", "appid"};
        for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
            require_member(line, fields[i], text);
        }
        azfn__buffer_clean_up(&out);
    }
}

static void an_error_never_says_warn_and_gives_the_text_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "warn", "WARN", "wArN", "WaRn", "forewarned is forearmed", "warnwarn", "wwarn", "warnn", "wa", "rn", "war\nn",
        "wa\rn", "w\tarn", "\\warn", "\"warn\"", "\x01warn\x1fWARN", "w\\u0061rn", "\xc3\xa9warn\xc3\xa9",
        "warwarn", "WWWARNNN", "\\\\\\warn\\",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct azfn__buffer out;
        struct azfn_span text = azfn_span_of(texts[i]);
        const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .event = text, .description = text,
                                              .function = text, .invocation_id = text, .app_id = text};
        struct azfn_span line = write_line(&out, &entry);
        require_member(line, "event", text);
        require_member(line, "description", text);
        require_member(line, "function", text);
        require_member(line, "invocation_id", text);
        require_member(line, "appid", text);
        azfn__buffer_clean_up(&out);
    }
}

static void warn_does_not_arise_between_two_fields_of_an_error(void **state)
{
    (void)state;
    static const char *const pieces[][2] = {{"w", "arn"}, {"wa", "rn"}, {"war", "n"}, {"W", "ARN"}, {"WAR", "N"}};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct azfn__buffer out;
        struct azfn_span first = azfn_span_of(pieces[i][0]);
        struct azfn_span second = azfn_span_of(pieces[i][1]);
        const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .app_id = first, .event = second,
                                              .function = first, .invocation_id = second, .description = first};
        write_line(&out, &entry);
        azfn__buffer_clean_up(&out);
    }
}

/* What a text becomes in JSON and back: each byte that is not UTF-8 is U+FFFD then. */
static void append_readable(struct azfn__buffer *out, struct azfn_span text)
{
    struct azfn__buffer quoted;
    azfn__buffer_init(&quoted, NO_LIMIT);
    azfn__json_append_string(&quoted, text);
    assert_true(azfn__json_string_decode(azfn__buffer_span(&quoted), out));
    azfn__buffer_clean_up(&quoted);
}

/* The description of a long text is a beginning of it, and says so. */
static void require_cut_line(enum azfn_log_level level, const char *pattern, size_t pattern_length)
{
    struct azfn__buffer out;
    struct azfn__buffer found;
    struct azfn__buffer expected;
    char *text = repeat(pattern, pattern_length, BIG_BYTES);
    struct azfn_span whole = azfn__span(text, BIG_BYTES);
    const struct azfn__log_entry entry = {.level = level, .event = whole, .description = whole, .function = whole,
                                          .invocation_id = whole, .app_id = whole};
    struct azfn_span line = write_line(&out, &entry);
    azfn__buffer_init(&expected, NO_LIMIT);
    append_readable(&expected, whole);

    struct azfn_span description = read_member(line, "description", &found);
    assert_true(description.length > 500);
    struct azfn_span mark = azfn__span_from(description, description.length - 5);
    assert_true(azfn_span_equals(mark, "[cut]"));
    assert_memory_equal(description.data, expected.data, description.length - 5);
    azfn__buffer_clean_up(&found);

    struct azfn_span function = read_member(line, "function", &found);
    assert_in_range(function.length, 5, 256 + 5);
    assert_true(azfn_span_equals(azfn__span_from(function, function.length - 5), "[cut]"));
    azfn__buffer_clean_up(&found);
    azfn__buffer_clean_up(&expected);
    azfn__buffer_clean_up(&out);
    free(text);
}

static void a_text_of_100_kib_is_cut_whatever_it_is_made_of(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } patterns[] = {
        {"a", 1},
        {"WARNwarnWaRn", 12},
        {"warn\n", 5},
        {"\x01\x02\n\r\t\x1f\x7f", 7},
        {"\"\\", 2},
        {"\0", 1},
        {"\xff", 1},
        {"\x80", 1},              /* a continuation without a beginning */
        {"\xe2\x82\xac", 3},      /* a character of three bytes */
        {"\xf0\x9f\x98\x80", 4},  /* ... and of four */
        {"x\xf0\x9f\x98\x80", 5}, /* cut at another place */
        {"\xe2\x80\xa8", 3},      /* a line end to some viewers */
        {"wa\xffrn\xc3warn", 10},
    };
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        for (int level = AZFN_LOG_INFORMATION; level <= AZFN_LOG_ERROR; level++) {
            require_cut_line((enum azfn_log_level)level, patterns[i].bytes, patterns[i].length);
        }
    }
}

static void a_cut_does_not_fall_into_a_character(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        struct azfn__buffer out;
        struct azfn__buffer found;
        char *text = repeat("\xf0\x9f\x98\x80", 4, BIG_BYTES);
        memset(text, 'x', 4 * shift + shift); /* the rest of a first character is not UTF-8, which is fine */
        const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR,
                                              .description = azfn__span(text + 4 * shift, BIG_BYTES - 4 * shift)};
        struct azfn_span line = write_line(&out, &entry);
        struct azfn_span description = read_member(line, "description", &found);
        struct azfn_span last = azfn__span_from(description, description.length - 9);
        assert_true(azfn_span_equals(last, "\xf0\x9f\x98\x80[cut]"));
        azfn__buffer_clean_up(&found);
        azfn__buffer_clean_up(&out);
        free(text);
    }
}

static void a_text_that_just_fits_is_not_cut(void **state)
{
    (void)state;
    char *text = repeat("a", 1, 6145);
    struct azfn__buffer out;
    struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .description = azfn__span(text, 6144)};
    require_member(write_line(&out, &entry), "description", azfn__span(text, 6144));
    azfn__buffer_clean_up(&out);
    struct azfn__buffer found;
    entry.description.length = 6145;
    struct azfn_span description = read_member(write_line(&out, &entry), "description", &found);
    assert_int_equal(description.length, 6144 + 5);
    azfn__buffer_clean_up(&found);
    azfn__buffer_clean_up(&out);
    free(text);
}

static void a_warning_says_warn_even_when_its_text_does_not(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_WARNING, .description = AZFN__SPAN("the disk is full")};
    assert_true(holds_warn(write_line(&out, &entry)));
    azfn__buffer_clean_up(&out);
}

static void a_buffer_without_room_has_failed(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .description = AZFN__SPAN("warn warn warn")};
    for (size_t room = 0; room < 120; room++) {
        azfn__buffer_init(&out, room);
        azfn__log_line_append(&out, &entry);
        assert_true(out.has_failed);
        azfn__buffer_clean_up(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_fields_that_are_known_of_an_event),
        cmocka_unit_test(fields_that_are_absent_or_empty_are_left_out_but_not_the_description),
        cmocka_unit_test(every_origin_has_its_name),
        cmocka_unit_test(text_can_neither_end_a_line_nor_start_one),
        cmocka_unit_test(an_error_never_says_warn_and_gives_the_text_back),
        cmocka_unit_test(warn_does_not_arise_between_two_fields_of_an_error),
        cmocka_unit_test(a_text_of_100_kib_is_cut_whatever_it_is_made_of),
        cmocka_unit_test(a_cut_does_not_fall_into_a_character),
        cmocka_unit_test(a_text_that_just_fits_is_not_cut),
        cmocka_unit_test(a_warning_says_warn_even_when_its_text_does_not),
        cmocka_unit_test(a_buffer_without_room_has_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
