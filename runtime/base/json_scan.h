/* base/json_scan.h
 * The one judge of what is JSON: RFC 8259 over UTF-8, exactly, in one pass, without recursion and without
 * allocation. It hands out the raw spans of the members near the top; everything else is looked up in
 * a text that has passed. Pure: no I/O, no state. */
#ifndef AZFN_BASE_JSON_SCAN_H
#define AZFN_BASE_JSON_SCAN_H

#include "base/json_read.h"
#include "base/json_string.h"

#include <azfn.h>

/* Deeper texts are refused with AZFN_ERROR_LIMIT. The host's own reader stops at 64. */
#define AZFN__JSON_MAX_DEPTH 128
/* How many member names a path holds. */
#define AZFN__JSON_PATH_MAX 4

/* Called after the value of a member was checked, innermost first. names[0..depth-1] are the raw names on
 * the way down, with their quotes; value is the raw value without blanks around it. Members inside arrays
 * are not reported. What is reported is well-formed even if the text turns out not to be: use it only when
 * the scan has given AZFN_OK. Return false to stop: the scan then gives AZFN_ERROR_STATE. */
typedef bool azfn__on_json_member_fn(const struct azfn_span *names, size_t depth, struct azfn_span value,
                                     void *user_data);

struct azfn__json_scan_options {
    size_t member_depth;                /* Optional; 0 to AZFN__JSON_PATH_MAX: how deep on_member is called. */
    azfn__on_json_member_fn *on_member; /* Required when member_depth is not 0. */
    void *user_data;
};

/* Checks that text is exactly one JSON text, with blanks around it allowed and no byte order mark.
 * options may be NULL. out_offset (may be NULL) is how far it came: where it went wrong, or text's length.
 * Errors: AZFN_ERROR_SYNTAX, AZFN_ERROR_LIMIT (too deep), AZFN_ERROR_STATE (stopped by on_member). */
AZFN_MUST_USE enum azfn_error azfn__json_scan(struct azfn_span text, const struct azfn__json_scan_options *options,
                                              size_t *out_offset);

#endif
