/* The environment is one of the process: the test executes itself anew with one that it has made. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/environment.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD "--child"

/* In the child: says what does not hold. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static size_t read_environ(char *bytes, size_t capacity)
{
    FILE *file = fopen("/proc/self/environ", "rb");
    REQUIRE(file);
    size_t length = fread(bytes, 1, capacity, file);
    REQUIRE(fclose(file) == 0);
    return length;
}

static bool holds(const char *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

/* Only what was asked for, by its exact name. */
static void copy_some(void)
{
    struct azfn__arena arena;
    azfn__arena_init(&arena, 4096);
    struct azfn_span port = azfn__environment_copy(&arena, AZFN__SPAN("PORT"));
    struct azfn_span empty = azfn__environment_copy(&arena, AZFN__SPAN("EMPTY"));
    struct azfn_span equals = azfn__environment_copy(&arena, AZFN__SPAN("EQUALS"));
    /* a view into a longer text: the length counts, not a NUL */
    struct azfn_span part = azfn__environment_copy(&arena, azfn__span("PORTER=", 6));
    REQUIRE(azfn_span_equals(port, "7071") && port.data[port.length] == '\0');
    REQUIRE(azfn_span_equals(empty, "") && azfn_span_is_present(empty));
    REQUIRE(azfn_span_equals(equals, "a=b=c"));
    REQUIRE(azfn_span_equals(part, "other"));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("POR"))));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("port"))));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("PORT=7071"))));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("MISSING"))));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("NO_EQUALS_SIGN"))));

    azfn__environment_wipe();
    REQUIRE(azfn_span_equals(port, "7071") && azfn_span_equals(equals, "a=b=c"));
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("PORT"))));
    azfn__arena_clean_up(&arena);
}

static void wipe_all(void)
{
    static char bytes[16384];
    size_t length = read_environ(bytes, sizeof(bytes));
    REQUIRE(holds(bytes, length, "hunter2") && holds(bytes, length, "PORT"));
    /* one that came after the start lies elsewhere */
    REQUIRE(setenv("LATER", "hunter3", 1) == 0);
    char *later = getenv("LATER");
    REQUIRE(later && strcmp(later, "hunter3") == 0);
    char *secret = getenv("SECRET");

    azfn__environment_wipe();
    REQUIRE(secret[0] == '\0' && secret[6] == '\0');
    REQUIRE(!getenv("SECRET") && !getenv("PORT") && !getenv("LATER"));
    REQUIRE(!environ || !*environ);
    length = read_environ(bytes, sizeof(bytes));
    for (size_t i = 0; i < length; i++) {
        REQUIRE(bytes[i] == '\0');
    }
    azfn__environment_wipe(); /* of an empty one */
    REQUIRE(setenv("AGAIN", "works", 1) == 0 && strcmp(getenv("AGAIN"), "works") == 0);
}

static int run_child(const char *what, char *const environment[])
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *const arguments[] = {(char[]){"test"}, (char[]){CHILD}, (char *)(uintptr_t)what, NULL};
        fexecve(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), arguments, environment);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_value_is_copied_by_its_exact_name_and_outlives_the_wiping(void **state)
{
    (void)state;
    char *const environment[] = {(char[]){"NO_EQUALS_SIGN"}, (char[]){"PORTER=other"},   (char[]){"PORT=7071"},
                                 (char[]){"PORT=second"},    (char[]){"EMPTY="},         (char[]){"EQUALS=a=b=c"},
                                 NULL};
    assert_int_equal(run_child("copy", environment), 0);
}

static void after_the_wiping_nothing_shows_the_environment(void **state)
{
    (void)state;
    char *const environment[] = {(char[]){"SECRET=hunter2"}, (char[]){"PORT=7071"}, (char[]){"SECRET=hunter2"}, NULL};
    assert_int_equal(run_child("wipe", environment), 0);
}

static void an_environment_that_is_empty_from_the_start_is_no_problem(void **state)
{
    (void)state;
    char *const environment[] = {NULL};
    assert_int_equal(run_child("empty", environment), 0);
}

static void use_empty(void)
{
    struct azfn__arena arena;
    azfn__arena_init(&arena, 4096);
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("PORT"))));
    azfn__environment_wipe();
    REQUIRE(!azfn_span_is_present(azfn__environment_copy(&arena, AZFN__SPAN("PORT"))));
    azfn__arena_clean_up(&arena);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], CHILD) == 0) {
        (strcmp(argv[2], "copy") == 0 ? copy_some : strcmp(argv[2], "wipe") == 0 ? wipe_all : use_empty)();
        _exit(0);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_copied_by_its_exact_name_and_outlives_the_wiping),
        cmocka_unit_test(after_the_wiping_nothing_shows_the_environment),
        cmocka_unit_test(an_environment_that_is_empty_from_the_start_is_no_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
