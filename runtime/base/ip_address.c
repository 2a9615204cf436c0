#include "base/ip_address.h"

#include "base/ascii.h"
#include "base/span.h"

#include <arpa/inet.h>

#define PORT_MAX_DIGITS 5

static bool is_address(int family, struct azfn_span text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char bytes[sizeof(struct in6_addr)];
    if (text.length == 0 || text.length >= sizeof(copy) || memchr(text.data, '\0', text.length)) {
        return false;
    }
    memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    return inet_pton(family, copy, bytes) == 1;
}

/* Empty, or ":" and a number. */
static bool is_port_or_nothing(struct azfn_span text)
{
    if (text.length == 0) {
        return true;
    }
    if (text.data[0] != ':' || text.length < 2 || text.length > 1 + PORT_MAX_DIGITS) {
        return false;
    }
    for (size_t i = 1; i < text.length; i++) {
        if (!azfn__is_digit(text.data[i])) {
            return false;
        }
    }
    return true;
}

struct azfn_span azfn__ip_address_of(struct azfn_span text)
{
    if (text.length > 0 && text.data[0] == '[') {
        const char *bracket = memchr(text.data, ']', text.length);
        size_t length = bracket ? (size_t)(bracket - text.data) - 1 : 0;
        struct azfn_span address = azfn__span(text.data + 1, length);
        bool is_valid = is_address(AF_INET6, address) && is_port_or_nothing(azfn__span_from(text, length + 2));
        return is_valid ? address : azfn__absent();
    }
    if (is_address(AF_INET6, text)) {
        return text;
    }
    const char *colon = text.length > 0 ? memchr(text.data, ':', text.length) : NULL;
    size_t length = colon ? (size_t)(colon - text.data) : text.length;
    struct azfn_span address = azfn__span(text.data, length);
    return is_address(AF_INET, address) && is_port_or_nothing(azfn__span_from(text, length)) ? address : azfn__absent();
}
