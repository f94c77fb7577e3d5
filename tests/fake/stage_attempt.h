/* The table of payment attempts as tests walk it: what can be reached, and names by number. */
#ifndef TESTS_FAKE_STAGE_ATTEMPT_H
#define TESTS_FAKE_STAGE_ATTEMPT_H

#include <stdbool.h>

#include "consumer/money/attempt.h"

/* Which verbs an attempt can have in each state: the calls in flight or next. Zeroed at first. */
struct reach {
    bool has[ATTEMPT_STATES][ATTEMPT_VERBS];
};

/* Adds what follows from this state and verb. */
void reach_from(struct reach *reach, enum attempt_state state, enum attempt_verb verb);

const char *state_text(unsigned n);
const char *verb_text(unsigned n);
const char *event_text(unsigned n);
const char *action_text(unsigned n);

#endif
