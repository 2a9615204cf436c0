/* worker/http_refusal.h
 * Why a request is not taken. */
#ifndef AZFN_WORKER_HTTP_REFUSAL_H
#define AZFN_WORKER_HTTP_REFUSAL_H

#include <azfn.h>

struct azfn__http_refusal {
    uint16_t status;    /* 0: nothing to complain about */
    const char *reason; /* static text for the log */
};

#define AZFN__HTTP_ACCEPTED ((struct azfn__http_refusal){.status = 0})

static inline struct azfn__http_refusal azfn__http_refuse(uint16_t status, const char *reason)
{
    return (struct azfn__http_refusal){.status = status, .reason = reason};
}

#endif
