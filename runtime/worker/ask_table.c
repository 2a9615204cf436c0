#include "worker/ask_table.h"

#include "channel/ask_frame.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_COUNT 64
#define NONE UINT32_MAX

struct azfn__ask_place {
    void *item; /* NULL: free */
    uint32_t next_free;
    uint16_t generation;
};

void azfn__ask_table_init(struct azfn__ask_table *table, uint32_t max_count)
{
    *table = (struct azfn__ask_table){.max_count = max_count, .first_free = NONE};
}

void azfn__ask_table_clean_up(struct azfn__ask_table *table)
{
    free(table->places);
    azfn__ask_table_init(table, table->max_count);
}

static bool grow(struct azfn__ask_table *table)
{
    uint32_t count = table->count > 0 ? table->count * 2 : FIRST_COUNT;
    count = count > table->max_count ? table->max_count : count;
    if (count <= table->count) {
        return false;
    }
    struct azfn__ask_place *places = realloc(table->places, count * sizeof(*places));
    if (!places) {
        return false;
    }
    for (uint32_t i = table->count; i < count; i++) {
        places[i] = (struct azfn__ask_place){.next_free = i + 1 < count ? i + 1 : NONE, .generation = 1};
    }
    table->places = places;
    table->first_free = table->count;
    table->count = count;
    return true;
}

uint32_t azfn__ask_table_add(struct azfn__ask_table *table, void *item)
{
    if (table->first_free == NONE && !grow(table)) {
        return 0;
    }
    uint32_t index = table->first_free;
    struct azfn__ask_place *place = &table->places[index];
    table->first_free = place->next_free;
    place->item = item;
    return (uint32_t)place->generation << 16 | index;
}

static struct azfn__ask_place *place_of(const struct azfn__ask_table *table, uint32_t id)
{
    uint32_t index = azfn__ask_place_of(id);
    if (index >= table->count || !table->places[index].item || table->places[index].generation != id >> 16) {
        return NULL;
    }
    return &table->places[index];
}

void *azfn__ask_table_find(const struct azfn__ask_table *table, uint32_t id)
{
    const struct azfn__ask_place *place = place_of(table, id);
    return place ? place->item : NULL;
}

void azfn__ask_table_remove(struct azfn__ask_table *table, uint32_t id)
{
    struct azfn__ask_place *place = place_of(table, id);
    if (!place) {
        return;
    }
    place->item = NULL;
    place->generation = place->generation == UINT16_MAX ? 1 : (uint16_t)(place->generation + 1);
    place->next_free = table->first_free;
    table->first_free = azfn__ask_place_of(id);
}
