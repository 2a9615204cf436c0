/* tests/unit/worker_log.h
 * What the broker of http_worker.h was told, frame by frame; include it behind that. */
#ifndef TESTS_UNIT_WORKER_LOG_H
#define TESTS_UNIT_WORKER_LOG_H

#include "channel/frame.h"

static struct azfn__log_frame last_log; /* valid until the next one is read */

/* False: nothing has come. */
static inline bool read_log(void)
{
    struct azfn__frame frame;
    char bytes[65536];
    while (azfn__frame_reader_next(&fixture.told, &frame) != AZFN_OK) {
        ssize_t count = read(fixture.broker_end, bytes, sizeof(bytes));
        if (count <= 0) {
            return false;
        }
        assert_true(azfn__frame_reader_feed(&fixture.told, bytes, (size_t)count));
    }
    assert_int_equal(frame.type, AZFN__FRAME_LOG);
    assert_true(azfn__frame_decode_log(frame.payload, &last_log));
    return true;
}

static inline void await_log(void)
{
    while (!read_log()) {
        assert_false(is_late);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static inline void require_no_log(void)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    if (read_log()) {
        fail_msg("expected nothing, found %.*s", AZFN_SPAN_ARGS(last_log.text));
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
static inline void require_log(enum azfn_log_level level, const char *function, const char *text)
{
    await_log();
    if (!azfn__span_starts_with(last_log.text, azfn_span_of(text))) {
        fail_msg("expected %s, found %.*s", text, AZFN_SPAN_ARGS(last_log.text));
    }
    assert_int_equal(level_of(&last_log), level);
    assert_true(span_is(last_log.fields.function, function));
}

static inline void require_is(enum azfn__security_event event)
{
    const char *name = azfn__security_event_info(last_log.event)->name;
    if (last_log.event != event) {
        fail_msg("expected %s, found %s: %.*s", azfn__security_event_info(event)->name, name ? name : "no event",
                 AZFN_SPAN_ARGS(last_log.text));
    }
}

static inline void require_event(enum azfn__security_event event)
{
    await_log();
    require_is(event);
}

#endif
