/* fuzz/fuzz_json_scan.c
 * Any bytes: nothing is read outside of them. A second parser, made by other means, has to accept and refuse
 * exactly what the scan does; what was accepted is read in full, and cJSON has to see the same in it. */
#include "base/bytes.h"
#include "base/json_scan.h"
#include "fuzz/plain_json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES ((size_t)1 << 22)
/* cJSON copies a number into a small buffer and cuts it there. */
#define CJSON_NUMBER_MAX 60

static void check(bool is_right, const char *what)
{
    if (!is_right) {
        (void)fprintf(stderr, "wrong: %s\n", what);
        abort();
    }
}

static bool count_member(const struct azfn_span *names, size_t depth, struct azfn_span value, void *user_data)
{
    size_t *members = user_data;
    check(depth > 0 && depth <= AZFN__JSON_PATH_MAX && value.length > 0, "a reported member");
    for (size_t i = 0; i < depth; i++) {
        check(names[i].length >= 2 && names[i].data[0] == '"', "a reported name");
    }
    check(azfn__json_scan(value, NULL, NULL) == AZFN_OK, "a reported value");
    (*members)++;
    return true;
}

/* Refused text: answers do not matter, the sanitizers do. */
static void read_anything(struct azfn_span text, size_t depth)
{
    struct azfn__buffer out;
    int64_t number = 0;
    uint64_t natural = 0;
    azfn__buffer_init(&out, MAX_BYTES);
    (void)azfn__json_type_of(text);
    (void)azfn__json_string_decode(text, &out);
    (void)azfn__json_string_equals(text, azfn__buffer_span(&out));
    (void)azfn__json_string_view(text);
    (void)azfn__json_member(text, azfn_span_of("a"));
    enum azfn_error error = azfn__json_int64(text, &number);
    error = error ? error : azfn__json_uint64(text, &natural);
    (void)error;
    azfn__buffer_clean_up(&out);

    struct azfn__json_walk walk = azfn__json_walk(text);
    for (size_t cursor = 0; azfn__json_walk_next(&walk);) {
        size_t next = azfn__json_walk_cursor(&walk, text);
        check(next > cursor && next <= text.length, "a walk goes forward");
        cursor = next;
        if (depth < 6) {
            read_anything(walk.name, depth + 1);
            read_anything(walk.value, depth + 1);
        }
    }
}

static void check_string(struct azfn_span raw)
{
    struct azfn__buffer text, quoted, again;
    azfn__buffer_init(&text, MAX_BYTES);
    azfn__buffer_init(&quoted, MAX_BYTES);
    azfn__buffer_init(&again, MAX_BYTES);
    check(azfn__json_string_decode(raw, &text), "decode");
    check(azfn__span_is_utf8(azfn__buffer_span(&text)), "decoded text is UTF-8");
    check(azfn__json_string_equals(raw, azfn__buffer_span(&text)), "equals its decoded text");
    struct azfn_span view = azfn__json_string_view(raw);
    check(!view.data || azfn__span_equal(view, azfn__buffer_span(&text)), "view");
    azfn__json_append_string(&quoted, azfn__buffer_span(&text));
    check(!quoted.has_failed && azfn__json_scan(azfn__buffer_span(&quoted), NULL, NULL) == AZFN_OK, "quoted text");
    check(azfn__json_string_decode(azfn__buffer_span(&quoted), &again), "decode what was quoted");
    check(azfn__span_equal(azfn__buffer_span(&again), azfn__buffer_span(&text)), "the same after quoting");
    azfn__buffer_clean_up(&text);
    azfn__buffer_clean_up(&quoted);
    azfn__buffer_clean_up(&again);
}

static bool is_same_text(struct azfn_span raw, const char *text)
{
    return text && azfn__json_string_equals(raw, azfn_span_of(text));
}

static bool is_same_number(struct azfn_span value, double number)
{
    char text[CJSON_NUMBER_MAX + 1];
    value = azfn__json_trim(value);
    memcpy(text, value.data, value.length);
    text[value.length] = '\0';
    double expected = strtod(text, NULL);
    return memcmp(&expected, &number, sizeof(number)) == 0;
}

/* tree is NULL where cJSON is not asked. */
static void check_value(struct azfn_span value, const cJSON *tree)
{
    check(azfn__json_scan(value, NULL, NULL) == AZFN_OK, "a value out of a checked text");
    enum azfn__json_type type = azfn__json_type_of(value);
    switch (type) {
    case AZFN__JSON_NONE:
        check(false, "a value without a type");
        return;
    case AZFN__JSON_NULL:
        check(!tree || cJSON_IsNull(tree), "null");
        return;
    case AZFN__JSON_FALSE:
        check(!tree || cJSON_IsFalse(tree), "false");
        return;
    case AZFN__JSON_TRUE:
        check(!tree || cJSON_IsTrue(tree), "true");
        return;
    case AZFN__JSON_NUMBER:
        check(!tree || (cJSON_IsNumber(tree) && is_same_number(value, tree->valuedouble)), "number");
        return;
    case AZFN__JSON_STRING:
        check_string(value);
        check(!tree || (cJSON_IsString(tree) && is_same_text(value, tree->valuestring)), "string");
        return;
    case AZFN__JSON_ARRAY:
    case AZFN__JSON_OBJECT:
        break;
    }
    check(!tree || (type == AZFN__JSON_ARRAY ? cJSON_IsArray(tree) : cJSON_IsObject(tree)), "container");
    const cJSON *child = tree ? tree->child : NULL;
    struct azfn__json_walk walk = azfn__json_walk(value);
    while (azfn__json_walk_next(&walk)) {
        check(!tree || child, "an item more than cJSON has");
        if (type == AZFN__JSON_OBJECT) {
            check_string(walk.name);
            check(!tree || is_same_text(walk.name, child->string), "name");
        }
        check_value(walk.value, child);
        child = child ? child->next : NULL;
    }
    check(!child, "an item less than cJSON has");
}

/* The code of \uXXXX at text + i, which was checked; 0xffffffff when there is none. */
static unsigned long escaped_code(struct azfn_span text, size_t i)
{
    char digits[5] = {0};
    if (text.length < 6 || i > text.length - 6 || text.data[i] != '\\' || text.data[i + 1] != 'u') {
        return 0xffffffff;
    }
    memcpy(digits, text.data + i + 2, 4);
    return strtoul(digits, NULL, 16);
}

/* What cJSON is known to see in another way: lone surrogates, NUL in strings, long numbers. */
static bool is_beyond_cjson(struct azfn_span text)
{
    size_t number_length = 0;
    for (size_t i = 0; i < text.length; i++) {
        number_length = text.data[i] && strchr("0123456789+-.eE", text.data[i]) ? number_length + 1 : 0;
        if (number_length > CJSON_NUMBER_MAX) {
            return true;
        }
        if (text.data[i] != '\\') {
            continue;
        }
        unsigned long code = escaped_code(text, i);
        if (code >= 0xd800 && code <= 0xdbff) {
            unsigned long low = escaped_code(text, i + 6);
            if (low < 0xdc00 || low > 0xdfff) {
                return true;
            }
            i += 6;
        } else if (code == 0 || (code >= 0xdc00 && code <= 0xdfff)) {
            return true;
        }
        i++;
    }
    return false;
}

static size_t count_by_walking(struct azfn_span value, size_t depth)
{
    size_t count = 0;
    struct azfn__json_walk walk = azfn__json_walk(value);
    while (depth > 0 && azfn__json_walk_next(&walk) && walk.name.data) {
        count += 1 + count_by_walking(walk.value, depth - 1);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct azfn_span text = azfn__span(data, size);
    size_t members = 0;
    size_t offset = 0;
    struct azfn__json_scan_options options = {
        .member_depth = size % (AZFN__JSON_PATH_MAX + 1),
        .on_member = count_member,
        .user_data = &members,
    };
    enum azfn_error error = azfn__json_scan(text, &options, &offset);
    check(azfn__json_scan(text, NULL, NULL) == error, "the same with and without a callback");
    check(offset <= size, "the offset is in the text");
    enum plain_json_result plain = plain_json_check(data, size, AZFN__JSON_MAX_DEPTH);
    check((error == AZFN_OK) == (plain == PLAIN_JSON_OK), "as the plain parser");
    check((error == AZFN_ERROR_LIMIT) == (plain == PLAIN_JSON_TOO_DEEP), "as deep as the plain parser");
    if (error != AZFN_OK) {
        read_anything(text, 0);
        return 0;
    }
    check(offset == size, "all was read");
    check(azfn__span_is_utf8(text), "accepted text is UTF-8");
    check(members == count_by_walking(text, options.member_depth), "each member is reported once");

    cJSON *tree = NULL;
    if (!is_beyond_cjson(text)) {
        const char *end = NULL;
        tree = cJSON_ParseWithLengthOpts(text.data, text.length, &end, 0);
        check(tree != NULL, "cJSON refuses what was accepted");
        while (end < text.data + text.length && strchr(" \t\r\n", *end)) {
            end++;
        }
        check(end == text.data + text.length, "cJSON ends before the end");
    }
    check_value(text, tree);
    cJSON_Delete(tree);
    return 0;
}
