/* Whose certificates are trusted, with a bundle of the test's own in place of the system's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/https_fixture.h"

/* The module looks into the current folder. */
static int start_in_folder(void **state)
{
    start_all(state);
    assert_int_equal(chdir(fixture.folder), 0);
    return 0;
}

static int stop_in_folder(void **state)
{
    assert_int_equal(chdir("/"), 0);
    return stop_all(state);
}

static enum azfn_error ask(const char *target, enum azfn__https_trust trust, char *out_reason, size_t size)
{
    struct call call;
    struct azfn__https_request_options options = options_of(&call);
    options.trust = trust;
    make_call(&call, target, options);
    assert_int_equal(call.was_sent, call.error == AZFN_OK);
    if (out_reason) {
        snprintf(out_reason, size, "%s", call.reason);
    }
    clean_up_call(&call);
    return call.error;
}

static void without_a_bundle_nobody_is_trusted(void **state)
{
    (void)state;
    char reason[160];
    start_client(TEST_HTTPS_MODULE_OTHER_BUNDLE);
    assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_SYSTEM, reason, sizeof(reason)), AZFN_ERROR_UNAVAILABLE);
    assert_non_null(strstr(reason, "no bundle of certificate authorities"));
    assert_int_equal(ask("good:/hello", AZFN__HTTPS_TRUST_DEVELOPMENT, NULL, 0), AZFN_OK);
    stop_client();
}

static void a_bundle_without_certificates_is_none(void **state)
{
    (void)state;
    FILE *file = fopen("azfn-test-bundle.pem", "w");
    assert_non_null(file);
    fprintf(file, "# nothing\n-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n");
    fclose(file);
    start_client(TEST_HTTPS_MODULE_OTHER_BUNDLE);
    assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_SYSTEM, NULL, 0), AZFN_ERROR_UNAVAILABLE);
    stop_client();
    assert_int_equal(unlink("azfn-test-bundle.pem"), 0);
}

static void each_trust_has_its_own_authorities_and_connections(void **state)
{
    (void)state;
    assert_int_equal(symlink("system.pem", "azfn-test-bundle.pem"), 0);
    start_client(TEST_HTTPS_MODULE_OTHER_BUNDLE);
    /* the bundle is in memory: no file has to be there any more */
    assert_int_equal(unlink("azfn-test-bundle.pem"), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_DEVELOPMENT, NULL, 0), AZFN_ERROR_FORBIDDEN);
        assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_SYSTEM, NULL, 0), AZFN_OK);
        assert_int_equal(ask("good:/hello", AZFN__HTTPS_TRUST_SYSTEM, NULL, 0), AZFN_ERROR_FORBIDDEN);
        assert_int_equal(ask("good:/hello", AZFN__HTTPS_TRUST_DEVELOPMENT, NULL, 0), AZFN_OK);
    }
    stop_client();
}

static void without_an_authority_for_development_nobody_is_trusted_there(void **state)
{
    (void)state;
    char reason[160];
    fixture.ca[0] = '\0';
    assert_int_equal(symlink("system.pem", "azfn-test-bundle.pem"), 0);
    start_client(TEST_HTTPS_MODULE_OTHER_BUNDLE);
    assert_int_equal(ask("good:/hello", AZFN__HTTPS_TRUST_DEVELOPMENT, reason, sizeof(reason)),
                     AZFN_ERROR_UNAVAILABLE);
    assert_string_equal(reason, "there is no authority for development");
    assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_DEVELOPMENT, NULL, 0), AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(ask("public:/hello", AZFN__HTTPS_TRUST_SYSTEM, NULL, 0), AZFN_OK);
    stop_client();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_bundle_nobody_is_trusted),
        cmocka_unit_test(a_bundle_without_certificates_is_none),
        cmocka_unit_test(each_trust_has_its_own_authorities_and_connections),
        cmocka_unit_test(without_an_authority_for_development_nobody_is_trusted_there),
    };
    return cmocka_run_group_tests(tests, start_in_folder, stop_in_folder);
}
