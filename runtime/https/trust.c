#include "https/trust.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static const char *const bundles[] = {
#ifdef AZFN__HTTPS_TEST_BUNDLE
    AZFN__HTTPS_TEST_BUNDLE,
#else
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* Azure Linux, Red Hat, Fedora */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* the same, newer */
    "/var/lib/ca-certificates/ca-bundle.pem",            /* SUSE */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE, older */
    "/etc/ssl/cert.pem",                                 /* Alpine */
#endif
};

/* One that can't be read is left out, as OpenSSL does itself. */
static size_t add_certificates(X509_STORE *store, BIO *bio)
{
    size_t count = 0;
    for (;;) {
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (certificate) {
            count += X509_STORE_add_cert(store, certificate) == 1 ? 1 : 0;
            X509_free(certificate);
        } else if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
            break;
        }
        ERR_clear_error();
    }
    ERR_clear_error();
    return count;
}

X509_STORE *azfn__https_trust_system(void)
{
    X509_STORE *store = X509_STORE_new();
    size_t count = 0;
    for (size_t i = 0; store && count == 0 && i < sizeof(bundles) / sizeof(bundles[0]); i++) {
        BIO *bio = BIO_new_file(bundles[i], "r");
        if (bio) {
            count = add_certificates(store, bio);
            BIO_free(bio);
        }
    }
    ERR_clear_error();
    if (count == 0) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}

bool azfn__https_trust_apply(SSL_CTX *context, X509_STORE *store)
{
    if (store) {
        SSL_CTX_set1_cert_store(context, store);
    }
    /* what distributions set in openssl.cnf or at compile time, wherever we are: no SHA-1, no RSA below 2048 bits */
    if (SSL_CTX_get_security_level(context) < 2) {
        SSL_CTX_set_security_level(context, 2);
    }
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}
