/* Any event, with any fields and any texts in them: one line, of the event's level, of valid JSON, of the members that
 * it has to have, which say what they were given or a beginning of it. */
#include "base/json_scan.h"
#include "base/log_line.h"
#include "base/span.h"

#include "fuzz/check.h"
#include "fuzz/plain_json.h"

#include <inttypes.h>
#include <string.h>

#define TEXTS_MAX (AZFN__EVENT_FIELD_COUNT + 2)
#define MEMBERS_MAX (AZFN__EVENT_FIELD_COUNT + 7)

/* What an entry is made of. */
static struct {
    char *texts[TEXTS_MAX];
    size_t text_count;
} made;

/* What the line has to have, in its order, and how much of it was seen. */
static struct {
    struct azfn__log_entry entry;
    const char *names[MEMBERS_MAX];
    int fields[MEMBERS_MAX]; /* -1: one of the line's own */
    size_t count;
    size_t seen;
    const char *end; /* of what may stand in the last string: behind it are a quote, a brace and a newline */
} expected;

static uint64_t take_number(struct input *input)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) {
        value |= (uint64_t)take_byte(input) << (8 * i);
    }
    return value;
}

/* Some bytes, again and again: in memory of exactly their size, so that a read beyond it is seen. */
static struct azfn_span take_text(struct input *input)
{
    struct input piece = take_bytes(input, take_byte(input));
    size_t times = take_byte(input);
    times = times < 128 ? 1 : (times - 125) / 3;
    size_t length = piece.length * times;
    char *text = malloc(length > 0 ? length : 1);
    CHECK(text);
    for (size_t i = 0; i < length; i++) {
        text[i] = (char)piece.data[i % piece.length];
    }
    made.texts[made.text_count++] = text;
    return azfn__span(text, length);
}

static struct azfn__log_entry take_entry(struct input *input)
{
    struct azfn__log_entry entry = {.event = (enum azfn__security_event)(take_byte(input) % AZFN__EVENT_COUNT)};
    unsigned kinds = take_byte(input);
    entry.level = (enum azfn_log_level)(kinds % 3);
    entry.origin = (enum azfn__log_origin)(kinds / 3 % 4);
    entry.description = take_text(input);
    if (kinds & 128) {
        entry.app_id = take_text(input);
    }
    entry.sequence = take_number(input);
    entry.time_ms = (int64_t)take_number(input);
    /* all of the event's, or any */
    uint64_t set = kinds & 64 ? azfn__security_event_info(entry.event)->fields : take_number(input);
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        enum azfn__event_field field = (enum azfn__event_field)i;
        if (!(set >> i & 1)) {
            continue;
        }
        if (azfn__event_field_is_number(field)) {
            *azfn__event_field_number(&entry.fields, field) = AZFN__NUMBER(take_number(input));
        } else {
            *azfn__event_field_text(&entry.fields, field) = take_text(input);
        }
    }
    return entry;
}

static void expect(const char *name, int field)
{
    expected.names[expected.count] = name;
    expected.fields[expected.count++] = field;
}

static void expect_members(const struct azfn__log_entry *entry)
{
    expected.entry = *entry;
    expected.count = 0;
    expected.seen = 0;
    expect("datetime", -1);
    expect("level", -1);
    if (entry->app_id.data) {
        expect("appid", -1);
    }
    expect("sequence", -1);
    expect("origin", -1);
    if (entry->event != AZFN__EVENT_NONE) {
        expect("event", -1);
    }
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        if (azfn__event_fields_set(&entry->fields) & azfn__security_event_info(entry->event)->fields &
            UINT64_C(1) << i) {
            expect(azfn__event_field_info((enum azfn__event_field)i)->name, (int)i);
        }
    }
    expect("description", -1);
}

static enum azfn_log_level expected_level(void)
{
    enum azfn__security_event event = expected.entry.event;
    return event == AZFN__EVENT_NONE ? expected.entry.level : azfn__security_event_info(event)->level;
}

static bool is_text(struct azfn_span value, const char *text)
{
    return value.length == strlen(text) + 2 && value.data[0] == '"' && value.data[value.length - 1] == '"' &&
           memcmp(value.data + 1, text, strlen(text)) == 0;
}

/* All of the text, or a beginning and the mark. */
static void check_text(struct azfn_span value, struct azfn_span text, size_t max_bytes)
{
    struct azfn__buffer found;
    struct azfn__buffer json;
    struct azfn__buffer whole;
    CHECK(value.length <= max_bytes + 2);
    /* a byte of it is a byte of JSON at least */
    bool is_cut = text.length > max_bytes;
    text.length = is_cut ? max_bytes : text.length;
    azfn__buffer_init(&found, (size_t)1 << 20);
    azfn__buffer_init(&json, (size_t)1 << 20);
    azfn__buffer_init(&whole, (size_t)1 << 20);
    CHECK(azfn__json_string_decode(value, &found));
    /* what is not UTF-8 is something else then */
    azfn__json_append_string(&json, text);
    CHECK(azfn__json_string_decode(azfn__buffer_span(&json), &whole));
    if (is_cut || !azfn__span_equal(azfn__buffer_span(&found), azfn__buffer_span(&whole))) {
        CHECK(found.length >= 5 && memcmp(found.data + found.length - 5, "[cut]", 5) == 0);
        CHECK(azfn__span_starts_with(azfn__buffer_span(&whole), azfn__span(found.data, found.length - 5)));
        /* no more is cut than has to be: a character takes six bytes at the most */
        CHECK(value.length + 6 > max_bytes + 2 - 5);
    }
    azfn__buffer_clean_up(&found);
    azfn__buffer_clean_up(&json);
    azfn__buffer_clean_up(&whole);
}

/* As RFC 3986 has it, at the start and behind each "://". */
static void check_url(struct azfn_span value)
{
    struct azfn_span url = azfn__span(value.data + 1, value.length - 2);
    for (size_t i = 0; i < url.length; i++) {
        CHECK(url.data[i] != '?' && url.data[i] != '#');
        bool is_start = i == 0 && url.data[0] != '/';
        size_t authority = is_start ? 0 : i + 2;
        if (is_start || (i == 0 && azfn__span_starts_with(url, AZFN__SPAN("//"))) ||
            (i > 0 && url.data[i - 1] == ':' && azfn__span_starts_with(azfn__span_from(url, i), AZFN__SPAN("//")))) {
            for (size_t at = authority; at < url.length && url.data[at] != '/'; at++) {
                CHECK(url.data[at] != '@');
            }
        }
    }
}

static void check_time(struct azfn_span value)
{
    static const char form[] = "\"0000-00-00T00:00:00.000+00:00\"";
    CHECK(value.length == sizeof(form) - 1);
    for (size_t i = 0; i < value.length; i++) {
        bool is_digit = value.data[i] >= '0' && value.data[i] <= '9';
        CHECK(value.data[i] == form[i] || (form[i] == '0' && is_digit));
    }
}

static void check_number(struct azfn_span value, bool is_negative, uint64_t magnitude)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%s%" PRIu64, is_negative ? "-" : "", magnitude);
    CHECK(azfn_span_equals(value, text));
}

static void check_field(struct azfn_span value, enum azfn__event_field field)
{
    struct azfn__event_fields *fields = &expected.entry.fields;
    switch (azfn__event_field_info(field)->type) {
    case AZFN__FIELD_TYPE_TEXT:
        check_text(value, *azfn__event_field_text(fields, field), 256);
        break;
    case AZFN__FIELD_TYPE_LIST:
        check_text(value, *azfn__event_field_text(fields, field), 1024);
        break;
    case AZFN__FIELD_TYPE_URL:
        check_text(value, azfn__event_url_shown(*azfn__event_field_text(fields, field)), 256);
        check_url(value);
        break;
    case AZFN__FIELD_TYPE_NUMBER: {
        int64_t number = azfn__event_field_number(fields, field)->value;
        check_number(value, number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
        break;
    }
    case AZFN__FIELD_TYPE_TIME:
        check_time(value);
        break;
    }
}

static bool on_member(const struct azfn_span *names, size_t depth, struct azfn_span value, void *user_data)
{
    static const char *const levels[] = {"INFO", "WARN", "ERROR"};
    static const char *const origins[] = {"broker", "worker", "worker-stdout", "worker-stderr"};
    const struct azfn__log_entry *entry = &expected.entry;
    (void)user_data;
    CHECK(depth == 1 && expected.seen < expected.count);
    const char *name = expected.names[expected.seen];
    int field = expected.fields[expected.seen++];
    CHECK(is_text(names[0], name));
    if (field >= 0) {
        check_field(value, (enum azfn__event_field)field);
    } else if (strcmp(name, "datetime") == 0) {
        check_time(value);
    } else if (strcmp(name, "level") == 0) {
        CHECK(is_text(value, levels[expected_level()]));
    } else if (strcmp(name, "appid") == 0) {
        check_text(value, entry->app_id, 256);
    } else if (strcmp(name, "sequence") == 0) {
        check_number(value, false, entry->sequence);
    } else if (strcmp(name, "origin") == 0) {
        CHECK(is_text(value, origins[entry->origin]));
    } else if (strcmp(name, "event") == 0) {
        CHECK(is_text(value, azfn__security_event_info(entry->event)->name));
    } else {
        check_text(value, entry->description, (size_t)(expected.end - value.data) - 1);
    }
    return true;
}

static bool holds(struct azfn_span text, struct azfn_span wanted)
{
    for (size_t i = 0; i + wanted.length <= text.length; i++) {
        if (azfn__span_equal_ignore_case(azfn__span(text.data + i, wanted.length), wanted)) {
            return true;
        }
    }
    return false;
}

static void check_line(struct azfn_span line)
{
    CHECK(line.length > 0 && line.length <= AZFN__LOG_LINE_MAX_BYTES && line.data[line.length - 1] == '\n');
    expected.end = line.data + AZFN__LOG_LINE_MAX_BYTES - 3;
    line.length--;
    for (size_t i = 0; i < line.length; i++) {
        CHECK((unsigned char)line.data[i] >= ' ' && line.data[i] != 0x7f);
    }
    CHECK(!holds(line, AZFN__SPAN("\xc2\x85")) && !holds(line, AZFN__SPAN("\xe2\x80\xa8")) &&
          !holds(line, AZFN__SPAN("\xe2\x80\xa9")));
    CHECK(azfn__span_starts_with(line, AZFN__SPAN("{\"datetime\":\"")));
    CHECK(plain_json_check(line.data, line.length, 1) == PLAIN_JSON_OK);
    const struct azfn__json_scan_options options = {.member_depth = 1, .on_member = on_member};
    CHECK(azfn__json_scan(line, &options, NULL) == AZFN_OK && expected.seen == expected.count);
    enum azfn_log_level level = expected_level();
    CHECK(level == AZFN_LOG_INFORMATION || holds(line, AZFN__SPAN("warn")) == (level == AZFN_LOG_WARNING));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char before[] = "warn\n";
    struct input input = {.data = data, .length = size};
    struct azfn__buffer out;
    made.text_count = 0;
    const struct azfn__log_entry entry = take_entry(&input);
    expect_members(&entry);
    azfn__buffer_init(&out, AZFN__LOG_LINE_MAX_BYTES * 2);
    azfn__buffer_append_text(&out, before);
    azfn__log_line_append(&out, &entry);
    CHECK(!out.has_failed && memcmp(out.data, before, strlen(before)) == 0);
    check_line(azfn__span_from(azfn__buffer_span(&out), strlen(before)));
    azfn__buffer_clean_up(&out);
    for (size_t i = 0; i < made.text_count; i++) {
        free(made.texts[i]);
    }
    return 0;
}
