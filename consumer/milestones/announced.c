#include "consumer/milestones/announced.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

struct shown {
    int64_t epoch; /* the newest of ours; 0: there was none */
    int64_t event_id;
    int64_t void_to; /* events up to here do not count */
};

struct announced {
    uint32_t shards;
    struct shown of_shard[];
};

struct announced *announced_new(uint32_t shards)
{
    struct announced *announced =
        calloc(1, sizeof *announced + shards * sizeof announced->of_shard[0]);
    if (announced != NULL)
        announced->shards = shards;
    return announced;
}

void announced_free(struct announced *announced)
{
    free(announced);
}

void announced_see(struct announced *announced, uint32_t shard, int64_t epoch, int64_t event_id)
{
    struct shown *shown = &announced->of_shard[shard];
    if (epoch != 0)
        shown->epoch = epoch;
    if (shown->epoch != 0 && event_id > shown->void_to)
        shown->event_id = event_id;
}

void announced_void(struct announced *announced, uint32_t shard, int64_t event_id)
{
    announced->of_shard[shard] = (struct shown){.void_to = event_id};
}

static void encode_list(const struct announced *announced, bool epochs, struct buf *out)
{
    for (uint32_t i = 0; i < announced->shards; i++) {
        const struct shown *shown = &announced->of_shard[i];
        if (i > 0)
            (void)buf_char(out, ',');
        if (shown->epoch == 0)
            (void)buf_str(out, "null");
        else
            (void)buf_int(out, epochs ? shown->epoch : shown->event_id);
    }
}

void announced_encode(const struct announced *announced, const struct announced_database *database,
                      struct buf *out)
{
    bool named = database->shop[0] != '\0';
    if (database->system[0] == '\0')
        return;
    (void)buf_printf(out,
                     "{\"generation\":%" PRId64 ",\"system\":\"%s\",\"timeline\":%" PRId64
                     ",\"shop\":%s%s%s,\"epochs\":[",
                     database->generation, database->system, database->timeline, named ? "\"" : "",
                     named ? database->shop : "null", named ? "\"" : "");
    encode_list(announced, true, out);
    (void)buf_str(out, "],\"events\":[");
    encode_list(announced, false, out);
    (void)buf_str(out, "]}");
}
