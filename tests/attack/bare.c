/* The steps of the attack in a plain program, which nothing protects: to show that each of them is real, and what a
 * plain handler gives away.
 *   bare list                                  the table of steps
 *   bare step NAME TARGET                      runs one
 *   bare decoy                                 a process that has something to steal, until its input ends */
#include "attack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHANNEL 4

/* So that what root may do stays without effect on the machine. */
static void leave_machine_alone(void)
{
    if (geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) == 0) {
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    }
}

/* As libraries do, which leave it in memory. */
static void get_token(const struct attack_target *target)
{
    char request[512];
    const char *header = getenv("IDENTITY_HEADER");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)attack_number(target,
        "identity"))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *answer = malloc(16384);
    if (fd < 0 || !answer || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        free(answer);
        return;
    }
    int length = snprintf(request, sizeof(request),
                          "GET /msi/token?resource=https://vault.azure.net&api-version=2019-08-01 HTTP/1.1\r\n"
                          "Host: x\r\nX-IDENTITY-HEADER: %s\r\nConnection: close\r\n\r\n",
                          header ? header : "");
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) > 0) {
        size_t used = 0;
        ssize_t count;
        while (used < 16384 && (count = recv(fd, answer + used, 16384 - used, 0)) > 0) {
            used += (size_t)count;
        }
    }
    close(fd);
    free(answer);
}

static int run_step(const char *name, const char *text)
{
    char line[512];
    const struct attack_target target = {text};
    const struct attack_step *step = attack_find(name, strlen(name));
    if (!step) {
        fprintf(stderr, "no step %s\n", name);
        return 2;
    }
    leave_machine_alone();
    if (attack_number(&target, "channel") > 0) {
        dup2((int)attack_number(&target, "channel"), CHANNEL);
    }
    if (strcmp(name, "identity-token") == 0) {
        get_token(&target);
    }
    const struct attack_result result =
        step->run ? step->run(&target) : attack_not_here("only where azfn is");
    attack_describe(&result, line, sizeof(line));
    printf("%s", line);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int be_decoy(void)
{
    char byte;
    const char *secret = getenv("PAYMENT_API_KEY");
    /* may be raised again, but leaves nothing on the machine */
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &limit);
    }
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    printf("%ju\n", (uintmax_t)(uintptr_t)secret);
    if (fflush(stdout) != 0) {
        return 1;
    }
    return read(STDIN_FILENO, &byte, 1) < 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        attack_print_table();
        return fflush(stdout) == 0 ? 0 : 1;
    }
    if (argc == 2 && strcmp(argv[1], "decoy") == 0) {
        return be_decoy();
    }
    if (argc == 4 && strcmp(argv[1], "step") == 0) {
        return run_step(argv[2], argv[3]);
    }
    fprintf(stderr, "usage: %s list | step NAME TARGET | decoy\n", argv[0]);
    return 2;
}
