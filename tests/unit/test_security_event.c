/* The catalogue: names and levels are those of OWASP's logging vocabulary. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/security_event.h"
#include "base/span.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* OWASP's word, and its level; CRITICAL is ERROR here. "malicious_" has more behind it. */
static const struct {
    const char *word;
    enum azfn_log_level level;
} vocabulary[] = {
    {"sys_startup", AZFN_LOG_WARNING},
    {"sys_shutdown", AZFN_LOG_WARNING},
    {"sys_restart", AZFN_LOG_WARNING},
    {"sys_crash", AZFN_LOG_WARNING},
    {"sys_monitor_disabled", AZFN_LOG_WARNING},
    {"authn_token_created", AZFN_LOG_INFORMATION},
    {"authn_login_success", AZFN_LOG_INFORMATION},
    {"authn_login_fail", AZFN_LOG_WARNING},
    {"authz_fail", AZFN_LOG_ERROR},
    {"input_validation_fail", AZFN_LOG_WARNING},
    {"excess_rate_limit_exceeded", AZFN_LOG_WARNING},
    {"sensitive_read", AZFN_LOG_WARNING},
    {"malicious_", AZFN_LOG_ERROR},
};

/* The exceptions that security_event.h names. */
static const enum azfn__security_event with_other_levels[] = {
    AZFN__EVENT_STARTUP,          AZFN__EVENT_WORKER_STARTUP,  AZFN__EVENT_SHUTDOWN,
    AZFN__EVENT_WORKER_SHUTDOWN,  AZFN__EVENT_START_CRASH,     AZFN__EVENT_WORKER_START_CRASH,
    AZFN__EVENT_LAUNCHER_CRASH,   AZFN__EVENT_PLATFORM_SECRETS, AZFN__EVENT_VAULT_FETCHED,
    AZFN__EVENT_VAULT_REFRESHED,  AZFN__EVENT_VAULT_RECOVERED, AZFN__EVENT_SECRET_READ,
    AZFN__EVENT_DESTINATION_USED, AZFN__EVENT_BROKER_CRASH,
};

static const struct azfn__security_event_info *info_of(unsigned event)
{
    return azfn__security_event_info((enum azfn__security_event)event);
}

/* "words", or "words:words". */
static bool has_form(struct azfn_span name)
{
    size_t colons = 0;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        bool is_inside = i > 0 && i + 1 < name.length && name.data[i - 1] != ':' && name.data[i + 1] != ':';
        if (c == ':' ? !is_inside || ++colons > 1 : !(c >= 'a' && c <= 'z') && !(c == '_' && is_inside)) {
            return false;
        }
    }
    return name.length > 0;
}

static void names_are_of_one_form_and_each_is_there_once(void **state)
{
    (void)state;
    assert_null(info_of(AZFN__EVENT_NONE)->name);
    for (unsigned i = AZFN__EVENT_NONE + 1; i < AZFN__EVENT_COUNT; i++) {
        struct azfn_span name = azfn_span_of(info_of(i)->name);
        if (!has_form(name)) {
            fail_msg("%s is no name for an event", name.data);
        }
        assert_in_range(name.length, 1, 64);
        for (unsigned other = AZFN__EVENT_NONE + 1; other < i; other++) {
            assert_string_not_equal(info_of(other)->name, name.data);
        }
    }
    static const char *const bad[] = {"",  ":",   "a:",  ":a", "a:b:c", "a::b", "A",
                                      "a1", "a b", "_a", "a_", "a_:b",  "a:_b"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(has_form(azfn_span_of(bad[i])));
    }
}

/* The host would make a Warning of it, and the name would have to be escaped. */
static void no_error_has_warn_in_its_name(void **state)
{
    (void)state;
    for (unsigned i = AZFN__EVENT_NONE + 1; i < AZFN__EVENT_COUNT; i++) {
        assert_true(info_of(i)->level != AZFN_LOG_ERROR || !strstr(info_of(i)->name, "warn"));
    }
}

static bool has_word(struct azfn_span name, struct azfn_span word)
{
    struct azfn_span rest = azfn__span_from(name, word.length);
    bool is_family = word.data[word.length - 1] == '_';
    return azfn__span_starts_with(name, word) &&
           (is_family ? rest.length > 0 && rest.data[0] != ':' : rest.length == 0 || rest.data[0] == ':');
}

static bool is_exception(unsigned event)
{
    for (size_t i = 0; i < COUNT_OF(with_other_levels); i++) {
        if ((unsigned)with_other_levels[i] == event) {
            return true;
        }
    }
    return false;
}

static void names_and_levels_are_those_of_owasps_vocabulary(void **state)
{
    (void)state;
    for (unsigned event = AZFN__EVENT_NONE + 1; event < AZFN__EVENT_COUNT; event++) {
        const struct azfn__security_event_info *info = info_of(event);
        size_t i = 0;
        while (i < COUNT_OF(vocabulary) && !has_word(azfn_span_of(info->name), azfn_span_of(vocabulary[i].word))) {
            i++;
        }
        if (i == COUNT_OF(vocabulary)) {
            fail_msg("%s is no word of OWASP's", info->name);
        }
        if ((info->level != vocabulary[i].level) != is_exception(event)) {
            fail_msg("%s is of another level than OWASP's", info->name);
        }
    }
}

static void exceptions_are_of_the_kinds_that_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(with_other_levels); i++) {
        const struct azfn__security_event_info *info = azfn__security_event_info(with_other_levels[i]);
        struct azfn_span name = azfn_span_of(info->name);
        if (info->level == AZFN_LOG_INFORMATION) {
            assert_true(has_word(name, AZFN__SPAN("sys_startup")) || has_word(name, AZFN__SPAN("sys_shutdown")) ||
                        has_word(name, AZFN__SPAN("sensitive_read")));
        } else {
            assert_int_equal(info->level, AZFN_LOG_ERROR);
            assert_true(has_word(name, AZFN__SPAN("sys_crash")));
        }
    }
}

static void a_functions_own_line_names_its_invocation_and_nothing_else(void **state)
{
    (void)state;
    const struct azfn__security_event_info *info = info_of(AZFN__EVENT_NONE);
    assert_true(info->fields == AZFN__FIELDS_OF_INVOCATION);
    assert_false(info->is_counted);
}

static void fields_and_sources_are_known_ones(void **state)
{
    (void)state;
    for (unsigned i = AZFN__EVENT_NONE; i < AZFN__EVENT_COUNT; i++) {
        assert_true(info_of(i)->fields >> AZFN__EVENT_FIELD_COUNT == 0);
        assert_in_range(info_of(i)->source, AZFN__SOURCE_BROKER, AZFN__SOURCE_ANY);
    }
}

/* A line stands for as many occurrences as its count says, and for one where it has none: so only what is counted has
 * one. */
static void what_is_counted_has_a_count_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned i = AZFN__EVENT_NONE + 1; i < AZFN__EVENT_COUNT; i++) {
        bool has_count = (info_of(i)->fields & AZFN__FIELD_BIT(COUNT)) != 0;
        if (has_count != info_of(i)->is_counted) {
            fail_msg("%s is counted without a count, or has one without being counted", info_of(i)->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_of_one_form_and_each_is_there_once),
        cmocka_unit_test(no_error_has_warn_in_its_name),
        cmocka_unit_test(names_and_levels_are_those_of_owasps_vocabulary),
        cmocka_unit_test(exceptions_are_of_the_kinds_that_are_named),
        cmocka_unit_test(a_functions_own_line_names_its_invocation_and_nothing_else),
        cmocka_unit_test(fields_and_sources_are_known_ones),
        cmocka_unit_test(what_is_counted_has_a_count_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
