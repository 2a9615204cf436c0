/* What the log is told of a request: forwarded, in an envelope, refused before it was read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/dispatcher.h"
#include "worker/request_facts.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define ALL AZFN__FIELDS_OF_REQUEST

struct fixture {
    struct azfn__config_binding trigger;
    struct azfn__config_function config;
    struct azfn__dispatcher_function function;
    struct azfn__invocation invocation;
    struct azfn__request_facts facts;
    struct azfn__event_fields fields;
};

static void set_up(struct fixture *fixture, enum azfn__invocation_mode mode, enum azfn__trigger trigger)
{
    *fixture = (struct fixture){.trigger = {.name = AZFN__SPAN("req")},
                                .config = {.name = AZFN__SPAN("hello"), .trigger = trigger},
                                .invocation = {.mode = mode, .id = AZFN__SPAN("0b9c")}};
    fixture->config.trigger_binding = &fixture->trigger;
    fixture->function.config = &fixture->config;
    fixture->invocation.function = &fixture->function;
    fixture->invocation.request.method_name = AZFN__SPAN("POST");
    fixture->invocation.request.path = AZFN__SPAN("/hello");
}

static void set_headers(struct fixture *fixture, const struct azfn__http_header *headers, size_t count)
{
    fixture->invocation.request.headers = headers;
    fixture->invocation.request.header_count = count;
}

static void set_envelope(struct fixture *fixture, struct azfn_span text)
{
    size_t offset;
    assert_int_equal(azfn__envelope_read(text, AZFN__SPAN("req"), &fixture->invocation.envelope, &offset), AZFN_OK);
}

static void fill(struct fixture *fixture, uint64_t wanted)
{
    fixture->fields = (struct azfn__event_fields){.function = {0}};
    azfn__request_facts_fill(&fixture->facts, &fixture->invocation, wanted, &fixture->fields);
}

static void require(struct azfn_span span, const char *expected)
{
    if (expected ? !azfn_span_equals(span, expected) : azfn_span_is_present(span)) {
        fail_msg("expected %s, found %.*s", expected ? expected : "nothing", AZFN_SPAN_ARGS(span));
    }
}

static void a_forwarded_request_is_the_clients(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct azfn__http_header headers[] = {
        {AZFN__SPAN("x-forwarded-for"), AZFN__SPAN("10.0.0.1")},
        {AZFN__SPAN("TraceParent"), AZFN__SPAN("00-" TRACE "-b7ad6b7169203331-01")},
        {AZFN__SPAN("X-Forwarded-For"), AZFN__SPAN("made-up, 203.0.113.7:49152")}};
    set_up(&fixture, AZFN__MODE_FORWARDED, AZFN__TRIGGER_HTTP);
    set_headers(&fixture, headers, 3);
    fill(&fixture, ALL);
    require(fixture.fields.function, "hello");
    require(fixture.fields.invocation_id, "0b9c");
    require(fixture.fields.trace_id, TRACE);
    require(fixture.fields.source_ip, "203.0.113.7");
    require(fixture.fields.request_method, "POST");
    require(fixture.fields.request_uri, "/hello");
    fill(&fixture, AZFN__FIELDS_OF_INVOCATION);
    require(fixture.fields.trace_id, TRACE);
    require(fixture.fields.source_ip, NULL);
    require(fixture.fields.request_uri, NULL);
}

static void what_is_no_address_is_not_one(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct azfn__http_header headers[] = {{AZFN__SPAN("X-Forwarded-For"), AZFN__SPAN("203.0.113.7, ")},
                                                {AZFN__SPAN("traceparent"), AZFN__SPAN("00-" TRACE)}};
    set_up(&fixture, AZFN__MODE_FORWARDED, AZFN__TRIGGER_HTTP);
    set_headers(&fixture, headers, 2);
    fill(&fixture, ALL);
    require(fixture.fields.source_ip, NULL);
    require(fixture.fields.trace_id, NULL);
}

static void an_envelope_says_who_the_client_is(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct azfn__http_header headers[] = {
        {AZFN__SPAN("X-Forwarded-For"), AZFN__SPAN("10.0.0.1")},
        {AZFN__SPAN("traceparent"), AZFN__SPAN("00-" TRACE "-b7ad6b7169203331-01")}};
    set_up(&fixture, AZFN__MODE_ENVELOPE, AZFN__TRIGGER_HTTP);
    set_headers(&fixture, headers, 2);
    set_envelope(&fixture, AZFN__SPAN("{\"Data\":{\"req\":{\"Url\":\"http://h/api/a\\\"b?code=x\",\"Method\":\"PUT\","
                                      "\"Headers\":{\"X-Forwarded-For\":[\"10.0.0.2\",\"10.0.0.3, [2001:db8::7]:1\"]}"
                                      "}},\"Metadata\":{}}"));
    fill(&fixture, ALL);
    require(fixture.fields.trace_id, TRACE);
    require(fixture.fields.source_ip, "2001:db8::7");
    require(fixture.fields.request_method, "PUT");
    require(fixture.fields.request_uri, "/api/a\"b");
    set_envelope(&fixture, AZFN__SPAN("{\"Data\":{\"req\":{\"Method\":1,\"Headers\":{\"\\u0058-forwarded-for\":"
                                      "\"203.0.113.\\u0037\"}}},\"Metadata\":{}}"));
    fill(&fixture, ALL);
    require(fixture.fields.source_ip, "203.0.113.7");
    require(fixture.fields.request_method, NULL);
    require(fixture.fields.request_uri, NULL);
    set_envelope(&fixture, AZFN__SPAN("{\"Data\":{\"req\":{\"Headers\":{\"X-Forwarded-For\":[]}}}}"));
    fill(&fixture, ALL);
    require(fixture.fields.source_ip, NULL);
}

/* before, then as many of piece as are wanted, then after. */
static void set_long(struct fixture *fixture, const char *before, const char *piece, size_t count, const char *after)
{
    static char text[16384];
    size_t length = strlen(piece);
    size_t used = (size_t)snprintf(text, sizeof(text), "{\"Data\":{\"req\":{%s", before);
    for (size_t i = 0; i < count; i++, used += length) {
        memcpy(text + used, piece, length);
    }
    used += (size_t)snprintf(text + used, sizeof(text) - used, "%s}}}", after);
    set_envelope(fixture, azfn__span(text, used));
}

static void a_url_that_is_too_long_to_be_decoded_is_cut(void **state)
{
    (void)state;
    static const char *const pieces[] = {"p", "\\\\", "\\u0041", "\\ud83d\\ude00"};
    struct fixture fixture;
    set_up(&fixture, AZFN__MODE_ENVELOPE, AZFN__TRIGGER_HTTP);
    for (size_t i = 0; i < 4; i++) {
        for (size_t count = 80; count < 1200; count++) {
            size_t path_length = strlen(pieces[i]) * count + strlen("/\\t");
            set_long(&fixture, "\"Url\":\"http://h/\\t", pieces[i], count, "\"");
            fill(&fixture, ALL);
            struct azfn_span uri = fixture.fields.request_uri;
            bool is_cut = uri.length >= 5 && memcmp(uri.data + uri.length - 5, "[cut]", 5) == 0;
            assert_true(azfn__span_starts_with(uri, AZFN__SPAN("/\t")));
            assert_true(uri.length <= AZFN__FACT_MAX_BYTES && uri.length > 2);
            assert_int_equal(is_cut, path_length > AZFN__FACT_MAX_BYTES - 7); /* quotes and mark */
        }
    }
    set_long(&fixture, "\"Url\":\"http://", "h", 3000, "/api/x\\t?code=x\"");
    fill(&fixture, ALL);
    require(fixture.fields.request_uri, "/api/x\t");
    set_long(&fixture, "\"Method\":\"\\t", "M", 3000, "\"");
    fill(&fixture, ALL);
    assert_true(azfn__span_starts_with(fixture.fields.request_method, AZFN__SPAN("\tMMMM")));
}

/* The front end appends the address to what the client has sent. */
static void a_client_can_not_hide_its_address_behind_what_it_sends(void **state)
{
    (void)state;
    static const char *const pieces[] = {"x", "\\\"", "\\\\", "\\u0041", "\\u002c", "\\ud83d\\ude00", ",", "\\\\,"};
    static const char *const ends[] = {", 203.0.113.7:50123\"]}", ",203.0.113.7\"]}", "\\u002c 203.0.113.7:50123\"]}"};
    struct fixture fixture;
    set_up(&fixture, AZFN__MODE_ENVELOPE, AZFN__TRIGGER_HTTP);
    for (size_t end = 0; end < 3; end++) {
        for (size_t i = 0; i < 8; i++) {
            for (size_t count = 0; count < 1100; count += count < 80 ? 1 : 51) {
                set_long(&fixture, "\"Headers\":{\"X-Forwarded-For\":[\"\\\"", pieces[i], count, ends[end]);
                fill(&fixture, ALL);
                require(fixture.fields.source_ip, "203.0.113.7");
            }
        }
    }
    set_long(&fixture, "\"Headers\":{\"X-Forwarded-For\":[\"203.0.113.7,\\\"", "x", 2000, "\"]}");
    fill(&fixture, ALL);
    require(fixture.fields.source_ip, NULL);
}

static void an_event_of_another_trigger_has_no_client(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture, AZFN__MODE_ENVELOPE, AZFN__TRIGGER_OTHER);
    fill(&fixture, ALL);
    require(fixture.fields.request_uri, "/hello"); /* not read yet */
    set_envelope(&fixture, AZFN__SPAN("{\"Data\":{\"req\":\"text\"},\"Metadata\":{}}"));
    fill(&fixture, ALL);
    require(fixture.fields.function, "hello");
    require(fixture.fields.source_ip, NULL);
    require(fixture.fields.request_method, NULL);
    require(fixture.fields.request_uri, NULL);
}

static void a_request_that_was_not_routed_says_what_it_has(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct azfn__http_header headers[] = {
        {AZFN__SPAN("X-Azure-Functions-InvocationId"), AZFN__SPAN("made-up, 1a17")}};
    set_up(&fixture, AZFN__MODE_FORWARDED, AZFN__TRIGGER_HTTP);
    fixture.invocation.function = NULL;
    fixture.invocation.id = azfn__absent();
    fixture.invocation.request.path = azfn__absent();
    fixture.invocation.request.target = AZFN__SPAN("/x?y");
    set_headers(&fixture, headers, 1);
    fill(&fixture, ALL);
    require(fixture.fields.function, NULL);
    require(fixture.fields.invocation_id, "1a17");
    require(fixture.fields.request_uri, "/x?y"); /* whose query is not written */
    set_headers(&fixture, NULL, 0);
    fill(&fixture, ALL);
    require(fixture.fields.invocation_id, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forwarded_request_is_the_clients),
        cmocka_unit_test(what_is_no_address_is_not_one),
        cmocka_unit_test(an_envelope_says_who_the_client_is),
        cmocka_unit_test(a_url_that_is_too_long_to_be_decoded_is_cut),
        cmocka_unit_test(a_client_can_not_hide_its_address_behind_what_it_sends),
        cmocka_unit_test(an_event_of_another_trigger_has_no_client),
        cmocka_unit_test(a_request_that_was_not_routed_says_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
