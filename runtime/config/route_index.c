#include "config/route_index.h"

#include "base/span.h"
#include "config/route_parts.h"

#define NONE UINT32_MAX
#define FIRST_CAPACITY ((size_t)8)

/* A place in a list, the first of which has the lowest. */
struct entry {
    uint32_t place;
    uint32_t next;
};

struct list {
    uint32_t first;
    uint32_t last;
};

/* What a path has come to after some of its segments. */
struct node {
    struct list ending; /* routes that may end here */
    struct list any;    /* routes that take whatever follows */
    uint32_t parameter; /* the node behind a segment that is not one literal */
};

/* From a node over a literal to the next one; child is NONE in a free slot. Literals with the same hash share it:
 * who matches the routes behind it tells them apart. */
struct edge {
    uint32_t hash;
    uint32_t parent;
    uint32_t child;
};

struct azfn__route_index {
    const struct azfn__route *const *routes;
    size_t count;
    struct node *nodes; /* the first is where every path begins */
    struct entry *entries;
    struct edge *edges; /* open addressing; a power of 2, never more than half full */
    size_t edge_mask;
    uint32_t node_count;
    uint32_t entry_count;
};

#define HASH_START UINT32_C(2166136261)

/* FNV-1a of text in lower case. */
static uint32_t hash_text(uint32_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ azfn__lower((unsigned char)text[i])) * UINT32_C(16777619);
    }
    return hash;
}

static uint32_t hash_segment(struct azfn_span encoded)
{
    uint32_t hash = HASH_START;
    size_t at = 0;
    if (encoded.length > 0 && !memchr(encoded.data, '%', encoded.length)) {
        return hash_text(hash, encoded.data, encoded.length);
    }
    while (at < encoded.length) {
        char decoded[4];
        size_t length = azfn__route_decode_next(encoded, &at, decoded);
        hash = hash_text(hash, decoded, length);
    }
    return hash;
}

static size_t slot_of(const struct azfn__route_index *index, uint32_t parent, uint32_t hash)
{
    return (hash ^ parent * UINT32_C(2654435761)) & index->edge_mask;
}

static uint32_t add_node(struct azfn__route_index *index)
{
    const struct list empty = {.first = NONE, .last = NONE};
    index->nodes[index->node_count] = (struct node){.ending = empty, .any = empty, .parameter = NONE};
    return index->node_count++;
}

static void append(struct azfn__route_index *index, struct list *list, size_t place)
{
    uint32_t entry = index->entry_count++;
    index->entries[entry] = (struct entry){.place = (uint32_t)place, .next = NONE};
    *(list->first == NONE ? &list->first : &index->entries[list->last].next) = entry;
    list->last = entry;
}

static struct edge *find_edge(const struct azfn__route_index *index, uint32_t parent, uint32_t hash)
{
    size_t slot = slot_of(index, parent, hash);
    while (index->edges[slot].child != NONE &&
           (index->edges[slot].parent != parent || index->edges[slot].hash != hash)) {
        slot = (slot + 1) & index->edge_mask;
    }
    return &index->edges[slot];
}

static uint32_t child_over_literal(struct azfn__route_index *index, uint32_t parent, struct azfn_span literal)
{
    uint32_t hash = hash_text(HASH_START, literal.data, literal.length);
    struct edge *edge = find_edge(index, parent, hash);
    if (edge->child == NONE) {
        *edge = (struct edge){.hash = hash, .parent = parent, .child = add_node(index)};
    }
    return edge->child;
}

static uint32_t child_over_parameter(struct azfn__route_index *index, uint32_t parent)
{
    if (index->nodes[parent].parameter == NONE) {
        uint32_t child = add_node(index);
        index->nodes[parent].parameter = child;
    }
    return index->nodes[parent].parameter;
}

/* Whether a path may stop in front of the segment. */
static bool may_end_before(const struct azfn__route *route, size_t segment)
{
    for (; segment < route->segment_count; segment++) {
        const struct azfn__route_rule *rule = azfn__route_simple_rule(route, segment);
        if (!rule || (!rule->is_catch_all && !rule->is_optional && !azfn_span_is_present(rule->default_value))) {
            return false;
        }
    }
    return true;
}

static void insert(struct azfn__route_index *index, size_t place)
{
    const struct azfn__route *route = index->routes[place];
    uint32_t node = 0;
    for (size_t i = 0; i < route->segment_count; i++) {
        const struct azfn__route_rule *rule = azfn__route_simple_rule(route, i);
        const struct azfn__route_segment *segment = &route->segments[i];
        if (rule && rule->is_catch_all) {
            append(index, &index->nodes[node].any, place);
            return;
        }
        if (may_end_before(route, i)) {
            append(index, &index->nodes[node].ending, place);
        }
        bool is_literal = !rule && segment->part_count == 1;
        node = is_literal ? child_over_literal(index, node, route->parts[segment->first_part].literal)
                          : child_over_parameter(index, node);
    }
    append(index, &index->nodes[node].ending, place);
}

struct azfn__route_index *azfn__route_index_new(struct azfn__arena *arena, const struct azfn__route *const *routes,
                                                size_t count)
{
    size_t steps = 1;
    for (size_t i = 0; i < count; i++) {
        steps += routes[i] ? routes[i]->segment_count + 1 : 0;
    }
    size_t capacity = FIRST_CAPACITY;
    while (capacity < 2 * steps) {
        capacity *= 2;
    }
    struct azfn__route_index *index = azfn__arena_alloc(arena, sizeof(*index));
    struct node *nodes = azfn__arena_alloc(arena, steps * sizeof(*nodes));
    struct entry *entries = azfn__arena_alloc(arena, steps * sizeof(*entries));
    struct edge *edges = azfn__arena_alloc(arena, capacity * sizeof(*edges));
    if (!index || !nodes || !entries || !edges) {
        return NULL;
    }
    *index = (struct azfn__route_index){.routes = routes,
                                        .count = count,
                                        .nodes = nodes,
                                        .entries = entries,
                                        .edges = edges,
                                        .edge_mask = capacity - 1};
    for (size_t i = 0; i < capacity; i++) {
        edges[i] = (struct edge){.child = NONE};
    }
    add_node(index);
    for (size_t i = 0; i < count; i++) {
        if (routes[i]) {
            insert(index, i);
        }
    }
    return index;
}

static void add_list(struct azfn__route_candidates *candidates, struct list list)
{
    if (list.first == NONE) {
        return;
    }
    if (candidates->list_count == AZFN__ROUTE_CANDIDATE_LISTS) {
        candidates->is_all = true;
        return;
    }
    candidates->lists[candidates->list_count++] = list.first;
}

void azfn__route_index_find(const struct azfn__route_index *index, struct azfn_span path,
                            struct azfn__route_candidates *out_candidates)
{
    /* breadth first: all the places that the segments so far can have led to */
    uint32_t here[AZFN__ROUTE_CANDIDATE_LISTS] = {0};
    size_t here_count = path.length > 0 && path.data[0] == '/' ? 1 : 0;
    size_t at = 1;
    struct azfn_span segment;
    out_candidates->index = index;
    out_candidates->list_count = 0;
    out_candidates->next_of_all = 0;
    out_candidates->is_all = false;
    while (here_count > 0 && azfn__route_next_segment(path, &at, &segment)) {
        uint32_t next[AZFN__ROUTE_CANDIDATE_LISTS];
        size_t next_count = 0;
        uint32_t hash = hash_segment(segment);
        for (size_t i = 0; i < here_count; i++) {
            const struct node *node = &index->nodes[here[i]];
            const uint32_t children[] = {find_edge(index, here[i], hash)->child, node->parameter};
            add_list(out_candidates, node->any);
            for (size_t k = 0; k < 2; k++) {
                if (children[k] != NONE && next_count == AZFN__ROUTE_CANDIDATE_LISTS) {
                    out_candidates->is_all = true;
                    return;
                }
                if (children[k] != NONE) {
                    next[next_count++] = children[k];
                }
            }
        }
        memcpy(here, next, next_count * sizeof(*next));
        here_count = next_count;
    }
    for (size_t i = 0; i < here_count; i++) {
        add_list(out_candidates, index->nodes[here[i]].any);
        add_list(out_candidates, index->nodes[here[i]].ending);
    }
}

static bool next_of_all(struct azfn__route_candidates *candidates, size_t *out_place)
{
    while (candidates->next_of_all < candidates->index->count) {
        size_t place = candidates->next_of_all++;
        if (candidates->index->routes[place]) {
            *out_place = place;
            return true;
        }
    }
    return false;
}

bool azfn__route_candidates_next(struct azfn__route_candidates *candidates, size_t *out_place)
{
    const struct entry *entries = candidates->index->entries;
    uint32_t *lowest = NULL;
    if (candidates->is_all) {
        return next_of_all(candidates, out_place);
    }
    for (size_t i = 0; i < candidates->list_count; i++) {
        uint32_t *list = &candidates->lists[i];
        if (*list != NONE && (!lowest || entries[*list].place < entries[*lowest].place)) {
            lowest = list;
        }
    }
    if (!lowest) {
        return false;
    }
    *out_place = entries[*lowest].place;
    *lowest = entries[*lowest].next;
    return true;
}
