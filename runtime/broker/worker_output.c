#include "broker/worker_output.h"

#include <string.h>

#define LINE_MAX_BYTES ((size_t)4096)

void azfn__worker_output_init(struct azfn__worker_output *output, struct azfn__log_sink *log,
                              enum azfn__log_origin origin)
{
    *output = (struct azfn__worker_output){
        .log = log,
        .level = origin == AZFN__ORIGIN_WORKER_STDOUT ? AZFN_LOG_INFORMATION : AZFN_LOG_ERROR,
        .origin = origin};
    azfn__buffer_init(&output->line, LINE_MAX_BYTES);
}

void azfn__worker_output_clean_up(struct azfn__worker_output *output)
{
    azfn__buffer_clean_up(&output->line);
}

static void emit_line(struct azfn__worker_output *output, bool is_cut)
{
    static const char mark[] = AZFN__LOG_CUT_MARK;
    if (is_cut) {
        memcpy(output->line.data + output->line.length - (sizeof(mark) - 1), mark, sizeof(mark) - 1);
    }
    if (output->line.length > 0) {
        azfn__log_sink_write(output->log, (struct azfn__log_entry){.level = output->level,
                                                                   .origin = output->origin,
                                                                   .description = azfn__buffer_span(&output->line)});
    }
    output->is_skipping = is_cut;
    azfn__buffer_reset(&output->line, LINE_MAX_BYTES);
}

void azfn__worker_output_take(struct azfn__worker_output *output, struct azfn_span bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.data[i] == '\n' || bytes.data[i] == '\r') {
            if (!output->is_skipping) {
                emit_line(output, false);
            }
            output->is_skipping = false;
        } else if (!output->is_skipping) {
            azfn__buffer_append_char(&output->line, bytes.data[i]);
            if (output->line.length == LINE_MAX_BYTES) {
                emit_line(output, true);
            }
        }
    }
}

void azfn__worker_output_end(struct azfn__worker_output *output)
{
    emit_line(output, false);
}
