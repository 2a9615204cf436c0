/* The end of a worker that makes a forbidden call, in a child of its own each time: whatever it has done to itself
 * before, the call is told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/seccomp.h"
#include "worker/forbidden_call.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREAD 3
#define FORBIDDEN SYS_getsid /* to all processes, whatever its arguments */

typedef void call_fn(struct azfn__flight_record *record);

static void call(struct azfn__flight_record *record)
{
    (void)record;
    (void)syscall(FORBIDDEN);
}

static _Noreturn void call_with_stack_at(uintptr_t address)
{
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%rsp\n\tsyscall" : : "r"(address), "a"(FORBIDDEN) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number __asm__("x8") = FORBIDDEN;
    __asm__ volatile("mov sp, %0\n\tsvc #0" : : "r"(address), "r"(number) : "x0", "memory");
#endif
    __builtin_unreachable();
}

static void call_without_a_stack(struct azfn__flight_record *record)
{
    (void)record;
    call_with_stack_at(0);
}

/* Where the kernel takes it for a handler that runs already. */
static void call_at_the_end_of_the_handlers_stack(struct azfn__flight_record *record)
{
    stack_t stack;
    (void)record;
    (void)sigaltstack(NULL, &stack);
    call_with_stack_at((uintptr_t)stack.ss_sp + 512);
}

static void replace_pointers(uintptr_t *at, const uintptr_t *end, uintptr_t wanted)
{
    for (; at < end; at++) {
        if (*at == wanted) {
            *at = 8;
        }
    }
}

/* As one who can write wherever a write is possible. */
static void call_with_other_pointers(struct azfn__flight_record *record)
{
    const uintptr_t wanted = (uintptr_t)record;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    uintptr_t ranges[256][2];
    size_t count = 0;
    while (maps && fgets(line, sizeof(line), maps) && count < 256) {
        unsigned long start;
        unsigned long end;
        char access[5];
        bool is_found = sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3 && access[1] == 'w' && access[3] == 'p';
        if (is_found && !strstr(line, "[stack]") && !strstr(line, "[heap]")) {
            ranges[count][0] = start;
            ranges[count++][1] = end;
        }
    }
    for (size_t i = 0; i < count; i++) {
        replace_pointers((uintptr_t *)ranges[i][0], (const uintptr_t *)ranges[i][1], wanted);
    }
    (void)syscall(FORBIDDEN);
}

struct thread_start {
    struct azfn__flight_record *record;
    call_fn *call;
    atomic_int stage; /* 1: it is ready, 2: it may */
};

static void *run_thread(void *user_data)
{
    struct thread_start *start = user_data;
    if (azfn__forbidden_call_watch_thread(THREAD) != AZFN_OK) {
        _exit(1);
    }
    start->stage = 1;
    while (start->stage != 2) {
        sched_yield();
    }
    start->call(start->record);
    _exit(2);
}

static _Noreturn void live(struct azfn__flight_record *record, call_fn *how, bool is_on_thread)
{
    struct thread_start start = {.record = record, .call = how};
    pthread_t thread;
    signal(SIGSEGV, SIG_DFL); /* not cmocka's */
    prctl(PR_SET_DUMPABLE, 0);
    if (azfn__forbidden_call_watch(record) != AZFN_OK ||
        (is_on_thread && pthread_create(&thread, NULL, run_thread, &start) != 0)) {
        _exit(1);
    }
    while (is_on_thread && start.stage != 1) {
        sched_yield();
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || azfn__seccomp_apply(AZFN__SECCOMP_LAUNCHER, false) != AZFN_OK) {
        _exit(1);
    }
    start.stage = 2;
    while (is_on_thread) {
        sched_yield();
    }
    how(record);
    _exit(2);
}

static void assert_told(call_fn *how, bool is_on_thread)
{
    int status;
    int fd = azfn__flight_record_create();
    struct azfn__flight_record *record = azfn__flight_record_map(fd);
    assert_non_null(record);
    pid_t child = fork();
    if (child == 0) {
        live(record, how, is_on_thread);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != AZFN__EXIT_FORBIDDEN_CALL) {
        fail_msg("status %x", (unsigned)status);
    }
    assert_true(record->forbidden_call.has_happened);
    assert_int_equal(record->forbidden_call.number, FORBIDDEN);
    assert_int_equal(record->forbidden_call.thread, is_on_thread ? THREAD : 0);
    azfn__flight_record_unmap(record);
    close(fd);
}

static void a_forbidden_call_is_told_with_its_thread(void **state)
{
    (void)state;
    assert_told(call, false);
    assert_told(call, true);
}

static void one_without_a_stack_is_told(void **state)
{
    (void)state;
    assert_told(call_without_a_stack, false);
    assert_told(call_without_a_stack, true);
}

static void one_on_the_handlers_own_stack_is_told(void **state)
{
    (void)state;
    assert_told(call_at_the_end_of_the_handlers_stack, false);
    assert_told(call_at_the_end_of_the_handlers_stack, true);
}

static void one_by_who_has_overwritten_all_pointers_is_told(void **state)
{
    (void)state;
    assert_told(call_with_other_pointers, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forbidden_call_is_told_with_its_thread),
        cmocka_unit_test(one_without_a_stack_is_told),
        cmocka_unit_test(one_on_the_handlers_own_stack_is_told),
        cmocka_unit_test(one_by_who_has_overwritten_all_pointers_is_told),
    };
#ifdef AZFN_SANITIZE
    (void)tests;
    return 0; /* they need what the sandbox forbids */
#else
    if (getenv("AZFN_VALGRIND")) {
        printf("SKIPPED: valgrind delivers signals by itself\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
#endif
}
