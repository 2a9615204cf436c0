#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/settings.h"

#include <stdlib.h>

#define HOST "{\"version\":\"2.0\",\"customHandler\":{\"enableForwardingHttpRequest\":true,\"description\":" \
             "{\"defaultExecutablePath\":\"h\"}}}"
#define QUEUE "{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"}]}"
#define POLICY                                                                                               \
    "{\"secrets\":{\"k\":{\"reference\":\"@Microsoft.KeyVault(VaultName=%TEST_VAULT%;SecretName=s)\"}},"       \
    "\"identity\":{\"clientId\":\"%TEST_CLIENT%\"},"                                                           \
    "\"functions\":{\"order\":{\"settings\":[\"TEST_REGION\",\"TEST_EMPTY\",\"TEST_UNSET\"]}}}"

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
}

static struct azfn__config *config;
static struct azfn__arena arena;

static int set_up(void **state)
{
    (void)state;
    static const struct azfn_function functions[] = {{.name = "order", .handler = handle}};
    static const struct azfn__config_file files[] = {{{"host.json", 9}, {HOST, sizeof(HOST) - 1}},
                                                     {{"order/function.json", 19}, {QUEUE, sizeof(QUEUE) - 1}},
                                                     {{"azfn.json", 9}, {POLICY, sizeof(POLICY) - 1}}};
    struct azfn__config_fault fault;
    azfn__arena_init(&arena, 4096);
    setenv("TEST_VAULT", "my-vault", 1);
    setenv("TEST_REGION", "west=1", 1);
    setenv("TEST_EMPTY", "", 1);
    setenv("TEST_CLIENT", "id", 1);
    setenv("TEST_OTHER", "not named", 1);
    unsetenv("TEST_UNSET");
    return azfn__config_new(files, 3, functions, 1, &config, &fault) == AZFN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    azfn__config_destroy(config);
    azfn__arena_clean_up(&arena);
    return 0;
}

static struct azfn__settings copy(void)
{
    struct azfn__settings settings;
    struct azfn__config_fault fault;
    assert_int_equal(azfn__settings_copy(&settings, &arena, config, &fault), AZFN_OK);
    return settings;
}

static void those_that_are_named_are_copied_and_no_others(void **state)
{
    (void)state;
    struct azfn__settings settings = copy();
    setenv("TEST_REGION", "changed", 1);
    assert_true(azfn_span_equals(azfn__settings_get(&settings, AZFN__SPAN("TEST_REGION")), "west=1"));
    assert_true(azfn_span_equals(azfn__settings_get(&settings, AZFN__SPAN("TEST_VAULT")), "my-vault"));
    assert_true(azfn_span_equals(azfn__settings_get(&settings, AZFN__SPAN("TEST_CLIENT")), "id"));
    struct azfn_span empty = azfn__settings_get(&settings, AZFN__SPAN("TEST_EMPTY"));
    assert_true(azfn_span_is_present(empty) && empty.length == 0);
    assert_false(azfn_span_is_present(azfn__settings_get(&settings, AZFN__SPAN("TEST_UNSET"))));
    assert_false(azfn_span_is_present(azfn__settings_get(&settings, AZFN__SPAN("TEST_OTHER"))));
    assert_false(azfn_span_is_present(azfn__settings_get(&settings, AZFN__SPAN("PATH"))));
}

static void the_worker_gets_what_is_granted_and_set(void **state)
{
    (void)state;
    struct azfn__settings settings = copy();
    struct azfn__buffer lines;
    azfn__buffer_init(&lines, 4096);
    azfn__settings_append_granted(&settings, config, &lines);
    assert_true(azfn_span_equals(azfn__buffer_span(&lines), "TEST_EMPTY=\nTEST_REGION=west=1\n"));
    azfn__buffer_clean_up(&lines);
}

static void a_value_of_several_lines_is_refused_by_name_only(void **state)
{
    (void)state;
    static const char *const values[] = {"a\nTEST_UNSET=canary", "canary\r"};
    for (size_t i = 0; i < 2; i++) {
        struct azfn__settings settings;
        struct azfn__config_fault fault;
        setenv("TEST_REGION", values[i], 1);
        assert_int_equal(azfn__settings_copy(&settings, &arena, config, &fault), AZFN_ERROR_INVALID_ARGUMENT);
        assert_string_equal(fault.message, "the setting TEST_REGION: expected a value of one line, found several");
        assert_int_equal(settings.count, 0);
    }
}

static void too_little_memory_is_a_fault(void **state)
{
    (void)state;
    struct azfn__settings settings;
    struct azfn__config_fault fault;
    static char value[8000];
    memset(value, 'x', sizeof(value) - 1);
    setenv("TEST_REGION", value, 1);
    assert_int_equal(azfn__settings_copy(&settings, &arena, config, &fault), AZFN_ERROR_NO_MEMORY);
    assert_string_equal(fault.message, "not enough memory for the settings");
}

static void names_in_text_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *replaced; /* NULL: absent */
        const char *missing;
    } cases[] = {
        {"", "", NULL},
        {"plain", "plain", NULL},
        {"%TEST_VAULT%", "my-vault", NULL},
        {"a%TEST_VAULT%b%TEST_REGION%", "amy-vaultbwest=1", NULL},
        {"[%TEST_EMPTY%]", "[]", NULL},
        {"100%", "100%", NULL},
        {"% %TEST_EMPTY%", "% ", NULL},
        {"%TEST_VAULT%%TEST_UNSET%", NULL, "TEST_UNSET"},
        {"%TEST_OTHER%", NULL, "TEST_OTHER"},
    };
    struct azfn__settings settings = copy();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct azfn_span missing;
        struct azfn_span text = azfn__settings_replace(&settings, &arena, azfn_span_of(cases[i].text), &missing);
        assert_true(cases[i].replaced ? azfn_span_equals(text, cases[i].replaced) : !azfn_span_is_present(text));
        assert_true(cases[i].missing ? azfn_span_equals(missing, cases[i].missing) : !azfn_span_is_present(missing));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(those_that_are_named_are_copied_and_no_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_worker_gets_what_is_granted_and_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_of_several_lines_is_refused_by_name_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_little_memory_is_a_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_in_text_are_replaced, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
