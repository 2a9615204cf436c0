#include "worker/asks.h"

#include "worker/invocation.h"

void azfn__asks_init(struct azfn__asks *asks, struct azfn__broker_client *broker, struct azfn__secret_slab *slab)
{
    *asks = (struct azfn__asks){.broker = broker, .slab = slab};
    azfn__ask_table_init(&asks->secrets, AZFN__ASK_MAX_SECRETS);
    azfn__ask_table_init(&asks->requests, AZFN__ASK_MAX_REQUESTS);
}

void azfn__asks_clean_up(struct azfn__asks *asks)
{
    azfn__ask_table_clean_up(&asks->secrets);
    azfn__ask_table_clean_up(&asks->requests);
}

bool azfn__asks_take(struct azfn__asks *asks, const struct azfn__frame *frame)
{
    return frame->type == AZFN__FRAME_SECRET ? azfn__secret_asks_take(asks, frame->payload)
                                             : azfn__request_asks_take(asks, frame);
}

void azfn__asks_stop(struct azfn__invocation *invocation)
{
    if (invocation->secrets) {
        azfn__secret_asks_stop(invocation);
    }
    if (invocation->requests) {
        azfn__request_asks_stop(invocation);
    }
}

void azfn__asks_release(struct azfn__invocation *invocation)
{
    if (invocation->secrets) {
        azfn__secret_asks_stop(invocation);
        azfn__asks_release_secrets(invocation);
        invocation->secrets = NULL;
    }
    if (invocation->requests) {
        azfn__request_asks_stop(invocation);
        azfn__request_asks_release(invocation);
        invocation->requests = NULL;
    }
}
