/* tests/unit/worker_log.h
 * What the broker of http_worker.h was told, frame by frame; include it behind that. */
#ifndef TESTS_UNIT_WORKER_LOG_H
#define TESTS_UNIT_WORKER_LOG_H

#include "channel/frame.h"

struct log_reader {
    struct azfn__frame_reader frames;
    struct azfn__log_frame log; /* the last one; valid until the next */
};

static inline void start_reading(struct log_reader *reader)
{
    azfn__frame_reader_init(&reader->frames);
}

static inline void stop_reading(struct log_reader *reader)
{
    azfn__frame_reader_clean_up(&reader->frames);
}

/* False: nothing has come. */
static inline bool read_log(struct fixture *fixture, struct log_reader *reader)
{
    struct azfn__frame frame;
    char bytes[65536];
    while (azfn__frame_reader_next(&reader->frames, &frame) != AZFN_OK) {
        ssize_t count = read(fixture->broker_end, bytes, sizeof(bytes));
        if (count <= 0) {
            return false;
        }
        assert_true(azfn__frame_reader_feed(&reader->frames, bytes, (size_t)count));
    }
    assert_int_equal(frame.type, AZFN__FRAME_LOG);
    assert_true(azfn__frame_decode_log(frame.payload, &reader->log));
    return true;
}

static inline void await_log(struct fixture *fixture, struct log_reader *reader)
{
    while (!read_log(fixture, reader)) {
        assert_false(fixture->is_late);
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
}

static inline void require_no_log(struct fixture *fixture, struct log_reader *reader)
{
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    if (read_log(fixture, reader)) {
        fail_msg("expected nothing, found %.*s", AZFN_SPAN_ARGS(reader->log.text));
    }
}

static inline enum azfn_log_level level_of(const struct azfn__log_frame *log)
{
    return log->event == AZFN__EVENT_NONE ? log->level : azfn__security_event_info(log->event)->level;
}

static inline bool span_is(struct azfn_span span, const char *text)
{
    return azfn__span_equal(span, azfn_span_of(text));
}

/* An event or a line: the next one is about this function ("": none), and begins with text. */
static inline void require_log(struct fixture *fixture, struct log_reader *reader, enum azfn_log_level level,
                               const char *function, const char *text)
{
    await_log(fixture, reader);
    if (!azfn__span_starts_with(reader->log.text, azfn_span_of(text))) {
        fail_msg("expected %s, found %.*s", text, AZFN_SPAN_ARGS(reader->log.text));
    }
    assert_int_equal(level_of(&reader->log), level);
    assert_true(span_is(reader->log.fields.function, function));
}

static inline void require_is(const struct log_reader *reader, enum azfn__security_event event)
{
    const char *name = azfn__security_event_info(reader->log.event)->name;
    if (reader->log.event != event) {
        fail_msg("expected %s, found %s: %.*s", azfn__security_event_info(event)->name, name ? name : "no event",
                 AZFN_SPAN_ARGS(reader->log.text));
    }
}

static inline void require_event(struct fixture *fixture, struct log_reader *reader, enum azfn__security_event event)
{
    await_log(fixture, reader);
    require_is(reader, event);
}

#endif
