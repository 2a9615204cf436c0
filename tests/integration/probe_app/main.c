#include "probe.h"

int main(int argc, char **argv)
{
    static const struct azfn_function functions[] = {
        {.name = "HttpEnv", .handler = probe_http},      {.name = "Items", .handler = probe_http},
        {.name = "HttpReturn", .handler = probe_http},   {.name = "HttpQ", .handler = probe_http},
        {.name = "HttpNoOut", .handler = probe_event},   {.name = "HttpAuth", .handler = probe_http},
        {.name = "HttpRetry", .handler = probe_http},    {.name = "QIn", .handler = probe_event},
        {.name = "QBin", .handler = probe_event},        {.name = "QRetry", .handler = probe_event},
        {.name = "QTrig", .handler = probe_event},       {.name = "TimerOne", .handler = probe_event},
        {.name = "TimerMon", .handler = probe_event},    {.name = "TimerRetry", .handler = probe_event},
        {.name = "Manual", .handler = probe_event},      {.name = "BlobBin", .handler = probe_event},
        {.name = "BlobDef", .handler = probe_event},     {.name = "Ask", .handler = probe_ask},
        {.name = "AskQueue", .handler = probe_ask},      {.name = "Outputs", .handler = probe_outputs},
        {.name = "AskReturn", .handler = probe_ask},
        {.name = "Blob", .handler = probe_trigger},      {.name = "Queue", .handler = probe_trigger},
        {.name = "Timer", .handler = probe_trigger},     {.name = "EventGrid", .handler = probe_trigger},
        {.name = "EventHub", .handler = probe_trigger},  {.name = "EventHubs", .handler = probe_trigger},
        {.name = "Bus", .handler = probe_trigger},       {.name = "BusBatch", .handler = probe_trigger},
        {.name = "Cosmos", .handler = probe_trigger},    {.name = "Warmup", .handler = probe_trigger},
        {.name = "StreamOut", .handler = probe_stream_out},
        {.name = "StreamIn", .handler = probe_stream_in, .streams_body = true},
        {.name = "StreamEcho", .handler = probe_stream_echo, .streams_body = true},
        {.name = "Block", .handler = probe_ask, .blocking = true},
        {.name = "BlockQueue", .handler = probe_ask, .blocking = true},
    };
    return azfn_main(argc, argv, functions, sizeof(functions) / sizeof(functions[0]));
}
