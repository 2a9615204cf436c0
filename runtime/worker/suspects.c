#include "worker/suspects.h"

#include "base/span.h"

#include <string.h>

void azfn__suspects_add(struct azfn__suspects *suspects, struct azfn_span invocation_id)
{
    if (azfn__span_is_guid(invocation_id) && !azfn__suspects_have(suspects, invocation_id)) {
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
