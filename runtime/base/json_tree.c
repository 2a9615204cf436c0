#include "base/json_tree.h"

#include "base/json_scan.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

bool azfn__json_has_nul(struct azfn_span json)
{
    static const char nul[] = "\\u0000";
    const char *end = json.data + json.length;
    const char *p = json.data;
    while ((p = memchr(p, '\\', (size_t)(end - p)))) {
        if (end - p >= 6 && memcmp(p, nul, 6) == 0) {
            return true;
        }
        p += 2;
    }
    return false;
}

struct member {
    cJSON *item;
    size_t position;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a;
    const struct member *right = b;
    int order = strcmp(left->item->string, right->item->string);
    return order != 0 ? order : left->position < right->position ? -1 : 1;
}

static bool keep_last_of_object(cJSON *object, struct azfn__arena *arena)
{
    size_t count = 0;
    for (const cJSON *item = object->child; item; item = item->next) {
        count++;
    }
    if (count < 2) {
        return true;
    }
    struct member *members = azfn__arena_alloc(arena, count * sizeof(*members));
    if (!members) {
        return false;
    }
    size_t position = 0;
    for (cJSON *item = object->child; item; item = item->next) {
        members[position] = (struct member){.item = item, .position = position};
        position++;
    }
    qsort(members, count, sizeof(*members), compare_members);
    for (size_t i = 0; i + 1 < count; i++) {
        if (strcmp(members[i].item->string, members[i + 1].item->string) == 0) {
            cJSON_DetachItemViaPointer(object, members[i].item);
        }
    }
    return true;
}

bool azfn__json_tree_keep_last(cJSON *tree, struct azfn__arena *arena)
{
    cJSON *parents[AZFN__JSON_MAX_DEPTH];
    size_t depth = 0;
    cJSON *node = tree;
    while (node) {
        if (cJSON_IsObject(node) && !keep_last_of_object(node, arena)) {
            return false;
        }
        if (node->child && depth < AZFN__JSON_MAX_DEPTH) {
            parents[depth++] = node;
            node = node->child;
            continue;
        }
        while (!node->next && depth > 0) {
            node = parents[--depth];
        }
        node = node->next;
    }
    return true;
}
