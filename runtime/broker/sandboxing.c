#include "broker/sandboxing.h"

#include "base/span.h"
#include "broker/destination_parts.h"
#include "sandbox/landlock.h"
#include "sandbox/layers.h"
#include "sandbox/seccomp.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HTTPS_PORT 443
#define HTTP_PORT 80
#define DNS_PORT 53
#define MAX_PORTS 256

/* What the C library and OpenSSL look up when they need it; links in them lead to one another, or to /run. */
static const struct azfn__landlock_path READABLE[] = {
    {.path = "/etc"},
    {.path = "/run/systemd/resolve"},
    {.path = "/run/resolvconf"},
    {.path = "/run/NetworkManager"},
    {.path = "/run/nscd"},
    {.path = "/usr/share/zoneinfo"},
    {.path = "/usr/share/ca-certificates"},
    {.path = "/usr/local/share/ca-certificates"},
    {.path = "/usr/share/pki"},
    {.path = "/var/lib/ca-certificates"},
    {.path = "/usr/lib/ssl"},
    {.path = "/lib"},
    {.path = "/lib64"},
    {.path = "/usr/lib"},
    {.path = "/usr/lib64"},
    {.path = "/dev/null"},
    {.path = "/dev/urandom"},
    {.path = "/proc/sys/crypto"},
    {.path = "/sys/devices/system/cpu/online"},
};
#define READABLE_COUNT (sizeof(READABLE) / sizeof(READABLE[0]))

static const struct {
    unsigned layer;
    enum azfn__security_event event;
    const char *name;
    const char *missing;
} PARTS[] = {
    {AZFN__SANDBOX_LANDLOCK_FILES, AZFN__EVENT_LANDLOCK_FILES_OFF, "landlock_files",
     "this kernel has no Landlock, or it is turned off: the file system is kept from functions by seccomp alone"},
    {AZFN__SANDBOX_LANDLOCK_NETWORK, AZFN__EVENT_LANDLOCK_NETWORK_OFF, "landlock_network",
     "this kernel's Landlock does not know TCP (version 4 does): connections are kept from functions by seccomp alone, "
     "and the broker may connect to any port"},
    {AZFN__SANDBOX_LANDLOCK_SCOPE, AZFN__EVENT_LANDLOCK_SCOPE_OFF, "landlock_scope",
     "this kernel's Landlock does not know signals and abstract sockets (version 6 does): both are kept from functions "
     "by "
     "seccomp alone"},
};
#define PART_COUNT (sizeof(PARTS) / sizeof(PARTS[0]))

static bool is_wanted(const struct azfn__config *config, unsigned layer)
{
    return !config->is_sandbox_report_only && (azfn__sandbox_layers() & layer);
}

/* "a, b" */
static void add_name(char list[AZFN__SANDBOXING_LIST_BYTES], const char *name)
{
    size_t length = strlen(list);
    (void)snprintf(list + length, AZFN__SANDBOXING_LIST_BYTES - length, "%s%s", length > 0 ? ", " : "", name);
}

const char *azfn__sandboxing_check(struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                                   bool is_required)
{
    sandboxing->missing = ~azfn__landlock_offered();
    if (is_wanted(config, AZFN__SANDBOX_SECCOMP) && !azfn__seccomp_is_available()) {
        return "this system has no seccomp filters, which keep functions in their sandbox: \"sandbox\": \"report\" in "
               "azfn.json does without";
    }
    if (!is_required) {
        return NULL;
    }
    if (config->is_sandbox_report_only) {
        return "--require-sandbox, but azfn.json says \"sandbox\": \"report\": remove one of them";
    }
    if (azfn__sandbox_layers() != AZFN__SANDBOX_ALL) {
        return "--require-sandbox, but this program is built for tests, without all of the sandbox";
    }
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (PARTS[i].layer & sandboxing->missing) {
            return PARTS[i].missing;
        }
    }
    return NULL;
}

void azfn__sandboxing_report(const struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                             struct azfn__log_sink *log)
{
    if (config->is_sandbox_report_only) {
        const struct azfn__event_fields fields = {.reason = AZFN__SPAN("azfn.json")};
        azfn__log_sink_say(
            log, AZFN__EVENT_SANDBOX_OFF, &fields,
            "azfn.json says \"sandbox\": \"report\": nothing keeps functions from files, connections and "
            "other processes; the kernel's audit log has their system calls, where it is on");
        return;
    }
    if (azfn__sandbox_layers() != AZFN__SANDBOX_ALL) {
        const struct azfn__event_fields fields = {.reason = AZFN__SPAN("built for tests")};
        azfn__log_sink_say(log, AZFN__EVENT_SANDBOX_OFF, &fields,
                           "this program is built for tests: its sandbox is off, or parts of it are");
    }
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (is_wanted(config, PARTS[i].layer & sandboxing->missing)) {
            azfn__log_sink_say(log, PARTS[i].event, NULL, "%s", PARTS[i].missing);
        }
    }
}

void azfn__sandboxing_list(const struct azfn__sandboxing *sandboxing, const struct azfn__config *config,
                           struct azfn__sandboxing_lists *out_lists)
{
    static const struct {
        unsigned layer;
        const char *name;
    } others[] = {{AZFN__SANDBOX_SECCOMP, "seccomp"}, {AZFN__SANDBOX_LIMITS, "limits"}};
    out_lists->on[0] = '\0';
    out_lists->off[0] = '\0';
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        add_name(is_wanted(config, others[i].layer) ? out_lists->on : out_lists->off, others[i].name);
    }
    for (size_t i = 0; i < PART_COUNT; i++) {
        bool is_on = is_wanted(config, PARTS[i].layer & ~sandboxing->missing);
        add_name(is_on ? out_lists->on : out_lists->off, PARTS[i].name);
    }
}

enum azfn_error azfn__sandboxing_begin(const struct azfn__config *config)
{
    if (!(azfn__sandbox_layers() & AZFN__SANDBOX_SECCOMP)) {
        return AZFN_OK;
    }
    enum azfn_error error = azfn__seccomp_apply(AZFN__SECCOMP_START, config->is_sandbox_report_only);
    return config->is_sandbox_report_only ? AZFN_OK : error;
}

/* Of "https://name:8443/path" or ".vault.localhost:8443". */
static uint16_t port_of(struct azfn_span url, uint16_t otherwise)
{
    const char *scheme = memmem(url.data, url.length, "://", 3);
    struct azfn_span rest = scheme ? azfn__span_from(url, (size_t)(scheme - url.data) + 3) : url;
    const char *slash = memchr(rest.data, '/', rest.length);
    rest.length = slash ? (size_t)(slash - rest.data) : rest.length;
    const char *colon = memrchr(rest.data, ':', rest.length);
    if (!colon || memchr(colon, ']', rest.length - (size_t)(colon - rest.data))) {
        return otherwise;
    }
    unsigned port = 0;
    for (const char *at = colon + 1; at < rest.data + rest.length && *at >= '0' && *at <= '9' && port <= UINT16_MAX;
         at++) {
        port = port * 10 + (unsigned)(*at - '0');
    }
    return port > 0 && port <= UINT16_MAX ? (uint16_t)port : otherwise;
}

struct ports {
    uint16_t numbers[MAX_PORTS];
    size_t count;
};

/* False: there are too many different ones. */
static bool add_port(struct ports *ports, uint16_t port)
{
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->numbers[i] == port) {
            return true;
        }
    }
    if (ports->count == MAX_PORTS) {
        errno = E2BIG;
        return false;
    }
    ports->numbers[ports->count++] = port;
    return true;
}

static bool collect_ports(struct ports *ports, const struct azfn__services *services,
                          const struct azfn__services_options *options)
{
    bool is_fine = true;
    if (!services->https) {
        return true;
    }
    is_fine = add_port(ports, DNS_PORT) && add_port(ports, HTTPS_PORT);
    if (options->identity_endpoint.length > 0) {
        is_fine = is_fine && add_port(ports, port_of(options->identity_endpoint, HTTP_PORT));
    }
    if (options->development->vault_suffix.length > 0) {
        is_fine = is_fine && add_port(ports, port_of(options->development->vault_suffix, HTTPS_PORT));
    }
    for (size_t i = 0; services->destinations && i < options->config->destination_count; i++) {
        is_fine = is_fine && add_port(ports, port_of(services->destinations->targets[i].url, HTTPS_PORT));
    }
    return is_fine;
}

static enum azfn_error restrict_files_and_ports(const struct azfn__services *services,
                                                const struct azfn__services_options *options)
{
    struct azfn__landlock_path paths[READABLE_COUNT + 1];
    struct ports ports = {.count = 0};
    char resolver[PATH_MAX];
    memcpy(paths, READABLE, sizeof(READABLE));
    struct azfn__landlock_rules rules = {.layers = azfn__sandbox_layers(), .paths = paths};
    if (!collect_ports(&ports, services, options)) {
        return AZFN_ERROR_SYSTEM;
    }
    if (services->https) {
        rules.path_count = READABLE_COUNT;
        if (realpath("/etc/resolv.conf", resolver)) { /* a link to wherever */
            paths[rules.path_count++] = (struct azfn__landlock_path){.path = resolver};
        }
    }
    rules.connect_ports = ports.numbers;
    rules.connect_port_count = ports.count;
    return azfn__landlock_apply(&rules);
}

/* What the resolver loads, it loads now: of a name that the file /etc/hosts has. */
static void load_resolver(void)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    if (getaddrinfo("localhost", "443", &hints, &found) == 0) {
        freeaddrinfo(found);
    }
}

enum azfn_error azfn__sandboxing_enter(const struct azfn__services *services,
                                       const struct azfn__services_options *options)
{
    bool is_report_only = options->config->is_sandbox_report_only;
    if (services->https) {
        load_resolver();
    }
    tzset();
    if (!is_report_only && restrict_files_and_ports(services, options) != AZFN_OK) {
        return AZFN_ERROR_SYSTEM;
    }
    if (!(azfn__sandbox_layers() & AZFN__SANDBOX_SECCOMP)) {
        return AZFN_OK;
    }
    enum azfn_error error = azfn__seccomp_apply(AZFN__SECCOMP_BROKER, is_report_only);
    return is_report_only ? AZFN_OK : error;
}
