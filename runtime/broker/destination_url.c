#include "broker/destination_url.h"

#include "base/ascii.h"
#include "base/span.h"
#include "worker/http_token.h"

#define MAX_PATH_BYTES ((size_t)8 << 10)
/* Once by the function, once more by a library that it used: servers and proxies that decode several times exist. */
#define MAX_DECODINGS 3
#define MAX_NAME_BYTES ((size_t)256)
#define MAX_VALUE_BYTES ((size_t)8 << 10)

static int hex_value(char c)
{
    return azfn__is_digit(c) ? c - '0' : azfn__lower((unsigned char)c) - 'a' + 10;
}

static bool is_escape(struct azfn_span text, size_t at)
{
    return text.length - at >= 3 && text.data[at] == '%' && azfn__is_hex(text.data[at + 1]) &&
           azfn__is_hex(text.data[at + 2]);
}

static size_t index_of(struct azfn_span text, char c)
{
    const char *found = text.length > 0 ? memchr(text.data, c, text.length) : NULL;
    return found ? (size_t)(found - text.data) : text.length;
}

/* The characters of RFC 3986: pchar and "/"; in a query "?" as well. */
static const char *check_characters(struct azfn_span text, bool is_query)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if (c == '%') {
            if (!is_escape(text, i)) {
                return "a % without two hexadecimal digits behind it";
            }
        } else if (c == '#') {
            return "a fragment";
        } else if (c == '\\') {
            return "a backslash";
        } else if (!azfn__is_letter(c) && !azfn__is_digit(c) && !memchr("-._~!$&'()*+,;=:@/?", c, is_query ? 19 : 18)) {
            return "a character that a URL has only as a %-sequence";
        }
    }
    return NULL;
}

/* Some servers cut ";x" off a segment before they resolve it, some blanks and dots at its end. */
static const char *check_segments(struct azfn_span path)
{
    while (path.length > 0) {
        struct azfn_span whole = azfn__span(path.data, index_of(path, '/'));
        struct azfn_span segment = azfn__span(whole.data, index_of(whole, ';'));
        bool is_last = whole.length == path.length;
        bool is_dots = segment.length > 0;
        for (size_t i = 0; i < segment.length; i++) {
            is_dots = is_dots && (segment.data[i] == '.' || segment.data[i] == ' ');
        }
        if (is_dots) {
            return "a segment of dots";
        }
        if (segment.length == 0 && !is_last) {
            return "a slash at the start, or two in a row";
        }
        path = azfn__span_from(path, whole.length + (is_last ? 0 : 1));
    }
    return NULL;
}

/* Replaces each %-sequence once, in place. An escape for what gives a path its structure is never needed. */
static const char *decode_once(char *path, size_t *length, bool *out_has_changed)
{
    size_t written = 0;
    *out_has_changed = false;
    for (size_t i = 0; i < *length; i++) {
        char c = path[i];
        if (is_escape(azfn__span(path, *length), i)) {
            c = (char)(hex_value(path[i + 1]) * 16 + hex_value(path[i + 2]));
            if (c == '/' || c == '\\' || c == '.') {
                return "an encoded slash, backslash or dot";
            }
            if ((unsigned char)c < ' ' || c == 0x7f) {
                return "an encoded control character";
            }
            i += 2;
            *out_has_changed = true;
        } else if (c == '%' && *length - i >= 2 && azfn__lower((unsigned char)path[i + 1]) == 'u') {
            return "an encoded %u"; /* what some servers take for an escape of four digits */
        }
        path[written++] = c;
    }
    *length = written;
    return NULL;
}

/* As whoever decodes it as often as he likes would read it. copy has room for path. */
static const char *check_decoded(struct azfn_span path, char *copy)
{
    size_t length = path.length;
    bool has_changed = index_of(path, '%') < path.length;
    memcpy(copy, path.data, length);
    for (unsigned i = 0; has_changed; i++) {
        const char *wrong = decode_once(copy, &length, &has_changed);
        if (wrong) {
            return wrong;
        }
        if (has_changed && i == MAX_DECODINGS) {
            return "a %-sequence that is encoded again and again";
        }
        /* overlong forms of a dot or a slash, too */
        if (!azfn__span_is_utf8(azfn__span(copy, length))) {
            return "%-sequences that are not UTF-8";
        }
        wrong = check_segments(azfn__span(copy, length));
        if (wrong) {
            return wrong;
        }
    }
    return NULL;
}

static const char *check_path(struct azfn_span path)
{
    char copy[MAX_PATH_BYTES];
    struct azfn_span first = azfn__span(path.data, index_of(path, '/'));
    const char *wrong = check_characters(path, false);
    if (wrong) {
        return wrong;
    }
    /* RFC 3986, 4.2: the start of a path that could be taken for a scheme; or for a user */
    if (index_of(first, ':') < first.length || index_of(first, '@') < first.length) {
        return "a colon or an @ before the first slash";
    }
    wrong = check_segments(path);
    return wrong ? wrong : check_decoded(path, copy);
}

static bool has_path(struct azfn_span base)
{
    size_t start = index_of(base, ':') + sizeof("//");
    return start < base.length && index_of(azfn__span_from(base, start), '/') < base.length - start;
}

const char *azfn__destination_url_join(struct azfn_span base, struct azfn_span path, struct azfn__buffer *out)
{
    if (path.length > MAX_PATH_BYTES) {
        return "a path of more than 8 KiB";
    }
    struct azfn_span before = azfn__span(path.data, index_of(path, '?'));
    struct azfn_span query = azfn__span_from(path, before.length);
    const char *wrong = before.length > 0 ? check_path(before) : NULL;
    wrong = wrong ? wrong : check_characters(query, true);
    if (wrong) {
        return wrong;
    }
    azfn__buffer_append_span(out, base);
    bool ends_with_slash = base.length > 0 && base.data[base.length - 1] == '/';
    if (!ends_with_slash && (before.length > 0 || (query.length > 0 && !has_path(base)))) {
        azfn__buffer_append_char(out, '/');
    }
    azfn__buffer_append_span(out, path);
    return NULL;
}

/* Some servers take "_" in a name for "-". */
static unsigned char fold(char c)
{
    return c == '_' ? '-' : azfn__lower((unsigned char)c);
}

static bool is_name(struct azfn_span name, struct azfn_span known, bool is_prefix)
{
    if (is_prefix ? name.length < known.length : name.length != known.length) {
        return false;
    }
    for (size_t i = 0; i < known.length; i++) {
        if (fold(name.data[i]) != fold(known.data[i])) {
            return false;
        }
    }
    return true;
}

static bool is_one_of(struct azfn_span name, const char *const *known, size_t count, bool is_prefix)
{
    for (size_t i = 0; i < count; i++) {
        if (is_name(name, azfn_span_of(known[i]), is_prefix)) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(name, known, is_prefix) is_one_of(name, known, sizeof(known) / sizeof((known)[0]), is_prefix)

static const char *check_name(struct azfn_span name)
{
    static const char *const CONNECTION[] = {"connection", "content-length", "expect", "host", "http2-settings",
                                             "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"};
    static const char *const CREDENTIALS[] = {"authorization", "cookie", "cookie2", "x-identity-header"};
    static const char *const CREDENTIAL_PREFIXES[] = {"proxy-", "x-ms-authorization-",
                                                      "x-ms-copy-source-authorization"};
    /* they name another host, path, method or client than the request, to whoever believes them: past the
     * destination's methods and prefix */
    static const char *const ROUTING[] = {"forwarded", "via",       "x-host",
                                          "x-http-method", "x-real-ip", "x-method-override"};
    static const char *const ROUTING_PREFIXES[] = {"x-forwarded-", "x-http-method-", "x-original-", "x-rewrite-"};

    if (IS_ONE_OF(name, CONNECTION, false)) {
        return "a header that belongs to the connection";
    }
    if (IS_ONE_OF(name, CREDENTIALS, false) || IS_ONE_OF(name, CREDENTIAL_PREFIXES, true)) {
        return "a header that carries credentials";
    }
    if (IS_ONE_OF(name, ROUTING, false) || IS_ONE_OF(name, ROUTING_PREFIXES, true)) {
        return "a header that says where a request goes or comes from";
    }
    /* a credential that a server sends back would not be found in a compressed answer */
    return is_name(name, AZFN__SPAN("accept-encoding"), false) ? "an Accept-Encoding" : NULL;
}

const char *azfn__destination_header_check(struct azfn_span name, struct azfn_span value, struct azfn_span own)
{
    if (name.length > MAX_NAME_BYTES || value.length > MAX_VALUE_BYTES) {
        return "a header that is too long";
    }
    if (!azfn__http_is_token(name)) {
        return "a header's name that is none";
    }
    for (size_t i = 0; i < value.length; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] > '~') {
            return "a header's value with more than printable ASCII";
        }
    }
    const char *wrong = check_name(name);
    bool is_own = azfn_span_is_present(own) && is_name(name, own, false);
    return !wrong && is_own ? "a header that the broker adds" : wrong;
}
