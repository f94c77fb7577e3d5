#include "tests/fake/stage_attempt.h"

void reach_from(struct reach *reach, enum attempt_state state, enum attempt_verb verb)
{
    if (reach->has[state][verb])
        return;
    reach->has[state][verb] = true;
    for (int event = 0; event < ATTEMPT_EVENTS; event++) {
        struct attempt_step step = attempt_next(state, verb, (enum attempt_event)event);
        reach_from(reach, step.state, step.verb);
    }
}

const char *state_text(unsigned n)
{
    return attempt_state_text((enum attempt_state)n);
}

const char *verb_text(unsigned n)
{
    return attempt_verb_text((enum attempt_verb)n);
}

const char *event_text(unsigned n)
{
    return attempt_event_text((enum attempt_event)n);
}

const char *action_text(unsigned n)
{
    return attempt_action_text((enum attempt_action)n);
}
