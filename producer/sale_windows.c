#include "producer/sale_windows.h"

#include <stdlib.h>
#include <string.h>

struct sale_window *sale_windows_room(size_t count)
{
    return calloc(count == 0 ? 1 : count, sizeof(struct sale_window));
}

static int by_sku(const void *a, const void *b)
{
    return strcmp(((const struct sale_window *)a)->sku, ((const struct sale_window *)b)->sku);
}

void sale_windows_replace(struct sale_windows *windows, struct sale_window *list, size_t count,
                          uint64_t mono_ms)
{
    qsort(list, count, sizeof *list, by_sku);
    free(windows->list);
    *windows = (struct sale_windows){list, count, mono_ms};
}

void sale_windows_free(struct sale_windows *windows)
{
    free(windows->list);
    *windows = (struct sale_windows){0};
}

enum sale_state sale_windows_judge(const struct sale_windows *windows, const char *sku,
                                   int64_t now_ms, uint64_t mono_ms, int64_t *ret_opens_ms)
{
    struct sale_window sought;
    size_t len = strlen(sku);
    if (windows->count == 0 || mono_ms >= windows->read_ms + SALE_WINDOWS_LIFE_MS ||
        len > JOB_SKU_MAX)
        return SALE_OPEN;
    memcpy(sought.sku, sku, len + 1);
    const struct sale_window *found =
        bsearch(&sought, windows->list, windows->count, sizeof sought, by_sku);
    if (found == NULL)
        return SALE_OPEN;
    if (found->opens_ms > now_ms) {
        *ret_opens_ms = found->opens_ms;
        return SALE_NOT_OPEN_YET;
    }
    return found->closes_ms != 0 && found->closes_ms <= now_ms ? SALE_CLOSED : SALE_OPEN;
}
