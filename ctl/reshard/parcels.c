#include "ctl/reshard/parcels.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/job.h"
#include "common/shop/shard.h"

#define BODY_MAX (32 * JOB_MESSAGE_ACCEPT)

void parcels_free(struct parcels *parcels)
{
    for (size_t i = 0; i < parcels->count; i++)
        buf_free(&parcels->list[i].body);
    free(parcels->list);
    *parcels = (struct parcels){0};
}

static struct parcel *parcel_for(struct parcels *parcels, uint32_t shard)
{
    for (size_t i = 0; i < parcels->count; i++)
        if (parcels->list[i].shard == shard)
            return &parcels->list[i];
    struct parcel *list = realloc(parcels->list, (parcels->count + 1) * sizeof *list);
    if (list == NULL)
        return NULL;
    parcels->list = list;
    struct parcel *parcel = &list[parcels->count++];
    *parcel = (struct parcel){.shard = shard};
    buf_init(&parcel->body, BODY_MAX);
    return parcel;
}

static int add_whole(struct parcels *parcels, const void *body, size_t len, uint32_t shard,
                     size_t jobs)
{
    struct parcel *parcel = parcel_for(parcels, shard);
    if (parcel == NULL)
        return ERR_NOMEM;
    parcel->jobs = jobs;
    return buf_append(&parcel->body, body, len);
}

static int add_job(struct parcels *parcels, const struct job_entry *entry, uint32_t shard)
{
    struct parcel *parcel = parcel_for(parcels, shard);
    if (parcel == NULL || (entry->verdict != JOB_GOOD && entry->raw == NULL))
        return ERR_NOMEM;
    (void)buf_str(&parcel->body, parcel->jobs++ == 0 ? JOB_MESSAGE_HEAD : ",");
    return entry->verdict == JOB_GOOD ? job_encode(&parcel->body, &entry->job)
                                      : buf_str(&parcel->body, entry->raw);
}

static int sort(const struct job_batch *batch, uint32_t shard, uint32_t to, struct parcels *parcels)
{
    int code = 0;
    for (size_t i = 0; i < batch->count && code == 0; i++) {
        const struct job_entry *entry = &batch->entries[i];
        const char *sku = entry->verdict == JOB_GOOD ? entry->job.sku : NULL;
        code = add_job(parcels, entry, sku == NULL ? shard : shard_of(sku, strlen(sku), to));
    }
    for (size_t i = 0; i < parcels->count && code == 0; i++)
        code = buf_str(&parcels->list[i].body, JOB_MESSAGE_TAIL);
    return code;
}

int parcels_make(const void *body, size_t len, uint32_t shard, uint32_t from, uint32_t to,
                 struct ids *ids, struct parcels *ret_parcels)
{
    struct parcels parcels = {0};
    struct job_batch batch = {0};
    const char *problem;
    int code = job_batch_parse(body, len, shard, from, ids, &batch, &problem);
    if (code == ERR_PARSE || (code == 0 && to < from)) /* all of it goes to one shard */
        code = add_whole(&parcels, body, len, shard % to, code == 0 ? batch.count : 1);
    else if (code == 0)
        code = sort(&batch, shard, to, &parcels);
    job_batch_free(&batch);
    if (code < 0) {
        parcels_free(&parcels);
        return ERR_NOMEM;
    }
    *ret_parcels = parcels;
    return 0;
}
