/* What a function of any trigger sees, as documents of the output "report": ["what", "hexadecimal digits" or null]. */
#include "probe.h"

#include <inttypes.h>
#include <string.h>

#define ITEMS_SHOWN 16

static void report(struct azfn_invocation *invocation, const char *what, struct azfn_span value)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = azfn_alloc(invocation, value.length * 2 + 1);
    for (size_t i = 0; i < value.length; i++) {
        unsigned char byte = (unsigned char)value.data[i];
        hex[2 * i] = digits[byte >> 4];
        hex[2 * i + 1] = digits[byte & 15];
    }
    hex[value.length * 2] = '\0';
    azfn_output_json(invocation, "report",
                     azfn_span_is_present(value) ? azfn_format(invocation, "[\"%s\",\"%s\"]", what, hex)
                                                 : azfn_format(invocation, "[\"%s\",null]", what));
}

static const char *label(struct azfn_invocation *invocation, const char *kind, const char *name)
{
    return azfn_format(invocation, "%s %s", kind, name).data;
}

static void report_number(struct azfn_invocation *invocation, const char *pointer, struct azfn_span text)
{
    int64_t integer = 0;
    uint64_t natural = 0;
    double real = 0;
    enum azfn_error error = azfn_json_int64(text, &integer);
    report(invocation, label(invocation, "int64", pointer),
           error == AZFN_OK ? azfn_format(invocation, "%" PRId64, integer) : azfn_span_of(azfn_error_name(error)));
    error = azfn_json_uint64(text, &natural);
    report(invocation, label(invocation, "uint64", pointer),
           error == AZFN_OK ? azfn_format(invocation, "%" PRIu64, natural) : azfn_span_of(azfn_error_name(error)));
    error = azfn_json_double(text, &real);
    report(invocation, label(invocation, "double", pointer),
           error == AZFN_OK ? azfn_format(invocation, "%.17g", real) : azfn_span_of(azfn_error_name(error)));
}

static void report_metadata(struct azfn_invocation *invocation)
{
    static const char *const pointers[] = {
        "/Id", "/DequeueCount", "/PopReceipt", "/InsertionTime", "/Uri", "/Properties/ETag", "/Properties/ContentLength",
        "/Metadata/k1", "/name", "/sys/MethodName", "/sys/UtcNow", "/SequenceNumber", "/Offset", "/EnqueuedTimeUtc",
        "/PartitionKey", "/PartitionContext/PartitionId", "/PartitionContext/RuntimeInformation/LastSequenceNumber",
        "/Properties/a~1b", "/SystemProperties/x-opt-sequence-number", "/SequenceNumberArray", "/SequenceNumberArray/0",
        "/SequenceNumberArray/2", "/OffsetArray/1", "/PartitionKeyArray/1", "/PropertiesArray/0/k", "/PropertiesArray/1",
        "/MessageId", "/LockToken", "/DeliveryCount", "/CorrelationId", "/Subject", "/EnqueuedSequenceNumber",
        "/ApplicationProperties", "/ApplicationProperties/tenant", "/ApplicationProperties/size",
        "/ApplicationProperties/nothing", "/MessageIdArray/1", "/LockTokenArray/1", "/ApplicationPropertiesArray/1/tenant",
    };
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
        struct azfn_span text = azfn_metadata_at(invocation, pointers[i]);
        report(invocation, label(invocation, "metadata", pointers[i]), text);
        report_number(invocation, pointers[i], text);
    }
    struct azfn_span name;
    struct azfn_span value;
    size_t cursor = 0;
    while (azfn_json_next_member(azfn_metadata_json(invocation, "ApplicationProperties"), &cursor, &name, &value)) {
        report(invocation, "property name", azfn_json_string(invocation, name));
        report(invocation, "property value", value);
    }
}

/* As a function of a batch would: asks again for each, and passes each on. */
static void pass_items_on(struct azfn_invocation *invocation)
{
    size_t cursor = 0;
    int64_t count = 0;
    int64_t sum = 0;
    struct azfn_span item;
    while (azfn_span_is_present(item = azfn_json_next_item(azfn_input_json(invocation, NULL), &cursor))) {
        int64_t number = 0;
        if (azfn_json_int64(azfn_json_at(item, "/id/n"), &number) == AZFN_OK) {
            sum += number;
        }
        if (count++ < ITEMS_SHOWN) {
            report(invocation, "item", item);
            report(invocation, "item text", azfn_json_string(invocation, item));
            report(invocation, "item bytes", azfn_json_bytes(invocation, item));
        }
        azfn_output(invocation, "out", item);
    }
    report(invocation, "count", azfn_format(invocation, "%" PRId64, count));
    report(invocation, "sum", azfn_format(invocation, "%" PRId64, sum));
}

struct azfn_span probe_retry(struct azfn_invocation *invocation)
{
    struct azfn_retry retry = azfn_retry_context(invocation);
    struct azfn_span none = {NULL, 0};
    return retry.has_policy ? azfn_format(invocation, "%" PRId64 "/%" PRId64, retry.count, retry.max_count) : none;
}

void probe_trigger(struct azfn_invocation *invocation, void *user_data)
{
    (void)user_data;
    report(invocation, "text", azfn_input(invocation, NULL));
    report(invocation, "json", azfn_input_json(invocation, NULL));
    report(invocation, "bytes", azfn_input_bytes(invocation, NULL));
    report(invocation, "retry", probe_retry(invocation));
    report_metadata(invocation);
    pass_items_on(invocation);
    azfn_succeed(invocation);
}
