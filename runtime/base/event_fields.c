#include "base/event_fields.h"

#include "base/ascii.h"
#include "base/span.h"

#include <stddef.h>

static const struct {
    struct azfn__event_field_info info;
    size_t offset;
} fields_info[AZFN__EVENT_FIELD_COUNT] = {
#define FIELD_INFO(id, name, type, meaning)                                                                            \
    [AZFN__FIELD_##id] = {{#name, AZFN__FIELD_TYPE_##type}, offsetof(struct azfn__event_fields, name)},
    AZFN__EVENT_FIELDS(FIELD_INFO)
#undef FIELD_INFO
};

_Static_assert(AZFN__EVENT_FIELD_COUNT <= 64, "a set of fields has 64 bits");

const struct azfn__event_field_info *azfn__event_field_info(enum azfn__event_field field)
{
    return &fields_info[field].info;
}

struct azfn_span *azfn__event_field_text(struct azfn__event_fields *fields, enum azfn__event_field field)
{
    return (struct azfn_span *)(void *)((char *)fields + fields_info[field].offset);
}

struct azfn__event_number *azfn__event_field_number(struct azfn__event_fields *fields, enum azfn__event_field field)
{
    return (struct azfn__event_number *)(void *)((char *)fields + fields_info[field].offset);
}

bool azfn__event_field_is_number(enum azfn__event_field field)
{
    enum azfn__event_field_type type = fields_info[field].info.type;
    return type == AZFN__FIELD_TYPE_NUMBER || type == AZFN__FIELD_TYPE_TIME;
}

static bool is_there(struct azfn__event_fields *fields, enum azfn__event_field field)
{
    if (azfn__event_field_is_number(field)) {
        return azfn__event_field_number(fields, field)->is_present;
    }
    struct azfn_span text = *azfn__event_field_text(fields, field);
    return fields_info[field].info.type == AZFN__FIELD_TYPE_LIST ? azfn_span_is_present(text) : text.length > 0;
}

uint64_t azfn__event_fields_set(const struct azfn__event_fields *fields)
{
    struct azfn__event_fields copy = *fields;
    uint64_t set = 0;
    for (unsigned i = 0; i < AZFN__EVENT_FIELD_COUNT; i++) {
        set |= (uint64_t)is_there(&copy, (enum azfn__event_field)i) << i;
    }
    return set;
}

static unsigned hex_value(char c)
{
    return azfn__is_digit(c) ? (unsigned)c - '0' : (azfn__lower((unsigned char)c) - 'a' + 10U);
}

/* The byte at *index, or the one that is percent-encoded there; *index is behind it then. */
static unsigned take_decoded(struct azfn_span text, size_t *index)
{
    const char *p = text.data + *index;
    if (text.length - *index >= 3 && p[0] == '%' && azfn__is_hex(p[1]) && azfn__is_hex(p[2])) {
        *index += 3;
        return hex_value(p[1]) << 4 | hex_value(p[2]);
    }
    *index += 1;
    return (unsigned char)p[0];
}

struct azfn_span azfn__event_url_shown(struct azfn_span url)
{
    size_t start = 0;
    bool may_be_user = true; /* what stands before an "@" */
    /* an authority is behind two slashes at the start, and behind one that follows a colon; backslashes count, encoded
     * ones too, and blanks between them do not */
    bool may_start_authority = true;
    unsigned slashes = 0;
    for (size_t i = 0; i < url.length;) {
        size_t at = i;
        unsigned c = take_decoded(url, &i);
        if (c == '?' || c == '#') {
            url.length = at;
        } else if (c == '@' && may_be_user) {
            start = i;
            may_start_authority = true;
            slashes = 0;
        } else if (c == '/' || c == '\\') {
            slashes++;
            may_be_user = (may_start_authority && slashes >= 2) || (may_be_user && url.data[at] != '/');
        } else if (c > ' ') {
            may_start_authority = c == ':';
            slashes = c == ':' ? 1 : 0;
        }
    }
    return azfn__span_from(url, start);
}
