#include "consumer/shard/shard.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/stage_shard.h"

/* ---- yielding ---- */

START_TEST(a_yield_finishes_what_was_begun_and_leaves_the_rest_to_the_broker)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    stage_deliver(); /* not begun */
    struct broker_channel *old = stage_channel();
    shard_yield(&stage.shard, "another member is its assigned owner", 200, 0);
    stage_assert_state(OWNERSHIP_YIELDING);
    ck_assert_uint_eq(fake_money.held, 1);
    stage_deliver(); /* comes while it yields */
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(old), 1); /* the begun one alone */
    fake_loop_run(20);
    stage_assert_state(OWNERSHIP_YIELDING); /* its events are to be told */
    fake_pg_answer(stage.outbox, "unrelayed", "");
    fake_loop_run(20);
    ck_assert_str_eq(fake_pg_oldest(stage.session), "release");
    ck_assert_str_eq(fake_pg_param(stage.session, 2), "7");
    stage_assert_state(OWNERSHIP_RELEASING);
    ck_assert_ptr_eq(stage_channel(),
                     old); /* it closes after the release, so that nobody is fed before */
    fake_pg_answer(stage.session, "release", "");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(stage.released, 1);
    ck_assert(!stage_has_channel());
    fake_loop_run(STAGE_REOPEN_MS);
    ck_assert(stage_has_channel()); /* behind */
}
END_TEST

START_TEST(after_a_release_the_channel_may_have_to_wait)
{
    stage_serve();
    shard_yield(&stage.shard, "another member is its assigned owner", 200, 2500);
    fake_pg_answer(stage.session, "release", "");
    fake_loop_run(2400);
    shard_want(&stage.shard, STAGE_OTHER, true); /* with each heartbeat */
    ck_assert(!stage_has_channel());
    fake_loop_run(100);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(a_yield_waits_for_payments_in_flight_with_patience_only)
{
    stage_serve();
    fake_money.calling = true;
    shard_yield(&stage.shard, "leaving", 6000, 0);
    fake_loop_run(5980);
    stage_assert_state(OWNERSHIP_YIELDING);
    fake_loop_run(40);
    stage_assert_state(OWNERSHIP_RELEASING);
}
END_TEST

START_TEST(a_payment_that_ends_during_a_yield_is_settled_before_the_release)
{
    stage_serve();
    fake_money.calling = true;
    shard_yield(&stage.shard, "leaving", 6000, 0);
    stage_came(OUTCOME_CAPTURED, "pi_1");
    fake_money.calling = false;
    fake_loop_run(100);
    stage_assert_state(OWNERSHIP_YIELDING);
    fake_pg_answer(stage.session, "settle", STAGE_CHARGED("order-c"));
    ck_assert_uint_eq(fake_money.taken, 0); /* the next owner charges whom it promotes */
    fake_pg_answer(stage.outbox, "unrelayed", "");
    fake_loop_run(100);
    stage_assert_state(OWNERSHIP_RELEASING);
}
END_TEST

START_TEST(a_shard_with_an_unknown_task_is_released_for_good)
{
    stage_serve();
    stage_deliver();
    fake_pg_answer(
        stage.session, "decide",
        "teleport|o|s|1|null|null|null|null|null|null|null|null|null|null|null|null|null|"
        "null|null|null|null|null|null|null|null|null|null;" STAGE_CHARGED("order-c"));
    ck_assert_uint_eq(fake_money.taken, 1); /* what is known is done */
    ck_assert_uint_eq(stage.outdated, 1);
    stage_assert_state(OWNERSHIP_RELEASING); /* once what was decided is acknowledged */
    ck_assert(fake_money.held > 0);
    fake_pg_skip(stage.session, "release");
    fake_pg_answer(stage.session, "release", "t");
    stage_assert_state(OWNERSHIP_NONE);
    shard_take_over(&stage.shard, "it was released", 7);
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(stage.outdated, 1);
}
END_TEST

START_TEST(an_unknown_task_among_the_previous_owners_releases_it_too)
{
    stage_stand_by();
    shard_take_over(&stage.shard, "its owner is dead", 6);
    fake_pg_answer(stage.session, "take_over", "7|40");
    fake_pg_answer(stage.session, "resume_charges",
                   "charge|order-a|s|1|1000|usd|null|null|null|null|3000|null|null|null|null|null|"
                   "null|null|0");
    ck_assert_uint_eq(fake_money.taken, 0); /* without a payment method it cannot be charged */
    ck_assert_uint_eq(stage.outdated, 1);
    stage_assert_state(OWNERSHIP_YIELDING);
}
END_TEST

START_TEST(a_session_lost_while_yielding_ends_in_a_new_channel)
{
    stage_serve();
    stage_deliver();
    shard_yield(&stage.shard, "leaving", 6000, 0);
    stage_deliver();
    stage_lose_session();
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert(!stage_has_channel());
    fake_pg_up(stage.session);
    shard_session_up(&stage.shard);
    ck_assert_str_eq(fake_pg_oldest(stage.session), ""); /* given up, not resumed */
}
END_TEST

START_TEST(a_lost_release_ends_it_all_the_same)
{
    stage_serve();
    shard_yield(&stage.shard, "leaving", 6000, 0);
    stage_assert_state(OWNERSHIP_RELEASING);
    stage_lose_session();
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(stage.released, 1);
}
END_TEST

START_TEST(a_release_that_cannot_be_sent_ends_it_too)
{
    stage_serve();
    fake_pg_fail_next(stage.session, ERR_FULL);
    shard_yield(&stage.shard, "leaving", 6000, 0);
    stage_assert_state(OWNERSHIP_NONE);
}
END_TEST

START_TEST(a_channel_lost_while_yielding_is_not_opened_before_the_release)
{
    stage_serve();
    fake_money.calling = true;
    shard_yield(&stage.shard, "leaving", 60000, 0);
    fake_channel_break(stage_channel());
    fake_loop_run(STAGE_REOPEN_MS);
    ck_assert(!stage_has_channel()); /* it would be fed what the next owner is to have */
    fake_money.calling = false;
    fake_loop_run(100);
    fake_pg_answer(stage.session, "release", "");
    fake_loop_run(STAGE_REOPEN_MS);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(fenced_while_yielding_there_is_nothing_to_release)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    shard_yield(&stage.shard, "leaving", 6000, 0);
    fake_pg_refuse(stage.session, "decide", "CK001");
    stage_assert_state(OWNERSHIP_NONE);
    fake_loop_run(STAGE_REOPEN_MS);
    ck_assert_uint_eq(fake_pg_waiting(stage.session, "release"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard yield");
    TCase *tests = tcase_create("shard yield");
    tcase_add_checked_fixture(tests, stage_setup, stage_teardown);
    tcase_add_test(tests, a_yield_finishes_what_was_begun_and_leaves_the_rest_to_the_broker);
    tcase_add_test(tests, after_a_release_the_channel_may_have_to_wait);
    tcase_add_test(tests, a_yield_waits_for_payments_in_flight_with_patience_only);
    tcase_add_test(tests, a_payment_that_ends_during_a_yield_is_settled_before_the_release);
    tcase_add_test(tests, a_shard_with_an_unknown_task_is_released_for_good);
    tcase_add_test(tests, an_unknown_task_among_the_previous_owners_releases_it_too);
    tcase_add_test(tests, a_session_lost_while_yielding_ends_in_a_new_channel);
    tcase_add_test(tests, a_lost_release_ends_it_all_the_same);
    tcase_add_test(tests, a_release_that_cannot_be_sent_ends_it_too);
    tcase_add_test(tests, a_channel_lost_while_yielding_is_not_opened_before_the_release);
    tcase_add_test(tests, fenced_while_yielding_there_is_nothing_to_release);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
