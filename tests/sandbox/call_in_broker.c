/* For test programs: the broker makes a system call that its sandbox forbids when it is sent SIGUSR1, as code of an
 * attacker would in it. */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

static void on_signal(int number)
{
    (void)number;
    (void)syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static void install(void) __attribute__((constructor));
static void install(void)
{
    signal(SIGUSR1, on_signal);
}
