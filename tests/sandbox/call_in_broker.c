/* For test programs: what code of an attacker, or a fault, would do in the broker. At SIGUSR1 it makes a system call that
 * its sandbox forbids, at SIGUSR2 its stack overflows. */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static void make_call(int number)
{
    (void)number;
    (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static int go_down(volatile char *above)
{
    volatile char page[4096];
    page[0] = *above;
    return page[0] == 1 ? 0 : go_down(page) + page[0];
}

static void overflow(int number)
{
    volatile char start = 0;
    (void)number;
    (void)go_down(&start);
}

static void install(void) __attribute__((constructor));
static void install(void)
{
    signal(SIGUSR1, make_call);
    signal(SIGUSR2, overflow);
}
