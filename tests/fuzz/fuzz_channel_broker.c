/* fuzz/fuzz_channel_broker.c
 * What a worker in an attacker's hands can do to the broker: any bytes on the channel, on stdout and on stderr, in any
 * pieces, with this file in the places of launcher and supervisor. Frames come out as they were cut by hand, a
 * worker is lost once, and everything that reaches the host's pipes has to be a whole line of JSON; no Error may look
 * like a Warning. What it asks for is answered at most once, never with a credential that it may not have, and never
 * with much more than it reads. */
#include "base/json_scan.h"
#include "base/span.h"
#include "broker/death_report.h"
#include "broker/launcher_process.h"
#include "broker/worker_process.h"
#include "fuzz/broker_services.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#define PID 4711
#define LINES_BYTES ((size_t)1 << 20)
#define CHANNEL 3 /* of worker_ends */
#define ID_COUNT 16
#define TRACE_PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define MAX_PENDING_BYTES ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    bool is_made;
    uv_loop_t loop;
    struct azfn__launcher launcher;
    int launcher_end;
    int worker_ends[AZFN__WORKER_PASSED_DESCRIPTORS]; /* kept, since the broker would see their end */
    size_t worker_end_count;
    struct azfn__log_sink log;
    int lines[2]; /* what the host would read of stdout and stderr */
    struct azfn__worker_process *worker;
    struct azfn__suspects suspects;
    unsigned losses;
    size_t frames;             /* other than log lines */
    struct azfn__buffer bytes; /* all that came on the channel until the loss */
} world;

/* What the worker was told. */
static struct {
    struct azfn__frame_reader reader;
    size_t secrets;
    size_t ends;                          /* of requests */
    struct azfn__buffer bodies[ID_COUNT]; /* of the ids that are looked at */
} told;

static bool on_frame(struct azfn__worker_process *worker, const struct azfn__frame *frame, void *user_data)
{
    (void)user_data;
    CHECK(worker == world.worker && frame->type != AZFN__FRAME_LOG && world.losses == 0);
    CHECK(frame->payload.length <= AZFN__FRAME_MAX_PAYLOAD_BYTES);
    world.frames++;
    if (frame->type == AZFN__FRAME_FAULT) {
        azfn__log_sink_write(&world.log, (struct azfn__log_entry){.event = AZFN__EVENT_WORKER_START_CRASH,
                                                                  .origin = AZFN__ORIGIN_WORKER,
                                                                  .description = frame->payload});
    }
    return true;
}

static void on_lost(struct azfn__worker_process *worker, const char *reason, void *user_data)
{
    (void)user_data;
    CHECK(worker == world.worker && reason && reason[0]);
    world.losses++;
}

static void drop_worker_ends(void)
{
    for (size_t i = 0; i < world.worker_end_count; i++) {
        close(world.worker_ends[i]);
    }
    world.worker_end_count = 0;
}

/* The next command, with the descriptors that a worker would have. False: there is none. */
static bool take_command(struct azfn__launcher_command *out_command)
{
    struct iovec part = {.iov_base = out_command, .iov_len = sizeof(*out_command)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(world.worker_ends))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    if (recvmsg(world.launcher_end, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*out_command)) {
        return false;
    }
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header) {
        drop_worker_ends();
        world.worker_end_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(world.worker_ends, CMSG_DATA(header), world.worker_end_count * sizeof(int));
    }
    return true;
}

static void turn(void)
{
    uv_run(&world.loop, UV_RUN_NOWAIT);
}

static void make_world(void)
{
    int ends[2];
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && uv_loop_init(&world.loop) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    world.launcher = (struct azfn__launcher){.pid = -1, .fd = ends[0]};
    world.launcher_end = ends[1];
    azfn__buffer_init(&world.bytes, (size_t)64 << 20);
    azfn__log_sink_init(&world.log);
    for (int i = 0; i < 2; i++) {
        CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0 && fcntl(ends[1], F_SETPIPE_SZ, (int)LINES_BYTES) > 0);
        world.lines[i] = ends[0];
        world.log.streams[i].fd = ends[1];
    }
    CHECK(azfn__log_sink_attach(&world.log, &world.loop) == AZFN_OK);
    azfn__frame_reader_init(&told.reader);
    for (size_t i = 0; i < ID_COUNT; i++) {
        azfn__buffer_init(&told.bodies[i], (size_t)1 << 20);
    }
    make_services(&world.loop, &world.log);
    world.is_made = true;
}

static void start_worker(void)
{
    const struct azfn__worker_process_options options = {.loop = &world.loop,
                                                         .log = &world.log,
                                                         .services = &others.services,
                                                         .launcher = &world.launcher,
                                                         .listener = world.launcher_end,
                                                         .config_fd = world.launcher_end,
                                                         .suspects = &world.suspects,
                                                         .callbacks = {.on_frame = on_frame, .on_lost = on_lost}};
    struct azfn__launcher_command command;
    CHECK(azfn__worker_process_start(&options, &world.worker) == AZFN_OK);
    CHECK(take_command(&command) && command.kind == AZFN__LAUNCHER_START);
    CHECK(world.worker_end_count == AZFN__WORKER_PASSED_DESCRIPTORS);
    world.worker->pid = PID;
}

static void end_worker(void)
{
    world.worker->has_ended = true;
    azfn__worker_process_read_rest(world.worker);
    azfn__worker_process_close(world.worker);
    end_services();
    drop_worker_ends();
    turn();
    turn();
    make_services(&world.loop, &world.log);
    start_worker();
}

static bool has_warn(struct azfn_span line)
{
    for (size_t i = 0; i + 4 <= line.length; i++) {
        if (azfn__span_equal_ignore_case(azfn__span(line.data + i, 4), AZFN__SPAN("warn"))) {
            return true;
        }
    }
    return false;
}

static void check_line(struct azfn_span line, bool is_stdout)
{
    CHECK(line.length < AZFN__LOG_LINE_MAX_BYTES && line.length > 0 && line.data[0] == '{');
    CHECK(azfn__json_scan(line, NULL, NULL) == AZFN_OK && !memchr(line.data, '\r', line.length));
    struct azfn_span level = azfn__json_member(line, AZFN__SPAN("level"));
    CHECK(azfn__json_type_of(level) == AZFN__JSON_STRING);
    if (!is_stdout) {
        CHECK(has_warn(line) == has_warn(level));
    }
}

static void check_lines(bool is_stdout)
{
    static char bytes[LINES_BYTES];
    ssize_t count = read(world.lines[is_stdout ? 0 : 1], bytes, sizeof(bytes));
    CHECK(count > 0 || (count < 0 && errno == EAGAIN));
    struct azfn_span rest = azfn__span(bytes, count > 0 ? (size_t)count : 0);
    CHECK(rest.length == 0 || rest.data[rest.length - 1] == '\n');
    while (rest.length > 0) {
        const char *end = memchr(rest.data, '\n', rest.length);
        struct azfn_span line = azfn__span(rest.data, (size_t)(end - rest.data));
        check_line(line, is_stdout);
        rest = azfn__span_from(rest, line.length + 1);
    }
}

/* Its place among those that are looked at; ID_COUNT: it is not. */
static size_t place_of(const char *payload)
{
    const unsigned char *id = (const unsigned char *)payload;
    return id[0] < 4 && id[1] == 0 && id[2] < 4 && id[3] == 0 ? id[2] * (size_t)4 + id[0] : ID_COUNT;
}

static void check_secret(struct azfn_span payload)
{
    struct azfn__secret_answer answer;
    CHECK(azfn__ask_decode_secret_answer(payload, &answer));
    CHECK(answer.error != AZFN_OK || azfn__span_equal(answer.value, value_of(AZFN__SPAN("open"))));
    CHECK(answer.error == AZFN_OK || answer.value.length == 0);
    told.secrets++;
}

static void check_answer(const struct azfn__frame *frame)
{
    size_t place = frame->payload.length < 4 ? ID_COUNT : place_of(frame->payload.data);
    struct azfn__response_head head;
    struct azfn__ask_number number;
    CHECK(!has_text(frame->payload, TOKEN) && !has_text(frame->payload, INNER));
    switch (frame->type) {
    case AZFN__FRAME_SECRET:
        check_secret(frame->payload);
        break;
    case AZFN__FRAME_RESPONSE:
        CHECK(azfn__ask_decode_response(frame->payload, &head) && head.status >= 200);
        if (place < ID_COUNT) {
            azfn__buffer_reset(&told.bodies[place], 65536);
        }
        break;
    case AZFN__FRAME_RESPONSE_BODY:
        CHECK(frame->payload.length > 5);
        if (place < ID_COUNT) {
            azfn__buffer_append_span(&told.bodies[place], azfn__span_from(frame->payload, 5));
            CHECK(!has_text(azfn__buffer_span(&told.bodies[place]), TOKEN) &&
                  !has_text(azfn__buffer_span(&told.bodies[place]), INNER));
        }
        break;
    case AZFN__FRAME_RESPONSE_END:
        CHECK(azfn__ask_decode_number(frame->payload, &number) && number.number <= AZFN_ERROR_SYSTEM);
        told.ends++;
        break;
    default:
        CHECK(frame->type == AZFN__FRAME_REQUEST_WRITE && azfn__ask_decode_number(frame->payload, &number));
        break;
    }
}

static void read_answers(void)
{
    static char bytes[65536];
    struct azfn__frame frame;
    ssize_t count = recv(world.worker_ends[CHANNEL], bytes, sizeof(bytes), MSG_DONTWAIT);
    CHECK(count <= 0 || azfn__frame_reader_feed(&told.reader, bytes, (size_t)count));
    enum azfn_error error;
    while ((error = azfn__frame_reader_next(&told.reader, &frame)) == AZFN_OK) {
        check_answer(&frame);
    }
    CHECK(error == AZFN_ERROR_UNAVAILABLE);
}

/* As if it had come through the pipe, without the pipe: in memory of exactly its size. */
static void arrive(uv_pipe_t *pipe, struct input bytes)
{
    bool is_read = pipe != &world.worker->channel || !world.worker->is_behind;
    if (bytes.length == 0 || uv_is_closing((uv_handle_t *)pipe) || !is_read) {
        return;
    }
    char *copy = malloc(bytes.length);
    CHECK(copy != NULL);
    if (pipe == &world.worker->channel) {
        azfn__buffer_append(&world.bytes, bytes.data, bytes.length);
    }
    memcpy(copy, bytes.data, bytes.length);
    /* one more than came: a read that fills its buffer puts the next one off */
    const uv_buf_t buffer = uv_buf_init(copy, (unsigned)bytes.length + 1);
    pipe->read_cb((uv_stream_t *)pipe, (ssize_t)bytes.length, &buffer);
    free(copy);
    CHECK(azfn__frame_writer_pending_bytes(&world.worker->writer) < MAX_PENDING_BYTES);
}

/* A frame whose length is right, so that what is inside is looked at. */
static void arrive_frame(uv_pipe_t *channel, struct input *input)
{
    unsigned char frame[8 + 512] = {0};
    size_t wanted = take_word(input) % 512;
    frame[4] = (unsigned char)take_byte(input);
    const struct input payload = take_bytes(input, wanted);
    frame[0] = (unsigned char)(payload.length & 0xff);
    frame[1] = (unsigned char)(payload.length >> 8);
    if (payload.length > 0) {
        memcpy(frame + 8, payload.data, payload.length);
    }
    arrive(channel, (struct input){.data = frame, .length = 8 + payload.length});
}

/* Also of events that only the broker may write: the worker is lost then. */
static void arrive_log(uv_pipe_t *channel, struct input *input)
{
    struct azfn__buffer frame;
    struct azfn_span texts[4];
    enum azfn_log_level level = (enum azfn_log_level)(take_byte(input) % 3);
    for (size_t i = 0; i < 4; i++) {
        const struct input text = take_bytes(input, take_byte(input));
        texts[i] = azfn__span(text.data, text.length);
    }
    unsigned event = texts[0].length > 0 ? (unsigned char)texts[0].data[0] : AZFN__EVENT_NONE;
    const struct azfn__log_frame log = {.event = (enum azfn__security_event)(event % AZFN__EVENT_COUNT),
                                        .level = level,
                                        .fields = {.function = texts[1],
                                                   .invocation_id = texts[2],
                                                   .request_uri = texts[0],
                                                   .count = AZFN__NUMBER(event)},
                                        .text = texts[3]};
    azfn__buffer_init(&frame, (size_t)64 << 10);
    azfn__frame_append_log(&frame, &log);
    CHECK(!frame.has_failed);
    arrive(channel, (struct input){.data = (const unsigned char *)frame.data, .length = frame.length});
    azfn__buffer_clean_up(&frame);
}

static struct azfn_span take_text(struct input *input, const char *const *usual, size_t count)
{
    unsigned code = take_byte(input);
    if (code < 224) {
        return azfn_span_of(usual[code % count]);
    }
    const struct input text = take_bytes(input, code % 32);
    return azfn__span(text.data, text.length);
}
#define TAKE_TEXT(input, usual) take_text((input), (usual), sizeof(usual) / sizeof((usual)[0]))

static uint32_t take_id(struct input *input)
{
    unsigned code = take_byte(input);
    return code % 4 | code / 4 % 4 << 16;
}

static void ask_for_secret(struct azfn__buffer *out, struct input *input, struct azfn_span function)
{
    static const char *const names[] = {"open", "open", "open", "inner", "closed", "partner", ""};
    const struct azfn__secret_ask ask = {.id = take_id(input),
                                         .function = function,
                                         .invocation_id = AZFN__SPAN("id"),
                                         .trace_parent = AZFN__SPAN(TRACE_PARENT),
                                         .name = TAKE_TEXT(input, names)};
    CHECK(azfn__ask_append_secret(out, &ask));
}

static void ask_for_request(struct azfn__buffer *out, struct input *input, struct azfn_span function)
{
    static const char *const names[] = {"queue", "partner", "free", "open", ""};
    static const char *const methods[] = {"GET", "POST", "PUT", "get", "DELETE"};
    static const char *const paths[] = {"", "a/b", "?x=1", "a?b=/../", "..", "a//b", "%2e", "@x", "//other.example/"};
    static const char *const headers[] = {"accept", "x-key", "Authorization", "x_key", "Host", "a b"};
    struct azfn__request_ask ask = {.id = take_id(input),
                                    .timeout_ms = take_byte(input) * 200U,
                                    .body_bytes = take_byte(input),
                                    .function = function,
                                    .invocation_id = AZFN__SPAN("id")};
    ask.body_bytes = ask.body_bytes == 255 ? AZFN__ASK_UNKNOWN_BYTES : ask.body_bytes * ask.body_bytes * 2;
    ask.destination = TAKE_TEXT(input, names);
    ask.method = TAKE_TEXT(input, methods);
    ask.path = TAKE_TEXT(input, paths);
    ask.headers.count = take_byte(input) % 3;
    size_t begin = azfn__ask_begin_request(out, &ask);
    for (size_t i = 0; i < ask.headers.count; i++) {
        struct azfn_span name = TAKE_TEXT(input, headers);
        azfn__ask_append_header(out, name, TAKE_TEXT(input, paths));
    }
    CHECK(azfn__frame_end(out, begin));
}

static void send_piece(struct azfn__buffer *out, struct input *input)
{
    static char bytes[16384];
    unsigned code = take_word(input);
    const struct azfn__ask_piece piece = {
        .id = take_id(input), .is_last = code % 4 == 0, .bytes = azfn__span(bytes, code / 4 % sizeof(bytes))};
    CHECK(azfn__ask_append_piece(out, AZFN__FRAME_REQUEST_BODY, &piece));
}

/* What a worker of ours could send, or nearly. */
static void arrive_ask(uv_pipe_t *channel, struct input *input)
{
    static const char *const functions[] = {"asker", "asker", "asker", "other", "nobody"};
    struct azfn__buffer out;
    unsigned code = take_byte(input);
    azfn__buffer_init(&out, (size_t)128 << 10);
    switch (code % 8) {
    case 0:
    case 1:
        ask_for_secret(&out, input, TAKE_TEXT(input, functions));
        break;
    case 2:
    case 3:
        ask_for_request(&out, input, TAKE_TEXT(input, functions));
        break;
    case 4:
        send_piece(&out, input);
        break;
    case 5:
    case 6: {
        uint32_t id = take_id(input);
        CHECK(azfn__ask_append_number(&out, AZFN__FRAME_RESPONSE_READ, id, take_word(input)));
        break;
    }
    default:
        CHECK(azfn__ask_append_number(&out, AZFN__FRAME_REQUEST_CANCEL, take_id(input), 0));
        break;
    }
    for (unsigned i = 0; i <= (code >= 248 ? 40U : code / 8 % 2); i++) {
        arrive(channel, (struct input){.data = (const unsigned char *)out.data, .length = out.length});
    }
    azfn__buffer_clean_up(&out);
}

static void pass_time(unsigned code)
{
    virtual_ms += code * code;
    turn();
}

static size_t word_at(const unsigned char *bytes)
{
    return bytes[0] + bytes[1] * (size_t)256;
}

/* A level, an event that a worker has a word in, fields that it has, in their order, and a text; nothing else. */
static bool is_log(const unsigned char *payload, size_t length)
{
    if (length < 6 || payload[0] > 2 || word_at(payload + 1) >= AZFN__EVENT_COUNT) {
        return false;
    }
    enum azfn__security_event event = (enum azfn__security_event)word_at(payload + 1);
    const struct azfn__security_event_info *info = azfn__security_event_info(event);
    if (info->source == AZFN__SOURCE_BROKER ||
        (event != AZFN__EVENT_NONE && (enum azfn_log_level)payload[0] != info->level)) {
        return false;
    }
    size_t at = 4;
    int last = -1;
    for (unsigned left = payload[3]; left > 0; left--) {
        if (length - at < 3 || payload[at] <= last || payload[at] >= AZFN__EVENT_FIELD_COUNT ||
            !(info->fields >> payload[at] & 1)) {
            return false;
        }
        last = payload[at];
        size_t text = word_at(payload + at + 1);
        enum azfn__event_field_type type = azfn__event_field_info((enum azfn__event_field)last)->type;
        bool is_number = type == AZFN__FIELD_TYPE_NUMBER || type == AZFN__FIELD_TYPE_TIME;
        size_t least = is_number ? 8 : type == AZFN__FIELD_TYPE_LIST ? 0 : 1;
        if (text > length - at - 3 || text < least || text > (is_number ? 8 : 1280)) {
            return false;
        }
        at += 3 + text;
    }
    return length - at >= 2 && word_at(payload + at) == length - at - 2 && length - at - 2 <= 8192;
}

/* The frames once more, cut by hand out of everything at once. An ask may be malformed in ways that are not looked at
 * here; a worker that is behind has some of them before it. */
static void check_frames(bool is_lost, bool is_settled)
{
    const unsigned char *bytes = (const unsigned char *)world.bytes.data;
    size_t left = world.bytes.length;
    size_t frames = 0;
    size_t secrets = 0;
    size_t requests = 0;
    size_t asks = 0;
    bool is_broken = false;
    while (left >= 8) {
        size_t length = bytes[0] + bytes[1] * (size_t)256 + bytes[2] * (size_t)65536 + bytes[3] * (size_t)16777216;
        is_broken = length > 32768 || bytes[5] || bytes[6] || bytes[7];
        if (is_broken || left - 8 < length) {
            break;
        }
        is_broken = bytes[4] == 3 && !is_log(bytes + 8, length);
        if (is_broken) {
            break;
        }
        bool is_ask = bytes[4] >= 6 && bytes[4] <= 10;
        frames += bytes[4] != 3 && !is_ask;
        asks += is_ask;
        secrets += bytes[4] == 6;
        requests += bytes[4] == 7;
        bytes += 8 + length;
        left -= 8 + length;
    }
    CHECK(asks > 0 || (is_lost == is_broken && world.frames == frames));
    CHECK(world.frames <= frames && told.secrets <= secrets && told.ends <= requests);
    CHECK(!is_settled || is_lost || told.secrets == secrets);
}

static void claim(struct azfn__flight_record *record, struct input *input)
{
    const struct input bytes = take_bytes(input, take_byte(input));
    size_t offset = take_word(input) % sizeof(*record);
    size_t room = sizeof(*record) - offset;
    if (bytes.length > 0) {
        memcpy((char *)record + offset, bytes.data, bytes.length < room ? bytes.length : room);
    }
}

static void step(struct input *input)
{
    struct azfn__worker_process *worker = world.worker;
    unsigned code = take_byte(input);
    switch (code % 16) {
    case 0:
    case 1:
        arrive(&worker->channel, take_bytes(input, code / 16));
        break;
    case 2:
        arrive(&worker->channel, take_bytes(input, take_word(input)));
        break;
    case 3:
        arrive_frame(&worker->channel, input);
        break;
    case 4:
        arrive_log(&worker->channel, input);
        break;
    case 5:
        arrive(&worker->outputs[code / 16 % 2].pipe, take_bytes(input, take_byte(input)));
        break;
    case 6:
        claim(worker->flight_record, input);
        break;
    case 8:
    case 9:
    case 10:
        arrive_ask(&worker->channel, input);
        break;
    case 11:
        step_fetch(input);
        break;
    case 12:
    case 13:
        step_server(input);
        break;
    case 14:
        read_answers();
        break;
    case 15:
        pass_time(code / 16);
        break;
    default: {
        /* many frames at once */
        const struct input bytes = take_bytes(input, take_byte(input));
        for (unsigned i = 0; i < code; i++) {
            arrive(&worker->channel, bytes);
        }
        break;
    }
    }
}

/* Everybody answers, and the worker reads: then each of its asks has an answer. */
static void settle(void)
{
    size_t secrets = told.secrets;
    for (int turns = 0, quiet = 0; quiet < 64; turns++) {
        quiet = told.secrets == secrets ? quiet + 1 : 0;
        secrets = told.secrets;
        while (others.fetch_count > 0) {
            answer_fetch(0, turns % 2 == 0 ? AZFN_OK : AZFN_ERROR_FORBIDDEN, 0);
        }
        while (others.requests) {
            end_request(others.requests, AZFN_ERROR_FORBIDDEN);
        }
        read_answers();
        virtual_ms += 1000;
        turn();
    }
}

/* As if it were new: making one takes longer than all else. */
static void renew(struct azfn__worker_process *worker)
{
    azfn__frame_reader_clean_up(&told.reader);
    azfn__frame_reader_init(&told.reader);
    for (size_t i = 0; i < ID_COUNT; i++) {
        azfn__buffer_reset(&told.bodies[i], 65536);
    }
    told.secrets = 0;
    told.ends = 0;
    azfn__frame_reader_clean_up(&worker->reader);
    azfn__frame_reader_init(&worker->reader);
    for (size_t i = 0; i < 2; i++) {
        azfn__buffer_reset(&worker->outputs[i].text.line, worker->outputs[i].text.line.max_bytes);
        worker->outputs[i].text.is_skipping = false;
    }
    memset(worker->flight_record, 0, sizeof(*worker->flight_record));
    world.losses = 0;
    world.frames = 0;
    azfn__buffer_reset(&world.bytes, 65536);
    azfn__log_limits_init(&world.log.limits, uv_hrtime() / 1000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.data = data, .length = size};
    if (!world.is_made) {
        make_world();
        start_worker();
    }
    virtual_ms += 20;
    uv_update_time(&world.loop);
    renew(world.worker);
    unsigned choice = take_byte(&input);
    others.has_big_secret = choice / 8 % 4 == 0;
    while (input.length > 0) {
        step(&input);
    }
    bool is_settled = choice / 32 % 2 == 0 && world.worker->asks;
    if (is_settled) {
        settle();
    }
    bool is_closing = uv_is_closing((const uv_handle_t *)&world.worker->channel) != 0;
    char text[AZFN__DEATH_TEXT_BYTES];
    CHECK(world.losses == (is_closing ? 1 : 0));
    check_frames(is_closing, is_settled);
    const struct azfn__death death = {
        .status = (int)choice, .was_ready = choice % 2 != 0, .is_told = choice % 4 >= 2};
    azfn__death_report_write(&world.log, world.worker->flight_record, &death, &world.suspects, text);
    if (is_closing || world.worker->asks || choice % 8 == 0) {
        end_worker();
    }
    check_lines(true);
    check_lines(false);
    return 0;
}
