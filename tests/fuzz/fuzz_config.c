/* azfn.json from anybody, beside a sound host.json and two functions. */
#include "base/span.h"
#include "config/config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void handle(struct azfn_invocation *invocation, void *user_data)
{
    (void)invocation;
    (void)user_data;
}

static void check_message(const struct azfn__config_fault *fault)
{
    for (const char *at = fault->message; *at; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct azfn_function functions[] = {{.name = "webhook", .handler = handle},
                                                     {.name = "order", .handler = handle}};
    const struct azfn__config_file files[] = {
        {AZFN__SPAN("host.json"),
         AZFN__SPAN("{\"version\":\"2.0\",\"functionTimeout\":\"00:05:00\",\"customHandler\":"
                    "{\"enableForwardingHttpRequest\":true,\"description\":{\"defaultExecutablePath\":\"handler\"}}}")},
        {AZFN__SPAN("webhook/function.json"),
         AZFN__SPAN("{\"bindings\":[{\"type\":\"httpTrigger\",\"name\":\"req\"},{\"type\":\"http\",\"direction\":"
                    "\"out\",\"name\":\"res\"}]}")},
        {AZFN__SPAN("order/function.json"),
         AZFN__SPAN("{\"bindings\":[{\"type\":\"queueTrigger\",\"name\":\"msg\"}]}")},
        {AZFN__SPAN("azfn.json"), azfn__span(data, size)},
        {AZFN__SPAN(AZFN__CONFIG_SETTINGS), AZFN__SPAN("ORDER_REGION=west\nA=\n")},
    };
    struct azfn__config *config;
    struct azfn__config_fault fault;
    enum azfn_error error = azfn__config_new(files, 5, functions, 2, &config, &fault);
    check_message(&fault);
    if ((error == AZFN_OK) != (config != NULL) || (error == AZFN_OK) != (fault.message[0] == '\0')) {
        abort();
    }
    /* the same bytes as a file of the host, where more is overlooked */
    struct azfn__config_file host_only = {AZFN__SPAN("host.json"), azfn__span(data, size)};
    azfn__config_destroy(config);
    (void)!azfn__config_new(&host_only, 1, NULL, 0, &config, &fault);
    check_message(&fault);
    azfn__config_destroy(config);
    return 0;
}
