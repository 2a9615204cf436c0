/* Any bytes on the channel, in pieces: the reader gives frames or says that there are none, and a log frame that
 * was decoded is what its event may say, and the same bytes after another round. The first byte says how large the
 * pieces are. */
#include "base/span.h"
#include "channel/frame.h"

#include "fuzz/check.h"

#include <string.h>

static void check_log(const struct azfn__log_frame *log, struct azfn_span payload)
{
    struct azfn__buffer out;
    const struct azfn__security_event_info *info = azfn__security_event_info(log->event);
    CHECK(log->event < AZFN__EVENT_COUNT && log->level <= AZFN_LOG_ERROR && info->source != AZFN__SOURCE_BROKER);
    CHECK(log->event == AZFN__EVENT_NONE || log->level == info->level);
    CHECK((azfn__event_fields_set(&log->fields) & ~info->fields) == 0);
    azfn__buffer_init(&out, (size_t)64 << 10);
    azfn__frame_append_log(&out, log);
    struct azfn_span again = azfn__span_from(azfn__buffer_span(&out), AZFN__FRAME_HEADER_BYTES);
    CHECK(out.length > AZFN__FRAME_HEADER_BYTES && out.data[4] == AZFN__FRAME_LOG);
    if (azfn__span_equal(azfn__event_url_shown(log->fields.request_uri), log->fields.request_uri)) {
        CHECK(azfn__span_equal(again, payload));
    } else {
        /* what azfn would not have sent of it is gone now */
        CHECK(again.length < payload.length);
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
                check_log(&log, frame.payload);
            }
        }
    }
    azfn__frame_reader_clean_up(&reader);
    return 0;
}
