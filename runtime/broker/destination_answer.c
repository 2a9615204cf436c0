#include "broker/destination_answer.h"

#include "base/ascii.h"
#include "base/span.h"

#include <time.h>

#define MAX_RETRY_AFTER_MS ((uint64_t)1 << 40)

static enum azfn__destination_passage give(struct azfn_span bytes, azfn__destination_take_fn *take, void *user_data)
{
    return bytes.length > 0 ? take(bytes, user_data) : AZFN__DESTINATION_PASSED;
}

/* Whether what is held back from shift on, with bytes behind it, is the needle or its beginning. */
static bool goes_on(const struct azfn__destination_filter *filter, size_t shift, struct azfn_span bytes)
{
    struct azfn_span needle = filter->needle;
    size_t held = filter->held_bytes - shift;
    size_t more = bytes.length < needle.length - held ? bytes.length : needle.length - held;
    return memcmp(needle.data, needle.data + shift, held) == 0 && memcmp(needle.data + held, bytes.data, more) == 0;
}

/* How many of the last bytes could be the beginning of the needle, of which none is whole. */
static size_t count_beginning(struct azfn_span needle, struct azfn_span bytes)
{
    size_t longest = bytes.length < needle.length - 1 ? bytes.length : needle.length - 1;
    const char *end = bytes.data + bytes.length;
    for (const char *p = end - longest; p < end; p++) {
        p = memchr(p, needle.data[0], (size_t)(end - p));
        if (!p) {
            break;
        }
        if (memcmp(p, needle.data, (size_t)(end - p)) == 0) {
            return (size_t)(end - p);
        }
    }
    return 0;
}

/* The bytes follow others that were held back. *out_is_done: they are held back too, or it is the needle. */
static enum azfn__destination_passage pass_held(struct azfn__destination_filter *filter, struct azfn_span bytes,
                                                azfn__destination_take_fn *take, void *user_data, bool *out_is_done)
{
    size_t shift = 0;
    while (shift < filter->held_bytes && !goes_on(filter, shift, bytes)) {
        shift++;
    }
    size_t held = filter->held_bytes - shift;
    *out_is_done = held > 0;
    if (held > 0 && bytes.length >= filter->needle.length - held) {
        return AZFN__DESTINATION_FOUND;
    }
    enum azfn__destination_passage passage = give(azfn__span(filter->needle.data, shift), take, user_data);
    if (passage == AZFN__DESTINATION_PASSED) {
        filter->held_bytes = held > 0 ? held + bytes.length : 0;
    }
    return passage;
}

enum azfn__destination_passage azfn__destination_filter_pass(struct azfn__destination_filter *filter,
                                                             struct azfn_span bytes, azfn__destination_take_fn *take,
                                                             void *user_data)
{
    struct azfn_span needle = filter->needle;
    if (needle.length == 0 || bytes.length == 0) {
        return give(bytes, take, user_data);
    }
    if (filter->held_bytes > 0) {
        bool is_done;
        enum azfn__destination_passage passage = pass_held(filter, bytes, take, user_data, &is_done);
        if (passage != AZFN__DESTINATION_PASSED || is_done) {
            return passage;
        }
    }
    if (memmem(bytes.data, bytes.length, needle.data, needle.length)) {
        return AZFN__DESTINATION_FOUND;
    }
    size_t held = count_beginning(needle, bytes);
    enum azfn__destination_passage passage = give(azfn__span(bytes.data, bytes.length - held), take, user_data);
    if (passage == AZFN__DESTINATION_PASSED) {
        filter->held_bytes = held;
    }
    return passage;
}

enum azfn__destination_passage azfn__destination_filter_flush(struct azfn__destination_filter *filter,
                                                              azfn__destination_take_fn *take, void *user_data)
{
    enum azfn__destination_passage passage =
        give(azfn__span(filter->needle.data, filter->held_bytes), take, user_data);
    if (passage == AZFN__DESTINATION_PASSED) {
        filter->held_bytes = 0;
    }
    return passage;
}

/* What belongs to the broker's connection, and what lets its bearer act as the app: a session, once it is cookies. A
 * WWW-Authenticate stays, since it says why a credential was refused; so does a Location, which is the destination's
 * answer like its body, and which the broker does not follow. */
static bool is_kept_back(struct azfn_span name)
{
    static const struct azfn_span NAMES[] = {
        {"connection", 10}, {"keep-alive", 10}, {"te", 2}, {"trailer", 7}, {"transfer-encoding", 17}, {"upgrade", 7},
        {"set-cookie", 10}, {"set-cookie2", 11}, {"authorization", 13}, {"authentication-info", 19}};
    static const struct azfn_span PROXY = {"proxy-", 6};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (azfn__span_equal_ignore_case(name, NAMES[i])) {
            return true;
        }
    }
    return name.length >= PROXY.length &&
           azfn__span_equal_ignore_case(azfn__span(name.data, PROXY.length), PROXY);
}

static bool holds(struct azfn_span text, struct azfn_span needle)
{
    return needle.length > 0 && text.length >= needle.length &&
           memmem(text.data, text.length, needle.data, needle.length) != NULL;
}

size_t azfn__destination_headers_filter(const struct azfn__https_header *headers, size_t count, struct azfn_span needle,
                                        struct azfn__https_header *out, bool *out_has_needle)
{
    size_t kept = 0;
    *out_has_needle = false;
    for (size_t i = 0; i < count; i++) {
        bool has_needle = holds(headers[i].value, needle) || holds(headers[i].name, needle);
        *out_has_needle = *out_has_needle || has_needle;
        if (!has_needle && !is_kept_back(headers[i].name)) {
            out[kept++] = headers[i];
        }
    }
    return kept;
}

/* UINT64_MAX when it is none. */
static uint64_t read_number(struct azfn_span text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!azfn__is_digit(text.data[i]) || i >= 10) {
            return UINT64_MAX;
        }
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.length > 0 ? value : UINT64_MAX;
}

/* "Wed, 21 Oct 2015 07:28:00 GMT" */
static uint64_t read_date(struct azfn_span text, int64_t now_s)
{
    char date[32];
    struct tm fields = {0};
    if (text.length >= sizeof(date)) {
        return UINT64_MAX;
    }
    memcpy(date, text.data, text.length);
    date[text.length] = '\0';
    const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &fields);
    if (!end || *end != '\0') {
        return UINT64_MAX;
    }
    int64_t date_s = timegm(&fields);
    return date_s > now_s ? (uint64_t)(date_s - now_s) * 1000 : 0;
}

uint64_t azfn__destination_retry_after_ms(const struct azfn__https_header *headers, size_t count, int64_t now_s)
{
    for (size_t i = 0; i < count; i++) {
        struct azfn_span value = azfn__span_trim(headers[i].value);
        uint64_t wait_ms = UINT64_MAX;
        if (azfn__span_equal_ignore_case(headers[i].name, AZFN__SPAN("retry-after-ms")) ||
            azfn__span_equal_ignore_case(headers[i].name, AZFN__SPAN("x-ms-retry-after-ms"))) {
            wait_ms = read_number(value);
        } else if (azfn__span_equal_ignore_case(headers[i].name, AZFN__SPAN("retry-after"))) {
            uint64_t wait_s = read_number(value);
            wait_ms = wait_s != UINT64_MAX ? wait_s * 1000 : read_date(value, now_s);
        }
        if (wait_ms != UINT64_MAX) {
            return wait_ms < MAX_RETRY_AFTER_MS ? wait_ms : MAX_RETRY_AFTER_MS;
        }
    }
    return UINT64_MAX;
}
