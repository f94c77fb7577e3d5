#include "consumer/pool/plan.h"

#include <stddef.h>

static struct plan step(struct plan plan, enum plan_step kind, int64_t epoch, const char *why)
{
    plan.step = kind;
    plan.epoch = epoch;
    plan.why = why;
    return plan;
}

/* Another member that can serve the shard is its assigned owner. */
static bool others(const struct plan_view *view, const struct plan_shard *shard)
{
    int64_t owner = shard->place.owner;
    return owner != view->self && owner != ASSIGNMENT_NONE && liveness_ready(view->liveness, owner);
}

/* Counts how often the shard came back to us from its assigned owner. */
static void remember(struct plan_history *history, const struct plan_view *view,
                     const struct plan_shard *shard)
{
    int64_t owner = shard->place.owner;
    if (!shard->held || shard->taken_ms == history->taken_ms)
        return;
    bool soon = shard->taken_ms - history->taken_ms < PLAN_BOUNCED_AGE_MAX_MS * 2;
    history->taken_ms = shard->taken_ms;
    if (!others(view, shard))
        return;
    uint64_t longer_ms = history->age_ms * 2;
    if (longer_ms > PLAN_BOUNCED_AGE_MAX_MS)
        longer_ms = PLAN_BOUNCED_AGE_MAX_MS;
    bool again = soon && history->age_ms > 0 && history->bounced_by == owner;
    history->age_ms = again ? longer_ms : PLAN_BOUNCED_AGE_MS;
    history->bounced_by = owner;
}

static bool bounced(const struct plan_shard *shard, const struct plan_history *history)
{
    return history->age_ms > 0 && history->bounced_by == shard->place.owner;
}

static bool must_yield(const struct plan_view *view, const struct plan_shard *shard,
                       const struct plan_history *history)
{
    if (!shard->held || view->reassigned || !others(view, shard))
        return false;
    uint64_t age_ms = bounced(shard, history) ? history->age_ms : PLAN_YIELD_AGE_MS;
    return view->now_ms - shard->taken_ms >= age_ms;
}

/* The assigned owner takes over a shard that is released, or whose owner is dead. A member whose
 * name is on a shard that it does not hold (an answer was lost) takes it again: no other does while
 * it lives. Our copy of the table may be old: a take-over based on a stale read has no effect. */
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

struct plan plan_shard(const struct plan_view *view, const struct plan_shard *shard,
                       struct plan_history *history)
{
    remember(history, view, shard);
    const struct assignment_place *place = &shard->place;
    struct plan plan = {.assigned = place->owner, .step = PLAN_KEEP};
    if (view->leaving)
        return shard->held ? step(plan, PLAN_YIELD, 0, "leaving") : plan;
    /* while no member is ready, what we hold stays ours */
    plan.wanted = place->owner == view->self || place->standby == view->self ||
                  (place->owner == ASSIGNMENT_NONE && shard->held);
    plan.pause_ms = bounced(shard, history) ? PLAN_BOUNCED_PAUSE_MS : 0;
    if (must_yield(view, shard, history))
        return step(plan, PLAN_YIELD, 0, "another member is its assigned owner");
    return shard->held ? plan : take(plan, view, shard);
}
