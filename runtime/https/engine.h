/* https/engine.h
 * All requests in flight on one libcurl multi handle. A request waits in a queue, is handed to libcurl, and ends; all
 * changes to what libcurl holds are made outside its callbacks, since it allows none within. */
#ifndef AZFN_HTTPS_ENGINE_H
#define AZFN_HTTPS_ENGINE_H

#include "https/https_module.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

struct azfn__https_list {
    struct azfn__https_request *first;
    struct azfn__https_request *last;
};

#define AZFN__HTTPS_SPARE_COUNT 16

struct azfn__https_engine {
    struct azfn__https_io io;
    CURLM *multi;
    X509_STORE *system_store; /* NULL: this system has no bundle */
    char *development_ca;     /* NULL: none */
    size_t development_ca_bytes;
    size_t max_active;

    struct azfn__https_list queued;
    struct azfn__https_list queued_first;
    struct azfn__https_list active;
    size_t active_count;
    CURL *spare[AZFN__HTTPS_SPARE_COUNT]; /* reset, to be used again */
    size_t spare_count;

    uint64_t libcurl_due_ms;  /* UINT64_MAX: not at all */
    uint64_t deadline_due_ms; /* not later than the earliest deadline of a request */
    uint64_t last_number;
    bool wants_resume; /* of some request; the same for the next */
    bool wants_sweep;
    bool wants_turn;          /* something waits for the next on_timer */
    bool is_in_turn;
    bool is_in_libcurl;
};

enum azfn_error azfn__https_engine_new(const struct azfn__https_engine_options *options,
                                       struct azfn__https_engine **out_engine, const char **out_reason);
void azfn__https_engine_destroy(struct azfn__https_engine *engine);
void azfn__https_engine_on_socket(struct azfn__https_engine *engine, int fd, bool is_readable, bool is_writable);
void azfn__https_engine_on_timer(struct azfn__https_engine *engine);
enum azfn_error azfn__https_engine_start(struct azfn__https_engine *engine,
                                         const struct azfn__https_request_options *options,
                                         struct azfn__https_request **out_request);
void azfn__https_engine_resume(struct azfn__https_request *request);
void azfn__https_engine_cancel(struct azfn__https_request *request);

#endif
