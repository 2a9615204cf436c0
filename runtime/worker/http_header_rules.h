/* worker/http_header_rules.h
 * What the headers say about the request itself: where it ends, and whether the connection stays. llhttp has
 * its own opinion of these; here is what must hold besides it (RFC 9110, 9112), since a request that two
 * readers cut differently is how requests are smuggled. Pure. */
#ifndef AZFN_WORKER_HTTP_HEADER_RULES_H
#define AZFN_WORKER_HTTP_HEADER_RULES_H

#include "worker/http_message.h"
#include "worker/http_fault.h"

struct azfn__http_header_facts {
    bool has_content_length;
    bool is_chunked;
    bool is_keep_alive;
    bool expects_continue;
    bool names_principal; /* see struct azfn__http_request, also for the next */
    struct azfn_span trace_parent;
};

/* uri-host [ ":" port ] of RFC 9112, 3.2, by its characters. */
bool azfn__http_is_host(struct azfn_span host);

struct azfn__http_fault azfn__http_check_headers(const struct azfn__http_header *headers, size_t header_count,
                                                 uint8_t minor_version,
                                                   struct azfn__http_header_facts *out_facts);

#endif
