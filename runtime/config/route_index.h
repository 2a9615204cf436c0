/* config/route_index.h
 * Which routes may match a path, in their order, without asking each of them: a tree of the segments of all
 * templates, made once. It leaves out only what can't match; azfn__route_match() has the last word. Pure. */
#ifndef AZFN_CONFIG_ROUTE_INDEX_H
#define AZFN_CONFIG_ROUTE_INDEX_H

#include "base/arena.h"
#include "config/route.h"

#include <azfn.h>

struct azfn__route_index;

/* Lists of routes that are gone through side by side; beyond that many, all routes are. */
#define AZFN__ROUTE_CANDIDATE_LISTS 16

struct azfn__route_candidates {
    /* private */
    const struct azfn__route_index *index;
    uint32_t lists[AZFN__ROUTE_CANDIDATE_LISTS];
    size_t list_count;
    size_t next_of_all;
    bool is_all;
};

/* routes[i] may be NULL: never a candidate. All that was passed in must outlive the index, which lives in arena.
 * NULL without memory. */
AZFN_MUST_USE struct azfn__route_index *azfn__route_index_new(struct azfn__arena *arena,
                                                              const struct azfn__route *const *routes, size_t count);

void azfn__route_index_find(const struct azfn__route_index *index, struct azfn_span path,
                            struct azfn__route_candidates *out_candidates);
/* The next one, by its place in routes; false when there is none left. */
bool azfn__route_candidates_next(struct azfn__route_candidates *candidates, size_t *out_place);

#endif
