#include "broker/retirement.h"

static void on_timer(uv_timer_t *timer);

enum azfn_error azfn__retirement_init(struct azfn__retirement *retirement,
                                      const struct azfn__retirement_options *options)
{
    *retirement = (struct azfn__retirement){.options = *options};
    retirement->timer.data = retirement;
    return uv_timer_init(options->loop, &retirement->timer) == 0 ? AZFN_OK : AZFN_ERROR_SYSTEM;
}

static void expire(struct azfn__retirement *retirement, size_t index, const char *reason)
{
    retirement->until_ms[index] = UINT64_MAX;
    retirement->options.on_expired(retirement->workers[index], reason, retirement->options.user_data);
}

static void arm_timer(struct azfn__retirement *retirement)
{
    uint64_t earliest = UINT64_MAX;
    for (size_t i = 0; i < retirement->count; i++) {
        earliest = retirement->until_ms[i] < earliest ? retirement->until_ms[i] : earliest;
    }
    uint64_t now = uv_now(retirement->options.loop);
    if (earliest == UINT64_MAX) {
        uv_timer_stop(&retirement->timer);
    } else {
        uv_timer_start(&retirement->timer, on_timer, earliest > now ? earliest - now : 0, 0);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct azfn__retirement *retirement = timer->data;
    for (size_t i = 0; i < retirement->count; i++) {
        if (retirement->until_ms[i] <= uv_now(retirement->options.loop)) {
            expire(retirement, i, "it did not finish what was in flight in time");
        }
    }
    arm_timer(retirement);
}

bool azfn__retirement_make_room(struct azfn__retirement *retirement)
{
    size_t alive = 0;
    size_t oldest = retirement->count;
    for (size_t i = retirement->count; i > 0; i--) {
        if (retirement->until_ms[i - 1] != UINT64_MAX) {
            alive++;
            oldest = i - 1;
        }
    }
    if (alive >= AZFN__RETIREMENT_MAX_WORKERS) {
        expire(retirement, oldest, "too many workers were replaced and have not ended");
        arm_timer(retirement);
    }
    return retirement->count < AZFN__RETIREMENT_PLACES;
}

void azfn__retirement_add(struct azfn__retirement *retirement, struct azfn__worker_process *worker)
{
    retirement->workers[retirement->count] = worker;
    retirement->until_ms[retirement->count] = uv_now(retirement->options.loop) + retirement->options.limit_ms;
    retirement->count++;
    azfn__worker_process_send(worker, AZFN__FRAME_DRAIN);
    arm_timer(retirement);
}

bool azfn__retirement_remove(struct azfn__retirement *retirement, const struct azfn__worker_process *worker)
{
    size_t index = 0;
    while (index < retirement->count && retirement->workers[index] != worker) {
        index++;
    }
    if (index == retirement->count) {
        return false;
    }
    retirement->count--;
    for (; index < retirement->count; index++) {
        retirement->workers[index] = retirement->workers[index + 1];
        retirement->until_ms[index] = retirement->until_ms[index + 1];
    }
    arm_timer(retirement);
    return true;
}
