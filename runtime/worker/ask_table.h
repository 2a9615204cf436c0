/* worker/ask_table.h
 * What this worker has asked the broker for and has no whole answer to: ids to whatever stands for the ask. An id comes
 * again only after 65,535 other uses of its place, so an answer to a cancelled ask finds nothing. */
#ifndef AZFN_WORKER_ASK_TABLE_H
#define AZFN_WORKER_ASK_TABLE_H

#include <azfn.h>

struct azfn__ask_place;

struct azfn__ask_table {
    struct azfn__ask_place *places;
    uint32_t count;
    uint32_t max_count;
    uint32_t first_free;
};

/* max_count is 65536 at the most. */
void azfn__ask_table_init(struct azfn__ask_table *table, uint32_t max_count);
void azfn__ask_table_clean_up(struct azfn__ask_table *table);

/* Never 0; 0: it is full, or there is no memory. */
uint32_t azfn__ask_table_add(struct azfn__ask_table *table, void *item);
/* NULL: no such ask is waiting. */
void *azfn__ask_table_find(const struct azfn__ask_table *table, uint32_t id);
/* 0 and unknown ids are fine. */
void azfn__ask_table_remove(struct azfn__ask_table *table, uint32_t id);

#endif
