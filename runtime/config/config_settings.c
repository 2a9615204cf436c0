/* The settings that azfn.json names: which, and the values of those that functions are granted. */
#include "config/config_build.h"

#include "base/span.h"
#include "config/config_fault.h"
#include "config/config_policy.h"
#include "config/config_text.h"

#include <stdlib.h>

static int order_settings(const void *a, const void *b)
{
    const struct azfn_span *left = a;
    const struct azfn_span *right = b;
    return azfn__config_order(*left, *right);
}

/* Appends to names, or only counts where names is NULL. */
static size_t take_settings(struct azfn_span text, struct azfn_span *names, size_t count)
{
    struct azfn_span literal;
    struct azfn_span setting;
    while (azfn__config_text_next(&text, &literal, &setting)) {
        if (azfn_span_is_present(setting)) {
            if (names) {
                names[count] = setting;
            }
            count++;
        }
    }
    return count;
}

static size_t take_all_settings(const struct azfn__config *config, struct azfn_span *names)
{
    size_t count = 0;
    for (size_t i = 0; i < config->secret_count; i++) {
        count = take_settings(config->secrets[i].reference, names, count);
    }
    for (size_t i = 0; i < config->destination_count; i++) {
        count = take_settings(config->destinations[i].url, names, count);
    }
    count = take_settings(config->identity.client_id, names, count);
    count = take_settings(config->identity.resource_id, names, count);
    count = take_settings(config->identity.principal_id, names, count);
    for (size_t i = 0; i < config->function_count; i++) {
        for (size_t k = 0; k < config->functions[i].setting_count; k++, count++) {
            if (names) {
                names[count] = config->functions[i].settings[k];
            }
        }
    }
    return count;
}

enum azfn_error azfn__config_list_settings(struct azfn__config_build *build)
{
    struct azfn__config *config = build->config;
    size_t count = take_all_settings(config, NULL);
    struct azfn_span *names = azfn__arena_alloc(&config->arena, (count + 1) * sizeof(*names));
    if (!names) {
        return azfn__config_refuse_memory(build->fault);
    }
    take_all_settings(config, names);
    if (count > 1) {
        qsort(names, count, sizeof(*names), order_settings);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || !azfn__span_equal(names[kept - 1], names[i])) {
            names[kept++] = names[i];
        }
    }
    config->setting_names = names;
    config->setting_name_count = kept;
    return AZFN_OK;
}

/* values has a place for each of setting_names. */
static void read_lines(const struct azfn__config *config, struct azfn_span lines, struct azfn_span *values)
{
    while (lines.length > 0) {
        const char *end = memchr(lines.data, '\n', lines.length);
        struct azfn_span line = azfn__span(lines.data, end ? (size_t)(end - lines.data) : lines.length);
        const char *equals = line.length > 0 ? memchr(line.data, '=', line.length) : NULL;
        lines = azfn__span_from(lines, line.length + 1);
        if (equals) {
            struct azfn_span name = azfn__span(line.data, (size_t)(equals - line.data));
            const struct azfn_span *found =
                bsearch(&name, config->setting_names, config->setting_name_count, sizeof(name), order_settings);
            if (found) {
                values[found - config->setting_names] = azfn__span_from(line, name.length + 1);
            }
        }
    }
}

enum azfn_error azfn__config_set_settings(struct azfn__config_build *build, struct azfn_span lines)
{
    struct azfn__config *config = build->config;
    struct azfn_span *values = calloc(config->setting_name_count + 1, sizeof(*values));
    enum azfn_error error = AZFN_OK;
    if (!values) {
        return azfn__config_refuse_memory(build->fault);
    }
    if (config->setting_name_count > 0) {
        read_lines(config, lines, values);
    }
    for (size_t i = 0; error == AZFN_OK && i < config->function_count; i++) {
        struct azfn__config_function *function = &build->functions[i];
        struct azfn_span *own = azfn__arena_alloc(&config->arena, (function->setting_count + 1) * sizeof(*own));
        error = own ? AZFN_OK : azfn__config_refuse_memory(build->fault);
        for (size_t k = 0; own && k < function->setting_count; k++) {
            const struct azfn_span *name = bsearch(&function->settings[k], config->setting_names,
                                                   config->setting_name_count, sizeof(*name), order_settings);
            own[k] = name ? values[name - config->setting_names] : azfn__absent();
        }
        function->setting_values = own;
    }
    free(values);
    return error;
}
