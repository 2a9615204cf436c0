/* One entry of "destinations" in azfn.json. */
#include "config/config_policy.h"

#include "base/span.h"
#include "config/config_fault.h"

#define MAX_HEADERS 16
#define MAX_HEADER_VALUE_BYTES 2048
#define DEFAULT_TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS 86400000
#define DEFAULT_BODY_BYTES (UINT64_C(1) << 20)
#define MAX_BODY_BYTES (UINT64_C(128) << 20)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A token that is not what the connection itself needs. */
static const char *check_header(struct azfn_span name)
{
    static const char *const OWN[] = {"connection", "content-length", "expect",  "host", "keep-alive",
                                      "te",         "trailer",        "upgrade", "transfer-encoding"};
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = azfn__lower((unsigned char)name.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr("!#$%&'*+-.^_`|~", c, 15)) {
            return "the name of a header";
        }
    }
    for (size_t i = 0; i < COUNT_OF(OWN); i++) {
        if (azfn__span_equal_ignore_case(name, azfn_span_of(OWN[i]))) {
            return "a header that does not belong to the connection";
        }
    }
    return name.length > 0 && name.length <= 128 ? NULL : "the name of a header";
}

static enum azfn_error read_header_secret(const struct azfn__config *config, struct azfn__config_reader *reader,
                                          const struct azfn__config_node *node, struct azfn_span *out_secret)
{
    static const char EXPECTED[] = "the name of one of the secrets above";
    struct azfn__config_node secret;
    struct azfn_span text;
    enum azfn_error error = azfn__config_member(reader, node, "secret", &secret);
    if (error == AZFN_OK) {
        error = azfn__config_text(reader, &secret, EXPECTED, &text);
    }
    if (error != AZFN_OK) {
        return error;
    }
    const struct azfn__config_secret *found = azfn__config_find_secret(config, text);
    if (!found) {
        const struct azfn_span *first = config->secret_count > 0 ? &config->secrets->name : &text;
        struct azfn_span meant = azfn__config_meant(text, first, config->secret_count, sizeof(*config->secrets));
        /* what is no name of ours may be the secret itself */
        return azfn_span_is_present(meant)
                   ? azfn__config_expected_name(reader, &secret, EXPECTED, text, meant)
                   : azfn__config_refuse(reader, &secret, "expected %s, found another (not shown)", EXPECTED);
    }
    *out_secret = found->name;
    return AZFN_OK;
}

static enum azfn_error read_authenticate(const struct azfn__config *config, struct azfn__config_reader *reader,
                                         const struct azfn__config_node *object,
                                         struct azfn__config_destination *destination)
{
    static const struct azfn_span KNOWN[] = {{"managedIdentity", 15}, {"header", 6}, {"secret", 6}};
    struct azfn__config_node node;
    struct azfn__config_node ways[COUNT_OF(KNOWN)];
    enum azfn_error error = azfn__config_member(reader, object, "authenticate", &node);
    if (error == AZFN_OK && azfn__json_type_of(node.value) == AZFN__JSON_STRING) {
        /* what else stands there may be a password */
        return azfn__json_string_equals(node.value, AZFN__SPAN("none"))
                   ? AZFN_OK
                   : azfn__config_refuse(reader, &node, "expected an object or \"none\", found other text (not shown)");
    }
    if (error == AZFN_OK) {
        error = azfn__config_check_keys(reader, &node, KNOWN, COUNT_OF(KNOWN));
    }
    for (size_t i = 0; error == AZFN_OK && i < COUNT_OF(KNOWN); i++) {
        error = azfn__config_member(reader, &node, KNOWN[i].data, &ways[i]);
    }
    if (error != AZFN_OK) {
        return error;
    }
    bool is_identity = azfn_span_is_present(ways[0].place);
    bool has_header = azfn_span_is_present(ways[1].place);
    bool has_secret = azfn_span_is_present(ways[2].place);
    if (is_identity == (has_header || has_secret)) {
        return azfn__config_refuse(reader, &node, "expected either managedIdentity, or header and secret, found %s",
                                   is_identity ? "both" : "neither");
    }
    if (is_identity) {
        return azfn__config_read_checked(reader, &node, "managedIdentity", "an audience that begins with https://",
                                         azfn__config_audience_check, &destination->managed_identity);
    }
    error = azfn__config_read_checked(reader, &node, "header", "the name of a header", check_header,
                                      &destination->header);
    return error == AZFN_OK ? read_header_secret(config, reader, &node, &destination->secret) : error;
}

/* Not TRACE: its answer would show the credential to the function. */
static enum azfn_error read_methods(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                    uint32_t *out_methods)
{
    struct azfn__config_node methods;
    size_t count = 0;
    *out_methods = 0;
    enum azfn_error error = azfn__config_member(reader, object, "methods", &methods);
    if (error == AZFN_OK) {
        error = azfn__config_array(reader, &methods, AZFN__METHOD_COUNT, &count);
    }
    if (error == AZFN_OK && count == 0) {
        return azfn__config_refuse(reader, &methods, "expected at least one method, found none");
    }
    struct azfn__json_walk walk = azfn__json_walk(methods.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node item;
        bool has_item;
        uint32_t bit = 0;
        error = azfn__config_next(reader, &methods, &walk, i, &item, &has_item);
        for (size_t m = 0; error == AZFN_OK && m < AZFN__METHOD_TRACE; m++) {
            bool is_it = azfn__json_type_of(item.value) == AZFN__JSON_STRING &&
                         azfn__json_string_equals(item.value, azfn__method_name((enum azfn__method)m));
            bit |= is_it ? UINT32_C(1) << m : 0;
        }
        if (error == AZFN_OK && (bit == 0 || (*out_methods & bit) != 0)) {
            return azfn__config_expected(reader, &item,
                                         bit == 0 ? "one of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
                                                  : "each method once");
        }
        *out_methods |= bit;
    }
    return error;
}

/* What the broker adds by itself must not come twice, and a credential belongs into Key Vault. */
static const char *check_fixed_header(struct azfn_span name, struct azfn_span own)
{
    static const char *const CREDENTIALS[] = {"authorization", "cookie", "proxy-authorization"};
    /* the search for our credential in answers would not see it there */
    if (azfn__span_equal_ignore_case(name, AZFN__SPAN("accept-encoding"))) {
        return "a header that has no answers compressed";
    }
    for (size_t i = 0; i < COUNT_OF(CREDENTIALS); i++) {
        if (azfn__span_equal_ignore_case(name, azfn_span_of(CREDENTIALS[i]))) {
            return "a header that carries no credential, which authenticate is for";
        }
    }
    if (azfn_span_is_present(own) && azfn__span_equal_ignore_case(name, own)) {
        return "another header than that of authenticate";
    }
    return check_header(name);
}

static bool is_header_value(struct azfn_span value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~') {
            return false;
        }
    }
    bool is_trimmed = value.length == 0 || (value.data[0] != ' ' && value.data[value.length - 1] != ' ');
    return is_trimmed && value.length <= MAX_HEADER_VALUE_BYTES;
}

static enum azfn_error read_fixed_header(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                         const struct azfn__config_header *earlier, size_t earlier_count,
                                         struct azfn_span own, struct azfn__config_header *out_header)
{
    out_header->name = node->name;
    const char *expected = check_fixed_header(node->name, own);
    for (size_t i = 0; i < earlier_count && !expected; i++) {
        expected = azfn__span_equal_ignore_case(earlier[i].name, node->name) ? "each header once" : NULL;
    }
    if (expected) {
        return azfn__config_expected_name(reader, node, expected, node->name, azfn__absent());
    }
    enum azfn_error error = azfn__config_text(reader, node, "the header's value", &out_header->value);
    if (error == AZFN_OK && !is_header_value(out_header->value)) {
        return azfn__config_refuse(reader, node,
                                   "expected up to %d visible ASCII characters and blanks between them, found "
                                   "something else (not shown)",
                                   MAX_HEADER_VALUE_BYTES);
    }
    return error;
}

static enum azfn_error read_fixed_headers(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                          struct azfn__config_destination *destination)
{
    struct azfn__config_node map;
    size_t count = 0;
    enum azfn_error error = azfn__config_member(reader, object, "headers", &map);
    if (error != AZFN_OK || !azfn_span_is_present(map.place)) {
        return error;
    }
    error = azfn__config_object(reader, &map, MAX_HEADERS, &count);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn__config_header *headers = azfn__arena_alloc(reader->arena, (count + 1) * sizeof(*headers));
    if (!headers) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(map.value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        bool has_node;
        error = azfn__config_next(reader, &map, &walk, i, &node, &has_node);
        if (error == AZFN_OK) {
            error = read_fixed_header(reader, &node, headers, i, destination->header, &headers[i]);
        }
    }
    destination->headers = headers;
    destination->header_count = count;
    return error;
}

static enum azfn_error read_limit(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                  const char *key, uint64_t min, uint64_t max, uint64_t *out_value)
{
    struct azfn__config_node node;
    enum azfn_error error = azfn__config_member(reader, object, key, &node);
    bool is_there = error == AZFN_OK && azfn_span_is_present(node.place);
    return is_there ? azfn__config_integer(reader, &node, min, max, out_value) : error;
}

static enum azfn_error read_limits(struct azfn__config_reader *reader, const struct azfn__config_node *object,
                                   struct azfn__config_destination *destination)
{
    uint64_t timeout_ms = DEFAULT_TIMEOUT_MS;
    destination->max_request_bytes = DEFAULT_BODY_BYTES;
    destination->max_response_bytes = DEFAULT_BODY_BYTES;
    enum azfn_error error = read_limit(reader, object, "timeoutMs", 1, MAX_TIMEOUT_MS, &timeout_ms);
    if (error == AZFN_OK) {
        error = read_limit(reader, object, "maxRequestBytes", 0, MAX_BODY_BYTES, &destination->max_request_bytes);
    }
    if (error == AZFN_OK) {
        error = read_limit(reader, object, "maxResponseBytes", 0, MAX_BODY_BYTES, &destination->max_response_bytes);
    }
    destination->timeout_ms = (uint32_t)timeout_ms;
    return error;
}

enum azfn_error azfn__config_read_destination(const struct azfn__config *config, struct azfn__config_reader *reader,
                                              const struct azfn__config_node *node,
                                              struct azfn__config_destination *out_destination)
{
    static const struct azfn_span KNOWN[] = {{"url", 3},       {"methods", 7},   {"authenticate", 12},
                                             {"headers", 7},   {"timeoutMs", 9}, {"maxRequestBytes", 15},
                                             {"maxResponseBytes", 16}};
    *out_destination = (struct azfn__config_destination){.name = node->name};
    enum azfn_error error = azfn__config_check_keys(reader, node, KNOWN, COUNT_OF(KNOWN));
    if (error == AZFN_OK) {
        error = azfn__config_read_checked(reader, node, "url", "a URL that begins with https://",
                                          azfn__config_url_check, &out_destination->url);
    }
    if (error == AZFN_OK) {
        error = read_methods(reader, node, &out_destination->methods);
    }
    if (error == AZFN_OK) {
        error = read_authenticate(config, reader, node, out_destination);
    }
    if (error == AZFN_OK) {
        error = read_fixed_headers(reader, node, out_destination);
    }
    return error == AZFN_OK ? read_limits(reader, node, out_destination) : error;
}
