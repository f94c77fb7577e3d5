#include "consumer/money/attempt.h"

#include "common/base/log.h"

#define KEEP (-1)

struct row {
    uint32_t states;
    uint32_t verbs;
    uint64_t events;
    int next; /* KEEP or a state */
    int verb; /* KEEP or a verb */
    enum attempt_action action;
};

#define IN(name) (1U << ATTEMPT_##name)
#define BY(name) (1U << ATTEMPT_##name)
#define ON(name) (UINT64_C(1) << ATTEMPT_ON_##name)
#define FROM_TO(first, last) ((ON(last) << 1) - ON(first))

/* clang-format off */
enum {
    /* states */
    QUEUED = IN(QUEUED), CALLING = IN(CALLING), RETRY = IN(WAIT_RETRY), BUYER = IN(WAIT_BUYER),
    LIST = IN(RECONCILE), ENDED = IN(ENDED),
    WAITING = QUEUED | RETRY | BUYER,
    ALIVE = WAITING | LIST,
    /* verbs */
    CHARGE = BY(CHARGE), GET = BY(GET), CANCEL = BY(CANCEL), REFUND = BY(REFUND), FIND = BY(FIND_REFUND),
    LOOKS = GET | CANCEL,
    CHARGES = CHARGE | LOOKS,
    REFUNDS = REFUND | FIND,
    ALL_VERBS = CHARGES | REFUNDS,
};

#define OF_TURN FROM_TO(START, SEND_INVALID)
#define OF_ANSWER FROM_TO(SUCCEEDED, ORPHANED)
#define OF_REFUND (ON(REFUSED_NOW) | ON(FAILED) | ON(ALREADY) | ON(NONE) | ON(NONE_NOW))
#define OF_CHARGE (ON(DECLINED) | ON(CANCELLED) | ON(ACTION) | ON(ACTION_VOID))
#define TO_CANCEL (ON(TIME_UP) | ON(BUYER_CANCEL))
#define OF_OPERATOR FROM_TO(RESOLVED_CAPTURED, RESOLVED_RELEASE)
#define OF_LIST FROM_TO(NOT_FOUND, LIST_CONTRADICTS)

#define TO(name) ATTEMPT_##name
#define DO(name) ATTEMPT_DO_##name

static const struct row rows[] = {
    /* its turn */
    {QUEUED, ALL_VERBS, ON(START_LATER), TO(WAIT_RETRY), KEEP, DO(NOTHING)},
    {QUEUED, ALL_VERBS, ON(SENT), TO(CALLING), KEEP, DO(NOTHING)},
    {QUEUED, CHARGE, ON(SEND_INVALID), TO(ENDED), KEEP, DO(END_FAILED)},
    {QUEUED, LOOKS, ON(SEND_INVALID), TO(RECONCILE), KEEP, DO(NOTE)},
    {QUEUED, REFUNDS, ON(SEND_INVALID), TO(ENDED), KEEP, DO(END_REFUND_FAILED)},
    {QUEUED, CHARGES, ON(KEY_OLD), TO(RECONCILE), KEEP, DO(NOTE)},
    {QUEUED, REFUNDS, ON(KEY_OLD), KEEP, TO(FIND_REFUND), DO(NOTHING)},

    /* answers about a charge */
    {CALLING, CHARGES, ON(SUCCEEDED), TO(ENDED), KEEP, DO(END_CAPTURED)},
    {CALLING, LOOKS, ON(OTHER_SUM), TO(ENDED), KEEP, DO(END_OTHER_SUM)},
    {CALLING, CHARGES, ON(CANCELLED), TO(ENDED), KEEP, DO(END_DECLINED)},
    {CALLING, CHARGE, ON(DECLINED), TO(ENDED), KEEP, DO(END_DECLINED)},
    {CALLING, GET, ON(DECLINED), TO(QUEUED), TO(CANCEL), DO(NOTHING)}, /* it could get another card */
    {CALLING, CANCEL, ON(DECLINED) | ON(ACTION) | ON(ACTION_VOID), TO(WAIT_RETRY), KEEP, DO(NOTE_LATE)},
    {CALLING, CHARGE | GET, ON(ACTION), TO(WAIT_BUYER), TO(GET), DO(ASK_BUYER)},
    {CALLING, CHARGE | GET, ON(ACTION_VOID), TO(QUEUED), TO(CANCEL), DO(NOTHING)},
    {CALLING, CHARGE | GET, ON(PENDING), TO(WAIT_BUYER), TO(GET), DO(NOTE_LATE)},
    {CALLING, CANCEL, ON(PENDING), TO(WAIT_BUYER), KEEP, DO(NOTE)}, /* a debit under way: held */
    {CALLING, CHARGE, ON(REFUSED), TO(ENDED), KEEP, DO(END_FAILED)},
    {CALLING, CHARGE, ON(OTHER_SUM) | ON(REFUSED_AGAIN) | ON(KEPT) | ON(KEY_USED), TO(RECONCILE), KEEP, DO(NOTE)},
    {CALLING, LOOKS, ON(REFUSED) | ON(REFUSED_AGAIN), TO(RECONCILE), KEEP, DO(NOTE)},
    {CALLING, CHARGE, ON(UNCLEAR) | OF_REFUND, TO(WAIT_RETRY), KEEP, DO(NOTE_LATE)},
    {CALLING, LOOKS, ON(UNCLEAR) | ON(KEPT) | ON(KEY_USED) | OF_REFUND, TO(WAIT_RETRY), TO(GET), DO(NOTE_LATE)},

    /* answers about a refund */
    {CALLING, REFUNDS, ON(SUCCEEDED), TO(ENDED), KEEP, DO(END_REFUNDED)},
    {CALLING, REFUNDS, ON(FAILED), TO(ENDED), KEEP, DO(END_REFUND_FAILED)},
    {CALLING, REFUND, ON(REFUSED) | ON(REFUSED_AGAIN), TO(ENDED), KEEP, DO(END_REFUND_FAILED)},
    {CALLING, REFUND, ON(PENDING), TO(WAIT_RETRY), TO(FIND_REFUND), DO(NOTE)},
    {CALLING, REFUND, ON(KEPT) | ON(KEY_USED) | ON(ALREADY) | ON(OTHER_SUM) | ON(REFUSED_NOW),
     TO(WAIT_RETRY), TO(FIND_REFUND), DO(NOTE_LATE)},
    {CALLING, FIND, ON(NONE), TO(ENDED), KEEP, DO(END_REFUND_AGAIN)},
    {CALLING, FIND, ON(NONE_NOW), TO(ENDED), KEEP, DO(END_REFUND_LATER)},
    {CALLING, FIND, ON(PENDING) | ON(OTHER_SUM), TO(WAIT_RETRY), KEEP, DO(NOTE)},
    {CALLING, REFUND, ON(UNCLEAR) | OF_CHARGE | ON(NONE) | ON(NONE_NOW), TO(WAIT_RETRY), KEEP, DO(NOTE_LATE)},
    {CALLING, FIND, ON(UNCLEAR) | OF_CHARGE | ON(REFUSED) | ON(REFUSED_AGAIN) | ON(REFUSED_NOW) | ON(KEPT) |
     ON(KEY_USED) | ON(ALREADY), TO(WAIT_RETRY), KEEP, DO(NOTE_LATE)},

    /* clocks and hints */
    {RETRY | BUYER, ALL_VERBS, ON(TIMER), TO(QUEUED), KEEP, DO(NOTHING)},
    {RETRY, ALL_VERBS, ON(HINT), TO(QUEUED), KEEP, DO(NOTHING)},
    {BUYER, ALL_VERBS, ON(HINT), TO(QUEUED), TO(GET), DO(NOTHING)},
    {LIST, ALL_VERBS, ON(HINT) | ON(RESOLVED_NOT_CAPTURED) | ON(RESOLVED_CAPTURED), KEEP, KEEP, DO(HURRY)},
    {CALLING, ALL_VERBS, ON(HINT), KEEP, KEEP, DO(REMEMBER)},

    /* it is to be cancelled; people's words; while it is called, they wait for the answer */
    {WAITING, GET, TO_CANCEL, TO(QUEUED), TO(CANCEL), DO(NOTHING)},
    {WAITING, CHARGE | GET, ON(RESOLVED_CAPTURED) | ON(RESOLVED_NOT_CAPTURED), TO(RECONCILE), KEEP, DO(HURRY)},
    {ALIVE, CHARGES, ON(RESOLVED_RELEASE), TO(ENDED), KEEP, DO(END_FAILED)},

    /* the list */
    {LIST, ALL_VERBS, ON(FOUND_SUCCEEDED) | ON(NOT_FOUND_CAPTURED), TO(ENDED), KEEP, DO(END_CAPTURED)},
    {LIST, ALL_VERBS, ON(FOUND_OTHER_SUM), TO(ENDED), KEEP, DO(END_OTHER_SUM)},
    {LIST, ALL_VERBS, ON(FOUND_CANCELLED), TO(ENDED), KEEP, DO(END_DECLINED)},
    {LIST, ALL_VERBS, ON(FOUND_ALIVE), TO(QUEUED), TO(GET), DO(NOTHING)},
    {LIST, ALL_VERBS, ON(FOUND_OPEN), TO(QUEUED), TO(CANCEL), DO(NOTHING)},
    {LIST, ALL_VERBS, ON(NOT_FOUND), TO(ENDED), KEEP, DO(END_SUPERSEDED)},
    {LIST, ALL_VERBS, ON(NOT_FOUND_LAST), TO(ENDED), KEEP, DO(END_FAILED)},
    {LIST, ALL_VERBS, ON(LIST_UNCLEAR), KEEP, KEEP, DO(LOOK_AGAIN)},
    {LIST, ALL_VERBS, ON(LIST_CONTRADICTS), TO(WAIT_RETRY), KEEP, DO(NOTE)},

    /* the shard */
    {ALIVE, ALL_VERBS, ON(SHARD_LOST), TO(ENDED), KEEP, DO(FORGET)},
    {CALLING, ALL_VERBS, ON(SHARD_LOST), KEEP, KEEP, DO(ORPHAN)},
    {CALLING, ALL_VERBS, ON(SHARD_BACK), KEEP, KEEP, DO(ADOPT)},
    {CALLING, ALL_VERBS, ON(ORPHANED), TO(ENDED), KEEP, DO(FORGET)},

    /* what comes too late, or cannot come */
    {ENDED, ALL_VERBS, FROM_TO(START, SHARD_BACK), KEEP, KEEP, DO(NOTHING)},
    {ALIVE, ALL_VERBS, OF_ANSWER | ON(SHARD_BACK), KEEP, KEEP, DO(NOTHING)},
    {WAITING | CALLING, ALL_VERBS, OF_LIST, KEEP, KEEP, DO(NOTHING)},
    {CALLING | RETRY | BUYER | LIST, ALL_VERBS, OF_TURN, KEEP, KEEP, DO(NOTHING)},
    {QUEUED, ALL_VERBS, ON(START) | ON(TIMER) | ON(HINT), KEEP, KEEP, DO(NOTHING)},
    {CALLING | LIST, ALL_VERBS, ON(TIMER) | TO_CANCEL, KEEP, KEEP, DO(NOTHING)},
    {CALLING, ALL_VERBS, OF_OPERATOR, KEEP, KEEP, DO(NOTHING)},
    {WAITING, CHARGE | CANCEL | REFUNDS, TO_CANCEL, KEEP, KEEP, DO(NOTHING)},
    {WAITING, CANCEL | REFUNDS, ON(RESOLVED_CAPTURED) | ON(RESOLVED_NOT_CAPTURED), KEEP, KEEP, DO(NOTHING)},
    {ALIVE, REFUNDS, ON(RESOLVED_RELEASE), KEEP, KEEP, DO(NOTHING)},
};
/* clang-format on */

#define ROWS ARRAY_LEN(rows)

static bool is_for(const struct row *row, enum attempt_state state, enum attempt_verb verb,
                   enum attempt_event event)
{
    return (row->states >> state & 1) != 0 && (row->verbs >> verb & 1) != 0 &&
           (row->events >> event & 1) != 0;
}

size_t attempt_row(enum attempt_state state, enum attempt_verb verb, enum attempt_event event)
{
    size_t row = 0;
    while (row < ROWS - 1 && !is_for(&rows[row], state, verb, event))
        row++;
    return row;
}

size_t attempt_row_count(void)
{
    return ROWS;
}

bool attempt_row_ignores(size_t row)
{
    return rows[row].next == KEEP && rows[row].verb == KEEP && rows[row].action == DO(NOTHING);
}

static unsigned rows_for(enum attempt_state state, enum attempt_verb verb, enum attempt_event event)
{
    unsigned count = 0;
    for (size_t row = 0; row < ROWS; row++)
        count += is_for(&rows[row], state, verb, event);
    return count;
}

bool attempt_table_good(struct attempt_wrong *ret_wrong)
{
    for (int state = 0; state < ATTEMPT_STATES; state++)
        for (int verb = 0; verb < ATTEMPT_VERBS; verb++)
            for (int event = 0; event < ATTEMPT_EVENTS; event++) {
                unsigned count = rows_for((enum attempt_state)state, (enum attempt_verb)verb,
                                          (enum attempt_event)event);
                if (count == 1)
                    continue;
                *ret_wrong =
                    (struct attempt_wrong){(enum attempt_state)state, (enum attempt_verb)verb,
                                           (enum attempt_event)event, count};
                return false;
            }
    return true;
}

struct attempt_step attempt_next(enum attempt_state state, enum attempt_verb verb,
                                 enum attempt_event event)
{
    const struct row *row = &rows[attempt_row(state, verb, event)];
    return (struct attempt_step){.state = row->next == KEEP ? state : (enum attempt_state)row->next,
                                 .verb = row->verb == KEEP ? verb : (enum attempt_verb)row->verb,
                                 .action = row->action};
}

struct attempt_step attempt_enter(struct attempt *attempt, enum attempt_event event,
                                  const char *order_id, int64_t number)
{
    struct attempt_step step = attempt_next(attempt->state, attempt->verb, event);
    if (step.state != attempt->state || step.verb != attempt->verb)
        log_debug("payment attempt", LOG_STR("order_id", order_id), LOG_INT("attempt", number),
                  LOG_STR("from", attempt_state_text(attempt->state)),
                  LOG_STR("to", attempt_state_text(step.state)),
                  LOG_STR("call", attempt_verb_text(step.verb)),
                  LOG_STR("on", attempt_event_text(event)),
                  LOG_STR("action", attempt_action_text(step.action)));
    attempt->state = step.state;
    attempt->verb = step.verb;
    return step;
}

#define NAME(name) #name,

const char *attempt_state_text(enum attempt_state state)
{
    static const char *const names[] = {ATTEMPT_STATE_MAP(NAME)};
    return names[state];
}

const char *attempt_verb_text(enum attempt_verb verb)
{
    static const char *const names[] = {ATTEMPT_VERB_MAP(NAME)};
    return names[verb];
}

const char *attempt_event_text(enum attempt_event event)
{
    static const char *const names[] = {ATTEMPT_EVENT_MAP(NAME)};
    return names[event];
}

const char *attempt_action_text(enum attempt_action action)
{
    static const char *const names[] = {ATTEMPT_ACTION_MAP(NAME)};
    return names[action];
}
