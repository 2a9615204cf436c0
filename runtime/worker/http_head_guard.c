#include "worker/http_head_guard.h"

#include "base/ascii.h"
#include "base/span.h"
#include "worker/http_header_rules.h"
#include "worker/http_token.h"

/* Those of enum azfn__method; llhttp knows 26 more, which no function can be registered for. */
static bool find_method(struct azfn_span name, enum azfn__method *out_method)
{
    static const struct azfn_span names[AZFN__METHOD_COUNT] = {
        [AZFN__METHOD_GET] = {"GET", 3},         [AZFN__METHOD_HEAD] = {"HEAD", 4},
        [AZFN__METHOD_POST] = {"POST", 4},       [AZFN__METHOD_PUT] = {"PUT", 3},
        [AZFN__METHOD_DELETE] = {"DELETE", 6},   [AZFN__METHOD_OPTIONS] = {"OPTIONS", 7},
        [AZFN__METHOD_PATCH] = {"PATCH", 5},     [AZFN__METHOD_TRACE] = {"TRACE", 5},
    };
    for (int i = 0; i < AZFN__METHOD_COUNT; i++) {
        if (azfn__span_equal(name, names[i])) {
            *out_method = (enum azfn__method)i;
            return true;
        }
    }
    return false;
}

static struct azfn__http_fault guard_version(struct azfn_span text, uint8_t *out_minor)
{
    static const char name[] = "HTTP/";
    const size_t major = sizeof(name) - 1;
    if (text.length != major + 3 || memcmp(text.data, name, major) != 0 || !azfn__is_digit(text.data[major]) ||
        text.data[major + 1] != '.' || !azfn__is_digit(text.data[major + 2])) {
        return azfn__http_fault_of(400, "no HTTP version at the end of the request line");
    }
    char minor = text.data[major + 2];
    if (text.data[major] != '1' || minor > '1') {
        return azfn__http_fault_of(505, "a version other than HTTP/1.0 and 1.1");
    }
    *out_minor = (uint8_t)(minor - '0');
    return AZFN__HTTP_NO_FAULT;
}

/* The absolute form is what clients send to proxies, and a server has to take it (RFC 9112, 3.2.2). */
static bool find_authority(struct azfn_span target, size_t *out_length)
{
    if (target.length < AZFN__HTTP_SCHEME.length ||
        !azfn__span_equal_ignore_case(azfn__span(target.data, AZFN__HTTP_SCHEME.length), AZFN__HTTP_SCHEME)) {
        return false;
    }
    struct azfn_span authority = azfn__span_from(target, AZFN__HTTP_SCHEME.length);
    size_t length = 0;
    while (length < authority.length && authority.data[length] != '/' && authority.data[length] != '?') {
        length++;
    }
    *out_length = length;
    return length > 0 && azfn__http_is_host(azfn__span(authority.data, length));
}

static struct azfn__http_fault guard_target(struct azfn_span target, enum azfn__method method,
                                            size_t *out_authority_length)
{
    bool is_asterisk = method == AZFN__METHOD_OPTIONS && target.length == 1 && target.data[0] == '*';
    *out_authority_length = 0;
    if (!is_asterisk && target.data[0] != '/' && !find_authority(target, out_authority_length)) {
        return azfn__http_fault_of(400, "a request target that is neither a path nor an http URL");
    }
    for (size_t i = 0; i < target.length; i++) {
        char c = target.data[i];
        if (c < 0x21 || c > 0x7e || c == '#') {
            return azfn__http_fault_of(400, "a character that may not be in a request target");
        }
    }
    return AZFN__HTTP_NO_FAULT;
}

static struct azfn_span until_blank(struct azfn_span text)
{
    const char *blank = text.length > 0 ? memchr(text.data, ' ', text.length) : NULL;
    return blank ? azfn__span(text.data, (size_t)(blank - text.data)) : text;
}

struct azfn__http_fault azfn__http_guard_request_line(struct azfn_span line, bool is_whole, size_t target_bytes,
                                                      struct azfn__http_request_line *out_line)
{
    struct azfn_span method = until_blank(line);
    if (!azfn__http_is_token(method)) {
        return azfn__http_fault_of(400, "a method that is no token");
    }
    if (method.length == line.length) {
        return is_whole ? azfn__http_fault_of(400, "a request line without a target")
                        : azfn__http_fault_of(501, "an unknown method");
    }

    struct azfn_span rest = azfn__span_from(line, method.length + 1);
    struct azfn_span target = until_blank(rest);
    bool has_version = target.length < rest.length;
    if (target.length > target_bytes || (!is_whole && !has_version)) {
        return azfn__http_beyond(
            target.length > target_bytes ? AZFN__HTTP_LIMIT_URL_BYTES : AZFN__HTTP_LIMIT_HEADER_BYTES, 414,
            "the request target is longer than the limit");
    }
    if (target.length == 0) {
        return azfn__http_fault_of(400, "a request line without a target");
    }
    if (!is_whole) {
        return azfn__http_beyond(AZFN__HTTP_LIMIT_HEADER_BYTES, 431, "the head is longer than the limit");
    }
    if (!has_version) {
        return azfn__http_fault_of(505, "HTTP/0.9");
    }
    struct azfn__http_fault fault =
        guard_version(azfn__span_from(rest, target.length + 1), &out_line->minor_version);
    if (fault.status != 0) {
        return fault;
    }
    if (!find_method(method, &out_line->method)) {
        return azfn__http_fault_of(501, "an unknown method");
    }
    out_line->method_length = method.length;
    out_line->target_length = target.length;
    return guard_target(target, out_line->method, &out_line->authority_length);
}

struct azfn__http_fault azfn__http_guard_line_end(struct azfn_span line)
{
    if (line.length < 2 || line.data[line.length - 2] != '\r') {
        return azfn__http_fault_of(400, "LF without CR");
    }
    if (memchr(line.data, '\r', line.length - 2)) {
        return azfn__http_fault_of(400, "CR without LF");
    }
    return AZFN__HTTP_NO_FAULT;
}

struct azfn__http_fault azfn__http_guard_header_line(struct azfn_span line)
{
    if (line.data[0] == ' ' || line.data[0] == '\t') {
        return azfn__http_fault_of(400, "a folded header line");
    }
    if (line.data[0] == ':') {
        return azfn__http_fault_of(400, "a header without a name");
    }
    return AZFN__HTTP_NO_FAULT;
}
