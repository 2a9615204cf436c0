#include "broker/identity_answer.h"

#include "base/json_scan.h"
#include "base/span.h"

/* Visible ASCII: it becomes a header's value. */
static bool is_token(struct azfn_span token)
{
    for (size_t i = 0; i < token.length; i++) {
        if (token.data[i] <= ' ' || token.data[i] > '~') {
            return false;
        }
    }
    return token.length > 0;
}

static bool is_bearer(struct azfn_span raw)
{
    return azfn__span_equal_ignore_case(azfn__json_string_view(raw), AZFN__SPAN("Bearer"));
}

const char *azfn__identity_answer_read(char *body, size_t length, uint64_t now_ms,
                                       struct azfn__identity_answer *out_answer)
{
    struct azfn_span text = azfn__span(body, length);
    *out_answer = (struct azfn__identity_answer){.expires_at_ms = 0};
    if (azfn__json_scan(text, NULL, NULL) != AZFN_OK || azfn__json_type_of(text) != AZFN__JSON_OBJECT) {
        return "the answer is no JSON object";
    }
    if (!is_bearer(azfn__json_member(text, AZFN__SPAN("token_type")))) {
        return "the token is not a bearer token";
    }
    uint64_t expires_on = 0;
    struct azfn_span expires = azfn__json_unquote(azfn__json_member(text, AZFN__SPAN("expires_on")));
    if (azfn__json_uint64(expires, &expires_on) != AZFN_OK || expires_on > UINT64_MAX / 2000) {
        return "expires_on is not a time in seconds";
    }
    if (expires_on * 1000 < now_ms + AZFN__TOKEN_MIN_LIFE_MS) {
        return "the token has expired, or is about to";
    }
    struct azfn_span raw = azfn__json_member(text, AZFN__SPAN("access_token"));
    if (azfn__json_type_of(raw) != AZFN__JSON_STRING) {
        return "there is no access_token";
    }
    struct azfn_span token = azfn__json_string_decode_in_place(body + (raw.data - body), raw.length);
    if (!is_token(token) || token.length > AZFN__TOKEN_MAX_BYTES) {
        return token.length > AZFN__TOKEN_MAX_BYTES ? "the token is larger than 16 KiB"
                                                    : "the token has other than visible characters";
    }
    out_answer->token = token;
    out_answer->expires_at_ms = expires_on * 1000;
    return NULL;
}
