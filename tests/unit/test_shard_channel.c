#include "consumer/shard/shard.h"

#include <check.h>
#include <stdlib.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/stage_shard.h"

/* ---- the channel ---- */

START_TEST(a_standby_makes_room_for_a_new_owner)
{
    stage_stand_by();
    struct broker_channel *old = stage_channel();
    shard_want(&stage.shard, STAGE_OTHER, true);
    ck_assert_ptr_eq(stage_channel(), old); /* the same owner: stays */
    shard_want(&stage.shard, STAGE_OTHER + 1, true);
    ck_assert(!stage_has_channel());
    fake_loop_run(100);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(a_standby_that_is_fed_makes_no_room)
{
    stage_stand_by();
    stage.membership.id = 0; /* so that it takes nothing over yet */
    stage_deliver();
    struct broker_channel *old = stage_channel();
    shard_want(&stage.shard, STAGE_OTHER + 1, true);
    ck_assert_ptr_eq(stage_channel(), old);
}
END_TEST

START_TEST(an_unwanted_channel_is_closed_unless_the_shard_is_ours)
{
    stage_stand_by();
    shard_want(&stage.shard, STAGE_OTHER, false);
    ck_assert(!stage_has_channel());
    shard_want(&stage.shard, STAGE_SELF, true);
    fake_channel_open(stage_channel());
    shard_take_over(&stage.shard, "it was released", 6);
    stage_taken("7");
    shard_want(&stage.shard, STAGE_OTHER, false);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(a_channel_that_fails_again_and_again_is_opened_ever_more_rarely)
{
    stage_stand_by();
    size_t before = fake_broker_channels_ever(stage.context.broker);
    for (int second = 0; second < 60; second++) {
        if (stage_has_channel())
            fake_channel_break(stage_channel());
        fake_loop_run(1000);
    }
    size_t tries = fake_broker_channels_ever(stage.context.broker) - before;
    ck_assert_uint_ge(tries, 4);
    ck_assert_uint_le(tries, 12);
}
END_TEST

START_TEST(the_broker_that_is_back_is_used_at_once)
{
    stage_stand_by();
    fake_broker_down(stage.context.broker);
    fake_loop_run(60000);
    ck_assert(!stage_has_channel());
    fake_broker_up(stage.context.broker);
    shard_channel_broker_up(&stage.shard.channel);
    ck_assert(stage_has_channel());
}
END_TEST

START_TEST(a_new_connection_begins_its_backoff_anew)
{
    stage_stand_by();
    for (int i = 0; i < 10; i++) {
        fake_channel_break(stage_channel());
        fake_loop_run(STAGE_REOPEN_MS);
    }
    fake_broker_down(stage.context.broker);
    fake_broker_up(stage.context.broker);
    shard_channel_broker_up(&stage.shard.channel);
    fake_channel_break(stage_channel());
    fake_loop_run(100);
    ck_assert(stage_has_channel());
}
END_TEST

/* ---- what cannot be read ---- */

START_TEST(an_unreadable_message_is_safe_in_the_dead_letters_before_its_ack)
{
    stage_serve();
    struct broker *dead = stage_dead_letters();
    fake_channel_deliver(stage_channel(), "no json");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    fake_channel_open(fake_broker_channel(dead, 0));
    ck_assert_str_eq(fake_channel_body(fake_broker_channel(dead, 0), 1), "no json");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    stage_deliver(); /* the next batch waits */
    ck_assert_uint_eq(fake_pg_waiting(stage.session, "decide"), 0);
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
    stage_expect_decide("7");
    fake_pg_answer(stage.session, "decide", "");
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 2);
}
END_TEST

START_TEST(a_dead_letter_is_sent_once_though_other_work_goes_on_meanwhile)
{
    stage_serve();
    struct broker *dead = stage_dead_letters();
    fake_channel_deliver(stage_channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    shard_routing_commands(&stage.shard.routing);
    stage_settle();
    ck_assert_uint_eq(fake_channel_published(fake_broker_channel(dead, 0)), 1);
}
END_TEST

START_TEST(the_same_message_on_a_new_channel_waits_for_its_own_dead_letter)
{
    stage_serve();
    struct broker *dead = stage_dead_letters();
    fake_channel_deliver(stage_channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    fake_channel_break(stage_channel());
    fake_loop_run(200); /* its first backoff */
    fake_channel_open(stage_channel());
    fake_channel_deliver(stage_channel(), "no json");
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    fake_channel_confirm(fake_broker_channel(dead, 0), 2, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 1);
}
END_TEST

START_TEST(a_dead_letter_of_a_channel_that_is_gone_acknowledges_nothing)
{
    stage_serve();
    struct broker *dead = stage_dead_letters();
    fake_channel_deliver(stage_channel(), "no json");
    fake_channel_open(fake_broker_channel(dead, 0));
    fake_channel_break(stage_channel());
    fake_loop_run(200); /* its first backoff */
    fake_channel_open(stage_channel());
    fake_channel_confirm(fake_broker_channel(dead, 0), 1, BROKER_ACKED);
    ck_assert_uint_eq(fake_channel_acked(stage_channel()), 0);
    stage_deliver();
    stage_expect_decide("7");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard channel");
    TCase *tests = tcase_create("shard channel");
    tcase_add_checked_fixture(tests, stage_setup, stage_teardown);
    tcase_add_test(tests, a_standby_makes_room_for_a_new_owner);
    tcase_add_test(tests, a_standby_that_is_fed_makes_no_room);
    tcase_add_test(tests, an_unwanted_channel_is_closed_unless_the_shard_is_ours);
    tcase_add_test(tests, a_channel_that_fails_again_and_again_is_opened_ever_more_rarely);
    tcase_add_test(tests, the_broker_that_is_back_is_used_at_once);
    tcase_add_test(tests, a_new_connection_begins_its_backoff_anew);
    tcase_add_test(tests, an_unreadable_message_is_safe_in_the_dead_letters_before_its_ack);
    tcase_add_test(tests, a_dead_letter_is_sent_once_though_other_work_goes_on_meanwhile);
    tcase_add_test(tests, the_same_message_on_a_new_channel_waits_for_its_own_dead_letter);
    tcase_add_test(tests, a_dead_letter_of_a_channel_that_is_gone_acknowledges_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
