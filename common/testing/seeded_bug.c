#include "common/testing/seeded_bug.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    const char *promise;
    const char *text;
} plants[] = {
#define PLANT_ROW(id, name, promise, text) {name, promise, text},
    PLANT_MAP(PLANT_ROW)
#undef PLANT_ROW
};

static const struct plant_edit edits[] = {
    {PLANT_NO_FENCE, "fence", "and epoch = p_epoch\n      for no key update", ""},
    {PLANT_NO_BUMP, "take_over", "epoch = s.epoch + 1", "epoch = greatest(s.epoch, 1)"},
    {PLANT_UNFAIR, "promote", "order by l.ticket limit least",
     "order by l.ticket desc limit least"},
    {PLANT_UNFAIR, "promote", "over (order by ticket)", "over (order by ticket desc)"},
    {PLANT_LEAK, "settle", "held = i.held - s.units", "held = i.held - s.sold_units"},
    /* whoever is not the owner gets the owner's epoch, and nothing is bumped */
    {PLANT_EAGER, "take_over", "and r.shard = p_shard\n",
     "and r.shard = p_shard and coalesce(s.owner, p_member) = p_member\n"},
    {PLANT_EAGER, "take_over",
     "select null, null from checkout.service v where v.shards = p_shards",
     "select s.epoch, r.relayed_to from checkout.shards s, checkout.relays r\n"
     "     where s.shards = p_shards and s.shard = p_shard and r.shard = p_shard"},
};

const char *plant_name(enum plant plant)
{
    return plants[plant].name;
}

const char *plant_promise(enum plant plant)
{
    return plants[plant].promise;
}

const char *plant_text(enum plant plant)
{
    return plants[plant].text;
}

const struct plant_edit *plant_edits(size_t *ret_count)
{
    *ret_count = sizeof edits / sizeof edits[0];
    return edits;
}

bool plant_known(const char *name)
{
    for (size_t i = 0; i < PLANT_COUNT; i++)
        if (strcmp(plants[i].name, name) == 0)
            return true;
    return name[0] == '\0';
}

bool plant_is(enum plant plant)
{
    static const char *planted;
    if (planted == NULL) {
        planted = getenv("CHECKOUT_PLANT");
        if (planted == NULL)
            planted = "";
    }
    return strcmp(planted, plants[plant].name) == 0;
}

bool plant_once_in(unsigned times)
{
    static unsigned calls;
    return calls++ % times == times - 1;
}

void plant_pause(unsigned milliseconds)
{
    const struct timespec pause = {.tv_sec = milliseconds / 1000,
                                   .tv_nsec = (long)(milliseconds % 1000) * 1000000L};
    (void)nanosleep(&pause, NULL);
}
