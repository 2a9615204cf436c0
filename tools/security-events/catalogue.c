#include "catalogue.h"

#include "base/security_event.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define TYPE_TEXT "text"
#define TYPE_LIST "list"
#define TYPE_URL "url"
#define TYPE_NUMBER "number"
#define TYPE_TIME "time"

const struct catalogue_field catalogue_common_fields[] = {
    {"datetime", TYPE_TIME, "when, in UTC, by the clock of the machine"},
    {"level", TYPE_TEXT, "INFO, WARN or ERROR"},
    {"appid", TYPE_TEXT, "the function app's name; azfn where it has none"},
    {"sequence", TYPE_NUMBER, "counts the lines of this handler since it started"},
    {"origin", TYPE_TEXT, "whose word it is: broker, worker, worker-stdout or worker-stderr"},
    {"event", TYPE_TEXT, "the name of the security event; a line without it is none"},
    {"description", TYPE_TEXT, "what happened, in words; the last one of the line"},
};
const size_t catalogue_common_field_count = COUNT_OF(catalogue_common_fields);

const struct catalogue_field catalogue_fields[] = {
#define FIELD(id, name, type, meaning) {#name, TYPE_##type, meaning},
    AZFN__EVENT_FIELDS(FIELD)
#undef FIELD
};
const size_t catalogue_field_count = COUNT_OF(catalogue_fields);

#define LEVEL_INFORMATION "INFO"
#define LEVEL_WARNING "WARN"
#define LEVEL_ERROR "ERROR"
#define SOURCE_BROKER "broker"
#define SOURCE_WORKER "worker"
#define SOURCE_FUNCTION "function"
#define SOURCE_ANY "any"
#define REPEATS_EACH false
#define REPEATS_COUNTED true

const struct catalogue_event catalogue_events[] = {
#define EVENT(id, name, level, source, repeats, fields, when, action)                                                  \
    {name, LEVEL_##level, SOURCE_##source, REPEATS_##repeats, fields, when, action},
    AZFN__SECURITY_EVENTS(EVENT)
#undef EVENT
};
const size_t catalogue_event_count = COUNT_OF(catalogue_events);
