/* base/json_pointer.h
 * A place in a JSON text by its path, RFC 6901: "/items/0/id". No tree, no allocation. */
#ifndef AZFN_BASE_JSON_POINTER_H
#define AZFN_BASE_JSON_POINTER_H

#include <azfn.h>

/* Takes the first token off a pointer: "/a~1b/0" gives "a~1b" and leaves "/0". False when there is none: the pointer is
 * empty, does not begin with "/", or has a "~" in that token that is neither "~0" nor "~1". */
bool azfn__json_pointer_next(struct azfn_span *pointer, struct azfn_span *out_token);
/* The member of that name or the item of that index; absent when container has none, or is none. */
struct azfn_span azfn__json_pointer_step(struct azfn_span container, struct azfn_span token);
/* Where the pointer leads to; json itself for the empty one. Absent when there is no such value. json must have passed
 * azfn__json_scan, see base/json_read.h. */
struct azfn_span azfn__json_pointer_follow(struct azfn_span json, struct azfn_span pointer);

#endif
