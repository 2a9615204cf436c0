/* A function's path behind a destination's: whoever reads the URL, and however often he decodes it, stays below the
 * destination's path. The first byte says which base; the rest is also taken for a header, "name:value". */
#include "base/span.h"
#include "broker/destination_url.h"
#include "fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_URL_BYTES ((size_t)16 << 10)

static int hex_of(char c)
{
    static const char DIGITS[] = "0123456789abcdefABCDEF";
    const char *digit = c ? strchr(DIGITS, c) : NULL;
    int value = digit ? (int)(digit - DIGITS) : -1;
    return value < 16 ? value : value - 6;
}

/* Once, and leaves alone what is malformed. */
static size_t decode(char *text, size_t length)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        int high = text[i] == '%' && length - i >= 3 ? hex_of(text[i + 1]) : -1;
        int low = high >= 0 ? hex_of(text[i + 2]) : -1;
        text[written++] = low >= 0 ? (char)(high * 16 + low) : text[i];
        i += low >= 0 ? 2 : 0;
    }
    return written;
}

/* RFC 3986, 5.2.4, for a server that takes a backslash for a slash and cuts parameters off segments. */
static size_t resolve(const char *path, size_t length, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < length;) {
        size_t end = i + 1;
        while (end < length && path[end] != '/' && path[end] != '\\') {
            end++;
        }
        size_t kept = i + 1;
        while (kept < end && path[kept] != ';') {
            kept++;
        }
        size_t segment = kept - i - 1;
        if (segment == 2 && path[i + 1] == '.' && path[i + 2] == '.') {
            while (written > 0 && out[--written] != '/') {
            }
        } else if (segment != 1 || path[i + 1] != '.') {
            out[written++] = '/';
            memcpy(out + written, path + i + 1, segment);
            written += segment;
        }
        i = end;
    }
    return written;
}

static void check_url(struct azfn_span base, struct azfn_span url)
{
    static char path[MAX_URL_BYTES];
    static char resolved[MAX_URL_BYTES + 1];
    struct azfn_span prefix = azfn__span_from(base, AZFN__SPAN("https://host.example").length);
    CHECK(azfn__span_starts_with(url, base));
    for (size_t i = 0; i < url.length; i++) {
        CHECK(url.data[i] > ' ' && url.data[i] <= '~' && url.data[i] != '#' && url.data[i] != '\\');
    }
    struct azfn_span rest = azfn__span_from(url, AZFN__SPAN("https://host.example").length);
    CHECK(rest.length == 0 || rest.data[0] == '/');
    const char *query = rest.length > 0 ? memchr(rest.data, '?', rest.length) : NULL;
    size_t length = query ? (size_t)(query - rest.data) : rest.length;
    memcpy(path, rest.data, length);
    for (size_t before = length + 1; length < before;) {
        size_t resolved_length = resolve(path, length, resolved);
        CHECK(azfn__span_starts_with(azfn__span(resolved, resolved_length), prefix));
        for (size_t i = 0; i < length; i++) {
            CHECK(path[i] != '\\' && path[i] != '\0' && path[i] != '\r' && path[i] != '\n');
            CHECK(path[i] != '/' || i == 0 || path[i - 1] != '/');
        }
        before = length;
        length = decode(path, length);
    }
}

static void check_header(struct azfn_span line)
{
    const char *colon = line.length > 0 ? memchr(line.data, ':', line.length) : NULL;
    struct azfn_span name = azfn__span(line.data, colon ? (size_t)(colon - line.data) : line.length);
    struct azfn_span value = azfn__span_from(line, name.length + 1);
    if (azfn__destination_header_check(name, value, AZFN__SPAN("x-api-key"))) {
        return;
    }
    CHECK(name.length > 0 && !azfn__span_equal_ignore_case(name, AZFN__SPAN("x-api-key")));
    CHECK(!azfn__span_equal_ignore_case(name, AZFN__SPAN("authorization")));
    CHECK(!azfn__span_equal_ignore_case(name, AZFN__SPAN("host")));
    for (size_t i = 0; i < name.length; i++) {
        CHECK(name.data[i] > ' ' && name.data[i] <= '~' && name.data[i] != ':');
    }
    for (size_t i = 0; i < value.length; i++) {
        CHECK((value.data[i] >= ' ' && value.data[i] <= '~') || value.data[i] == '\t');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct azfn_span BASES[] = {
        {"https://host.example/a/b/", 25}, {"https://host.example/a/b", 24}, {"https://host.example", 20}};
    struct input input = {.data = data, .length = size};
    struct azfn_span base = BASES[take_byte(&input) % 3];
    struct azfn_span path = azfn__span(input.data, input.length);
    struct azfn__buffer url;
    azfn__buffer_init(&url, MAX_URL_BYTES);
    const char *wrong = azfn__destination_url_join(base, path, &url);
    CHECK(!url.has_failed);
    if (!wrong) {
        check_url(base, azfn__buffer_span(&url));
    } else {
        CHECK(url.length == 0 && wrong[0] != '\0');
    }
    azfn__buffer_clean_up(&url);
    check_header(path);
    return 0;
}
