#include "broker/key_vault_answer.h"

#include "base/ascii.h"
#include "base/json_scan.h"
#include "base/span.h"
#include "config/config_text.h"

#define MAX_SECONDS (UINT64_MAX / 2000)

/* The last segment of "https://<vault>/secrets/<name>/<version>". */
static bool read_version(struct azfn_span id, char *out)
{
    size_t start = id.length;
    while (start > 0 && id.data[start - 1] != '/') {
        start--;
    }
    struct azfn_span version = azfn__span_from(id, start);
    if (start == 0 || !azfn__config_is_vault_part(version, AZFN__VAULT_VERSION_BYTES - 1)) {
        return false;
    }
    memcpy(out, version.data, version.length);
    out[version.length] = '\0';
    return true;
}

/* In milliseconds; absent and null leave it as it is. */
static bool read_time(struct azfn_span attributes, struct azfn_span name, uint64_t *time_ms)
{
    struct azfn_span value = azfn__json_member(attributes, name);
    enum azfn__json_type type = azfn__json_type_of(value);
    uint64_t seconds;
    if (type == AZFN__JSON_NONE || type == AZFN__JSON_NULL) {
        return true;
    }
    if (azfn__json_uint64(value, &seconds) != AZFN_OK || seconds > MAX_SECONDS) {
        return false;
    }
    *time_ms = seconds * 1000;
    return true;
}

/* NULL: it may be used. */
static const char *check_attributes(struct azfn_span attributes, uint64_t now_ms,
                                    struct azfn__key_vault_secret *out_secret, enum azfn_error *out_error)
{
    uint64_t not_before_ms = 0;
    enum azfn__json_type enabled = azfn__json_type_of(azfn__json_member(attributes, AZFN__SPAN("enabled")));
    out_secret->expires_at_ms = UINT64_MAX;
    *out_error = AZFN_ERROR_UNAVAILABLE;
    if ((enabled != AZFN__JSON_TRUE && enabled != AZFN__JSON_FALSE) ||
        !read_time(attributes, AZFN__SPAN("nbf"), &not_before_ms) ||
        !read_time(attributes, AZFN__SPAN("exp"), &out_secret->expires_at_ms)) {
        return "the secret's attributes are not as they should be";
    }
    *out_error = AZFN_ERROR_FORBIDDEN;
    if (enabled == AZFN__JSON_FALSE) {
        return "the secret is disabled";
    }
    out_secret->is_out_of_time = now_ms < not_before_ms || now_ms >= out_secret->expires_at_ms;
    if (now_ms < not_before_ms) {
        return "the secret is not valid yet";
    }
    return out_secret->is_out_of_time ? "the secret has expired" : NULL;
}

enum azfn_error azfn__key_vault_secret_read(char *body, size_t length, struct azfn_span version, uint64_t now_ms,
                                            struct azfn__key_vault_secret *out_secret, const char **out_reason)
{
    struct azfn_span text = azfn__span(body, length);
    enum azfn_error error;
    *out_secret = (struct azfn__key_vault_secret){.expires_at_ms = UINT64_MAX};
    if (azfn__json_scan(text, NULL, NULL) != AZFN_OK || azfn__json_type_of(text) != AZFN__JSON_OBJECT) {
        *out_reason = "the answer is no JSON object";
        return AZFN_ERROR_UNAVAILABLE;
    }
    struct azfn_span id = azfn__json_string_view(azfn__json_member(text, AZFN__SPAN("id")));
    if (!read_version(id, out_secret->version) ||
        (version.length > 0 &&
         !azfn__span_equal_ignore_case(version, azfn_span_of(out_secret->version)))) {
        *out_reason = "the answer's id does not name the version that was asked for";
        return AZFN_ERROR_UNAVAILABLE;
    }
    struct azfn_span attributes = azfn__json_member(text, AZFN__SPAN("attributes"));
    *out_reason = check_attributes(attributes, now_ms, out_secret, &error);
    if (*out_reason) {
        return error;
    }
    struct azfn_span raw = azfn__json_member(text, AZFN__SPAN("value"));
    if (azfn__json_type_of(raw) != AZFN__JSON_STRING) {
        *out_reason = "the answer has no value";
        return AZFN_ERROR_UNAVAILABLE;
    }
    struct azfn_span value = azfn__json_string_decode_in_place(body + (raw.data - body), raw.length);
    if (value.length > AZFN__VAULT_VALUE_MAX_BYTES) {
        *out_reason = "the value is larger than 25 KiB";
        return AZFN_ERROR_LIMIT;
    }
    /* whoever takes it as a C string would take another one */
    if (value.length > 0 && memchr(value.data, '\0', value.length)) {
        *out_reason = "the value has a NUL in it";
        return AZFN_ERROR_FORBIDDEN;
    }
    out_secret->value = value;
    return AZFN_OK;
}

static const char *known_code(struct azfn_span raw)
{
    static const char *const CODES[] = {"AccessDenied",     "ForbiddenByRbac",       "ForbiddenByPolicy",
                                        "ForbiddenByFirewall", "ForbiddenByConnection", "SecretDisabled",
                                        "SecretNotFound",   "VaultNotFound",         "Unauthorized",
                                        "Forbidden",        "Throttled",             "BadParameter"};
    for (size_t i = 0; i < sizeof(CODES) / sizeof(CODES[0]); i++) {
        if (azfn__json_string_equals(raw, azfn_span_of(CODES[i]))) {
            return CODES[i];
        }
    }
    return NULL;
}

const char *azfn__key_vault_error_code(struct azfn_span body)
{
    const char *found = NULL;
    if (azfn__json_scan(body, NULL, NULL) != AZFN_OK) {
        return "-";
    }
    struct azfn_span error = azfn__json_member(body, AZFN__SPAN("error"));
    /* the vault nests them once; more is nobody's answer */
    for (int i = 0; i < 3 && azfn__json_type_of(error) == AZFN__JSON_OBJECT; i++) {
        struct azfn_span code = azfn__json_member(error, AZFN__SPAN("code"));
        const char *known = azfn__json_type_of(code) == AZFN__JSON_STRING ? known_code(code) : NULL;
        found = known ? known : found;
        error = azfn__json_member(error, AZFN__SPAN("innererror"));
    }
    return found ? found : "-";
}

static void skip_blanks(struct azfn_span *rest)
{
    while (rest->length > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t')) {
        *rest = azfn__span_from(*rest, 1);
    }
}

/* name="value" or name=value. Values with a backslash in them are not for us. */
static bool next_parameter(struct azfn_span *rest, struct azfn_span *out_name, struct azfn_span *out_value)
{
    size_t length = 0;
    while (length < rest->length && (azfn__is_letter(rest->data[length]) || rest->data[length] == '_')) {
        length++;
    }
    *out_name = azfn__span(rest->data, length);
    *rest = azfn__span_from(*rest, length);
    if (length == 0 || rest->length == 0 || rest->data[0] != '=') {
        return false;
    }
    *rest = azfn__span_from(*rest, 1);
    bool is_quoted = rest->length > 0 && rest->data[0] == '"';
    *rest = azfn__span_from(*rest, is_quoted ? 1 : 0);
    for (length = 0; length < rest->length; length++) {
        char c = rest->data[length];
        if (is_quoted ? c == '"' : (c == ',' || c == ' ' || c == '\t')) {
            break;
        }
        if (c == '\\' || c < ' ' || c > '~' || (!is_quoted && c == '"')) {
            return false;
        }
    }
    *out_value = azfn__span(rest->data, length);
    *rest = azfn__span_from(*rest, length);
    if (is_quoted && rest->length == 0) {
        return false;
    }
    *rest = azfn__span_from(*rest, is_quoted ? 1 : 0);
    return out_value->length > 0;
}

static bool is_audience(struct azfn_span value, struct azfn_span audience)
{
    if (value.length > 0 && value.data[value.length - 1] == '/') {
        value.length--;
    }
    return azfn__span_equal(value, audience);
}

static bool is_scope_of(struct azfn_span value, struct azfn_span audience)
{
    const struct azfn_span end = AZFN__SPAN("/.default");
    size_t length = value.length > end.length ? value.length - end.length : 0;
    return azfn__span_equal(azfn__span_from(value, length), end) &&
           is_audience(azfn__span(value.data, length), audience);
}

enum azfn__vault_challenge azfn__key_vault_challenge_check(struct azfn_span challenge, struct azfn_span audience)
{
    const struct azfn_span scheme = AZFN__SPAN("Bearer ");
    struct azfn_span rest = challenge;
    bool has_audience = false;
    bool is_other = false;
    if (rest.length < scheme.length || !azfn__span_equal_ignore_case(azfn__span(rest.data, scheme.length), scheme)) {
        return AZFN__VAULT_CHALLENGE_UNREADABLE;
    }
    rest = azfn__span_from(rest, scheme.length);
    for (skip_blanks(&rest); rest.length > 0; skip_blanks(&rest)) {
        struct azfn_span name;
        struct azfn_span value;
        if (!next_parameter(&rest, &name, &value)) {
            return AZFN__VAULT_CHALLENGE_UNREADABLE;
        }
        bool is_scope = azfn__span_equal_ignore_case(name, AZFN__SPAN("scope"));
        if (is_scope || azfn__span_equal_ignore_case(name, AZFN__SPAN("resource"))) {
            has_audience = true;
            is_other = is_other || !(is_scope ? is_scope_of(value, audience) : is_audience(value, audience));
        }
        skip_blanks(&rest);
        if (rest.length > 0 && rest.data[0] != ',') {
            return AZFN__VAULT_CHALLENGE_UNREADABLE;
        }
        rest = azfn__span_from(rest, 1);
    }
    if (!has_audience) {
        return AZFN__VAULT_CHALLENGE_UNREADABLE;
    }
    return is_other ? AZFN__VAULT_CHALLENGE_OTHER : AZFN__VAULT_CHALLENGE_MATCHES;
}
