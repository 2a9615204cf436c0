/* The JSON part of azfn.h. Whatever a function passes in is taken as unchecked. */
#include "base/json_pointer.h"
#include "base/json_scan.h"
#include "base/json_tree.h"
#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

struct azfn_span azfn_json_checked(struct azfn_span json)
{
    return azfn_span_is_present(json) && azfn__json_scan(json, NULL, NULL) == AZFN_OK ? json : azfn__absent();
}

struct azfn_span azfn_json_member(struct azfn_span json, const char *name)
{
    return name ? azfn__json_member(json, azfn_span_of(name)) : azfn__absent();
}

struct azfn_span azfn_json_at(struct azfn_span json, const char *pointer)
{
    return azfn__json_pointer_follow(json, azfn_span_of(pointer));
}

static bool next_step(struct azfn_span json, enum azfn__json_type type, size_t *cursor,
                      struct azfn__json_walk *out_walk)
{
    if (!cursor || azfn__json_type_of(json) != type) {
        return false;
    }
    *out_walk = azfn__json_walk_from(json, *cursor);
    if (!azfn__json_walk_next(out_walk)) {
        return false;
    }
    *cursor = azfn__json_walk_cursor(out_walk, json);
    return true;
}

struct azfn_span azfn_json_next_item(struct azfn_span json, size_t *cursor)
{
    struct azfn__json_walk walk;
    return next_step(json, AZFN__JSON_ARRAY, cursor, &walk) ? walk.value : azfn__absent();
}

bool azfn_json_next_member(struct azfn_span json, size_t *cursor, struct azfn_span *out_name,
                           struct azfn_span *out_value)
{
    struct azfn__json_walk walk = {0};
    bool has_next = next_step(json, AZFN__JSON_OBJECT, cursor, &walk);
    *out_name = has_next ? walk.name : azfn__absent();
    *out_value = has_next ? walk.value : azfn__absent();
    return has_next;
}

struct azfn_span azfn_json_string(struct azfn_invocation *handle, struct azfn_span json)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    return azfn__envelope_string(json, &invocation->arena);
}

struct azfn_span azfn_json_bytes(struct azfn_invocation *handle, struct azfn_span json)
{
    struct azfn_span text = azfn_json_string(handle, json);
    if (text.length == 0) {
        return text;
    }
    return azfn__envelope_base64(text, &azfn__invocation_of(handle)->arena);
}

enum azfn_error azfn_json_int64(struct azfn_span json, int64_t *out_value)
{
    return out_value ? azfn__json_int64(azfn__json_unquote(json), out_value) : AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn_json_uint64(struct azfn_span json, uint64_t *out_value)
{
    return out_value ? azfn__json_uint64(azfn__json_unquote(json), out_value) : AZFN_ERROR_INVALID_ARGUMENT;
}

enum azfn_error azfn_json_double(struct azfn_span json, double *out_value)
{
    return out_value ? azfn__json_double(azfn__json_unquote(json), out_value) : AZFN_ERROR_INVALID_ARGUMENT;
}

struct azfn_span azfn_json_quote(struct azfn_invocation *handle, struct azfn_span text)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return azfn__absent();
    }
    struct azfn__buffer quoted;
    struct azfn_span copy = {0};
    if (!azfn__span_is_utf8(text)) {
        return copy;
    }
    /* one byte becomes six at the most */
    azfn__buffer_init(&quoted, text.length < SIZE_MAX / 8 ? text.length * 6 + 2 : SIZE_MAX);
    azfn__json_append_string(&quoted, text);
    if (!quoted.has_failed) {
        copy = azfn__arena_copy(&invocation->arena, azfn__buffer_span(&quoted));
    }
    azfn__buffer_clean_up(&quoted);
    if (!azfn_span_is_present(copy)) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_json_quote");
    }
    return copy;
}

/* cJSON takes its memory from two global functions, so during a parse they have to know for whom. Threads of the
 * pool parse at the same time, so the functions are set once and for all. */
static _Thread_local struct azfn__invocation *parsing_for; /* NULL: a tree that a function makes for itself */
static uv_once_t hooks_once = UV_ONCE_INIT;

static void *allocate_node(size_t size)
{
    return parsing_for ? azfn__invocation_alloc(parsing_for, size) : malloc(size);
}

static void free_node(void *node)
{
    if (!parsing_for) { /* otherwise it dies with the invocation */
        free(node);
    }
}

static void set_hooks(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = allocate_node, .free_fn = free_node});
}

struct cJSON *azfn_json_tree(struct azfn_invocation *handle, struct azfn_span json)
{
    struct azfn__invocation *invocation = azfn__invocation_of(handle);
    if (!invocation) {
        return NULL;
    }
    if (!azfn_span_is_present(azfn_json_checked(json))) {
        if (json.length > 0 && azfn__invocation_is_input(invocation, json)) {
            azfn__invocation_tell_no_json(invocation, json);
        }
        return NULL;
    }
    if (azfn__json_has_nul(json)) {
        return NULL;
    }
    uv_once(&hooks_once, set_hooks);
    parsing_for = invocation;
    cJSON *tree = cJSON_ParseWithLengthOpts(json.data, json.length, NULL, false);
    parsing_for = NULL;
    /* without a tree it had half a surrogate pair, or there was no memory: then that is the refusal already */
    if (tree && !azfn__json_tree_keep_last(tree, &invocation->arena)) {
        azfn__invocation_refuse(invocation, AZFN_ERROR_NO_MEMORY, "azfn_json_tree");
        return NULL;
    }
    return tree;
}
