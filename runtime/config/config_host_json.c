#include "config/config_build.h"
#include "config/config_reader.h"

#include "base/span.h"

#define DEFAULT_ROUTE_PREFIX AZFN__SPAN("api")

static enum azfn_error read_version(struct azfn__config_reader *reader, const struct azfn__config_node *root)
{
    struct azfn__config_node version;
    enum azfn_error error = azfn__config_member(reader, root, "version", &version);
    if (error == AZFN_OK && !azfn__json_string_equals(version.value, AZFN__SPAN("2.0"))) {
        return azfn__config_expected(reader, &version, "\"2.0\"");
    }
    return error;
}

/* A member that is an object, or is not there. */
static enum azfn_error find_section(struct azfn__config_reader *reader, const struct azfn__config_node *parent,
                                    const char *name, struct azfn__config_node *out_section)
{
    enum azfn_error error = azfn__config_member(reader, parent, name, out_section);
    enum azfn__json_type type = azfn__json_type_of(out_section->value);
    if (error == AZFN_OK && type != AZFN__JSON_NONE && type != AZFN__JSON_OBJECT) {
        return azfn__config_expected(reader, out_section, "an object");
    }
    return error;
}

static enum azfn_error read_flag(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                 const char *name, bool *out_value)
{
    struct azfn__config_node flag;
    *out_value = false;
    enum azfn_error error = azfn__config_member(reader, object, name, &flag);
    if (error == AZFN_OK && azfn_span_is_present(flag.value)) {
        error = azfn__config_bool(reader, &flag, out_value);
    }
    return error;
}

static enum azfn_error read_executable(struct azfn__config_reader *reader, const struct azfn__config_node *handler)
{
    struct azfn__config_node description;
    struct azfn__config_node path;
    struct azfn_span text;
    enum azfn_error error = find_section(reader, handler, "description", &description);
    if (error == AZFN_OK) {
        error = azfn__config_member(reader, &description, "defaultExecutablePath", &path);
    }
    if (error == AZFN_OK) {
        error = azfn__config_text(reader, &path, "the path of the handler", &text);
        if (error == AZFN_OK && text.length == 0) {
            error = azfn__config_expected(reader, &path, "the path of the handler");
        }
    }
    return error;
}

static enum azfn_error read_handler(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                    const struct azfn__config_node *root)
{
    struct azfn__config_node handler;
    struct azfn__config_node older;
    enum azfn_error error = find_section(reader, root, "customHandler", &handler);
    if (error == AZFN_OK && !azfn_span_is_present(handler.value)) {
        error = azfn__config_member(reader, root, "httpWorker", &older);
        if (error == AZFN_OK && azfn_span_is_present(older.value)) {
            return azfn__config_refuse(reader, &older, "expected customHandler, found its older form: rename it");
        }
        return error == AZFN_OK ? azfn__config_expected(reader, &handler, "the section of the custom handler") : error;
    }
    if (error == AZFN_OK) {
        error = read_flag(reader, &handler, "enableForwardingHttpRequest", &build->config->is_forwarding);
    }
    if (error == AZFN_OK) {
        error = read_flag(reader, &handler, "enableProxyingHttpRequest", &build->config->is_proxying);
    }
    return error == AZFN_OK ? read_executable(reader, &handler) : error;
}

/* The one profile that newer hosts know: it proxies, and has no route prefix. */
static enum azfn_error read_profile(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                    const struct azfn__config_node *root)
{
    struct azfn__config_node profile;
    struct azfn_span text = azfn__span("", 0);
    enum azfn_error error = azfn__config_member(reader, root, "configurationProfile", &profile);
    if (error == AZFN_OK && azfn_span_is_present(profile.value)) {
        error = azfn__config_text(reader, &profile, "a string", &text);
    }
    bool is_mcp = azfn__span_equal_ignore_case(text, AZFN__SPAN("mcp-custom-handler"));
    build->config->is_proxying = build->config->is_proxying || is_mcp;
    build->config->route_prefix = is_mcp ? azfn__span("", 0) : DEFAULT_ROUTE_PREFIX;
    return error;
}

static enum azfn_error read_route_prefix(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                         const struct azfn__config_node *root)
{
    struct azfn__config_node extensions;
    struct azfn__config_node http;
    struct azfn__config_node prefix = {0};
    struct azfn_span text = build->config->route_prefix;
    enum azfn_error error = find_section(reader, root, "extensions", &extensions);
    if (error == AZFN_OK) {
        error = find_section(reader, &extensions, "http", &http);
    }
    if (error == AZFN_OK) {
        error = azfn__config_member(reader, &http, "routePrefix", &prefix);
    }
    if (error == AZFN_OK && azfn_span_is_present(prefix.value)) {
        error = azfn__config_text(reader, &prefix, "a string", &text);
    }
    while (text.length > 0 && text.data[0] == '/') {
        text = azfn__span_from(text, 1);
    }
    while (text.length > 0 && text.data[text.length - 1] == '/') {
        text.length--;
    }
    struct azfn__route *route;
    const char *reason;
    if (error == AZFN_OK) {
        error = azfn__route_new(reader->arena, azfn__absent(), text, &route, &reason);
        if (error == AZFN_ERROR_NO_MEMORY) {
            return azfn__config_refuse_memory(reader->fault);
        }
        if (error != AZFN_OK) {
            return azfn__config_refuse(reader, &prefix, "expected the start of a route, found %s", reason);
        }
    }
    build->config->route_prefix = text;
    return error;
}

/* One or two digits and what follows them; false when it is not so. */
static bool take_number(struct azfn_span *text, char behind, size_t max_digits, uint64_t *out_value)
{
    size_t digits = 0;
    *out_value = 0;
    while (digits < text->length && text->data[digits] >= '0' && text->data[digits] <= '9') {
        *out_value = *out_value * 10 + (uint64_t)(text->data[digits] - '0');
        if (++digits > max_digits) {
            return false;
        }
    }
    bool is_end = behind == '\0' && digits == text->length;
    bool is_behind = behind != '\0' && digits < text->length && text->data[digits] == behind;
    *text = azfn__span_from(*text, digits + 1);
    return digits > 0 && (is_end || is_behind);
}

/* "hh:mm:ss" or "d.hh:mm:ss", from a second to 24 days. */
static bool parse_timeout(struct azfn_span text, uint32_t *out_ms)
{
    uint64_t days = 0;
    uint64_t hours;
    uint64_t minutes;
    uint64_t seconds;
    if (text.length > 0 && memchr(text.data, '.', text.length) && !take_number(&text, '.', 2, &days)) {
        return false;
    }
    if (!take_number(&text, ':', 2, &hours) || !take_number(&text, ':', 2, &minutes) ||
        !take_number(&text, '\0', 2, &seconds) || hours > 23 || minutes > 59 || seconds > 59) {
        return false;
    }
    uint64_t total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    if (total < 1 || total > UINT64_C(24) * 86400) {
        return false;
    }
    *out_ms = (uint32_t)(total * 1000);
    return true;
}

static enum azfn_error read_timeout(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                    const struct azfn__config_node *root)
{
    static const char EXPECTED[] = "\"hh:mm:ss\", \"d.hh:mm:ss\" or \"-1\", from a second to 24 days";
    struct azfn__config_node timeout;
    struct azfn_span text;
    build->config->function_timeout_ms = 0;
    enum azfn_error error = azfn__config_member(reader, root, "functionTimeout", &timeout);
    if (error != AZFN_OK || !azfn_span_is_present(timeout.value) || azfn_span_equals(timeout.value, "-1")) {
        return error;
    }
    error = azfn__config_text(reader, &timeout, EXPECTED, &text);
    if (error == AZFN_OK && !azfn_span_equals(text, "-1") &&
        !parse_timeout(text, &build->config->function_timeout_ms)) {
        error = azfn__config_expected(reader, &timeout, EXPECTED);
    }
    return error;
}

enum azfn_error azfn__config_read_host(struct azfn__config_build *build, const struct azfn__config_file *file)
{
    struct azfn__config_reader reader;
    struct azfn__config_node root;
    size_t count;
    enum azfn_error error = azfn__config_reader_open(&reader, &build->config->arena, build->fault, file, true, &root);
    if (error == AZFN_OK) {
        error = azfn__config_object(&reader, &root, SIZE_MAX, &count);
    }
    if (error == AZFN_OK) {
        error = read_version(&reader, &root);
    }
    if (error == AZFN_OK) {
        error = read_handler(build, &reader, &root);
    }
    if (error == AZFN_OK) {
        error = read_profile(build, &reader, &root);
    }
    if (error == AZFN_OK) {
        error = read_route_prefix(build, &reader, &root);
    }
    if (error == AZFN_OK) {
        error = read_timeout(build, &reader, &root);
    }
    if (error == AZFN_OK) {
        error = azfn__config_read_logging(build, &reader, &root);
    }
    azfn__config_reader_close(&reader);
    return error;
}
