#include "broker/host_environment.h"

#include "base/buffer.h"
#include "base/span.h"
#include "broker/environment.h"
#include "config/config.h"

#include <string.h>
#include <unistd.h>

/* More settings above host.json than this are left out. */
#define LINES_MAX_BYTES ((size_t)16 << 10)

static bool parse_port(struct azfn_span text, uint16_t *out_port)
{
    unsigned long port = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + (unsigned long)(text.data[i] - '0');
    }
    *out_port = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

static bool is_set(struct azfn_span name)
{
    return azfn__environment_get(name).length > 0;
}

/* Cuts the prefix off, in any case. */
static bool take(struct azfn_span *text, struct azfn_span prefix)
{
    bool has_it =
        text->length >= prefix.length && azfn__bytes_equal_ignore_case(text->data, prefix.data, prefix.length);
    *text = has_it ? azfn__span_from(*text, prefix.length) : *text;
    return has_it;
}

static bool take_separator(struct azfn_span *text)
{
    return take(text, AZFN__SPAN("__")) || take(text, AZFN__SPAN(":"));
}

/* Of what the configuration looks at, one line. */
static bool is_host_setting(struct azfn_span entry)
{
    if (memchr(entry.data, '\n', entry.length) || !take(&entry, AZFN__SPAN(AZFN__CONFIG_HOST_SETTING)) ||
        !take_separator(&entry)) {
        return false;
    }
    if (!take(&entry, AZFN__SPAN("logging")) || !take_separator(&entry)) {
        return take(&entry, AZFN__SPAN("telemetryMode="));
    }
    /* other members may have a credential of a place where the host logs to */
    bool is_insights = take(&entry, AZFN__SPAN("applicationInsights")) && take_separator(&entry);
    bool is_read = take(&entry, AZFN__SPAN("logLevel")) ||
                   (is_insights && take(&entry, AZFN__SPAN("samplingSettings")));
    return is_read && take_separator(&entry);
}

static struct azfn_span config_lines(struct azfn__arena *arena)
{
    struct azfn__buffer lines;
    azfn__buffer_init(&lines, LINES_MAX_BYTES);
    if (is_set(AZFN__SPAN("FUNCTIONS_CORETOOLS_ENVIRONMENT"))) {
        azfn__buffer_append_text(&lines, AZFN__CONFIG_IS_CORE_TOOLS);
    }
    if (azfn__span_equal_ignore_case(azfn__environment_get(AZFN__SPAN("WEBSITE_AUTH_ENABLED")), AZFN__SPAN("true"))) {
        azfn__buffer_append_text(&lines, AZFN__CONFIG_IS_EASY_AUTH_ON);
    }
    if (is_set(AZFN__SPAN("APPLICATIONINSIGHTS_CONNECTION_STRING")) ||
        is_set(AZFN__SPAN("APPINSIGHTS_INSTRUMENTATIONKEY"))) {
        azfn__buffer_append_text(&lines, AZFN__CONFIG_HAS_APPLICATION_INSIGHTS);
    }
    for (char **at = environ; at && *at; at++) {
        struct azfn_span entry = azfn_span_of(*at);
        if (is_host_setting(entry) && entry.length < LINES_MAX_BYTES - lines.length) {
            azfn__buffer_append_span(&lines, entry);
            azfn__buffer_append_char(&lines, '\n');
        }
    }
    struct azfn_span copy = lines.length > 0 ? azfn__arena_copy(arena, azfn__buffer_span(&lines)) : AZFN__SPAN("");
    azfn__buffer_clean_up(&lines);
    return copy;
}

const char *azfn__host_environment_copy(struct azfn__host_environment *out_environment, struct azfn__arena *arena)
{
    struct azfn_span port = azfn__environment_get(AZFN__SPAN("FUNCTIONS_CUSTOMHANDLER_PORT"));
    *out_environment = (struct azfn__host_environment){
        .app_id = azfn__environment_copy(arena, AZFN__SPAN("WEBSITE_SITE_NAME")),
        .app_root = azfn__environment_copy(arena, AZFN__SPAN("FUNCTIONS_APP_ROOT_PATH")),
        .identity_endpoint = azfn__environment_copy(arena, AZFN__SPAN("IDENTITY_ENDPOINT")),
        .config_lines = config_lines(arena)};
    if (!azfn_span_is_present(port)) {
        return "FUNCTIONS_CUSTOMHANDLER_PORT is not set: the Functions host or azfn-local starts this program, see "
               "--help";
    }
    return parse_port(port, &out_environment->port) ? NULL : "FUNCTIONS_CUSTOMHANDLER_PORT is no port from 1 to 65535";
}
