#include "base/span.h"
#include "broker/destination_parts.h"

#include <sodium.h>
#include <stdlib.h>

#define BEARER AZFN__SPAN("Bearer ")
#define MAX_VALUE_BYTES ((size_t)16 << 10)
/* What is shorter stands in many an answer by chance. */
#define MIN_NEEDLE_BYTES ((size_t)8)

static struct azfn_span scheme_of(const struct azfn__destination_target *target)
{
    return azfn_span_is_present(target->config->managed_identity) ? BEARER : azfn__span("", 0);
}

static bool is_header_value(struct azfn_span value)
{
    for (size_t i = 0; i < value.length; i++) {
        char c = value.data[i];
        if ((c < ' ' && c != '\t') || c > '~') {
            return false;
        }
    }
    return value.length > 0 && value.length <= MAX_VALUE_BYTES;
}

/* Without its scheme, as whoever reads it may send it back: of "Basic abc" it is "abc". */
static struct azfn_span needle_of(struct azfn_span value)
{
    struct azfn_span trimmed = azfn__span_trim(value);
    const char *blank = trimmed.length > 0 ? memrchr(trimmed.data, ' ', trimmed.length) : NULL;
    struct azfn_span last = blank ? azfn__span_from(trimmed, (size_t)(blank - trimmed.data) + 1) : trimmed;
    struct azfn_span needle = last.length >= MIN_NEEDLE_BYTES ? last : trimmed;
    return needle.length >= MIN_NEEDLE_BYTES ? needle : azfn__span("", 0);
}

bool azfn__destination_credential_is(const struct azfn__destination_credential *credential,
                                     const struct azfn__destination_target *target, struct azfn_span value)
{
    size_t scheme_bytes = scheme_of(target).length;
    struct azfn_span own = azfn__span_from(azfn__secret_reveal(credential->value), scheme_bytes);
    return own.length == value.length && sodium_memcmp(own.data, value.data, value.length) == 0;
}

enum azfn_error azfn__destination_credential_acquire(struct azfn__destination_request *request, struct azfn_span value)
{
    struct azfn__destination_target *target = request->target;
    request->credential = NULL;
    if (target->credential && azfn__destination_credential_is(target->credential, target, value)) {
        target->credential->users++;
        request->credential = target->credential;
        return AZFN_OK;
    }
    if (!is_header_value(value)) {
        azfn__destination_request_tell(
            request, AZFN__EVENT_CREDENTIAL_UNUSABLE,
            "it is empty, too long, or has line breaks or other characters that no header may have");
        return AZFN_ERROR_FORBIDDEN;
    }
    struct azfn_span scheme = scheme_of(target);
    struct azfn__destination_credential *credential = calloc(1, sizeof(*credential));
    if (!credential) {
        return AZFN_ERROR_NO_MEMORY;
    }
    credential->value = azfn__secret_new_empty(request->owner->options.slab, scheme.length + value.length);
    if (!credential->value) {
        free(credential);
        azfn__destination_request_tell(request, AZFN__EVENT_CREDENTIAL_UNUSABLE, "no locked memory is left for it");
        return AZFN_ERROR_LIMIT;
    }
    char *bytes = azfn__secret_bytes(credential->value);
    memcpy(bytes, scheme.data, scheme.length);
    memcpy(bytes + scheme.length, value.data, value.length);
    azfn__secret_set_length(credential->value, scheme.length + value.length);
    credential->needle = needle_of(azfn__secret_reveal(credential->value));
    if (credential->needle.length == 0) {
        azfn__destination_request_tell(request, AZFN__EVENT_DESTINATION_UNWATCHED,
                                       "its credential has fewer than 8 characters");
    }
    credential->users = 1;
    target->credential = credential;
    request->credential = credential;
    return AZFN_OK;
}

void azfn__destination_credential_release(struct azfn__destination_target *target,
                                          struct azfn__destination_credential *credential)
{
    if (!credential || --credential->users > 0) {
        return;
    }
    if (target->credential == credential) {
        target->credential = NULL;
    }
    azfn__secret_release(credential->value);
    free(credential);
}
