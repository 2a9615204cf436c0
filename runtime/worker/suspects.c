#include "worker/suspects.h"

#include <string.h>

static bool is_guid(struct azfn_span id)
{
    if (id.length != AZFN__SUSPECT_ID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < id.length; i++) {
        char c = id.data[i];
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (is_dash ? c != '-' : !is_digit) {
            return false;
        }
    }
    return true;
}

void azfn__suspects_add(struct azfn__suspects *suspects, struct azfn_span invocation_id)
{
    if (is_guid(invocation_id) && !azfn__suspects_have(suspects, invocation_id)) {
        memcpy(suspects->ids[suspects->added % AZFN__SUSPECTS_MAX], invocation_id.data, AZFN__SUSPECT_ID_BYTES);
        suspects->added++;
    }
}

bool azfn__suspects_have(const struct azfn__suspects *suspects, struct azfn_span invocation_id)
{
    if (suspects->added == 0 || invocation_id.length != AZFN__SUSPECT_ID_BYTES) {
        return false;
    }
    size_t count = suspects->added < AZFN__SUSPECTS_MAX ? suspects->added : AZFN__SUSPECTS_MAX;
    for (size_t i = 0; i < count; i++) {
        if (memcmp(suspects->ids[i], invocation_id.data, AZFN__SUSPECT_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}
