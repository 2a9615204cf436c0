/* broker/listener.h
 * The socket that the host connects to: bound by the broker, listened on by the worker once it can serve.
 * Bound but not listening it refuses connections, which is what the host's readiness check waits on. */
#ifndef AZFN_BROKER_LISTENER_H
#define AZFN_BROKER_LISTENER_H

#include <azfn.h>

/* Binds 127.0.0.1:port. The host starts a new handler on the port of one it has just killed: while the
 * old worker is still ending, the port is taken, so it is tried again for up to patience_ms. port 0: any.
 * *out_port is the one that was bound. -1 and errno. */
int azfn__listener_bind(uint16_t port, uint32_t patience_ms, uint16_t *out_port);

#endif
