/* worker/http_fault.h
 * Why the bytes of a request are not taken. */
#ifndef AZFN_WORKER_HTTP_FAULT_H
#define AZFN_WORKER_HTTP_FAULT_H

#include <azfn.h>

/* Which one a request is beyond, where it is no more than too large. */
enum azfn__http_limit {
    AZFN__HTTP_NO_LIMIT,
    AZFN__HTTP_LIMIT_URL_BYTES,
    AZFN__HTTP_LIMIT_HEADER_BYTES,
    AZFN__HTTP_LIMIT_HEADER_COUNT,
    AZFN__HTTP_LIMIT_CHUNK_EXTENSION_BYTES,
    AZFN__HTTP_LIMIT_TRAILER_BYTES,
    AZFN__HTTP_LIMIT_BODY_BYTES,
    AZFN__HTTP_LIMIT_BODY_BYTES_IN_FLIGHT, /* of all requests together */
    AZFN__HTTP_LIMIT_MEMORY,
};

struct azfn__http_fault {
    uint16_t status; /* 0: nothing to complain about */
    enum azfn__http_limit limit;
    const char *reason; /* static text for the log */
};

#define AZFN__HTTP_NO_FAULT ((struct azfn__http_fault){.status = 0})

static inline struct azfn__http_fault azfn__http_fault_of(uint16_t status, const char *reason)
{
    return (struct azfn__http_fault){.status = status, .reason = reason};
}

static inline struct azfn__http_fault azfn__http_beyond(enum azfn__http_limit limit, uint16_t status,
                                                        const char *reason)
{
    return (struct azfn__http_fault){.status = status, .limit = limit, .reason = reason};
}

#endif
