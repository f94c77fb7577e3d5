#include "consumer/shard/aside.h"

#include <string.h>

#define FLAW "the database refuses a value"

void aside_add(struct aside *aside, const char *sku, unsigned limit)
{
    for (size_t i = 0; i < aside->count; i++)
        if (strcmp(aside->items[i].sku, sku) == 0)
            return;
    size_t len = strlen(sku);
    if (aside->count == ASIDE_ITEMS_MAX || len > JOB_SKU_MAX)
        return;
    struct aside_item *item = &aside->items[aside->count++];
    *item = (struct aside_item){.limit = limit};
    memcpy(item->sku, sku, len + 1);
}

int aside_begin(const struct aside *aside, const struct orders_db_place *place, int64_t wait_ms,
                const char *why, pg_result_cb cb, void *arg)
{
    const struct aside_item *item = &aside->items[0];
    if (item->limit == 0)
        return orders_db_postpone_aside(place, item->sku, why, cb, arg);
    return orders_db_decide_aside(place, wait_ms, item->sku, item->limit,
                                  item->flawed ? FLAW : NULL, cb, arg);
}

void aside_done(struct aside *aside)
{
    if (aside->count > 0)
        memmove(aside->items, aside->items + 1, --aside->count * sizeof aside->items[0]);
}

void aside_failed(struct aside *aside)
{
    if (aside->count == 0)
        return;
    struct aside_item *item = &aside->items[0];
    if (item->limit == 0)
        aside_done(aside); /* not even that can be written */
    else if (item->limit == 1)
        item->limit = 0;
    else
        item->limit = (item->limit + ASIDE_PARTS - 1) / ASIDE_PARTS;
}

void aside_refused(struct aside *aside)
{
    struct aside_item *item = &aside->items[0];
    if (aside->count > 0 && item->limit == 1 && !item->flawed)
        item->flawed = true;
    else
        aside_failed(aside);
}
