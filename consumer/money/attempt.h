/*
 * The machine of a payment attempt, a charge or a refund: which state follows which event, and what
 * is to be done then. Pure: no loop, clock or gateway; one table (attempt.c), in which every state,
 * verb and event has exactly one row. docs/payments.md shows the same table.
 */
#ifndef CONSUMER_MONEY_ATTEMPT_H
#define CONSUMER_MONEY_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attrs.h"

#define ATTEMPT_STATE_MAP(X)                                                                       \
    X(QUEUED)     /* waits for its turn at the gateway */                                          \
    X(CALLING)    /* a call is in flight */                                                        \
    X(WAIT_RETRY) /* the call is to be made again, later */                                        \
    X(WAIT_BUYER) /* its intent is known and not final: the buyer or the bank has to act */        \
    X(RECONCILE)  /* no call can tell what became of it: the gateway's list can */                 \
    X(ENDED)

/* The call that is in flight or comes next. */
#define ATTEMPT_VERB_MAP(X)                                                                        \
    X(CHARGE)                                                                                      \
    X(GET)                                                                                         \
    X(CANCEL)                                                                                      \
    X(REFUND)                                                                                      \
    X(FIND_REFUND)

#define ATTEMPT_EVENT_MAP(X)                                                                       \
    X(START)        /* it is new here */                                                           \
    X(START_LATER)  /* ... and the attempt before it has failed: not at once */                    \
    X(KEY_OLD)      /* its turn; the gateway may have forgotten the key */                         \
    X(SENT)         /* its turn; the call is in flight */                                          \
    X(SEND_INVALID) /* its turn; such a request cannot be made */                                  \
    /* Answers to calls */                                                                         \
    X(SUCCEEDED)                                                                                   \
    X(DECLINED)      /* the intent has no payment method any more */                               \
    X(CANCELLED)     /* the intent is cancelled */                                                 \
    X(ACTION)        /* the buyer has to act, and the answer says how */                           \
    X(ACTION_VOID)   /* ... or does not say it, or may not */                                      \
    X(PENDING)       /* the intent, or the refund, is not final */                                 \
    X(OTHER_SUM)     /* another sum was taken or refunded */                                       \
    X(REFUSED)       /* for good, and nothing was executed */                                      \
    X(REFUSED_AGAIN) /* ... but an attempt before it may have taken the money */                   \
    X(REFUSED_NOW)   /* a refund that may pass another day */                                      \
    X(KEPT)          /* the gateway repeats a result that it has kept under the key */             \
    X(KEY_USED)      /* the key was used, with other parameters */                                 \
    X(UNCLEAR)       /* anything else: it may have been executed or not */                         \
    X(FAILED)        /* the refund has failed */                                                   \
    X(ALREADY)       /* nothing is left to give back */                                            \
    X(NONE)          /* no refund of it is known */                                                \
    X(NONE_NOW)      /* ... after a REFUSED_NOW */                                                 \
    X(ORPHANED)      /* any answer, to a shard that is not ours any more */                        \
    /* Clocks, and others */                                                                       \
    X(TIMER)                                                                                       \
    X(TIME_UP) /* the buyer's time is over */                                                      \
    X(HINT)    /* something may have happened to it */                                             \
    X(BUYER_CANCEL)                                                                                \
    X(RESOLVED_CAPTURED) /* an operator's word */                                                  \
    X(RESOLVED_NOT_CAPTURED)                                                                       \
    X(RESOLVED_RELEASE)                                                                            \
    /* The gateway's list: what is found outweighs what stands above it */                         \
    X(NOT_FOUND) /* the whole list knows nothing */                                                \
    X(FOUND_CANCELLED)                                                                             \
    X(FOUND_OPEN)  /* not final, and it must not go on */                                          \
    X(FOUND_ALIVE) /* not final: to be looked at */                                                \
    X(FOUND_OTHER_SUM)                                                                             \
    X(FOUND_SUCCEEDED)                                                                             \
    X(NOT_FOUND_LAST)     /* it knows nothing, and no further attempt may be made */               \
    X(NOT_FOUND_CAPTURED) /* ... and an operator says that it was captured */                      \
    X(LIST_UNCLEAR)       /* the list, read now, concludes nothing */                              \
    X(LIST_CONTRADICTS)   /* ... and an answer said that something was taken */                    \
    X(SHARD_LOST)                                                                                  \
    X(SHARD_BACK)

/* What the shell does beside what the new state asks for. */
#define ATTEMPT_ACTION_MAP(X)                                                                      \
    X(NOTHING)                                                                                     \
    X(NOTE)       /* record, for operators, that its end is unclear */                             \
    X(NOTE_LATE)  /* ... if it has been so for a while */                                          \
    X(ASK_BUYER)  /* record what the buyer is to do */                                             \
    X(REMEMBER)   /* something has happened while it was called */                                 \
    X(HURRY)      /* read the list now */                                                          \
    X(LOOK_AGAIN) /* read the list again, later */                                                 \
    X(ORPHAN)     /* its answer is not reported */                                                 \
    X(ADOPT)      /* ... or is, after all */                                                       \
    X(FORGET)     /* it is in the tables */                                                        \
    X(END_CAPTURED)                                                                                \
    X(END_DECLINED)                                                                                \
    X(END_FAILED)                                                                                  \
    X(END_OTHER_SUM)  /* failed, and what was taken goes back */                                   \
    X(END_SUPERSEDED) /* it took no money; the next attempt may be made */                         \
    X(END_REFUNDED)                                                                                \
    X(END_REFUND_FAILED)                                                                           \
    X(END_REFUND_AGAIN) /* under a key of its own */                                               \
    X(END_REFUND_LATER) /* ... another day */

#define ATTEMPT_ENUM_STATE(name) ATTEMPT_##name,
#define ATTEMPT_ENUM_VERB(name) ATTEMPT_##name,
#define ATTEMPT_ENUM_EVENT(name) ATTEMPT_ON_##name,
#define ATTEMPT_ENUM_ACTION(name) ATTEMPT_DO_##name,
enum attempt_state { ATTEMPT_STATE_MAP(ATTEMPT_ENUM_STATE) ATTEMPT_STATES };
enum attempt_verb { ATTEMPT_VERB_MAP(ATTEMPT_ENUM_VERB) ATTEMPT_VERBS };
enum attempt_event { ATTEMPT_EVENT_MAP(ATTEMPT_ENUM_EVENT) ATTEMPT_EVENTS };
enum attempt_action { ATTEMPT_ACTION_MAP(ATTEMPT_ENUM_ACTION) ATTEMPT_ACTIONS };

struct attempt {
    enum attempt_state state;
    enum attempt_verb verb;
};

struct attempt_step {
    enum attempt_state state;
    enum attempt_verb verb;
    enum attempt_action action;
};

/* What follows. A state that stays as it is, is not entered again. */
struct attempt_step attempt_next(enum attempt_state state, enum attempt_verb verb,
                                 enum attempt_event event);
/* Takes the step; the only writer of the state. `order_id` and `number` are for the log. */
struct attempt_step attempt_enter(struct attempt *attempt, enum attempt_event event,
                                  const char *order_id, int64_t number);

/* Whether each state, verb and event has exactly one row; else `ret_wrong` tells one that has not.
 */
struct attempt_wrong {
    enum attempt_state state;
    enum attempt_verb verb;
    enum attempt_event event;
    unsigned rows;
};
MUST_CHECK bool attempt_table_good(struct attempt_wrong *ret_wrong);
size_t attempt_row_count(void);
/* Which row a step is taken from. */
size_t attempt_row(enum attempt_state state, enum attempt_verb verb, enum attempt_event event);
/* Whether the row does nothing and changes nothing. */
bool attempt_row_ignores(size_t row);

const char *attempt_state_text(enum attempt_state state);
const char *attempt_verb_text(enum attempt_verb verb);
const char *attempt_event_text(enum attempt_event event);
const char *attempt_action_text(enum attempt_action action);

#endif
