#include "broker/environment_report.h"

#include "base/ascii.h"
#include "base/span.h"
#include "config/config_fault.h"

#include <stdio.h>

#define MAX_NAMES 20
#define NAME_ROOM 68
#define COPY_PREFIX AZFN__SPAN("APPSETTING_")
#define STORAGE_KEY_BYTES 88
#define MIN_KEY_BYTES 8
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool starts_with(struct azfn_span text, const char *start)
{
    struct azfn_span wanted = azfn_span_of(start);
    return text.length >= wanted.length &&
           azfn__span_equal_ignore_case(azfn__span(text.data, wanted.length), wanted);
}

static bool ends_with(struct azfn_span text, const char *end)
{
    struct azfn_span wanted = azfn_span_of(end);
    return text.length >= wanted.length &&
           azfn__span_equal_ignore_case(azfn__span_from(text, text.length - wanted.length), wanted);
}

static bool is_separator(char c)
{
    return strchr(";,&? \t'\"{", c) != NULL; /* the NUL too, which no value has */
}

/* "key = value", where some connection string, query or list of options has it. */
static bool has_option(struct azfn_span text, const char *key)
{
    struct azfn_span wanted = azfn_span_of(key);
    for (size_t i = 0; i + wanted.length < text.length; i++) {
        bool is_start = i == 0 || is_separator(text.data[i - 1]);
        if (!is_start || !azfn__bytes_equal_ignore_case(text.data + i, wanted.data, wanted.length)) {
            continue;
        }
        struct azfn_span rest = azfn__span_trim(azfn__span_from(text, i + wanted.length));
        rest = rest.length > 0 && rest.data[0] == '=' ? azfn__span_trim(azfn__span_from(rest, 1)) : azfn__absent();
        if (rest.length > 0 && (rest.data[0] == '\'' || rest.data[0] == '"' || !is_separator(rest.data[0]))) {
            return true;
        }
    }
    return false;
}

static bool is_connection_string(struct azfn_span value)
{
    static const char *const KEYS[] = {"AccountKey",   "SharedAccessKey", "AccessKey", "SharedAccessSignature",
                                       "ClientSecret", "Password",        "Pwd"};
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        if (has_option(value, KEYS[i])) {
            return true;
        }
    }
    return false;
}

/* A shared access signature, alone or in a URL. */
static bool is_signature(struct azfn_span value)
{
    return has_option(value, "sig") && (has_option(value, "se") || has_option(value, "sv"));
}

static size_t base64url_length(struct azfn_span text)
{
    size_t length = 0;
    while (length < text.length && (azfn__is_letter(text.data[length]) || azfn__is_digit(text.data[length]) ||
                                    text.data[length] == '-' || text.data[length] == '_')) {
        length++;
    }
    return length;
}

/* Header and payload begin with the base64 of '{"'; a bearer's prefix may stand before it. */
static bool is_token(struct azfn_span value)
{
    value = azfn__span_trim(value);
    value = starts_with(value, "Bearer ") ? azfn__span_trim(azfn__span_from(value, 7)) : value;
    for (int part = 0; part < 3; part++) {
        size_t length = base64url_length(value);
        bool is_start = part > 0 || azfn__span_starts_with(value, AZFN__SPAN("eyJ"));
        bool is_end = part == 2;
        if (!is_start || length < 4 || (is_end ? length < value.length && value.data[length] != '.'
                                               : length == value.length || value.data[length] != '.')) {
            return false;
        }
        value = azfn__span_from(value, length + 1);
    }
    return true;
}

/* Certificates and public keys are none. */
static bool is_private_pem(struct azfn_span value)
{
    static const char BEGIN[] = "-----BEGIN ";
    for (;;) {
        const char *found = value.length > 0 ? memmem(value.data, value.length, BEGIN, sizeof(BEGIN) - 1) : NULL;
        if (!found) {
            return false;
        }
        value = azfn__span_from(value, (size_t)(found - value.data) + sizeof(BEGIN) - 1);
        const char *end = memmem(value.data, value.length, "-----", 5);
        struct azfn_span label = azfn__span(value.data, end ? (size_t)(end - value.data) : value.length);
        if (!ends_with(label, "CERTIFICATE") && !ends_with(label, "PUBLIC KEY") && !ends_with(label, " REQUEST") &&
            !ends_with(label, " CRL") && !ends_with(label, " PARAMETERS")) {
            return true;
        }
    }
}

/* 64 bytes in base64: accounts of storage and Cosmos DB. */
static bool is_storage_key(struct azfn_span value)
{
    for (size_t i = 0; value.length == STORAGE_KEY_BYTES && i < STORAGE_KEY_BYTES - 2; i++) {
        char c = value.data[i];
        if (!azfn__is_letter(c) && !azfn__is_digit(c) && c != '+' && c != '/') {
            return false;
        }
    }
    return value.length == STORAGE_KEY_BYTES && ends_with(value, "==");
}

/* scheme://user:password@host */
static bool has_password_in_url(struct azfn_span value)
{
    for (;;) {
        const char *found = value.length > 0 ? memmem(value.data, value.length, "://", 3) : NULL;
        if (!found) {
            return false;
        }
        value = azfn__span_from(value, (size_t)(found - value.data) + 3);
        size_t colon = SIZE_MAX;
        for (size_t i = 0; i < value.length && !memchr("/?# \t\"'", value.data[i], 7); i++) {
            if (value.data[i] == ':' && colon == SIZE_MAX) {
                colon = i;
            } else if (value.data[i] == '@' && colon != SIZE_MAX && i > colon + 1) {
                return true;
            }
        }
    }
}

static bool is_secret_value(struct azfn_span value)
{
    return is_connection_string(value) || is_signature(value) || is_token(value) || is_private_pem(value) ||
           is_storage_key(value) || has_password_in_url(value);
}

static bool is_switch(struct azfn_span value)
{
    static const char *const WORDS[] = {"true", "false", "yes",  "no",       "on",
                                        "off",  "none",  "null", "disabled", "enabled"};
    bool is_word = false;
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        is_word = is_word || azfn__span_equal_ignore_case(value, azfn_span_of(WORDS[i]));
    }
    return is_word || (value.length == 1 && azfn__is_digit(value.data[0]));
}

/* By the name alone, where the value is not plainly something else: a switch, a path, the address of a secret. */
static bool is_secret_name(struct azfn_span name, struct azfn_span value)
{
    static const char *const PASSWORDS[] = {"PASSWORD", "PASSWD", "PASSPHRASE", "_PWD", "SECRET", "CONNECTIONSTRING",
                                            "CONNECTION_STRING"};
    static const char *const KEYS[] = {"_KEY",        "APIKEY",    "ACCESSKEY", "ACCOUNTKEY", "PRIVATEKEY", "_TOKEN",
                                       "ACCESSTOKEN", "AUTHTOKEN", "SASTOKEN",  "_SAS"};
    static const char *const NO_KEYS[] = {"PARTITION_KEY", "PUBLIC_KEY", "GPG_KEY", "ROUTING_KEY", "CACHE_KEY"};
    if (is_switch(value) || value.data[0] == '/' || starts_with(value, "http://") || starts_with(value, "https://")) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(PASSWORDS); i++) {
        if (ends_with(name, PASSWORDS[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < COUNT_OF(NO_KEYS); i++) {
        if (ends_with(name, NO_KEYS[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < COUNT_OF(KEYS); i++) {
        if (ends_with(name, KEYS[i])) {
            return value.length >= MIN_KEY_BYTES;
        }
    }
    return false;
}

/* "SQLCONNSTR_orders": what the portal calls connection strings. */
static bool is_connection_name(struct azfn_span name)
{
    static const char CONNECTION[] = "CONNSTR_";
    return name.length > 0 && memmem(name.data, name.length, CONNECTION, sizeof(CONNECTION) - 1) != NULL;
}

/* Nobody but the platform sets these, and all that is in them is secret. */
static bool is_platform_secret(struct azfn_span name)
{
    static const char *const NAMES[] = {
        "APPINSIGHTS_INSTRUMENTATIONKEY",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AzureWebEncryptionKey",
        "CONTAINER_ENCRYPTION_KEY",
        "CONTAINER_START_CONTEXT_SAS_URI",
        "DIAGNOSTICS_AZUREBLOBCONTAINERSASURL",
        "DOCKER_REGISTRY_SERVER_PASSWORD",
        "IDENTITY_HEADER",
        "MACHINEKEY_DecryptionKey",
        "MACHINEKEY_ValidationKey",
        "MICROSOFT_PROVIDER_AUTHENTICATION_SECRET",
        "MSI_SECRET",
        "POD_ENCRYPTION_KEY",
        "WEBSITE_AUTH_CLIENT_SECRET",
        "WEBSITE_AUTH_ENCRYPTION_KEY",
        "WEBSITE_AUTH_SIGNING_KEY",
        "WEBSITE_RELAYS",
    };
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (azfn__span_equal_ignore_case(name, azfn_span_of(NAMES[i]))) {
            return true;
        }
    }
    return false;
}

/* The host and the platform need these; only some values of them are secret. */
static bool is_platform_name(struct azfn_span name)
{
    static const char *const NAMES[] = {"AzureWebJobsStorage", "AzureWebJobsDashboard", "SCM_RUN_FROM_PACKAGE"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (azfn__span_equal_ignore_case(name, azfn_span_of(NAMES[i]))) {
            return true;
        }
    }
    return starts_with(name, "WEBSITE_") || starts_with(name, "FUNCTIONS_");
}

bool azfn__environment_is_reference(struct azfn_span value)
{
    return starts_with(value, "@Microsoft.KeyVault(") || starts_with(value, "@Microsoft.AppConfiguration(");
}

enum azfn__environment_kind azfn__environment_kind_of(struct azfn_span name, struct azfn_span value)
{
    value = azfn__span_trim(value);
    name = azfn__span_starts_with(name, COPY_PREFIX) ? azfn__span_from(name, COPY_PREFIX.length) : name;
    if (value.length == 0 || azfn__environment_is_reference(value)) {
        return AZFN__ENVIRONMENT_NO_SECRET;
    }
    if (is_platform_secret(name)) {
        return AZFN__ENVIRONMENT_PLATFORM_SECRET;
    }
    bool is_secret = is_secret_value(value);
    if (is_platform_name(name)) {
        return is_secret ? AZFN__ENVIRONMENT_PLATFORM_SECRET : AZFN__ENVIRONMENT_NO_SECRET;
    }
    return is_secret || is_secret_name(name, value) || is_connection_name(name) ? AZFN__ENVIRONMENT_OWN_SECRET
                                                                                : AZFN__ENVIRONMENT_NO_SECRET;
}

void azfn__environment_names_add(struct azfn__environment_names *names, struct azfn_span name)
{
    char shown[NAME_ROOM];
    if (names->count++ < MAX_NAMES) {
        int length = snprintf(names->text + names->length, sizeof(names->text) - names->length, "%s%s",
                              names->count > 1 ? ", " : "", azfn__config_shown(shown, sizeof(shown), name));
        names->length += length > 0 ? (size_t)length : 0;
    }
}

const char *azfn__environment_names_text(struct azfn__environment_names *names)
{
    if (names->count > MAX_NAMES) {
        snprintf(names->text + names->length, sizeof(names->text) - names->length, " and %zu more",
                 names->count - MAX_NAMES);
    }
    return names->text;
}

static bool has_entry(const char *const *entries, struct azfn_span name)
{
    for (; *entries; entries++) {
        if (strncmp(*entries, name.data, name.length) == 0 && (*entries)[name.length] == '=') {
            return true;
        }
    }
    return false;
}

void azfn__environment_report_make(struct azfn__environment_report *report, const char *const *entries)
{
    *report = (struct azfn__environment_report){0};
    for (const char *const *entry = entries; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        struct azfn_span name = azfn__span(*entry, equals ? (size_t)(equals - *entry) : 0);
        enum azfn__environment_kind kind =
            equals ? azfn__environment_kind_of(name, azfn_span_of(equals + 1)) : AZFN__ENVIRONMENT_NO_SECRET;
        if (kind == AZFN__ENVIRONMENT_NO_SECRET ||
            (azfn__span_starts_with(name, COPY_PREFIX) &&
             has_entry(entries, azfn__span_from(name, COPY_PREFIX.length)))) {
            continue;
        }
        azfn__environment_names_add(kind == AZFN__ENVIRONMENT_OWN_SECRET ? &report->own : &report->platform, name);
    }
}
