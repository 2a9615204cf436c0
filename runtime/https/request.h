/* https/request.h
 * One request: what the caller said, copied, and what libcurl is told about it. The functions that libcurl calls pass
 * the answer on, within its limits. */
#ifndef AZFN_HTTPS_REQUEST_H
#define AZFN_HTTPS_REQUEST_H

#include "https/engine.h"
#include "https/response_head.h"
#include "https/tls_end.h"

enum azfn__https_state {
    AZFN__HTTPS_QUEUED,
    AZFN__HTTPS_ACTIVE, /* libcurl has it */
    AZFN__HTTPS_ENDED,  /* on_done is being called */
};

struct azfn__https_request {
    struct azfn__https_engine *engine;
    struct azfn__https_request *previous;
    struct azfn__https_request *next;
    enum azfn__https_state state;
    CURL *easy; /* NULL unless active */
    char *method;
    char *url;
    struct curl_slist *header_lines;
    struct azfn__https_request_options options; /* without what is copied above */
    uint64_t deadline_ms;
    uint64_t number; /* in the order of the starts */

    struct azfn__https_response_head head;
    struct azfn__https_tls_end tls_end;
    uint64_t head_bytes; /* with those of interim answers, and trailers */
    uint64_t body_received_bytes;
    uint64_t answer_bytes; /* its Content-Length, where is_refused */
    uint64_t body_given_bytes;
    bool has_head;
    bool is_refused; /* the answer is an error, and it is known how long it is */
    bool was_sent;
    bool is_body_ended;
    bool wants_resume;
    bool is_cancelled;
    bool lingers;  /* cancelled, and kept until its name was looked up */
    bool must_end; /* with failure, as soon as libcurl can be told */
    enum azfn_error failure;    /* what a callback found; libcurl only knows that one refused */
    const char *failure_reason; /* static text */
};

/* Errors: AZFN_ERROR_INVALID_ARGUMENT, AZFN_ERROR_NO_MEMORY. */
enum azfn_error azfn__https_request_new(struct azfn__https_engine *engine,
                                        const struct azfn__https_request_options *options,
                                        struct azfn__https_request **out_request);
void azfn__https_request_destroy(struct azfn__https_request *request);

/* Tells easy, which is as new, all of it. */
CURLcode azfn__https_request_set_up(struct azfn__https_request *request, CURL *easy);
/* What on_done is told after libcurl's result. */
enum azfn_error azfn__https_request_outcome(const struct azfn__https_request *request, CURLcode result,
                                            unsigned memory_failures, const char **out_reason);

#endif
