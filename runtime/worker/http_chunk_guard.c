#include "worker/http_chunk_guard.h"

#include "base/ascii.h"

/* Chunks of one byte need five bytes of framing: honest senders stay far below this. */
#define FRAMING_BASE_BYTES ((uint64_t)16 << 10)
#define FRAMING_PER_BODY_BYTE ((uint64_t)8)

static bool is_framing_full(const struct azfn__http_chunk_guard *guard)
{
    return guard->framing_bytes > FRAMING_BASE_BYTES &&
           (guard->framing_bytes - FRAMING_BASE_BYTES - 1) / FRAMING_PER_BODY_BYTE >= guard->body_bytes;
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

/* A byte that is neither CR nor LF. */
static const char *complaint_about(struct azfn__http_chunk_guard *guard, char c)
{
    switch (guard->place) {
    case AZFN__HTTP_CHUNK_SIZE:
        if (c == ';' && guard->is_inside_line) {
            guard->place = AZFN__HTTP_CHUNK_EXTENSION;
            return NULL;
        }
        return azfn__is_hex(c) ? NULL : "a chunk size that is no number";
    case AZFN__HTTP_CHUNK_DATA_END:
        return "a chunk longer than its size";
    case AZFN__HTTP_CHUNK_TRAILER:
        if (!guard->is_inside_line && (c == ' ' || c == '\t')) {
            return "a folded trailer line";
        }
        if (!guard->is_inside_line && c == ':') {
            return "a trailer without a name";
        }
        return is_control(c) ? "a control character in a trailer" : NULL;
    case AZFN__HTTP_CHUNK_EXTENSION:
    case AZFN__HTTP_CHUNK_DATA:
    default:
        return is_control(c) ? "a control character in a chunk extension" : NULL;
    }
}

static struct azfn__http_fault count_byte(struct azfn__http_chunk_guard *guard, bool is_line_end)
{
    if (guard->place == AZFN__HTTP_CHUNK_EXTENSION && !is_line_end) {
        return ++guard->extension_bytes > guard->max_extension_bytes
                   ? azfn__http_beyond(AZFN__HTTP_LIMIT_CHUNK_EXTENSION_BYTES, 400,
                                       "more bytes of chunk extensions than the limit")
                   : AZFN__HTTP_NO_FAULT;
    }
    if (guard->place == AZFN__HTTP_CHUNK_TRAILER && guard->is_inside_line) {
        return ++guard->trailer_bytes > guard->max_trailer_bytes
                   ? azfn__http_beyond(AZFN__HTTP_LIMIT_TRAILER_BYTES, 431,
                                       "more bytes of trailers than the limit")
                   : AZFN__HTTP_NO_FAULT;
    }
    guard->framing_bytes++;
    return is_framing_full(guard) ? azfn__http_fault_of(400, "more bytes of chunk sizes than of chunks")
                                  : AZFN__HTTP_NO_FAULT;
}

static struct azfn__http_fault check_byte(struct azfn__http_chunk_guard *guard, char c)
{
    bool is_line_end = c == '\r' || c == '\n';
    if (guard->is_after_cr != (c == '\n')) {
        return azfn__http_fault_of(
            400, c == '\n' ? "LF without CR in chunked framing" : "CR without LF in chunked framing");
    }
    guard->is_after_cr = c == '\r';
    if (!is_line_end) {
        const char *complaint = complaint_about(guard, c);
        if (complaint) {
            return azfn__http_fault_of(400, complaint);
        }
        guard->is_inside_line = true;
    }
    return count_byte(guard, is_line_end);
}

size_t azfn__http_chunk_guard_scan(struct azfn__http_chunk_guard *guard, const char *data, size_t length,
                                   struct azfn__http_fault *out_fault)
{
    for (size_t i = 0; i < length; i++) {
        *out_fault = check_byte(guard, data[i]);
        if (out_fault->status != 0) {
            return i;
        }
        if (data[i] == '\n') {
            guard->is_inside_line = false;
            if (guard->place == AZFN__HTTP_CHUNK_DATA_END) {
                guard->place = AZFN__HTTP_CHUNK_SIZE;
            }
            return i + 1;
        }
    }
    return length;
}

void azfn__http_chunk_guard_begin_chunk(struct azfn__http_chunk_guard *guard, uint64_t chunk_bytes)
{
    guard->data_left = chunk_bytes;
    guard->place = chunk_bytes > 0 ? AZFN__HTTP_CHUNK_DATA : AZFN__HTTP_CHUNK_TRAILER;
}

void azfn__http_chunk_guard_take_data(struct azfn__http_chunk_guard *guard, size_t length)
{
    guard->data_left -= length;
    guard->body_bytes += length;
    if (guard->data_left == 0) {
        guard->place = AZFN__HTTP_CHUNK_DATA_END;
    }
}
