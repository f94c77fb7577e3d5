#include "consumer/shard/shard.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/stage_shard.h"

/* ---- taking over ---- */

START_TEST(a_delivery_takes_the_shard_over_before_it_is_decided)
{
    stage_stand_by();
    stage_deliver();
    stage_assert_state(OWNERSHIP_TAKING);
    ck_assert_str_eq(fake_pg_oldest(stage.session), "take_over");
    ck_assert_str_eq(fake_pg_param(stage.session, 2), "11");
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "null"); /* whatever the epoch is */
    ck_assert_uint_eq(fake_pg_waiting(stage.session, "decide"), 0);
    stage_taken("7");
    stage_expect_decide("7");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0); /* not before the commit */
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
}
END_TEST

START_TEST(nothing_is_taken_without_membership_session_or_when_leaving)
{
    stage_stand_by();
    stage.membership.id = 0;
    stage_deliver();
    stage_assert_state(OWNERSHIP_NONE);
    stage.membership.id = STAGE_SELF;
    stage.membership.leaving = true;
    shard_seen(&stage.shard, 1);
    stage_assert_state(OWNERSHIP_NONE);
    stage.membership.leaving = false;
    fake_pg_down(stage.session);
    shard_seen(&stage.shard, 1);
    stage_assert_state(OWNERSHIP_NONE);
    fake_pg_up(stage.session);
    shard_session_up(&stage.shard); /* we are fed */
    stage_assert_state(OWNERSHIP_TAKING);
}
END_TEST

START_TEST(a_take_over_that_could_not_be_sent_is_tried_at_the_next_heartbeat)
{
    stage_stand_by();
    fake_pg_fail_next(stage.session, ERR_FULL);
    stage_deliver();
    stage_assert_state(OWNERSHIP_NONE);
    shard_seen(&stage.shard, 1);
    stage_assert_state(OWNERSHIP_TAKING);
}
END_TEST

START_TEST(the_previous_owners_payments_are_resumed)
{
    stage_stand_by();
    shard_take_over(&stage.shard, "its owner is dead", 6);
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "6");
    fake_pg_answer(stage.session, "take_over", "7|40");
    fake_pg_answer(stage.session, "resume_charges",
                   "charge|order-a|s|1|1000|usd|pm|null|null|null|3000|null|null|null|null|null|"
                   "null|null|null|0;"
                   "charge|order-b|s|1|1000|usd|pm|null|null|null|0|null|null|null|null|null|null|"
                   "null|null|0");
    ck_assert_uint_eq(fake_money.taken, 2);
    ck_assert_str_eq(fake_money.last_order, "order-b");
}
END_TEST

START_TEST(an_outdated_reading_takes_nothing)
{
    stage_stand_by();
    shard_take_over(&stage.shard, "its owner is dead", 6);
    fake_pg_answer(stage.session, "take_over", "null|null");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(if_we_are_fed_meanwhile_an_outdated_reading_is_followed_by_a_take_over)
{
    stage_stand_by();
    shard_take_over(&stage.shard, "its owner is dead", 6);
    stage_deliver();
    fake_pg_answer(stage.session, "take_over", "null|null");
    stage_assert_state(OWNERSHIP_TAKING);
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "null");
}
END_TEST

START_TEST(a_refused_take_over_lets_the_deliveries_go)
{
    stage_stand_by();
    stage_deliver();
    fake_pg_refuse(stage.session, "take_over", "42883");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert(!stage_has_channel());
    fake_loop_run(STAGE_REOPEN_MS);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(a_take_over_outside_the_range_of_versions_ends_the_session)
{
    stage_stand_by();
    stage_deliver();
    fake_pg_refuse(stage.session, "take_over", "CK004");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_uint_eq(fake_pg_reconnects(stage.session), 1);
}
END_TEST

START_TEST(another_number_of_shards_in_service_takes_nothing)
{
    stage_stand_by();
    stage_deliver();
    fake_pg_answer(stage.session, "take_over", "");
    stage_assert_state(OWNERSHIP_NONE);
}
END_TEST

START_TEST(a_take_over_that_waits_asks_for_the_lock_to_be_freed_until_it_ends)
{
    stage_stand_by();
    stage_deliver();
    fake_loop_run(1999);
    ck_assert_uint_eq(stage.waits, 0);
    fake_loop_run(4001);
    ck_assert_uint_eq(stage.waits, 3);
    stage_taken("7");
    fake_loop_run(10000);
    ck_assert_uint_eq(stage.waits, 3);
}
END_TEST

/* ---- losing it ---- */

START_TEST(a_lost_session_keeps_deliveries_and_takes_the_shard_over_anew)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    stage_lose_session(); /* whether it was committed is unknown */
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert(stage_has_channel());
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    fake_pg_up(stage.session);
    shard_session_up(&stage.shard);
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "7"); /* only if nobody was there meanwhile */
    stage_taken("8");
    stage_expect_decide("8"); /* the same jobs again: those known are no-ops */
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
}
END_TEST

START_TEST(a_lost_session_and_another_owner_drop_what_was_in_memory)
{
    stage_serve();
    stage_deliver();
    stage_lose_session();
    fake_pg_up(stage.session);
    shard_session_up(&stage.shard);
    fake_pg_answer(stage.session, "take_over", "null|null");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert(!stage_has_channel());
    ck_assert_uint_eq(fake_money.forgotten, 1);
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
}
END_TEST

START_TEST(a_lost_commit_of_the_take_over_is_asked_again)
{
    stage_stand_by();
    stage_deliver();
    stage_lose_session();
    stage_assert_state(OWNERSHIP_NONE);
    fake_pg_up(stage.session);
    shard_session_up(&stage.shard);
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "null"); /* we are still fed */
    stage_taken("9");
    stage_expect_decide("9");
}
END_TEST

START_TEST(fenced_by_a_write_it_forgets_all_and_stands_behind)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    fake_pg_refuse(stage.session, "decide", "CK001");
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert(!stage_has_channel());
    ck_assert_uint_eq(fake_money.forgotten, 1);
    fake_loop_run(STAGE_REOPEN_MS);
    fake_channel_open(stage_channel());
    ck_assert_str_eq(fake_pg_oldest(stage.session), ""); /* not fed: not ours */
}
END_TEST

START_TEST(fenced_by_what_the_table_shows)
{
    stage_serve();
    shard_seen(&stage.shard, 7);
    stage_assert_state(OWNERSHIP_SERVING);
    shard_seen(&stage.shard, 8);
    stage_assert_state(OWNERSHIP_NONE);
    ck_assert_int_eq(stage.fenced_epoch, 7);
}
END_TEST

START_TEST(an_answer_of_an_epoch_that_is_over_changes_nothing)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    shard_disown(&stage.shard); /* with the decision on its way */
    shard_take_over(&stage.shard, "again", 7);
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    stage_taken("8");
    stage_expect_decide("8");
}
END_TEST

START_TEST(a_lost_channel_forgets_deliveries_and_settling_goes_on)
{
    stage_serve();
    stage_deliver();
    stage_deliver();
    fake_channel_break(stage_channel());
    stage_assert_state(OWNERSHIP_SERVING);
    stage_came(OUTCOME_CAPTURED, "pi_1");
    fake_pg_skip(stage.session, "settle");
    stage_settle();
    fake_loop_run(STAGE_REOPEN_MS);
    fake_channel_open(stage_channel());
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    stage_deliver();
    stage_expect_decide("7");
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard take-over");
    TCase *tests = tcase_create("shard take-over");
    tcase_add_checked_fixture(tests, stage_setup, stage_teardown);
    tcase_add_test(tests, a_delivery_takes_the_shard_over_before_it_is_decided);
    tcase_add_test(tests, nothing_is_taken_without_membership_session_or_when_leaving);
    tcase_add_test(tests, a_take_over_that_could_not_be_sent_is_tried_at_the_next_heartbeat);
    tcase_add_test(tests, the_previous_owners_payments_are_resumed);
    tcase_add_test(tests, an_outdated_reading_takes_nothing);
    tcase_add_test(tests, if_we_are_fed_meanwhile_an_outdated_reading_is_followed_by_a_take_over);
    tcase_add_test(tests, a_refused_take_over_lets_the_deliveries_go);
    tcase_add_test(tests, a_take_over_outside_the_range_of_versions_ends_the_session);
    tcase_add_test(tests, another_number_of_shards_in_service_takes_nothing);
    tcase_add_test(tests, a_take_over_that_waits_asks_for_the_lock_to_be_freed_until_it_ends);
    tcase_add_test(tests, a_lost_session_keeps_deliveries_and_takes_the_shard_over_anew);
    tcase_add_test(tests, a_lost_session_and_another_owner_drop_what_was_in_memory);
    tcase_add_test(tests, a_lost_commit_of_the_take_over_is_asked_again);
    tcase_add_test(tests, fenced_by_a_write_it_forgets_all_and_stands_behind);
    tcase_add_test(tests, fenced_by_what_the_table_shows);
    tcase_add_test(tests, an_answer_of_an_epoch_that_is_over_changes_nothing);
    tcase_add_test(tests, a_lost_channel_forgets_deliveries_and_settling_goes_on);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
