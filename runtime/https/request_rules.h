/* https/request_rules.h
 * What a request may look like before libcurl sees it. */
#ifndef AZFN_HTTPS_REQUEST_RULES_H
#define AZFN_HTTPS_REQUEST_RULES_H

#include "https/https_module.h"

/* Whether it is https://, or http:// with an address of this machine or its link where trust says so. No user in it. */
bool azfn__https_is_url_allowed(const char *url, enum azfn__https_trust trust);
/* Without regard to case. */
bool azfn__https_is_name(struct azfn_span name, const char *other);
bool azfn__https_is_header_valid(const struct azfn__https_header *header);
/* How the body is sent is for the module to say. */
bool azfn__https_is_framing_header(struct azfn_span name);
/* RFC 9110, 9.2.2: it may be sent again where nobody knows what became of it. */
bool azfn__https_is_idempotent(const char *method);

#endif
