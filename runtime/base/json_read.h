/* base/json_read.h
 * Reading JSON where it lies, without a tree: types, members, items, exact integers.
 *
 * All of it takes spans that have passed azfn__json_scan, whole or a value out of one. With any other
 * bytes it gives wrong answers but never reads outside of the span, and always ends. */
#ifndef AZFN_BASE_JSON_READ_H
#define AZFN_BASE_JSON_READ_H

#include "base/span.h"

#include <azfn.h>

enum azfn__json_type {
    AZFN__JSON_NONE, /* an absent or empty span */
    AZFN__JSON_NULL,
    AZFN__JSON_FALSE,
    AZFN__JSON_TRUE,
    AZFN__JSON_NUMBER,
    AZFN__JSON_STRING,
    AZFN__JSON_ARRAY,
    AZFN__JSON_OBJECT,
};

/* By the first byte that is no blank. */
enum azfn__json_type azfn__json_type_of(struct azfn_span value);

/* Walks the members of an object or the items of an array. */
struct azfn__json_walk {
    const char *next; /* private */
    const char *end;  /* private */
    bool is_object;   /* private */
    struct azfn_span name;  /* raw, with quotes; absent in an array */
    struct azfn_span value; /* raw, without blanks around it */
};
/* Neither an object nor an array: a walk without steps. */
struct azfn__json_walk azfn__json_walk(struct azfn_span container);
/* False at the end, and then name and value are absent. */
bool azfn__json_walk_next(struct azfn__json_walk *walk);
/* To go on later, over the same container: the cursor of a walk is where it stands, that of a new one 0. */
struct azfn__json_walk azfn__json_walk_from(struct azfn_span container, size_t cursor);
size_t azfn__json_walk_cursor(const struct azfn__json_walk *walk, struct azfn_span container);

/* The value of the last member of that name (compared after decoding); absent when there is none. */
struct azfn_span azfn__json_member(struct azfn_span object, struct azfn_span name);

/* Exact: AZFN_ERROR_SYNTAX for anything that is not written as an integer (1.0 and 1e3 are not),
 * AZFN_ERROR_RANGE when it does not fit. -0 is 0. out_value is set only with AZFN_OK. */
AZFN_MUST_USE enum azfn_error azfn__json_int64(struct azfn_span value, int64_t *out_value);
AZFN_MUST_USE enum azfn_error azfn__json_uint64(struct azfn_span value, uint64_t *out_value);
/* The nearest double. value need not have passed azfn__json_scan. Errors: AZFN_ERROR_SYNTAX (no number), _RANGE (beyond
 * the largest), _LIMIT (longer than AZFN__JSON_DOUBLE_MAX_BYTES). */
#define AZFN__JSON_DOUBLE_MAX_BYTES 500
AZFN_MUST_USE enum azfn_error azfn__json_double(struct azfn_span value, double *out_value);
/* The number in a string, "1" or "\"1\"" in its raw form; anything else as it is. */
struct azfn_span azfn__json_unquote(struct azfn_span value);

#endif
