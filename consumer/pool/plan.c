#include "consumer/pool/plan.h"

#include <stddef.h>

static struct plan step(struct plan plan, enum plan_step kind, int64_t epoch, const char *why)
{
    plan.step = kind;
    plan.epoch = epoch;
    plan.why = why;
    return plan;
}

/* Another member is to serve what we hold, and can. */
static bool must_yield(const struct plan_view *view, const struct plan_shard *shard)
{
    int64_t owner = shard->place.owner;
    return shard->held && !view->reassigned && owner != view->self && owner != ASSIGNMENT_NOBODY &&
           liveness_ready(view->liveness, owner) && shard->served_ms >= PLAN_YIELD_AGE_MS;
}

/* The assigned owner takes over what is released, or whose owner is dead. And whoever has its name
 * on a shard that it does not hold (an answer was lost) takes it again: nobody else will while it
 * lives. The reading of the table may be old: what has moved on since is not taken. */
static struct plan take(struct plan plan, const struct plan_view *view,
                        const struct plan_shard *shard)
{
    if (shard->owner == view->self)
        return step(plan, PLAN_TAKE_BACK, 0, "it was ours");
    if (shard->place.owner != view->self)
        return plan;
    if (shard->owner == 0)
        return step(plan, PLAN_TAKE, shard->epoch, "it was released");
    if (!liveness_alive(view->liveness, shard->owner))
        return step(plan, PLAN_TAKE, shard->epoch, "its owner is dead");
    return plan;
}

struct plan plan_shard(const struct plan_view *view, const struct plan_shard *shard)
{
    const struct assignment_place *place = &shard->place;
    struct plan plan = {.assigned = place->owner, .step = PLAN_KEEP};
    if (view->leaving)
        return shard->held ? step(plan, PLAN_YIELD, 0, "leaving") : plan;
    /* while no member is ready, what we hold stays ours */
    plan.wanted = place->owner == view->self || place->standby == view->self ||
                  (place->owner == ASSIGNMENT_NOBODY && shard->held);
    if (must_yield(view, shard))
        return step(plan, PLAN_YIELD, 0, "another member is its assigned owner");
    return shard->held ? plan : take(plan, view, shard);
}
