/* config/route_parts.h
 * What a route template is compiled into, and how a path is taken apart. For route_template.c, which makes it,
 * route.c, which matches with it, and route_index.c; nobody else. */
#ifndef AZFN_CONFIG_ROUTE_PARTS_H
#define AZFN_CONFIG_ROUTE_PARTS_H

#include "config/route.h"
#include "config/route_constraint.h"

struct azfn__route_rule {
    struct azfn_span name;
    struct azfn_span default_value; /* absent where there is none; {x=} has an empty one */
    bool is_optional;
    bool is_catch_all;
    uint8_t first_constraint;
    uint8_t constraint_count;
};

struct azfn__route_part {
    struct azfn_span literal; /* absent: a parameter */
    uint8_t rule;             /* a parameter's index in rules */
};

struct azfn__route_segment {
    uint8_t first_part;
    uint8_t part_count;
};

struct azfn__route {
    const struct azfn__route_segment *segments;
    size_t segment_count;
    const struct azfn__route_part *parts;
    const struct azfn__route_rule *rules; /* one for each parameter, in the order of the template */
    size_t rule_count;
    const struct azfn__route_constraint *constraints;
};

/* The rule of a segment that is one parameter; NULL for a literal or a mix. */
static inline const struct azfn__route_rule *azfn__route_simple_rule(const struct azfn__route *route, size_t segment)
{
    const struct azfn__route_part *part = &route->parts[route->segments[segment].first_part];
    bool is_simple = route->segments[segment].part_count == 1 && !azfn_span_is_present(part->literal);
    return is_simple ? &route->rules[part->rule] : NULL;
}

/* The next segment of a path; false at its end. One slash at the end is ignored. */
static inline bool azfn__route_next_segment(struct azfn_span path, size_t *at, struct azfn_span *out_segment)
{
    size_t start = *at;
    size_t end = start;
    if (start >= path.length) {
        return false;
    }
    while (end < path.length && path.data[end] != '/') {
        end++;
    }
    *out_segment = (struct azfn_span){.data = path.data + start, .length = end - start};
    *at = end + 1;
    return true;
}
/* Decodes what stands at *at, one character, as the host's server does: an escape that is no UTF-8 stays
 * as it is, and so do %2F and %00. Returns how many bytes it put into out. */
size_t azfn__route_decode_next(struct azfn_span text, size_t *at, char out[static 4]);

#endif
