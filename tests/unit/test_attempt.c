#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/money/attempt.h"
#include "tests/fake/stage_attempt.h"

/* What is expected of the table, one step a line: STATE VERB EVENT, and what follows. "=" is the
 * same as before. */
static const char *const steps[] = {
    /* its turn */
    "QUEUED CHARGE START > = = NOTHING",
    "QUEUED CHARGE START_LATER > WAIT_RETRY = NOTHING",
    "QUEUED CHARGE SENT > CALLING = NOTHING",
    "QUEUED REFUND SENT > CALLING = NOTHING",
    "QUEUED CHARGE SEND_INVALID > ENDED = END_FAILED",
    "QUEUED GET SEND_INVALID > RECONCILE = NOTE",
    "QUEUED CANCEL SEND_INVALID > RECONCILE = NOTE",
    "QUEUED REFUND SEND_INVALID > ENDED = END_REFUND_FAILED",
    "QUEUED FIND_REFUND SEND_INVALID > ENDED = END_REFUND_FAILED",
    "QUEUED CHARGE KEY_OLD > RECONCILE = NOTE",
    "QUEUED REFUND KEY_OLD > = FIND_REFUND NOTHING",
    /* a charge */
    "CALLING CHARGE SUCCEEDED > ENDED = END_CAPTURED",
    "CALLING GET SUCCEEDED > ENDED = END_CAPTURED",
    "CALLING CANCEL SUCCEEDED > ENDED = END_CAPTURED",
    "CALLING CHARGE OTHER_SUM > RECONCILE = NOTE",
    "CALLING GET OTHER_SUM > ENDED = END_OTHER_SUM",
    "CALLING CANCEL OTHER_SUM > ENDED = END_OTHER_SUM",
    "CALLING CHARGE DECLINED > ENDED = END_DECLINED",
    "CALLING CHARGE CANCELLED > ENDED = END_DECLINED",
    "CALLING GET CANCELLED > ENDED = END_DECLINED",
    "CALLING CANCEL CANCELLED > ENDED = END_DECLINED",
    "CALLING GET DECLINED > QUEUED CANCEL NOTHING",
    "CALLING CANCEL DECLINED > WAIT_RETRY = NOTE_LATE",
    "CALLING CHARGE ACTION > WAIT_BUYER GET ASK_BUYER",
    "CALLING GET ACTION > WAIT_BUYER GET ASK_BUYER",
    "CALLING CANCEL ACTION > WAIT_RETRY = NOTE_LATE",
    "CALLING CHARGE ACTION_VOID > QUEUED CANCEL NOTHING",
    "CALLING GET ACTION_VOID > QUEUED CANCEL NOTHING",
    "CALLING CHARGE PENDING > WAIT_BUYER GET NOTE_LATE",
    "CALLING GET PENDING > WAIT_BUYER GET NOTE_LATE",
    "CALLING CANCEL PENDING > WAIT_BUYER = NOTE",
    "CALLING CHARGE REFUSED > ENDED = END_FAILED",
    "CALLING CHARGE REFUSED_AGAIN > RECONCILE = NOTE",
    "CALLING CHARGE KEPT > RECONCILE = NOTE",
    "CALLING CHARGE KEY_USED > RECONCILE = NOTE",
    "CALLING CHARGE UNCLEAR > WAIT_RETRY = NOTE_LATE",
    "CALLING GET UNCLEAR > WAIT_RETRY = NOTE_LATE",
    "CALLING CANCEL UNCLEAR > WAIT_RETRY GET NOTE_LATE",
    "CALLING GET REFUSED > RECONCILE = NOTE",
    "CALLING CANCEL REFUSED > RECONCILE = NOTE",
    "CALLING GET KEPT > WAIT_RETRY = NOTE_LATE",
    "CALLING CHARGE NONE > WAIT_RETRY = NOTE_LATE",
    /* a refund */
    "CALLING REFUND SUCCEEDED > ENDED = END_REFUNDED",
    "CALLING FIND_REFUND SUCCEEDED > ENDED = END_REFUNDED",
    "CALLING REFUND FAILED > ENDED = END_REFUND_FAILED",
    "CALLING FIND_REFUND FAILED > ENDED = END_REFUND_FAILED",
    "CALLING REFUND REFUSED > ENDED = END_REFUND_FAILED",
    "CALLING REFUND PENDING > WAIT_RETRY FIND_REFUND NOTE",
    "CALLING FIND_REFUND PENDING > WAIT_RETRY = NOTE",
    "CALLING REFUND KEPT > WAIT_RETRY FIND_REFUND NOTE_LATE",
    "CALLING REFUND KEY_USED > WAIT_RETRY FIND_REFUND NOTE_LATE",
    "CALLING REFUND ALREADY > WAIT_RETRY FIND_REFUND NOTE_LATE",
    "CALLING REFUND OTHER_SUM > WAIT_RETRY FIND_REFUND NOTE_LATE",
    "CALLING REFUND REFUSED_NOW > WAIT_RETRY FIND_REFUND NOTE_LATE",
    "CALLING REFUND UNCLEAR > WAIT_RETRY = NOTE_LATE",
    "CALLING REFUND NONE > WAIT_RETRY = NOTE_LATE",
    "CALLING FIND_REFUND UNCLEAR > WAIT_RETRY = NOTE_LATE",
    "CALLING FIND_REFUND REFUSED > WAIT_RETRY = NOTE_LATE",
    "CALLING FIND_REFUND OTHER_SUM > WAIT_RETRY = NOTE",
    "CALLING FIND_REFUND NONE > ENDED = END_REFUND_AGAIN",
    "CALLING FIND_REFUND NONE_NOW > ENDED = END_REFUND_LATER",
    /* clocks and hints */
    "WAIT_RETRY CHARGE TIMER > QUEUED = NOTHING",
    "WAIT_RETRY FIND_REFUND TIMER > QUEUED = NOTHING",
    "WAIT_BUYER GET TIMER > QUEUED = NOTHING",
    "WAIT_BUYER CANCEL TIMER > QUEUED = NOTHING",
    "WAIT_BUYER GET TIME_UP > QUEUED CANCEL NOTHING",
    "WAIT_RETRY CHARGE HINT > QUEUED = NOTHING",
    "WAIT_BUYER GET HINT > QUEUED = NOTHING",
    "WAIT_BUYER CANCEL HINT > QUEUED GET NOTHING",
    "RECONCILE CHARGE HINT > = = HURRY",
    "CALLING GET HINT > = = REMEMBER",
    "QUEUED GET HINT > = = NOTHING",
    "WAIT_RETRY CHARGE TIME_UP > = = NOTHING",
    "RECONCILE CHARGE TIMER > = = NOTHING",
    /* people */
    "WAIT_BUYER GET BUYER_CANCEL > QUEUED CANCEL NOTHING",
    "WAIT_RETRY GET BUYER_CANCEL > QUEUED CANCEL NOTHING",
    "QUEUED GET BUYER_CANCEL > = CANCEL NOTHING",
    "QUEUED CHARGE BUYER_CANCEL > = = NOTHING",
    "WAIT_BUYER CANCEL BUYER_CANCEL > = = NOTHING",
    "CALLING GET BUYER_CANCEL > = = NOTHING",
    "RECONCILE GET BUYER_CANCEL > = = NOTHING",
    "WAIT_RETRY CHARGE RESOLVED_CAPTURED > RECONCILE = HURRY",
    "WAIT_RETRY CHARGE RESOLVED_NOT_CAPTURED > RECONCILE = HURRY",
    "WAIT_BUYER GET RESOLVED_NOT_CAPTURED > RECONCILE = HURRY",
    "WAIT_RETRY CANCEL RESOLVED_NOT_CAPTURED > = = NOTHING",
    "RECONCILE CHARGE RESOLVED_CAPTURED > = = HURRY",
    "RECONCILE CHARGE RESOLVED_RELEASE > ENDED = END_FAILED",
    "WAIT_BUYER CANCEL RESOLVED_RELEASE > ENDED = END_FAILED",
    "CALLING CHARGE RESOLVED_RELEASE > = = NOTHING",
    "WAIT_RETRY REFUND RESOLVED_RELEASE > = = NOTHING",
    "RECONCILE REFUND RESOLVED_RELEASE > = = NOTHING",
    /* the list */
    "RECONCILE CHARGE FOUND_SUCCEEDED > ENDED = END_CAPTURED",
    "RECONCILE CHARGE FOUND_OTHER_SUM > ENDED = END_OTHER_SUM",
    "RECONCILE CHARGE FOUND_CANCELLED > ENDED = END_DECLINED",
    "RECONCILE CHARGE FOUND_ALIVE > QUEUED GET NOTHING",
    "RECONCILE CHARGE FOUND_OPEN > QUEUED CANCEL NOTHING",
    "RECONCILE CHARGE NOT_FOUND > ENDED = END_SUPERSEDED",
    "RECONCILE CHARGE NOT_FOUND_LAST > ENDED = END_FAILED",
    "RECONCILE CHARGE NOT_FOUND_CAPTURED > ENDED = END_CAPTURED",
    "RECONCILE CHARGE LIST_UNCLEAR > = = LOOK_AGAIN",
    "RECONCILE CHARGE LIST_CONTRADICTS > WAIT_RETRY = NOTE",
    "WAIT_BUYER GET FOUND_SUCCEEDED > = = NOTHING",
    /* the shard */
    "QUEUED CHARGE SHARD_LOST > ENDED = FORGET",
    "RECONCILE CHARGE SHARD_LOST > ENDED = FORGET",
    "CALLING CHARGE SHARD_LOST > = = ORPHAN",
    "CALLING CHARGE SHARD_BACK > = = ADOPT",
    "CALLING CHARGE ORPHANED > ENDED = FORGET",
    /* too late */
    "ENDED CHARGE SUCCEEDED > = = NOTHING",
    "WAIT_RETRY CHARGE SUCCEEDED > = = NOTHING",
    "WAIT_BUYER GET KEY_OLD > = = NOTHING",
    "WAIT_RETRY REFUND TIME_UP > = = NOTHING",
    "WAIT_BUYER CANCEL TIME_UP > = = NOTHING",
};

static int number_of(const char *name, const char *(*text)(unsigned), unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        if (strcmp(text(n), name) == 0)
            return (int)n;
    ck_abort_msg("no such name: %s", name);
    return -1;
}

START_TEST(every_state_verb_and_event_has_exactly_one_row)
{
    struct attempt_wrong wrong = {0};
    bool good = attempt_table_good(&wrong);
    ck_assert_msg(good, "%u rows for %s %s %s", wrong.rows, attempt_state_text(wrong.state),
                  attempt_verb_text(wrong.verb), attempt_event_text(wrong.event));
    ck_assert_uint_le(attempt_row_count(), 63);
}
END_TEST

/* Takes the steps of a line, and returns the row that it is taken from. */
static size_t walk(const char *line)
{
    char state[32], verb[32], event[32], to[32], by[32], action[32];
    int fields =
        sscanf(line, "%31s %31s %31s > %31s %31s %31s", state, verb, event, to, by, action);
    ck_assert_int_eq(fields, 6);
    struct attempt attempt = {.state =
                                  (enum attempt_state)number_of(state, state_text, ATTEMPT_STATES),
                              .verb = (enum attempt_verb)number_of(verb, verb_text, ATTEMPT_VERBS)};
    enum attempt_event on = (enum attempt_event)number_of(event, event_text, ATTEMPT_EVENTS);
    size_t row = attempt_row(attempt.state, attempt.verb, on);
    struct attempt_step step = attempt_enter(&attempt, on, "order", 1);
    ck_assert_int_eq(step.state, attempt.state);
    ck_assert_int_eq(step.verb, attempt.verb);
    ck_assert_msg(strcmp(attempt_state_text(step.state), to[0] == '=' ? state : to) == 0 &&
                      strcmp(attempt_verb_text(step.verb), by[0] == '=' ? verb : by) == 0 &&
                      strcmp(attempt_action_text(step.action), action) == 0,
                  "%s, but it is %s %s %s", line, attempt_state_text(step.state),
                  attempt_verb_text(step.verb), attempt_action_text(step.action));
    return row;
}

START_TEST(each_row_leads_where_it_should)
{
    bool *walked = calloc(attempt_row_count(), sizeof *walked);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        walked[walk(steps[i])] = true;
    for (size_t row = 0; row < attempt_row_count(); row++)
        ck_assert_msg(walked[row], "row %zu is never walked", row);
    free(walked);
}
END_TEST

/* What ends an attempt reports it, once; nothing leaves the end; what waits can be waited for. */
START_TEST(no_step_is_lost)
{
    for (unsigned s = 0; s < ATTEMPT_STATES; s++)
        for (unsigned v = 0; v < ATTEMPT_VERBS; v++)
            for (unsigned e = 0; e < ATTEMPT_EVENTS; e++) {
                struct attempt_step step = attempt_next((enum attempt_state)s, (enum attempt_verb)v,
                                                        (enum attempt_event)e);
                bool ends = s != ATTEMPT_ENDED && step.state == ATTEMPT_ENDED;
                bool reports = step.action >= ATTEMPT_DO_FORGET;
                ck_assert_int_eq(ends, reports);
                bool charge = v == ATTEMPT_CHARGE || v == ATTEMPT_GET || v == ATTEMPT_CANCEL;
                bool stays = step.verb == ATTEMPT_CHARGE || step.verb == ATTEMPT_GET ||
                             step.verb == ATTEMPT_CANCEL;
                if (s != ATTEMPT_RECONCILE && s != ATTEMPT_WAIT_BUYER)
                    ck_assert_int_eq(charge, stays);
                if (step.verb == ATTEMPT_CHARGE) /* once an intent is known, none is made */
                    ck_assert_int_eq(v, ATTEMPT_CHARGE);
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attempt");
    TCase *tcase = tcase_create("table");
    tcase_add_test(tcase, every_state_verb_and_event_has_exactly_one_row);
    tcase_add_test(tcase, each_row_leads_where_it_should);
    tcase_add_test(tcase, no_step_is_lost);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
