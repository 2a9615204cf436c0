/* Whether any memory is freed that still holds what was sent or received. The test's free() is found before the C
 * library's by azfn-https.so, libcurl and OpenSSL alike, and looks into each block before it is gone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>

#include "unit/https_fixture.h"

#define CANARY "a-canary-that-nobody-else-has"

#ifndef AZFN_SANITIZE
void __libc_free(void *memory);
void *__libc_realloc(void *memory, size_t size);

static atomic_bool is_watching;
static atomic_uint found_count;

static void look_into(void *memory)
{
    if (memory && atomic_load(&is_watching) &&
        memmem(memory, malloc_usable_size(memory), CANARY, sizeof(CANARY) - 1)) {
        atomic_fetch_add(&found_count, 1);
    }
}

void free(void *memory)
{
    look_into(memory);
    __libc_free(memory);
}

void *realloc(void *memory, size_t size)
{
    look_into(memory);
    return __libc_realloc(memory, size);
}

static void exchange(const char *target)
{
    struct call call;
    const struct azfn__https_header headers[] = {{AZFN__SPAN("authorization"), AZFN__SPAN("Bearer " CANARY)},
                                                 {AZFN__SPAN("x-key"), AZFN__SPAN(CANARY)}};
    struct azfn__https_request_options options = options_of(&call);
    init_call(&call);
    call.send = AZFN__SPAN("{\"token\": \"" CANARY "\"}");
    options.method = AZFN__SPAN("POST");
    options.headers = headers;
    options.header_count = 2;
    options.body_bytes = call.send.length;
    start_call(&call, target, options);
    run_until_done(&call);
    assert_int_equal(call.error, AZFN_OK);
    assert_non_null(memmem(call.body.data, call.body.length, CANARY, sizeof(CANARY) - 1));
    clean_up_call(&call);
}

static void cancel_one(const char *target)
{
    struct call call;
    const struct azfn__https_header header = {AZFN__SPAN("x-key"), AZFN__SPAN(CANARY)};
    struct azfn__https_request_options options = options_of(&call);
    options.headers = &header;
    options.header_count = 1;
    init_call(&call);
    start_call(&call, target, options);
    run_for(50);
    azfn__https_client_cancel(fixture.client, call.request);
    clean_up_call(&call);
}

/* In a process of its own, since OpenSSL's memory functions can be set once. */
static unsigned count_findings(const char *module, const char *echo, const char *never)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        start_client(module);
        atomic_store(&is_watching, true);
        exchange(echo);
        exchange(echo);
        cancel_one(never);
        stop_client();
        unsigned found = atomic_load(&found_count);
        _exit(found < 100 ? (int)found : 100);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 100);
    return (unsigned)WEXITSTATUS(status);
}

static void what_is_freed_is_wiped(void **state)
{
    (void)state;
    assert_int_equal(count_findings(TEST_HTTPS_MODULE, "good:/echo", "good:/never"), 0);
    assert_int_equal(count_findings(TEST_HTTPS_MODULE, "tls12:/echo", "tls12:/never"), 0);
}

static void what_is_freed_without_wiping_is_seen(void **state)
{
    (void)state;
    unsigned count = count_findings(TEST_HTTPS_MODULE_WITHOUT_WIPING, "good:/echo", "good:/never");
    print_message("without wiping: %u blocks\n", count);
    assert_in_range(count, 5, 100);
}
#endif

int main(void)
{
#ifdef AZFN_SANITIZE
    printf("SKIPPED: the sanitizers have a free() of their own\n");
    return 0;
#else
    if (getenv("AZFN_VALGRIND")) {
        printf("SKIPPED: valgrind has a free() of its own\n");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_is_wiped),
        cmocka_unit_test(what_is_freed_without_wiping_is_seen),
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
#endif
}
