/* Any bytes on the channel, in pieces: the reader gives frames or says that there are none, and a log frame that
 * was decoded is the same after another round. The first byte says how large the pieces are. */
#include "base/span.h"
#include "channel/frame.h"

#include <stdlib.h>
#include <string.h>

static void round_trip(const struct azfn__log_frame *log, struct azfn_span original)
{
    struct azfn__buffer out;
    struct azfn__log_frame again;
    azfn__buffer_init(&out, (size_t)64 << 10);
    azfn__frame_append_log(&out, log);
    struct azfn_span payload = azfn__buffer_span(&out);
    payload.data += AZFN__FRAME_HEADER_BYTES;
    payload.length -= AZFN__FRAME_HEADER_BYTES;
    if (!azfn__frame_decode_log(payload, &again) || again.level != log->level ||
        again.text.length > log->text.length) {
        abort();
    }
    /* there is one way only to write what is not cut */
    bool is_cut = log->event.length > 256 || log->function.length > 128 || log->invocation_id.length > 128;
    if (!is_cut && !azfn__span_equal(payload, original)) {
        abort();
    }
    azfn__buffer_clean_up(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct azfn__frame_reader reader;
    struct azfn__frame frame;
    struct azfn__log_frame log;
    if (size == 0) {
        return 0;
    }
    size_t piece = data[0] == 0 ? size : data[0];
    azfn__frame_reader_init(&reader);
    enum azfn_error error = AZFN_ERROR_UNAVAILABLE;
    for (size_t at = 1; at < size && error == AZFN_ERROR_UNAVAILABLE; at += piece) {
        size_t length = size - at < piece ? size - at : piece;
        if (!azfn__frame_reader_feed(&reader, data + at, length)) {
            break;
        }
        while ((error = azfn__frame_reader_next(&reader, &frame)) == AZFN_OK) {
            if (azfn__frame_decode_log(frame.payload, &log)) {
                round_trip(&log, frame.payload);
            }
        }
    }
    azfn__frame_reader_clean_up(&reader);
    return 0;
}
