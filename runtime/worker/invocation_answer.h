/* worker/invocation_answer.h
 * What the whole answer and the one in pieces have in common. */
#ifndef AZFN_WORKER_INVOCATION_ANSWER_H
#define AZFN_WORKER_INVOCATION_ANSWER_H

#include "worker/invocation.h"

#define AZFN__DEFAULT_CONTENT_TYPE AZFN__SPAN("text/plain; charset=utf-8")

/* NULL, and a line in the log, where there is nothing to answer any more. */
struct azfn__invocation *azfn__answerable_of(struct azfn_invocation *handle);

/* The function can't answer any more. On a thread of the pool: it has. */
bool azfn__answer_is_given(const struct azfn__invocation *invocation);

/* A status whose answer ends with its head. */
bool azfn__answer_has_no_body(int status);

/* Whether an HTTP answer can be sent as it is; a complaint sticks to the invocation. */
enum azfn_error azfn__answer_check(struct azfn__invocation *invocation, int status, struct azfn_span content_type,
                                   struct azfn_span body);

/* Checks it, takes the invocation back and sends it, or a failure. */
enum azfn_error azfn__answer_reply(struct azfn__invocation *invocation, int status, struct azfn_span type,
                                   struct azfn_span body);

/* A refused part must not go out silently changed: the whole answer becomes a failure. Returns its error. */
enum azfn_error azfn__answer_fail_refused(struct azfn__invocation *invocation);

#endif
