/* https/tls_end.h
 * Whether the server has said that its connection ends (close_notify). Where the end of the connection is the end of
 * the answer, anybody on the way could cut it off otherwise; libcurl 7.88 takes both for the same. */
#ifndef AZFN_HTTPS_TLS_END_H
#define AZFN_HTTPS_TLS_END_H

#include <azfn.h>
#include <curl/curl.h>
#include <openssl/ssl.h>

struct azfn__https_tls_end {
    SSL *ssl; /* NULL: not watched, or gone; libcurl's */
    bool is_watched;
    bool is_announced;
};

/* From within a callback of libcurl's. False: it can't be found out. end must not move until it is cleared. */
bool azfn__https_tls_end_watch(struct azfn__https_tls_end *end, CURL *easy);
void azfn__https_tls_end_clear(struct azfn__https_tls_end *end);

#endif
