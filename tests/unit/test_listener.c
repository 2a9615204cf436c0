#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int connect_to(uint32_t address, uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

static int bind_any(uint16_t *out_port)
{
    int fd = azfn__listener_bind(0, 0, out_port);
    assert_true(fd >= 0);
    assert_int_not_equal(*out_port, 0);
    return fd;
}

static int wait_and_accept(int listener)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, 10000), 1);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static void it_is_bound_to_the_loopback_address_and_the_port_that_is_told(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_any(&port);
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(address.sin_family, AF_INET);
    assert_int_equal(ntohl(address.sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(address.sin_port), port);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
}

static void other_addresses_of_the_machine_are_not_served(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_any(&port);
    assert_int_equal(listen(fd, 8), 0);
    /* 127.0.0.2 is a local address too: a socket bound to all of them would take it */
    assert_int_equal(connect_to(INADDR_LOOPBACK + 1, port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
}

static void it_refuses_connections_until_somebody_listens(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_any(&port);
    assert_int_equal(connect_to(INADDR_LOOPBACK, port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(listen(fd, 8), 0);
    int client = connect_to(INADDR_LOOPBACK, port);
    assert_true(client >= 0);
    close(client);
    close(fd);
}

static void accepted_connections_send_without_delay(void **state)
{
    (void)state;
    uint16_t port;
    int fd = bind_any(&port);
    assert_int_equal(listen(fd, 8), 0);
    int client = connect_to(INADDR_LOOPBACK, port);
    assert_true(client >= 0);
    int accepted = wait_and_accept(fd);
    assert_int_not_equal(option(accepted, IPPROTO_TCP, TCP_NODELAY), 0);
    close(accepted);
    close(client);
    close(fd);
}

static void a_port_that_is_taken_is_refused_once_the_patience_is_over(void **state)
{
    (void)state;
    uint16_t port;
    uint16_t same;
    int fd = bind_any(&port);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(azfn__listener_bind(port, 0, &same), -1);
    assert_int_equal(errno, EADDRINUSE);
    int64_t before = now_ms();
    assert_int_equal(azfn__listener_bind(port, 60, &same), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_true(now_ms() - before >= 60);
    close(fd);
}

static void a_port_that_becomes_free_meanwhile_is_taken(void **state)
{
    (void)state;
    uint16_t port;
    uint16_t same = 0;
    int fd = bind_any(&port);
    assert_int_equal(listen(fd, 8), 0);
    /* another process holds it, and lets it go some time after this one has begun to try */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char byte;
        ssize_t length = read(ends[0], &byte, 1);
        nanosleep(&(const struct timespec){.tv_nsec = 30000000}, NULL);
        _exit(length == 1 ? 0 : 1);
    }
    close(fd);
    assert_int_equal(write(ends[1], "x", 1), 1);
    fd = azfn__listener_bind(port, 20000, &same);
    assert_true(fd >= 0);
    assert_int_equal(same, port);
    close(fd);
    close(ends[0]);
    close(ends[1]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void a_port_with_connections_that_still_end_is_taken_at_once(void **state)
{
    (void)state;
    uint16_t port;
    uint16_t same;
    int fd = bind_any(&port);
    assert_int_equal(listen(fd, 8), 0);
    int client = connect_to(INADDR_LOOPBACK, port);
    assert_true(client >= 0);
    /* the side that closes first keeps the port in TIME_WAIT */
    close(wait_and_accept(fd));
    close(fd);
    close(client);
    fd = azfn__listener_bind(port, 0, &same);
    assert_true(fd >= 0);
    assert_int_equal(same, port);
    assert_int_equal(listen(fd, 8), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_bound_to_the_loopback_address_and_the_port_that_is_told),
        cmocka_unit_test(other_addresses_of_the_machine_are_not_served),
        cmocka_unit_test(it_refuses_connections_until_somebody_listens),
        cmocka_unit_test(accepted_connections_send_without_delay),
        cmocka_unit_test(a_port_that_is_taken_is_refused_once_the_patience_is_over),
        cmocka_unit_test(a_port_that_becomes_free_meanwhile_is_taken),
        cmocka_unit_test(a_port_with_connections_that_still_end_is_taken_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
