#include "consumer/shard/ownership.h"

#include <stddef.h>

struct step {
    enum ownership_action action;
    enum ownership_state next;
};

/* It ignores what is not in the table. */
static const struct step steps[OWNERSHIP_STATES][OWNERSHIP_EVENTS] = {
    [OWNERSHIP_NONE] = {[OWNERSHIP_ASKED] = {OWNERSHIP_GO_ON, OWNERSHIP_TAKING}},
    [OWNERSHIP_TAKING] = {[OWNERSHIP_TAKEN] = {OWNERSHIP_SERVE, OWNERSHIP_SERVING},
                          [OWNERSHIP_PASSED] = {OWNERSHIP_GO_ON, OWNERSHIP_NONE},
                          [OWNERSHIP_REFUSED] = {OWNERSHIP_DROP, OWNERSHIP_NONE},
                          [OWNERSHIP_ANSWER_LOST] = {OWNERSHIP_GO_ON, OWNERSHIP_NONE},
                          [OWNERSHIP_SESSION_LOST] = {OWNERSHIP_SUSPEND, OWNERSHIP_NONE}},
    [OWNERSHIP_SERVING] = {[OWNERSHIP_SESSION_LOST] = {OWNERSHIP_SUSPEND, OWNERSHIP_NONE},
                           [OWNERSHIP_FENCED] = {OWNERSHIP_DROP, OWNERSHIP_NONE},
                           [OWNERSHIP_YIELD] = {OWNERSHIP_DRAIN, OWNERSHIP_YIELDING}},
    /* some deliveries were ignored, so the channel must close in any case */
    [OWNERSHIP_YIELDING] = {[OWNERSHIP_SESSION_LOST] = {OWNERSHIP_DROP, OWNERSHIP_NONE},
                            [OWNERSHIP_FENCED] = {OWNERSHIP_DROP, OWNERSHIP_NONE},
                            [OWNERSHIP_DRAINED] = {OWNERSHIP_RELEASE, OWNERSHIP_RELEASING}},
    [OWNERSHIP_RELEASING] = {[OWNERSHIP_SESSION_LOST] = {OWNERSHIP_DROP, OWNERSHIP_NONE},
                             [OWNERSHIP_RELEASED] = {OWNERSHIP_DROP, OWNERSHIP_NONE}},
};

enum ownership_action ownership_happen(struct ownership *o, enum ownership_event event,
                                       int64_t epoch, uint64_t now_ms)
{
    struct step step = steps[o->state][event];
    if (step.action == OWNERSHIP_IGNORE)
        return OWNERSHIP_IGNORE;
    if (event == OWNERSHIP_PASSED && o->resume_epoch != 0)
        step.action = OWNERSHIP_DROP; /* our memory is of an epoch that is over */
    if (event == OWNERSHIP_SESSION_LOST && o->state == OWNERSHIP_SERVING)
        o->resume_epoch = o->epoch;
    else if (step.action == OWNERSHIP_SERVE || step.action == OWNERSHIP_DROP)
        o->resume_epoch = 0;
    o->state = step.next;
    if (step.action == OWNERSHIP_SERVE) {
        o->epoch = epoch;
        o->taken_ms = now_ms;
    } else if (o->state == OWNERSHIP_NONE) {
        o->epoch = 0;
    }
    return step.action;
}

bool ownership_serving(const struct ownership *o)
{
    return o->state == OWNERSHIP_SERVING || o->state == OWNERSHIP_YIELDING;
}

bool ownership_held(const struct ownership *o)
{
    return o->state != OWNERSHIP_NONE;
}

bool ownership_behind(const struct ownership *o, int64_t epoch)
{
    return ownership_serving(o) && epoch > o->epoch;
}

const char *ownership_wanted(const struct ownership *o, bool fed)
{
    if (o->state != OWNERSHIP_NONE)
        return NULL;
    if (o->resume_epoch != 0)
        return "its database session is back";
    return fed ? "a delivery" : NULL;
}

const char *ownership_state_name(enum ownership_state state)
{
    static const char *const names[OWNERSHIP_STATES] = {[OWNERSHIP_NONE] = "not ours",
                                                        [OWNERSHIP_TAKING] = "taking",
                                                        [OWNERSHIP_SERVING] = "serving",
                                                        [OWNERSHIP_YIELDING] = "yielding",
                                                        [OWNERSHIP_RELEASING] = "releasing"};
    return names[state];
}
