/* What can be said to the broker, past the library: frames as runtime/channel has them, made by hand. */
#include "attack.h"

#include "base/security_event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL 4
#define ANSWER_LIMIT_S 5
#define LOG 3
#define FAULT 2
#define REPLACE 5
#define SECRET_ASK 6
#define REQUEST 7
#define SECRET 65
#define RESPONSE 66
#define RESPONSE_BODY 67
#define RESPONSE_END 68
/* an id that the library has not given out */
#define ID 0x7fff0777U

struct frame {
    unsigned char bytes[4096];
    size_t length;
};

static void put(struct frame *frame, uint64_t value, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        frame->bytes[frame->length++] = (unsigned char)(value >> (8 * i) & 0xff);
    }
}

static void put_text(struct frame *frame, const char *text)
{
    size_t length = strlen(text);
    put(frame, length, 2);
    memcpy(frame->bytes + frame->length, text, length);
    frame->length += length;
}

static struct frame begin(unsigned type)
{
    struct frame frame = {.length = 0};
    put(&frame, 0, 4);
    put(&frame, type, 4);
    return frame;
}

static bool write_all(const void *data, size_t length)
{
    const char *bytes = data;
    while (length > 0) {
        ssize_t count = write(CHANNEL, bytes, length);
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        }
        bytes += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool send_frame(struct frame *frame)
{
    size_t payload = frame->length - 8;
    for (size_t i = 0; i < 4; i++) {
        frame->bytes[i] = (unsigned char)(payload >> (8 * i) & 0xff);
    }
    return write_all(frame->bytes, frame->length);
}

/* The loop of the worker is not run meanwhile, so that it takes no byte of it. */
static bool read_all(unsigned char *out, size_t length)
{
    struct timespec start;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (length > 0) {
        ssize_t count = read(CHANNEL, out, length);
        clock_gettime(CLOCK_MONOTONIC, &now);
        bool has_failed = count < 0 && errno != EAGAIN && errno != EINTR;
        if (count == 0 || has_failed || now.tv_sec - start.tv_sec > ANSWER_LIMIT_S) {
            return false;
        }
        out += count > 0 ? count : 0;
        length -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

static struct attack_result refused_by_broker(unsigned error)
{
    static const char *const names[] = {"", "invalid", "no memory", "limit", "syntax", "range", "not found",
                                        "forbidden",
                                        "unavailable", "timeout"};
    struct attack_result result = {.outcome = ATTACK_REFUSED, .call = "the broker"};
    (void)snprintf(result.detail, sizeof(result.detail), "%s",
                   error < sizeof(names) / sizeof(names[0]) ? names[error] : "?");
    return result;
}

static struct attack_result read_answer(void)
{
    static unsigned char payload[65536];
    unsigned char head[8];
    bool has_status = false;
    while (read_all(head, sizeof(head))) {
        size_t length = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
        if (length > sizeof(payload) || !read_all(payload, length)) {
            break;
        }
        if (head[4] == SECRET) {
            return payload[4] != 0                                ? refused_by_broker(payload[4])
                   : attack_has_canary((char *)payload, length) ? attack_succeeded("the secret")
                                                                  : attack_nothing("no secret in it");
        }
        has_status = has_status || head[4] == RESPONSE;
        if (head[4] == RESPONSE_END) {
            return has_status ? attack_succeeded("answered") : refused_by_broker(payload[4]);
        }
    }
    return attack_nothing("no answer");
}

static struct attack_result ask_secret(const char *function, const char *name)
{
    struct frame frame = begin(SECRET_ASK);
    put(&frame, ID, 4);
    put_text(&frame, function);
    put_text(&frame, "made-up");
    put_text(&frame, "");
    put_text(&frame, name);
    return send_frame(&frame) ? read_answer() : attack_refused("write");
}

static struct attack_result ask_request(const char *destination, const char *method, const char *path,
    const char *header,
                                        const char *value)
{
    struct frame frame = begin(REQUEST);
    put(&frame, ID, 4);
    put(&frame, 5000, 4);
    put(&frame, 0, 8);
    const char *const texts[] = {"Attack", "made-up", "", destination, method, path};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        put_text(&frame, texts[i]);
    }
    put(&frame, header && value ? 1 : 0, 2);
    if (header && value) {
        put_text(&frame, header);
        put_text(&frame, value);
    }
    return send_frame(&frame) ? read_answer() : attack_refused("write");
}

#define STEP(name, expression)                                                                                        \
    static struct attack_result name(const struct attack_target *target)                                              \
    {                                                                                                                  \
        (void)target;                                                                                                  \
        return expression;                                                                                             \
    }

STEP(granted_secret, ask_secret("Attack", "own-key"))
STEP(others_secret, ask_secret("Victim", "victim-key"))
STEP(secret_not_granted, ask_secret("Attack", "nobodys-key"))
STEP(secret_unknown, ask_secret("Attack", "admin-key"))
STEP(secret_by_path, ask_secret("Attack", "../../keys/master"))
STEP(function_unknown, ask_secret("Nobody", "own-key"))
STEP(granted_destination, ask_request("partner", "GET", "orders", NULL, NULL))
STEP(destination_not_granted, ask_request("nobodys", "GET", "x", NULL, NULL))
STEP(above_prefix, ask_request("partner", "GET", "../admin", NULL, NULL))
STEP(above_prefix_encoded, ask_request("partner", "GET", "%2e%2e/admin", NULL, NULL))
STEP(encoded_slash, ask_request("partner", "GET", "..%2fadmin", NULL, NULL))
STEP(backslash, ask_request("partner", "GET", "..\\admin", NULL, NULL))
STEP(other_host_by_at, ask_request("partner", "GET", "@attacker.example/", NULL, NULL))
STEP(other_host_by_slashes, ask_request("partner", "GET", "//attacker.example/", NULL, NULL))
STEP(other_scheme, ask_request("partner", "GET", "file:///etc/passwd", NULL, NULL))
STEP(split_path, ask_request("partner", "GET", "x HTTP/1.1\r\nX-Made-Up: 1\r\n\r\n", NULL, NULL))
STEP(split_header, ask_request("partner", "GET", "orders", "X-Note", "1\r\nX-Made-Up: 1"))
STEP(other_method, ask_request("partner", "DELETE", "orders", NULL, NULL))
STEP(own_credential, ask_request("partner", "GET", "orders", "Authorization", "Bearer made-up"))
STEP(other_host_by_header, ask_request("partner", "GET", "orders", "Host", "attacker.example"))

static struct attack_result say(const void *bytes, size_t length)
{
    return attack_judge(write_all(bytes, length) ? 0 : -1, "write", "said");
}

static struct attack_result say_frame(struct frame *frame)
{
    return attack_judge(send_frame(frame) ? 0 : -1, "write", "said");
}

STEP(oversized_frame, say("\xff\xff\xff\x7f\x03\0\0\0", 8))
STEP(unknown_frame, say("\0\0\0\0\x2a\0\0\0", 8))
STEP(truncated_frame, say("\x04\0\0\0\x06\0\0\0\x01\0\0\0", 12))
STEP(frame_of_broker, say("\0\0\0\0\x40\0\0\0", 8))

static struct attack_result say_log(enum azfn__security_event event, enum azfn_log_level level, const char *text)
{
    struct frame frame = begin(LOG);
    put(&frame, level, 1);
    put(&frame, event, 2);
    put(&frame, 2, 1);
    put(&frame, AZFN__FIELD_FUNCTION, 1);
    put_text(&frame, "Victim");
    put(&frame, AZFN__FIELD_INVOCATION_ID, 1);
    put_text(&frame, "made-up");
    put_text(&frame, text);
    return say_frame(&frame);
}

STEP(brokers_event, say_log(AZFN__EVENT_SECRET_READ, AZFN_LOG_INFORMATION, "forged-event"))
STEP(forged_event, say_log(AZFN__EVENT_CALLER_AUTHENTICATED, AZFN_LOG_INFORMATION, "forged-event"))
STEP(forged_line, say_log(AZFN__EVENT_NONE, AZFN_LOG_INFORMATION,
    "x\n{\"level\":\"INFO\",\"origin\":\"broker\",\"event\":\"sys_shutdown\",\"description\":\"forged-line\"}"))

static struct attack_result flood_log(const struct attack_target *target)
{
    struct attack_result result = attack_nothing("");
    (void)target;
    for (int i = 0; i < 20000; i++) {
        result = say_log(AZFN__EVENT_REQUEST_SUSPICIOUS, AZFN_LOG_ERROR, "flood");
    }
    return result;
}

static struct attack_result flood_asks(const struct attack_target *target)
{
    struct attack_result result = attack_nothing("");
    (void)target;
    for (int i = 0; i < 300 && result.outcome != ATTACK_SUCCEEDED; i++) {
        result = ask_secret("Attack", "nobodys-key");
    }
    return result;
}

static struct attack_result forge_fault(const struct attack_target *target)
{
    struct frame frame = begin(FAULT);
    (void)target;
    put_text(&frame, "forged-fault");
    return say_frame(&frame);
}

static struct attack_result print(int fd, const char *text)
{
    return attack_judge(write(fd, text, strlen(text)), "write", "printed");
}

STEP(hosts_json_prefix, print(STDOUT_FILENO, "azfuncjsonlog:{\"forged\":1}\n"))
STEP(hosts_console_prefix, print(STDERR_FILENO, "\rLanguageWorkerConsoleLog[forged]\n"))

static struct attack_result send_descriptor(const struct attack_target *target)
{
    int fd = ATTACK_LISTENER(target);
    char ready[] = "\0\0\0\0\x01\0\0"; /* a frame that says nothing new */
    struct iovec part = {.iov_base = ready, .iov_len = sizeof(ready)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    return attack_judge(sendmsg(CHANNEL, &message, 0), "sendmsg", "handed over");
}

/* The record is one of the pages that were mapped; it says what this thread is doing. */
static struct attack_result lie_in_flight_record(const struct attack_target *target)
{
    unsigned char needle[64];
    size_t length = attack_unhex(attack_text(target, "flight"), needle, sizeof(needle));
    char *slot = length > 0 ? attack_search_memory(needle, length) : NULL;
    if (!slot) {
        return attack_not_here("a plain program has no such record");
    }
    /* three lengths, the function, the invocation's id, the trace: see runtime/worker/flight_record.h */
    const uint32_t lengths[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    static const char lie[] = "forged-function\"}\r\n{\"origin\":\"broker\"}";
    memset(slot, '\n', sizeof(lengths) + 128 + 104 + 60);
    memcpy(slot, lengths, sizeof(lengths));
    memcpy(slot + sizeof(lengths), lie, sizeof(lie));
    volatile char *const nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *nowhere = 1;
    return attack_nothing("");
}

/* Untouched, so that only address space is used. */
static struct attack_result exhaust_memory(const struct attack_target *target)
{
    (void)target;
    const size_t piece = (size_t)1 << 30;
    for (int i = 0; i < 64; i++) {
        if (mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
            0) == MAP_FAILED) {
            return attack_refused("mmap");
        }
    }
    return attack_succeeded("64 GiB of addresses");
}

static struct attack_result exhaust_descriptors(const struct attack_target *target)
{
    (void)target;
    int count = 0;
    while (count < 200 && dup(STDOUT_FILENO) >= 0) {
        count++;
    }
    return count < 200 ? attack_refused("dup") : attack_succeeded("as many as it wants");
}

static struct attack_result exhaust_time(const struct attack_target *target)
{
    struct timespec start;
    struct timespec now;
    long limit_s = attack_number(target, "spin");
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < limit_s);
    return attack_succeeded("nobody stopped it");
}

#define BROKER NEEDS_BROKER

static const struct attack_step steps[] = {
    {"granted-secret", "Ask for a secret that the function may have", granted_secret, 0, NULL, "sensitive_read:secret",
     BROKER | IS_POSSIBLE},
    {"secret-of-other-function", "Ask for one that another function of the app may have", others_secret, 0, NULL,
     "sensitive_read:secret", BROKER | IS_POSSIBLE},
    {"secret-not-granted", "Ask for one that no function may have", secret_not_granted, BY_POLICY, NULL,
     "authz_fail:secret", BROKER},
    {"secret-unknown", "Guess the name of a secret", secret_unknown, BY_POLICY, NULL, "authz_fail:secret", BROKER},
    {"secret-by-path", "Lead the broker to another place of the vault", secret_by_path, BY_POLICY, NULL,
     "authz_fail:secret", BROKER},
    {"function-unknown", "Ask in the name of a function that is not there", function_unknown, BY_POLICY, NULL,
     "authz_fail:secret", BROKER},
    {"granted-destination", "Call a service that the function may call", granted_destination, 0, NULL,
     "sensitive_read:destination", BROKER | IS_POSSIBLE},
    {"destination-not-granted", "Call one that it may not", destination_not_granted, BY_POLICY, NULL,
     "authz_fail:destination", BROKER},
#define OUTSIDE(name, wants, run) {name, wants, run, BY_POLICY, NULL, "input_validation_fail:destination", BROKER}
    OUTSIDE("destination-above", "Leave the service's folder by ..", above_prefix),
    OUTSIDE("destination-above-encoded", "The same, encoded", above_prefix_encoded),
    OUTSIDE("destination-encoded-slash", "The same by an encoded slash", encoded_slash),
    OUTSIDE("destination-backslash", "The same by a backslash", backslash),
    OUTSIDE("destination-at", "Reach another machine by @", other_host_by_at),
    OUTSIDE("destination-slashes", "The same by //", other_host_by_slashes),
    OUTSIDE("destination-scheme", "Read a file by another scheme", other_scheme),
    OUTSIDE("destination-split-path", "Put a second request behind the first", split_path),
    OUTSIDE("destination-split-header", "Put a header into another one's value", split_header),
    OUTSIDE("destination-method", "Delete where only reading is granted", other_method),
    OUTSIDE("destination-own-credential", "Send a credential of one's own", own_credential),
    OUTSIDE("destination-host-header", "Reach another machine by the Host header", other_host_by_header),
#define MALFORMED(name, wants, run) {name, wants, run, BY_CHANNEL, NULL, "malicious_frame:worker", BROKER | ENDS_WORKER}
    MALFORMED("oversized-frame", "Have the broker take 2 GiB", oversized_frame),
    MALFORMED("unknown-frame", "Say what the broker does not know", unknown_frame),
    MALFORMED("truncated-frame", "Say half of something", truncated_frame),
    MALFORMED("frame-of-broker", "Say what only the broker says", frame_of_broker),
    {"flood-of-asks", "Ask again and again", flood_asks, BY_POLICY, NULL, "authz_fail:secret", BROKER},
    {"flood-of-lines", "Fill the log, so that nobody finds anything", flood_log, BY_LOG, NULL,
     "excess_rate_limit_exceeded:log",
     BROKER | SEEN_OUTSIDE},
    MALFORMED("event-of-broker", "Write an event that only the broker writes", brokers_event),
    {"forged-event", "Write another event as if it were the broker's", forged_event, BY_LOG, NULL,
     "authn_login_success:easy_auth", BROKER | SEEN_OUTSIDE},
    {"forged-line", "Begin a new line in the log", forged_line, BY_LOG, NULL, NULL, BROKER | SEEN_OUTSIDE},
    {"forged-fault", "Have the broker tell a made-up reason for its end", forge_fault, BY_CHANNEL, NULL, NULL,
     BROKER | SEEN_OUTSIDE},
    {"json-prefix-of-host", "Speak to the host as its own parts do", hosts_json_prefix, BY_LOG, NULL, NULL,
     SEEN_OUTSIDE},
    {"console-prefix-of-host", "The same by another prefix", hosts_console_prefix, BY_LOG, NULL, NULL, SEEN_OUTSIDE},
    {"flight-record-of-lies", "Blame another function for a crash, in broken text", lie_in_flight_record, BY_LOG, NULL,
     "sys_crash:worker", NEEDS_AZFN | ENDS_WORKER | SEEN_OUTSIDE},
    {"send-descriptor", "Hand open files to the broker until it has no room", send_descriptor, BY_SECCOMP, "sendmsg",
     NULL, BROKER},
    {"exhaust-slab", "Use up the memory for secrets", NULL, BY_KEEPING, NULL, NULL, NEEDS_AZFN | SEEN_OUTSIDE},
    {"exhaust-memory", "Use up the machine's memory", exhaust_memory, BY_LIMITS, NULL, NULL, 0},
    {"exhaust-descriptors", "Use up the machine's open files", exhaust_descriptors, BY_SECCOMP, "dup", NULL, 0},
    {"exhaust-time", "Never come back", exhaust_time, BY_WATCH, NULL, "blocks_loop", ENDS_WORKER},
    {"read-later-requests", "Read what others ask this worker later", NULL, 0, NULL, NULL,
     NEEDS_AZFN | IS_POSSIBLE | SEEN_OUTSIDE},
    {"lie-in-answers", "Answer them falsely", NULL, 0, NULL, NULL, NEEDS_AZFN | IS_POSSIBLE | SEEN_OUTSIDE},
    {"data-out-in-answers", "Send what was found in the function's own answer", NULL, 0, NULL, "sensitive_read:secret",
     NEEDS_AZFN | IS_POSSIBLE | SEEN_OUTSIDE},
};

const struct attack_group attack_channel = {"channel", "The broker and the log", steps,
    sizeof(steps) / sizeof(steps[0])};
