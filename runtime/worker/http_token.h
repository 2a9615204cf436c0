/* worker/http_token.h
 * The characters of HTTP's grammar (RFC 9110, 5.6.2). Pure. */
#ifndef AZFN_WORKER_HTTP_TOKEN_H
#define AZFN_WORKER_HTTP_TOKEN_H

#include <azfn.h>

/* One bit per ASCII character: ALPHA, DIGIT and !#$%&'*+-.^_`|~ */
static inline bool azfn__http_is_token_char(char c)
{
    static const uint32_t bits[4] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};
    unsigned char byte = (unsigned char)c;
    return byte < 0x80 && (bits[byte >> 5] >> (byte & 31) & 1) != 0;
}

static inline bool azfn__http_is_token(struct azfn_span span)
{
    for (size_t i = 0; i < span.length; i++) {
        if (!azfn__http_is_token_char(span.data[i])) {
            return false;
        }
    }
    return span.length > 0;
}

#endif
