#include "config/route.h"

#include "base/span.h"
#include "config/route_parts.h"

static int hex_digit(char c)
{
    unsigned char lower = azfn__lower((unsigned char)c);
    if (lower >= '0' && lower <= '9') {
        return lower - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that "%41" at text[at] stands for, or -1. */
static int escaped_byte(struct azfn_span text, size_t at)
{
    if (at + 3 > text.length || text.data[at] != '%') {
        return -1;
    }
    int high = hex_digit(text.data[at + 1]);
    int low = hex_digit(text.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

size_t azfn__route_decode_next(struct azfn_span text, size_t *at, char out[static 4])
{
    int byte = escaped_byte(text, *at);
    if (byte < 0 || byte == '/' || byte == 0) {
        out[0] = text.data[(*at)++];
        return 1;
    }
    size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    out[0] = (char)byte;
    for (size_t i = 1; i < length; i++) {
        byte = escaped_byte(text, *at + 3 * i);
        out[i] = (char)byte;
        if (byte < 0x80) {
            length = 0;
        }
    }
    if (length == 0 || !azfn__span_is_utf8(azfn__span(out, length))) {
        out[0] = text.data[(*at)++];
        return 1;
    }
    *at += 3 * length;
    return length;
}

/* How many bytes in front stand for themselves. */
static size_t unescaped_length(struct azfn_span text)
{
    size_t length = 0;
    while (length < text.length && text.data[length] != '%') {
        length++;
    }
    return length;
}

/* Compares without a decoded copy: most segments are compared in vain. */
static bool is_literal(struct azfn_span encoded, struct azfn_span literal)
{
    size_t at = unescaped_length(encoded);
    size_t matched = at;
    if (at > literal.length || !azfn__bytes_equal_ignore_case(encoded.data, literal.data, at)) {
        return false;
    }
    while (at < encoded.length) {
        char decoded[4];
        size_t length = azfn__route_decode_next(encoded, &at, decoded);
        if (length > literal.length - matched ||
            !azfn__bytes_equal_ignore_case(decoded, literal.data + matched, length)) {
            return false;
        }
        matched += length;
    }
    return matched == literal.length;
}

static bool decode(struct azfn__arena *arena, struct azfn_span encoded, struct azfn_span *out_text)
{
    char *text = azfn__arena_alloc(arena, encoded.length + 1);
    if (!text) {
        return false;
    }
    size_t length = unescaped_length(encoded);
    size_t at = length;
    memcpy(text, encoded.data, length);
    while (at < encoded.length) {
        char decoded[4];
        size_t more = azfn__route_decode_next(encoded, &at, decoded);
        memcpy(text + length, decoded, more);
        length += more;
    }
    text[length] = '\0';
    *out_text = azfn__span(text, length);
    return true;
}

/* All that can be said without decoding: the literals, and how many segments there are. */
static bool has_shape(const struct azfn__route *route, struct azfn_span path)
{
    size_t at = 1;
    size_t i = 0;
    struct azfn_span segment;
    for (; azfn__route_next_segment(path, &at, &segment); i++) {
        if (segment.length == 0 || i >= route->segment_count) {
            return false;
        }
        const struct azfn__route_rule *rule = azfn__route_simple_rule(route, i);
        if (rule && rule->is_catch_all) {
            return true;
        }
        const struct azfn__route_part *part = &route->parts[route->segments[i].first_part];
        if (!rule && route->segments[i].part_count == 1 && !is_literal(segment, part->literal)) {
            return false;
        }
    }
    for (; i < route->segment_count; i++) {
        const struct azfn__route_rule *rule = azfn__route_simple_rule(route, i);
        if (!rule || (!rule->is_catch_all && !rule->is_optional && !azfn_span_is_present(rule->default_value))) {
            return false;
        }
    }
    return true;
}

/* Where literal begins in text for the last time; SIZE_MAX for nowhere. */
static size_t last_index_of(struct azfn_span text, struct azfn_span literal)
{
    for (size_t at = text.length + 1; at-- > 0;) {
        if (literal.length <= text.length - at &&
            azfn__span_equal_ignore_case(azfn__span(text.data + at, literal.length), literal)) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* A segment of several parts, from the right: each literal is taken where it stands last, and the parameter
 * between two of them is what is left. There is no second try, so it can't explode. */
static bool match_parts(const struct azfn__route_part *parts, size_t part_count, size_t used_count,
                        struct azfn_span text, struct azfn__route_match *out_match)
{
    const struct azfn__route_part *pending = NULL;
    size_t end = text.length;
    for (size_t i = used_count; i-- > 0;) {
        if (!azfn_span_is_present(parts[i].literal)) {
            pending = &parts[i];
            continue;
        }
        size_t reserved = pending ? 1 : 0;
        if (end <= reserved) {
            return false;
        }
        size_t start = last_index_of(azfn__span(text.data, end - reserved), parts[i].literal);
        if (start == SIZE_MAX) {
            return false;
        }
        size_t behind = start + parts[i].literal.length;
        if (i + 1 == part_count && behind != text.length) {
            return false;
        }
        if (pending) {
            out_match->params[pending->rule].value = azfn__span(text.data + behind, end - behind);
            pending = NULL;
        }
        end = start;
    }
    if (!pending) {
        return used_count > 0 && end == 0;
    }
    out_match->params[pending->rule].value = azfn__span(text.data, end);
    return end > 0;
}

static bool match_mixed(const struct azfn__route *route, const struct azfn__route_segment *segment,
                        struct azfn_span text, struct azfn__route_match *out_match)
{
    const struct azfn__route_part *parts = &route->parts[segment->first_part];
    size_t count = segment->part_count;
    if (match_parts(parts, count, count, text, out_match)) {
        return true;
    }
    const struct azfn__route_part *last = &parts[count - 1];
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every parameter has a rule */
    if (azfn_span_is_present(last->literal) || !route->rules[last->rule].is_optional) {
        return false;
    }
    /* "{name}.{extension?}": once more without the dot and what follows it */
    out_match->params[last->rule].value = azfn__absent();
    return text.data[text.length - 1] != '.' && match_parts(parts, count, count - 2, text, out_match);
}

static bool take_values(const struct azfn__route *route, struct azfn_span path, struct azfn__arena *arena,
                        struct azfn__route_match *out_match)
{
    size_t at = 1;
    struct azfn_span segment;
    for (size_t i = 0; azfn__route_next_segment(path, &at, &segment); i++) {
        const struct azfn__route_rule *rule = azfn__route_simple_rule(route, i);
        if (!rule && route->segments[i].part_count == 1) {
            continue;
        }
        bool is_catch_all = rule && rule->is_catch_all;
        if (is_catch_all) {
            /* up to the end, with a slash that stands there */
            segment = azfn__span(segment.data, (size_t)(path.data + path.length - segment.data));
        }
        struct azfn_span text;
        if (!decode(arena, segment, &text)) {
            return false;
        }
        if (rule) {
            out_match->params[rule - route->rules].value = text;
        } else if (!match_mixed(route, &route->segments[i], text, out_match)) {
            return false;
        }
        if (is_catch_all) {
            break;
        }
    }
    return true;
}

static bool are_constraints_met(const struct azfn__route *route, const struct azfn__route_match *match)
{
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct azfn__route_rule *rule = &route->rules[i];
        if (rule->is_optional && !azfn_span_is_present(match->params[i].value)) {
            continue;
        }
        for (size_t k = 0; k < rule->constraint_count; k++) {
            const struct azfn__route_constraint *constraint = &route->constraints[rule->first_constraint + k];
            if (!azfn__route_constraint_is_met(constraint, match->params[i].value)) {
                return false;
            }
        }
    }
    return true;
}

bool azfn__route_match(const struct azfn__route *route, struct azfn_span path, struct azfn__arena *arena,
                       struct azfn__route_match *out_match)
{
    out_match->param_count = 0;
    if (path.length == 0 || path.data[0] != '/' || !has_shape(route, path)) {
        return false;
    }
    for (size_t i = 0; i < route->rule_count; i++) {
        out_match->params[i] = (struct azfn__route_param){.name = route->rules[i].name};
    }
    if (!take_values(route, path, arena, out_match)) {
        return false;
    }
    for (size_t i = 0; i < route->rule_count; i++) {
        if (!azfn_span_is_present(out_match->params[i].value)) {
            out_match->params[i].value = route->rules[i].default_value;
        }
    }
    if (!are_constraints_met(route, out_match)) {
        return false;
    }
    out_match->param_count = route->rule_count;
    return true;
}

bool azfn__route_has_open_param(const struct azfn__route *route)
{
    for (size_t i = 0; i < route->rule_count; i++) {
        const struct azfn__route_rule *rule = &route->rules[i];
        bool is_closed = false;
        for (size_t k = 0; k < rule->constraint_count; k++) {
            is_closed = is_closed || azfn__route_constraint_is_closed(&route->constraints[rule->first_constraint + k]);
        }
        if (!is_closed) {
            return true;
        }
    }
    return false;
}
