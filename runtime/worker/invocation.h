/* worker/invocation.h
 * One event from the first byte of its request to the last byte of its answer: what came, who handles it,
 * what it answers, and all memory that goes with it. The dispatcher owns it, the function borrows it until
 * it answers. It needs no connection: whoever made it gives a responder. */
#ifndef AZFN_WORKER_INVOCATION_H
#define AZFN_WORKER_INVOCATION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "config/config.h"
#include "worker/envelope.h"
#include "worker/http_parser.h"
#include "worker/http_response.h"

#include <azfn.h>
#include <stdatomic.h>
#include <uv.h>

struct azfn__blocking_job;
struct azfn__dispatcher;
struct azfn__dispatcher_function;
struct azfn__delay;
struct azfn__decoded_value;
struct azfn__invocation;
struct azfn__request_state;
struct azfn__secret_ask_state;

/* An answer's body, or the envelope around it. */
#define AZFN__ANSWER_MAX_BYTES ((size_t)128 << 20)

enum azfn__invocation_mode {
    AZFN__MODE_FORWARDED, /* the client's request as it is */
    AZFN__MODE_ENVELOPE,  /* the host's JSON around it */
    AZFN__MODE_READINESS, /* the host's GET /: no function is called */
};

enum azfn__invocation_state {
    AZFN__INVOCATION_RECEIVING, /* its request is being read */
    AZFN__INVOCATION_RUNNING,   /* the function owns it */
    AZFN__INVOCATION_ANSWERED,  /* the answer is being sent, or was */
};

struct azfn__answer_header {
    struct azfn__answer_header *next;
    struct azfn_span name;
};

/* Whoever waits for an answer. The invocation may be a stand-in for the one that was run, which is then none of the
 * responder's business any more. After respond, end and abort, when the answer is sent or never can be, it calls
 * azfn__dispatcher_release(). */
struct azfn__responder {
    /* Sends the whole answer. response's spans live in the invocation, but for body, which is valid during the
     * call only unless it points into the invocation's out. */
    void (*respond)(struct azfn__invocation *invocation, const struct azfn__http_response *response, void *context);
    /* Optional, with all that follow: the answer in pieces. begin sends the head; write takes all of bytes, or
     * nothing with AZFN_ERROR_UNAVAILABLE, and then says azfn__invocation_tell_writable() later. AZFN_ERROR_STATE of
     * either: the caller has gone. */
    enum azfn_error (*begin)(struct azfn__invocation *invocation, const struct azfn__http_response *response,
                             void *context);
    enum azfn_error (*write)(struct azfn__invocation *invocation, struct azfn_span bytes, void *context);
    bool (*is_writable)(const struct azfn__invocation *invocation, void *context);
    void (*end)(struct azfn__invocation *invocation, void *context);
    /* Makes it plain to the caller that the answer is not whole. */
    void (*abort)(struct azfn__invocation *invocation, void *context);
    /* The function asks for the next piece of its body: azfn__invocation_deliver_body(), on a later turn. */
    void (*read)(struct azfn__invocation *invocation, void *context);
};

enum azfn__answer_state {
    AZFN__ANSWER_WHOLE,      /* no azfn_http_begin() */
    AZFN__ANSWER_COLLECTING, /* its pieces are put together, since they can't be sent as such */
    AZFN__ANSWER_STREAMING,  /* its head is out */
};

/* An answer in pieces. */
struct azfn__answer_stream {
    enum azfn__answer_state state;
    uint16_t status;
    struct azfn_span content_type;
    struct azfn__buffer collected;
    azfn_on_writable_fn *on_writable; /* NULL: the function does not wait */
    void *on_writable_data;
};

/* A body that a function reads in pieces. What has arrived and was not read lies in message.body. */
struct azfn__body_reader {
    bool is_streamed; /* it arrives while the function runs */
    bool is_complete; /* no more will arrive */
    bool is_read;     /* the function has had the last piece, or the error */
    enum azfn_error error;
    azfn_on_body_fn *on_body; /* NULL: the function has not asked */
    void *on_body_data;
};

struct azfn__header_list {
    const struct azfn__http_header *items;
    size_t count;
    bool is_made; /* items and count are valid */
};

struct azfn__invocation {
    struct azfn__dispatcher *dispatcher;
    uint16_t generation; /* of its handles */
    struct azfn__arena arena;
    struct azfn__http_message message; /* the request's bytes */
    struct azfn__http_request request; /* views of them */
    enum azfn__invocation_state state;
    enum azfn__invocation_mode mode;

    struct azfn__dispatcher_function *function; /* NULL until one is found */
    struct azfn_span id;
    struct azfn__route_match route;
    struct azfn__envelope envelope;
    struct azfn__decoded_value *decoded; /* inputs and metadata that were asked for */

    struct azfn__header_list headers;
    struct azfn__header_list query;
    struct azfn__header_list params;
    struct azfn_span body; /* the HTTP view's; absent until it was asked for */

    enum azfn_error first_error; /* of what was asked for and can't be done; sticks */
    const char *first_error_what;
    struct azfn__buffer header_lines; /* the answer's: lines when forwarded, JSON members in an envelope */
    struct azfn__answer_header *header_names; /* in an envelope, where no name may come twice */
    struct azfn__envelope_output *outputs;
    struct azfn__buffer logs; /* texts for the envelope, each behind its length (channel/payload.h) */
    size_t log_count;         /* in logs */
    uint64_t dropped_logs;    /* which logs had no room for */
    struct azfn__buffer head; /* the response's */
    struct azfn__buffer out;  /* what is sent behind it, where it has to be kept */

    const struct azfn__responder *responder; /* NULL: nobody waits for the answer any more */
    void *responder_context;
    struct azfn__answer_stream stream;
    struct azfn__body_reader body_reader;

    struct azfn__blocking_job *job; /* NULL: the loop has it. Otherwise it is a thread's, or waits for one */
    atomic_bool is_cancelled;       /* nobody waits for the answer, as far as can be seen */

    struct azfn__secret_ask_state *secrets; /* that were asked for */
    struct azfn__request_state *requests;   /* to destinations */
    struct azfn__delay *delays;
    azfn_on_cancelled_fn *on_cancelled; /* NULL: the function does not care, or was told */
    void *on_cancelled_data;
    uint64_t deadline_ms;     /* uv_now() */
    bool is_in_call;          /* a function's code is on the stack: not to be freed */
    bool is_released;         /* to be freed once it is not in a call */
    bool has_told_no_json;    /* the log was told of input that is not JSON */
    struct azfn__invocation *older; /* in the list of its function's running ones, or of free ones */
    struct azfn__invocation *newer;
};

/* What functions hold: not an address, but one with the event's number in its upper bits. An invocation's memory serves
 * many events, one after the other; a function that comes back to one that was answered, or has lost it to its
 * deadline, must not reach the next caller's. */
struct azfn_invocation *azfn__invocation_handle(const struct azfn__invocation *invocation);
/* NULL, and a line in the log, where the handle is of an event that is over, or of one that another thread has.
 * Invocations are never freed while the worker runs, so there is always something to look at. */
struct azfn__invocation *azfn__invocation_of(const struct azfn_invocation *handle);

/* The same, where the loop has it and it is not answered; otherwise NULL. */
struct azfn__invocation *azfn__invocation_running_of(const struct azfn_invocation *handle);

/* Makes an invocation usable, once. */
void azfn__invocation_init(struct azfn__invocation *invocation, struct azfn__dispatcher *dispatcher);
/* Wipes it for the next event; handles of the last one are void from here on. */
void azfn__invocation_reset(struct azfn__invocation *invocation);
/* The same, and gives all its memory back. */
void azfn__invocation_shed(struct azfn__invocation *invocation);
void azfn__invocation_clean_up(struct azfn__invocation *invocation);

/* As it came, with the client's request or with the host's envelope; absent without one. */
struct azfn_span azfn__invocation_trace_parent(const struct azfn__invocation *invocation);

/* azfn_alloc() for our own use: memory until the event is over. NULL is remembered as the first error. */
void *azfn__invocation_alloc(struct azfn__invocation *invocation, size_t size_bytes);

/* Remembers why the answer can't be what the function asked for; the first one counts. Returns error. */
enum azfn_error azfn__invocation_refuse(struct azfn__invocation *invocation, enum azfn_error error, const char *what);

/* For whoever answers in the function's stead: sends a bare status, with text/plain and the status' name. Where the
 * function's own answer has begun, that one is cut off. */
void azfn__invocation_answer_status(struct azfn__invocation *invocation, uint16_t status);
/* The same for a function whose time is over: 504, and in an envelope 500. */
void azfn__invocation_answer_timeout(struct azfn__invocation *invocation);
/* Passes a response on to whoever waits for it. The invocation may be gone afterwards. */
void azfn__invocation_send(struct azfn__invocation *invocation, const struct azfn__http_response *response);
/* The log is told that the function asked for a setting that it is not granted. On the loop. */
void azfn__invocation_report_setting(struct azfn__invocation *invocation, struct azfn_span name, uint64_t times);
/* Sends the collected logs as lines of their own, where no answer carries them. */
void azfn__invocation_flush_logs(struct azfn__invocation *invocation);
/* The log is told how many were not collected, once. */
void azfn__invocation_tell_dropped_logs(struct azfn__invocation *invocation);
/* They are out, with the answer. */
void azfn__invocation_forget_logs(struct azfn__invocation *invocation);
/* The log is told, once, that the function took text, which is input, for JSON. */
void azfn__invocation_tell_no_json(struct azfn__invocation *invocation, struct azfn_span text);
/* Whether text lies in what came: in an HTTP body, or in an input or metadata that was asked for. */
bool azfn__invocation_is_input(const struct azfn__invocation *invocation, struct azfn_span text);
/* There is room for more of the answer: calls the function, if it waits. From the loop. */
void azfn__invocation_tell_writable(struct azfn__invocation *invocation);
/* Hands the function what has arrived of its body, if it has asked. From the loop; the invocation may be over
 * afterwards. */
void azfn__invocation_deliver_body(struct azfn__invocation *invocation);
/* The caller is gone for good: whatever the function waits for ends with an error. From the loop, as above. */
void azfn__invocation_lose_caller(struct azfn__invocation *invocation);
/* Ends the delays that still run. */
void azfn__invocation_stop_delays(struct azfn__invocation *invocation);

#endif
