#include "broker/credential_fetch.h"

#include <stdlib.h>

void azfn__credential_fetch_begin(struct azfn__credential_fetch *fetch, struct azfn__credential_fetch **fetches)
{
    fetch->next = *fetches;
    fetch->from = fetches;
    if (fetch->next) {
        fetch->next->from = &fetch->next;
    }
    *fetches = fetch;
}

void azfn__credential_fetch_finish(struct azfn__credential_fetch *fetch, const struct azfn__fetch_result *result)
{
    azfn__on_fetched_fn *on_fetched = fetch->on_fetched;
    void *user_data = fetch->user_data;
    *fetch->from = fetch->next;
    if (fetch->next) {
        fetch->next->from = fetch->from;
    }
    free(fetch);
    on_fetched(result, user_data);
}

void azfn__credential_fetch_fail(struct azfn__credential_fetch *fetch, enum azfn_error error, const char *reason)
{
    const struct azfn__fetch_result result = {.error = error, .reason = reason};
    azfn__credential_fetch_finish(fetch, &result);
}

void azfn__credential_fetch_fail_exchange(struct azfn__credential_fetch *fetch, enum azfn_error error,
                                          const char *reason)
{
    bool is_distrusted = error == AZFN_ERROR_FORBIDDEN;
    const struct azfn__fetch_result result = {.error = is_distrusted ? AZFN_ERROR_UNAVAILABLE : error,
                                              .is_distrusted = is_distrusted,
                                              .reason = reason};
    azfn__credential_fetch_finish(fetch, &result);
}
