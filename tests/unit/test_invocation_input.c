/* What a function reads of its event, for every trigger: as it is seen on the wire, with text quoted twice, and as
 * the documentation shows it, quoted once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"
#include "worker/dispatcher.h"
#include "worker/invocation.h"

#include <stdio.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define LITERAL(text) {(text), sizeof(text) - 1}

static const struct azfn__config_binding trigger = {.name = LITERAL("in"), .type = LITERAL("queueTrigger")};
static const struct azfn__config_function config = {.name = LITERAL("f"), .trigger_binding = &trigger};
static struct azfn__dispatcher_function function = {.config = &config};

/* No connection, no loop: an invocation out of bytes. */
static struct azfn_invocation *make(struct azfn__invocation *invocation, const char *body)
{
    size_t offset;
    azfn__invocation_init(invocation, NULL);
    invocation->function = &function;
    invocation->has_told_no_json = true; /* there is no log to tell */
    if (azfn__envelope_read(azfn_span_of(body), trigger.name, &invocation->envelope, &offset) != AZFN_OK) {
        fail_msg("%s", body);
    }
    return azfn__invocation_handle(invocation);
}

static void require_span(struct azfn_span found, const char *expected, const char *what)
{
    if (!expected ? azfn_span_is_present(found) : !azfn_span_equals(found, expected)) {
        fail_msg("%s: found \"%.*s\"%s, expected \"%s\"", what, AZFN_SPAN_ARGS(found),
                 azfn_span_is_present(found) ? "" : " (absent)", expected ? expected : "(absent)");
    }
}

static void an_input_is_the_same_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        const char *text;
        const char *json;
        const char *bytes;
    } cases[] = {
        /* Event Hubs, Service Bus, queue: twice, once */
        {"\"\\\"plain\\\"\"", "plain", NULL, NULL},
        {"\"plain\"", "plain", NULL, NULL},
        {"\"\\\"{\\\\\\\"id\\\\\\\":9007199254740993}\\\"\"", "{\"id\":9007199254740993}", "{\"id\":9007199254740993}", NULL},
        {"\"{\\\"id\\\":9007199254740993}\"", "{\"id\":9007199254740993}", "{\"id\":9007199254740993}", NULL},
        /* a batch; Cosmos DB */
        {"\"[{\\\"id\\\":\\\"a\\\",\\\"_lsn\\\":9},1]\"", "[{\"id\":\"a\",\"_lsn\":9},1]", "[{\"id\":\"a\",\"_lsn\":9},1]", NULL},
        {"\"\\\"[1,2]\\\"\"", "[1,2]", "[1,2]", NULL},
        {"[1,2]", "[1,2]", "[1,2]", NULL},
        /* Event Grid, timer */
        {"{\"id\":\"e\",\"data\":{}}", "{\"id\":\"e\",\"data\":{}}", "{\"id\":\"e\",\"data\":{}}", NULL},
        /* blob */
        {"\"aGk=\"", "aGk=", NULL, "hi"},
        {"\"\\\"aGk=\\\"\"", "aGk=", NULL, "hi"},
        {"\"\"", "", NULL, ""},
        {"\"\\\"\\\"\"", "", NULL, ""},
        /* numbers, and what is nothing */
        {"\"\\\"9223372036854775807\\\"\"", "9223372036854775807", "9223372036854775807", NULL},
        {"9223372036854775807", "9223372036854775807", "9223372036854775807", NULL},
        {"\"\\\"null\\\"\"", "null", "null", "\x9e\xe9\x65"},
        {"true", "true", "true", "\xb6\xbb\x9e"},
        {"null", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn__invocation invocation;
        char body[512];
        snprintf(body, sizeof(body), "{\"Data\":{\"in\":%s,\"other\":%s},\"Metadata\":{\"m\":%s}}", cases[i].value,
                 cases[i].value, cases[i].value);
        struct azfn_invocation *handle = make(&invocation, body);
        static const char *const names[] = {NULL, "in", "other"};
        for (size_t j = 0; j < COUNT(names); j++) {
            require_span(azfn_input(handle, names[j]), cases[i].text, cases[i].value);
            require_span(azfn_input_json(handle, names[j]), cases[i].json, cases[i].value);
            require_span(azfn_input_bytes(handle, names[j]), cases[i].bytes, cases[i].value);
        }
        require_span(azfn_metadata(handle, "m"), cases[i].text, cases[i].value);
        require_span(azfn_metadata_json(handle, "m"), cases[i].json, cases[i].value);
        require_span(azfn_metadata_at(handle, "/m"), cases[i].text, cases[i].value);
        assert_int_equal(invocation.first_error, AZFN_OK);
        azfn__invocation_clean_up(&invocation);
    }
}

static void a_value_is_decoded_once(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "in", "blob", "text"};
    struct azfn__invocation invocation;
    struct azfn_invocation *handle =
        make(&invocation, "{\"Data\":{\"in\":\"\\\"[1,{\\\\\\\"a\\\\\\\":\\\\\\\"b\\\\\\\"}]\\\"\",\"blob\":\"aGk=\","
                          "\"text\":\"\\\"not \\\\\\\"JSON\\\"\"},\"Metadata\":{\"list\":\"\\\"[7,8]\\\"\"}}");
    struct azfn_span first[COUNT(names)][3];
    size_t used_bytes = 0;
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < COUNT(names); i++) {
            const struct azfn_span seen[] = {azfn_input(handle, names[i]), azfn_input_json(handle, names[i]),
                                             azfn_input_bytes(handle, names[i])};
            for (size_t j = 0; j < COUNT(seen); j++) {
                first[i][j] = round == 0 ? seen[j] : first[i][j];
                assert_ptr_equal(seen[j].data, first[i][j].data);
                assert_int_equal(seen[j].length, first[i][j].length);
            }
        }
        require_span(azfn_metadata_at(handle, "/list/1"), "8", "list");
        used_bytes = round == 0 ? invocation.arena.used_bytes : used_bytes;
    }
    assert_int_equal(invocation.arena.used_bytes, used_bytes);
    /* nor checked again */
    char *bracket = (char *)first[0][1].data;
    *bracket = '<';
    assert_ptr_equal(azfn_input_json(handle, NULL).data, bracket);
    *bracket = '[';
    assert_ptr_equal(first[0][0].data, first[1][0].data);
    require_span(first[0][1], "[1,{\"a\":\"b\"}]", "in");
    require_span(first[2][2], "hi", "blob");
    require_span(first[3][0], "not \"JSON", "text");
    azfn__invocation_reset(&invocation);
    assert_null(invocation.decoded);
    azfn__invocation_clean_up(&invocation);
}

static void metadata_is_found_by_its_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/Id", "7-8"},
        {"/DequeueCount", "1"},
        {"/Plain", "5"},
        {"/SequenceNumber", "9007199254740993"},
        {"/PartitionContext/PartitionId", "0"},
        {"/PartitionContext/Runtime/Last", "18446744073709551615"},
        {"/PartitionContext/Runtime", "{\"Last\":18446744073709551615}"},
        {"/ApplicationProperties/a~1b", "\"quoted\""},
        {"/ApplicationProperties/none", NULL},
        {"/ApplicationProperties/is", "true"},
        {"/SequenceNumberArray", "[9007199254740993,2]"},
        {"/SequenceNumberArray/0", "9007199254740993"},
        {"/SequenceNumberArray/2", NULL},
        {"/PropertiesArray/1/k", "v"},
        {"/sys/UtcNow", "2026-11-22T01:50:03.7760757Z"},
        {"/id", NULL},
        {"/Id/0", NULL},
        {"/Nothing", NULL},
        {"/Nothing/more", NULL},
        {"Id", NULL},
        {"/", NULL},
        {"/Id~", NULL},
    };
    struct azfn__invocation invocation;
    const char *body =
        "{\"Data\":{\"in\":1},\"Metadata\":{\"Id\":\"\\\"7-8\\\"\",\"DequeueCount\":\"1\",\"Plain\":5,"
        "\"SequenceNumber\":\"\\\"9007199254740993\\\"\",\"PartitionContext\":{\"PartitionId\":\"0\",\"Runtime\":"
        "{\"Last\":18446744073709551615}},\"ApplicationProperties\":{\"a/b\":\"\\\"quoted\\\"\",\"none\":null,"
        "\"is\":true},\"SequenceNumberArray\":\"[9007199254740993,2]\",\"PropertiesArray\":"
        "\"\\\"[{},{\\\\\\\"k\\\\\\\":\\\\\\\"v\\\\\\\"}]\\\"\",\"sys\":{\"UtcNow\":\"2026-11-22T01:50:03.7760757Z\"}}}";
    struct azfn_invocation *handle = make(&invocation, body);
    for (size_t i = 0; i < COUNT(cases); i++) {
        require_span(azfn_metadata_at(handle, cases[i][0]), cases[i][1], cases[i][0]);
    }
    require_span(azfn_json_member(azfn_metadata_at(handle, ""), "Plain"), "5", "all");
    assert_int_equal(invocation.first_error, AZFN_OK);
    azfn__invocation_clean_up(&invocation);
}

static void the_retry_context_is_read_in_every_form(void **state)
{
    (void)state;
    static const struct {
        const char *metadata;
        struct azfn_retry retry;
    } cases[] = {
        {"{\"RetryContext\":{\"RetryCount\":0,\"MaxRetryCount\":2,\"Exception\":null,\"State\":{}}}", {true, 0, 2}},
        {"{\"RetryContext\":{\"RetryCount\":2,\"MaxRetryCount\":-1,\"Exception\":{\"RetryCount\":9}}}", {true, 2, -1}},
        {"{\"RetryContext\":{\"RetryCount\":\"2\",\"MaxRetryCount\":\"\\\"3\\\"\"}}", {true, 2, 3}},
        {"{\"RetryContext\":\"{\\\"RetryCount\\\":1,\\\"MaxRetryCount\\\":5}\"}", {true, 1, 5}},
        {"{\"RetryContext\":{\"RetryCount\":0,\"MaxRetryCount\":2},\"RetryContext\":null}", {false, 0, 0}},
        {"{\"RetryContext\":{\"RetryCount\":1}}", {false, 0, 0}},
        {"{\"RetryContext\":{\"RetryCount\":1.5,\"MaxRetryCount\":2}}", {false, 0, 0}},
        {"{\"RetryContext\":{\"RetryCount\":1,\"MaxRetryCount\":9223372036854775808}}", {false, 0, 0}},
        {"{\"RetryContext\":{\"retrycount\":1,\"maxretrycount\":2}}", {false, 0, 0}},
        {"{\"RetryContext\":[1,2]}", {false, 0, 0}},
        {"{\"RetryContext\":\"text\"}", {false, 0, 0}},
        {"{\"RetryCount\":1,\"MaxRetryCount\":2}", {false, 0, 0}},
        {"{}", {false, 0, 0}},
        {"null", {false, 0, 0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct azfn__invocation invocation;
        char body[256];
        snprintf(body, sizeof(body), "{\"Data\":{\"in\":1},\"Metadata\":%s}", cases[i].metadata);
        struct azfn_retry retry = azfn_retry_context(make(&invocation, body));
        if (retry.has_policy != cases[i].retry.has_policy || retry.count != cases[i].retry.count ||
            retry.max_count != cases[i].retry.max_count) {
            fail_msg("%s", cases[i].metadata);
        }
        azfn__invocation_clean_up(&invocation);
    }
}

static void what_is_not_there_is_absent(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"Data\":{}}", "{\"Data\":{\"\":1},\"Metadata\":{\"\":1}}", "{\"Data\":{\"in\":null},\"Metadata\":[]}",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct azfn__invocation invocation;
        struct azfn_invocation *handle = make(&invocation, bodies[i]);
        require_span(azfn_input(handle, NULL), NULL, bodies[i]);
        require_span(azfn_input_json(handle, "in"), NULL, bodies[i]);
        require_span(azfn_input_bytes(handle, "In"), NULL, bodies[i]);
        require_span(azfn_metadata(handle, NULL), NULL, bodies[i]);
        require_span(azfn_metadata_json(handle, NULL), NULL, bodies[i]);
        require_span(azfn_metadata_at(handle, NULL), NULL, bodies[i]);
        require_span(azfn_metadata_at(handle, "/Id"), NULL, bodies[i]);
        assert_int_equal(invocation.first_error, AZFN_OK);
        azfn__invocation_clean_up(&invocation);
    }
}

/* An absent input would be taken for none: so the answer fails. */
static void without_memory_the_answer_fails(void **state)
{
    (void)state;
    struct azfn__invocation invocation;
    /* enough to remember a value, not for its text */
    struct azfn_invocation *handle = make(&invocation, "{\"Data\":{\"in\":\"\\\"a\\\\nb and so on, and so on, and so on, "
                                                       "and so on, and so on, and so on, and so on\\\"\"}}");
    invocation.arena.limit_bytes = 100;
    require_span(azfn_input(handle, NULL), NULL, "no memory");
    assert_int_equal(invocation.first_error, AZFN_ERROR_NO_MEMORY);
    azfn__invocation_clean_up(&invocation);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_input_is_the_same_in_every_form),
        cmocka_unit_test(a_value_is_decoded_once),
        cmocka_unit_test(metadata_is_found_by_its_path),
        cmocka_unit_test(the_retry_context_is_read_in_every_form),
        cmocka_unit_test(what_is_not_there_is_absent),
        cmocka_unit_test(without_memory_the_answer_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
