/* worker/admission.h
 * Which requests are taken: whose they are, whether there is room for one more, whether they are too large. */
#ifndef AZFN_WORKER_ADMISSION_H
#define AZFN_WORKER_ADMISSION_H

#include "worker/dispatcher.h"

/* Why a request is not taken. */
struct azfn__refusal {
    uint16_t status; /* 0: it is taken */
    enum azfn__security_event event;
    const char *reason; /* for the log */
    const char *limit;  /* Optional. Which one was reached. */
};

/* What to do with a request whose head is there. */
struct azfn__admission {
    struct azfn__refusal refusal;
    uint64_t max_body_bytes; /* where it is taken */
    bool streams_body;       /* where it is taken: run it at once, the body follows */
    uint32_t allowed;        /* for 405: methods, as in the configuration */
};

/* The head of invocation->request is there: whose is it, and may it go on? */
struct azfn__admission azfn__admission_of_head(struct azfn__dispatcher *dispatcher,
                                               struct azfn__invocation *invocation);
/* It is about to run, and others may have begun to while its body was on its way. NULL: it may. */
const struct azfn__refusal *azfn__admission_check_run(const struct azfn__dispatcher *dispatcher,
                                                      const struct azfn__invocation *invocation);
/* Its envelope was read. NULL: what it brings is not too large. */
const struct azfn__refusal *azfn__admission_check_envelope(struct azfn__invocation *invocation);

#endif
