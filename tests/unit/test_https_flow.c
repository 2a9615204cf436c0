/* Requests over azfn-https.so that wait, are many, or end early. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/https_fixture.h"

#define MANY 1000

static size_t resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_kept_connection_is_used_again(void **state)
{
    (void)state;
    struct call call;
    char first[32];
    for (int i = 1; i <= 5; i++) {
        get(&call, "good:/where");
        assert_int_equal(call.error, AZFN_OK);
        azfn__buffer_append_char(&call.body, '\0');
        unsigned number = 0;
        unsigned served = 0;
        assert_int_equal(sscanf(call.body.data, "%u %u", &number, &served), 2);
        assert_int_equal(served, i);
        if (i == 1) {
            snprintf(first, sizeof(first), "%u", number);
        }
        assert_int_equal(number, strtoul(first, NULL, 10));
        clean_up_call(&call);
    }
}

static void a_connection_that_the_server_ended_meanwhile_is_made_anew(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST"};
    for (size_t i = 0; i < 2; i++) {
        struct call call;
        get(&call, "good:/leave");
        assert_int_equal(call.error, AZFN_OK);
        clean_up_call(&call);
        run_for(50);
        struct azfn__https_request_options options = options_of(&call);
        options.method = azfn_span_of(methods[i]);
        make_call(&call, "good:/hello", options);
        assert_int_equal(call.error, AZFN_OK);
        clean_up_call(&call);
    }
}

static unsigned count_of(const char *path)
{
    struct call call;
    char target[64];
    snprintf(target, sizeof(target), "good:/count/%s", path);
    get(&call, target);
    azfn__buffer_append_char(&call.body, '\0');
    unsigned count = (unsigned)strtoul(call.body.data, NULL, 10);
    clean_up_call(&call);
    return count;
}

/* The server has read it before it ended the connection: it may have done it. */
static void what_is_not_idempotent_is_sent_once(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        enum azfn_error error;
        unsigned count;
    } cases[] = {{"GET", "good:/second-never/get", AZFN_OK, 3},
                 {"POST", "tls12:/second-never/post", AZFN_ERROR_UNAVAILABLE, 2}};
    for (size_t i = 0; i < 2; i++) {
        struct call call;
        struct azfn__https_request_options options = options_of(&call);
        options.method = azfn_span_of(cases[i].method);
        make_call(&call, cases[i].target, options);
        assert_int_equal(call.error, AZFN_OK);
        clean_up_call(&call);
        make_call(&call, cases[i].target, options);
        assert_int_equal(call.error, cases[i].error);
        assert_true(call.was_sent);
        clean_up_call(&call);
        assert_int_equal(count_of(strchr(cases[i].target, '/') + 1), cases[i].count);
    }
}

static void send_text(const char *method, const char *target, struct azfn_span text, size_t piece, bool is_known,
                      bool pauses, struct call *call)
{
    init_call(call);
    call->send = text;
    call->send_piece = piece;
    call->pauses_sending = pauses;
    struct azfn__https_request_options options = options_of(call);
    options.method = azfn_span_of(method);
    options.body_bytes = is_known ? text.length : AZFN__HTTPS_UNKNOWN_LENGTH;
    start_call(call, target, options);
}

static void resume_on_refusal(struct call *call, const char *where)
{
    if (strncmp(where, "refused", 7) == 0) {
        azfn__https_client_resume(fixture.client, call->request);
    }
}

static void a_body_is_sent_with_its_length_or_in_chunks(void **state)
{
    (void)state;
    static char text[100000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + i % 26);
    }
    const struct azfn_span whole = azfn__span(text, sizeof(text));
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE", "GET"};
    for (size_t i = 0; i < 20; i++) {
        struct call call;
        bool is_known = i % 2 == 0;
        send_text(methods[i % 5], "good:/echo", whole, i % 4 < 2 ? 7001 : 0, is_known, i >= 10, &call);
        call.hook = resume_on_refusal;
        run_until_done(&call);
        assert_int_equal(call.error, AZFN_OK);
        assert_int_equal(call.status, 200);
        assert_int_equal(call.body.length, sizeof(text));
        assert_memory_equal(call.body.data, text, sizeof(text));
        clean_up_call(&call);
        send_text(methods[i % 5], "good:/head", AZFN__SPAN("12345"), 0, is_known, false, &call);
        run_until_done(&call);
        azfn__buffer_append_char(&call.body, '\0');
        assert_int_equal(strstr(call.body.data, "\r\nContent-Length: 5\r\n") != NULL ||
                             strstr(call.body.data, "\r\nContent-Length: 5") != NULL,
                         is_known);
        assert_int_equal(strstr(call.body.data, "\r\nTransfer-Encoding: chunked") != NULL, !is_known);
        assert_null(strstr(call.body.data, "Expect"));
        assert_null(strstr(call.body.data, "Content-Type"));
        clean_up_call(&call);
    }
}

static void end_early(char *bytes, size_t capacity, size_t *out_length, bool *out_is_last, void *user_data)
{
    (void)user_data;
    assert_true(capacity >= 3);
    memcpy(bytes, "abc", 3);
    *out_length = 3;
    *out_is_last = true;
}

static void a_body_that_is_shorter_than_was_said_ends_the_request(void **state)
{
    (void)state;
    struct call call;
    struct azfn__https_request_options options = options_of(&call);
    options.method = AZFN__SPAN("POST");
    options.body_bytes = 5;
    options.callbacks.on_read = end_early;
    make_call(&call, "good:/echo", options);
    assert_int_equal(call.error, AZFN_ERROR_UNAVAILABLE);
    assert_true(call.was_sent);
    clean_up_call(&call);
}

static void an_answer_may_come_before_the_body_was_sent(void **state)
{
    (void)state;
    struct call call;
    send_text("POST", "good:/early", AZFN__SPAN("0123456789"), 1, false, true, &call);
    run_until_done(&call); /* nobody resumes */
    assert_int_equal(call.error, AZFN_OK);
    assert_int_equal(call.status, 413);
    assert_true(has_body(&call, "too large"));
    clean_up_call(&call);
}

static void nothing_comes_while_the_receiver_is_not_ready(void **state)
{
    (void)state;
    struct call call;
    init_call(&call);
    call.refusals_left = 1;
    start_call(&call, "good:/endless", options_of(&call));
    while (call.body_calls == 0) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    size_t before = resident_bytes();
    run_for(500);
    assert_int_equal(call.body_calls, 1);
    assert_int_equal(call.body.length, 0);
    if (!getenv("AZFN_VALGRIND")) {
        assert_true(resident_bytes() < before + ((size_t)1 << 20));
    }
    azfn__https_client_resume(fixture.client, call.request);
    while (call.body.length < 1000000) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < call.body.length; i++) {
        assert_int_equal(call.body.data[i], 'z');
    }
    azfn__https_client_cancel(fixture.client, call.request);
    clean_up_call(&call);
}

static void refuse_every_second(struct call *call, const char *where)
{
    resume_on_refusal(call, where);
    if (strcmp(where, "body") == 0) {
        call->refusals_left = 1;
    }
}

static void what_was_refused_comes_again_whole(void **state)
{
    (void)state;
    static const char *const targets[] = {"good:/bytes/3000000", "good:/chunked/2000", "good:/hello",
                                          "tls12:/bytes/70000"};
    static const size_t lengths[] = {3000000, 2000000, 5, 70000};
    for (size_t i = 0; i < 8; i++) {
        struct call call;
        init_call(&call);
        call.refusals_left = 1;
        call.resumes_at_once = i >= 4;
        call.hook = refuse_every_second;
        start_call(&call, targets[i % 4], options_of(&call));
        run_until_done(&call);
        assert_int_equal(call.error, AZFN_OK);
        assert_int_equal(call.body.length, lengths[i % 4]);
        clean_up_call(&call);
    }
}

static void the_last_bytes_may_be_refused_too(void **state)
{
    (void)state;
    struct call call;
    init_call(&call);
    call.refusals_left = 1;
    start_call(&call, "good:/hello", options_of(&call));
    run_for(300);
    assert_int_equal(call.body_calls, 1);
    assert_false(call.is_done);
    azfn__https_client_resume(fixture.client, call.request);
    run_until_done(&call);
    assert_int_equal(call.error, AZFN_OK);
    assert_true(has_body(&call, "hello"));
    clean_up_call(&call);
}

static void no_more_is_read_of_a_body_than_the_server_takes(void **state)
{
    (void)state;
    static char text[16384];
    struct call call;
    send_text("POST", "good:/measure/20", azfn__span(text, sizeof(text)), 0, false, false, &call);
    call.repeats_sending = true;
    run_for(1000);
    unsigned calls = call.read_calls;
    assert_true(calls > 0);
    run_for(300);
    assert_int_equal(call.read_calls, calls);
    azfn__https_client_cancel(fixture.client, call.request);
    clean_up_call(&call);
}

static void time_passes_while_it_waits(void **state)
{
    (void)state;
    struct call call;
    init_call(&call);
    call.refusals_left = 1;
    struct azfn__https_request_options options = options_of(&call);
    options.timeout_ms = 300;
    start_call(&call, "good:/endless", options);
    run_until_done(&call);
    assert_int_equal(call.error, AZFN_ERROR_TIMEOUT);
    assert_int_equal(call.body_calls, 1);
    clean_up_call(&call);
}

struct ending {
    const char *where;
    const char *target;
    bool sends;
};

static void cancel_there(struct call *call, const char *where)
{
    const struct ending *ending = call->data;
    if (strcmp(where, ending->where) == 0) {
        assert_non_null(call->request);
        azfn__https_client_cancel(fixture.client, call->request);
        azfn__https_client_cancel(fixture.client, call->request); /* once more does no harm */
        call->request = NULL;
        call->is_done = true; /* from here each call would be a mistake */
    }
}

static void it_may_be_cancelled_in_each_of_its_callbacks(void **state)
{
    (void)state;
    static const struct ending endings[] = {{"head", "good:/endless", false}, {"body", "good:/endless", false},
                                            {"refused", "good:/endless", false}, {"read", "good:/echo", true},
                                            {"refused to read", "good:/echo", true}, {"head", "good:/empty", false},
                                            {"head", "good:/early", true}};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        struct call call;
        init_call(&call);
        call.hook = cancel_there;
        call.data = (void *)&endings[i];
        call.refusals_left = strcmp(endings[i].where, "refused") == 0 ? 1 : 0;
        call.pauses_sending = strcmp(endings[i].where, "refused to read") == 0;
        call.send = AZFN__SPAN("what is sent");
        struct azfn__https_request_options options = options_of(&call);
        options.method = endings[i].sends ? AZFN__SPAN("POST") : AZFN__SPAN("GET");
        options.body_bytes = endings[i].sends ? AZFN__HTTPS_UNKNOWN_LENGTH : 0;
        start_call(&call, endings[i].target, options);
        run_until_done(&call);
        run_for(30);
        assert_int_equal(call.error, AZFN_OK);
        clean_up_call(&call);
    }
    static const struct ending done = {"done", "good:/hello", false};
    struct call call;
    init_call(&call);
    call.hook = cancel_there;
    call.data = (void *)&done;
    start_call(&call, done.target, options_of(&call));
    run_until_done(&call);
    clean_up_call(&call);
}

static void it_may_be_cancelled_at_any_time(void **state)
{
    (void)state;
    for (uint64_t after_us = 0; after_us < 12000; after_us += 200) {
        struct call call;
        init_call(&call);
        start_call(&call, after_us % 400 == 0 ? "good:/bytes/300000" : "tls12:/bytes/300000", options_of(&call));
        for (uint64_t passed_us = 0; passed_us < after_us && !call.is_done; passed_us += 100) {
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
            usleep(100);
        }
        if (!call.is_done) {
            azfn__https_client_cancel(fixture.client, call.request);
            call.is_done = true;
        }
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
        clean_up_call(&call);
    }
}

static void a_name_that_takes_its_time_delays_nobody(void **state)
{
    (void)state;
    struct call slow;
    struct call quick;
    char url[64];
    init_call(&slow);
    snprintf(url, sizeof(url), "https://slow.test:%u/hello", port_of("good"));
    start_call(&slow, url, options_of(&slow));
    uint64_t before_ms = test_now_ms();
    while (atomic_load(&slow_names_under_way) == 0) {
        uv_run(&fixture.loop, UV_RUN_NOWAIT);
    }
    get(&quick, "good:/hello");
    assert_int_equal(quick.error, AZFN_OK);
    clean_up_call(&quick);
    azfn__https_client_cancel(fixture.client, slow.request);
    clean_up_call(&slow);
    struct azfn__https_request_options options = options_of(&slow);
    options.connect_timeout_ms = 100;
    make_call(&slow, url, options);
    assert_int_equal(slow.error, AZFN_ERROR_TIMEOUT);
    assert_false(slow.was_sent);
    clean_up_call(&slow);
    assert_true(test_now_ms() - before_ms < SLOW_NAME_MS - 500);
    /* what the two have left behind is freed by their threads */
    while (atomic_load(&slow_names_under_way) > 0) {
        usleep(1000);
    }
    usleep(50000);
}

/* Each look-up has a thread of libcurl's, which nobody can end. */
static void names_that_nobody_waits_for_any_more_do_not_pile_up(void **state)
{
    (void)state;
    char url[64];
    unsigned most = 0;
    snprintf(url, sizeof(url), "https://slow.test:%u/hello", port_of("good"));
    for (int i = 0; i < 400; i++) {
        struct call call;
        init_call(&call);
        struct azfn__https_request_options options = options_of(&call);
        options.timeout_ms = i % 2 == 0 ? 1 : 20000;
        start_call(&call, url, options);
        for (int turn = 0; turn < 5 && !call.is_done; turn++) {
            uv_run(&fixture.loop, UV_RUN_NOWAIT);
            usleep(300);
        }
        if (!call.is_done) {
            azfn__https_client_cancel(fixture.client, call.request);
            call.is_done = true;
        } else if (call.error != AZFN_ERROR_TIMEOUT) {
            /* on a slow machine the name may have come, which the server's certificate does not have */
            assert_int_equal(call.error, AZFN_ERROR_FORBIDDEN);
        }
        clean_up_call(&call);
        unsigned under_way = atomic_load(&slow_names_under_way);
        most = under_way > most ? under_way : most;
    }
    assert_in_range(most, 1, 64);
    struct call quick; /* a token, say */
    init_call(&quick);
    struct azfn__https_request_options options = options_of(&quick);
    options.goes_first = true;
    make_call(&quick, "good:/hello", options);
    assert_int_equal(quick.error, AZFN_OK);
    clean_up_call(&quick);
    while (atomic_load(&slow_names_under_way) > 0) {
        run_for(20);
    }
    run_for(100);
    get(&quick, "good:/hello"); /* all places are free again */
    assert_int_equal(quick.error, AZFN_OK);
    clean_up_call(&quick);
}

static void end_it(struct call *call, const char *where)
{
    unsigned *left = call->data;
    *left -= strcmp(where, "done") == 0 ? 1 : 0;
}

static void a_thousand_requests_share_a_few_connections(void **state)
{
    (void)state;
    static struct call calls[MANY];
    unsigned left = MANY;
    for (size_t i = 0; i < MANY; i++) {
        init_call(&calls[i]);
        calls[i].hook = end_it;
        calls[i].data = &left;
        start_call(&calls[i], "good:/where", options_of(&calls[i]));
    }
    while (left > 0) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    unsigned lowest = UINT32_MAX;
    unsigned highest = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(calls[i].error, AZFN_OK);
        azfn__buffer_append_char(&calls[i].body, '\0');
        unsigned number = (unsigned)strtoul(calls[i].body.data, NULL, 10);
        lowest = number < lowest ? number : lowest;
        highest = number > highest ? number : highest;
        clean_up_call(&calls[i]);
    }
    assert_in_range(highest - lowest + 1, 1, 64);
}

static void those_that_wait_for_a_connection_have_their_time_limit_too(void **state)
{
    (void)state;
    static struct call calls[100];
    unsigned left = 100;
    for (size_t i = 0; i < 100; i++) {
        init_call(&calls[i]);
        calls[i].hook = end_it;
        calls[i].data = &left;
        struct azfn__https_request_options options = options_of(&calls[i]);
        options.timeout_ms = i < 64 ? 20000 : 300;
        start_call(&calls[i], "good:/never", options);
    }
    while (left > 64) {
        uv_run(&fixture.loop, UV_RUN_ONCE);
    }
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(calls[i].is_done, i >= 64);
        if (i >= 64) {
            assert_int_equal(calls[i].error, AZFN_ERROR_TIMEOUT);
            assert_false(calls[i].was_sent);
        }
        clean_up_call(&calls[i]);
    }
    /* tear_down ends the others without a call */
}

static void what_others_wait_for_goes_first(void **state)
{
    (void)state;
    static struct call calls[80];
    struct call first;
    for (size_t i = 0; i < 80; i++) {
        init_call(&calls[i]);
        start_call(&calls[i], "good:/never", options_of(&calls[i]));
    }
    run_for(100);
    struct azfn__https_request_options options = options_of(&first);
    options.goes_first = true;
    options.timeout_ms = 5000;
    make_call(&first, "good:/hello", options);
    assert_int_equal(first.error, AZFN_OK);
    clean_up_call(&first);
    for (size_t i = 0; i < 80; i++) {
        assert_false(calls[i].is_done);
        clean_up_call(&calls[i]);
    }
    /* tear_down ends the others without a call */
}

struct chain {
    struct call calls[4];
    unsigned started;
};

static void start_next_and_cancel_another(struct call *call, const char *where)
{
    struct chain *chain = call->data;
    if (strcmp(where, "done") != 0 && strcmp(where, "head") != 0) {
        return;
    }
    if (chain->started < 4) {
        struct call *next = &chain->calls[chain->started++];
        init_call(next);
        next->hook = start_next_and_cancel_another;
        next->data = chain;
        start_call(next, "good:/hello", options_of(next));
    }
    if (strcmp(where, "done") == 0 && chain->calls[0].request && call != &chain->calls[0]) {
        azfn__https_client_cancel(fixture.client, chain->calls[0].request);
        chain->calls[0].request = NULL;
        chain->calls[0].is_done = true;
    }
}

static void callbacks_may_start_and_cancel_others(void **state)
{
    (void)state;
    struct chain chain = {.started = 2};
    init_call(&chain.calls[0]);
    start_call(&chain.calls[0], "good:/never", options_of(&chain.calls[0]));
    init_call(&chain.calls[1]);
    chain.calls[1].hook = start_next_and_cancel_another;
    chain.calls[1].data = &chain;
    start_call(&chain.calls[1], "good:/hello", options_of(&chain.calls[1]));
    for (size_t i = 0; i < 4; i++) {
        run_until_done(&chain.calls[i]);
        assert_int_equal(chain.calls[i].error, AZFN_OK);
        clean_up_call(&chain.calls[i]);
    }
}

static void what_is_in_flight_ends_with_the_client(void **state)
{
    (void)state;
    static const char *const targets[] = {"good:/never", "good:/endless", "https://slow.test:1/", "good:/trickle"};
    start_client(TEST_HTTPS_MODULE);
    struct call calls[4];
    for (size_t i = 0; i < 4; i++) {
        init_call(&calls[i]);
        calls[i].refusals_left = 1;
        start_call(&calls[i], targets[i], options_of(&calls[i]));
    }
    run_for(100);
    uint64_t before_ms = test_now_ms();
    stop_client();
    assert_true(test_now_ms() - before_ms < 1000);
    for (size_t i = 0; i < 4; i++) {
        assert_false(calls[i].is_done);
        clean_up_call(&calls[i]);
    }
    while (atomic_load(&slow_names_under_way) > 0) {
        usleep(1000);
    }
    usleep(50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kept_connection_is_used_again),
        TEST(a_connection_that_the_server_ended_meanwhile_is_made_anew),
        TEST(what_is_not_idempotent_is_sent_once),
        TEST(a_body_is_sent_with_its_length_or_in_chunks),
        TEST(a_body_that_is_shorter_than_was_said_ends_the_request),
        TEST(an_answer_may_come_before_the_body_was_sent),
        TEST(nothing_comes_while_the_receiver_is_not_ready),
        TEST(what_was_refused_comes_again_whole),
        TEST(the_last_bytes_may_be_refused_too),
        TEST(no_more_is_read_of_a_body_than_the_server_takes),
        TEST(time_passes_while_it_waits),
        TEST(it_may_be_cancelled_in_each_of_its_callbacks),
        TEST(it_may_be_cancelled_at_any_time),
        TEST(a_name_that_takes_its_time_delays_nobody),
        TEST(names_that_nobody_waits_for_any_more_do_not_pile_up),
        TEST(a_thousand_requests_share_a_few_connections),
        TEST(what_others_wait_for_goes_first),
        TEST(those_that_wait_for_a_connection_have_their_time_limit_too),
        TEST(callbacks_may_start_and_cancel_others),
        cmocka_unit_test(what_is_in_flight_ends_with_the_client), /* ends its client itself */
    };
    return cmocka_run_group_tests(tests, start_all, stop_all);
}
