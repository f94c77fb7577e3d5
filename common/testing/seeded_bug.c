#include "common/testing/seeded_bug.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    const char *promise;
    const char *text;
} bugs[] = {
#define SEEDED_BUG_ROW(id, name, promise, text) {name, promise, text},
    SEEDED_BUG_MAP(SEEDED_BUG_ROW)
#undef SEEDED_BUG_ROW
};

static const struct seeded_bug_edit edits[] = {
    {SEEDED_BUG_NO_FENCE, "fence", "and epoch = p_epoch\n      for no key update skip locked", ""},
    {SEEDED_BUG_NO_BUMP, "take_over", "epoch = s.epoch + 1", "epoch = greatest(s.epoch, 1)"},
    {SEEDED_BUG_UNFAIR, "promote_waiting", "order by l.ticket limit least",
     "order by l.ticket desc limit least"},
    {SEEDED_BUG_UNFAIR, "promote_waiting", "over (order by ticket)", "over (order by ticket desc)"},
    {SEEDED_BUG_LEAK, "settle_payments", "held = i.held - s.units", "held = i.held - s.sold_units"},
    /* a member that is not the owner gets the owner's epoch, and the epoch stays */
    {SEEDED_BUG_EAGER, "take_over", "and r.shard = p_shard\n",
     "and r.shard = p_shard and coalesce(s.owner, p_member) = p_member\n"},
    {SEEDED_BUG_EAGER, "take_over",
     "select null, null from checkout.service v where v.shards = p_shards",
     "select s.epoch, r.relayed_to from checkout.shards s, checkout.relays r\n"
     "     where s.shards = p_shards and s.shard = p_shard and r.shard = p_shard"},
    {SEEDED_BUG_OVERTAKING, "items_held_up", "a.sku = any (p_skus)", "false"},
};

const char *seeded_bug_name(enum seeded_bug bug)
{
    return bugs[bug].name;
}

const char *seeded_bug_promise(enum seeded_bug bug)
{
    return bugs[bug].promise;
}

const char *seeded_bug_text(enum seeded_bug bug)
{
    return bugs[bug].text;
}

const struct seeded_bug_edit *seeded_bug_edits(size_t *ret_count)
{
    *ret_count = sizeof edits / sizeof edits[0];
    return edits;
}

bool seeded_bug_known(const char *name)
{
    for (size_t i = 0; i < SEEDED_BUG_COUNT; i++)
        if (strcmp(bugs[i].name, name) == 0)
            return true;
    return name[0] == '\0';
}

bool seeded_bug_is(enum seeded_bug bug)
{
    static const char *seeded;
    if (seeded == NULL) {
        seeded = getenv("CHECKOUT_SEEDED_BUG");
        if (seeded == NULL)
            seeded = "";
    }
    return strcmp(seeded, bugs[bug].name) == 0;
}

bool seeded_bug_once_in(unsigned times)
{
    static unsigned calls;
    return calls++ % times == times - 1;
}

void seeded_bug_pause(unsigned milliseconds)
{
    const struct timespec pause = {.tv_sec = milliseconds / 1000,
                                   .tv_nsec = (long)(milliseconds % 1000) * 1000000L};
    (void)nanosleep(&pause, NULL);
}
