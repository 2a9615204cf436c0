/* A template in the first line, a path in the rest. */
#include "base/span.h"
#include "config/route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_match(const struct azfn__route_match *match, bool is_match, struct azfn_span path)
{
    if ((!is_match && match->param_count != 0) || match->param_count > AZFN__ROUTE_MAX_PARAMS) {
        abort();
    }
    /* every byte of every value must be there to be read; decoding never makes a slash, but a catch-all has them */
    size_t total = 0;
    for (size_t i = 0; i < match->param_count; i++) {
        struct azfn_span value = match->params[i].value;
        for (size_t k = 0; k < value.length; k++) {
            total += (unsigned char)value.data[k];
        }
    }
    if (total > 0 && path.length == 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line_end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t template_length = line_end ? (size_t)(line_end - data) : size;
    struct azfn_span template_text = azfn__span(data, template_length);
    struct azfn_span path = azfn__span_from(azfn__span(data, size), template_length + 1);
    struct azfn__arena arena;
    azfn__arena_init(&arena, (size_t)4 << 20);
    for (size_t i = 0; i < 2; i++) {
        struct azfn__route *route;
        struct azfn__route_match match;
        const char *reason = NULL;
        struct azfn_span prefix = i == 0 ? (struct azfn_span){0} : AZFN__SPAN("api");
        enum azfn_error error = azfn__route_new(&arena, prefix, template_text, &route, &reason);
        if ((error == AZFN_OK) != (route != NULL) || !reason) {
            abort();
        }
        if (error == AZFN_OK) {
            check_match(&match, azfn__route_match(route, path, &arena, &match), path);
        }
    }
    azfn__arena_clean_up(&arena);
    return 0;
}
