#include "worker/http_chunk_guard.h"

/* Chunks of one byte need five bytes of framing: honest senders stay far below this. */
#define FRAMING_BASE_BYTES ((uint64_t)16 << 10)
#define FRAMING_PER_BODY_BYTE ((uint64_t)8)

static bool is_framing_full(const struct azfn__http_chunk_guard *guard)
{
    return guard->framing_bytes >= FRAMING_BASE_BYTES &&
           (guard->framing_bytes - FRAMING_BASE_BYTES) / FRAMING_PER_BODY_BYTE >= guard->body_bytes;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
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
        return is_hex(c) ? NULL : "a chunk size that is no number";
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

static const char *check_byte(struct azfn__http_chunk_guard *guard, char c)
{
    if (is_framing_full(guard)) {
        return "too many bytes of chunk extensions and trailers";
    }
    if (guard->is_after_cr != (c == '\n')) {
        return c == '\n' ? "LF without CR in chunked framing" : "CR without LF in chunked framing";
    }
    if (c == '\r' || c == '\n') {
        guard->is_after_cr = c == '\r';
        return NULL;
    }
    const char *complaint = complaint_about(guard, c);
    guard->is_inside_line = true;
    return complaint;
}

size_t azfn__http_chunk_guard_scan(struct azfn__http_chunk_guard *guard, const char *data, size_t length,
                                   struct azfn__http_refusal *out_refusal)
{
    for (size_t i = 0; i < length; i++) {
        const char *complaint = check_byte(guard, data[i]);
        if (complaint) {
            *out_refusal = azfn__http_refuse(400, complaint);
            return i;
        }
        guard->framing_bytes++;
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
