#ifndef PROBE_H
#define PROBE_H

#include <azfn.h>

/* Answers with everything that the HTTP view says, as JSON. */
azfn_handler_fn probe_http;
/* Logs the trigger's value and some metadata, in pieces, and succeeds. */
azfn_handler_fn probe_event;
/* Does what the header x-do says: see ask.c. */
azfn_handler_fn probe_ask;
/* Writes the outputs that the message asks for. */
azfn_handler_fn probe_outputs;
/* Writes what it sees into the output "report", and the items of a batch into "out". */
azfn_handler_fn probe_trigger;
/* "1/3", the try and the most there may be; absent without a retry policy. */
struct azfn_span probe_retry(struct azfn_invocation *invocation);

/* Makes a system call of that name: "done", the name of an errno, or no return. */
const char *probe_attempt(const char *name);

/* Bodies in pieces: see stream.c. */
azfn_handler_fn probe_stream_out;
azfn_handler_fn probe_stream_in;
azfn_handler_fn probe_stream_echo;

#endif
