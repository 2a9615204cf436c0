#include "base/trace_id.h"

#include "base/ascii.h"
#include "base/span.h"

#define TRACE_PARENT_BYTES 55
#define TRACE_AT 3
#define PARENT_AT (TRACE_AT + AZFN__TRACE_ID_BYTES + 1)
#define PARENT_BYTES 16
#define FLAGS_AT (PARENT_AT + PARENT_BYTES + 1)

/* Digits in lower case, and one that is not zero. */
static bool is_id(struct azfn_span text)
{
    bool is_all_zero = true;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (!azfn__is_digit(c) && (c < 'a' || c > 'f')) {
            return false;
        }
        is_all_zero = is_all_zero && c == '0';
    }
    return !is_all_zero;
}

struct azfn_span azfn__trace_id_of(struct azfn_span trace_parent)
{
    const char *text = trace_parent.data;
    if (trace_parent.length != TRACE_PARENT_BYTES || !azfn__span_starts_with(trace_parent, AZFN__SPAN("00-")) ||
        text[PARENT_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
        return azfn__absent();
    }
    struct azfn_span trace = azfn__span(text + TRACE_AT, AZFN__TRACE_ID_BYTES);
    const char flags[] = {'1', text[FLAGS_AT], text[FLAGS_AT + 1]}; /* which may be zeros */
    bool is_valid = is_id(trace) && is_id(azfn__span(text + PARENT_AT, PARENT_BYTES)) &&
                    is_id(azfn__span(flags, sizeof(flags)));
    return is_valid ? trace : azfn__absent();
}
