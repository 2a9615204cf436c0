/* host.json's "logging" with the app settings that stand above it: whether the host passes on every line of this
 * handler. As .NET reads it: keys in any case, and of the rules for levels the longest one that fits. */
#include "config/config_build.h"
#include "config/config_reader.h"

#include "base/span.h"

#define CATEGORY AZFN__SPAN("Host.Function.Console")
#define KEY_MAX_BYTES 256
#define SAMPLING "logging:applicationInsights:samplingSettings:"

struct rule {
    size_t length; /* of its category */
    bool is_there;
    bool drops_information;
};

struct logging {
    struct rule general;
    struct rule insights; /* Application Insights' own */
    struct azfn_span included_types;
    struct azfn_span excluded_types;
    bool is_sampling;
    bool is_open_telemetry;
};

/* A path as .NET writes it, "logging:logLevel:default". */
struct key {
    char text[KEY_MAX_BYTES];
    size_t length;
};

static struct azfn_span span_of(const struct key *key)
{
    return azfn__span(key->text, key->length);
}

/* False: it is longer than any that matters. */
static bool append(struct key *key, struct azfn_span part)
{
    if (part.length > sizeof(key->text) - key->length) {
        return false;
    }
    memcpy(key->text + key->length, part.data, part.length);
    key->length += part.length;
    return true;
}

static bool is(struct azfn_span text, const char *wanted)
{
    return azfn__span_equal_ignore_case(text, azfn_span_of(wanted));
}

static bool begins(struct azfn_span text, struct azfn_span prefix)
{
    return text.length >= prefix.length && azfn__bytes_equal_ignore_case(text.data, prefix.data, prefix.length);
}

static bool ends(struct azfn_span text, struct azfn_span suffix)
{
    return text.length >= suffix.length && is(azfn__span_from(text, text.length - suffix.length), suffix.data);
}

/* What follows prefix; absent where key begins in another way. */
static struct azfn_span behind(struct azfn_span key, const char *prefix)
{
    struct azfn_span start = azfn_span_of(prefix);
    return begins(key, start) ? azfn__span_from(key, start.length) : azfn__absent();
}

/* "Host.Function", "Host.*.Console", or "default", which fits all. */
static bool fits(struct azfn_span category)
{
    const char *star = memchr(category.data, '*', category.length);
    size_t before = star ? (size_t)(star - category.data) : category.length;
    return is(category, "default") || (begins(CATEGORY, azfn__span(category.data, before)) &&
                                       (!star || ends(CATEGORY, azfn__span_from(category, before + 1))));
}

/* A level by its name or number. */
static bool drops_information(struct azfn_span level)
{
    static const char *const higher[] = {"Warning", "Error", "Critical", "None", "3", "4", "5", "6"};
    for (size_t i = 0; i < sizeof(higher) / sizeof(higher[0]); i++) {
        if (is(level, higher[i])) {
            return true;
        }
    }
    return false;
}

static void take_rule(struct rule *rule, struct azfn_span category, struct azfn_span level)
{
    size_t length = is(category, "default") ? 0 : category.length;
    if (fits(category) && (!rule->is_there || length >= rule->length)) {
        *rule = (struct rule){.length = length, .is_there = true, .drops_information = drops_information(level)};
    }
}

/* A later value stands above an earlier one. value outlives logging. */
static void take(struct logging *logging, struct azfn_span key, struct azfn_span value)
{
    struct azfn_span category = behind(key, "logging:logLevel:");
    struct azfn_span insights_category = behind(key, "logging:applicationInsights:logLevel:");
    if (category.length > 0) {
        take_rule(&logging->general, category, value);
    } else if (insights_category.length > 0) {
        take_rule(&logging->insights, insights_category, value);
    } else if (is(key, SAMPLING "isEnabled")) {
        logging->is_sampling = !is(value, "false");
    } else if (is(key, SAMPLING "includedTypes")) {
        logging->included_types = value;
    } else if (is(key, SAMPLING "excludedTypes")) {
        logging->excluded_types = value;
    } else if (is(key, "telemetryMode")) {
        logging->is_open_telemetry = is(value, "OpenTelemetry");
    }
}

/* "Request;Trace" */
static bool has_trace(struct azfn_span types)
{
    while (types.length > 0) {
        const char *end = memchr(types.data, ';', types.length);
        size_t length = end ? (size_t)(end - types.data) : types.length;
        if (is(azfn__span(types.data, length), "Trace")) {
            return true;
        }
        types = azfn__span_from(types, length + 1);
    }
    return false;
}

/* Other texts are none of our business, whatever they are. */
static bool is_read(struct azfn_span key)
{
    return begins(key, AZFN__SPAN("logging:logLevel:")) || begins(key, AZFN__SPAN("logging:applicationInsights:")) ||
           is(key, "telemetryMode");
}

static enum azfn_error take_members(struct logging *logging, struct azfn__config_reader *reader,
                                    const struct azfn__config_node *object, const struct key *path)
{
    struct azfn__json_walk walk = azfn__json_walk(object->value);
    struct azfn__config_node member;
    bool has_member;
    enum azfn_error error = azfn__config_next(reader, object, &walk, 0, &member, &has_member);
    for (size_t i = 1; error == AZFN_OK && has_member; i++) {
        struct key key = *path;
        struct azfn_span value = member.value;
        enum azfn__json_type type = azfn__json_type_of(value);
        bool matters = append(&key, member.name) &&
                       (begins(span_of(&key), AZFN__SPAN("logging")) || is(span_of(&key), "telemetryMode"));
        if (matters && type == AZFN__JSON_OBJECT) {
            error = append(&key, AZFN__SPAN(":")) ? take_members(logging, reader, &member, &key) : AZFN_OK;
        } else if (matters && is_read(span_of(&key))) {
            error = type == AZFN__JSON_STRING ? azfn__config_text(reader, &member, "a text", &value) : AZFN_OK;
            take(logging, span_of(&key), value);
        }
        if (error == AZFN_OK) {
            error = azfn__config_next(reader, object, &walk, i, &member, &has_member);
        }
    }
    return error;
}

/* "AzureFunctionsJobHost__logging__logLevel__default=None" */
static void take_setting(struct logging *logging, struct azfn_span line)
{
    struct key key = {.length = 0};
    const char *equals = memchr(line.data, '=', line.length);
    size_t name_length = equals ? (size_t)(equals - line.data) : 0;
    for (size_t i = 0; i < name_length; i++) {
        bool is_separator = line.data[i] == '_' && i + 1 < name_length && line.data[i + 1] == '_';
        i += is_separator ? 1 : 0;
        if (!append(&key, is_separator ? AZFN__SPAN(":") : azfn__span(line.data + i, 1))) {
            return;
        }
    }
    take(logging, behind(span_of(&key), AZFN__CONFIG_HOST_SETTING ":"), azfn__span_from(line, name_length + 1));
}

static void take_settings(struct logging *logging, struct azfn_span lines)
{
    while (lines.length > 0) {
        const char *end = memchr(lines.data, '\n', lines.length);
        size_t length = end ? (size_t)(end - lines.data) : lines.length;
        take_setting(logging, azfn__span(lines.data, length));
        lines = azfn__span_from(lines, length + 1);
    }
}

enum azfn_error azfn__config_read_logging(struct azfn__config_build *build, struct azfn__config_reader *reader,
                                          const struct azfn__config_node *root)
{
    struct logging logging = {.is_sampling = true};
    const struct key path = {.length = 0};
    enum azfn_error error = take_members(&logging, reader, root, &path);
    take_settings(&logging, build->environment);
    bool is_sampled = logging.included_types.length == 0 || has_trace(logging.included_types);
    build->samples_lines =
        logging.is_sampling && !logging.is_open_telemetry && is_sampled && !has_trace(logging.excluded_types);
    build->drops_lines = logging.general.drops_information;
    build->insights_drop_lines =
        logging.insights.is_there ? logging.insights.drops_information : logging.general.drops_information;
    return error;
}
