#include "consumer/shard/ownership.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 5000

static struct ownership in_state(enum ownership_state state)
{
    struct ownership o = {.state = state};
    if (state >= OWNERSHIP_SERVING)
        o.epoch = 7;
    return o;
}

/* "-": ignored; else the next state and what to do. */
static const char *outcome(enum ownership_state state, enum ownership_event event)
{
    static const char *const actions[] = {
        [OWNERSHIP_IGNORE] = "-",      [OWNERSHIP_GO_ON] = "",
        [OWNERSHIP_SERVE] = ": serve", [OWNERSHIP_SUSPEND] = ": suspend",
        [OWNERSHIP_DRAIN] = ": drain", [OWNERSHIP_RELEASE] = ": release",
        [OWNERSHIP_DROP] = ": drop"};
    static char text[64];
    struct ownership o = in_state(state);
    enum ownership_action action = ownership_happen(&o, event, 8, NOW_MS);
    if (action == OWNERSHIP_IGNORE) {
        ck_assert_int_eq(o.state, state);
        return "-";
    }
    (void)snprintf(text, sizeof text, "%s%s", ownership_state_name(o.state), actions[action]);
    return text;
}

START_TEST(each_event_in_each_state_leads_where_the_machine_says)
{
    static const char *const expected[OWNERSHIP_EVENTS][OWNERSHIP_STATES] = {
        /* not ours, taking, serving, yielding, releasing */
        [OWNERSHIP_ASKED] = {"taking", "-", "-", "-", "-"},
        [OWNERSHIP_TAKEN] = {"-", "serving: serve", "-", "-", "-"},
        [OWNERSHIP_PASSED] = {"-", "not ours", "-", "-", "-"},
        [OWNERSHIP_REFUSED] = {"-", "not ours: drop", "-", "-", "-"},
        [OWNERSHIP_ANSWER_LOST] = {"-", "not ours", "-", "-", "-"},
        [OWNERSHIP_SESSION_LOST] = {"-", "not ours: suspend", "not ours: suspend", "not ours: drop",
                                    "not ours: drop"},
        [OWNERSHIP_FENCED] = {"-", "-", "not ours: drop", "not ours: drop", "-"},
        [OWNERSHIP_YIELD] = {"-", "-", "yielding: drain", "-", "-"},
        [OWNERSHIP_DRAINED] = {"-", "-", "-", "releasing: release", "-"},
        [OWNERSHIP_RELEASED] = {"-", "-", "-", "-", "not ours: drop"}};
    for (enum ownership_event event = 0; event < OWNERSHIP_EVENTS; event++)
        for (enum ownership_state state = 0; state < OWNERSHIP_STATES; state++)
            ck_assert_msg(strcmp(outcome(state, event), expected[event][state]) == 0,
                          "state %s, event %d: %s", ownership_state_name(state), (int)event,
                          outcome(state, event));
}
END_TEST

START_TEST(an_epoch_is_held_from_the_bump_until_the_end)
{
    struct ownership o = {0};
    ck_assert(!ownership_held(&o));
    (void)ownership_happen(&o, OWNERSHIP_ASKED, 0, NOW_MS);
    ck_assert(ownership_held(&o));
    ck_assert(!ownership_serving(&o));
    (void)ownership_happen(&o, OWNERSHIP_TAKEN, 42, NOW_MS);
    ck_assert(ownership_serving(&o));
    ck_assert_int_eq(o.epoch, 42);
    ck_assert_uint_eq(o.taken_ms, NOW_MS);
    (void)ownership_happen(&o, OWNERSHIP_YIELD, 0, NOW_MS + 1);
    ck_assert(ownership_serving(&o)); /* it finishes what was begun */
    ck_assert_int_eq(o.epoch, 42);
    (void)ownership_happen(&o, OWNERSHIP_DRAINED, 0, NOW_MS + 2);
    ck_assert(!ownership_serving(&o));
    ck_assert(ownership_held(&o));
    ck_assert_int_eq(o.epoch, 42); /* the release is written under it */
    (void)ownership_happen(&o, OWNERSHIP_RELEASED, 0, NOW_MS + 3);
    ck_assert(!ownership_held(&o));
    ck_assert_int_eq(o.epoch, 0);
    ck_assert_int_eq(o.resume_epoch, 0);
}
END_TEST

START_TEST(a_lost_session_is_resumed_from_the_epoch_that_it_had)
{
    struct ownership o = in_state(OWNERSHIP_SERVING);
    (void)ownership_happen(&o, OWNERSHIP_SESSION_LOST, 0, NOW_MS);
    ck_assert_int_eq(o.resume_epoch, 7);
    ck_assert_int_eq(o.epoch, 0);
    ck_assert_str_eq(ownership_wanted(&o, false), "its database session is back");
    (void)ownership_happen(&o, OWNERSHIP_ASKED, 0, NOW_MS);
    ck_assert_ptr_null(ownership_wanted(&o, true)); /* under way */
    (void)ownership_happen(&o, OWNERSHIP_ANSWER_LOST, 0, NOW_MS);
    ck_assert_int_eq(o.resume_epoch, 7); /* it may or may not be ours: still the same question */
    (void)ownership_happen(&o, OWNERSHIP_ASKED, 0, NOW_MS);
    (void)ownership_happen(&o, OWNERSHIP_SESSION_LOST, 0, NOW_MS);
    ck_assert_int_eq(o.resume_epoch, 7);
    (void)ownership_happen(&o, OWNERSHIP_ASKED, 0, NOW_MS);
    (void)ownership_happen(&o, OWNERSHIP_TAKEN, 9, NOW_MS);
    ck_assert_int_eq(o.resume_epoch, 0);
    ck_assert_int_eq(o.epoch, 9);
}
END_TEST

START_TEST(if_another_took_it_meanwhile_what_is_in_memory_is_dropped)
{
    struct ownership o = in_state(OWNERSHIP_SERVING);
    (void)ownership_happen(&o, OWNERSHIP_SESSION_LOST, 0, NOW_MS);
    (void)ownership_happen(&o, OWNERSHIP_ASKED, 0, NOW_MS);
    ck_assert_int_eq(ownership_happen(&o, OWNERSHIP_PASSED, 0, NOW_MS), OWNERSHIP_DROP);
    ck_assert_int_eq(o.resume_epoch, 0);
    ck_assert_ptr_null(ownership_wanted(&o, false));
}
END_TEST

START_TEST(a_yield_that_loses_its_session_is_not_resumed)
{
    struct ownership o = in_state(OWNERSHIP_YIELDING);
    (void)ownership_happen(&o, OWNERSHIP_SESSION_LOST, 0, NOW_MS);
    ck_assert_int_eq(o.resume_epoch, 0);
    ck_assert_int_eq(o.epoch, 0);
}
END_TEST

START_TEST(who_is_fed_wants_the_shard_unless_it_has_it)
{
    struct ownership o = {0};
    ck_assert_ptr_null(ownership_wanted(&o, false));
    ck_assert_str_eq(ownership_wanted(&o, true), "a delivery");
    o = in_state(OWNERSHIP_SERVING);
    ck_assert_ptr_null(ownership_wanted(&o, true));
}
END_TEST

START_TEST(only_a_later_epoch_is_behind_us)
{
    struct ownership o = in_state(OWNERSHIP_SERVING);
    ck_assert(!ownership_behind(&o, 6)); /* an old reading */
    ck_assert(!ownership_behind(&o, 7));
    ck_assert(ownership_behind(&o, 8));
    o = in_state(OWNERSHIP_YIELDING);
    ck_assert(ownership_behind(&o, 8));
    o = in_state(OWNERSHIP_NONE);
    ck_assert(!ownership_behind(&o, 8));
    o = in_state(OWNERSHIP_RELEASING);
    ck_assert(!ownership_behind(&o, 8)); /* our own release is no epoch */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ownership");
    TCase *tcase = tcase_create("ownership");
    tcase_add_test(tcase, each_event_in_each_state_leads_where_the_machine_says);
    tcase_add_test(tcase, an_epoch_is_held_from_the_bump_until_the_end);
    tcase_add_test(tcase, a_lost_session_is_resumed_from_the_epoch_that_it_had);
    tcase_add_test(tcase, if_another_took_it_meanwhile_what_is_in_memory_is_dropped);
    tcase_add_test(tcase, a_yield_that_loses_its_session_is_not_resumed);
    tcase_add_test(tcase, who_is_fed_wants_the_shard_unless_it_has_it);
    tcase_add_test(tcase, only_a_later_epoch_is_behind_us);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
