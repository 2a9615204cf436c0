/* A cache of credentials in front of a source that fails: what is still given out, what is tried again and when, and
 * how often that is said. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/credential_fixture.h"
#include "unit/timers.h"

/* The tries that follow each other soon all fail; the clock stands behind the last one. */
static void fail_all_tries(struct fixture *fixture, enum azfn_error error)
{
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(fixture->pending_count, 1);
        fail_with(fixture, error);
        if (i < 3) {
            pass(fixture, 4000);
        }
    }
}

static void a_stale_value_is_used_and_that_is_said_once_and_then_counted(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t failures = 1;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, HOUR_MS);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_stale\""), 1);
    assert_int_equal(count_of(&fixture.log, "meanwhile: the test says so"), 1);
    for (; failures < 29; failures++) {
        require_peek(&fixture, "top-value-1");
        pass(&fixture, 120000);
        fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    }
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_stale\""), 1);
    for (; failures < 80; failures++) {
        pass(&fixture, 120000);
        fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    }
    /* after each hour */
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_stale\""), 3);
    pass(&fixture, 120000);
    succeed(&fixture, "top-value-1", "1");
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:key_vault_stale"), failures);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_recovered\""), 1);
    assert_int_equal(count_of(&fixture.log, "can be fetched again"), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_failed\""), 0);
    /* and all begins anew */
    pass(&fixture, HOUR_MS);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:key_vault_stale"), failures + 1);
    clean_up(&fixture);
}

static void a_certificate_that_is_not_trusted_is_told_also_where_a_later_try_fails_otherwise_or_not(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    fail_for(&fixture, AZFN_ERROR_UNAVAILABLE, "Key Vault: the certificate is not trusted", true);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"malicious_certificate:key_vault\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"Key Vault: the certificate is not trusted\""), 1);
    pass(&fixture, 4000);
    fail_for(&fixture, AZFN_ERROR_UNAVAILABLE, "Key Vault: the certificate is not trusted", true);
    pass(&fixture, 4000);
    fail_for(&fixture, AZFN_ERROR_UNAVAILABLE, "no connection", false);
    assert_int_equal(count_of(&fixture.log, "\n"), 1);
    pass(&fixture, 4000);
    succeed(&fixture, "top-value", "1");
    require_outcome(&outcome, AZFN_OK, "top-value");
    assert_int_equal(occurrences_of(&fixture.log, "malicious_certificate:key_vault"), 2);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_failed\""), 0);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_recovered\""), 1);
    clean_up(&fixture);
}

static void another_reason_is_told_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, HOUR_MS);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    static const char *const reasons[] = {"answered 503", "no connection"};
    for (size_t i = 0; i < 6; i++) {
        pass(&fixture, 120000);
        fail_for(&fixture, AZFN_ERROR_UNAVAILABLE, reasons[i % 2], false);
    }
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"answered 503\""), 1);
    assert_int_equal(count_of(&fixture.log, "\"reason\":\"no connection\""), 1);
    azfn__credential_cache_tell_counts(fixture.cache);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:key_vault_stale"), 7);
    clean_up(&fixture);
}

/* Whatever it was that was told before. */
static void the_end_of_a_failure_is_told(void **state)
{
    (void)state;
    static const enum azfn_error errors[] = {AZFN_ERROR_FORBIDDEN, AZFN_ERROR_NOT_FOUND, AZFN_ERROR_LIMIT};
    for (size_t i = 0; i < 6; i++) {
        struct fixture fixture;
        struct outcome outcome;
        bool had_value = i < 3;
        set_up(&fixture, &secrets);
        if (had_value) {
            fill(&fixture, "top-value-1", "1");
            pass(&fixture, HOUR_MS);
        } else {
            ask(&fixture, &outcome);
            pass(&fixture, 0);
        }
        fail_with(&fixture, errors[i % 3]);
        pass(&fixture, 120000);
        if (fixture.pending_count == 0) {
            ask(&fixture, &outcome);
            pass(&fixture, 0);
        }
        succeed(&fixture, "top-value-1", "1");
        assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_recovered\""), 1);
        /* the first value, or the same one as before */
        assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault\""), 1);
        assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_refreshed\""), 0);
        clean_up(&fixture);
    }
}

static void a_secret_outlives_its_vault_until_the_limit(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, HOUR_MS);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    uint64_t limit_ms = START_MS + 25 * HOUR_MS;
    while (clock_ms + 120000 < limit_ms) {
        require_peek(&fixture, "top-value-1");
        pass(&fixture, 120000);
        fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
    }
    clock_ms = limit_ms - 1;
    require_peek(&fixture, "top-value-1");
    clock_ms = limit_ms;
    require_peek(&fixture, NULL);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_expired\""), 1);
    fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
    require_outcome(&outcome, AZFN_ERROR_UNAVAILABLE, "");
    clean_up(&fixture);
}

static void a_token_is_used_until_it_expires_whatever_the_source_says(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &tokens);
    fill_until(&fixture, "top-value-1", "", START_MS + 2 * HOUR_MS);
    pass(&fixture, HOUR_MS);
    fail_with(&fixture, AZFN_ERROR_FORBIDDEN);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:managed_identity_stale\""), 1);
    assert_int_equal(count_of(&fixture.log, "can't be fetched again, the old one is used meanwhile"), 1);
    require_peek(&fixture, "top-value-1");
    clock_ms = START_MS + 2 * HOUR_MS - 1;
    require_peek(&fixture, "top-value-1");
    clock_ms++;
    require_peek(&fixture, NULL);
    pass(&fixture, 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
    clean_up(&fixture);
}

/* Its endpoint is on this machine, and shows none. */
static void a_token_that_can_not_be_had_is_no_matter_of_certificates(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &tokens);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_login_fail:managed_identity\""), 1);
    assert_int_equal(count_of(&fixture.log, "can't be fetched"), 1);
    assert_int_equal(count_of(&fixture.log, "certificate"), 0);
    clean_up(&fixture);
}

static void a_first_fetch_is_tried_four_times(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    fail_all_tries(&fixture, AZFN_ERROR_UNAVAILABLE);
    require_outcome(&outcome, AZFN_ERROR_UNAVAILABLE, "");
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_failed\""), 1);
    /* who asks right after gets the same, and who asks later a try of his own, which is all he waits for */
    ask(&fixture, &outcome);
    pass(&fixture, 1999);
    require_outcome(&outcome, AZFN_ERROR_UNAVAILABLE, "");
    assert_int_equal(fixture.fetches, 4);
    clock_ms++;
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 5);
    fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    require_outcome(&outcome, AZFN_ERROR_TIMEOUT, "");
    clean_up(&fixture);
}

static void tries_that_take_long_are_fewer(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    clock_ms += 10000;
    fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    pass(&fixture, 500);
    assert_int_equal(fixture.fetches, 2);
    clock_ms += 10000;
    fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    require_outcome(&outcome, AZFN_ERROR_TIMEOUT, "");
    clean_up(&fixture);
}

static void a_wait_that_the_source_asks_for_is_kept(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    fail_after(&fixture, AZFN_ERROR_UNAVAILABLE, 7000);
    pass(&fixture, 6999);
    assert_int_equal(fixture.fetches, 1);
    pass(&fixture, 1);
    assert_int_equal(fixture.fetches, 2);
    /* nobody waits that long, and nobody is let in before: but not longer than a minute */
    fail_after(&fixture, AZFN_ERROR_UNAVAILABLE, UINT32_MAX);
    require_outcome(&outcome, AZFN_ERROR_UNAVAILABLE, "");
    ask(&fixture, &outcome);
    pass(&fixture, 59999);
    require_outcome(&outcome, AZFN_ERROR_UNAVAILABLE, "");
    assert_int_equal(fixture.fetches, 2);
    clock_ms++;
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 3);
    succeed(&fixture, "top-value", "1");
    require_outcome(&outcome, AZFN_OK, "top-value");
    clean_up(&fixture);
}

/* Also where nobody waited when it was said. */
static void a_wait_is_kept_for_who_comes_later(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    azfn__credential_cache_preload(fixture.cache, KEY);
    pass(&fixture, 0);
    fail_after(&fixture, AZFN_ERROR_UNAVAILABLE, 5000);
    ask(&fixture, &outcome);
    pass(&fixture, 4999);
    assert_int_equal(fixture.fetches, 1);
    assert_int_equal(outcome.calls, 0);
    pass(&fixture, 1);
    succeed(&fixture, "top-value", "1");
    require_outcome(&outcome, AZFN_OK, "top-value");
    clean_up(&fixture);
}

static void what_is_forbidden_is_not_tried_again_at_once(void **state)
{
    (void)state;
    static const enum azfn_error errors[] = {AZFN_ERROR_FORBIDDEN, AZFN_ERROR_NOT_FOUND};
    static const char *const events[] = {"\"event\":\"sensitive_read:key_vault_refused\"",
                                         "\"event\":\"sensitive_read:key_vault_missing\""};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        struct outcome outcome;
        set_up(&fixture, &secrets);
        ask(&fixture, &outcome);
        pass(&fixture, 0);
        fail_with(&fixture, errors[i]);
        require_outcome(&outcome, errors[i], "");
        pass(&fixture, 5000);
        ask(&fixture, &outcome);
        pass(&fixture, 4999);
        require_outcome(&outcome, errors[i], "");
        pass(&fixture, 600000);
        assert_int_equal(fixture.fetches, 1);
        ask(&fixture, &outcome);
        pass(&fixture, 0);
        assert_int_equal(fixture.fetches, 2);
        succeed(&fixture, "top-value", "1");
        require_outcome(&outcome, AZFN_OK, "top-value");
        assert_int_equal(count_of(&fixture.log, events[i]), 1);
        clean_up(&fixture);
    }
}

static void the_same_failure_is_not_said_again_and_again(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    for (unsigned i = 0; i < 10; i++) {
        ask(&fixture, &outcome);
        pass(&fixture, 0);
        fail_with(&fixture, AZFN_ERROR_FORBIDDEN);
        clock_ms += 10000;
    }
    assert_int_equal(fixture.fetches, 10);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_refused\""), 1);
    /* although nobody asks any more */
    assert_int_equal(bring_timer_forward(&fixture.loop), 210000); /* since the last failure */
    pass(&fixture, 200000);
    assert_int_equal(occurrences_of(&fixture.log, "sensitive_read:key_vault_refused"), 10);
    clean_up(&fixture);
}

static void a_secret_that_is_taken_away_does_not_live_on(void **state)
{
    (void)state;
    static const enum azfn_error errors[] = {AZFN_ERROR_FORBIDDEN, AZFN_ERROR_NOT_FOUND};
    static const char *const events[] = {"\"event\":\"sensitive_read:key_vault_refused\"",
                                         "\"event\":\"sensitive_read:key_vault_missing\""};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        set_up(&fixture, &secrets);
        fill(&fixture, "top-value-1", "1");
        pass(&fixture, HOUR_MS);
        fail_with(&fixture, errors[i]);
        require_peek(&fixture, NULL);
        assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
        assert_int_equal(count_of(&fixture.log, "is not used any more: the test says so"), 1);
        assert_int_equal(count_of(&fixture.log, events[i]), 1);
        clean_up(&fixture);
    }
}

static void a_rejected_value_is_better_than_none(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, 10000);
    azfn__credential_cache_reject(fixture.cache, KEY);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
    require_outcome(&outcome, AZFN_OK, "top-value-1");
    require_peek(&fixture, "top-value-1");
    clean_up(&fixture);
}

static void a_preloaded_one_is_tried_until_it_is_there(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    azfn__credential_cache_preload(fixture.cache, KEY);
    azfn__credential_cache_preload(fixture.cache, KEY);
    assert_int_equal(fixture.fetches, 0);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    for (unsigned i = 1; i < 20; i++) {
        assert_int_equal(fixture.fetches, i);
        fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
        pass(&fixture, 120000);
    }
    succeed(&fixture, "top-value-1", "1");
    require_peek(&fixture, "top-value-1");
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault\""), 1);
    clean_up(&fixture);
}

/* With a fair random number 200 waits are not all below a quarter, nor all above. */
static void waits_grow_and_differ(void **state)
{
    (void)state;
    uint64_t longest_ms = 0;
    uint64_t shortest_ms = NEVER;
    for (unsigned i = 0; i < 200; i++) {
        struct fixture fixture;
        set_up(&fixture, &secrets);
        azfn__credential_cache_preload(fixture.cache, KEY);
        pass(&fixture, 0);
        fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
        uint64_t waited_ms = 0;
        while (fixture.fetches == 1) {
            pass(&fixture, 25);
            waited_ms += 25;
        }
        longest_ms = waited_ms > longest_ms ? waited_ms : longest_ms;
        shortest_ms = waited_ms < shortest_ms ? waited_ms : shortest_ms;
        clean_up(&fixture);
    }
    assert_in_range(longest_ms, 400, 525);
    assert_in_range(shortest_ms, 0, 100);
}

static void a_source_may_answer_or_refuse_at_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    fixture.immediate_reason = "there is nobody to ask";
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    require_outcome(&outcome, AZFN_ERROR_FORBIDDEN, "");
    assert_int_equal(count_of(&fixture.log, "fetched: there is nobody to ask"), 1);
    fixture.refusal = AZFN_ERROR_NO_MEMORY;
    clock_ms += 10000;
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    require_outcome(&outcome, AZFN_ERROR_NO_MEMORY, "");
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stale_value_is_used_and_that_is_said_once_and_then_counted),
        cmocka_unit_test(a_certificate_that_is_not_trusted_is_told_also_where_a_later_try_fails_otherwise_or_not),
        cmocka_unit_test(another_reason_is_told_at_once),
        cmocka_unit_test(the_end_of_a_failure_is_told),
        cmocka_unit_test(a_secret_outlives_its_vault_until_the_limit),
        cmocka_unit_test(a_token_is_used_until_it_expires_whatever_the_source_says),
        cmocka_unit_test(a_token_that_can_not_be_had_is_no_matter_of_certificates),
        cmocka_unit_test(a_first_fetch_is_tried_four_times),
        cmocka_unit_test(tries_that_take_long_are_fewer),
        cmocka_unit_test(a_wait_that_the_source_asks_for_is_kept),
        cmocka_unit_test(a_wait_is_kept_for_who_comes_later),
        cmocka_unit_test(what_is_forbidden_is_not_tried_again_at_once),
        cmocka_unit_test(the_same_failure_is_not_said_again_and_again),
        cmocka_unit_test(a_secret_that_is_taken_away_does_not_live_on),
        cmocka_unit_test(a_rejected_value_is_better_than_none),
        cmocka_unit_test(a_preloaded_one_is_tried_until_it_is_there),
        cmocka_unit_test(waits_grow_and_differ),
        cmocka_unit_test(a_source_may_answer_or_refuse_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
