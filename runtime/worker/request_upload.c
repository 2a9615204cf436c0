#include "worker/request_upload.h"

#include "base/span.h"
#include "channel/ask_frame.h"

#define PIECE_MAX_BYTES ((size_t)1 << 20)
#define BODY_MAX_BYTES ((size_t)128 << 20)

static bool has_length(const struct azfn_request_options *options)
{
    return options->streams_body && options->body_bytes > 0;
}

static bool has_body(const struct azfn_request_options *options)
{
    return options->streams_body || options->body.length > 0;
}

enum azfn_error azfn__request_upload_init(struct azfn__request_upload *upload,
                                          const struct azfn_request_options *options)
{
    *upload = (struct azfn__request_upload){.credit_bytes = AZFN__ASK_WINDOW_BYTES,
                                            .missing_bytes = UINT64_MAX,
                                            .is_whole = !options->streams_body,
                                            .is_sent = !has_body(options)};
    azfn__buffer_init(&upload->bytes, BODY_MAX_BYTES);
    if (has_length(options)) {
        if (options->body_bytes == UINT64_MAX || options->body.length > options->body_bytes) {
            return AZFN_ERROR_INVALID_ARGUMENT;
        }
        upload->missing_bytes = options->body_bytes - options->body.length;
    }
    azfn__buffer_append_span(&upload->bytes, options->body);
    return upload->bytes.has_failed ? AZFN_ERROR_LIMIT : AZFN_OK;
}

void azfn__request_upload_clean_up(struct azfn__request_upload *upload)
{
    azfn__buffer_clean_up(&upload->bytes);
}

uint64_t azfn__request_upload_length(const struct azfn_request_options *options)
{
    if (has_length(options)) {
        return options->body_bytes;
    }
    return options->streams_body ? AZFN__ASK_UNKNOWN_BYTES : options->body.length;
}

bool azfn__request_upload_is_writable(const struct azfn__request_upload *upload)
{
    return upload->bytes.length < AZFN__ASK_WINDOW_BYTES;
}

enum azfn_error azfn__request_upload_write(struct azfn__request_upload *upload, struct azfn_span bytes)
{
    if (upload->is_whole) {
        return AZFN_ERROR_STATE;
    }
    /* the broker takes a body of another length than was said for an attack */
    if (bytes.length > PIECE_MAX_BYTES || bytes.length > upload->missing_bytes) {
        return AZFN_ERROR_LIMIT;
    }
    if (!azfn__request_upload_is_writable(upload)) {
        return AZFN_ERROR_UNAVAILABLE;
    }
    azfn__buffer_append_span(&upload->bytes, bytes);
    if (upload->bytes.has_failed) {
        return AZFN_ERROR_NO_MEMORY;
    }
    upload->missing_bytes -= upload->missing_bytes != UINT64_MAX ? bytes.length : 0;
    return AZFN_OK;
}

enum azfn_error azfn__request_upload_end(struct azfn__request_upload *upload)
{
    if (upload->is_whole) {
        return AZFN_ERROR_STATE;
    }
    if (upload->missing_bytes > 0 && upload->missing_bytes != UINT64_MAX) {
        return AZFN_ERROR_INVALID_ARGUMENT;
    }
    upload->is_whole = true;
    return AZFN_OK;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

void azfn__request_upload_pump(struct azfn__request_upload *upload, struct azfn__frame_writer *writer, uint32_t id)
{
    size_t sent = 0;
    while (!upload->is_sent) {
        size_t left = upload->bytes.length - sent;
        size_t length = smallest(left, upload->credit_bytes, AZFN__ASK_PIECE_BYTES);
        bool is_last = upload->is_whole && length == left;
        if (length == 0 && !is_last) {
            break;
        }
        struct azfn__ask_piece piece = {
            .id = id, .is_last = is_last, .bytes = azfn__span_from(azfn__buffer_span(&upload->bytes), sent)};
        piece.bytes.length = length;
        if (!azfn__ask_append_piece(azfn__frame_writer_out(writer), AZFN__FRAME_REQUEST_BODY, &piece)) {
            break; /* no memory: the invocation ends by its deadline */
        }
        sent += length;
        upload->credit_bytes -= length;
        upload->is_sent = is_last;
    }
    azfn__buffer_consume(&upload->bytes, sent);
}
