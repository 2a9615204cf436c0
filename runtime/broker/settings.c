#include "broker/settings.h"

#include "base/span.h"
#include "broker/environment.h"
#include "config/config_fault.h"
#include "config/config_text.h"

static bool has_line_end(struct azfn_span value)
{
    return value.length > 0 && (memchr(value.data, '\n', value.length) || memchr(value.data, '\r', value.length));
}

enum azfn_error azfn__settings_copy(struct azfn__settings *settings, struct azfn__arena *arena,
                                    const struct azfn__config *config, struct azfn__config_fault *out_fault)
{
    struct azfn_span name;
    size_t count = 0;
    while (azfn__config_setting_at(config, count, &name)) {
        count++;
    }
    *settings = (struct azfn__settings){0};
    struct azfn__setting *items = azfn__arena_alloc(arena, (count + 1) * sizeof(*items));
    for (size_t i = 0; items && i < count; i++) {
        items[i] = (struct azfn__setting){.name = azfn__absent()};
        azfn__config_setting_at(config, i, &items[i].name);
        struct azfn_span value = azfn__environment_get(items[i].name);
        if (has_line_end(value)) {
            char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
            azfn__config_say(out_fault, "the setting %s: expected a value of one line, found several",
                             azfn__config_shown(shown, sizeof(shown), items[i].name));
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
        items[i].value = azfn_span_is_present(value) ? azfn__arena_copy(arena, value) : value;
        if (azfn_span_is_present(value) && !azfn_span_is_present(items[i].value)) {
            items = NULL;
        }
    }
    if (!items) {
        azfn__config_say(out_fault, "not enough memory for the settings");
        return AZFN_ERROR_NO_MEMORY;
    }
    *settings = (struct azfn__settings){.items = items, .count = count};
    return AZFN_OK;
}

static bool is_granted(const struct azfn__config *config, struct azfn_span name)
{
    for (size_t i = 0; i < config->function_count; i++) {
        for (size_t k = 0; k < config->functions[i].setting_count; k++) {
            if (azfn__span_equal(config->functions[i].settings[k], name)) {
                return true;
            }
        }
    }
    return false;
}

void azfn__settings_append_granted(const struct azfn__settings *settings, const struct azfn__config *config,
                                   struct azfn__buffer *out)
{
    for (size_t i = 0; i < settings->count; i++) {
        const struct azfn__setting *setting = &settings->items[i];
        if (azfn_span_is_present(setting->value) && is_granted(config, setting->name)) {
            azfn__buffer_append_span(out, setting->name);
            azfn__buffer_append_char(out, '=');
            azfn__buffer_append_span(out, setting->value);
            azfn__buffer_append_char(out, '\n');
        }
    }
}

struct azfn_span azfn__settings_get(const struct azfn__settings *settings, struct azfn_span name)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (azfn__span_equal(settings->items[i].name, name)) {
            return settings->items[i].value;
        }
    }
    return azfn__absent();
}

static void append(char *out, size_t *length, struct azfn_span piece)
{
    if (out && piece.length > 0) {
        memcpy(out + *length, piece.data, piece.length);
    }
    *length += piece.length;
}

/* Writes to out, or only counts where out is NULL. */
static bool replace(const struct azfn__settings *settings, struct azfn_span text, char *out, size_t *out_length,
                    struct azfn_span *out_missing)
{
    struct azfn_span literal;
    struct azfn_span setting;
    *out_length = 0;
    while (azfn__config_text_next(&text, &literal, &setting)) {
        append(out, out_length, literal);
        if (azfn_span_is_present(setting)) {
            struct azfn_span value = azfn__settings_get(settings, setting);
            if (!azfn_span_is_present(value)) {
                *out_missing = setting;
                return false;
            }
            append(out, out_length, value);
        }
    }
    return true;
}

struct azfn_span azfn__settings_replace(const struct azfn__settings *settings, struct azfn__arena *arena,
                                        struct azfn_span text, struct azfn_span *out_missing)
{
    size_t length;
    *out_missing = azfn__absent();
    if (!replace(settings, text, NULL, &length, out_missing)) {
        return azfn__absent();
    }
    char *out = azfn__arena_alloc(arena, length + 1);
    if (!out) {
        return azfn__absent();
    }
    replace(settings, text, out, &length, out_missing);
    out[length] = '\0';
    return azfn__span(out, length);
}
