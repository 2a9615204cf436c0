/* broker/last_words.h
 * The event of a broker that dies of itself: by a signal that a fault in it raises, or for a system call that its
 * sandbox forbids. The signal's own end of the process stays, so that the host sees it. */
#ifndef AZFN_BROKER_LAST_WORDS_H
#define AZFN_BROKER_LAST_WORDS_H

#include "broker/log_sink.h"

#include <azfn.h>

/* log outlives the process. When the launcher was forked, which is not to speak for the broker; before there are other
 * threads, or filters. An overflow of this thread's stack is told too. Nothing with sanitizers, which have handlers of
 * their own. Errors: AZFN_ERROR_NO_MEMORY; AZFN_ERROR_SYSTEM with errno. */
AZFN_MUST_USE enum azfn_error azfn__last_words_prepare(struct azfn__log_sink *log);

#endif
