/* https/trust.h
 * Whose certificates are trusted. Read into memory once: later the process may open no file any more, and reading
 * them anew for each connection would block the loop. */
#ifndef AZFN_HTTPS_TRUST_H
#define AZFN_HTTPS_TRUST_H

#include <azfn.h>
#include <openssl/ssl.h>

/* The authorities of the system, from the first bundle that is found where distributions keep it. NULL: none. */
X509_STORE *azfn__https_trust_system(void);

/* What holds for each connection besides what libcurl's options say. store may be NULL. */
bool azfn__https_trust_apply(SSL_CTX *context, X509_STORE *store);

#endif
