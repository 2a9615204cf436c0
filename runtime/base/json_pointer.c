#include "base/json_pointer.h"

#include "base/json_read.h"
#include "base/json_string.h"
#include "base/span.h"

bool azfn__json_pointer_next(struct azfn_span *pointer, struct azfn_span *out_token)
{
    if (pointer->length == 0 || pointer->data[0] != '/') {
        return false;
    }
    struct azfn_span token = azfn__span(pointer->data + 1, 0);
    size_t room = pointer->length - 1;
    for (; token.length < room && token.data[token.length] != '/'; token.length++) {
        if (token.data[token.length] == '~') {
            char c = token.length + 1 < room ? token.data[token.length + 1] : '\0';
            if (c != '0' && c != '1') {
                return false;
            }
        }
    }
    *pointer = azfn__span_from(*pointer, token.length + 1);
    *out_token = token;
    return true;
}

/* Digits without a leading zero. False for anything else, and for "-", the item behind the last. */
static bool read_index(struct azfn_span token, size_t *out_index)
{
    size_t index = 0;
    if (token.length == 0 || (token.data[0] == '0' && token.length > 1)) {
        return false;
    }
    for (size_t i = 0; i < token.length; i++) {
        unsigned digit = (unsigned)(unsigned char)token.data[i] - '0';
        if (digit > 9 || index > (SIZE_MAX - digit) / 10) {
            return false;
        }
        index = index * 10 + digit;
    }
    *out_index = index;
    return true;
}

struct azfn_span azfn__json_pointer_step(struct azfn_span container, struct azfn_span token)
{
    struct azfn_span found = {0};
    struct azfn__json_walk walk = azfn__json_walk(container);
    if (walk.is_object) {
        while (azfn__json_walk_next(&walk)) {
            found = azfn__json_string_equals_token(walk.name, token) ? walk.value : found;
        }
        return found;
    }
    size_t index = 0;
    if (!read_index(token, &index)) {
        return found;
    }
    for (size_t i = 0; azfn__json_walk_next(&walk); i++) {
        if (i == index) {
            return walk.value;
        }
    }
    return found;
}

struct azfn_span azfn__json_pointer_follow(struct azfn_span json, struct azfn_span pointer)
{
    struct azfn_span token;
    while (azfn_span_is_present(json) && azfn__json_pointer_next(&pointer, &token)) {
        json = azfn__json_pointer_step(json, token);
    }
    return azfn_span_is_present(pointer) && pointer.length == 0 ? json : azfn__absent();
}
