/* "identity" of azfn.json: which one of the app's managed identities. */
#include "config/config_policy.h"

#include "base/ascii.h"
#include "base/span.h"

#define MAX_RESOURCE_ID_BYTES 1024
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *check_guid(struct azfn_span text)
{
    static const char EXPECTED[] = "a GUID";
    struct azfn_span rest = text;
    struct azfn_span literal;
    struct azfn_span setting;
    bool has_setting = false;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        has_setting = has_setting || azfn_span_is_present(setting);
        for (size_t i = 0; i < literal.length; i++) {
            if (!azfn__is_hex(literal.data[i]) && literal.data[i] != '-') {
                return EXPECTED;
            }
        }
    }
    return has_setting || azfn__span_is_guid(text) ? NULL : EXPECTED;
}

/* "/subscriptions/.../userAssignedIdentities/my-identity"; the parts between slashes have letters, digits and what
 * names of resource groups may have. */
static const char *check_resource_id(struct azfn_span text)
{
    static const char EXPECTED[] = "a resource's id, /subscriptions/...";
    struct azfn_span rest = text;
    struct azfn_span literal;
    struct azfn_span setting;
    bool is_start = true;
    while (azfn__config_text_next(&rest, &literal, &setting)) {
        if (is_start && literal.length > 0 && !azfn__span_starts_with(literal, AZFN__SPAN("/subscriptions/"))) {
            return EXPECTED;
        }
        is_start = false;
        for (size_t i = 0; i < literal.length; i++) {
            char c = literal.data[i];
            if (!azfn__is_letter(c) && !azfn__is_digit(c) && !memchr("/-_.()", c, 6)) {
                return EXPECTED;
            }
        }
    }
    return text.length > 0 && text.length <= MAX_RESOURCE_ID_BYTES ? NULL : EXPECTED;
}

enum azfn_error azfn__config_read_identity(struct azfn__config *config, struct azfn__config_reader *reader,
                                           const struct azfn__config_node *root)
{
    static const struct azfn_span KNOWN[] = {{"clientId", 8}, {"resourceId", 10}, {"principalId", 11}};
    struct azfn_span *const ids[] = {&config->identity.client_id, &config->identity.resource_id,
                                     &config->identity.principal_id};
    struct azfn__config_node identity;
    size_t count = 0;
    enum azfn_error error = azfn__config_member(reader, root, "identity", &identity);
    if (error != AZFN_OK || !azfn_span_is_present(identity.place)) {
        return error;
    }
    error = azfn__config_check_keys(reader, &identity, KNOWN, COUNT_OF(KNOWN));
    if (error == AZFN_OK) {
        error = azfn__config_object(reader, &identity, SIZE_MAX, &count);
    }
    if (error == AZFN_OK && count != 1) {
        return azfn__config_refuse(reader, &identity,
                                   "expected one of clientId, resourceId, principalId, found %zu of them", count);
    }
    for (size_t i = 0; error == AZFN_OK && i < COUNT_OF(KNOWN); i++) {
        struct azfn__config_node node;
        error = azfn__config_member(reader, &identity, KNOWN[i].data, &node);
        if (error == AZFN_OK && azfn_span_is_present(node.place)) {
            error = azfn__config_read_checked(reader, &identity, KNOWN[i].data, i == 1 ? "a resource's id" : "a GUID",
                                              i == 1 ? check_resource_id : check_guid, ids[i]);
        }
    }
    return error;
}
