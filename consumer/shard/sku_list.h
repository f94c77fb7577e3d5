/*
 * Items that a shard's writer has to look at, each once. What does not fit is found by the sweep
 * later. Pure.
 */
#ifndef CONSUMER_SHARD_SKU_LIST_H
#define CONSUMER_SHARD_SKU_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "common/shop/job.h"

#define SKU_LIST_MAX 256

struct sku_list { /* zeroed at first */
    char skus[SKU_LIST_MAX][JOB_SKU_MAX + 1];
    size_t count;
    char passed[JOB_SKU_MAX + 1]; /* is not added ... */
    uint64_t passed_until_ms;     /* ... until then, monotonic */
};

void sku_list_add(struct sku_list *list, const char *sku, uint64_t now_ms);
/* The first ones are looked at. */
void sku_list_drop(struct sku_list *list, size_t count);
/* The first one hangs: not before `until_ms` again. */
void sku_list_pass_over(struct sku_list *list, uint64_t until_ms);

#endif
