/* Who may have what, and what is told of it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "broker/policy.h"
#include "unit/log_lines.h"
#include "unit/timers.h"

#include <stdio.h>

#define FIVE_MINUTES_MS 300000

struct fixture {
    uv_loop_t loop;
    struct log_lines log;
    struct azfn__config_function functions[2];
    struct azfn__config_secret secrets[3];
    struct azfn__config_destination destinations[2];
    struct azfn_span granted[8];
    struct azfn__config config;
    struct azfn__policy *policy;
};

static void set_up(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    set_up_log_lines(&fixture->log);
    fixture->secrets[0].name = AZFN__SPAN("a-key");
    fixture->secrets[1].name = AZFN__SPAN("b-key");
    fixture->secrets[2].name = AZFN__SPAN("c-key");
    fixture->destinations[0].name = AZFN__SPAN("partner");
    fixture->destinations[1].name = AZFN__SPAN("queue");
    fixture->granted[0] = AZFN__SPAN("c-key"); /* in azfn.json's order, not sorted */
    fixture->granted[1] = AZFN__SPAN("a-key");
    fixture->granted[2] = AZFN__SPAN("queue");
    fixture->granted[3] = AZFN__SPAN("b-key");
    fixture->functions[0] = (struct azfn__config_function){.name = AZFN__SPAN("order"),
                                                           .secrets = fixture->granted,
                                                           .secret_count = 2,
                                                           .destinations = fixture->granted + 2,
                                                           .destination_count = 1};
    fixture->functions[1] = (struct azfn__config_function){
        .name = AZFN__SPAN("webhook"), .secrets = fixture->granted + 3, .secret_count = 1};
    fixture->config = (struct azfn__config){.functions = fixture->functions,
                                            .function_count = 2,
                                            .secrets = fixture->secrets,
                                            .secret_count = 3,
                                            .destinations = fixture->destinations,
                                            .destination_count = 2};
    assert_int_equal(azfn__policy_new(&fixture->loop, &fixture->config, &fixture->log.sink, &fixture->policy), AZFN_OK);
}

static void clean_up(struct fixture *fixture)
{
    azfn__policy_destroy(fixture->policy);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    clean_up_log_lines(&fixture->log);
}

static struct azfn__policy_asker asker(const char *function)
{
    return (struct azfn__policy_asker){.function = azfn_span_of(function), .invocation_id = AZFN__SPAN("id-1")};
}

static const struct azfn__config_secret *find_secret(struct fixture *fixture, const char *function, const char *name)
{
    struct azfn__policy_asker who = asker(function);
    return azfn__policy_find_secret(fixture->policy, &who, azfn_span_of(name));
}

static const struct azfn__config_destination *find_destination(struct fixture *fixture, const char *function,
                                                               const char *name)
{
    struct azfn__policy_asker who = asker(function);
    return azfn__policy_find_destination(fixture->policy, &who, azfn_span_of(name));
}

static void read_secret(struct fixture *fixture, const char *function, size_t secret, const char *version)
{
    struct azfn__policy_asker who = asker(function);
    azfn__policy_record_read(fixture->policy, &who, &fixture->secrets[secret], version);
}

static void only_what_is_granted_to_that_function_is_found(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    assert_ptr_equal(find_secret(&fixture, "order", "a-key"), &fixture.secrets[0]);
    assert_ptr_equal(find_secret(&fixture, "order", "c-key"), &fixture.secrets[2]);
    assert_ptr_equal(find_secret(&fixture, "webhook", "b-key"), &fixture.secrets[1]);
    assert_ptr_equal(find_destination(&fixture, "order", "queue"), &fixture.destinations[1]);
    assert_int_equal(count_of(&fixture.log, "\n"), 0);
    assert_null(find_secret(&fixture, "order", "b-key"));
    assert_null(find_secret(&fixture, "webhook", "a-key"));
    assert_null(find_destination(&fixture, "webhook", "queue"));
    assert_null(find_destination(&fixture, "order", "partner"));
    clean_up(&fixture);
}

static void names_are_exact(void **state)
{
    static const char *const NAMES[] = {"", "A-KEY", "a-ke", "a-key ", "a-keyx", "queue", "*", NULL};
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        assert_null(find_secret(&fixture, "order", NAMES[i]));
    }
    assert_null(find_secret(&fixture, "Order", "a-key"));
    assert_null(find_secret(&fixture, "orde", "a-key"));
    assert_null(find_secret(&fixture, "", "a-key"));
    assert_null(find_secret(&fixture, NULL, "a-key"));
    struct azfn__policy_asker who = asker("order");
    assert_null(azfn__policy_find_secret(fixture.policy, &who, azfn__span("a-key\0", 6)));
    clean_up(&fixture);
}

static void an_app_without_azfn_json_grants_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    azfn__policy_destroy(fixture.policy);
    fixture.config = (struct azfn__config){.functions = fixture.functions, .function_count = 1};
    fixture.functions[0] = (struct azfn__config_function){.name = AZFN__SPAN("order")};
    assert_int_equal(azfn__policy_new(&fixture.loop, &fixture.config, &fixture.log.sink, &fixture.policy), AZFN_OK);
    assert_null(find_secret(&fixture, "order", "a-key"));
    assert_null(find_destination(&fixture, "order", "queue"));
    clean_up(&fixture);
}

static void a_refusal_is_told_at_once_and_then_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 4; i++) {
        assert_null(find_secret(&fixture, "order", "b-key"));
    }
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    assert_int_equal(count_of(&fixture.log, "\"level\":\"ERROR\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authz_fail:secret\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"order\",\"invocation_id\":\"id-1\""), 1);
    assert_int_equal(count_of(&fixture.log, "secret \\\"b-key\\\": azfn.json does not grant it"), 1);
    assert_in_range(bring_timer_forward(&fixture.loop), FIVE_MINUTES_MS - 1000, FIVE_MINUTES_MS);
    assert_int_equal(count_of(&fixture.log, "3 more times: secret \\\"b-key\\\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"count\":3"), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 2);
    /* five minutes without one: it is forgotten, and the timer with it */
    bring_timer_forward(&fixture.loop);
    assert_int_equal(count_of(&fixture.log, "\n"), 2);
    assert_int_equal(timers_of(&fixture.loop).count, 0);
    assert_null(find_secret(&fixture, "order", "b-key"));
    assert_int_equal(count_of(&fixture.log, "asked for secret \\\"b-key\\\": azfn.json does not grant it"), 2);
    clean_up(&fixture);
}

static void each_kind_of_refusal_is_told(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 2; i++) {
        assert_null(find_destination(&fixture, "webhook", "queue"));
        assert_null(find_secret(&fixture, "webhook", "nothing"));
        assert_null(find_secret(&fixture, "webhook", i == 0 ? "queue" : "partner"));
        assert_null(find_secret(&fixture, i == 0 ? "nobody" : "noone", "a-key"));
        struct azfn__policy_asker who = asker("order");
        azfn__policy_record_refusal(fixture.policy, &who, &fixture.destinations[1], "a path with dots");
    }
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authz_fail:destination\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"there is none of that name in azfn.json\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"there is no such function\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"input_validation_fail:destination\""), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 4);
    bring_timer_forward(&fixture.loop);
    assert_int_equal(count_of(&fixture.log, "1 more times: destination \\\"queue\\\": azfn.json does not grant it"), 1);
    assert_int_equal(count_of(&fixture.log, "3 more times: secret \\\"(unknown)\\\": azfn.json does not grant it"), 1);
    assert_int_equal(count_of(&fixture.log, "\"function\":\"(unknown)\""), 1);
    assert_int_equal(count_of(&fixture.log, "1 more times: destination \\\"queue\\\": a path with dots"), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 8);
    clean_up(&fixture);
}

static void hostile_text_is_cut_and_can_not_pass_for_ours(void **state)
{
    (void)state;
    struct fixture fixture;
    char name[5000];
    set_up(&fixture);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memcpy(name, "k\": granted\r\n", 13);
    assert_null(find_secret(&fixture, name, name));
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    assert_int_equal(count_of(&fixture.log, "secret \\\"k?: granted??xxx"), 1);
    assert_true(fixture.log.length < 1200);
    clean_up(&fixture);
}

static void many_kinds_of_refusals_are_counted_together(void **state)
{
    (void)state;
    static char rules[300][8];
    struct fixture fixture;
    size_t told = 0;
    uint64_t occurrences = 0;
    set_up(&fixture);
    for (size_t i = 0; i < 300; i++) {
        struct azfn__policy_asker who = asker("order");
        azfn__policy_record_refusal(fixture.policy, &who, &fixture.destinations[1], rules[i]);
        told += count_of(&fixture.log, "\"event\":\"input_validation_fail:destination\"");
        assert_int_equal(count_of(&fixture.log, "\"event\":\"authz_fail:others\""), i == 256 ? 1 : 0);
        occurrences += occurrences_of(&fixture.log, "authz_fail:others");
        forget_log_lines(&fixture.log);
    }
    /* 256 are told, of which the log writes what one event may have at once, or more where that takes long; and later
     * that there were others */
    assert_in_range(told, AZFN__LOG_EVENT_BURST, 255);
    bring_timer_forward(&fixture.loop);
    assert_int_equal(occurrences_of(&fixture.log, "input_validation_fail:destination"), 256 - told);
    assert_int_equal(count_of(&fixture.log, "43 more refusals of other kinds"), 1);
    assert_int_equal(occurrences + occurrences_of(&fixture.log, "authz_fail:others"), 300 - 256);
    clean_up(&fixture);
}

static void a_read_is_told_once_per_function_secret_and_version(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 3; i++) {
        read_secret(&fixture, "order", 0, "v1");
    }
    read_secret(&fixture, "order", 2, "");
    read_secret(&fixture, "webhook", 1, "v1");
    assert_int_equal(count_of(&fixture.log, "\n"), 3);
    assert_int_equal(count_of(&fixture.log, "\"level\":\"INFO\""), 3);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:secret\""), 3);
    assert_int_equal(count_of(&fixture.log, "secret \\\"a-key\\\" of version v1 used\""), 1);
    assert_int_equal(count_of(&fixture.log, "secret \\\"c-key\\\" used\""), 1);
    /* what was counted of the old version is told with it */
    read_secret(&fixture, "order", 0, "v2");
    assert_int_equal(count_of(&fixture.log, "of version v1 used 2 more times"), 1);
    assert_int_equal(count_of(&fixture.log, "of version v2 used\""), 1);
    read_secret(&fixture, "order", 0, "v2");
    assert_in_range(bring_timer_forward(&fixture.loop), FIVE_MINUTES_MS - 1000, FIVE_MINUTES_MS);
    assert_int_equal(count_of(&fixture.log, "of version v2 used 1 more times"), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 6);
    assert_int_equal(timers_of(&fixture.loop).count, 0);
    read_secret(&fixture, "order", 0, "v2");
    assert_int_equal(count_of(&fixture.log, "\n"), 6);
    clean_up(&fixture);
}

/* One function that is granted many secrets. */
static void grant_many(struct fixture *fixture, size_t count)
{
    static char names[400][24];
    static struct azfn__config_secret all[400];
    static struct azfn_span granted[400];
    assert_true(count <= 400);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "s%03zu", i);
        granted[i] = all[i].name = azfn_span_of(names[i]);
    }
    azfn__policy_destroy(fixture->policy);
    fixture->functions[0].secrets = granted;
    fixture->functions[0].secret_count = count;
    fixture->config.secrets = all;
    fixture->config.secret_count = count;
    fixture->config.function_count = 1;
    assert_int_equal(azfn__policy_new(&fixture->loop, &fixture->config, &fixture->log.sink, &fixture->policy), AZFN_OK);
}

static void read_all_secrets(struct fixture *fixture)
{
    struct azfn__policy_asker who = asker("order");
    for (size_t i = 0; i < fixture->config.secret_count; i++) {
        azfn__policy_record_read(fixture->policy, &who, &fixture->config.secrets[i], "v1");
    }
}

static void however_many_are_used_each_use_is_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    grant_many(&fixture, 250);
    read_all_secrets(&fixture);
    read_all_secrets(&fixture);
    /* the log takes so many lines of one event at once */
    uint64_t occurrences = occurrences_of(&fixture.log, "sensitive_read:secret");
    assert_int_equal(occurrences, AZFN__LOG_EVENT_BURST);
    forget_log_lines(&fixture.log);
    assert_in_range(bring_timer_forward(&fixture.loop), FIVE_MINUTES_MS - 1000, FIVE_MINUTES_MS);
    assert_int_equal(count_of(&fixture.log, "\n"), 100);
    occurrences += occurrences_of(&fixture.log, "sensitive_read:secret");
    forget_log_lines(&fixture.log);
    /* one that was told in this round already */
    struct azfn__policy_asker who = asker("order");
    azfn__policy_record_read(fixture.policy, &who, &fixture.config.secrets[0], "v1");
    while (timers_of(&fixture.loop).count > 0 && bring_timer_forward(&fixture.loop) != FIVE_MINUTES_MS) {
        occurrences += occurrences_of(&fixture.log, "sensitive_read:secret");
        forget_log_lines(&fixture.log);
    }
    occurrences += occurrences_of(&fixture.log, "sensitive_read:secret");
    assert_int_equal(occurrences, 501);
    clean_up(&fixture);
}

/* As if somebody had read it all. */
static void drop_pending(struct log_lines *log)
{
    for (size_t i = 0; i < 2; i++) {
        log->sink.streams[i].pending.length = 0;
        log->sink.streams[i].begun_bytes = 0;
    }
    do {
        forget_log_lines(log);
    } while (count_of(log, "x") > 0);
}

static void a_count_that_could_not_be_written_stays_and_telling_goes_on_there(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    grant_many(&fixture, 90);
    read_all_secrets(&fixture);
    read_all_secrets(&fixture);
    forget_log_lines(&fixture.log);
    /* nobody reads, and all that may wait does */
    static char filler[AZFN__LOG_LINE_MAX_BYTES / 4];
    memset(filler, 'x', sizeof(filler) - 1);
    const struct azfn__event_fields counted = {.count = AZFN__NUMBER(1)};
    while (azfn__log_sink_say(&fixture.log.sink, AZFN__EVENT_SECRET_READ, &counted, "%s", filler)) {
    }
    while (azfn__log_sink_say(&fixture.log.sink, AZFN__EVENT_SECRET_READ, &counted, "x")) {
    }
    uint64_t dropped = fixture.log.sink.limits.dropped;
    bring_timer_forward(&fixture.loop);
    assert_int_equal(fixture.log.sink.limits.dropped, dropped + 1);
    drop_pending(&fixture.log);
    assert_in_range(bring_timer_forward(&fixture.loop), FIVE_MINUTES_MS - 1000, FIVE_MINUTES_MS);
    assert_int_equal(count_of(&fixture.log, "used 1 more times"), 90);
    clean_up(&fixture);
}

static void a_longer_version_is_told_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    for (int i = 0; i < 3; i++) {
        read_secret(&fixture, "order", 0, "0123456789012345678901234567890123456789012345678901234567890123456789");
    }
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    clean_up(&fixture);
}

static void what_was_not_told_is_told_at_the_end(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct azfn__policy_asker who = asker("order");
    for (int i = 0; i < 5; i++) {
        azfn__policy_record_use(fixture.policy, &who, &fixture.destinations[1]);
        assert_null(find_secret(&fixture, "order", "b-key"));
    }
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:destination\""), 1);
    assert_int_equal(count_of(&fixture.log, "\n"), 2);
    azfn__policy_destroy(fixture.policy);
    fixture.policy = NULL;
    assert_int_equal(count_of(&fixture.log, "destination \\\"queue\\\" used 4 more times"), 1);
    assert_int_equal(count_of(&fixture.log, "4 more times: secret \\\"b-key\\\": azfn.json does not grant it"), 1);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_granted_to_that_function_is_found),
        cmocka_unit_test(names_are_exact),
        cmocka_unit_test(an_app_without_azfn_json_grants_nothing),
        cmocka_unit_test(a_refusal_is_told_at_once_and_then_counted),
        cmocka_unit_test(each_kind_of_refusal_is_told),
        cmocka_unit_test(hostile_text_is_cut_and_can_not_pass_for_ours),
        cmocka_unit_test(many_kinds_of_refusals_are_counted_together),
        cmocka_unit_test(a_read_is_told_once_per_function_secret_and_version),
        cmocka_unit_test(however_many_are_used_each_use_is_counted),
        cmocka_unit_test(a_count_that_could_not_be_written_stays_and_telling_goes_on_there),
        cmocka_unit_test(a_longer_version_is_told_once),
        cmocka_unit_test(what_was_not_told_is_told_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
