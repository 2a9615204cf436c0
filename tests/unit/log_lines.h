/* unit/log_lines.h
 * A log sink whose lines, of both streams, come out again for a test to look at. After cmocka.h. */
#ifndef TESTS_UNIT_LOG_LINES_H
#define TESTS_UNIT_LOG_LINES_H

#include "broker/log_sink.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct log_lines {
    struct azfn__log_sink sink; /* not attached to a loop */
    int in;
    int out;
    char text[65536];
    size_t length;
};

static void set_up_log_lines(struct log_lines *lines)
{
    int ends[2];
    memset(lines, 0, sizeof(*lines));
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    azfn__log_sink_init(&lines->sink);
    lines->out = ends[0];
    lines->in = ends[1];
    lines->sink.streams[0].fd = ends[1];
    lines->sink.streams[1].fd = ends[1];
}

/* How often wanted stands in what was logged until now. */
static size_t count_of(struct log_lines *lines, const char *wanted)
{
    size_t count = 0;
    ssize_t length;
    while ((length = read(lines->out, lines->text + lines->length, sizeof(lines->text) - 1 - lines->length)) > 0) {
        lines->length += (size_t)length;
    }
    for (const char *at = lines->text; (at = strstr(at, wanted)); at++) {
        count++;
    }
    return count;
}

static inline void forget_log_lines(struct log_lines *lines)
{
    (void)count_of(lines, "\n");
    memset(lines->text, 0, lines->length);
    lines->length = 0;
}

/* How often the event has happened, by what was logged: each line stands for its count, or for one. */
static inline uint64_t occurrences_of(struct log_lines *lines, const char *event)
{
    char wanted[96];
    uint64_t occurrences = 0;
    (void)snprintf(wanted, sizeof(wanted), "\"event\":\"%s\"", event);
    (void)count_of(lines, wanted);
    for (const char *at = lines->text; (at = strstr(at, wanted)); at++) {
        const char *end = strchr(at, '\n');
        const char *count = strstr(at, "\"count\":");
        occurrences += count && count < end ? strtoull(count + strlen("\"count\":"), NULL, 10) : 1;
    }
    return occurrences;
}

static void clean_up_log_lines(struct log_lines *lines)
{
    for (int i = 0; i < 2; i++) {
        azfn__buffer_clean_up(&lines->sink.streams[i].pending);
    }
    azfn__buffer_clean_up(&lines->sink.line);
    close(lines->in);
    close(lines->out);
}

#endif
