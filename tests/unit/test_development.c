#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/development.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"

static struct azfn__arena arena;
static struct azfn__development development;
static struct azfn__config_fault fault;
static char path[64];

static int set_up(void **state)
{
    (void)state;
    static const char TEMPLATE[] = "/tmp/azfn-development-XXXXXX";
    memcpy(path, TEMPLATE, sizeof(TEMPLATE));
    int fd = mkstemp(path);
    azfn__arena_init(&arena, (size_t)1 << 20);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    azfn__arena_clean_up(&arena);
    return unlink(path);
}

static enum azfn_error read_text(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return azfn__development_read(&development, &arena, path, &fault);
}

static void the_file_says_where_the_stand_ins_are(void **state)
{
    (void)state;
    enum azfn_error error =
        read_text("{\"certificateAuthority\":\"" PEM "\",\"vaultSuffix\":\".vault.localhost:8443\",\"destinations\":"
                  "{\"orders-queue\":\"https://127.0.0.1:10001/devstoreaccount1/orders/\",\"b\":"
                  "\"https://localhost\"}}");
    assert_int_equal(error, AZFN_OK);
    assert_true(development.is_on);
    assert_true(azfn_span_equals(development.certificate_authority,
                                 "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"));
    assert_true(azfn_span_equals(development.vault_suffix, ".vault.localhost:8443"));
    assert_int_equal(development.destination_count, 2);
    assert_true(azfn_span_equals(development.destinations[0].name, "orders-queue"));
    assert_true(azfn_span_equals(development.destinations[0].url,
                                 "https://127.0.0.1:10001/devstoreaccount1/orders/"));
    assert_true(azfn_span_equals(development.destinations[1].name, "b"));
}

static void nothing_has_to_be_in_it(void **state)
{
    (void)state;
    assert_int_equal(read_text("{}"), AZFN_OK);
    assert_true(development.is_on);
    assert_false(azfn_span_is_present(development.certificate_authority));
    assert_false(azfn_span_is_present(development.vault_suffix));
    assert_int_equal(development.destination_count, 0);
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum azfn_error error;
        const char *message; /* behind "<path>:" */
    } cases[] = {
        {"", AZFN_ERROR_SYNTAX, "1: not JSON at column 1"},
        {"{}\n{}", AZFN_ERROR_SYNTAX, "2: not JSON at column 1"},
        {"[]", AZFN_ERROR_INVALID_ARGUMENT, "1: expected an object, found an array"},
        {"{\n\"vault\":\"x\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "2: /vault: expected one of certificateAuthority, vaultSuffix, destinations, found \"vault\""},
        {"{\"vaultSuffix\":\".a.localhost\",\"vaultSuffix\":\".b.localhost\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /vaultSuffix: expected the key once, found it again"},
        {"{\"certificateAuthority\":7}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /certificateAuthority: expected certificates in PEM, found something else (not shown)"},
        {"{\"certificateAuthority\":\"" PEM "-----BEGIN PRIVATE KEY-----\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /certificateAuthority: expected certificates in PEM, found something else (not shown)"},
        {"{\"vaultSuffix\":\".vault.azure.net\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /vaultSuffix: expected a suffix of this machine, such as \".vault.localhost:8443\", found "
         "\".vault.azure.net\""},
        {"{\"vaultSuffix\":\"vault.localhost\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /vaultSuffix: expected a suffix of this machine, such as \".vault.localhost:8443\", found "
         "\"vault.localhost\""},
        {"{\"vaultSuffix\":\".example.org/x.localhost\"}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /vaultSuffix: expected a suffix of this machine, such as \".vault.localhost:8443\", found "
         "\".example.org/x.localhost\""},
        {"{\"destinations\":[]}", AZFN_ERROR_INVALID_ARGUMENT, "1: /destinations: expected an object, found an array"},
        {"{\"destinations\":{\"a\":\"http://127.0.0.1/\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /destinations/a: expected a URL that begins with https://, found \"http://127.0.0.1/\""},
        {"{\"destinations\":{\"a\":\"https://example.org/\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /destinations/a: expected a URL of this machine: localhost, *.localhost or 127.x.x.x, found "
         "\"https://example.org/\""},
        /* what may be a credential is not shown */
        {"{\"destinations\":{\"a\":\"https://example.org/?sig=hush\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /destinations/a: expected a URL without a query and without a fragment, found "
         "\"https://example.org/\""},
        {"{\"destinations\":{\"a\":\"https://127.0.0.1.example.org/\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /destinations/a: expected a URL of this machine: localhost, *.localhost or 127.x.x.x, found "
         "\"https://127.0.0.1.example.org/\""},
        {"{\"destinations\":{\"a\":\"https://notlocalhost/\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "1: /destinations/a: expected a URL of this machine: localhost, *.localhost or 127.x.x.x, found "
         "\"https://notlocalhost/\""},
        {"{\"destinations\":{\"a\":\"https://localhost\",\n\"a\":\"https://localhost\"}}", AZFN_ERROR_INVALID_ARGUMENT,
         "2: /destinations/a: expected the key once, found it again"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char message[AZFN__CONFIG_MESSAGE_BYTES];
        snprintf(message, sizeof(message), "%s:%s", path, cases[i].message);
        assert_int_equal(read_text(cases[i].text), cases[i].error);
        assert_string_equal(fault.message, message);
        assert_false(development.is_on);
    }
}

static void only_a_file_of_bounded_length_is_read(void **state)
{
    (void)state;
    char fifo[80];
    snprintf(fifo, sizeof(fifo), "%s.fifo", path);
    assert_int_equal(azfn__development_read(&development, &arena, "/nowhere/\x1b[31m", &fault), AZFN_ERROR_SYSTEM);
    assert_string_equal(fault.message, "AZFN_DEVELOPMENT: /nowhere/?[31m: expected a file that can be read: No such "
                                       "file or directory");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(azfn__development_read(&development, &arena, fifo, &fault), AZFN_ERROR_SYSTEM);
    assert_non_null(strstr(fault.message, "expected a regular file, found something else"));
    unlink(fifo);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    for (size_t i = 0; i < (1 << 20) + 1; i++) {
        fputc(' ', file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(azfn__development_read(&development, &arena, path, &fault), AZFN_ERROR_LIMIT);
    assert_non_null(strstr(fault.message, "expected at most 1 MiB, found more"));
}

static void the_platform_is_known_by_what_only_it_sets(void **state)
{
    (void)state;
    static const char *const markers[] = {"WEBSITE_INSTANCE_ID", "CONTAINER_NAME", "LEGION_SERVICE_HOST",
                                          "CONTAINER_APP_NAME", "KUBERNETES_SERVICE_HOST"};
    static const char *const local[] = {"WEBSITE_HOSTNAME", "WEBSITE_SITE_NAME", "IDENTITY_ENDPOINT",
                                        "FUNCTIONS_CORETOOLS_ENVIRONMENT"};
    clearenv();
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        setenv(local[i], "x", 1);
    }
    assert_null(azfn__development_platform_marker());
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
        setenv(markers[i], "", 1);
        assert_null(azfn__development_platform_marker());
        setenv(markers[i], "x", 1);
        assert_string_equal(azfn__development_platform_marker(), markers[i]);
        unsetenv(markers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_file_says_where_the_stand_ins_are, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_has_to_be_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_named_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_file_of_bounded_length_is_read, set_up, tear_down),
        cmocka_unit_test(the_platform_is_known_by_what_only_it_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
