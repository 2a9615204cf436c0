#include "worker/http_header_rules.h"

#include "base/ascii.h"
#include "base/span.h"
#include "worker/http_token.h"

/* What was seen while going through the headers once. */
struct survey {
    unsigned host_count;
    unsigned content_length_count;
    unsigned transfer_encoding_count;
    bool is_chunked;
    bool has_other_coding;
    bool says_close;
    bool says_keep_alive;
    bool says_continue;
    bool names_principal;
    struct azfn_span trace_parent;
};

/* Cuts the next item off a list "a, b ,c"; false at its end. An item may be empty. */
static bool next_item(struct azfn_span *list, struct azfn_span *out_item)
{
    if (!list->data) {
        return false;
    }
    const char *comma = list->length > 0 ? memchr(list->data, ',', list->length) : NULL;
    size_t length = comma ? (size_t)(comma - list->data) : list->length;
    *out_item = azfn__span_trim(azfn__span(list->data, length));
    *list = comma ? azfn__span_from(*list, length + 1) : (struct azfn_span){.data = NULL};
    return true;
}

static bool is_host_char(char c)
{
    return (azfn__http_is_token_char(c) && !memchr("#%^`|", c, 5)) || memchr("(),;=", c, 5);
}

/* uri-host [ ":" port ] of RFC 9112, 3.2, by its characters. An empty one is valid only where a target has no
 * authority, which those of the http scheme always have. */
bool azfn__http_is_host(struct azfn_span host)
{
    size_t i = 0;
    if (host.length > 0 && host.data[0] == '[') {
        for (i = 1; i < host.length && (azfn__is_hex(host.data[i]) || host.data[i] == ':' || host.data[i] == '.'); i++) {
        }
        if (i < 2 || i == host.length || host.data[i] != ']') {
            return false;
        }
        i++;
    } else {
        while (i < host.length && host.data[i] != ':') {
            if (host.data[i] == '%') {
                if (host.length - i < 3 || !azfn__is_hex(host.data[i + 1]) || !azfn__is_hex(host.data[i + 2])) {
                    return false;
                }
                i += 3;
            } else if (is_host_char(host.data[i])) {
                i++;
            } else {
                return false;
            }
        }
    }
    if (i == 0 || (i < host.length && host.data[i] != ':')) {
        return false;
    }
    for (i++; i < host.length; i++) {
        if (host.data[i] < '0' || host.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static struct azfn__http_fault survey_host(struct survey *survey, struct azfn_span value)
{
    if (++survey->host_count > 1) {
        return azfn__http_fault_of(400, "more than one Host");
    }
    return azfn__http_is_host(value) ? AZFN__HTTP_NO_FAULT : azfn__http_fault_of(400, "a Host that is none");
}

/* Equal repeats and lists ("5, 5") could be merged (RFC 9110, 8.6), but nobody honest sends them. */
static struct azfn__http_fault survey_content_length(struct survey *survey, struct azfn_span value)
{
    if (++survey->content_length_count > 1) {
        return azfn__http_fault_of(400, "more than one Content-Length");
    }
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return azfn__http_fault_of(400, "a Content-Length that is no number");
        }
    }
    return value.length > 0 ? AZFN__HTTP_NO_FAULT : azfn__http_fault_of(400, "an empty Content-Length");
}

static struct azfn__http_fault survey_transfer_encoding(struct survey *survey, struct azfn_span value)
{
    struct azfn_span item;
    survey->transfer_encoding_count++;
    while (next_item(&value, &item)) {
        if (survey->is_chunked) {
            return azfn__http_fault_of(400, "a transfer coding after chunked");
        }
        if (!azfn__http_is_token(item)) {
            return azfn__http_fault_of(400, "a Transfer-Encoding that is no list of codings");
        }
        survey->is_chunked = azfn__span_equal_ignore_case(item, AZFN__SPAN("chunked"));
        survey->has_other_coding = survey->has_other_coding || !survey->is_chunked;
    }
    return AZFN__HTTP_NO_FAULT;
}

static void survey_connection(struct survey *survey, struct azfn_span value)
{
    struct azfn_span item;
    while (next_item(&value, &item)) {
        survey->says_close = survey->says_close || azfn__span_equal_ignore_case(item, AZFN__SPAN("close"));
        survey->says_keep_alive =
            survey->says_keep_alive || azfn__span_equal_ignore_case(item, AZFN__SPAN("keep-alive"));
    }
}

static void survey_expect(struct survey *survey, struct azfn_span value)
{
    struct azfn_span item;
    while (next_item(&value, &item)) {
        survey->says_continue = survey->says_continue || azfn__span_equal_ignore_case(item, AZFN__SPAN("100-continue"));
    }
}

static bool is_principal(struct azfn_span name)
{
    return azfn__span_equal_ignore_case(name, AZFN__SPAN(AZFN__PRINCIPAL_HEADER)) ||
           azfn__span_equal_ignore_case(name, AZFN__SPAN(AZFN__PRINCIPAL_HEADER "-ID"));
}

static struct azfn__http_fault survey_header(struct survey *survey, const struct azfn__http_header *header)
{
    /* the length rules out nearly all names without looking at them */
    switch (header->name.length) {
    case sizeof("Host") - 1:
        if (azfn__span_equal_ignore_case(header->name, AZFN__SPAN("Host"))) {
            return survey_host(survey, header->value);
        }
        break;
    case sizeof("Expect") - 1:
        if (azfn__span_equal_ignore_case(header->name, AZFN__SPAN("Expect"))) {
            survey_expect(survey, header->value);
        }
        break;
    case sizeof("Connection") - 1:
        if (azfn__span_equal_ignore_case(header->name, AZFN__SPAN("Connection"))) {
            survey_connection(survey, header->value);
        }
        break;
    case sizeof(AZFN__TRACE_PARENT_HEADER) - 1:
        if (!azfn_span_is_present(survey->trace_parent) &&
            azfn__span_equal_ignore_case(header->name, AZFN__SPAN(AZFN__TRACE_PARENT_HEADER))) {
            survey->trace_parent = header->value;
        }
        break;
    case sizeof("Content-Length") - 1:
        if (azfn__span_equal_ignore_case(header->name, AZFN__SPAN("Content-Length"))) {
            return survey_content_length(survey, header->value);
        }
        break;
    case sizeof("Transfer-Encoding") - 1:
        if (azfn__span_equal_ignore_case(header->name, AZFN__SPAN("Transfer-Encoding"))) {
            return survey_transfer_encoding(survey, header->value);
        }
        break;
    case sizeof(AZFN__PRINCIPAL_HEADER) - 1:
    case sizeof(AZFN__PRINCIPAL_HEADER "-ID") - 1:
        survey->names_principal = survey->names_principal || is_principal(header->name);
        break;
    default:
        break;
    }
    return AZFN__HTTP_NO_FAULT;
}

struct azfn__http_fault azfn__http_check_headers(const struct azfn__http_header *headers, size_t header_count,
                                                 uint8_t minor_version,
                                                   struct azfn__http_header_facts *out_facts)
{
    struct survey survey = {.host_count = 0};
    for (size_t i = 0; i < header_count; i++) {
        struct azfn__http_fault fault = survey_header(&survey, &headers[i]);
        if (fault.status != 0) {
            return fault;
        }
    }
    if (minor_version > 0 && survey.host_count == 0) {
        return azfn__http_fault_of(400, "no Host");
    }
    if (survey.transfer_encoding_count > 0) {
        if (minor_version == 0) {
            return azfn__http_fault_of(400, "Transfer-Encoding in HTTP/1.0");
        }
        if (survey.content_length_count > 0) {
            return azfn__http_fault_of(400, "Transfer-Encoding and Content-Length");
        }
        if (survey.has_other_coding) {
            return azfn__http_fault_of(501, "a transfer coding other than chunked");
        }
    }
    out_facts->has_content_length = survey.content_length_count > 0;
    out_facts->is_chunked = survey.is_chunked;
    out_facts->names_principal = survey.names_principal;
    out_facts->trace_parent = survey.trace_parent;
    out_facts->is_keep_alive = !survey.says_close && (minor_version > 0 || survey.says_keep_alive);
    /* RFC 9110, 10.1.1: in HTTP/1.0 it has to be ignored */
    out_facts->expects_continue = survey.says_continue && minor_version > 0;
    return AZFN__HTTP_NO_FAULT;
}
