#include "config/config_limits.h"

#include "base/json_read.h"
#include "base/span.h"
#include "config/config_build.h"

#include <inttypes.h>
#include <stddef.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define HOUR_MS UINT64_C(3600000)
#define IDLE_MIN_MS UINT64_C(120000)

/* clang-format off */
/* key, member, minimum, maximum, default. As the reader has to be able to take what one read brings,
 * pipelinedBytes is never below 64 KiB; 240 bytes a second is what the host's own server asks of clients. */
#define LIMITS(X)                                                                            \
    X("urlBytes",            url_bytes,             256,      MIB,           16 * KIB)       \
    X("headerBytes",         header_bytes,          KIB,      MIB,           64 * KIB)       \
    X("headerCount",         header_count,          8,        1024,          128)            \
    X("chunkExtensionBytes", chunk_extension_bytes, 0,        MIB,           4 * KIB)        \
    X("trailerBytes",        trailer_bytes,         0,        MIB,           8 * KIB)        \
    X("connections",         connections,           1,        65536,         8192)           \
    X("pipelinedBytes",      pipelined_bytes,       64 * KIB, 16 * MIB,      128 * KIB)      \
    X("requestsInFlight",    requests_in_flight,    1,        100000,        4096)           \
    X("bodyBytesInFlight",   body_bytes_in_flight,  64 * KIB, 65536 * MIB,   512 * MIB)      \
    X("headerTimeoutMs",     header_timeout_ms,     100,      HOUR_MS,       30000)          \
    X("bodyTimeoutMs",       body_timeout_ms,       100,      HOUR_MS,       30000)          \
    X("sendTimeoutMs",       send_timeout_ms,       100,      HOUR_MS,       120000)         \
    X("minBytesPerSecond",   min_bytes_per_second,  1,        MIB,           240)            \
    X("idleTimeoutMs",       idle_timeout_ms,       IDLE_MIN_MS, 24 * HOUR_MS,  180000)         \
    X("blockingThreads",     blocking_threads,      1,        64,            4)              \
    X("blockingQueue",       blocking_queue,        0,        100000,        256)            \
    X("secretRefreshMs",     secret_refresh_ms,     1000,     24 * HOUR_MS,  HOUR_MS)        \
    X("secretStaleMs",       secret_stale_ms,       0,        720 * HOUR_MS, 24 * HOUR_MS)   \
    X("destinationRequests", destination_requests,  1,        4096,          256)
/* clang-format on */

#define LIMIT_ROW(KEY, MEMBER, MIN, MAX, DEFAULT) \
    {offsetof(struct azfn__config_limits, MEMBER), (MIN), (MAX)},
#define LIMIT_KEY(KEY, MEMBER, MIN, MAX, DEFAULT) {(KEY), sizeof(KEY) - 1},
#define LIMIT_DEFAULT(KEY, MEMBER, MIN, MAX, DEFAULT) .MEMBER = (DEFAULT),

struct limit {
    size_t offset;
    uint64_t min;
    uint64_t max;
};

static const struct limit ROWS[] = {LIMITS(LIMIT_ROW)};
static const struct azfn_span KEYS[] = {LIMITS(LIMIT_KEY)};
#define LIMIT_COUNT (sizeof(ROWS) / sizeof(ROWS[0]))

const struct azfn__config_limits azfn__config_default_limits = {LIMITS(LIMIT_DEFAULT)};

/* The one limit whose minimum needs a reason. */
static bool is_idle_timeout_too_short(size_t offset, struct azfn_span text, uint64_t *out_value)
{
    return offset == offsetof(struct azfn__config_limits, idle_timeout_ms) &&
           azfn__json_type_of(text) == AZFN__JSON_NUMBER && azfn__json_uint64(text, out_value) == AZFN_OK &&
           *out_value < IDLE_MIN_MS;
}

static enum azfn_error read_limit(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                  const struct limit *limit, struct azfn__config_limits *limits)
{
    uint64_t value = 0;
    if (is_idle_timeout_too_short(limit->offset, node->value, &value)) {
        return azfn__config_refuse(reader, node,
                                   "expected at least %" PRIu64 ", found %" PRIu64
                                   ": the host closes its idle connections after 60 to 75 s, and where the handler is "
                                   "first, a request that is on its way is lost",
                                   IDLE_MIN_MS, value);
    }
    enum azfn_error error = azfn__config_integer(reader, node, limit->min, limit->max, &value);
    memcpy((char *)limits + limit->offset, &value, sizeof(value));
    return error;
}

enum azfn_error azfn__config_read_limits(struct azfn__config *config, struct azfn__config_reader *reader,
                                         const struct azfn__config_node *root)
{
    struct azfn__config_node limits;
    enum azfn_error error = azfn__config_member(reader, root, "limits", &limits);
    if (error != AZFN_OK || !azfn_span_is_present(limits.place)) {
        return error;
    }
    error = azfn__config_check_keys(reader, &limits, KEYS, LIMIT_COUNT);
    for (size_t i = 0; error == AZFN_OK && i < LIMIT_COUNT; i++) {
        struct azfn__config_node node;
        error = azfn__config_member(reader, &limits, KEYS[i].data, &node);
        if (error == AZFN_OK && azfn_span_is_present(node.place)) {
            error = read_limit(reader, &node, &ROWS[i], &config->limits);
        }
    }
    return error;
}
