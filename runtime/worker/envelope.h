/* worker/envelope.h
 * The JSON in which the host wraps an event, {"Data":{...},"Metadata":{...}}, and the one that it takes as
 * an answer, {"Outputs":{...},"Logs":[...],"ReturnValue":...}. Read tolerantly, written strictly: what the
 * host would decode, re-indent or rewrite is written so that it arrives as it was meant. Pure. */
#ifndef AZFN_WORKER_ENVELOPE_H
#define AZFN_WORKER_ENVELOPE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json_scan.h"
#include "config/config.h"

#include <azfn.h>

/* Raw JSON values inside the body; absent where there is none. */
struct azfn__envelope {
    struct azfn_span data;     /* an object */
    struct azfn_span metadata; /* an object, or absent */
    struct azfn_span trigger;  /* the value of the trigger's binding */
    /* of an HTTP trigger's value */
    struct azfn_span url;
    struct azfn_span method;
    struct azfn_span query;
    struct azfn_span headers;
    struct azfn_span params;
    struct azfn_span body;
};

/* Checks the body and finds its parts. trigger_name is the binding's. The spans point into body.
 * Errors: AZFN_ERROR_SYNTAX (not JSON, or not an envelope), AZFN_ERROR_LIMIT (too deep); *out_offset is
 * where it is no JSON. */
AZFN_MUST_USE enum azfn_error azfn__envelope_read(struct azfn_span body, struct azfn_span trigger_name,
                                                  struct azfn__envelope *out_envelope, size_t *out_offset);

/* A value of Data or Metadata as text. The host writes strings, and numbers, twice: "\"abc\"", "\"1\"";
 * its documentation shows them once. So one layer of quotes comes off, and a second one where the text is
 * itself exactly one JSON string. Objects and arrays are given as they are. Decoded text lies in arena; absent
 * for null, an absent value or without memory. */
struct azfn_span azfn__envelope_text(struct azfn_span value, struct azfn__arena *arena);
/* The same value as JSON: an object, or the JSON that a string holds. Absent when it holds none. text is what
 * azfn__envelope_text() has made of value. */
struct azfn_span azfn__envelope_json(struct azfn_span value, struct azfn_span text);
/* A JSON string's text, without taking off a second layer. Absent when value is no string. */
struct azfn_span azfn__envelope_string(struct azfn_span value, struct azfn__arena *arena);
/* The bytes that base64 stands for; absent when it is not base64. */
struct azfn_span azfn__envelope_base64(struct azfn_span text, struct azfn__arena *arena);

/* Of the decoded Url: "http://host/api/x?y" is "/api/x". */
struct azfn_span azfn__envelope_path_of(struct azfn_span url);

/* Whether the host's JSON reader would take text for a date and rewrite it ("2024-01-02T03:04:05Z"
 * becomes "01/02/2024 03:04:05"): then it must not be sent as a plain JSON string. */
bool azfn__envelope_is_rewritten_date(struct azfn_span text);

/* A value given for an output binding. In a list those of one binding are behind each other. */
struct azfn__envelope_output {
    struct azfn__envelope_output *next;
    struct azfn__envelope_output *last; /* of its binding; valid in the first of them */
    const struct azfn__config_binding *binding;
    struct azfn_span value; /* text, or JSON where is_json */
    bool is_json;
};

struct azfn__envelope_http {
    uint16_t status;
    struct azfn_span content_type;   /* absent: none */
    struct azfn_span header_members; /* "Name":"value" of each header, with a comma behind each; may be empty */
    struct azfn_span body;           /* UTF-8 */
};

struct azfn__envelope_answer {
    const struct azfn__config_function *function;
    const struct azfn__envelope_output *outputs;
    const struct azfn__envelope_http *http;      /* NULL where there is none */
    struct azfn_span logs;                       /* texts, each behind its length (channel/payload.h); may be empty */
    uint64_t dropped_logs;                       /* which logs had no room for: a last one tells */
};

/* The first value of a binding, NULL where it has none. Takes a step for each binding, not for each value, and so does
 * azfn__envelope_add_output(), which puts output behind the others of its binding. */
struct azfn__envelope_output *azfn__envelope_first_output(struct azfn__envelope_output *outputs,
                                                          const struct azfn__config_binding *binding);
void azfn__envelope_add_output(struct azfn__envelope_output **outputs, struct azfn__envelope_output *output);

/* Whether value can be written so that it arrives as it was meant. earlier is the first value that the
 * binding already has, NULL where it has none.
 * Errors: AZFN_ERROR_INVALID_ARGUMENT (a date in one of several messages), AZFN_ERROR_STATE (a second value
 * for a blob, a text for an HTTP output). */
AZFN_MUST_USE enum azfn_error azfn__envelope_check_output(const struct azfn__config_binding *binding,
                                                          struct azfn_span value,
                                                          const struct azfn__envelope_output *earlier);

/* Appends the answer: an object, never empty. */
void azfn__envelope_write(const struct azfn__envelope_answer *answer, struct azfn__buffer *out);

#endif
