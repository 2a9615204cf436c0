#include "broker/environment_audit.h"

#include "broker/environment_report.h"
#include "config/config_fault.h"

#include <unistd.h>

/* "text: names" */
static void say(struct azfn__log_sink *log, enum azfn__security_event event, const char *text,
                struct azfn__environment_names *names)
{
    if (names->count > 0) {
        const struct azfn__event_fields fields = {.variables = azfn_span_of(azfn__environment_names_text(names))};
        azfn__log_sink_say(log, event, &fields, "%s: %.*s", text, AZFN_SPAN_ARGS(fields.variables));
    }
}

static void audit_settings(const struct azfn__settings *settings, struct azfn__log_sink *log)
{
    struct azfn__environment_names secrets = {.count = 0};
    struct azfn__environment_names references = {.count = 0};
    for (size_t i = 0; i < settings->count; i++) {
        const struct azfn__setting *setting = &settings->items[i];
        if (azfn__environment_is_reference(setting->value)) {
            azfn__environment_names_add(&references, setting->name);
        } else if (azfn__environment_kind_of(setting->name, setting->value) != AZFN__ENVIRONMENT_NO_SECRET) {
            azfn__environment_names_add(&secrets, setting->name);
        }
    }
    say(log, AZFN__EVENT_SETTING_SECRETS,
        "settings that azfn.json names look like secrets, and settings are not kept secret: move them to Key Vault and to "
        "\"secrets\" of azfn.json",
        &secrets);
    say(log, AZFN__EVENT_SETTING_REFERENCES,
        "settings that azfn.json names are still references, which the platform could not resolve: they belong into "
        "\"secrets\" of azfn.json",
        &references);
}

bool azfn__environment_audit(const struct azfn__config *config, const struct azfn__settings *settings,
                             struct azfn__log_sink *log, struct azfn__config_fault *out_fault)
{
    struct azfn__environment_report report;
    azfn__environment_report_make(&report, (const char *const *)environ);
    if (report.own.count > 0 && config->refuses_secrets_in_environment) {
        azfn__config_say(out_fault, "azfn.json: /secretsInEnvironment is \"refuse\", and these variables look like "
                                    "secrets: move them to Key Vault: %s",
                         azfn__environment_names_text(&report.own));
        return false;
    }
    say(log, AZFN__EVENT_ENVIRONMENT_SECRETS,
        "these variables of the environment look like secrets, and all that the host starts can read them: move them to "
        "Key Vault and to \"secrets\" of azfn.json",
        &report.own);
    say(log, AZFN__EVENT_PLATFORM_SECRETS, "secrets that the platform puts into the environment, wiped here",
        &report.platform);
    audit_settings(settings, log);
    return true;
}
