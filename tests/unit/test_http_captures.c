/* What the Functions host really sends has to be read as an independent small reader reads it, whole and byte
 * by byte. TEST_CAPTURES_DIR is the folder of the captures, each a folder with request.bin. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/http_parser.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define PLAIN_MAX_HEADERS 64
#define MAX_BODY_BYTES ((uint64_t)64 << 20)

static const struct azfn__http_parser_limits limits = {
    .target_bytes = 8192, .header_bytes = 32768, .header_count = 100,
    .chunk_extension_bytes = 1000, .trailer_bytes = 2000};

/* The request as the small reader sees it. It trusts its input. */
struct plain_request {
    struct azfn_span method;
    struct azfn_span target;
    struct azfn_span names[PLAIN_MAX_HEADERS];
    struct azfn_span values[PLAIN_MAX_HEADERS];
    size_t header_count;
    struct azfn__buffer body;
};

static struct azfn_span cut(struct azfn_span *text, const char *separator)
{
    size_t length = strlen(separator);
    const char *at = memmem(text->data, text->length, separator, length);
    assert_non_null(at);
    struct azfn_span before = azfn__span(text->data, (size_t)(at - text->data));
    *text = azfn__span_from(*text, before.length + length);
    return before;
}

static const struct azfn_span *plain_header(const struct plain_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (request->names[i].length == strlen(name) &&
            strncasecmp(request->names[i].data, name, strlen(name)) == 0) {
            return &request->values[i];
        }
    }
    return NULL;
}

static void read_plainly(struct azfn_span bytes, struct plain_request *out)
{
    struct azfn_span head = cut(&bytes, "\r\n\r\n");
    head.length += 2;
    struct azfn_span line = cut(&head, "\r\n");
    memset(out, 0, sizeof(*out));
    out->method = cut(&line, " ");
    out->target = cut(&line, " ");
    while (head.length > 0) {
        assert_true(out->header_count < PLAIN_MAX_HEADERS);
        line = cut(&head, "\r\n");
        out->names[out->header_count] = cut(&line, ":");
        while (line.length > 0 && line.data[0] == ' ') {
            line = azfn__span_from(line, 1);
        }
        out->values[out->header_count++] = line;
    }

    azfn__buffer_init(&out->body, (size_t)MAX_BODY_BYTES);
    const struct azfn_span *length = plain_header(out, "content-length");
    if (plain_header(out, "transfer-encoding")) {
        for (;;) {
            unsigned long size = strtoul(cut(&bytes, "\r\n").data, NULL, 16);
            if (size == 0) {
                break;
            }
            azfn__buffer_append(&out->body, bytes.data, size);
            bytes = azfn__span_from(bytes, size + 2);
        }
        bytes = azfn__span_from(bytes, 2);
    } else if (length) {
        size_t size = strtoul(length->data, NULL, 10);
        assert_true(size <= bytes.length);
        azfn__buffer_append(&out->body, bytes.data, size);
        bytes = azfn__span_from(bytes, size);
    }
    assert_int_equal(bytes.length, 0);
}

static void require_parsed(const char *path, struct azfn_span bytes, const struct plain_request *expected,
                           size_t piece_bytes)
{
    struct azfn__http_parser parser;
    struct azfn__http_message message;
    const struct azfn__http_request *request = &parser.request;
    enum azfn__http_parser_state state = AZFN__HTTP_NEED_MORE;
    azfn__http_message_init(&message);
    azfn__http_parser_init(&parser, &limits);
    azfn__http_parser_begin(&parser, &message);
    for (size_t begin = 0; begin < bytes.length || state == AZFN__HTTP_HEAD;) {
        size_t left = bytes.length - begin;
        size_t taken;
        state = azfn__http_parser_feed(&parser, bytes.data + begin, piece_bytes < left ? piece_bytes : left, &taken);
        begin += taken;
        if (state == AZFN__HTTP_REFUSED) {
            fail_msg("%s: refused with %u at %zu: %s", path, parser.fault.status, begin, parser.fault.reason);
        }
        if (state == AZFN__HTTP_HEAD) {
            azfn__http_parser_limit_body(&parser, MAX_BODY_BYTES);
        }
        if (state == AZFN__HTTP_COMPLETE) {
            assert_int_equal(begin, bytes.length);
        }
    }
    if (state != AZFN__HTTP_COMPLETE) {
        fail_msg("%s: not complete", path);
    }
    assert_true(azfn__span_equal(request->method_name, expected->method));
    assert_true(azfn__span_equal(request->target, expected->target));
    assert_true(azfn__span_starts_with(expected->target, request->path));
    assert_int_equal(request->path.length + (request->query.data ? request->query.length + 1 : 0),
                     expected->target.length);
    assert_int_equal(request->header_count, expected->header_count);
    for (size_t i = 0; i < expected->header_count; i++) {
        assert_true(azfn__span_equal(request->headers[i].name, expected->names[i]));
        assert_true(azfn__span_equal(request->headers[i].value, expected->values[i]));
    }
    assert_true(azfn__span_equal(request->body, azfn__buffer_span(&expected->body)));
    azfn__http_message_clean_up(&message);
}

static void read_file(FILE *file, struct azfn__buffer *out)
{
    char piece[65536];
    size_t length;
    azfn__buffer_init(out, (size_t)MAX_BODY_BYTES);
    while ((length = fread(piece, 1, sizeof(piece), file)) > 0) {
        azfn__buffer_append(out, piece, length);
    }
    assert_false(out->has_failed);
}

/* request.bin, request-2.bin, ... of one folder. */
static size_t check_folder(const char *folder)
{
    size_t count = 0;
    for (;; count++) {
        char path[1024];
        if (count == 0) {
            snprintf(path, sizeof(path), "%s/%s/request.bin", TEST_CAPTURES_DIR, folder);
        } else {
            snprintf(path, sizeof(path), "%s/%s/request-%zu.bin", TEST_CAPTURES_DIR, folder, count + 1);
        }
        FILE *file = fopen(path, "rb");
        if (!file) {
            return count;
        }
        struct azfn__buffer bytes;
        struct plain_request expected;
        read_file(file, &bytes);
        fclose(file);
        read_plainly(azfn__buffer_span(&bytes), &expected);
        require_parsed(path, azfn__buffer_span(&bytes), &expected, SIZE_MAX);
        require_parsed(path, azfn__buffer_span(&bytes), &expected, 1);
        require_parsed(path, azfn__buffer_span(&bytes), &expected, 1000);
        azfn__buffer_clean_up(&expected.body);
        azfn__buffer_clean_up(&bytes);
    }
}

static void every_capture_is_read(void **state)
{
    size_t count = 0;
    (void)state;
    DIR *folder = opendir(TEST_CAPTURES_DIR);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            count += check_folder(entry->d_name);
        }
    }
    closedir(folder);
    print_message("%zu requests\n", count);
    assert_true(count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_capture_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
