/* channel/ask_frame.h
 * The payloads of what a worker asks the broker for, secrets and requests to destinations, and of the answers. An
 * id is the worker's, and stands for one ask until its answer is whole or it is cancelled. Pure; spans of what was
 * decoded point into the payload. Appending to a buffer: false, and nothing is there, when it does not fit into a
 * frame. Decoding: false when it is malformed. */
#ifndef AZFN_CHANNEL_ASK_FRAME_H
#define AZFN_CHANNEL_ASK_FRAME_H

#include "channel/frame.h"

#include <azfn.h>

/* Bytes of a body that may be on their way before the receiver gives credit, in either direction. */
#define AZFN__ASK_WINDOW_BYTES ((size_t)64 << 10)
/* Of a piece of a body. */
#define AZFN__ASK_PIECE_BYTES ((size_t)16 << 10)
/* For body_bytes: the last piece tells. */
#define AZFN__ASK_UNKNOWN_BYTES UINT64_MAX
/* Of one worker at a time. */
#define AZFN__ASK_MAX_SECRETS 65536
#define AZFN__ASK_MAX_REQUESTS 4096

/* Below the number of asks there may be; the rest of an id tells those apart that come after each other in a place. */
static inline uint32_t azfn__ask_place_of(uint32_t id)
{
    return id & UINT16_MAX;
}

/* False: it is none. */
AZFN_MUST_USE bool azfn__ask_error_of(uint64_t number, enum azfn_error *out_error);

/* SECRET_ASK: id (4), then four texts. */
struct azfn__secret_ask {
    uint32_t id;
    struct azfn_span function;
    struct azfn_span invocation_id;
    struct azfn_span trace_parent; /* may be empty */
    struct azfn_span name;
};
AZFN_MUST_USE bool azfn__ask_append_secret(struct azfn__buffer *out, const struct azfn__secret_ask *ask);
AZFN_MUST_USE bool azfn__ask_decode_secret(struct azfn_span payload, struct azfn__secret_ask *out_ask);

/* SECRET: id (4), error (1), then two texts. */
struct azfn__secret_answer {
    uint32_t id;
    enum azfn_error error; /* AZFN_OK: version and value are there */
    struct azfn_span version;
    struct azfn_span value;
};
AZFN_MUST_USE bool azfn__ask_append_secret_answer(struct azfn__buffer *out, const struct azfn__secret_answer *answer);
AZFN_MUST_USE bool azfn__ask_decode_secret_answer(struct azfn_span payload, struct azfn__secret_answer *out_answer);

/* Pairs of texts. What was decoded has been checked: azfn__ask_next_header() finds count of them. */
struct azfn__ask_headers {
    struct azfn_span pairs;
    size_t count;
};
/* False behind the last one. */
bool azfn__ask_next_header(struct azfn__ask_headers *headers, struct azfn_span *out_name, struct azfn_span *out_value);

/* REQUEST: id (4), timeout_ms (4), body_bytes (8), six texts, count of headers (2), headers. */
struct azfn__request_ask {
    uint32_t id;
    uint32_t timeout_ms;
    uint64_t body_bytes;
    struct azfn_span function;
    struct azfn_span invocation_id;
    struct azfn_span trace_parent; /* may be empty */
    struct azfn_span destination;
    struct azfn_span method;
    struct azfn_span path;
    struct azfn__ask_headers headers;
};
/* azfn__ask_begin_request(), azfn__ask_append_header() as often as ask->headers.count says, azfn__frame_end(). */
size_t azfn__ask_begin_request(struct azfn__buffer *out, const struct azfn__request_ask *ask);
void azfn__ask_append_header(struct azfn__buffer *out, struct azfn_span name, struct azfn_span value);
AZFN_MUST_USE bool azfn__ask_decode_request(struct azfn_span payload, struct azfn__request_ask *out_ask);

/* RESPONSE: id (4), status (2), count of headers (2), headers. Made in the same way. */
struct azfn__response_head {
    uint32_t id;
    uint16_t status;
    struct azfn__ask_headers headers;
};
size_t azfn__ask_begin_response(struct azfn__buffer *out, const struct azfn__response_head *head);
AZFN_MUST_USE bool azfn__ask_decode_response(struct azfn_span payload, struct azfn__response_head *out_head);

/* REQUEST_BODY and RESPONSE_BODY: id (4), is_last (1; of requests only), bytes. */
struct azfn__ask_piece {
    uint32_t id;
    bool is_last;
    struct azfn_span bytes;
};
AZFN_MUST_USE bool azfn__ask_append_piece(struct azfn__buffer *out, enum azfn__frame_type type,
                                          const struct azfn__ask_piece *piece);
AZFN_MUST_USE bool azfn__ask_decode_piece(struct azfn_span payload, struct azfn__ask_piece *out_piece);

/* The others: id (4), and a number (4): bytes for RESPONSE_READ and REQUEST_WRITE, an enum azfn_error for RESPONSE_END,
 * 0 for REQUEST_CANCEL. */
struct azfn__ask_number {
    uint32_t id;
    uint32_t number;
};
AZFN_MUST_USE bool azfn__ask_append_number(struct azfn__buffer *out, enum azfn__frame_type type, uint32_t id,
                                           uint32_t number);
AZFN_MUST_USE bool azfn__ask_decode_number(struct azfn_span payload, struct azfn__ask_number *out_number);

#endif
