#include "broker/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MS 10

static int make_socket(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* accepted connections inherit TCP_NODELAY: the worker need not (and later may not) set it */
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

int azfn__listener_bind(uint16_t port, uint32_t patience_ms, uint16_t *out_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = make_socket();
    if (fd < 0) {
        return -1;
    }
    for (uint32_t waited_ms = 0; bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
         waited_ms += RETRY_MS) {
        if (errno != EADDRINUSE || waited_ms >= patience_ms) {
            int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
    socklen_t length = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        close(fd);
        return -1;
    }
    *out_port = ntohs(address.sin_port);
    return fd;
}
