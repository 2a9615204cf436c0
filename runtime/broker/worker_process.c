#include "broker/worker_process.h"

#include "base/span.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One thread, and libuv hands a buffer back before it asks for the next: so one is enough for all pipes. */
static char read_buffer[(size_t)64 << 10];

static void on_allocate(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out_buffer)
{
    (void)handle;
    (void)suggested_size;
    *out_buffer = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void free_when_closed(struct azfn__worker_process *worker)
{
    if (worker->open_handles > 0 || !worker->is_closing) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        azfn__worker_output_clean_up(&worker->outputs[i].text);
    }
    azfn__frame_reader_clean_up(&worker->reader);
    azfn__flight_record_unmap(worker->flight_record);
    free(worker);
}

static void on_closed(uv_handle_t *handle)
{
    struct azfn__worker_process *worker = handle->data;
    worker->open_handles--;
    free_when_closed(worker);
}

static void close_pipe(uv_pipe_t *pipe)
{
    if (!uv_is_closing((uv_handle_t *)pipe)) {
        uv_close((uv_handle_t *)pipe, on_closed);
    }
}

static void on_output(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct azfn__worker_process *worker = stream->data;
    const int which = (uv_pipe_t *)stream == &worker->outputs[0].pipe ? 0 : 1;
    if (count > 0) {
        azfn__worker_output_take(&worker->outputs[which].text, azfn__span(buffer->base, (size_t)count));
    } else if (count < 0) {
        azfn__worker_output_end(&worker->outputs[which].text);
        close_pipe(&worker->outputs[which].pipe);
    }
}

static bool take_log(struct azfn__worker_process *worker, struct azfn_span payload)
{
    struct azfn__log_frame log;
    if (!azfn__frame_decode_log(payload, &log)) {
        return false;
    }
    azfn__log_sink_write(worker->log, (struct azfn__log_entry){.event = log.event,
                                                               .level = log.level,
                                                               .origin = AZFN__ORIGIN_WORKER,
                                                               .fields = log.fields,
                                                               .description = log.text});
    return true;
}

static void on_writer_closed(uv_handle_t *handle)
{
    const struct azfn__frame_writer *writer = handle->data;
    struct azfn__worker_process *worker = writer->user_data;
    worker->open_handles--;
    free_when_closed(worker);
}

/* Nobody is there any more to answer to. */
static void close_channel(struct azfn__worker_process *worker)
{
    if (uv_is_closing((uv_handle_t *)&worker->channel)) {
        return;
    }
    azfn__worker_asks_destroy(worker->asks);
    worker->asks = NULL;
    close_pipe(&worker->channel);
    if (worker->next_turn.type == UV_IDLE) {
        uv_close((uv_handle_t *)&worker->next_turn, on_closed);
    }
    if (worker->writer.prepare.type == UV_PREPARE) {
        azfn__frame_writer_close(&worker->writer, on_writer_closed);
    }
}

static void lose(struct azfn__worker_process *worker, const char *reason)
{
    /* the kill goes out first: a closed channel would have the worker end by itself, as if in order */
    if (!worker->is_closing) {
        worker->callbacks.on_lost(worker, reason, worker->callbacks.user_data);
    }
    close_channel(worker);
}

static bool is_ask(enum azfn__frame_type type)
{
    return type >= AZFN__FRAME_SECRET_ASK && type <= AZFN__FRAME_REQUEST_CANCEL;
}

/* False: it is malformed. */
static bool take_ask(struct azfn__worker_process *worker, const struct azfn__frame *frame)
{
    if (worker->has_ended) {
        return true;
    }
    if (!worker->asks) {
        worker->asks = azfn__worker_asks_new(worker->services, &worker->writer);
    }
    return !worker->asks || azfn__worker_asks_take(worker->asks, frame);
}

static bool take_frame(struct azfn__worker_process *worker, const struct azfn__frame *frame)
{
    if (frame->type == AZFN__FRAME_LOG) {
        return take_log(worker, frame->payload);
    }
    return is_ask(frame->type) ? take_ask(worker, frame)
                               : worker->callbacks.on_frame(worker, frame, worker->callbacks.user_data);
}

/* It may ask for more than it reads: then it has to wait. */
static bool is_behind(struct azfn__worker_process *worker)
{
    worker->is_behind = azfn__frame_writer_is_behind(&worker->writer) && !worker->has_ended;
    return worker->is_behind;
}

static void on_channel(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer);

/* Those that were read, until it is behind. */
static void take_frames(struct azfn__worker_process *worker)
{
    struct azfn__frame frame;
    enum azfn_error error = AZFN_OK;
    while (!is_behind(worker) && (error = azfn__frame_reader_next(&worker->reader, &frame)) == AZFN_OK) {
        if (!take_frame(worker, &frame)) {
            error = AZFN_ERROR_SYNTAX;
            break;
        }
        if (uv_is_closing((uv_handle_t *)&worker->channel)) {
            return;
        }
    }
    if (worker->is_behind) {
        uv_read_stop((uv_stream_t *)&worker->channel);
    } else if (error != AZFN_ERROR_UNAVAILABLE) {
        lose(worker, "it sent a malformed frame");
    } else {
        azfn__frame_reader_wipe(&worker->reader);
    }
}

/* data is wiped: a function may have put a secret into the body of a request. */
static void take_bytes(struct azfn__worker_process *worker, char *data, size_t length)
{
    bool is_taken = azfn__frame_reader_feed(&worker->reader, data, length);
    sodium_memzero(data, length);
    if (is_taken) {
        take_frames(worker);
    } else {
        lose(worker, "it sent more than a frame can hold");
    }
}

static void on_next_turn(uv_idle_t *idle)
{
    struct azfn__worker_process *worker = idle->data;
    uv_idle_stop(idle);
    if (!worker->is_behind) {
        uv_read_start((uv_stream_t *)&worker->channel, on_allocate, on_channel);
    }
}

/* libuv would read on as long as there is something: one worker must not keep the loop from all others. */
static void leave_the_rest(struct azfn__worker_process *worker)
{
    if (!worker->is_behind && !uv_is_closing((uv_handle_t *)&worker->channel)) {
        uv_read_stop((uv_stream_t *)&worker->channel);
        uv_idle_start(&worker->next_turn, on_next_turn);
    }
}

static void on_channel(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct azfn__worker_process *worker = stream->data;
    if (count > 0) {
        take_bytes(worker, buffer->base, (size_t)count);
        if ((size_t)count == buffer->len) {
            leave_the_rest(worker);
        }
    } else if (count < 0) {
        lose(worker, NULL);
    }
}

/* It has read everything: what it was kept waiting with goes on. */
static void on_sent(void *user_data)
{
    struct azfn__worker_process *worker = user_data;
    if (uv_is_closing((uv_handle_t *)&worker->channel) || worker->writer.has_failed) {
        return;
    }
    if (worker->asks) {
        azfn__worker_asks_resume(worker->asks);
    }
    if (!worker->is_behind) {
        return;
    }
    take_frames(worker);
    if (!worker->is_behind && !uv_is_closing((uv_handle_t *)&worker->channel)) {
        uv_read_start((uv_stream_t *)&worker->channel, on_allocate, on_channel);
    }
}

static bool open_pipe(uv_loop_t *loop, struct azfn__worker_process *worker, uv_pipe_t *pipe, int *fd,
                      uv_read_cb on_read)
{
    if (uv_pipe_init(loop, pipe, 0) != 0) {
        return false;
    }
    pipe->data = worker;
    worker->open_handles++;
    if (uv_pipe_open(pipe, *fd) != 0) {
        return false;
    }
    *fd = -1; /* the handle's now */
    return uv_read_start((uv_stream_t *)pipe, on_allocate, on_read) == 0;
}

/* ours[] and theirs[]: stdout, stderr, channel. */
static bool make_streams(int ours[3], int theirs[3])
{
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) {
            return false;
        }
        ours[i] = ends[0];
        theirs[i] = ends[1];
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return false;
    }
    ours[2] = ends[0];
    theirs[2] = ends[1];
    return true;
}

static void close_all(int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (descriptors[i] >= 0) {
            close(descriptors[i]);
        }
    }
}

enum azfn_error azfn__worker_process_start(const struct azfn__worker_process_options *options,
                                           struct azfn__worker_process **out_worker)
{
    uv_loop_t *loop = options->loop;
    int ours[3] = {-1, -1, -1};
    int theirs[3] = {-1, -1, -1};
    int flight = -1;
    enum azfn_error result = AZFN_ERROR_SYSTEM;
    struct azfn__worker_process *worker = calloc(1, sizeof(*worker));
    if (!worker) {
        return AZFN_ERROR_NO_MEMORY;
    }
    worker->log = options->log;
    worker->callbacks = options->callbacks;
    worker->services = options->services;
    azfn__frame_reader_init(&worker->reader);
    azfn__worker_output_init(&worker->outputs[0].text, options->log, AZFN__ORIGIN_WORKER_STDOUT);
    azfn__worker_output_init(&worker->outputs[1].text, options->log, AZFN__ORIGIN_WORKER_STDERR);
    flight = azfn__flight_record_create();
    worker->flight_record = flight < 0 ? NULL : azfn__flight_record_map(flight);
    if (!worker->flight_record || !make_streams(ours, theirs) ||
        !open_pipe(loop, worker, &worker->outputs[0].pipe, &ours[0], on_output) ||
        !open_pipe(loop, worker, &worker->outputs[1].pipe, &ours[1], on_output) ||
        !open_pipe(loop, worker, &worker->channel, &ours[2], on_channel) ||
        uv_idle_init(loop, &worker->next_turn) != 0) {
        goto cleanup;
    }
    worker->next_turn.data = worker;
    worker->open_handles++;
    worker->started_at_ms = uv_now(loop);
    if (azfn__frame_writer_init(&worker->writer, loop, (uv_stream_t *)&worker->channel) != AZFN_OK) {
        goto cleanup;
    }
    worker->open_handles++;
    worker->writer.on_sent = on_sent;
    worker->writer.user_data = worker;
    worker->flight_record->suspects = *options->suspects;
    const int passed[AZFN__WORKER_PASSED_DESCRIPTORS] = {theirs[0],         theirs[1], options->listener, theirs[2],
                                                         options->config_fd, flight};
    result = azfn__launcher_start(options->launcher, passed);

cleanup:;
    int error = errno;
    close_all(ours, 3);
    close_all(theirs, 3);
    close_all(&flight, 1);
    if (result == AZFN_OK) {
        *out_worker = worker;
    } else {
        azfn__worker_process_close(worker);
    }
    errno = error;
    return result;
}

void azfn__worker_process_send(struct azfn__worker_process *worker, enum azfn__frame_type type)
{
    if (!uv_is_closing((uv_handle_t *)&worker->channel)) {
        azfn__frame_append(azfn__frame_writer_out(&worker->writer), type, azfn__span("", 0));
        azfn__frame_writer_flush(&worker->writer);
    }
}

void azfn__worker_process_read_rest(struct azfn__worker_process *worker)
{
    uv_os_fd_t fd;
    if (worker->has_ended && worker->is_behind) {
        take_frames(worker); /* what it had to wait with: the buffer is too small for more */
    }
    for (int reads = 0; reads < 64; reads++) {
        if (uv_is_closing((uv_handle_t *)&worker->channel) || uv_fileno((uv_handle_t *)&worker->channel, &fd) != 0) {
            return;
        }
        ssize_t count = read(fd, read_buffer, sizeof(read_buffer));
        if (count <= 0) {
            return;
        }
        take_bytes(worker, read_buffer, (size_t)count);
    }
}

/* The process is dead: what it wrote before is in the pipes, and end of file behind it. */
static void read_rest(struct azfn__worker_output *output, const uv_pipe_t *pipe)
{
    uv_os_fd_t fd;
    if (uv_is_closing((const uv_handle_t *)pipe) || uv_fileno((const uv_handle_t *)pipe, &fd) != 0) {
        return;
    }
    for (int reads = 0; reads < 16; reads++) {
        ssize_t count = read(fd, read_buffer, sizeof(read_buffer));
        if (count <= 0) {
            break;
        }
        azfn__worker_output_take(output, azfn__span(read_buffer, (size_t)count));
    }
    azfn__worker_output_end(output);
}

void azfn__worker_process_close(struct azfn__worker_process *worker)
{
    worker->is_closing = true;
    uv_pipe_t *const pipes[] = {&worker->outputs[0].pipe, &worker->outputs[1].pipe, &worker->channel};
    for (size_t i = 0; i < 3; i++) {
        if (pipes[i]->type == UV_NAMED_PIPE) {
            if (i < 2) {
                read_rest(&worker->outputs[i].text, pipes[i]);
                close_pipe(pipes[i]);
            } else {
                close_channel(worker);
            }
        }
    }
    free_when_closed(worker);
}
