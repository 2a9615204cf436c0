/* Lines for the host's log: whatever text they carry, the host reads one line of the right level. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/log_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
    if (azfn__log_entry_level(entry) != AZFN_LOG_INFORMATION) {
        assert_int_equal(holds_warn(line), azfn__log_entry_level(entry) == AZFN_LOG_WARNING);
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

static void require_text(const struct azfn__buffer *out, const char *expected)
{
    if (!azfn_span_equals(azfn__buffer_span(out), expected)) {
        fail_msg("\n%.*s, expected\n%s", AZFN_SPAN_ARGS(azfn__buffer_span(out)), expected);
    }
}

/* Events of each level whose fields a request gives; their names hold no text of others. */
static const enum azfn__security_event events[] = {AZFN__EVENT_CALLER_AUTHENTICATED, AZFN__EVENT_REQUEST_INVALID,
                                                   AZFN__EVENT_CALLER_FORBIDDEN};

static struct azfn__log_entry entry_of_text(enum azfn_log_level level, struct azfn_span text)
{
    return (struct azfn__log_entry){.event = events[level],
                                    .fields = {.function = text,
                                               .invocation_id = text,
                                               .trace_id = text,
                                               .source_ip = text,
                                               .request_method = text},
                                    .description = text,
                                    .app_id = text};
}

static const char *const names_of_text[] = {"appid",     "function",       "invocation_id", "trace_id",
                                            "source_ip", "request_method", "description"};

static void require_everywhere(struct azfn_span line, struct azfn_span text)
{
    for (size_t i = 0; i < sizeof(names_of_text) / sizeof(names_of_text[0]); i++) {
        require_member(line, names_of_text[i], text);
    }
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
    const struct azfn__log_entry entry = {.event = AZFN__EVENT_DESTINATION_USED,
                                          .level = AZFN_LOG_ERROR,
                                          .origin = AZFN__ORIGIN_WORKER,
                                          .fields = {.count = AZFN__NUMBER(-3),
                                                     .destination = AZFN__SPAN("bank"),
                                                     .function = AZFN__SPAN("hello"),
                                                     .invocation_id = AZFN__SPAN("17")},
                                          .description = AZFN__SPAN("ready"),
                                          .app_id = AZFN__SPAN("shop"),
                                          .sequence = 17,
                                          .time_ms = SOME_TIME};
    write_line(&out, &entry);
    require_text(&out, "warn\n{\"datetime\":\"2001-09-09T01:46:40.007+00:00\",\"level\":\"INFO\",\"appid\":"
                       "\"shop\",\"sequence\":17,\"origin\":\"worker\",\"event\":\"sensitive_read:destination\","
                       "\"function\":\"hello\",\"invocation_id\":\"17\",\"destination\":\"bank\",\"count\":-3,"
                       "\"description\":\"ready\"}\n");
    azfn__buffer_clean_up(&out);
}

static void a_functions_own_line_has_no_event_and_the_level_that_it_says(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR,
                                          .fields = {.function = AZFN__SPAN(""), .secret = AZFN__SPAN("db")},
                                          .description = AZFN__SPAN(""),
                                          .sequence = 1,
                                          .time_ms = SOME_TIME};
    write_line(&out, &entry);
    require_text(&out, "warn\n{\"datetime\":\"2001-09-09T01:46:40.007+00:00\",\"level\":\"ERROR\",\"sequence\":1,"
                       "\"origin\":\"broker\",\"description\":\"\"}\n");
    azfn__buffer_clean_up(&out);
}

static void a_field_is_written_by_its_type(void **state)
{
    (void)state;
    struct azfn__buffer out;
    struct azfn__log_entry entry = {.event = AZFN__EVENT_VAULT_FETCHED,
                                    .fields = {.secret = AZFN__SPAN("db"), .expires_at = AZFN__NUMBER(SOME_TIME)},
                                    .description = AZFN__SPAN("x")};
    struct azfn_span line = write_line(&out, &entry);
    require_member(line, "expires_at", AZFN__SPAN("2001-09-09T01:46:40.007+00:00"));
    assert_false(azfn_span_is_present(azfn__json_member(line, AZFN__SPAN("secret_version"))));
    azfn__buffer_clean_up(&out);

    entry = (struct azfn__log_entry){.event = AZFN__EVENT_STARTUP,
                                     .fields = {.layers_on = AZFN__SPAN("seccomp"),
                                                .layers_off = AZFN__SPAN(""),
                                                .port = AZFN__NUMBER(INT64_MIN)},
                                     .description = AZFN__SPAN("x")};
    line = write_line(&out, &entry);
    require_member(line, "layers_off", AZFN__SPAN(""));
    assert_true(azfn_span_equals(azfn__json_member(line, AZFN__SPAN("port")), "-9223372036854775808"));
    azfn__buffer_clean_up(&out);

    entry = (struct azfn__log_entry){.event = AZFN__EVENT_INVALID_ROUTE,
                                     .fields = {.request_uri = AZFN__SPAN("https://me:key@host/users/@me?code=key#x")},
                                     .description = AZFN__SPAN("x")};
    require_member(write_line(&out, &entry), "request_uri", AZFN__SPAN("host/users/@me"));
    azfn__buffer_clean_up(&out);
}

static void require_time(int64_t time_ms, const char *expected)
{
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.description = AZFN__SPAN("x"), .time_ms = time_ms};
    require_member(write_line(&out, &entry), "datetime", azfn_span_of(expected));
    azfn__buffer_clean_up(&out);
}

static void a_time_is_that_of_the_calendar(void **state)
{
    (void)state;
    /* each day of eight years, and then of 400 years those of a prime distance, at another time of the day */
    for (int64_t day = 0; day < 146097; day += day < 2922 ? 1 : 29) {
        char expected[96];
        time_t seconds = (time_t)(day * 86400 + day * 7919 % 86400);
        struct tm fields;
        assert_non_null(gmtime_r(&seconds, &fields));
        size_t length = strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &fields);
        (void)snprintf(expected + length, sizeof(expected) - length, ".%03d+00:00", (int)(day % 1000));
        require_time((int64_t)seconds * 1000 + day % 1000, expected);
    }
    require_time(INT64_C(951782400000), "2000-02-29T00:00:00.000+00:00");
    require_time(INT64_C(951868799999), "2000-02-29T23:59:59.999+00:00");
    require_time(INT64_C(4107542399999), "2100-02-28T23:59:59.999+00:00");
    require_time(INT64_C(4107542400000), "2100-03-01T00:00:00.000+00:00");
    require_time(INT64_C(253402300799999), "9999-12-31T23:59:59.999+00:00");
    require_time(INT64_C(253402300800000), "9999-12-31T23:59:59.999+00:00");
    require_time(INT64_MAX, "9999-12-31T23:59:59.999+00:00");
    require_time(-1, "1970-01-01T00:00:00.000+00:00");
    require_time(INT64_MIN, "1970-01-01T00:00:00.000+00:00");
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
        const struct azfn__log_entry entry = entry_of_text((enum azfn_log_level)level, text);
        require_everywhere(write_line(&out, &entry), text);
        azfn__buffer_clean_up(&out);
    }
}

static bool contains(const struct azfn__buffer *out, const char *text)
{
    return memmem(out->data, out->length, text, strlen(text)) != NULL;
}

static void what_ends_a_line_for_some_reader_or_speaks_to_a_terminal_is_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *form;
    } cases[] = {
        {"\n", "\\n"},
        {"\r", "\\r"},
        {"\t", "\\t"},
        {"\x01", "\\u0001"},
        {"\x1b", "\\u001b"},
        {"\x7f", "\\u007f"},
        {"\xc2\x80", "\\u0080"},
        {"\xc2\x85", "\\u0085"},     /* next line */
        {"\xc2\x9b", "\\u009b"},     /* ESC [ in one */
        {"\xc2\xa0", "\xc2\xa0"},
        {"\xe2\x80\xa7", "\xe2\x80\xa7"},
        {"\xe2\x80\xa8", "\\u2028"}, /* line separator */
        {"\xe2\x80\xa9", "\\u2029"},
        {"\xe2\x80\xae", "\\u202e"}, /* from right to left */
        {"\xd8\x9c", "\\u061c"},     /* marks of the direction */
        {"\xe2\x80\x8e", "\\u200e"},
        {"\xe2\x80\x8f", "\\u200f"},
        {"\xe2\x80\xaf", "\xe2\x80\xaf"},
        {"\xe2\x81\xa6", "\\u2066"},
        {"\xe2\x81\xa9", "\\u2069"},
        {"\xe2\x81\xaa", "\xe2\x81\xaa"},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"\"", "\\\""},
        {"\\", "\\\\"},
        {"/", "/"},
        {"\xc2", "\xef\xbf\xbd"},         /* a character without its end */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* half a pair */
        {"\xc0\x8a", "\xef\xbf\xbd\xef\xbf\xbd"}, /* a line feed in two bytes */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn__buffer out;
        char expected[64];
        const struct azfn__log_entry entry = {.description = azfn_span_of(cases[i].text)};
        write_line(&out, &entry);
        (void)snprintf(expected, sizeof(expected), "\"description\":\"%s\"}\n", cases[i].form);
        if (!contains(&out, expected)) {
            fail_msg("%zu: %.*s", i, AZFN_SPAN_ARGS(azfn__buffer_span(&out)));
        }
        azfn__buffer_clean_up(&out);
    }
}

static void the_warn_of_an_error_keeps_its_case(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .description = AZFN__SPAN("warn WARN wARn warm")};
    write_line(&out, &entry);
    assert_true(contains(&out, "\"w\\u0061rn W\\u0041RN w\\u0041Rn warm\""));
    azfn__buffer_clean_up(&out);
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
        const struct azfn__log_entry entry = entry_of_text(AZFN_LOG_ERROR, text);
        require_everywhere(write_line(&out, &entry), text);
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
        const struct azfn__log_entry entry = {.event = AZFN__EVENT_CALLER_FORBIDDEN,
                                              .fields = {.function = second, .invocation_id = first},
                                              .description = second,
                                              .app_id = first};
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
    const struct azfn__log_entry entry = entry_of_text(level, whole);
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
    assert_in_range(function.length, 5, 256);
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
    struct azfn__buffer out;
    struct azfn__buffer found;
    struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .fields = {.function = AZFN__SPAN("f")}};
    size_t room = AZFN__LOG_LINE_MAX_BYTES - 1 - write_line(&out, &entry).length;
    azfn__buffer_clean_up(&out);
    char *text = repeat("a", 1, room + 1);
    entry.description = azfn__span(text, room);
    entry.fields.function = azfn__span(text, 256);
    entry.description.length -= 255;
    struct azfn_span line = write_line(&out, &entry);
    assert_int_equal(line.length, AZFN__LOG_LINE_MAX_BYTES - 1);
    require_member(line, "description", entry.description);
    require_member(line, "function", entry.fields.function);
    azfn__buffer_clean_up(&out);

    entry.description.length++;
    struct azfn_span description = read_member(write_line(&out, &entry), "description", &found);
    assert_int_equal(description.length, entry.description.length - 1);
    assert_memory_equal(description.data + description.length - 6, "a[cut]", 6);
    azfn__buffer_clean_up(&found);
    azfn__buffer_clean_up(&out);

    entry.fields.function.length++;
    struct azfn_span function = read_member(write_line(&out, &entry), "function", &found);
    assert_int_equal(function.length, 256);
    azfn__buffer_clean_up(&found);
    azfn__buffer_clean_up(&out);
    free(text);
}

static void fill_fields(struct azfn__event_fields *fields, struct azfn_span text)
{
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        enum azfn__event_field field = (enum azfn__event_field)i;
        if (azfn__event_field_is_number(field)) {
            *azfn__event_field_number(fields, field) = AZFN__NUMBER(INT64_MIN);
        } else {
            *azfn__event_field_text(fields, field) = text;
        }
    }
}

/* What keeps the line in its limit is how many fields an event may have. */
static void every_event_has_its_own_fields_only_and_room_for_its_description(void **state)
{
    (void)state;
    char *text = repeat("\x01", 1, BIG_BYTES);
    for (unsigned event = AZFN__EVENT_NONE; event < AZFN__EVENT_COUNT; event++) {
        struct azfn__buffer out;
        struct azfn__log_entry entry = {.event = (enum azfn__security_event)event,
                                        .level = AZFN_LOG_ERROR,
                                        .origin = AZFN__ORIGIN_WORKER_STDERR,
                                        .description = azfn__span(text, BIG_BYTES),
                                        .app_id = azfn__span(text, BIG_BYTES),
                                        .sequence = UINT64_MAX,
                                        .time_ms = INT64_MAX};
        fill_fields(&entry.fields, azfn__span(text, BIG_BYTES));
        struct azfn_span line = write_line(&out, &entry);
        assert_true(azfn__json_member(line, AZFN__SPAN("description")).length > AZFN__LOG_LINE_MAX_BYTES / 2);
        for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
            const struct azfn__event_field_info *info = azfn__event_field_info((enum azfn__event_field)i);
            bool is_written = azfn_span_is_present(azfn__json_member(line, azfn_span_of(info->name)));
            assert_int_equal(is_written, azfn__security_event_info(entry.event)->fields >> i & 1);
        }
        azfn__buffer_clean_up(&out);
    }
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

static void a_line_needs_no_memory_where_the_buffer_has_its_room(void **state)
{
    (void)state;
    struct azfn__buffer out;
    char *text = repeat("warn", 4, BIG_BYTES);
    const struct azfn__log_entry entry = entry_of_text(AZFN_LOG_ERROR, azfn__span(text, BIG_BYTES));
    azfn__buffer_init(&out, NO_LIMIT);
    assert_true(azfn__buffer_reserve(&out, AZFN__LOG_LINE_MAX_BYTES));
    const char *data = out.data;
    azfn__log_line_append(&out, &entry);
    assert_ptr_equal(out.data, data);
    assert_true(out.length > AZFN__LOG_LINE_MAX_BYTES - 6);
    azfn__buffer_clean_up(&out);
    free(text);
}

static void a_text_for_a_log_that_decodes_it_is_on_one_line_even_so(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "\"\""},
        {"\xc3\xa9 \"quoted\" c:\\new {\"a\":1}", "\"\xc3\xa9 \\\"quoted\\\" c:\\\\new {\\\"a\\\":1}\""},
        {"a\nb\rc\td", "\"a\\\\nb\\\\rc\\\\td\""},
        {"\x1b[31m\x7f\x01\xc2\x9b", "\"\\\\u001b[31m\\\\u007f\\\\u0001\\\\u009b\""},
        {"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8", "\"\\\\u202e\\\\u2066\\\\u2028\""},
        {"\x80 warn", "\"\xef\xbf\xbd warn\""},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct azfn__buffer out;
        azfn__buffer_init(&out, NO_LIMIT);
        azfn__log_text_append(&out, azfn_span_of(texts[i][0]));
        require_text(&out, texts[i][1]);
        azfn__buffer_clean_up(&out);
    }
}

static void a_buffer_without_room_has_failed(void **state)
{
    (void)state;
    struct azfn__buffer out;
    const struct azfn__log_entry entry = {.level = AZFN_LOG_ERROR, .description = AZFN__SPAN("warn warn warn")};
    for (size_t room = 0; room <= AZFN__LOG_LINE_MAX_BYTES; room++) {
        azfn__buffer_init(&out, room);
        azfn__log_line_append(&out, &entry);
        assert_int_equal(out.has_failed, room < AZFN__LOG_LINE_MAX_BYTES);
        assert_int_equal(out.length > 0, room == AZFN__LOG_LINE_MAX_BYTES);
        azfn__buffer_clean_up(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_fields_that_are_known_of_an_event),
        cmocka_unit_test(a_functions_own_line_has_no_event_and_the_level_that_it_says),
        cmocka_unit_test(a_field_is_written_by_its_type),
        cmocka_unit_test(a_time_is_that_of_the_calendar),
        cmocka_unit_test(every_origin_has_its_name),
        cmocka_unit_test(text_can_neither_end_a_line_nor_start_one),
        cmocka_unit_test(what_ends_a_line_for_some_reader_or_speaks_to_a_terminal_is_escaped),
        cmocka_unit_test(the_warn_of_an_error_keeps_its_case),
        cmocka_unit_test(an_error_never_says_warn_and_gives_the_text_back),
        cmocka_unit_test(warn_does_not_arise_between_two_fields_of_an_error),
        cmocka_unit_test(a_text_of_100_kib_is_cut_whatever_it_is_made_of),
        cmocka_unit_test(a_cut_does_not_fall_into_a_character),
        cmocka_unit_test(a_text_that_just_fits_is_not_cut),
        cmocka_unit_test(every_event_has_its_own_fields_only_and_room_for_its_description),
        cmocka_unit_test(a_warning_says_warn_even_when_its_text_does_not),
        cmocka_unit_test(a_line_needs_no_memory_where_the_buffer_has_its_room),
        cmocka_unit_test(a_text_for_a_log_that_decodes_it_is_on_one_line_even_so),
        cmocka_unit_test(a_buffer_without_room_has_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
