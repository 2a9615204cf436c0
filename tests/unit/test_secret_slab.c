#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/secret_slab.h"
#include "base/span.h"
#include "broker/privileges.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANARY "a value that nobody else has"

static struct azfn__secret_slab *new_slab(size_t small, size_t medium, size_t large)
{
    struct azfn__secret_slab *slab = NULL;
    const struct azfn__secret_slab_options options = {
        .small_count = small, .medium_count = medium, .large_count = large};
    assert_int_equal(azfn__secret_slab_new(&options, &slab), AZFN_OK);
    assert_non_null(slab);
    return slab;
}

static bool is_zero(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void a_value_is_kept_and_wiped_when_it_is_given_back(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(4, 4, 4);
    struct azfn__secret *secret = azfn__secret_new(slab, AZFN__SPAN(CANARY));
    assert_non_null(secret);
    struct azfn_span value = azfn__secret_reveal(secret);
    assert_true(azfn_span_equals(value, CANARY));
    assert_int_equal(azfn__secret_slab_used_count(slab), 1);
    azfn__secret_release(secret);
    assert_true(is_zero(value.data, value.length));
    assert_int_equal(azfn__secret_slab_used_count(slab), 0);
    azfn__secret_slab_destroy(slab);
}

static void what_was_cut_off_is_wiped_too(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(1, 0, 0);
    struct azfn__secret *secret = azfn__secret_new_empty(slab, AZFN__SECRET_SMALL_BYTES);
    assert_non_null(secret);
    char *bytes = azfn__secret_bytes(secret);
    assert_int_equal(azfn__secret_reveal(secret).length, AZFN__SECRET_SMALL_BYTES);
    assert_true(is_zero(bytes, AZFN__SECRET_SMALL_BYTES));
    memset(bytes, 'x', AZFN__SECRET_SMALL_BYTES);
    azfn__secret_set_length(secret, 3);
    assert_true(azfn_span_equals(azfn__secret_reveal(secret), "xxx"));
    azfn__secret_set_length(secret, SIZE_MAX);
    assert_int_equal(azfn__secret_reveal(secret).length, AZFN__SECRET_SMALL_BYTES);
    azfn__secret_set_length(secret, 1);
    azfn__secret_release(secret);
    assert_true(is_zero(bytes, AZFN__SECRET_SMALL_BYTES));
    azfn__secret_slab_destroy(slab);
}

static void an_empty_value_is_one(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(1, 0, 0);
    struct azfn__secret *secret = azfn__secret_new(slab, azfn__absent());
    assert_non_null(secret);
    assert_non_null(azfn__secret_reveal(secret).data);
    assert_int_equal(azfn__secret_reveal(secret).length, 0);
    azfn__secret_release(secret);
    azfn__secret_release(NULL);
    azfn__secret_slab_destroy(slab);
    azfn__secret_slab_destroy(NULL);
}

static void what_finds_no_slot_of_its_size_gets_a_larger_one(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(1, 1, 1);
    struct azfn__secret *secrets[3];
    for (size_t i = 0; i < 3; i++) {
        secrets[i] = azfn__secret_new(slab, AZFN__SPAN(CANARY));
        assert_non_null(secrets[i]);
        for (size_t k = 0; k < i; k++) {
            assert_ptr_not_equal(secrets[i], secrets[k]);
        }
    }
    assert_null(azfn__secret_new(slab, AZFN__SPAN(CANARY)));
    /* and not a smaller one */
    azfn__secret_release(secrets[0]);
    assert_null(azfn__secret_new_empty(slab, AZFN__SECRET_SMALL_BYTES + 1));
    azfn__secret_release(secrets[2]);
    struct azfn__secret *large = azfn__secret_new_empty(slab, AZFN__SECRET_LARGE_BYTES);
    assert_ptr_equal(large, secrets[2]);
    assert_true(is_zero(azfn__secret_bytes(large), AZFN__SECRET_LARGE_BYTES));
    assert_null(azfn__secret_new_empty(slab, AZFN__SECRET_MEDIUM_BYTES));
    azfn__secret_slab_destroy(slab);
}

static void every_slot_of_each_size_holds_what_it_says(void **state)
{
    (void)state;
    static const size_t SIZES[] = {AZFN__SECRET_SMALL_BYTES, AZFN__SECRET_MEDIUM_BYTES, AZFN__SECRET_LARGE_BYTES};
    struct azfn__secret_slab *slab = new_slab(5, 5, 5);
    struct azfn__secret *secrets[15];
    assert_null(azfn__secret_new_empty(slab, AZFN__SECRET_LARGE_BYTES + 1));
    assert_null(azfn__secret_new_empty(slab, SIZE_MAX));
    for (size_t i = 0; i < 15; i++) {
        secrets[i] = azfn__secret_new_empty(slab, SIZES[i % 3]);
        assert_non_null(secrets[i]);
        memset(azfn__secret_bytes(secrets[i]), (int)i + 1, SIZES[i % 3]);
    }
    for (size_t i = 0; i < 15; i++) {
        struct azfn_span value = azfn__secret_reveal(secrets[i]);
        assert_int_equal(value.length, SIZES[i % 3]);
        for (size_t k = 0; k < value.length; k++) {
            assert_int_equal(value.data[k], i + 1);
        }
    }
    azfn__secret_slab_destroy(slab);
}

static void given_back_twice_is_not_given_out_twice(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(3, 0, 0);
    struct azfn__secret *first = azfn__secret_new(slab, AZFN__SPAN("1"));
    azfn__secret_release(first);
    azfn__secret_release(first);
    assert_int_equal(azfn__secret_slab_used_count(slab), 0);
    first = azfn__secret_new(slab, AZFN__SPAN("1"));
    struct azfn__secret *second = azfn__secret_new(slab, AZFN__SPAN("2"));
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    azfn__secret_slab_destroy(slab);
}

/* No page is touched that need not be. */
static void a_slot_that_was_used_is_given_out_first(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(2, 0, 0);
    struct azfn__secret *first = azfn__secret_new(slab, AZFN__SPAN("1"));
    assert_non_null(first);
    azfn__secret_release(first);
    assert_ptr_equal(azfn__secret_new(slab, AZFN__SPAN("2")), first);
    azfn__secret_slab_destroy(slab);
}

/* It locks and forks in its own way, and complains of addresses that a system call is to refuse. */
static void skip_under_valgrind(void)
{
    if (getenv("AZFN_VALGRIND")) {
        skip();
    }
}

/* What /proc/self/smaps says of the mapping that holds address: "name: value". */
static bool find_in_smaps(const void *address, const char *name, char *out_line, size_t room)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool is_inside = false;
    bool is_found = false;
    assert_non_null(file);
    while (!is_found && fgets(out_line, (int)room, file)) {
        char *end = NULL;
        uintptr_t from = (uintptr_t)strtoull(out_line, &end, 16);
        if (end > out_line && *end == '-') {
            uintptr_t to = (uintptr_t)strtoull(end + 1, NULL, 16);
            is_inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        }
        is_found = is_inside && strncmp(out_line, name, strlen(name)) == 0;
    }
    fclose(file);
    return is_found;
}

static size_t smaps_kib(const void *address, const char *name)
{
    char line[512];
    assert_true(find_in_smaps(address, name, line, sizeof(line)));
    return (size_t)strtoull(line + strlen(name), NULL, 10);
}

static bool has_vm_flag(const void *address, const char *flag)
{
    char line[512];
    assert_true(find_in_smaps(address, "VmFlags:", line, sizeof(line)));
    return strstr(line, flag) != NULL;
}

static void values_are_locked_and_stay_out_of_core_dumps_and_children(void **state)
{
    (void)state;
    skip_under_valgrind();
    struct azfn__secret_slab *slab = new_slab(64, 1, 1);
    struct azfn__secret *secret = azfn__secret_new(slab, AZFN__SPAN(CANARY));
    assert_non_null(secret);
    assert_true(has_vm_flag(secret, " dd"));
    assert_true(has_vm_flag(secret, " dc"));
    if (azfn__secret_slab_unlocked_bytes(slab) == 0) {
        assert_true(has_vm_flag(secret, " lo"));
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* a system call answers EFAULT where a look at it would end the process */
        _exit(write(STDERR_FILENO, secret, 1) < 0 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    azfn__secret_slab_destroy(slab);
}

static void pages_that_are_not_needed_take_no_memory(void **state)
{
    (void)state;
    skip_under_valgrind();
    struct azfn__secret_slab *slab = new_slab(64, 64, 16);
    struct azfn__secret *secret = azfn__secret_new(slab, AZFN__SPAN(CANARY));
    assert_non_null(secret);
    if (azfn__secret_slab_unlocked_bytes(slab) == 0) {
        assert_in_range(smaps_kib(secret, "Rss:"), 1, 64);
    }
    azfn__secret_slab_destroy(slab);
}

static void nothing_is_mapped_beside_the_slots(void **state)
{
    (void)state;
    skip_under_valgrind();
    struct azfn__secret_slab *slab = new_slab(16, 0, 0);
    struct azfn__secret *secret = azfn__secret_new(slab, AZFN__SPAN(CANARY));
    assert_non_null(secret);
    const char *page = (const char *)((uintptr_t)secret & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1));
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], page, 1), 1);
    assert_int_equal(write(pipes[1], page - 1, 1), -1);
    assert_int_equal(write(pipes[1], page + sysconf(_SC_PAGESIZE), 1), -1);
    close(pipes[0]);
    close(pipes[1]);
    azfn__secret_slab_destroy(slab);
}

/* In a child that is no root any more, since that one's limits do not count. */
static int with_memory_lock_limit(size_t limit_bytes, size_t expected_unlocked_bytes)
{
    struct rlimit limit = {.rlim_cur = limit_bytes, .rlim_max = limit_bytes};
    const struct azfn__secret_slab_options options = {.small_count = 64, .medium_count = 64, .large_count = 16};
    struct azfn__secret_slab *slab = NULL;
    munlockall();
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        (azfn__privileges_are_root() && azfn__privileges_become(61801) != AZFN_OK) ||
        azfn__secret_slab_new(&options, &slab) != AZFN_OK) {
        return 1;
    }
    if (azfn__secret_slab_unlocked_bytes(slab) != expected_unlocked_bytes) {
        return 2;
    }
    struct azfn__secret *small = azfn__secret_new_empty(slab, 1);
    struct azfn__secret *large = azfn__secret_new_empty(slab, AZFN__SECRET_LARGE_BYTES);
    memset(azfn__secret_bytes(large), 'x', AZFN__SECRET_LARGE_BYTES);
    azfn__secret_release(large);
    azfn__secret_release(small);
    azfn__secret_slab_destroy(slab);
    return 0;
}

static void what_may_not_be_locked_is_counted_and_works(void **state)
{
    (void)state;
    skip_under_valgrind();
    static const size_t ALL = 64 * (size_t)256 + 64 * (size_t)4096 + 16 * (size_t)32768;
    const struct {
        size_t limit_bytes;
        size_t unlocked_bytes;
    } cases[] = {{0, ALL}, {4096, ALL - 4096}, {65536, ALL - 65536}, {65536 + 100, ALL - 65536}, {ALL, 0}};
    if (sysconf(_SC_PAGESIZE) != 4096) {
        skip();
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(with_memory_lock_limit(cases[i].limit_bytes, cases[i].unlocked_bytes));
        }
        int status = -1;
        waitpid(child, &status, 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static size_t count_mappings(void)
{
    size_t lines = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        lines += c == '\n';
    }
    fclose(file);
    return lines;
}

static void a_million_values_take_no_more_than_one(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(8, 8, 8);
    struct azfn__secret *kept[4] = {NULL};
    struct azfn__secret *first = azfn__secret_new(slab, AZFN__SPAN("1"));
    size_t mappings = count_mappings();
    uint32_t random = 1;
    for (size_t i = 0; i < 1000000; i++) {
        random = random * 1664525 + 1013904223;
        struct azfn__secret **one = &kept[(random >> 8) % 4];
        azfn__secret_release(*one);
        *one = azfn__secret_new(slab, AZFN__SPAN(CANARY));
        assert_non_null(*one);
    }
    assert_true(azfn_span_equals(azfn__secret_reveal(first), "1"));
    assert_true(azfn__secret_slab_used_count(slab) <= 5);
    assert_int_equal(count_mappings(), mappings);
    azfn__secret_slab_destroy(slab);
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab;
    const struct azfn__secret_slab_options options = {.large_count = SIZE_MAX / 2};
    assert_int_equal(azfn__secret_slab_new(&options, &slab), AZFN_ERROR_NO_MEMORY);
    assert_null(slab);
}

static void one_without_slots_gives_none(void **state)
{
    (void)state;
    struct azfn__secret_slab *slab = new_slab(0, 0, 0);
    assert_null(azfn__secret_new(slab, AZFN__SPAN("1")));
    azfn__secret_slab_destroy(slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_kept_and_wiped_when_it_is_given_back),
        cmocka_unit_test(what_was_cut_off_is_wiped_too),
        cmocka_unit_test(an_empty_value_is_one),
        cmocka_unit_test(what_finds_no_slot_of_its_size_gets_a_larger_one),
        cmocka_unit_test(every_slot_of_each_size_holds_what_it_says),
        cmocka_unit_test(given_back_twice_is_not_given_out_twice),
        cmocka_unit_test(a_slot_that_was_used_is_given_out_first),
        cmocka_unit_test(values_are_locked_and_stay_out_of_core_dumps_and_children),
        cmocka_unit_test(pages_that_are_not_needed_take_no_memory),
        cmocka_unit_test(nothing_is_mapped_beside_the_slots),
        cmocka_unit_test(what_may_not_be_locked_is_counted_and_works),
        cmocka_unit_test(a_million_values_take_no_more_than_one),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(one_without_slots_gives_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
