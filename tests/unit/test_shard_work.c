#include "consumer/shard/shard.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/stage_shard.h"

/* ---- the writer ---- */

START_TEST(a_bad_value_harms_only_its_own_job)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    stage_deliver();
    stage_deliver();
    fake_pg_answer(stage.session, "decide", "");
    stage_expect_decide("7");
    fake_pg_refuse(stage.session, "decide", "22021"); /* of two jobs: they are halved */
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
    fake_pg_refuse(stage.session, "decide", "22021"); /* alone: it is decided as invalid */
    ck_assert_ptr_nonnull(strstr(fake_pg_param(stage.session, 15), "refuses"));
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 3);
}
END_TEST

START_TEST(a_refusal_that_may_pass_is_tried_again)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    fake_pg_refuse(stage.session, "decide", "53100");
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
    fake_loop_run(200);
    stage_expect_decide("7");
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
}
END_TEST

START_TEST(work_of_all_kinds_takes_turns)
{
    stage_serve();
    stage_deliver();
    stage_expect_decide("7");
    stage_deliver();
    shard_routing_commands(&stage.shard.routing);
    shard_routing_waitlist(&stage.shard.routing, "s");
    shard_routing_expired(&stage.shard.routing, "s");
    stage_came(OUTCOME_CAPTURED, "pi_1");
    stage_came(OUTCOME_REFUNDED, "re_1");
    static const char *const order[] = {"decide", "run_commands",   "settle_waitlist", "expire",
                                        "settle", "record_refunds", "decide"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        fake_pg_answer(stage.session, order[i], ""); /* one transaction at a time */
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 2);
}
END_TEST

START_TEST(stopped_payments_stop_the_shards_clock)
{
    stage_serve();
    shard_routing_stop_payments(&stage.shard.routing, "failing");
    ck_assert_str_eq(fake_pg_oldest(stage.session), "stop_payments");
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "failing");
    fake_pg_answer(stage.session, "stop_payments", "");
    shard_routing_stop_payments(&stage.shard.routing, NULL);
    ck_assert_str_eq(fake_pg_param(stage.session, 3), "null");
}
END_TEST

START_TEST(nothing_is_routed_to_a_shard_that_is_not_ours)
{
    stage_stand_by();
    shard_routing_commands(&stage.shard.routing);
    shard_routing_waitlist(&stage.shard.routing, "s");
    shard_routing_expired(&stage.shard.routing, "s");
    stage_came(OUTCOME_CAPTURED, "pi_1");
    stage_came(OUTCOME_REFUNDED, "re_1");
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
    ck_assert_uint_eq(stage.shard.writer.payments.count, 0);
    ck_assert_uint_eq(stage.shard.writer.refunds.count, 0);
    shard_take_over(&stage.shard, "it was released", 6);
    stage_taken("7");
    fake_pg_answer(stage.session, "run_commands", ""); /* as after every take-over */
    fake_pg_answer(stage.session, "stop_payments", "");
    ck_assert_str_eq(fake_pg_oldest(stage.session), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard work");
    TCase *tests = tcase_create("shard work");
    tcase_add_checked_fixture(tests, stage_setup, stage_teardown);
    tcase_add_test(tests, a_bad_value_harms_only_its_own_job);
    tcase_add_test(tests, a_refusal_that_may_pass_is_tried_again);
    tcase_add_test(tests, work_of_all_kinds_takes_turns);
    tcase_add_test(tests, stopped_payments_stop_the_shards_clock);
    tcase_add_test(tests, nothing_is_routed_to_a_shard_that_is_not_ours);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
