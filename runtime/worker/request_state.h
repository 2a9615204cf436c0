/* worker/request_state.h
 * What functions hold as a struct azfn_request: an address that is looked up, never followed. For request_asks.c, which
 * sends it, and request_response.c, which hands out what comes. */
#ifndef AZFN_WORKER_REQUEST_STATE_H
#define AZFN_WORKER_REQUEST_STATE_H

#include "worker/asks.h"
#include "worker/request_upload.h"

struct azfn__response_header {
    struct azfn_span name;
    struct azfn_span value;
};

struct azfn__request_state {
    struct azfn__request_state *next; /* in the invocation's list */
    struct azfn__invocation *invocation;
    uint32_t id;     /* 0: the answer is whole, or given up */
    bool is_over;    /* nothing more comes from the broker */
    enum azfn_error error; /* where is_over */
    azfn_on_response_fn *on_response; /* NULL: was called */
    void *user_data;

    struct azfn__request_upload upload;
    azfn_on_writable_fn *on_writable; /* NULL: the function does not wait */
    void *on_writable_data;

    bool streams_response;
    uint16_t status; /* 0: no head yet */
    struct azfn__response_header *headers;
    size_t header_count;
    struct azfn__buffer body;  /* what has arrived and was not read */
    size_t window_bytes;       /* that may still arrive */
    size_t returned_bytes;     /* credit that is not yet told */
    bool is_read;              /* the function has had the last piece, or the error */
    azfn_on_piece_fn *on_piece; /* NULL: the function has not asked */
    void *on_piece_data;
};

/* NULL where the invocation has no such request. */
struct azfn__request_state *azfn__request_state_of(struct azfn__invocation *invocation,
                                                   const struct azfn_request *handle);
struct azfn_request *azfn__request_handle_of(const struct azfn__request_state *state);
void azfn__request_send_number(const struct azfn__request_state *state, enum azfn__frame_type type, size_t number);

/* What the broker sends. False: malformed. The function may be called, and the invocation be over afterwards. */
AZFN_MUST_USE bool azfn__request_take_head(struct azfn__request_state *state, const struct azfn__response_head *head);
AZFN_MUST_USE bool azfn__request_take_piece(struct azfn__request_state *state, struct azfn_span bytes);
/* Calls on_response, if that was not done. */
void azfn__request_respond(struct azfn__request_state *state, enum azfn_error error);
/* Hands the function what has arrived, if it has asked. */
void azfn__request_deliver(struct azfn__request_state *state);

#endif
