/* Landlock in a child of its own: what stays in reach, and what a kernel without it changes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/landlock.h"
#include "sandbox/layers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANDLOCK (AZFN__SANDBOX_LANDLOCK_FILES | AZFN__SANDBOX_LANDLOCK_NETWORK | AZFN__SANDBOX_LANDLOCK_SCOPE)

/* In place of the library's: an older kernel's. */
static long pretended_version = -2;
long azfn__landlock_version(void);
long azfn__landlock_version(void)
{
    return pretended_version > -2 ? pretended_version : syscall(444, NULL, (size_t)0, 1U);
}

/* errno of what probe() does under rules, 0 where it is done. */
static int under(const struct azfn__landlock_rules *rules, long (*probe)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || azfn__landlock_apply(rules) != AZFN_OK) {
            _exit(255);
        }
        errno = 0;
        _exit(probe() < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 255);
    return WEXITSTATUS(status);
}

static long read_file(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long read_folder(void)
{
    return open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long write_file(void)
{
    return open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static char own_file[] = "/tmp/azfn-test-XXXXXX";

static long shorten_file(void)
{
    return truncate(own_file, 0);
}

static long write_device(void)
{
    return open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static long execute(void)
{
    char *const nothing[] = {(char[]){"true"}, NULL};
    return execve("/bin/true", nothing, nothing + 1);
}

static long connect_to(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&address, sizeof(address));
}

/* Nobody listens there: who may try is told so. */
static long connect_to_1(void)
{
    return connect_to(1);
}

static long connect_to_2(void)
{
    return connect_to(2);
}

static long bind_port(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr *)&address, sizeof(address));
}

static long signal_parent(void)
{
    return kill(getppid(), 0);
}

static bool has_version(long version)
{
    return !getenv("AZFN_VALGRIND") && azfn__landlock_version() >= version;
}

static void without_rules_there_is_no_file_system(void **state)
{
    (void)state;
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK};
    if (!has_version(1)) {
        skip();
    }
    assert_int_equal(under(&rules, read_file), EACCES);
    assert_int_equal(under(&rules, read_folder), EACCES);
    assert_int_equal(under(&rules, write_file), EACCES);
    assert_int_equal(under(&rules, write_device), EACCES);
    assert_int_equal(under(&rules, execute), EACCES);
}

static void what_may_be_read_may_be_neither_written_nor_executed(void **state)
{
    (void)state;
    const struct azfn__landlock_path paths[] = {
        {.path = "/etc"}, {.path = "/usr"}, {.path = "/no/such/folder"}, {.path = "/dev/null"}};
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK, .paths = paths, .path_count = 4};
    if (!has_version(1)) {
        skip();
    }
    assert_int_equal(under(&rules, read_file), 0);
    assert_int_equal(under(&rules, read_folder), 0);
    assert_int_equal(under(&rules, write_file), EACCES);
    assert_int_equal(under(&rules, write_device), EACCES);
    assert_int_equal(under(&rules, execute), EACCES);
}

static void what_may_be_executed_may_be_read(void **state)
{
    (void)state;
    const struct azfn__landlock_path everything = {.path = "/", .may_execute = true};
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK, .paths = &everything, .path_count = 1};
    if (!has_version(1)) {
        skip();
    }
    assert_int_equal(under(&rules, read_file), 0);
    assert_int_equal(under(&rules, execute), 0);
    assert_int_equal(under(&rules, write_file), EACCES);
}

/* A right of its own, from version 3 on. */
static void a_file_of_ones_own_can_not_be_shortened(void **state)
{
    (void)state;
    const struct azfn__landlock_path everything = {.path = "/", .may_execute = true};
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK, .paths = &everything, .path_count = 1};
    if (!has_version(3)) {
        skip();
    }
    int fd = mkostemp(own_file, O_CLOEXEC);
    assert_true(fd >= 0);
    int error = under(&rules, shorten_file);
    close(fd);
    unlink(own_file);
    assert_int_equal(error, EACCES);
}

static void only_a_port_that_is_named_can_be_connected_to(void **state)
{
    (void)state;
    const uint16_t port = 1;
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK, .connect_ports = &port, .connect_port_count = 1};
    if (!has_version(4)) {
        skip();
    }
    assert_int_equal(under(&rules, connect_to_1), ECONNREFUSED);
    assert_int_equal(under(&rules, connect_to_2), EACCES);
    assert_int_equal(under(&rules, bind_port), EACCES);
}

static void other_processes_are_out_of_reach(void **state)
{
    (void)state;
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK};
    if (!has_version(6)) {
        skip();
    }
    assert_int_equal(under(&rules, signal_parent), EPERM);
}

static void what_is_not_wanted_stays_open(void **state)
{
    (void)state;
    const struct azfn__landlock_rules files = {.layers = AZFN__SANDBOX_LANDLOCK_FILES};
    const struct azfn__landlock_rules network = {.layers = AZFN__SANDBOX_LANDLOCK_NETWORK};
    if (!has_version(6)) {
        skip();
    }
    assert_int_equal(under(&files, read_file), EACCES);
    assert_int_equal(under(&files, connect_to_2), ECONNREFUSED);
    assert_int_equal(under(&files, signal_parent), 0);
    assert_int_equal(under(&network, read_file), 0);
    assert_int_equal(under(&network, connect_to_2), EACCES);
    assert_int_equal(under(&network, signal_parent), 0);
}

static void an_older_kernel_takes_what_it_knows(void **state)
{
    (void)state;
    const struct azfn__landlock_rules rules = {.layers = LANDLOCK};
    if (!has_version(6)) {
        skip();
    }
    const unsigned files = AZFN__SANDBOX_LANDLOCK_FILES;
    const unsigned offered[] = {
        0,       files, files, files, files | AZFN__SANDBOX_LANDLOCK_NETWORK, files | AZFN__SANDBOX_LANDLOCK_NETWORK,
        LANDLOCK};
    for (long version = 0; version <= 6; version++) {
        pretended_version = version == 0 ? -1 : version;
        assert_int_equal(azfn__landlock_offered(), offered[version]);
        assert_int_equal(under(&rules, read_file), version >= 1 ? EACCES : 0);
        assert_int_equal(under(&rules, bind_port), version >= 4 ? EACCES : 0);
        assert_int_equal(under(&rules, signal_parent), version >= 6 ? EPERM : 0);
    }
    pretended_version = -2;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_there_is_no_file_system),
        cmocka_unit_test(what_may_be_read_may_be_neither_written_nor_executed),
        cmocka_unit_test(what_may_be_executed_may_be_read),
        cmocka_unit_test(a_file_of_ones_own_can_not_be_shortened),
        cmocka_unit_test(only_a_port_that_is_named_can_be_connected_to),
        cmocka_unit_test(other_processes_are_out_of_reach),
        cmocka_unit_test(what_is_not_wanted_stays_open),
        cmocka_unit_test(an_older_kernel_takes_what_it_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
