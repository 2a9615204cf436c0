#include "worker/http_response.h"

#include "base/span.h"
#include "worker/http_token.h"

/* all that is not content_type, header_lines or the reason */
#define FIXED_BYTES ((size_t)256)

const char *azfn__http_reason_phrase(uint16_t status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";           /* RFC 6585, as the next two */
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
    }
}

/* A piece of text of the head; the room was reserved for all of them at once. */
static char *put(char *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_span(char *at, struct azfn_span span)
{
    return span.length > 0 ? put(at, span.data, span.length) : at;
}

static char *put_uint(char *at, uint64_t value)
{
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(at, digits + start, sizeof(digits) - start);
}

static char *put_two_digits(char *at, unsigned value)
{
    at[0] = (char)('0' + value / 10 % 10);
    at[1] = (char)('0' + value % 10);
    return at + 2;
}

/* IMF-fixdate (RFC 9110, 5.6.7). By arithmetic: gmtime_r() opens /etc/localtime when it is first called, which
 * the worker's sandbox kills for, and this is so cheap that nothing has to be kept from second to second. */
static char *put_date(char *at, int64_t now_s)
{
    static const char weekdays[] = "SunMonTueWedThuFriSat";
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    /* 1970 to 9999: what the format can say */
    uint64_t seconds = now_s < 0 ? 0 : now_s > INT64_C(253402300799) ? UINT64_C(253402300799) : (uint64_t)now_s;
    unsigned day_number = (unsigned)(seconds / 86400);
    unsigned second = (unsigned)(seconds % 86400);

    /* years that begin with March, so that a leap day is the last one, counted from the year 0 in eras of 400 */
    unsigned days = day_number + 719468;
    unsigned era = days / 146097;
    unsigned day_of_era = days % 146097;
    unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * month + 2) / 5 + 1;
    unsigned year = era * 400 + year_of_era + (month >= 10 ? 1 : 0);

    at = put(at, weekdays + (day_number + 4) % 7 * 3, 3);
    at = PUT(at, ", ");
    at = put_two_digits(at, day);
    *at++ = ' ';
    at = put(at, months + month * 3, 3);
    *at++ = ' ';
    at = put_two_digits(at, year / 100);
    at = put_two_digits(at, year % 100);
    *at++ = ' ';
    at = put_two_digits(at, second / 3600);
    *at++ = ':';
    at = put_two_digits(at, second / 60 % 60);
    *at++ = ':';
    at = put_two_digits(at, second % 60);
    return PUT(at, " GMT");
}

void azfn__http_response_encode(const struct azfn__http_response *response, int64_t now_s,
                                struct azfn__buffer *out_head, struct azfn_span *out_body)
{
    struct azfn_span reason = azfn_span_of(azfn__http_reason_phrase(response->status));
    bool has_content = response->status != 204 && response->status != 304;
    *out_body = azfn__span("", 0);
    if (has_content && !response->is_head_request && response->body.data) {
        *out_body = response->body;
    }
    /* both lie in memory: their sum cannot overflow */
    if (!azfn__buffer_reserve(out_head, FIXED_BYTES + response->content_type.length + response->header_lines.length)) {
        return;
    }

    char *start = out_head->data + out_head->length;
    char *at = PUT(start, "HTTP/1.1 ");
    at = put_uint(at, response->status);
    *at++ = ' ';
    at = put_span(at, reason);
    at = PUT(at, "\r\n");
    if (response->content_type.data) {
        at = PUT(at, "Content-Type: ");
        at = put_span(at, response->content_type);
        at = PUT(at, "\r\n");
    }
    at = put_span(at, response->header_lines);
    if (response->is_chunked) {
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    } else if (has_content) {
        at = PUT(at, "Content-Length: ");
        at = put_uint(at, response->body.length);
        at = PUT(at, "\r\n");
    }
    if (response->is_last) {
        at = PUT(at, "Connection: close\r\n");
    } else if (response->is_http_1_0) {
        at = PUT(at, "Connection: keep-alive\r\n");
    }
    at = PUT(at, "Date: ");
    at = put_date(at, now_s);
    at = PUT(at, "\r\n\r\n");
    out_head->length += (size_t)(at - start);
}

bool azfn__http_header_name_is_allowed(struct azfn_span name)
{
    static const struct azfn_span reserved[] = {
        {"Connection", 10}, {"Content-Length", 14}, {"Date", 4},
        {"Keep-Alive", 10}, {"TE", 2},              {"Trailer", 7},
        {"Upgrade", 7},     {"Transfer-Encoding", 17},
    };
    static const size_t reserved_count = sizeof(reserved) / sizeof(reserved[0]);
    static const struct azfn_span proxy = {"Proxy-", 6};
    if (!azfn__http_is_token(name)) {
        return false;
    }
    for (size_t i = 0; i < reserved_count; i++) {
        if (azfn__span_equal_ignore_case(name, reserved[i])) {
            return false;
        }
    }
    return name.length < proxy.length || !azfn__span_equal_ignore_case(azfn__span(name.data, proxy.length), proxy);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool azfn__http_header_value_is_valid(struct azfn_span value)
{
    if (value.length == 0 || is_blank(value.data[0]) || is_blank(value.data[value.length - 1])) {
        return false;
    }
    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((unsigned char)(c - 0x20) > 0x7e - 0x20 && c != '\t') {
            return false;
        }
    }
    return true;
}
