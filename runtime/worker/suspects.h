/* worker/suspects.h
 * Invocations that were running when a worker died. The host sends a request again whose connection was closed
 * without an answer, three more times if it has no body: one that crashes its worker would take four of them, and
 * what they have in flight. So a worker is told what the ones before it died of, and does not run that again. */
#ifndef AZFN_WORKER_SUSPECTS_H
#define AZFN_WORKER_SUSPECTS_H

#include "base/span.h"

#include <azfn.h>

#define AZFN__SUSPECTS_MAX 96
/* The host's ids are GUIDs, one for each request. Others are not remembered: a caller may use them twice. */
#define AZFN__SUSPECT_ID_BYTES AZFN__GUID_BYTES

struct azfn__suspects {
    uint32_t added; /* the oldest makes room */
    char ids[AZFN__SUSPECTS_MAX][AZFN__SUSPECT_ID_BYTES];
};

void azfn__suspects_add(struct azfn__suspects *suspects, struct azfn_span invocation_id);
bool azfn__suspects_have(const struct azfn__suspects *suspects, struct azfn_span invocation_id);

#endif
