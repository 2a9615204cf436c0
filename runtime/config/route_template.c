#include "config/route_parts.h"

#include "base/span.h"

#define MAX_TEMPLATE_BYTES 1024
#define MAX_SEGMENTS 64
#define MAX_PARTS 128
#define MAX_CONSTRAINTS 64

/* A template while it is read. What it holds in the end is copied into the arena, as small as it is. */
struct compiler {
    struct azfn__arena *arena;
    struct azfn_span text;
    size_t at;
    const char *reason;
    enum azfn_error error;

    struct azfn__route_segment segments[MAX_SEGMENTS];
    size_t segment_count;
    struct azfn__route_part parts[MAX_PARTS];
    size_t part_count;
    struct azfn__route_rule rules[AZFN__ROUTE_MAX_PARAMS];
    size_t rule_count;
    struct azfn__route_constraint constraints[MAX_CONSTRAINTS];
    size_t constraint_count;
};

static bool fail(struct compiler *compiler, enum azfn_error error, const char *reason)
{
    compiler->error = error;
    compiler->reason = reason;
    return false;
}

static bool fail_syntax(struct compiler *compiler, const char *reason)
{
    return fail(compiler, AZFN_ERROR_SYNTAX, reason);
}

static bool has_byte(struct azfn_span text, char c)
{
    return text.length > 0 && memchr(text.data, c, text.length) != NULL;
}

/* "{{" and "}}" stand for one brace. */
static bool unescape(struct compiler *compiler, struct azfn_span text, struct azfn_span *out_text)
{
    *out_text = text;
    if (!has_byte(text, '{') && !has_byte(text, '}')) {
        return true;
    }
    char *to = azfn__arena_alloc(compiler->arena, text.length + 1);
    if (!to) {
        return fail(compiler, AZFN_ERROR_NO_MEMORY, "out of memory");
    }
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        to[length++] = text.data[i];
        if (text.data[i] == '{' || text.data[i] == '}') {
            i++;
        }
    }
    *out_text = azfn__span(to, length);
    return true;
}

static bool add_part(struct compiler *compiler, struct azfn_span literal, size_t rule)
{
    if (compiler->part_count == MAX_PARTS) {
        return fail(compiler, AZFN_ERROR_LIMIT, "more than 128 parts");
    }
    compiler->parts[compiler->part_count++] = (struct azfn__route_part){.literal = literal, .rule = (uint8_t)rule};
    return true;
}

static char peek(const struct compiler *compiler, size_t ahead)
{
    return compiler->at + ahead < compiler->text.length ? compiler->text.data[compiler->at + ahead] : '\0';
}

static bool compile_literal(struct compiler *compiler)
{
    size_t start = compiler->at;
    while (compiler->at < compiler->text.length && peek(compiler, 0) != '/') {
        char c = peek(compiler, 0);
        if (c == '?') {
            return fail_syntax(compiler, "a question mark outside of a parameter");
        }
        if (c == '{' && peek(compiler, 1) != '{') {
            break;
        }
        if (c == '}' && peek(compiler, 1) != '}') {
            return fail_syntax(compiler, "a closing brace without an opening one");
        }
        compiler->at += c == '{' || c == '}' ? 2 : 1;
    }
    struct azfn_span literal;
    return unescape(compiler, azfn__span(compiler->text.data + start, compiler->at - start), &literal) &&
           add_part(compiler, literal, 0);
}

/* The length of a constraint: up to the next ":" or "=" outside of parentheses. Parentheses end with a ")"
 * that has one of these, or nothing, behind it; so a regular expression may hold others. */
static size_t constraint_length(struct azfn_span text)
{
    bool is_inside = false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        char next = i + 1 < text.length ? text.data[i + 1] : ':';
        if (!is_inside && (c == ':' || c == '=')) {
            return i;
        }
        if (is_inside && c == ')' && (next == ':' || next == '=')) {
            return i + 1;
        }
        is_inside = is_inside || c == '(';
    }
    return text.length;
}

/* What follows a name: ":int:min(1)=5". */
static bool compile_rule_tail(struct compiler *compiler, struct azfn__route_rule *rule, struct azfn_span tail)
{
    rule->first_constraint = (uint8_t)compiler->constraint_count;
    while (tail.length > 0 && tail.data[0] != '=') {
        tail = azfn__span_from(tail, 1);
        struct azfn_span text = azfn__span(tail.data, constraint_length(tail));
        tail = azfn__span_from(tail, text.length);
        if (text.length == 0) {
            continue;
        }
        if (compiler->constraint_count == MAX_CONSTRAINTS) {
            return fail(compiler, AZFN_ERROR_LIMIT, "more than 64 constraints");
        }
        const char *reason = azfn__route_constraint_parse(text, &compiler->constraints[compiler->constraint_count]);
        if (reason) {
            return fail_syntax(compiler, reason);
        }
        compiler->constraint_count++;
        rule->constraint_count++;
    }
    if (tail.length > 0) {
        rule->default_value = azfn__span_from(tail, 1);
    }
    if (rule->is_optional && azfn_span_is_present(rule->default_value)) {
        return fail_syntax(compiler, "an optional parameter with a default value");
    }
    return true;
}

static bool is_name_taken(const struct compiler *compiler, struct azfn_span name)
{
    for (size_t i = 0; i < compiler->rule_count; i++) {
        if (azfn__span_equal_ignore_case(compiler->rules[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* inside is what stands between the braces, unescaped. */
static bool compile_rule(struct compiler *compiler, struct azfn_span inside)
{
    struct azfn__route_rule rule = {0};
    if (inside.length > 0 && inside.data[0] == '*') {
        rule.is_catch_all = true;
        inside = azfn__span_from(inside, inside.length > 1 && inside.data[1] == '*' ? 2 : 1);
    }
    if (inside.length > 0 && inside.data[inside.length - 1] == '?') {
        rule.is_optional = true;
        inside.length--;
    }
    if (rule.is_catch_all && rule.is_optional) {
        return fail_syntax(compiler, "a catch-all parameter with a question mark: it may be empty anyway");
    }
    size_t name_length = 0;
    while (name_length < inside.length &&
           (name_length == 0 || (inside.data[name_length] != ':' && inside.data[name_length] != '='))) {
        name_length++;
    }
    rule.name = azfn__span(inside.data, name_length);
    if (name_length == 0) {
        return fail_syntax(compiler, "a parameter without a name");
    }
    for (size_t i = 0; i < name_length; i++) {
        if (memchr("/{}?*", rule.name.data[i], 5)) {
            return fail_syntax(compiler, "a character that can't be in the name of a parameter");
        }
    }
    if (is_name_taken(compiler, rule.name)) {
        return fail_syntax(compiler, "two parameters of the same name");
    }
    if (compiler->rule_count == AZFN__ROUTE_MAX_PARAMS) {
        return fail(compiler, AZFN_ERROR_LIMIT, "more than 16 parameters");
    }
    if (!compile_rule_tail(compiler, &rule, azfn__span_from(inside, name_length))) {
        return false;
    }
    compiler->rules[compiler->rule_count] = rule;
    return add_part(compiler, azfn__absent(), compiler->rule_count++);
}

static bool compile_parameter(struct compiler *compiler)
{
    size_t start = ++compiler->at;
    for (;;) {
        char c = peek(compiler, 0);
        if (compiler->at >= compiler->text.length) {
            return fail_syntax(compiler, "an opening brace without a closing one");
        }
        if (c == '{' && peek(compiler, 1) != '{') {
            return fail_syntax(compiler, "a brace inside of a parameter: write {{ or }} for one");
        }
        if (c == '}' && peek(compiler, 1) != '}') {
            break;
        }
        compiler->at += c == '{' || c == '}' ? 2 : 1;
    }
    struct azfn_span inside;
    if (!unescape(compiler, azfn__span(compiler->text.data + start, compiler->at - start), &inside)) {
        return false;
    }
    compiler->at++;
    return compile_rule(compiler, inside);
}

/* What may stand beside what within one segment. */
static bool check_segment(struct compiler *compiler, const struct azfn__route_segment *segment)
{
    const struct azfn__route_part *parts = &compiler->parts[segment->first_part];
    for (size_t i = 0; i < segment->part_count && segment->part_count > 1; i++) {
        if (azfn_span_is_present(parts[i].literal)) {
            continue;
        }
        const struct azfn__route_rule *rule = &compiler->rules[parts[i].rule];
        if (rule->is_catch_all) {
            return fail_syntax(compiler, "a catch-all parameter that is not a whole segment");
        }
        if (i > 0 && !azfn_span_is_present(parts[i - 1].literal)) {
            return fail_syntax(compiler, "two parameters with nothing between them");
        }
        bool is_last_after_dot = i > 0 && i + 1 == segment->part_count && azfn_span_equals(parts[i - 1].literal, ".");
        if (rule->is_optional && !is_last_after_dot) {
            return fail_syntax(compiler,
                               "an optional parameter within a segment that is not its last part after a dot");
        }
    }
    return true;
}

static bool compile_segment(struct compiler *compiler)
{
    if (compiler->segment_count == MAX_SEGMENTS) {
        return fail(compiler, AZFN_ERROR_LIMIT, "more than 64 segments");
    }
    if (compiler->segment_count > 0) {
        const struct azfn__route_segment *before = &compiler->segments[compiler->segment_count - 1];
        const struct azfn__route_part *part = &compiler->parts[before->first_part];
        if (!azfn_span_is_present(part->literal) && compiler->rules[part->rule].is_catch_all) {
            return fail_syntax(compiler, "a catch-all parameter that is not the last one");
        }
    }
    struct azfn__route_segment segment = {.first_part = (uint8_t)compiler->part_count};
    while (compiler->at < compiler->text.length && peek(compiler, 0) != '/') {
        bool is_parameter = peek(compiler, 0) == '{' && peek(compiler, 1) != '{';
        if (!(is_parameter ? compile_parameter(compiler) : compile_literal(compiler))) {
            return false;
        }
    }
    segment.part_count = (uint8_t)(compiler->part_count - segment.first_part);
    compiler->segments[compiler->segment_count++] = segment;
    return check_segment(compiler, &segment);
}

static bool compile(struct compiler *compiler)
{
    if (azfn__span_starts_with(compiler->text, AZFN__SPAN("~/"))) {
        compiler->at = 2;
    } else if (peek(compiler, 0) == '~') {
        return fail_syntax(compiler, "a ~ at the start");
    } else if (peek(compiler, 0) == '/') {
        compiler->at = 1;
    }
    while (compiler->at < compiler->text.length) {
        if (peek(compiler, 0) == '/') {
            return fail_syntax(compiler, "two slashes in a row");
        }
        if (!compile_segment(compiler)) {
            return false;
        }
        compiler->at++;
    }
    return true;
}

/* Never NULL for count 0, so that NULL means no memory. */
static void *copy_array(struct azfn__arena *arena, const void *items, size_t count, size_t item_bytes)
{
    void *copy = azfn__arena_alloc(arena, count * item_bytes + 1);
    if (copy && count > 0) {
        memcpy(copy, items, count * item_bytes);
    }
    return copy;
}

static struct azfn__route *make_route(const struct compiler *compiler)
{
    struct azfn__arena *arena = compiler->arena;
    struct azfn__route *route = azfn__arena_alloc(arena, sizeof(*route));
    if (!route) {
        return NULL;
    }
    *route = (struct azfn__route){
        .segments = copy_array(arena, compiler->segments, compiler->segment_count, sizeof(compiler->segments[0])),
        .segment_count = compiler->segment_count,
        .parts = copy_array(arena, compiler->parts, compiler->part_count, sizeof(compiler->parts[0])),
        .rules = copy_array(arena, compiler->rules, compiler->rule_count, sizeof(compiler->rules[0])),
        .rule_count = compiler->rule_count,
        .constraints =
            copy_array(arena, compiler->constraints, compiler->constraint_count, sizeof(compiler->constraints[0])),
    };
    bool is_whole = route->segments && route->parts && route->rules && route->constraints;
    return is_whole ? route : NULL;
}

enum azfn_error azfn__route_new(struct azfn__arena *arena, struct azfn_span prefix, struct azfn_span template_text,
                                struct azfn__route **out_route, const char **out_reason)
{
    *out_route = NULL;
    *out_reason = "out of memory";
    if (prefix.length > MAX_TEMPLATE_BYTES || template_text.length > MAX_TEMPLATE_BYTES) {
        *out_reason = "longer than 1024 bytes";
        return AZFN_ERROR_LIMIT;
    }
    struct compiler compiler = {.arena = arena};
    compiler.text = prefix.length == 0 ? azfn__arena_copy(arena, template_text)
                                       : azfn__arena_format(arena, "%.*s/%.*s", AZFN_SPAN_ARGS(prefix),
                                                            AZFN_SPAN_ARGS(template_text));
    if (!azfn_span_is_present(compiler.text)) {
        return AZFN_ERROR_NO_MEMORY;
    }
    if (!compile(&compiler)) {
        *out_reason = compiler.reason;
        return compiler.error;
    }
    *out_route = make_route(&compiler);
    return *out_route ? AZFN_OK : AZFN_ERROR_NO_MEMORY;
}
