#include "broker/development.h"

#include "base/event_fields.h"
#include "base/json_string.h"
#include "base/span.h"
#include "config/config_fault.h"
#include "config/config_reader.h"
#include "config/config_text.h"
#include "config/file_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define MAX_DESTINATIONS 4096
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void refuse_file(const char *path, const char *what, struct azfn__config_fault *out_fault)
{
    char shown[AZFN__CONFIG_SHOWN_PATH_ROOM];
    azfn__config_say(out_fault, "AZFN_DEVELOPMENT: %s: %s",
                     azfn__config_shown(shown, sizeof(shown), azfn_span_of(path)), what);
}

/* ".vault.localhost:8443" or "https://127.0.0.1:10001/x", without what stands before and behind the name. */
static bool is_loopback(struct azfn_span host)
{
    static const struct azfn_span LOCAL = {".localhost", 10};
    size_t dots = 0;
    for (size_t i = 0; i < host.length; i++) {
        dots += host.data[i] == '.';
        if ((host.data[i] < '0' || host.data[i] > '9') && host.data[i] != '.') {
            dots = SIZE_MAX / 2;
        }
    }
    bool is_name = azfn_span_equals(host, "localhost") ||
                   (host.length >= LOCAL.length &&
                    azfn__span_equal(azfn__span_from(host, host.length - LOCAL.length), LOCAL));
    return is_name || (dots == 3 && azfn__span_starts_with(host, AZFN__SPAN("127.")));
}

/* The switch can't send a real app's credentials anywhere else, even where the platform was not recognised. */
static const char *check_url(struct azfn_span url)
{
    const char *expected = azfn__config_audience_check(url);
    if (expected) {
        return expected;
    }
    struct azfn_span host = azfn__span_from(url, sizeof("https://") - 1);
    size_t length = 0;
    while (length < host.length && host.data[length] != ':' && host.data[length] != '/') {
        length++;
    }
    return is_loopback(azfn__span(host.data, length)) ? NULL
                                                      : "a URL of this machine: localhost, *.localhost or 127.x.x.x";
}

static const char *check_suffix(struct azfn_span suffix)
{
    static const char EXPECTED[] = "a suffix of this machine, such as \".vault.localhost:8443\"";
    char url[256];
    bool is_suffix = suffix.length > 1 && suffix.data[0] == '.' && !memchr(suffix.data, '/', suffix.length);
    int length = snprintf(url, sizeof(url), "https://vault%.*s", AZFN_SPAN_ARGS(suffix));
    bool is_whole = length > 0 && (size_t)length < sizeof(url);
    return is_suffix && is_whole && !check_url(azfn__span(url, (size_t)length)) ? NULL : EXPECTED;
}

static enum azfn_error read_text(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                 const char *expected, const char *(*check)(struct azfn_span),
                                 struct azfn_span *out_text)
{
    enum azfn_error error = azfn__config_text(reader, node, expected, out_text);
    const char *refused = error == AZFN_OK ? check(*out_text) : NULL;
    if (refused) {
        char shown[AZFN__CONFIG_SHOWN_ROOM];
        return azfn__config_refuse(reader, node, "expected %s, found \"%s\"", refused,
                                   azfn__config_shown(shown, sizeof(shown), azfn__event_url_shown(*out_text)));
    }
    return error;
}

/* PEM has line ends, which azfn__config_text() does not take. */
static enum azfn_error read_authority(struct azfn__config_reader *reader, const struct azfn__config_node *node,
                                      struct azfn_span *out_text)
{
    static const char BEGIN[] = "-----BEGIN CERTIFICATE-----";
    struct azfn__buffer text;
    azfn__buffer_init(&text, FILE_MAX_BYTES);
    bool is_text = azfn__json_type_of(node->value) == AZFN__JSON_STRING &&
                   azfn__json_string_decode(node->value, &text) &&
                   azfn__span_starts_with(azfn__buffer_span(&text), azfn_span_of(BEGIN)) &&
                   !memmem(text.data, text.length, "PRIVATE KEY", 11) && !memchr(text.data, '\0', text.length);
    if (is_text) {
        *out_text = azfn__arena_copy(reader->arena, azfn__buffer_span(&text));
    }
    azfn__buffer_clean_up(&text);
    if (!is_text) {
        return azfn__config_refuse(reader, node, "expected certificates in PEM, found something else (not shown)");
    }
    return azfn_span_is_present(*out_text) ? AZFN_OK : azfn__config_refuse_memory(reader->fault);
}

static enum azfn_error read_destinations(struct azfn__config_reader *reader, const struct azfn__config_node *map,
                                         struct azfn__development *development)
{
    size_t count = 0;
    enum azfn_error error = azfn__config_object(reader, map, MAX_DESTINATIONS, &count);
    if (error != AZFN_OK) {
        return error;
    }
    struct azfn__development_destination *items = azfn__arena_alloc(reader->arena, (count + 1) * sizeof(*items));
    if (!items) {
        return azfn__config_refuse_memory(reader->fault);
    }
    struct azfn__json_walk walk = azfn__json_walk(map->value);
    for (size_t i = 0; error == AZFN_OK && i < count; i++) {
        struct azfn__config_node node;
        bool has_node;
        error = azfn__config_next(reader, map, &walk, i, &node, &has_node);
        for (size_t k = 0; error == AZFN_OK && k < i; k++) {
            if (azfn__span_equal(items[k].name, node.name)) {
                error = azfn__config_refuse(reader, &node, "expected the key once, found it again");
            }
        }
        if (error == AZFN_OK) {
            items[i].name = node.name;
            error = read_text(reader, &node, "a URL that begins with https://", check_url, &items[i].url);
        }
    }
    development->destinations = items;
    development->destination_count = error == AZFN_OK ? count : 0;
    return error;
}

static enum azfn_error read_members(struct azfn__config_reader *reader, const struct azfn__config_node *root,
                                    struct azfn__development *development)
{
    static const struct azfn_span KNOWN[] = {{"certificateAuthority", 20}, {"vaultSuffix", 11}, {"destinations", 12}};
    struct azfn__config_node nodes[COUNT_OF(KNOWN)];
    enum azfn_error error = azfn__config_check_keys(reader, root, KNOWN, COUNT_OF(KNOWN));
    for (size_t i = 0; error == AZFN_OK && i < COUNT_OF(KNOWN); i++) {
        error = azfn__config_member(reader, root, KNOWN[i].data, &nodes[i]);
    }
    if (error == AZFN_OK && azfn_span_is_present(nodes[0].place)) {
        error = read_authority(reader, &nodes[0], &development->certificate_authority);
    }
    if (error == AZFN_OK && azfn_span_is_present(nodes[1].place)) {
        error = read_text(reader, &nodes[1], "a suffix", check_suffix, &development->vault_suffix);
    }
    if (error == AZFN_OK && azfn_span_is_present(nodes[2].place)) {
        error = read_destinations(reader, &nodes[2], development);
    }
    return error;
}

enum azfn_error azfn__development_read(struct azfn__development *development, struct azfn__arena *arena,
                                       const char *path, struct azfn__config_fault *out_fault)
{
    struct azfn__buffer text;
    struct azfn__config_reader reader;
    struct azfn__config_node root;
    *development = (struct azfn__development){0};
    out_fault->message[0] = '\0';
    azfn__buffer_init(&text, FILE_MAX_BYTES);
    /* never waits: a FIFO is refused, not read */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    char what[AZFN__FILE_TEXT_FAULT_BYTES];
    enum azfn_error error = fd < 0 ? azfn__file_text_refuse_errno(what)
                                   : azfn__file_text_append(fd, FILE_MAX_BYTES, &text, what);
    if (fd >= 0) {
        close(fd);
    }
    if (error != AZFN_OK) {
        refuse_file(path, what, out_fault);
    } else if (text.has_failed) {
        error = AZFN_ERROR_NO_MEMORY;
        refuse_file(path, azfn_error_text(error), out_fault);
    } else {
        const struct azfn__config_file file = {.path = azfn_span_of(path), .text = azfn__buffer_span(&text)};
        error = azfn__config_reader_open(&reader, arena, out_fault, &file, false, &root);
        if (error == AZFN_OK) {
            error = read_members(&reader, &root, development);
        }
        azfn__config_reader_close(&reader);
    }
    azfn__buffer_clean_up(&text);
    development->is_on = error == AZFN_OK;
    return error;
}

/* By these the host itself tells App Service (WEBSITE_INSTANCE_ID), Linux Consumption (CONTAINER_NAME), Flex
 * Consumption (LEGION_SERVICE_HOST, WEBSITE_POD_NAME), Container Apps and Kubernetes; the others are there on some plans.
 * Not WEBSITE_HOSTNAME, which Core Tools sets, not WEBSITE_SITE_NAME, which people set locally to have a name in their
 * logs, and not IDENTITY_ENDPOINT, which the stand-in has. */
const char *azfn__development_platform_marker(void)
{
    static const char *const NAMES[] = {"WEBSITE_INSTANCE_ID",
                                        "WEBSITE_SKU",
                                        "WEBSITE_OWNER_NAME",
                                        "WEBSITE_HOME_STAMPNAME",
                                        "WEBSITE_POD_NAME",
                                        "LEGION_SERVICE_HOST",
                                        "CONTAINER_NAME",
                                        "CONTAINER_ENCRYPTION_KEY",
                                        "POD_ENCRYPTION_KEY",
                                        "MANAGED_ENVIRONMENT",
                                        "CONTAINER_APP_NAME",
                                        "CONTAINER_APP_REVISION",
                                        "KUBERNETES_SERVICE_HOST"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        const char *value = getenv(NAMES[i]);
        if (value && value[0] != '\0') {
            return NAMES[i];
        }
    }
    return NULL;
}
