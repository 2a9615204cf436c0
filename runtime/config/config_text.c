#include "config/config_text.h"

#include "base/ascii.h"
#include "base/span.h"

#define HTTPS AZFN__SPAN("https://")

static size_t index_of(struct azfn_span text, char c)
{
    const char *found = text.length > 0 ? memchr(text.data, c, text.length) : NULL;
    return found ? (size_t)(found - text.data) : text.length;
}

bool azfn__config_is_setting_name(struct azfn_span name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        bool is_start = azfn__is_letter(c) || c == '_';
        if (!is_start && (i == 0 || !(azfn__is_digit(c) || c == ':' || c == '.' || c == '-'))) {
            return false;
        }
    }
    return name.length > 0;
}

bool azfn__config_text_next(struct azfn_span *rest, struct azfn_span *out_literal, struct azfn_span *out_setting)
{
    *out_setting = azfn__absent();
    if (rest->length == 0) {
        return false;
    }
    for (size_t at = index_of(*rest, '%'); at < rest->length;) {
        struct azfn_span behind = azfn__span_from(*rest, at + 1);
        struct azfn_span name = azfn__span(behind.data, index_of(behind, '%'));
        if (name.length == behind.length) {
            break;
        }
        if (azfn__config_is_setting_name(name)) {
            *out_literal = azfn__span(rest->data, at);
            *out_setting = name;
            *rest = azfn__span_from(behind, name.length + 1);
            return true;
        }
        at += 1 + name.length;
    }
    *out_literal = *rest;
    *rest = azfn__span_from(*rest, rest->length);
    return true;
}

bool azfn__config_is_vault_part(struct azfn_span text, size_t max_bytes)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_letter(text.data[i]) && !azfn__is_digit(text.data[i]) && text.data[i] != '-') {
            return false;
        }
    }
    return text.length > 0 && text.length <= max_bytes;
}

/* The same where parts of it may be %NAME%. */
static bool is_vault_template(struct azfn_span text, size_t min_bytes, size_t max_bytes)
{
    struct azfn_span rest = text;
    struct azfn_span literal;
    struct azfn_span setting;
    size_t length = 0;
    bool has_setting = false;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        if (literal.length > 0 && !azfn__config_is_vault_part(literal, max_bytes)) {
            return false;
        }
        length += literal.length;
        has_setting = has_setting || azfn_span_is_present(setting);
    }
    return length <= max_bytes && (has_setting || length >= min_bytes);
}

static bool is_version_template(struct azfn_span text)
{
    struct azfn_span rest = text;
    struct azfn_span literal;
    struct azfn_span setting;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        for (size_t i = 0; i < literal.length; i++) {
            unsigned char lower = azfn__lower((unsigned char)literal.data[i]);
            if (!azfn__is_digit(literal.data[i]) && (lower < 'a' || lower > 'f')) {
                return false;
            }
        }
    }
    return is_vault_template(text, 32, 32);
}

static const char *check_reference(const struct azfn__key_vault_reference *reference)
{
    if (!is_vault_template(reference->vault, 3, 24)) {
        return "a vault name of 3 to 24 letters, digits and dashes";
    }
    if (!is_vault_template(reference->name, 1, 127)) {
        return "a secret name of 1 to 127 letters, digits and dashes";
    }
    if (azfn_span_is_present(reference->version) && !is_version_template(reference->version)) {
        return "a secret version of 32 hexadecimal digits";
    }
    return NULL;
}

/* "https://<vault>.vault.azure.net/secrets/<name>[/<version>]" */
static const char *parse_secret_uri(struct azfn_span uri, struct azfn__key_vault_reference *out_reference)
{
    static const char *const SUFFIXES[] = {".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"};
    static const char EXPECTED[] = "SecretUri=https://<vault>.vault.azure.net/secrets/<name>, or with /<version>";
    if (!azfn__span_starts_with(uri, HTTPS)) {
        return EXPECTED;
    }
    struct azfn_span rest = azfn__span_from(uri, HTTPS.length);
    struct azfn_span host = azfn__span(rest.data, index_of(rest, '/'));
    rest = azfn__span_from(rest, host.length);
    for (size_t i = 0; i < sizeof(SUFFIXES) / sizeof(SUFFIXES[0]); i++) {
        struct azfn_span suffix = azfn_span_of(SUFFIXES[i]);
        size_t vault_length = host.length > suffix.length ? host.length - suffix.length : 0;
        if (vault_length > 0 && azfn__span_equal(azfn__span_from(host, vault_length), suffix)) {
            out_reference->vault = azfn__span(host.data, vault_length);
            out_reference->suffix = azfn__span_from(host, vault_length);
        }
    }
    if (!azfn_span_is_present(out_reference->suffix) || !azfn__span_starts_with(rest, AZFN__SPAN("/secrets/"))) {
        return EXPECTED;
    }
    rest = azfn__span_from(rest, AZFN__SPAN("/secrets/").length);
    out_reference->name = azfn__span(rest.data, index_of(rest, '/'));
    rest = azfn__span_from(rest, out_reference->name.length + 1);
    /* a slash at the end is how many people write it */
    if (rest.length > 0) {
        out_reference->version = rest.data[rest.length - 1] == '/' ? azfn__span(rest.data, rest.length - 1) : rest;
    }
    return check_reference(out_reference);
}

/* "VaultName=<vault>;SecretName=<name>[;SecretVersion=<version>]" in any order */
static const char *parse_fields(struct azfn_span fields, struct azfn__key_vault_reference *out_reference)
{
    while (fields.length > 0) {
        struct azfn_span field = azfn__span(fields.data, index_of(fields, ';'));
        fields = azfn__span_from(fields, field.length + 1);
        struct azfn_span key = azfn__span(field.data, index_of(field, '='));
        struct azfn_span *part = azfn_span_equals(key, "VaultName")       ? &out_reference->vault
                                 : azfn_span_equals(key, "SecretName")    ? &out_reference->name
                                 : azfn_span_equals(key, "SecretVersion") ? &out_reference->version
                                                                          : NULL;
        if (!part || azfn_span_is_present(*part) || key.length == field.length) {
            return "VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<version>";
        }
        *part = azfn__span_from(field, key.length + 1);
    }
    if (!azfn_span_is_present(out_reference->vault) || !azfn_span_is_present(out_reference->name)) {
        return "VaultName=<vault>;SecretName=<name>, or with ;SecretVersion=<version>";
    }
    return check_reference(out_reference);
}

const char *azfn__key_vault_reference_parse(struct azfn_span text, struct azfn__key_vault_reference *out_reference)
{
    const struct azfn_span start = AZFN__SPAN("@Microsoft.KeyVault(");
    *out_reference = (struct azfn__key_vault_reference){0};
    if (!azfn__span_starts_with(text, start) || text.length == start.length || text.data[text.length - 1] != ')') {
        return "@Microsoft.KeyVault(SecretUri=...) or @Microsoft.KeyVault(VaultName=...;SecretName=...)";
    }
    struct azfn_span inside = azfn__span(text.data + start.length, text.length - start.length - 1);
    if (azfn__span_starts_with(inside, AZFN__SPAN("SecretUri="))) {
        return parse_secret_uri(azfn__span_from(inside, AZFN__SPAN("SecretUri=").length), out_reference);
    }
    return parse_fields(inside, out_reference);
}

static bool is_port(struct azfn_span text)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_digit(text.data[i]) || i >= 5) {
            return false;
        }
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    return value > 0 && value <= 65535;
}

/* Labels of letters, digits and dashes. A setting may stand for the first ones, but the domain that gets the
 * credential is the file's decision, not a setting's. */
static const char *check_host(struct azfn_span host)
{
    static const char EXPECTED[] = "a host name of letters, digits, dashes and dots after https://";
    struct azfn_span rest = host;
    struct azfn_span literal = {0};
    struct azfn_span setting;
    bool has_setting = false;
    char last = '.';
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        for (size_t i = 0; i < literal.length; i++) {
            char c = literal.data[i];
            if (!azfn__is_letter(c) && !azfn__is_digit(c) && c != '-' && (c != '.' || last == '.')) {
                return EXPECTED;
            }
            last = c;
        }
        has_setting = has_setting || azfn_span_is_present(setting);
        last = azfn_span_is_present(setting) ? 'x' : last;
        /* at the end literal is what follows the last setting */
        literal = azfn_span_is_present(setting) ? azfn__absent() : literal;
    }
    if (host.length == 0 || host.length > 253 || last == '.') {
        return EXPECTED;
    }
    if (has_setting && index_of(literal, '.') == literal.length) {
        return "a host name whose domain is written out: a setting may stand for its first parts only";
    }
    return NULL;
}

/* Printable ASCII without what a URL may not hold, no "." or ".." segments. A % begins a %NAME%. */
static const char *check_path(struct azfn_span path)
{
    struct azfn_span rest = path;
    struct azfn_span literal;
    struct azfn_span setting;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        for (size_t i = 0; i < literal.length; i++) {
            char c = literal.data[i];
            if (c == '%') {
                return "%NAME% where there is a %, with the name of a setting: escapes are not possible here";
            }
            if (c <= ' ' || c > '~' || memchr("\"<>\\^`{|}", c, 9)) {
                return "a URL of printable ASCII characters";
            }
        }
    }
    while (path.length > 0) {
        path = azfn__span_from(path, 1);
        struct azfn_span segment = azfn__span(path.data, index_of(path, '/'));
        path = azfn__span_from(path, segment.length);
        if (azfn_span_equals(segment, ".") || azfn_span_equals(segment, "..")) {
            return "a path without . and .. in it";
        }
    }
    return NULL;
}

const char *azfn__config_url_check(struct azfn_span url)
{
    if (!azfn__span_starts_with(url, HTTPS)) {
        return "a URL that begins with https://";
    }
    if (url.length > 2048) {
        return "a URL of at most 2048 bytes";
    }
    if (index_of(url, '?') < url.length || index_of(url, '#') < url.length) {
        return "a URL without a query and without a fragment";
    }
    struct azfn_span rest = azfn__span_from(url, HTTPS.length);
    struct azfn_span authority = azfn__span(rest.data, index_of(rest, '/'));
    struct azfn_span path = azfn__span_from(rest, authority.length);
    if (index_of(authority, '@') < authority.length) {
        return "a URL without a user in it";
    }
    /* the colon of a port, not one within %A:B% */
    size_t host_length = authority.length;
    while (host_length > 0 && azfn__is_digit(authority.data[host_length - 1])) {
        host_length--;
    }
    bool has_colon = host_length > 0 && authority.data[host_length - 1] == ':';
    if (has_colon && !is_port(azfn__span_from(authority, host_length))) {
        return "a port from 1 to 65535";
    }
    const char *expected = check_host(azfn__span(authority.data, has_colon ? host_length - 1 : authority.length));
    return expected ? expected : check_path(path);
}

const char *azfn__config_audience_check(struct azfn_span audience)
{
    if (index_of(audience, '%') < audience.length) {
        return "an audience without %";
    }
    return azfn__config_url_check(audience);
}
