/* config/config_text.h
 * The small languages inside of azfn.json's strings: %NAME% for a setting, references to Key Vault, URLs.
 * For the configuration, which checks them, and for the broker, which uses what was checked. Pure. */
#ifndef AZFN_CONFIG_CONFIG_TEXT_H
#define AZFN_CONFIG_CONFIG_TEXT_H

#include <azfn.h>

/* Takes the next piece off *rest, from left to right: literal text, then a %NAME% (absent at the end).
 * False when nothing is left. A % that begins no %NAME% is literal. */
bool azfn__config_text_next(struct azfn_span *rest, struct azfn_span *out_literal, struct azfn_span *out_setting);

/* A letter or _, then letters, digits, _ : . and -. */
bool azfn__config_is_setting_name(struct azfn_span name);

/* All but version are present, suffix only in a SecretUri; each part but suffix may hold %NAME%. */
struct azfn__key_vault_reference {
    struct azfn_span vault;   /* "my-vault" */
    struct azfn_span suffix;  /* ".vault.azure.net" */
    struct azfn_span name;
    struct azfn_span version; /* absent: the newest */
};

/* Reads "@Microsoft.KeyVault(...)". NULL, or static text that says what was expected. Check once more what
 * comes out after %NAME% was replaced: azfn__config_is_vault_part(). */
const char *azfn__key_vault_reference_parse(struct azfn_span text, struct azfn__key_vault_reference *out_reference);

/* 1 to max_bytes letters, digits and dashes; the same for vaults (24), names (127) and versions (32). */
bool azfn__config_is_vault_part(struct azfn_span text, size_t max_bytes);

/* A destination's URL: https, no user, query or fragment. NULL, or static text that says what was expected. */
const char *azfn__config_url_check(struct azfn_span url);
/* What a token is asked for: the same without %NAME%. */
const char *azfn__config_audience_check(struct azfn_span audience);

#endif
