#include "config/config_build.h"
#include "config/config_reader.h"

#include "base/span.h"
#include "config/config_fault.h"

#define MAX_BINDINGS 256

enum direction { DIRECTION_IN, DIRECTION_OUT, DIRECTION_INOUT };

static bool is_type(struct azfn_span type, const char *name)
{
    return azfn__span_equal_ignore_case(type, azfn_span_of(name));
}

static bool is_trigger(struct azfn_span type)
{
    const struct azfn_span end = AZFN__SPAN("Trigger");
    return type.length >= end.length && is_type(azfn__span_from(type, type.length - end.length), end.data);
}

static enum azfn__trigger trigger_of(struct azfn_span type)
{
    return is_type(type, "httpTrigger")    ? AZFN__TRIGGER_HTTP
           : is_type(type, "timerTrigger") ? AZFN__TRIGGER_TIMER
           : is_type(type, "queueTrigger") ? AZFN__TRIGGER_QUEUE
                                           : AZFN__TRIGGER_OTHER;
}

static enum azfn__output_encoding encoding_of(struct azfn_span type, bool is_binary)
{
    static const char *const MESSAGES[] = {"queue", "serviceBus", "eventHub", "blob", "kafka", "rabbitMQ"};
    if (is_type(type, "http")) {
        return AZFN__OUTPUT_HTTP;
    }
    for (size_t i = 0; i < sizeof(MESSAGES) / sizeof(MESSAGES[0]); i++) {
        if (is_type(type, MESSAGES[i])) {
            return is_binary ? AZFN__OUTPUT_TEXT : AZFN__OUTPUT_BASE64;
        }
    }
    return AZFN__OUTPUT_DOCUMENT;
}

/* The host refuses others: a letter, then letters and digits, or $return. */
static bool is_binding_name(struct azfn_span name)
{
    for (size_t i = 0; i < name.length; i++) {
        unsigned char lower = azfn__lower((unsigned char)name.data[i]);
        bool is_digit = lower >= '0' && lower <= '9';
        if (!(lower >= 'a' && lower <= 'z') && !(is_digit && i > 0)) {
            return azfn_span_equals(name, "$return");
        }
    }
    return name.length > 0 && name.length <= 128;
}

static enum azfn_error read_direction(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                      bool is_of_trigger, enum direction *out_direction)
{
    static const struct azfn_span NAMES[] = {{"in", 2}, {"out", 3}, {"inout", 5}};
    const char *expected = is_of_trigger ? "\"in\", since it is a trigger" : "\"in\", \"out\" or \"inout\"";
    struct azfn__config_node direction;
    struct azfn_span text = {0};
    enum azfn_error error = azfn__config_member(reader, node, "direction", &direction);
    *out_direction = DIRECTION_IN;
    if (error != AZFN_OK || (is_of_trigger && !azfn_span_is_present(direction.value))) {
        return error;
    }
    error = azfn__config_text(reader, &direction, expected, &text);
    size_t count = is_of_trigger ? 1 : sizeof(NAMES) / sizeof(NAMES[0]);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        if (azfn__span_equal_ignore_case(text, NAMES[i])) {
            *out_direction = (enum direction)i;
            return AZFN_OK;
        }
    }
    return error == AZFN_OK ? azfn__config_expected(reader, &direction, expected) : error;
}

static enum azfn_error read_binding_name(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                         enum direction direction, struct azfn_span *out_name)
{
    static const char EXPECTED[] = "a letter and up to 127 letters and digits, or \"$return\"";
    struct azfn__config_node name;
    enum azfn_error error = azfn__config_member(reader, node, "name", &name);
    if (error == AZFN_OK) {
        error = azfn__config_text(reader, &name, EXPECTED, out_name);
    }
    if (error == AZFN_OK && !is_binding_name(*out_name)) {
        return azfn__config_expected(reader, &name, EXPECTED);
    }
    if (error == AZFN_OK && direction != DIRECTION_OUT && azfn_span_equals(*out_name, "$return")) {
        return azfn__config_expected(reader, &name, "another name, since $return is an output");
    }
    return error;
}

/* Appends one binding, or two for one that is both. */
static enum azfn_error add_binding(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                   enum direction direction, struct azfn__config_binding binding,
                                   struct azfn__config_binding *bindings, size_t *count)
{
    for (size_t side = 0; side < 2; side++) {
        binding.is_input = side == 0;
        if ((binding.is_input && direction == DIRECTION_OUT) || (!binding.is_input && direction == DIRECTION_IN)) {
            continue;
        }
        for (size_t i = 0; i < *count; i++) {
            if (bindings[i].is_input == binding.is_input && azfn__span_equal(bindings[i].name, binding.name)) {
                char shown[AZFN__CONFIG_SHOWN_ROOM];
                return azfn__config_refuse(reader, node, "expected a name of its own, found \"%s\" for two %s",
                                           azfn__config_shown(shown, sizeof(shown), binding.name),
                                           binding.is_input ? "inputs" : "outputs");
            }
        }
        bindings[(*count)++] = binding;
    }
    return AZFN_OK;
}

static enum azfn_error read_binding(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                    struct azfn__config_binding *bindings, size_t *count)
{
    struct azfn__config_node type;
    struct azfn__config_node data_type;
    struct azfn__config_binding binding = {0};
    enum direction direction = DIRECTION_IN;
    size_t member_count;
    enum azfn_error error = azfn__config_object(reader, node, SIZE_MAX, &member_count);
    if (error == AZFN_OK) {
        error = azfn__config_member(reader, node, "type", &type);
    }
    if (error == AZFN_OK) {
        error = azfn__config_text(reader, &type, "a type such as \"httpTrigger\"", &binding.type);
    }
    if (error == AZFN_OK && binding.type.length == 0) {
        return azfn__config_expected(reader, &type, "a type such as \"httpTrigger\"");
    }
    if (error == AZFN_OK) {
        error = read_direction(reader, node, is_trigger(binding.type), &direction);
    }
    if (error == AZFN_OK) {
        error = read_binding_name(reader, node, direction, &binding.name);
    }
    if (error == AZFN_OK) {
        error = azfn__config_member(reader, node, "dataType", &data_type);
    }
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn_span data_type_text = azfn__json_string_view(data_type.value);
    binding.encoding = encoding_of(binding.type, is_type(data_type_text, "binary"));
    return add_binding(reader, node, direction, binding, bindings, count);
}

static enum azfn_error read_methods(struct azfn__config_reader *reader, const struct azfn__config_node *trigger,
                                    uint32_t *out_methods)
{
    struct azfn__config_node methods;
    size_t count = 0;
    *out_methods = 0;
    enum azfn_error error = azfn__config_member(reader, trigger, "methods", &methods);
    if (error == AZFN_OK && azfn_span_is_present(methods.value)) {
        error = azfn__config_array(reader, &methods, 256, &count);
    }
    struct azfn__json_walk walk = azfn__json_walk(methods.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node item;
        bool has_item;
        uint32_t bit = 0;
        error = azfn__config_next(reader, &methods, &walk, i, &item, &has_item);
        for (size_t m = 0; m < AZFN__METHOD_COUNT; m++) {
            bool is_it = azfn__span_equal_ignore_case(azfn__json_string_view(item.value),
                                                      azfn__method_name((enum azfn__method)m));
            bit |= is_it ? UINT32_C(1) << m : 0;
        }
        if (error == AZFN_OK && bit == 0) {
            return azfn__config_expected(reader, &item, "one of get, head, post, put, delete, options, patch, trace");
        }
        *out_methods |= bit;
    }
    *out_methods = *out_methods == 0 ? (UINT32_C(1) << AZFN__METHOD_COUNT) - 1 : *out_methods;
    return error;
}

static enum azfn_error read_auth_level(struct azfn__config_reader *reader, const struct azfn__config_node *trigger,
                                       enum azfn__auth_level *out_level)
{
    static const char *const NAMES[] = {"anonymous", "function", "admin"};
    struct azfn__config_node node;
    *out_level = AZFN__AUTH_FUNCTION;
    enum azfn_error error = azfn__config_member(reader, trigger, "authLevel", &node);
    if (error != AZFN_OK || !azfn_span_is_present(node.value)) {
        return error;
    }
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (is_type(azfn__json_string_view(node.value), NAMES[i])) {
            *out_level = (enum azfn__auth_level)i;
            return AZFN_OK;
        }
    }
    return azfn__config_expected(reader, &node, "one of anonymous, function, admin");
}

static bool is_reserved(struct azfn_span route)
{
    while (route.length > 0 && route.data[0] == '/') {
        route = azfn__span_from(route, 1);
    }
    return is_type(azfn__span(route.data, route.length < 5 ? route.length : 5), "admin") ||
           is_type(azfn__span(route.data, route.length < 7 ? route.length : 7), "runtime");
}

static enum azfn_error read_route(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                  const struct azfn__config_node *trigger, struct azfn__config_function *function,
                                  struct azfn__config_origin *out_origin)
{
    struct azfn__config_node node;
    struct azfn_span text = function->name;
    const char *reason;
    enum azfn_error error = azfn__config_member(reader, trigger, "route", &node);
    if (error == AZFN_OK && azfn_span_is_present(node.value)) {
        error = azfn__config_text(reader, &node, "a string", &text);
        text = error == AZFN_OK && azfn__span_trim(text).length == 0 ? function->name : text;
    }
    if (error != AZFN_OK) {
        return error;
    }
    out_origin->line = azfn__config_line(reader, &node);
    out_origin->pointer = azfn__arena_format(reader->arena, "/bindings/%zu/route", trigger->index);
    if (is_reserved(text)) {
        return azfn__config_refuse(reader, &node, "expected a route that does not begin with admin or runtime, "
                                                  "which are the host's own");
    }
    error = azfn__route_new(reader->arena, build->config->route_prefix, text, &function->route, &reason);
    if (error == AZFN_ERROR_NO_MEMORY || !azfn_span_is_present(out_origin->pointer)) {
        return azfn__config_refuse_memory(reader->fault);
    }
    if (error != AZFN_OK) {
        return azfn__config_refuse(reader, &node, "expected a route, found %s", reason);
    }
    return error;
}

/* What follows from all bindings together. */
static void finish_function(const struct azfn__config *config, struct azfn__config_function *function)
{
    size_t inputs = 0;
    const struct azfn__config_binding *output = NULL;
    for (size_t i = 0; i < function->binding_count; i++) {
        const struct azfn__config_binding *binding = &function->bindings[i];
        inputs += binding->is_input;
        output = binding->is_input ? output : binding;
        if (!binding->is_input && binding->encoding == AZFN__OUTPUT_HTTP && !function->http_output) {
            function->http_output = binding;
        }
    }
    bool is_http_only = function->trigger == AZFN__TRIGGER_HTTP && inputs == 1 && function->binding_count == 2 &&
                        output && output == function->http_output;
    function->is_forwarded = is_http_only && (config->is_forwarding || config->is_proxying);
}

static enum azfn_error read_bindings(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                     const struct azfn__config_node *array, struct azfn__config_function *function,
                                     struct azfn__config_origin *out_origin)
{
    size_t count = 0;
    struct azfn__config_node trigger = {0};
    size_t trigger_at = SIZE_MAX;
    enum azfn_error error = azfn__config_array(reader, array, MAX_BINDINGS, &count);
    struct azfn__config_binding *bindings =
        azfn__arena_alloc(reader->arena, (2 * count + 1) * sizeof(struct azfn__config_binding));
    if (error == AZFN_OK && !bindings) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(array->value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        bool has_node;
        size_t before = function->binding_count;
        error = azfn__config_next(reader, array, &walk, i, &node, &has_node);
        if (error == AZFN_OK) {
            error = read_binding(reader, &node, bindings, &function->binding_count);
        }
        if (error != AZFN_OK || !is_trigger(bindings[before].type)) {
            continue;
        }
        if (trigger_at != SIZE_MAX) {
            return azfn__config_refuse(reader, &node, "expected one trigger, found a second one");
        }
        trigger_at = before;
        trigger = node;
    }
    if (error == AZFN_OK && trigger_at == SIZE_MAX) {
        return azfn__config_refuse(reader, array, "expected one trigger, found none");
    }
    if (error == AZFN_OK) {
        function->bindings = bindings;
        function->trigger_binding = &bindings[trigger_at];
        function->trigger = trigger_of(bindings[trigger_at].type);
    }
    if (error == AZFN_OK && function->trigger == AZFN__TRIGGER_HTTP) {
        error = read_methods(reader, &trigger, &function->methods);
        error = error == AZFN_OK ? read_auth_level(reader, &trigger, &function->auth_level) : error;
        error = error == AZFN_OK ? read_route(build, reader, &trigger, function, out_origin) : error;
    }
    return error;
}

enum azfn_error azfn__config_read_function(struct azfn__config_build *build, const struct azfn__config_file *file,
                                           struct azfn_span name, struct azfn__config_function *out_function,
                                           struct azfn__config_origin *out_origin)
{
    struct azfn__config_reader reader;
    struct azfn__config_node root;
    struct azfn__config_node bindings;
    size_t count;
    *out_function = (struct azfn__config_function){.name = name};
    *out_origin = (struct azfn__config_origin){0};
    enum azfn_error error = azfn__config_reader_open(&reader, &build->config->arena, build->fault, file, true, &root);
    if (error == AZFN_OK) {
        error = azfn__config_object(&reader, &root, SIZE_MAX, &count);
    }
    if (error == AZFN_OK) {
        error = azfn__config_member(&reader, &root, "bindings", &bindings);
    }
    if (error == AZFN_OK) {
        error = read_bindings(build, &reader, &bindings, out_function, out_origin);
    }
    if (error == AZFN_OK) {
        finish_function(build->config, out_function);
    }
    azfn__config_reader_close(&reader);
    return error;
}
