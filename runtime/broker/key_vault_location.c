#include "broker/key_vault_location.h"

#include "base/ascii.h"
#include "base/span.h"
#include "config/config_text.h"

#include <stdio.h>

struct resolution {
    const struct azfn__settings *settings;
    struct azfn__arena *arena;
    struct azfn_span name;
    struct azfn__config_fault *fault;
};

AZFN_PRINTF(2, 3)
static enum azfn_error refuse(const struct resolution *resolution, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    (void)snprintf(resolution->fault->message, sizeof(resolution->fault->message), "azfn.json: /secrets/%.*s: %s",
                   AZFN_SPAN_ARGS(resolution->name), what);
    return AZFN_ERROR_INVALID_ARGUMENT;
}

/* Puts the settings in and looks at it again: what they hold is nobody's promise. */
static enum azfn_error resolve_part(const struct resolution *resolution, struct azfn_span text, const char *noun,
                                    size_t max_bytes, struct azfn_span *out_part)
{
    struct azfn_span missing = azfn__absent();
    *out_part = azfn__settings_replace(resolution->settings, resolution->arena, text, &missing);
    if (azfn_span_is_present(missing)) {
        return refuse(resolution, "the setting %.*s is not set", AZFN_SPAN_ARGS(missing));
    }
    if (!azfn_span_is_present(*out_part)) {
        return AZFN_ERROR_NO_MEMORY;
    }
    if (!azfn__config_is_vault_part(*out_part, max_bytes)) {
        return refuse(resolution, "expected a %s of at most %u letters, digits and dashes once its settings are in it",
                      noun, (unsigned)max_bytes);
    }
    return AZFN_OK;
}

static bool is_version(struct azfn_span text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_hex(text.data[i])) {
            return false;
        }
    }
    return text.length == 32;
}

/* "https://" and the suffix without its dot and its port. */
static struct azfn_span audience_of(struct azfn__arena *arena, struct azfn_span suffix)
{
    struct azfn_span host = azfn__span_from(suffix, 1);
    const char *colon = memchr(host.data, ':', host.length);
    host.length = colon ? (size_t)(colon - host.data) : host.length;
    return azfn__arena_format(arena, "https://%.*s", AZFN_SPAN_ARGS(host));
}

enum azfn_error azfn__key_vault_locate(const struct azfn__config_secret *secret, const struct azfn__settings *settings,
                                       struct azfn_span development_suffix, struct azfn__arena *arena,
                                       struct azfn__key_vault_location *out_location,
                                       struct azfn__config_fault *out_fault)
{
    const struct resolution resolution = {
        .settings = settings, .arena = arena, .name = secret->name, .fault = out_fault};
    struct azfn__key_vault_reference reference;
    struct azfn_span vault;
    struct azfn_span name;
    struct azfn_span version = azfn__absent();
    const char *expected = azfn__key_vault_reference_parse(secret->reference, &reference);
    if (expected) {
        return refuse(&resolution, "expected %s", expected);
    }
    enum azfn_error error = resolve_part(&resolution, reference.vault, "vault name", 24, &vault);
    if (error == AZFN_OK && (vault.data[0] == '-' || vault.data[vault.length - 1] == '-')) {
        error = refuse(&resolution, "expected a vault name without a dash at its ends");
    }
    if (error == AZFN_OK) {
        error = resolve_part(&resolution, reference.name, "secret name", 127, &name);
    }
    if (error == AZFN_OK && azfn_span_is_present(reference.version)) {
        error = resolve_part(&resolution, reference.version, "version", 32, &version);
        if (error == AZFN_OK && !is_version(version)) {
            error = refuse(&resolution, "expected a version of 32 hexadecimal digits");
        }
    }
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn_span suffix = development_suffix.length > 0            ? development_suffix
                              : azfn_span_is_present(reference.suffix) ? reference.suffix
                                                                       : AZFN__SPAN(".vault.azure.net");
    out_location->name = secret->name;
    out_location->version = version;
    out_location->audience = audience_of(arena, suffix);
    out_location->url = azfn__arena_format(arena, "https://%.*s%.*s/secrets/%.*s%s%.*s?api-version=7.4",
                                           AZFN_SPAN_ARGS(vault), AZFN_SPAN_ARGS(suffix), AZFN_SPAN_ARGS(name),
                                           version.length > 0 ? "/" : "", AZFN_SPAN_ARGS(version));
    return azfn_span_is_present(out_location->audience) && azfn_span_is_present(out_location->url)
               ? AZFN_OK
               : AZFN_ERROR_NO_MEMORY;
}
