#include "https/request_rules.h"

#include "worker/http_token.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

static bool is_local_address(const char *host)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        uint32_t address = ntohl(v4.s_addr);
        return address >> 24 == 127 || address >> 16 == (169 << 8 | 254);
    }
    char text[INET6_ADDRSTRLEN];
    size_t length = strlen(host);
    if (length < 4 || length - 2 >= sizeof(text) || host[0] != '[' || host[length - 1] != ']') {
        return false;
    }
    memcpy(text, host + 1, length - 2);
    text[length - 2] = '\0';
    struct in6_addr v6;
    return inet_pton(AF_INET6, text, &v6) == 1 && (IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6));
}

static bool is_allowed(CURLU *handle, const char *url, enum azfn__https_trust trust)
{
    char *scheme = NULL;
    char *host = NULL;
    bool is_plain = trust == AZFN__HTTPS_PLAIN_HTTP;
    bool is = curl_url_set(handle, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) == CURLUE_OK &&
              curl_url_get(handle, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(handle, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              strcmp(scheme, is_plain ? "http" : "https") == 0 && (!is_plain || is_local_address(host));
    curl_free(scheme);
    curl_free(host);
    return is;
}

bool azfn__https_is_url_allowed(const char *url, enum azfn__https_trust trust)
{
    for (const char *c = url; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f) {
            return false;
        }
    }
    CURLU *handle = curl_url();
    bool is = handle && is_allowed(handle, url, trust);
    curl_url_cleanup(handle);
    return is;
}

bool azfn__https_is_header_valid(const struct azfn__https_header *header)
{
    for (size_t i = 0; i < header->value.length; i++) {
        unsigned char c = (unsigned char)header->value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return azfn__http_is_token(header->name);
}

bool azfn__https_is_name(struct azfn_span name, const char *other)
{
    return name.length == strlen(other) && strncasecmp(name.data, other, name.length) == 0;
}

bool azfn__https_is_framing_header(struct azfn_span name)
{
    return azfn__https_is_name(name, "content-length") || azfn__https_is_name(name, "transfer-encoding") ||
           azfn__https_is_name(name, "expect");
}

bool azfn__https_is_idempotent(const char *method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(method, methods[i]) == 0) {
            return true;
        }
    }
    return false;
}
