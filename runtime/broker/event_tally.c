#include "broker/event_tally.h"

#include <stdlib.h>
#include <string.h>

struct azfn__event_tally_row {
    struct azfn__event_tally_row *next;
    enum azfn__security_event event;
    uint64_t interval_ms;
    uint64_t due_ms;
    uint64_t untold;
    char reason[];
};

static struct azfn__event_tally_row *find(const struct azfn__event_tally *tally, enum azfn__security_event event,
                                          const char *reason)
{
    struct azfn__event_tally_row *other = NULL;
    for (struct azfn__event_tally_row *row = tally->rows; row; row = row->next) {
        if (row->event == event && strcmp(row->reason, reason) == 0) {
            return row;
        }
        other = row->event == event ? row : other;
    }
    return tally->count < AZFN__EVENT_TALLY_MAX_ROWS ? NULL : other;
}

void azfn__event_tally_add(struct azfn__event_tally *tally, enum azfn__security_event event, const char *reason,
                           uint64_t now_ms, uint64_t interval_ms, azfn__event_tally_say_fn *say, void *user_data)
{
    struct azfn__event_tally_row *row = find(tally, event, reason);
    if (row) {
        row->untold++;
        return;
    }
    bool is_said = say(event, reason, 0, user_data);
    size_t bytes = strlen(reason) + 1;
    row = tally->count < AZFN__EVENT_TALLY_MAX_ROWS ? malloc(sizeof(*row) + bytes) : NULL;
    if (row) {
        *row = (struct azfn__event_tally_row){.next = tally->rows,
                                              .event = event,
                                              .interval_ms = interval_ms,
                                              .due_ms = now_ms + interval_ms,
                                              .untold = is_said ? 0 : 1};
        memcpy(row->reason, reason, bytes);
        tally->rows = row;
        tally->count++;
    }
}

void azfn__event_tally_tell(struct azfn__event_tally *tally, uint64_t now_ms, azfn__event_tally_say_fn *say,
                            void *user_data)
{
    struct azfn__event_tally_row **place = &tally->rows;
    bool is_end = now_ms == UINT64_MAX;
    while (*place) {
        struct azfn__event_tally_row *row = *place;
        bool is_due = row->due_ms <= now_ms;
        bool is_over = is_due && (is_end || row->untold == 0);
        if (is_due && row->untold > 0) {
            bool is_said = say(row->event, row->reason, row->untold, user_data);
            row->untold = is_said ? 0 : row->untold;
            row->due_ms = is_end ? row->due_ms : now_ms + row->interval_ms;
            is_over = is_over && is_said;
        }
        if (is_over) {
            *place = row->next;
            tally->count--;
            free(row);
        } else {
            place = &row->next;
        }
    }
}

uint64_t azfn__event_tally_due_ms(const struct azfn__event_tally *tally)
{
    uint64_t due_ms = UINT64_MAX;
    for (const struct azfn__event_tally_row *row = tally->rows; row; row = row->next) {
        due_ms = row->due_ms < due_ms ? row->due_ms : due_ms;
    }
    return due_ms;
}

void azfn__event_tally_clear(struct azfn__event_tally *tally)
{
    while (tally->rows) {
        struct azfn__event_tally_row *row = tally->rows;
        tally->rows = row->next;
        free(row);
    }
    tally->count = 0;
}
