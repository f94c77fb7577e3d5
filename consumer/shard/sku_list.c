#include "consumer/shard/sku_list.h"

#include <string.h>

void sku_list_add(struct sku_list *list, const char *sku, uint64_t now_ms)
{
    size_t len = strlen(sku);
    if (list->count == SKU_LIST_MAX || len > JOB_SKU_MAX ||
        (now_ms < list->passed_until_ms && strcmp(list->passed, sku) == 0))
        return;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->skus[i], sku) == 0)
            return;
    memcpy(list->skus[list->count++], sku, len + 1);
}

void sku_list_drop(struct sku_list *list, size_t count)
{
    if (count > list->count)
        count = list->count;
    list->count -= count;
    memmove(list->skus, list->skus + count, list->count * sizeof list->skus[0]);
}

void sku_list_pass_over(struct sku_list *list, uint64_t until_ms)
{
    if (list->count == 0)
        return;
    memcpy(list->passed, list->skus[0], sizeof list->passed);
    list->passed_until_ms = until_ms;
    sku_list_drop(list, 1);
}
