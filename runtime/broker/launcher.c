#include "broker/launcher.h"

#include "broker/launcher_process.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BECOME_LIMIT_MS 10000

enum azfn_error azfn__launcher_fork(struct azfn__launcher *launcher, int executable, char *const arguments[])
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return AZFN_ERROR_SYSTEM;
    }
    pid_t pid = fork();
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        return AZFN_ERROR_SYSTEM;
    }
    if (pid == 0) {
        azfn__launcher_run(ends[1], executable, arguments);
    }
    close(ends[1]);
    *launcher = (struct azfn__launcher){.pid = pid, .fd = ends[0]};
    return AZFN_OK;
}

static enum azfn_error send_command(struct azfn__launcher *launcher, enum azfn__launcher_command_kind kind,
                                    uint32_t value, const int *descriptors, size_t descriptor_count)
{
    struct azfn__launcher_command command = {.kind = kind, .value = value};
    struct iovec part = {.iov_base = &command, .iov_len = sizeof(command)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * AZFN__WORKER_PASSED_DESCRIPTORS)];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * descriptor_count);
        struct cmsghdr *header = &control.header;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * descriptor_count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * descriptor_count);
    }
    ssize_t sent;
    do {
        sent = sendmsg(launcher->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof(command) ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

enum azfn_error azfn__launcher_become(struct azfn__launcher *launcher, uid_t user, enum azfn__launcher_sandbox sandbox)
{
    enum azfn_error error = send_command(
        launcher, sandbox == AZFN__LAUNCHER_REPORT ? AZFN__LAUNCHER_BECOME_REPORTING : AZFN__LAUNCHER_BECOME, user,
        NULL, 0);
    if (error != AZFN_OK) {
        return error;
    }
    struct pollfd waiting = {.fd = launcher->fd, .events = POLLIN};
    int count;
    do {
        count = poll(&waiting, 1, BECOME_LIMIT_MS);
    } while (count < 0 && errno == EINTR);
    struct azfn__launcher_report report;
    if (count == 1 && azfn__launcher_receive(launcher, &report) == AZFN_OK &&
        report.kind == AZFN__LAUNCHER_BECAME) {
        errno = report.value;
        return report.value == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
    }
    errno = count == 0 ? ETIMEDOUT : ECHILD;
    return AZFN_ERROR_SYSTEM;
}

enum azfn_error azfn__launcher_start(struct azfn__launcher *launcher,
                                     const int descriptors[AZFN__WORKER_PASSED_DESCRIPTORS])
{
    return send_command(launcher, AZFN__LAUNCHER_START, 0, descriptors, AZFN__WORKER_PASSED_DESCRIPTORS);
}

enum azfn_error azfn__launcher_kill(struct azfn__launcher *launcher, pid_t pid)
{
    return send_command(launcher, AZFN__LAUNCHER_KILL, (uint32_t)pid, NULL, 0);
}

void azfn__launcher_end(struct azfn__launcher *launcher, uint32_t limit_ms)
{
    if (launcher->pid <= 0) {
        return;
    }
    shutdown(launcher->fd, SHUT_WR); /* its end of file */
    struct pollfd gone = {.fd = launcher->fd, .events = 0};
    /* it hangs up by ending, which is when waitpid() has it */
    while (poll(&gone, 1, (int)limit_ms) > 0 && !(gone.revents & (POLLHUP | POLLERR))) {
    }
    if (gone.revents & POLLHUP) {
        waitpid(launcher->pid, NULL, 0);
    }
    close(launcher->fd);
    launcher->pid = 0;
}

enum azfn_error azfn__launcher_receive(struct azfn__launcher *launcher, struct azfn__launcher_report *out_report)
{
    ssize_t length;
    do {
        length = recv(launcher->fd, out_report, sizeof(*out_report), MSG_DONTWAIT);
    } while (length < 0 && errno == EINTR);
    if (length == (ssize_t)sizeof(*out_report)) {
        return AZFN_OK;
    }
    return length < 0 && errno == EAGAIN ? AZFN_ERROR_UNAVAILABLE : AZFN_ERROR_NOT_FOUND;
}
