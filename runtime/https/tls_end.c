#include "https/tls_end.h"

/* libcurl has closed the connection. A reference would not keep all of it: its BIO_METHOD is libcurl's. */
static void on_free(void *ssl, void *slot, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
    (void)ssl;
    (void)data;
    (void)index;
    (void)number;
    (void)argument;
    struct azfn__https_tls_end *end = slot;
    if (end) {
        end->ssl = NULL;
    }
}

static int slot_index(void)
{
    static int index = -1;
    if (index < 0) {
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    }
    return index;
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct azfn__https_tls_end *end = SSL_get_ex_data(ssl, slot_index());
    if (end && where == SSL_CB_READ_ALERT && (value & 0xff) == SSL_AD_CLOSE_NOTIFY) {
        end->is_announced = true;
    }
}

bool azfn__https_tls_end_watch(struct azfn__https_tls_end *end, CURL *easy)
{
    struct curl_tlssessioninfo *info = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &info) != CURLE_OK || !info ||
        info->backend != CURLSSLBACKEND_OPENSSL || !info->internals ||
        SSL_set_ex_data(info->internals, slot_index(), end) != 1) {
        return false;
    }
    end->ssl = info->internals;
    end->is_watched = true;
    SSL_set_info_callback(end->ssl, on_info);
    return true;
}

void azfn__https_tls_end_clear(struct azfn__https_tls_end *end)
{
    if (end->ssl) {
        SSL_set_info_callback(end->ssl, NULL);
        SSL_set_ex_data(end->ssl, slot_index(), NULL);
    }
    *end = (struct azfn__https_tls_end){.ssl = NULL};
}
