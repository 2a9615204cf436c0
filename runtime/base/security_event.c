#include "base/security_event.h"

#define REPEATS_EACH false
#define REPEATS_COUNTED true

static const struct azfn__security_event_info infos[AZFN__EVENT_COUNT] = {
    [AZFN__EVENT_NONE] = {NULL, AZFN_LOG_INFORMATION, AZFN__SOURCE_ANY, false, AZFN__FIELDS_OF_INVOCATION},
#define EVENT_INFO(id, name, level, source, repeats, fields, when, action)                                             \
    [AZFN__EVENT_##id] = {name, AZFN_LOG_##level, AZFN__SOURCE_##source, REPEATS_##repeats, fields},
    AZFN__SECURITY_EVENTS(EVENT_INFO)
#undef EVENT_INFO
};

const struct azfn__security_event_info *azfn__security_event_info(enum azfn__security_event event)
{
    return &infos[event];
}
