/* config/route_parts.h
 * What a route template is compiled into. For route_template.c, which makes it, and route.c, which
 * matches with it; nobody else. */
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

#endif
