/* The least that can answer: one epoll loop, three system calls a request, the same bytes whatever came. What
 * a handler is compared with. minimal_server PORT [FILE WITH THE ANSWER] */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define MAX_DESCRIPTORS (1 << 16)

static char request[1 << 16];

static int listen_on(uint16_t port)
{
    const int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0) {
        perror("minimal_server");
        exit(1);
    }
    return fd;
}

/* How many bytes of a body each connection still has to send; CHUNKED until its last chunk is there. */
static size_t missing[MAX_DESCRIPTORS];
#define CHUNKED SIZE_MAX

#define LAST_CHUNK "0\r\n\r\n"
#define LAST_CHUNK_BYTES (sizeof(LAST_CHUNK) - 1)
static char last_bytes[MAX_DESCRIPTORS][LAST_CHUNK_BYTES];

static int ends_chunks(int fd, const char *data, size_t length)
{
    size_t kept = length < LAST_CHUNK_BYTES ? LAST_CHUNK_BYTES - length : 0;
    size_t fresh = LAST_CHUNK_BYTES - kept;
    memmove(last_bytes[fd], last_bytes[fd] + fresh, kept);
    memcpy(last_bytes[fd] + kept, data + length - fresh, fresh);
    return memcmp(last_bytes[fd], LAST_CHUNK, LAST_CHUNK_BYTES) == 0;
}

/* Whether this read ends a request: its head, and a body if there is one. */
static int ends_request(int fd, const char *data, size_t length)
{
    if (missing[fd] == 0) {
        const char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end) {
            return 0;
        }
        size_t head = (size_t)(end - data) + 4;
        const char *announced = memmem(data, head, "Content-Length: ", 16);
        size_t body = announced ? strtoul(announced + 16, NULL, 10) : 0;
        missing[fd] = memmem(data, head, "Transfer-Encoding: ", 19) ? CHUNKED : body;
        data += head;
        length -= head;
    }
    if (missing[fd] == CHUNKED) {
        missing[fd] = ends_chunks(fd, data, length) ? 0 : CHUNKED;
    } else {
        missing[fd] -= length < missing[fd] ? length : missing[fd];
    }
    return missing[fd] == 0;
}

static const char *load_answer(const char *path, size_t *out_length)
{
    static char answer[1 << 16] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    FILE *file = path ? fopen(path, "rb") : NULL;
    *out_length = file ? fread(answer, 1, sizeof(answer), file) : strlen(answer);
    if (path && !file) {
        perror(path);
        exit(1);
    }
    return answer;
}

int main(int argc, char **argv)
{
    struct epoll_event events[MAX_EVENTS];
    if (argc < 2) {
        fprintf(stderr, "usage: minimal_server PORT [FILE]\n");
        return 2;
    }
    size_t length;
    const char *answer = load_answer(argc > 2 ? argv[2] : NULL, &length);
    int listener = listen_on((uint16_t)strtoul(argv[1], NULL, 10));
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(loop, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = connection};
                epoll_ctl(loop, EPOLL_CTL_ADD, connection, &event);
                missing[connection] = 0;
                continue;
            }
            ssize_t got = read(fd, request, sizeof(request));
            if (got <= 0) {
                close(fd);
            } else if (ends_request(fd, request, (size_t)got) && write(fd, answer, length) < 0) {
                close(fd);
            }
        }
    }
}
