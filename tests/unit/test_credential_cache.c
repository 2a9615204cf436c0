/* One fetch for all who ask, a value that is there when it is needed, and an end to each. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/credential_fixture.h"

#include <malloc.h>
#include <stdlib.h>

static void a_thousand_askers_cause_one_fetch(void **state)
{
    (void)state;
    struct fixture fixture;
    static struct outcome outcomes[1000];
    set_up(&fixture, &secrets);
    for (size_t i = 0; i < 1000; i++) {
        ask(&fixture, &outcomes[i]);
    }
    pass(&fixture, 0);
    ask(&fixture, &outcomes[0]);
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 1);
    azfn__credential_cache_cancel(outcomes[999].wait);
    succeed(&fixture, "top-value", "1");
    for (size_t i = 0; i < 999; i++) {
        assert_string_equal(outcomes[i].value, "top-value");
    }
    assert_int_equal(outcomes[999].calls, 0);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault\""), 1);
    clean_up(&fixture);
}

static void the_loop_does_what_is_due(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    assert_int_equal(fixture.fetches, 0);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    assert_int_equal(fixture.fetches, 1);
    fail_with(&fixture, AZFN_ERROR_TIMEOUT);
    while (fixture.fetches == 1) {
        clock_ms += 500;
        uv_run(&fixture.loop, UV_RUN_ONCE); /* it waits for half a second at most */
    }
    succeed(&fixture, "top-value", "1");
    require_outcome(&outcome, AZFN_OK, "top-value");
    ask(&fixture, &outcome);
    uv_run(&fixture.loop, UV_RUN_NOWAIT);
    require_outcome(&outcome, AZFN_OK, "top-value");
    assert_int_equal(fixture.fetches, 2);
    clean_up(&fixture);
}

static void a_value_is_given_out_until_the_next_has_come(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    require_peek(&fixture, NULL);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, HOUR_MS - 1);
    assert_int_equal(fixture.fetches, 1);
    pass(&fixture, 1);
    assert_int_equal(fixture.fetches, 2);
    require_peek(&fixture, "top-value-1");
    succeed(&fixture, "top-value-2", "2");
    require_peek(&fixture, "top-value-2");
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 1);
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_refreshed\""), 1);
    pass(&fixture, HOUR_MS);
    succeed(&fixture, "top-value-2", "2");
    assert_int_equal(count_of(&fixture.log, "\"event\":\"sensitive_read:key_vault_refreshed\""), 1);
    clean_up(&fixture);
}

static void a_token_is_fetched_again_after_half_of_its_life(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &tokens);
    fill_until(&fixture, "top-value-1", "", START_MS + 24 * HOUR_MS);
    pass(&fixture, 12 * HOUR_MS - 1);
    assert_int_equal(fixture.fetches, 1);
    pass(&fixture, 1);
    assert_int_equal(fixture.fetches, 2);
    succeed_until(&fixture, "top-value-2", "", START_MS + 24 * HOUR_MS);
    require_peek(&fixture, "top-value-2");
    assert_int_equal(count_of(&fixture.log, "\"event\":\"authn_token_created:managed_identity_refreshed\""), 1);
    /* an endpoint that always gives the same one is not asked in ever shorter times */
    pass(&fixture, 12 * HOUR_MS - 4000);
    succeed_until(&fixture, "top-value-2", "", START_MS + 24 * HOUR_MS);
    pass(&fixture, 3999);
    assert_int_equal(fixture.fetches, 3);
    require_peek(&fixture, "top-value-2");
    pass(&fixture, 1);
    require_peek(&fixture, NULL);
    clean_up(&fixture);
}

static void an_expired_secret_is_never_given_out(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    fill_until(&fixture, "top-value-1", "1", START_MS + 60000);
    clock_ms += 59999;
    require_peek(&fixture, "top-value-1");
    clock_ms++;
    require_peek(&fixture, NULL);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
    succeed_until(&fixture, "top-value-1", "1", clock_ms);
    assert_int_equal(outcome.calls, 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
    pass(&fixture, 500);
    succeed_until(&fixture, "top-value-2", "2", clock_ms + 1);
    require_outcome(&outcome, AZFN_OK, "top-value-2");
    clean_up(&fixture);
}

static void a_rejected_value_is_fetched_anew_but_not_without_end(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value-1", "1");
    pass(&fixture, 9999);
    azfn__credential_cache_reject(fixture.cache, KEY);
    require_peek(&fixture, "top-value-1");
    pass(&fixture, 1);
    azfn__credential_cache_reject(fixture.cache, KEY);
    azfn__credential_cache_reject(fixture.cache, AZFN__SPAN("another"));
    require_peek(&fixture, NULL);
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 1); /* for the next one to ask */
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    succeed(&fixture, "top-value-2", "2");
    require_outcome(&outcome, AZFN_OK, "top-value-2");
    for (unsigned i = 0; i < 1000; i++) {
        azfn__credential_cache_reject(fixture.cache, KEY);
        require_peek(&fixture, "top-value-2");
    }
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 2);
    clean_up(&fixture);
}

static void what_nobody_asks_for_is_forgotten(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value", "1");
    for (unsigned i = 0; i < 24; i++) {
        pass(&fixture, HOUR_MS);
        succeed(&fixture, "top-value", "1");
    }
    pass(&fixture, HOUR_MS);
    assert_int_equal(fixture.fetches, 25);
    assert_int_equal(fixture.pending_count, 0);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 0);
    require_peek(&fixture, NULL);
    fill(&fixture, "top-value", "1");
    clean_up(&fixture);
}

static void keys_have_a_number(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome = {.calls = 0};
    set_up(&fixture, &secrets);
    for (unsigned i = 0; i <= 256; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key-%u", i);
        enum azfn_error error = azfn__credential_cache_wait(fixture.cache, azfn_span_of(key), on_credential, &outcome,
                                                            &outcome.wait);
        assert_int_equal(error, i < 256 ? AZFN_OK : AZFN_ERROR_LIMIT);
    }
    azfn__credential_cache_preload(fixture.cache, AZFN__SPAN("one-more"));
    pass(&fixture, 0);
    assert_int_equal(fixture.fetches, 256);
    clean_up(&fixture);
    assert_int_equal(outcome.calls, 0);
}

static void a_clock_that_is_set_back_delays_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value", "1");
    clock_ms += HOUR_MS / 2;
    require_peek(&fixture, "top-value");
    clock_ms -= 24 * HOUR_MS;
    pass(&fixture, 0);
    pass(&fixture, HOUR_MS / 2);
    assert_int_equal(fixture.fetches, 2);
    clean_up(&fixture);
}

/* Asked for from within a callback, and cancelled from there. */
struct nested {
    struct fixture *fixture;
    struct outcome first;
    struct outcome victim;
    struct outcome next;
    bool ends_cache;
};

static void on_credential_nested(enum azfn_error error, const struct azfn__credential *credential, void *user_data)
{
    struct nested *nested = user_data;
    on_credential(error, credential, &nested->first);
    if (nested->ends_cache) {
        azfn__credential_cache_destroy(nested->fixture->cache);
        nested->fixture->cache = NULL;
        return;
    }
    azfn__credential_cache_cancel(nested->victim.wait);
    require_peek(nested->fixture, "top-value");
    azfn__credential_cache_reject(nested->fixture->cache, KEY);
    ask(nested->fixture, &nested->next);
}

static void a_callback_may_ask_cancel_and_end(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture fixture;
        struct nested nested = {.fixture = &fixture, .ends_cache = i == 1};
        set_up(&fixture, &secrets);
        assert_int_equal(azfn__credential_cache_wait(fixture.cache, KEY, on_credential_nested, &nested,
                                                     &nested.first.wait),
                         AZFN_OK);
        ask(&fixture, &nested.victim);
        pass(&fixture, 0);
        succeed(&fixture, "top-value", "1");
        require_outcome(&nested.first, AZFN_OK, "top-value");
        assert_int_equal(nested.victim.calls, 0);
        assert_int_equal(nested.next.calls, 0);
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
        if (i == 0) {
            require_outcome(&nested.next, AZFN_OK, "top-value");
        }
        clean_up(&fixture);
    }
}

static void a_fetch_that_outlives_the_cache_leaves_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    struct outcome outcome;
    set_up(&fixture, &secrets);
    ask(&fixture, &outcome);
    pass(&fixture, 0);
    azfn__credential_cache_destroy(fixture.cache);
    fixture.cache = NULL;
    succeed(&fixture, "top-value", "1");
    assert_int_equal(outcome.calls, 0);
    clean_up(&fixture);
}

static void ten_thousand_refreshes_do_not_grow(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, &secrets);
    fill(&fixture, "top-value", "1");
    size_t before = 0;
    for (unsigned i = 0; i < 10000; i++) {
        before = i == 100 ? mallinfo2().uordblks : before;
        require_peek(&fixture, "top-value");
        pass(&fixture, HOUR_MS);
        if (i % 10 == 0) {
            fail_with(&fixture, AZFN_ERROR_UNAVAILABLE);
            pass(&fixture, 500);
        }
        succeed(&fixture, "top-value", "1");
    }
    assert_int_equal(mallinfo2().uordblks, before);
    assert_int_equal(azfn__secret_slab_used_count(fixture.slab), 1);
    clean_up(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_askers_cause_one_fetch),
        cmocka_unit_test(the_loop_does_what_is_due),
        cmocka_unit_test(a_value_is_given_out_until_the_next_has_come),
        cmocka_unit_test(a_token_is_fetched_again_after_half_of_its_life),
        cmocka_unit_test(an_expired_secret_is_never_given_out),
        cmocka_unit_test(a_rejected_value_is_fetched_anew_but_not_without_end),
        cmocka_unit_test(what_nobody_asks_for_is_forgotten),
        cmocka_unit_test(keys_have_a_number),
        cmocka_unit_test(a_clock_that_is_set_back_delays_nothing),
        cmocka_unit_test(a_callback_may_ask_cancel_and_end),
        cmocka_unit_test(a_fetch_that_outlives_the_cache_leaves_nothing),
        cmocka_unit_test(ten_thousand_refreshes_do_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
