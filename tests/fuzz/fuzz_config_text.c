/* fuzz/fuzz_config_text.c
 * The small languages in azfn.json's strings: what comes apart goes together again, and what was accepted can't lead
 * anywhere else: to another host, another path, another vault. */
#include "base/span.h"
#include "config/config_text.h"
#include "fuzz/check.h"

#include <string.h>

#define MAX_BYTES ((size_t)8 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* text with "x" in each setting's place, with a NUL behind it; and nothing is lost on the way. */
static struct azfn_span fill(struct azfn_span text, char *out)
{
    struct azfn_span rest = text;
    struct azfn_span literal;
    struct azfn_span setting;
    size_t length = 0;
    size_t total = 0;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        CHECK(azfn__span_equal(literal, azfn__span(text.data + total, literal.length)));
        memcpy(out + length, literal.data, literal.length);
        length += literal.length;
        total += literal.length;
        if (azfn_span_is_present(setting)) {
            CHECK(azfn__config_is_setting_name(setting) && text.data[total] == '%');
            out[length++] = 'x';
            total += setting.length + 2;
            CHECK(text.data[total - 1] == '%');
        } else {
            CHECK(rest.length == 0);
        }
    }
    CHECK(total == text.length);
    out[length] = '\0';
    return azfn__span(out, length);
}

static void check_part(struct azfn_span part, size_t max_bytes, char *out)
{
    struct azfn_span filled = fill(part, out);
    CHECK(azfn_span_is_present(part) && filled.length <= max_bytes * 2);
    CHECK(strspn(out, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == filled.length);
}

static void check_reference(struct azfn_span text, char *out)
{
    struct azfn__key_vault_reference reference;
    const char *expected = azfn__key_vault_reference_parse(text, &reference);
    if (expected) {
        CHECK(expected[0] != '\0');
        return;
    }
    check_part(reference.vault, 24, out);
    check_part(reference.name, 127, out);
    if (azfn_span_is_present(reference.version)) {
        check_part(reference.version, 32, out);
    }
    if (azfn_span_is_present(reference.suffix)) {
        CHECK(azfn_span_equals(reference.suffix, ".vault.azure.net") ||
              azfn_span_equals(reference.suffix, ".vault.azure.cn") ||
              azfn_span_equals(reference.suffix, ".vault.usgovcloudapi.net"));
    }
    /* the same, written in the other way, is read the same */
    struct azfn__key_vault_reference again;
    char other[1024];
    bool has_version = azfn_span_is_present(reference.version);
    int length = snprintf(other, sizeof(other), "@Microsoft.KeyVault(SecretName=%.*s;VaultName=%.*s%s%.*s)",
                          AZFN_SPAN_ARGS(reference.name), AZFN_SPAN_ARGS(reference.vault),
                          has_version ? ";SecretVersion=" : "", AZFN_SPAN_ARGS(reference.version));
    if (length > 0 && (size_t)length < sizeof(other)) {
        CHECK(!azfn__key_vault_reference_parse(azfn__span(other, (size_t)length), &again));
        CHECK(azfn__span_equal(again.vault, reference.vault) && azfn__span_equal(again.name, reference.name));
        CHECK(azfn__span_equal(again.version, reference.version));
    }
}

static void check_url(struct azfn_span text, char *out)
{
    const char *expected = azfn__config_url_check(text);
    bool is_audience = !azfn__config_audience_check(text);
    CHECK(!is_audience || (!expected && !memchr(text.data, '%', text.length)));
    if (expected) {
        return;
    }
    struct azfn_span url = fill(text, out);
    CHECK(strlen(out) == url.length && strncmp(out, "https://", 8) == 0);
    CHECK(strcspn(out, "?#\\ \t\r\n\"<>^`{|}%") == url.length);
    const char *host = out + 8;
    size_t host_length = strcspn(host, ":/");
    CHECK(host_length > 0 && host[0] != '.' && host[host_length - 1] != '.');
    CHECK(strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") >= host_length);
    const char *path = strchr(host, '/');
    size_t port_length = strcspn(host, "/") - host_length;
    CHECK(port_length == 0 || strspn(host + host_length, ":0123456789") >= port_length);
    for (const char *at = path; at; at = strchr(at + 1, '/')) {
        size_t length = strcspn(at + 1, "/");
        CHECK(!(length == 1 && at[1] == '.') && !(length == 2 && at[1] == '.' && at[2] == '.'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[MAX_BYTES + 1];
    if (size > MAX_BYTES) {
        return 0;
    }
    struct azfn_span text = azfn__span(size > 0 ? (const void *)data : "", size);
    (void)fill(text, out);
    check_reference(text, out);
    check_url(text, out);
    return 0;
}
