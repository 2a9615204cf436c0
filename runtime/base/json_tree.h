/* base/json_tree.h
 * What makes a cJSON tree say the same as its text does to everybody else here. */
#ifndef AZFN_BASE_JSON_TREE_H
#define AZFN_BASE_JSON_TREE_H

#include "base/arena.h"

#include <azfn.h>

struct cJSON;

/* Whether a string of json, which has passed azfn__json_scan, holds a NUL: a tree's strings would end there, and
 * "admin\u0000" be "admin". */
bool azfn__json_has_nul(struct azfn_span json);
/* Of several members with one name only the last one stays; look-ups in a tree give the first one. arena is for the time
 * of the call. False without memory. */
AZFN_MUST_USE bool azfn__json_tree_keep_last(struct cJSON *tree, struct azfn__arena *arena);

#endif
