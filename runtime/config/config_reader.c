#include "config/config_reader.h"

#include "base/span.h"
#include "config/config_fault.h"
#include "config/config_files.h"

#include <inttypes.h>
#include <stdio.h>

/* /functions/<name>/secrets/<index> is the deepest place that is read. */
#define MAX_DEPTH 8

static size_t line_at(const struct azfn__config_reader *reader, size_t offset)
{
    size_t line = 1;
    for (size_t i = 0; i < offset && i < reader->text.length; i++) {
        line += reader->text.data[i] == '\n';
    }
    return line;
}

size_t azfn__config_line(const struct azfn__config_reader *reader, const struct azfn__config_node *node)
{
    while (node && !azfn_span_is_present(node->place)) {
        node = node->parent;
    }
    return node ? line_at(reader, (size_t)(node->place.data - reader->text.data)) : 1;
}

/* A name as a token of a JSON pointer. */
static void say_token(struct azfn__config_fault *fault, struct azfn_span name)
{
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    for (const char *at = azfn__config_shown(shown, sizeof(shown), name); *at; at++) {
        if (*at == '~' || *at == '/') {
            azfn__config_say_more(fault, "~%d", *at == '/');
        } else {
            azfn__config_say_more(fault, "%c", *at);
        }
    }
}

static void say_place(const struct azfn__config_reader *reader, const struct azfn__config_node *node)
{
    char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
    const struct azfn__config_node *way[MAX_DEPTH];
    size_t depth = 0;
    azfn__config_say(reader->fault, "%s:%zu: ", azfn__config_shown(shown, sizeof(shown), reader->path),
                     azfn__config_line(reader, node));
    for (; node && node->parent && depth < MAX_DEPTH; node = node->parent) {
        way[depth++] = node;
    }
    for (size_t i = depth; i-- > 0;) {
        azfn__config_say_more(reader->fault, "/");
        if (azfn_span_is_present(way[i]->name)) {
            say_token(reader->fault, way[i]->name);
        } else {
            azfn__config_say_more(reader->fault, "%zu", way[i]->index);
        }
    }
    if (depth > 0) {
        azfn__config_say_more(reader->fault, ": ");
    }
}

static void say_found(const struct azfn__config_reader *reader, struct azfn_span value)
{
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    switch (azfn__json_type_of(value)) {
    case AZFN__JSON_NONE:
        azfn__config_say_more(reader->fault, ", found nothing");
        break;
    case AZFN__JSON_ARRAY:
        azfn__config_say_more(reader->fault, ", found an array");
        break;
    case AZFN__JSON_OBJECT:
        azfn__config_say_more(reader->fault, ", found an object");
        break;
    case AZFN__JSON_STRING:
        value = azfn__span(value.data + 1, value.length - 2);
        azfn__config_say_more(reader->fault, ", found \"%s\"", azfn__config_shown(shown, sizeof(shown), value));
        break;
    default:
        azfn__config_say_more(reader->fault, ", found %s", azfn__config_shown(shown, sizeof(shown), value));
        break;
    }
}

enum azfn_error azfn__config_expected(const struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                      const char *expected)
{
    say_place(reader, node);
    azfn__config_say_more(reader->fault, "expected %s", expected);
    say_found(reader, node->value);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn__config_expected_name(const struct azfn__config_reader *reader,
                                           const struct azfn__config_node *node, const char *expected,
                                           struct azfn_span found, struct azfn_span meant)
{
    char shown[AZFN__CONFIG_SHOWN_ROOM];
    say_place(reader, node);
    azfn__config_shown(shown, sizeof(shown), found);
    azfn__config_say_more(reader->fault, "expected %s, found \"%s\"", expected, shown);
    if (azfn_span_is_present(meant)) {
        azfn__config_shown(shown, sizeof(shown), meant);
        azfn__config_say_more(reader->fault, " (did you mean \"%s\"?)", shown);
    }
    return AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn__config_refuse(const struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                    const char *format, ...)
{
    char text[AZFN__CONFIG_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    say_place(reader, node);
    azfn__config_say_more(reader->fault, "%s", text);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn__config_refuse_memory(struct azfn__config_fault *fault)
{
    azfn__config_say(fault, "not enough memory for the configuration");
    return AZFN_ERROR_NO_MEMORY;
}

/* Where a comment that begins at text[at] ends; at when none begins there. */
static size_t comment_end(const char *text, size_t length, size_t at)
{
    if (at + 1 >= length || text[at] != '/' || (text[at + 1] != '/' && text[at + 1] != '*')) {
        return at;
    }
    bool is_line = text[at + 1] == '/';
    for (size_t i = at + 2; i < length; i++) {
        if (is_line && (text[i] == '\n' || text[i] == '\r')) {
            return i;
        }
        if (!is_line && i > at + 2 && text[i] == '/' && text[i - 1] == '*') {
            return i + 1;
        }
    }
    return is_line ? length : at;
}

/* Blanks instead of a byte order mark and comments. Lines and offsets stay what they are. */
static void blank_out(char *text, size_t length)
{
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        memset(text, ' ', 3);
    }
    bool is_string = false;
    for (size_t i = 0; i < length;) {
        if (is_string) {
            is_string = text[i] != '"';
            i += text[i] == '\\' ? 2 : 1;
            continue;
        }
        size_t end = comment_end(text, length, i);
        if (end == i) {
            is_string = text[i] == '"';
            i++;
        }
        for (; i < end; i++) {
            text[i] = text[i] == '\n' ? '\n' : ' ';
        }
    }
}

enum azfn_error azfn__config_reader_open(struct azfn__config_reader *reader, struct azfn__arena *arena,
                                         struct azfn__config_fault *fault, const struct azfn__config_file *file,
                                         bool is_host_format, struct azfn__config_node *out_root)
{
    char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
    *reader = (struct azfn__config_reader){.arena = arena, .fault = fault, .path = file->path, .text = file->text};
    *out_root = (struct azfn__config_node){0};
    reader->is_host_format = is_host_format;
    azfn__buffer_init(&reader->copy, AZFN__CONFIG_FILE_MAX_BYTES);
    azfn__buffer_init(&reader->scratch, AZFN__CONFIG_FILE_MAX_BYTES);
    if (file->text.length > AZFN__CONFIG_FILE_MAX_BYTES) {
        azfn__config_say(fault, "%s: longer than %zu bytes", azfn__config_shown(shown, sizeof(shown), file->path),
                         AZFN__CONFIG_FILE_MAX_BYTES);
        return AZFN_ERROR_LIMIT;
    }
    if (is_host_format && file->text.length > 0) {
        azfn__buffer_append_span(&reader->copy, file->text);
        if (reader->copy.has_failed) {
            return azfn__config_refuse_memory(fault);
        }
        blank_out(reader->copy.data, reader->copy.length);
        reader->text = azfn__buffer_span(&reader->copy);
    }
    size_t offset = 0;
    enum azfn_error error = azfn__json_scan(reader->text, NULL, &offset);
    if (error != AZFN_OK) {
        size_t column = 1;
        for (size_t i = offset; i > 0 && reader->text.data[i - 1] != '\n'; i--) {
            column += ((unsigned char)reader->text.data[i - 1] & 0xc0) != 0x80;
        }
        azfn__config_say(fault, "%s:%zu: %s at column %zu", azfn__config_shown(shown, sizeof(shown), file->path),
                         line_at(reader, offset), error == AZFN_ERROR_LIMIT ? "nested too deeply" : "not JSON", column);
        return AZFN_ERROR_SYNTAX;
    }
    out_root->value = reader->text;
    out_root->place = reader->text;
    return AZFN_OK;
}

void azfn__config_reader_close(struct azfn__config_reader *reader)
{
    azfn__buffer_clean_up(&reader->copy);
    azfn__buffer_clean_up(&reader->scratch);
}

static enum azfn_error decode(struct azfn__config_reader *reader, struct azfn_span raw, struct azfn_span *out_text)
{
    struct azfn_span view = azfn__json_string_view(raw);
    if (!azfn_span_is_present(view)) {
        azfn__buffer_reset(&reader->scratch, AZFN__CONFIG_FILE_MAX_BYTES);
        if (!azfn__json_string_decode(raw, &reader->scratch)) {
            return azfn__config_refuse_memory(reader->fault);
        }
        view = azfn__buffer_span(&reader->scratch);
    }
    *out_text = azfn__arena_copy(reader->arena, view);
    return azfn_span_is_present(*out_text) ? AZFN_OK : azfn__config_refuse_memory(reader->fault);
}

enum azfn_error azfn__config_member(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                    const char *name, struct azfn__config_node *out_member)
{
    *out_member = (struct azfn__config_node){.parent = object, .name = azfn_span_of(name)};
    struct azfn__json_walk walk = azfn__json_walk(object->value);
    while (azfn__json_walk_next(&walk)) {
        if (azfn__json_string_equals(walk.name, out_member->name)) {
            bool is_nothing = reader->is_host_format && azfn__json_type_of(walk.value) == AZFN__JSON_NULL;
            out_member->place = walk.value;
            out_member->value = is_nothing ? azfn__absent() : walk.value;
        } else if (reader->is_host_format &&
                   azfn__span_equal_ignore_case(azfn__json_string_view(walk.name), out_member->name)) {
            struct azfn__config_node found = {.parent = object, .name = azfn__json_string_view(walk.name)};
            found.place = walk.name;
            return azfn__config_refuse(reader, &found, "expected the key to be written %s", name);
        }
    }
    return AZFN_OK;
}

enum azfn_error azfn__config_next(struct azfn__config_reader *reader, const struct azfn__config_node *container,
                                  struct azfn__json_walk *walk, size_t index, struct azfn__config_node *out_child,
                                  bool *out_has)
{
    *out_child = (struct azfn__config_node){.parent = container, .index = index};
    *out_has = azfn__json_walk_next(walk);
    if (!*out_has) {
        return AZFN_OK;
    }
    out_child->value = walk->value;
    out_child->place = azfn_span_is_present(walk->name) ? walk->name : walk->value;
    return azfn_span_is_present(walk->name) ? decode(reader, walk->name, &out_child->name) : AZFN_OK;
}

enum azfn_error azfn__config_text(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                  const char *expected, struct azfn_span *out_text)
{
    if (azfn__json_type_of(node->value) != AZFN__JSON_STRING) {
        return azfn__config_expected(reader, node, expected);
    }
    enum azfn_error error = decode(reader, node->value, out_text);
    for (size_t i = 0; error == AZFN_OK && i < out_text->length; i++) {
        unsigned char c = (unsigned char)out_text->data[i];
        if (c < ' ' || c == 0x7f) {
            return azfn__config_refuse(reader, node, "expected text without control characters, found some");
        }
    }
    return error;
}

enum azfn_error azfn__config_bool(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                  bool *out_value)
{
    enum azfn__json_type type = azfn__json_type_of(node->value);
    if (type != AZFN__JSON_TRUE && type != AZFN__JSON_FALSE) {
        return azfn__config_expected(reader, node, "true or false");
    }
    *out_value = type == AZFN__JSON_TRUE;
    return AZFN_OK;
}

enum azfn_error azfn__config_integer(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                     uint64_t min, uint64_t max, uint64_t *out_value)
{
    bool is_number = azfn__json_type_of(node->value) == AZFN__JSON_NUMBER;
    if (!is_number || azfn__json_uint64(node->value, out_value) != AZFN_OK || *out_value < min || *out_value > max) {
        char expected[96];
        snprintf(expected, sizeof(expected), "an integer from %" PRIu64 " to %" PRIu64, min, max);
        return azfn__config_expected(reader, node, expected);
    }
    return AZFN_OK;
}

static enum azfn_error count_children(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                      enum azfn__json_type type, size_t max_count, size_t *out_count)
{
    *out_count = 0;
    const char *expected = type == AZFN__JSON_OBJECT ? "an object" : "an array";
    if (azfn__json_type_of(node->value) != type) {
        return azfn__config_expected(reader, node, expected);
    }
    struct azfn__json_walk walk = azfn__json_walk(node->value);
    while (azfn__json_walk_next(&walk)) {
        ++*out_count;
    }
    if (*out_count > max_count) {
        return azfn__config_refuse(reader, node, "expected %s of at most %zu entries, found %zu", expected, max_count,
                                   *out_count);
    }
    return AZFN_OK;
}

enum azfn_error azfn__config_object(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                    size_t max_count, size_t *out_count)
{
    return count_children(reader, node, AZFN__JSON_OBJECT, max_count, out_count);
}

enum azfn_error azfn__config_array(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                   size_t max_count, size_t *out_count)
{
    return count_children(reader, node, AZFN__JSON_ARRAY, max_count, out_count);
}

static enum azfn_error refuse_key(const struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                  const struct azfn_span *known, size_t known_count)
{
    char expected[384] = "one of ";
    size_t length = known_count > 1 ? strlen(expected) : 0;
    for (size_t i = 0; i < known_count && length < sizeof(expected); i++) {
        const char *comma = i == 0 ? "" : ", ";
        length += (size_t)snprintf(expected + length, sizeof(expected) - length, "%s%.*s", comma,
                                   AZFN_SPAN_ARGS(known[i]));
    }
    struct azfn_span meant = azfn__config_meant(node->name, known, known_count, sizeof(*known));
    return azfn__config_expected_name(reader, node, expected, node->name, meant);
}

enum azfn_error azfn__config_check_keys(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                        const struct azfn_span *known, size_t known_count)
{
    size_t count;
    enum azfn_error error = azfn__config_object(reader, node, SIZE_MAX, &count);
    struct azfn__json_walk walk = azfn__json_walk(node->value);
    uint32_t seen = 0;
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node key;
        bool has_key;
        error = azfn__config_next(reader, node, &walk, i, &key, &has_key);
        if (error != AZFN_OK) {
            break;
        }
        size_t which = 0;
        while (which < known_count && !azfn__span_equal(known[which], key.name)) {
            which++;
        }
        if (which == known_count) {
            return refuse_key(reader, &key, known, known_count);
        }
        if (seen & (1U << which)) {
            return azfn__config_refuse(reader, &key, "expected the key once, found it again");
        }
        seen |= 1U << which;
    }
    return error;
}
