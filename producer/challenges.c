#include "producer/challenges.h"

#include <stdlib.h>
#include <string.h>

struct challenge *challenges_room(size_t count)
{
    return calloc(count == 0 ? 1 : count, sizeof(struct challenge));
}

bool challenges_fill(struct challenge *place, const char *sku, const char *id)
{
    size_t sku_len = strlen(sku);
    size_t id_len = strlen(id);
    if (sku_len > JOB_SKU_MAX || id_len > JOB_CHALLENGE_MAX)
        return false;
    memcpy(place->sku, sku, sku_len + 1);
    memcpy(place->id, id, id_len + 1);
    return true;
}

static int by_sku(const void *a, const void *b)
{
    return strcmp(((const struct challenge *)a)->sku, ((const struct challenge *)b)->sku);
}

void challenges_replace(struct challenges *challenges, struct challenge *list, size_t count,
                        uint64_t mono_ms)
{
    qsort(list, count, sizeof *list, by_sku);
    free(challenges->list);
    *challenges = (struct challenges){list, count, mono_ms};
}

void challenges_free(struct challenges *challenges)
{
    free(challenges->list);
    *challenges = (struct challenges){0};
}

const char *challenges_of(const struct challenges *challenges, const char *sku, uint64_t mono_ms)
{
    struct challenge sought;
    if (challenges->count == 0 || mono_ms >= challenges->read_ms + CHALLENGES_LIFE_MS ||
        !challenges_fill(&sought, sku, ""))
        return NULL;
    const struct challenge *found =
        bsearch(&sought, challenges->list, challenges->count, sizeof sought, by_sku);
    return found == NULL ? NULL : found->id;
}
