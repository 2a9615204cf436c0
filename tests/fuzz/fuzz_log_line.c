/* Any text in a log line: one line, valid JSON, no Warning out of an Error, bounded. */
#include "base/json_scan.h"
#include "base/log_line.h"
#include "base/span.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t half = 2 + (size - 2) / (1 + data[1] % 4);
    struct azfn__log_entry entry = {.level = (enum azfn_log_level)(data[0] % 3),
                                    .origin = (enum azfn__log_origin)(data[0] / 3 % 4),
                                    .description = azfn__span(data + 2, half - 2),
                                    .function = azfn__span(data + half, size - half),
                                    .invocation_id = azfn__span(data + 2, half - 2),
                                    .event = azfn__span(data + half, size - half),
                                    .app_id = azfn__span("app", 3)};
    struct azfn__buffer line;
    azfn__buffer_init(&line, AZFN__LOG_LINE_MAX_BYTES * 2);
    azfn__log_line_append(&line, &entry);
    struct azfn_span text = azfn__buffer_span(&line);
    if (line.has_failed || text.length > AZFN__LOG_LINE_MAX_BYTES || text.data[0] != '{' ||
        memchr(text.data, '\n', text.length) != text.data + text.length - 1 || memchr(text.data, '\r', text.length)) {
        abort();
    }
    text.length--;
    if (azfn__json_scan(text, NULL, NULL) != AZFN_OK) {
        abort();
    }
    for (size_t i = 0; entry.level == AZFN_LOG_ERROR && i + 4 <= text.length; i++) {
        if (azfn__span_equal_ignore_case(azfn__span(text.data + i, 4), AZFN__SPAN("warn"))) {
            abort();
        }
    }
    azfn__buffer_clean_up(&line);
    return 0;
}
