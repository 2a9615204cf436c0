/* Functions that block: on threads of the pool, in any order of return, deadline and disconnect. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/http_worker.h"
#include "unit/worker_log.h"

#include "worker/blocking_pool.h"

#include <stdatomic.h>

#define THREADS 2
#define QUEUE_PLACES 3

/* What the functions share with the tests. Threads ring when something has changed, so that the loop looks. */
static struct {
    uv_async_t bell;
    uv_sem_t gate;        /* each "hold" waits for one */
    uv_sem_t written; /* all that a function had to tell, while nobody passes it on */
    atomic_uint begun;
    atomic_uint returned;
    atomic_uint worn_out;
    char order[16];       /* the first letters of the names that "hold" was called with */
    atomic_int error[4];
    struct azfn_invocation *_Atomic handle;
} shared;

static struct azfn__blocking_pool pool;

static void ring(uv_async_t *bell)
{
    (void)bell;
}

static void reply_with_name(struct azfn_invocation *invocation)
{
    char type[] = "text/x-on-the-stack";
    char body[64];
    struct azfn_span name = azfn_http_query(invocation, "name");
    int length = snprintf(body, sizeof(body), "held %.*s", AZFN_SPAN_ARGS(name));
    azfn_http_set_header(invocation, "X-Thread", azfn_span_of("yes"));
    shared.error[0] = (int)azfn_http_reply(invocation, 200, type, azfn__span(body, (size_t)length));
    memset(type, 'x', sizeof(type));
    memset(body, 'x', sizeof(body));
}

static void wait_at_the_gate(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span name = azfn_http_query(invocation, "name");
    unsigned number = atomic_fetch_add(&shared.begun, 1);
    shared.order[number % sizeof(shared.order)] = name.length > 0 ? name.data[0] : '-';
    shared.handle = invocation;
    uv_async_send(&shared.bell);
    uv_sem_wait(&shared.gate);
    azfn_log(invocation, AZFN_LOG_WARNING, "past the gate");
    reply_with_name(invocation);
    atomic_fetch_add(&shared.returned, 1);
}

static void wait_with_a_message(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    atomic_fetch_add(&shared.begun, 1);
    uv_async_send(&shared.bell);
    uv_sem_wait(&shared.gate);
    azfn_log(invocation, AZFN_LOG_ERROR, "[Warning] \"quoted\"");
    azfn_log(invocation, AZFN_LOG_INFORMATION, "plain");
    azfn_output(invocation, "out", azfn_input(invocation, NULL));
    shared.error[0] = (int)azfn_succeed(invocation);
    azfn_log(invocation, AZFN_LOG_INFORMATION, "behind the answer");
}

/* Whether the event is out when it is told. */
static void tell_and_wait(struct azfn_invocation *invocation, void *user_data)
{
    char bytes[4096];
    (void)user_data;
    azfn_setting(invocation, "not granted");
    azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "found");
    ssize_t count = recv(fixture.broker_end, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    shared.error[0] = count > 0 && memmem(bytes, (size_t)count, "found", 5) != NULL;
    azfn_log(invocation, AZFN_LOG_INFORMATION, "a line");
    atomic_fetch_add(&shared.begun, 1);
    uv_async_send(&shared.bell);
    uv_sem_wait(&shared.gate);
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("told"));
}

/* While the loop does not run. */
static void tell_many(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    atomic_fetch_add(&shared.begun, 1);
    uv_async_send(&shared.bell);
    uv_sem_wait(&shared.gate);
    for (int i = 0; i < 300; i++) {
        azfn_security_event(invocation, AZFN_EVENT_SUSPICIOUS, "%04000d", i);
    }
    uv_sem_post(&shared.written);
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("told"));
}

static void give_no_answer(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_log(invocation, AZFN_LOG_INFORMATION, "about to forget");
}

static void answer_twice(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    shared.error[0] = (int)azfn_http_reply(invocation, 200, NULL, azfn_span_of("first"));
    shared.error[1] = (int)azfn_http_reply(invocation, 200, NULL, azfn_span_of("second"));
    shared.error[2] = (int)azfn_http_set_header(invocation, "X-Late", azfn_span_of("yes"));
    azfn_fail(invocation, "third");
}

static void log_much(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_log(invocation, AZFN_LOG_INFORMATION, "one\n[Error] not an error");
    azfn_log(invocation, AZFN_LOG_WARNING, "two \x80");
    azfn_log(invocation, AZFN_LOG_ERROR, "three %s", azfn_format(invocation, "%03000d", 3).data);
    azfn_fail(invocation, "four");
}

static void log_too_much(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    struct azfn_span line = azfn_format(invocation, "%04000d", 0);
    atomic_fetch_add(&shared.begun, 1);
    uv_async_send(&shared.bell);
    uv_sem_wait(&shared.gate);
    for (int i = 0; i < 300; i++) {
        azfn_log(invocation, AZFN_LOG_INFORMATION, "%s", line.data);
    }
    uv_sem_post(&shared.written);
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("done"));
}

static void wait_until_cancelled(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    shared.error[0] = azfn_is_cancelled(invocation);
    atomic_fetch_add(&shared.begun, 1);
    uv_async_send(&shared.bell);
    while (!azfn_is_cancelled(invocation)) {
        uv_sleep(1);
    }
    atomic_fetch_add(&shared.returned, 1);
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("cancelled"));
}

static void on_called_back(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    azfn_fail(invocation, "no callback may come");
}

/* Everything that an answer does not show. */
static void try_all(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    shared.error[0] = (int)azfn_delay(invocation, 1, on_called_back, NULL);
    shared.error[1] = (int)azfn_on_cancelled(invocation, on_called_back, NULL);
    shared.error[2] = azfn_remaining_ms(invocation) > 0 && azfn_remaining_ms(invocation) <= 30000;
    bool is_good = true;
    for (int i = 0; i < 200; i++) {
        struct azfn_span json = azfn_format(invocation, "{\"number\":%d,\"list\":[1,[2,\"three\"]]}", i);
        is_good = is_good && azfn_json_tree(invocation, json) != NULL && azfn_alloc(invocation, 100) != NULL;
    }
    shared.error[3] = is_good;
    azfn_http_reply(invocation, 200, NULL, azfn_http_body(invocation));
}

static void answer_big(struct azfn_invocation *invocation, void *user_data)
{
    big(invocation, user_data);
}

/* Not blocking: what the loop does with an invocation of another thread. */
static void meddle(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    shared.error[1] = (int)azfn_http_reply(shared.handle, 200, NULL, azfn_span_of("meddled"));
    shared.error[2] = azfn_alloc(shared.handle, 8) != NULL;
    azfn_http_reply(invocation, 200, NULL, azfn_span_of("tried"));
}

/* Blocking: the same from another thread. */
static void meddle_from_thread(struct azfn_invocation *invocation, void *user_data)
{
    meddle(invocation, user_data);
}

static const struct azfn_function blocking_functions[] = {
    {.name = "hold", .handler = wait_at_the_gate, .blocking = true},
    {.name = "short", .handler = wait_at_the_gate, .blocking = true},
    {.name = "message", .handler = wait_with_a_message, .blocking = true},
    {.name = "mute", .handler = wait_with_a_message, .blocking = true},
    {.name = "none", .handler = give_no_answer, .blocking = true},
    {.name = "twice", .handler = answer_twice, .blocking = true},
    {.name = "log", .handler = log_much, .blocking = true},
    {.name = "flood", .handler = log_too_much, .blocking = true},
    {.name = "cancel", .handler = wait_until_cancelled, .blocking = true},
    {.name = "all", .handler = try_all, .blocking = true},
    {.name = "big", .handler = answer_big, .blocking = true},
    {.name = "tell", .handler = tell_and_wait, .blocking = true},
    {.name = "tellmany", .handler = tell_many, .blocking = true},
    {.name = "meddle", .handler = meddle},
    {.name = "meddler", .handler = meddle_from_thread, .blocking = true},
};

static const struct azfn__config_file blocking_files[] = {
    HOST_JSON,
    {LITERAL("azfn.json"), LITERAL("{\"functions\":{\"all\":{\"timeoutMs\":30000}}}")},
    {LITERAL("hold/function.json"), LITERAL(HTTP(""))},
    {LITERAL("short/function.json"), LITERAL(HTTP(""))},
    {LITERAL("message/function.json"), LITERAL(QUEUE)},
    {LITERAL("mute/function.json"), LITERAL(QUEUE)},
    {LITERAL("none/function.json"), LITERAL(HTTP(""))},
    {LITERAL("twice/function.json"), LITERAL(HTTP(""))},
    {LITERAL("log/function.json"), LITERAL(HTTP(""))},
    {LITERAL("flood/function.json"), LITERAL(HTTP(""))},
    {LITERAL("cancel/function.json"), LITERAL(HTTP(""))},
    {LITERAL("all/function.json"), LITERAL(HTTP(""))},
    {LITERAL("big/function.json"), LITERAL(HTTP(""))},
    {LITERAL("tell/function.json"), LITERAL(HTTP(""))},
    {LITERAL("tellmany/function.json"), LITERAL(HTTP(""))},
    {LITERAL("meddle/function.json"), LITERAL(HTTP(""))},
    {LITERAL("meddler/function.json"), LITERAL(HTTP(""))},
};

static void on_worn_out(struct azfn_span reason, void *user_data)
{
    (void)user_data;
    assert_true(azfn_span_equals(reason, "1 of its 2 threads are lost to blocking functions that do not return"));
    shared.worn_out++;
}

static int set_up_pool(void **state)
{
    static const struct app app = APP_OF(blocking_functions, blocking_files);
    const struct azfn__blocking_pool_options options = {
        .threads = THREADS, .queue = QUEUE_PLACES, .on_worn_out = on_worn_out};
    (void)state;
    memset(&shared, 0, sizeof(shared));
    start_worker(&app, &azfn__config_default_limits);
    assert_int_equal(uv_async_init(&loop, &shared.bell, ring), 0);
    assert_int_equal(uv_sem_init(&shared.gate, 0), 0);
    assert_int_equal(uv_sem_init(&shared.written, 0), 0);
    assert_true(azfn__blocking_pool_is_needed(blocking_functions, app.function_count));
    assert_int_equal(azfn__blocking_pool_start(&pool, &fixture.dispatcher, &options), AZFN_OK);
    assert_int_equal(pool.lost, 0);
    return 0;
}

/* The deadline of the newest invocation is now. */
static void end_time(const char *name)
{
    uv_timer_t *timer = &fixture.dispatcher.deadline_timer;
    for (size_t i = 0; i < fixture.config->function_count; i++) {
        if (azfn_span_equals(fixture.config->functions[i].name, name)) {
            fixture.dispatcher.functions[i].newest->deadline_ms = uv_now(&loop);
        }
    }
    assert_int_equal(uv_timer_start(timer, timer->timer_cb, 0, 0), 0);
}

static void open_gate(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uv_sem_post(&shared.gate);
    }
}

static size_t count_free(void)
{
    size_t count = 0;
    for (const struct azfn__blocking_job *job = pool.free; job; job = job->next_free) {
        count++;
    }
    return count;
}

static int tear_down_pool(void **state)
{
    disconnect_all();
    AWAIT(count_free() == THREADS + QUEUE_PLACES);
    assert_int_equal(pool.lost, 0);
    for (size_t i = 0; i < AZFN__FLIGHT_RECORD_THREADS; i++) {
        assert_int_equal(fixture.record.threads[i].function_length, 0);
    }
    tear_down(state);
    azfn__blocking_pool_clean_up(&pool);
    uv_sem_destroy(&shared.gate);
    uv_sem_destroy(&shared.written);
    return 0;
}

static void require_timeout(void)
{
    require_is(AZFN__EVENT_TIMEOUT);
    assert_true(span_is(last_log.fields.limit, "timeoutMs"));
}

static void a_blocking_function_answers_while_the_loop_goes_on(void **state)
{
    (void)state;
    struct client *clients[2];
    clients[0] = connect_client();
    clients[1] = connect_client();
    get(clients[0], "/api/hold?name=Ada");
    AWAIT(shared.begun == 1);
    assert_int_equal(fixture.dispatcher.in_flight, 1);
    get(clients[1], "/api/meddle");
    require_reply(clients[1], "tried");
    open_gate(1);
    struct response response = take(clients[0]);
    assert_true(azfn_span_equals(response.body, "held Ada"));
    assert_true(says(response.head, "\r\nContent-Type: text/x-on-the-stack\r\n"));
    assert_true(says(response.head, "\r\nX-Thread: yes\r\n"));
    assert_false(says(response.head, "Connection: close"));
    assert_int_equal(fixture.dispatcher.in_flight, 0);
    get(clients[0], "/api/meddle");
    require_reply(clients[0], "tried");
}

static void what_waits_is_begun_in_its_order(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api/hold?name=a", "/api/hold?name=b", "/api/hold?name=c", "/api/hold?name=d",
                                        "/api/hold?name=e"};
    struct client *clients[5];
    for (size_t i = 0; i < 5; i++) {
        clients[i] = connect_client();
        get(clients[i], paths[i]);
        AWAIT(fixture.dispatcher.in_flight == i + 1);
        AWAIT(shared.begun == (i < THREADS ? i + 1 : THREADS));
    }
    for (unsigned i = 1; i <= 3; i++) {
        open_gate(1);
        AWAIT(shared.begun == THREADS + i);
    }
    open_gate(2);
    for (size_t i = 0; i < 5; i++) {
        char expected[] = "held ?";
        expected[5] = (char)('a' + i);
        assert_true(azfn_span_equals(take(clients[i]).body, expected));
        disconnect(clients[i]);
    }
    assert_memory_equal(shared.order, "abcde", 5);
}

static void beyond_the_queue_is_429(void **state)
{
    (void)state;
    struct client *clients[THREADS + QUEUE_PLACES];
    struct client *late = connect_client();
    for (size_t i = 0; i < THREADS + QUEUE_PLACES; i++) {
        clients[i] = connect_client();
        get(clients[i], "/api/hold");
        AWAIT(fixture.dispatcher.in_flight == i + 1);
    }
    AWAIT(shared.begun == THREADS);
    get(late, "/api/hold");
    require_status(late, "429 Too Many Requests", "", false);
    require_log(AZFN_LOG_WARNING, "hold", "429: too many");
    require_is(AZFN__EVENT_BLOCKING_LIMIT);
    assert_true(span_is(last_log.fields.limit, "blockingQueue"));
    assert_int_equal(last_log.fields.status.value, 429);
    post(late, "/message", "{\"Data\":{\"msg\":\"text\"}}");
    require_status(late, "429 Too Many Requests", "", false);
    get(late, "/api/meddle");
    require_reply(late, "tried");
    open_gate(THREADS + QUEUE_PLACES);
    for (size_t i = 0; i < THREADS + QUEUE_PLACES; i++) {
        assert_true(azfn_span_equals(take(clients[i]).body, "held "));
    }
}

static void one_that_waits_beyond_its_time_is_never_begun(void **state)
{
    (void)state;
    struct client *clients[THREADS];
    struct client *waiting[2];
    for (size_t i = 0; i < THREADS; i++) {
        clients[i] = connect_client();
        get(clients[i], "/api/hold");
        AWAIT(shared.begun == i + 1);
    }
    waiting[0] = connect_client();
    waiting[1] = connect_client();
    get(waiting[0], "/api/short");
    AWAIT(fixture.dispatcher.in_flight == THREADS + 1);
    end_time("short");
    require_status(waiting[0], "504 Gateway Timeout", "", false);
    require_log(AZFN_LOG_WARNING, "short", "the blocking function was not begun within");
    require_timeout();
    post(waiting[1], "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    AWAIT(fixture.dispatcher.in_flight == THREADS + 1);
    end_time("mute");
    require_status(waiting[1], "500 Internal Server Error", "", false);
    assert_int_equal(pool.lost, 0);
    assert_int_equal(shared.worn_out, 0);
    open_gate(THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_true(azfn_span_equals(take(clients[i]).body, "held "));
        disconnect(clients[i]);
    }
    assert_int_equal(shared.begun, THREADS);
}

static void one_that_does_not_return_in_time_is_answered_for(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/short?name=late");
    AWAIT(shared.begun == 1);
    end_time("short");
    require_status(client, "504 Gateway Timeout", "", false);
    require_log(AZFN_LOG_WARNING, "short",
                "the blocking function did not return within its timeoutMs: its thread is lost until it does (1 of 2");
    require_timeout();
    assert_int_equal(pool.lost, 1);
    assert_int_equal(shared.worn_out, 1);
    assert_int_equal(fixture.dispatcher.in_flight, 0); /* so that nobody waits for it to drain */
    /* the connection goes on, and the memory that the thread still has is nobody else's */
    for (int i = 0; i < 3; i++) {
        get(client, "/api/meddle");
        require_reply(client, "tried");
    }
    open_gate(1);
    AWAIT(pool.lost == 0);
    assert_int_equal(shared.error[0], AZFN_OK);
    for (int i = 0; i < 6; i++) {
        require_log(AZFN_LOG_WARNING, "", "a function used an invocation that runs on another");
    }
    require_log(AZFN_LOG_WARNING, "short", "past the gate");
    require_log(AZFN_LOG_WARNING, "short", "the function answered after its timeoutMs");
    get(client, "/api/hold?name=next");
    AWAIT(shared.begun == 2);
    open_gate(1);
    assert_true(azfn_span_equals(take(client).body, "held next"));
}

static void a_late_one_whose_caller_has_left_is_thrown_away(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/short");
    AWAIT(shared.begun == 1);
    abort_connection(client);
    end_time("short");
    AWAIT(pool.lost == 1);
    open_gate(1);
    AWAIT(pool.lost == 0);
}

static void one_whose_caller_has_left_is_finished(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/hold");
    AWAIT(shared.begun == 1);
    abort_connection(client);
    AWAIT(fixture.server.connection_count == 0);
    assert_int_equal(fixture.dispatcher.in_flight, 1);
    open_gate(1);
    AWAIT(fixture.dispatcher.in_flight == 0);
}

static void an_event_that_is_not_answered_in_time_fails(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/mute", "{\"Data\":{\"msg\":\"text\"}}");
    AWAIT(shared.begun == 1);
    end_time("mute");
    require_status(client, "500 Internal Server Error", "", false);
    open_gate(1);
    require_log(AZFN_LOG_WARNING, "mute", "the blocking function did not return");
    require_timeout();
    require_log(AZFN_LOG_ERROR, "mute", "[Warning] \"quoted\"");
    require_log(AZFN_LOG_INFORMATION, "mute", "plain"); /* no answer could take it along */
    require_log(AZFN_LOG_INFORMATION, "mute", "behind the answer");
    require_log(AZFN_LOG_WARNING, "mute", "the function answered after");
}

static void an_event_is_answered_with_its_outputs_and_logs(void **state)
{
    (void)state;
    struct client *client = connect_client();
    post(client, "/message", "{\"Data\":{\"msg\":\"\\\"text\\\"\"}}");
    open_gate(1);
    require_reply(client, "{\"Outputs\":{\"out\":\"dGV4dA==\"},\"Logs\":[\"plain\"]}");
    require_log(AZFN_LOG_ERROR, "message", "[Warning] \"quoted\"");
    require_log(AZFN_LOG_INFORMATION, "message", "behind the answer");
}

static void returning_without_an_answer_fails_at_once(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/none");
    require_status(client, "500 Internal Server Error", "", false);
    require_log(AZFN_LOG_INFORMATION, "none", "about to forget");
    require_log(AZFN_LOG_ERROR, "none", "a blocking function returned without an answer");
}

static void only_the_first_answer_counts(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/twice");
    require_reply(client, "first");
    assert_int_equal(shared.error[0], AZFN_OK);
    assert_int_equal(shared.error[1], AZFN_ERROR_STATE);
    assert_int_equal(shared.error[2], AZFN_ERROR_STATE);
    for (int i = 0; i < 2; i++) {
        require_log(AZFN_LOG_WARNING, "twice", "the function answered an invocation that was");
    }
}

static void logs_keep_their_order_levels_and_bytes(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/log");
    require_log(AZFN_LOG_INFORMATION, "log", "one\n[Error] not an error");
    require_log(AZFN_LOG_WARNING, "log", "two \x80");
    require_log(AZFN_LOG_ERROR, "log", "three 000");
    assert_int_equal(last_log.text.length, 6 + 3000);
    require_log(AZFN_LOG_ERROR, "log", "four");
    require_status(client, "500 Internal Server Error", "", false);
}

static void too_many_logs_are_counted(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/flood");
    AWAIT(shared.begun == 1);
    open_gate(1);
    uv_sem_wait(&shared.written); /* the loop does not come to pass on what is written meanwhile */
    uint64_t lines = 0;
    uint64_t dropped = 0;
    while (lines + dropped < 300) {
        await_log();
        assert_true(span_is(last_log.fields.function, last_log.fields.function.length > 0 ? "flood" : ""));
        lines += last_log.event == AZFN__EVENT_NONE;
        if (last_log.event == AZFN__EVENT_LOG_LIMIT) {
            bool is_function =
                azfn__span_starts_with(last_log.text, AZFN__SPAN("56 log lines were dropped: the function"));
            assert_true(is_function || says(last_log.text, "the broker did not take them in time"));
            assert_int_equal(is_function, last_log.fields.function.length > 0);
            assert_true(span_is(last_log.fields.suppressed, "lines"));
            dropped += (uint64_t)last_log.fields.count.value;
        }
    }
    require_reply(client, "done");
}

static void an_event_is_out_while_its_function_still_runs(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/tell");
    AWAIT(shared.begun == 1); /* until then nobody reads what there is to see */
    assert_int_equal(shared.error[0], true);
    require_event(AZFN__EVENT_SETTING_REFUSED);
    require_event(AZFN__EVENT_REQUEST_SUSPICIOUS);
    require_log(AZFN_LOG_INFORMATION, "tell", "a line");
    open_gate(1);
    require_reply(client, "told");
    require_no_log();
}

static void a_loop_that_does_not_come_holds_nobody_up_and_what_is_too_much_is_told(void **state)
{
    (void)state;
    uint64_t events = 0;
    uint64_t dropped = 0;
    struct client *client = connect_client();
    get(client, "/api/tellmany");
    AWAIT(shared.begun == 1);
    uint64_t start = uv_hrtime();
    open_gate(1);
    uv_sem_wait(&shared.written);
    assert_in_range((uv_hrtime() - start) / 1000000, AZFN__BLOCKING_PASSING_MAX_MS, AWAIT_MS);
    while (events + dropped < 300) {
        await_log();
        if (last_log.event == AZFN__EVENT_LOG_LIMIT) {
            assert_true(span_is(last_log.fields.suppressed, "malicious_request:function"));
            dropped += (uint64_t)last_log.fields.count.value;
        } else {
            require_is(AZFN__EVENT_REQUEST_SUSPICIOUS);
            events++;
        }
    }
    assert_true(dropped > 0);
    require_reply(client, "told");
}

static void a_function_sees_that_its_caller_has_gone(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/cancel");
    AWAIT(shared.begun == 1);
    assert_int_equal(shared.error[0], false);
    assert_int_equal(shared.returned, 0);
    abort_connection(client);
    AWAIT(fixture.dispatcher.in_flight == 0);
    assert_int_equal(shared.returned, 1);
}

static void what_needs_the_loop_is_refused(void **state)
{
    (void)state;
    struct client *clients[4];
    for (size_t i = 0; i < 4; i++) {
        clients[i] = connect_client();
        post(clients[i], "/api/all", "body");
    }
    for (size_t i = 0; i < 4; i++) {
        require_reply(clients[i], "body");
        disconnect(clients[i]);
    }
    assert_int_equal(shared.error[0], AZFN_ERROR_STATE);
    assert_int_equal(shared.error[1], AZFN_ERROR_STATE);
    assert_int_equal(shared.error[2], true);
    assert_int_equal(shared.error[3], true);
}

static void an_invocation_of_another_thread_is_out_of_reach(void **state)
{
    (void)state;
    static const char *const paths[] = {"/api/meddle", "/api/meddler"};
    struct client *clients[2];
    clients[0] = connect_client();
    clients[1] = connect_client();
    get(clients[0], "/api/hold?name=mine");
    AWAIT(shared.begun == 1);
    for (size_t i = 0; i < 2; i++) {
        shared.error[1] = AZFN_OK;
        shared.error[2] = true;
        get(clients[1], paths[i]);
        require_reply(clients[1], "tried");
        assert_int_equal(shared.error[1], AZFN_ERROR_STATE);
        assert_int_equal(shared.error[2], false);
    }
    open_gate(1);
    assert_true(azfn_span_equals(take(clients[0]).body, "held mine"));
}

static void a_big_answer_arrives_whole(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/big");
    struct azfn_span body = take(client).body;
    assert_int_equal(body.length, BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++) {
        if (body.data[i] != (char)(i * 7 + i / 251)) {
            fail_msg("byte %zu", i);
        }
    }
}

static void draining_waits_for_what_runs(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/hold?name=last");
    AWAIT(shared.begun == 1);
    drain();
    AWAIT(fixture.is_accepted);
    assert_false(fixture.is_drained);
    open_gate(1);
    struct response response = take(client);
    assert_true(azfn_span_equals(response.body, "held last"));
    assert_true(says(response.head, "Connection: close"));
    disconnect(client);
    AWAIT(fixture.is_drained);
}

static void draining_does_not_wait_for_lost_threads(void **state)
{
    (void)state;
    struct client *client = connect_client();
    get(client, "/api/short");
    AWAIT(shared.begun == 1);
    end_time("short");
    require_status(client, "504 Gateway Timeout", "", false);
    drain();
    AWAIT(fixture.is_drained);
    assert_int_equal(pool.lost, 1);
    disconnect(client);
    open_gate(1);
    AWAIT(pool.lost == 0);
}

#define POOL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_pool, tear_down_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POOL_TEST(a_blocking_function_answers_while_the_loop_goes_on),
        POOL_TEST(what_waits_is_begun_in_its_order),
        POOL_TEST(beyond_the_queue_is_429),
        POOL_TEST(one_that_waits_beyond_its_time_is_never_begun),
        POOL_TEST(one_that_does_not_return_in_time_is_answered_for),
        POOL_TEST(a_late_one_whose_caller_has_left_is_thrown_away),
        POOL_TEST(one_whose_caller_has_left_is_finished),
        POOL_TEST(an_event_that_is_not_answered_in_time_fails),
        POOL_TEST(an_event_is_answered_with_its_outputs_and_logs),
        POOL_TEST(returning_without_an_answer_fails_at_once),
        POOL_TEST(only_the_first_answer_counts),
        POOL_TEST(logs_keep_their_order_levels_and_bytes),
        POOL_TEST(too_many_logs_are_counted),
        POOL_TEST(an_event_is_out_while_its_function_still_runs),
        POOL_TEST(a_loop_that_does_not_come_holds_nobody_up_and_what_is_too_much_is_told),
        POOL_TEST(a_function_sees_that_its_caller_has_gone),
        POOL_TEST(what_needs_the_loop_is_refused),
        POOL_TEST(an_invocation_of_another_thread_is_out_of_reach),
        POOL_TEST(a_big_answer_arrives_whole),
        POOL_TEST(draining_waits_for_what_runs),
        POOL_TEST(draining_does_not_wait_for_lost_threads),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (failures > 0) {
        _exit(1); /* a thread that is still held would be waited for */
    }
    return 0;
}
