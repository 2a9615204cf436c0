#include "https/tls_end.h"

static int slot_index(void)
{
    static int index = -1;
    if (index < 0) {
        index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
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
        SSL_set_ex_data(info->internals, slot_index(), end) != 1 || SSL_up_ref(info->internals) != 1) {
        return false;
    }
    end->ssl = info->internals;
    SSL_set_info_callback(end->ssl, on_info);
    return true;
}

void azfn__https_tls_end_clear(struct azfn__https_tls_end *end)
{
    if (end->ssl) {
        SSL_set_info_callback(end->ssl, NULL);
        SSL_set_ex_data(end->ssl, slot_index(), NULL);
        SSL_free(end->ssl);
    }
    *end = (struct azfn__https_tls_end){.ssl = NULL};
}
