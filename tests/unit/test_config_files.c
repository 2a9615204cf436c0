#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "config/config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_GET_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#define ALL_SEALS 0xf

/* An app's folder under /tmp, removed with everything in it. */
struct app {
    char root[64];
};

static void run(const char *command_line, const char *folder)
{
    char command[256];
    snprintf(command, sizeof(command), "cd %s && %s", folder, command_line);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    struct app *app = calloc(1, sizeof(*app));
    assert_non_null(app);
    snprintf(app->root, sizeof(app->root), "/tmp/azfn-files-XXXXXX");
    assert_non_null(mkdtemp(app->root));
    *state = app;
    return 0;
}

static int tear_down(void **state)
{
    struct app *app = *state;
    run("chmod -R u+rwx .", app->root);
    run("rm -rf \"$PWD\"", app->root);
    free(app);
    return 0;
}

static void path_of(const struct app *app, const char *name, char *out, size_t room)
{
    snprintf(out, room, "%s/%s", app->root, name);
}

static void put(const struct app *app, const char *name, const char *text, size_t length)
{
    char path[512];
    path_of(app, name, path, sizeof(path));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), length);
    close(fd);
}

static void put_text(const struct app *app, const char *name, const char *text)
{
    put(app, name, text, strlen(text));
}

static void read_app(const struct app *app, struct azfn__config_files *files)
{
    struct azfn__config_fault fault;
    if (azfn__config_files_read(files, app->root, azfn_span_of(""), &fault) != AZFN_OK) {
        fail_msg("%s", fault.message);
    }
}

static void expect_fault(const struct app *app, enum azfn_error error, const char *message)
{
    struct azfn__config_files files;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__config_files_read(&files, app->root, azfn_span_of(""), &fault), error);
    assert_string_equal(fault.message, message);
    assert_null(files.blob);
    assert_int_equal(files.file_count, 0);
}

static void expect_file(const struct azfn__config_files *files, size_t index, const char *path, const char *text)
{
    assert_true(index < files->file_count);
    assert_true(azfn_span_equals(files->files[index].path, path));
    assert_true(azfn_span_equals(files->files[index].text, text));
}

static void an_app_is_read_in_order(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    put_text(app, "host.json", "{host}");
    put_text(app, "azfn.json", "");
    put_text(app, "zebra/function.json", "z");
    put_text(app, "Alpha/function.json", "a");
    put_text(app, "beta/function.json", "b");
    put_text(app, "beta/deeper/function.json", "no");
    put_text(app, ".git/function.json", "no");
    put_text(app, "bin/handler", "no");
    put_text(app, "function.json", "no");
    put_text(app, "local.settings.json", "no");
    read_app(app, &files);
    assert_int_equal(files.file_count, 5);
    expect_file(&files, 0, "host.json", "{host}");
    expect_file(&files, 1, "azfn.json", "");
    expect_file(&files, 2, "Alpha/function.json", "a");
    expect_file(&files, 3, "beta/function.json", "b");
    expect_file(&files, 4, "zebra/function.json", "z");
    azfn__config_files_clean_up(&files);
    azfn__config_files_clean_up(&files);
}

static void azfn_json_may_be_missing_but_not_host_json(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    expect_fault(app, AZFN_ERROR_NOT_FOUND, "host.json: expected this file in the app's folder, found none");
    put_text(app, "host.json", "{}");
    read_app(app, &files);
    assert_int_equal(files.file_count, 1);
    azfn__config_files_clean_up(&files);
}

static void a_folder_that_is_not_there_is_a_fault(void **state)
{
    struct app *app = *state;
    struct azfn__config_files files;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__config_files_read(&files, "/nowhere/\x1b[31m", azfn_span_of(""), &fault), AZFN_ERROR_SYSTEM);
    assert_string_equal(fault.message, "/nowhere/?[31m: expected the app's folder: No such file or directory");
    (void)app;
}

static void only_regular_files_are_read(void **state)
{
    const struct app *app = *state;
    put_text(app, "host.json", "{}");
    put_text(app, "a/x", "");
    run("mkfifo a/function.json", app->root);
    expect_fault(app, AZFN_ERROR_SYSTEM, "a/function.json: expected a regular file, found something else");
    run("rm a/function.json", app->root);
    run("mkdir a/function.json", app->root);
    expect_fault(app, AZFN_ERROR_SYSTEM, "a/function.json: expected a regular file, found something else");
    run("rmdir a/function.json", app->root);
    run("ln -s /dev/zero a/function.json", app->root);
    expect_fault(app, AZFN_ERROR_SYSTEM, "a/function.json: expected a regular file, found something else");
}

static void links_to_folders_are_followed_and_broken_ones_are_not_functions(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    put_text(app, "host.json", "{}");
    put_text(app, ".real/function.json", "linked");
    run("ln -s .real linked", app->root);
    run("ln -s nowhere broken", app->root);
    run("ln -s host.json file", app->root);
    read_app(app, &files);
    assert_int_equal(files.file_count, 2);
    expect_file(&files, 1, "linked/function.json", "linked");
    azfn__config_files_clean_up(&files);
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    char *text = calloc(1, AZFN__CONFIG_FILE_MAX_BYTES + 1);
    assert_non_null(text);
    put(app, "host.json", text, AZFN__CONFIG_FILE_MAX_BYTES);
    read_app(app, &files);
    assert_int_equal(files.files[0].text.length, AZFN__CONFIG_FILE_MAX_BYTES);
    azfn__config_files_clean_up(&files);
    put(app, "azfn.json", text, AZFN__CONFIG_FILE_MAX_BYTES + 1);
    expect_fault(app, AZFN_ERROR_LIMIT, "azfn.json: expected at most 4 MiB, found more");
    free(text);
}

static void files_that_are_too_long_together_are_refused(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    struct azfn__config_fault fault;
    char *text = calloc(1, AZFN__CONFIG_FILE_MAX_BYTES);
    assert_non_null(text);
    put_text(app, "host.json", "{}");
    for (size_t i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof(name), "f%zu/function.json", i);
        put(app, name, text, AZFN__CONFIG_FILE_MAX_BYTES);
    }
    assert_int_equal(azfn__config_files_read(&files, app->root, azfn_span_of(""), &fault), AZFN_ERROR_LIMIT);
    assert_non_null(strstr(fault.message, "expected at most 32 MiB in all files, found more"));
    free(text);
}

static void a_file_that_may_not_be_read_is_a_fault(void **state)
{
    const struct app *app = *state;
    if (geteuid() == 0) {
        skip();
    }
    put_text(app, "host.json", "{}");
    put_text(app, "a/function.json", "{}");
    run("chmod 0 a/function.json", app->root);
    expect_fault(app, AZFN_ERROR_SYSTEM, "a/function.json: expected a file that can be read: Permission denied");
}

static void what_is_sealed_is_mapped_as_it_was_read(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    struct azfn__config_files mapped;
    put_text(app, "host.json", "{\"version\":\"2.0\"}");
    put_text(app, "azfn.json", "{}");
    put_text(app, "a/function.json", "");
    put_text(app, "b/function.json", "bb");
    read_app(app, &files);
    int fd = azfn__config_files_seal(&files, azfn_span_of(""));
    assert_true(fd >= 0);
    assert_int_equal(azfn__config_files_map(&mapped, fd), AZFN_OK);
    close(fd);
    assert_true(mapped.is_mapped);
    assert_int_equal(mapped.file_count, files.file_count);
    for (size_t i = 0; i < files.file_count; i++) {
        assert_true(azfn__span_equal(mapped.files[i].path, files.files[i].path));
        assert_true(azfn__span_equal(mapped.files[i].text, files.files[i].text));
    }
    azfn__config_files_clean_up(&mapped);
    azfn__config_files_clean_up(&files);
}

static void settings_are_one_file_more(void **state)
{
    const struct app *app = *state;
    static char long_text[AZFN__CONFIG_FILE_MAX_BYTES + 1];
    struct azfn__config_files files;
    struct azfn__config_files mapped;
    put_text(app, "host.json", "{}");
    read_app(app, &files);
    int fd = azfn__config_files_seal(&files, AZFN__SPAN("A=1\nB=\n"));
    assert_true(fd >= 0);
    assert_int_equal(azfn__config_files_map(&mapped, fd), AZFN_OK);
    close(fd);
    assert_int_equal(files.file_count, 1);
    assert_int_equal(mapped.file_count, 2);
    assert_true(azfn_span_equals(mapped.files[0].text, "{}"));
    assert_true(azfn_span_equals(mapped.files[1].path, AZFN__CONFIG_SETTINGS));
    assert_true(azfn_span_equals(mapped.files[1].text, "A=1\nB=\n"));
    azfn__config_files_clean_up(&mapped);
    assert_int_equal(azfn__config_files_seal(&files, azfn__span(long_text, sizeof(long_text))), -1);
    azfn__config_files_clean_up(&files);
}

static void nobody_can_change_what_is_sealed(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    put_text(app, "host.json", "{}");
    read_app(app, &files);
    int fd = azfn__config_files_seal(&files, azfn_span_of(""));
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 1), -1);
    assert_int_equal(ftruncate(fd, 1 << 20), -1);
    assert_true(mmap(NULL, files.blob_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    close(fd);
    azfn__config_files_clean_up(&files);
}

/* A memfd of any bytes. */
static int sealed(const char *bytes, size_t length, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, length), length);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static enum azfn_error map_bytes(const char *bytes, size_t length)
{
    struct azfn__config_files mapped;
    int fd = sealed(bytes, length, ALL_SEALS);
    enum azfn_error error = azfn__config_files_map(&mapped, fd);
    close(fd);
    for (size_t i = 0; i < mapped.file_count; i++) {
        assert_true(mapped.files[i].path.data >= mapped.blob);
        assert_true(mapped.files[i].text.data + mapped.files[i].text.length <= mapped.blob + mapped.blob_bytes);
    }
    azfn__config_files_clean_up(&mapped);
    return error;
}

static void what_is_not_sealed_is_not_mapped(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    struct azfn__config_files mapped;
    put_text(app, "host.json", "{}");
    read_app(app, &files);
    for (int missing = 1; missing <= 8; missing *= 2) {
        int fd = sealed(files.blob, files.blob_bytes, ALL_SEALS & ~missing);
        assert_int_equal(azfn__config_files_map(&mapped, fd), AZFN_ERROR_SYNTAX);
        assert_null(mapped.blob);
        close(fd);
    }
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(azfn__config_files_map(&mapped, fd), AZFN_ERROR_SYSTEM);
    close(fd);
    assert_int_equal(azfn__config_files_map(&mapped, -1), AZFN_ERROR_SYSTEM);
    azfn__config_files_clean_up(&files);
}

static void tampered_bytes_are_refused(void **state)
{
    const struct app *app = *state;
    struct azfn__config_files files;
    put_text(app, "host.json", "{}");
    put_text(app, "a/function.json", "12345678");
    read_app(app, &files);
    size_t length = files.blob_bytes;
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    memcpy(bytes, files.blob, length);
    bytes[length] = 'x';
    assert_int_equal(map_bytes(bytes, length), AZFN_OK);

    /* every shorter one, one byte more, and none at all */
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_equal(map_bytes(bytes, cut), AZFN_ERROR_SYNTAX);
    }
    assert_int_equal(map_bytes(bytes, length + 1), AZFN_ERROR_SYNTAX);

    /* each byte of the headers set to what a length must not be; text and paths may be anything */
    size_t text = 24 + 8 + strlen("host.json") + 2;
    for (size_t at = 0; at < 24 + 8; at++) {
        char kept = bytes[at];
        bytes[at] = '\xff';
        assert_int_equal(map_bytes(bytes, length), AZFN_ERROR_SYNTAX);
        bytes[at] = kept;
    }
    for (size_t at = text; at < text + 8; at++) {
        char kept = bytes[at];
        bytes[at] = '\xff';
        assert_int_equal(map_bytes(bytes, length), AZFN_ERROR_SYNTAX);
        bytes[at] = kept;
    }

    /* lengths that add up to the same sum, and a file count that is one too low */
    bytes[24]++;
    bytes[28]--;
    (void)map_bytes(bytes, length);
    bytes[24]--;
    bytes[28]++;
    bytes[16]--;
    assert_int_equal(map_bytes(bytes, length), AZFN_ERROR_SYNTAX);
    free(bytes);
    azfn__config_files_clean_up(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_app_is_read_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(azfn_json_may_be_missing_but_not_host_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_a_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_regular_files_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_to_folders_are_followed_and_broken_ones_are_not_functions, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_long_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_are_too_long_together_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_may_not_be_read_is_a_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_sealed_is_mapped_as_it_was_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_are_one_file_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_can_change_what_is_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_sealed_is_not_mapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tampered_bytes_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
