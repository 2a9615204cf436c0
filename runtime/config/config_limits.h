/* config/config_limits.h
 * What the worker takes at most, of all functions together: "limits" of azfn.json. Pure. */
#ifndef AZFN_CONFIG_CONFIG_LIMITS_H
#define AZFN_CONFIG_CONFIG_LIMITS_H

#include <azfn.h>

/* Beyond each: a status (the event tells why), or the connection is closed. */
struct azfn__config_limits {
    uint64_t url_bytes;             /* the request target; 414 */
    uint64_t header_bytes;          /* from the request line to the empty line; 431 */
    uint64_t header_count;          /* 431 */
    uint64_t chunk_extension_bytes; /* of one request, with their semicolons; 400 */
    uint64_t trailer_bytes;         /* of one request, with their line ends; 431 */
    uint64_t connections;           /* the one that was idle longest is closed, or else the new one */
    uint64_t pipelined_bytes;       /* of requests ahead of their turn on one connection, which is read no further */
    uint64_t requests_in_flight;    /* functions that have not answered; 429 */
    uint64_t body_bytes_in_flight;  /* of request bodies, of all requests, as received; 503 */
    uint64_t header_timeout_ms;     /* from a request's first byte to the end of its head; 408 */
    uint64_t body_timeout_ms;       /* in each such period min_bytes_per_second must arrive of a body; 408 */
    uint64_t send_timeout_ms;       /* in each such period a client must take as much of its answer */
    uint64_t min_bytes_per_second;
    uint64_t idle_timeout_ms;       /* between two requests */
    uint64_t blocking_threads;      /* that run functions registered as blocking */
    uint64_t blocking_queue;        /* invocations that wait for one of them; 429 */
    uint64_t secret_refresh_ms;     /* after which a secret is fetched again, in the background */
    uint64_t secret_stale_ms;       /* how long one is still used when it can't be fetched again */
    uint64_t destination_requests;  /* to destinations, in flight; AZFN_ERROR_LIMIT */
};

extern const struct azfn__config_limits azfn__config_default_limits;

#endif
