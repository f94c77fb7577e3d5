#include "consumer/pool/readiness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 2
#define START_MS 1000000

static struct readiness readiness;
static struct readiness_member member;
static struct readiness_shard shards[SHARDS];
static uint64_t now_ms;
static struct readiness_verdict verdict;

/* All is well: shard 1 is ours, shard 0 another's. */
static void setup(void)
{
    ck_assert_int_eq(readiness_init(&readiness, SHARDS), 0);
    now_ms = START_MS;
    member = (struct readiness_member){.broker_up = true, .sessions_up = true, .observed = true};
    shards[0] = (struct readiness_shard){.epoch = 3, .elsewhere = true};
    shards[1] = (struct readiness_shard){
        .assigned = true, .serving = true, .epoch = 7, .channel_open = true};
}

static void teardown(void)
{
    readiness_free(&readiness);
}

static enum readiness_cause judge(void)
{
    verdict = readiness_judge(&readiness, &member, shards, now_ms);
    return verdict.cause;
}

/* A judgement each second, for so long; the last one counts. */
static enum readiness_cause after_s(unsigned seconds)
{
    enum readiness_cause cause = READINESS_READY;
    for (unsigned i = 0; i < seconds; i++) {
        now_ms += 1000;
        cause = judge();
    }
    return cause;
}

static const char *said(void)
{
    static char text[256];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    readiness_say(&verdict, &out);
    (void)strcpy(text, out.data == NULL ? "" : buf_text(&out));
    buf_free(&out);
    return text;
}

/* Another member takes shard 1 over from us, and the table shows it. */
static void lose_to_another(void)
{
    readiness_fenced(&readiness, 1, shards[1].epoch, now_ms);
    shards[1].epoch++;
    shards[1].serving = false;
    shards[1].elsewhere = true;
}

/* It releases the shard, and we take it over. */
static void get_back(void)
{
    shards[1].epoch++;
    shards[1].serving = true;
    shards[1].elsewhere = false;
}

START_TEST(all_is_well)
{
    ck_assert_int_eq(after_s(100), READINESS_READY);
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(who_leaves_is_not_ready)
{
    member.leaving = true;
    ck_assert_int_eq(judge(), READINESS_LEAVING);
    ck_assert_str_eq(said(), "leaving the pool\n");
    member.leaving = false;
    member.outdated = true;
    ck_assert_int_eq(after_s(100), READINESS_OUTDATED);
    member.outdated = false;
    ck_assert_int_eq(judge(), READINESS_READY);
}
END_TEST

START_TEST(without_the_broker_it_is_not_ready_and_with_it_at_once)
{
    member.broker_up = false;
    shards[1].channel_open = false;
    ck_assert_int_eq(after_s(20), READINESS_BROKER);
    member.broker_up = true;
    ck_assert_int_eq(judge(), READINESS_READY);
}
END_TEST

START_TEST(a_lost_server_is_the_cause_whatever_follows_from_it_and_is_not_held_against_us)
{
    (void)judge();
    member.broker_up = false;
    shards[1].stalled_ms = 20000;
    ck_assert_int_eq(after_s(20), READINESS_BROKER);
    member.broker_up = true;
    shards[1].stalled_ms = 0;
    ck_assert_int_eq(judge(), READINESS_READY);
}
END_TEST

START_TEST(before_its_sessions_stand_it_is_not_ready)
{
    member.sessions_up = false;
    ck_assert_int_eq(judge(), READINESS_SESSION);
    ck_assert_int_eq(after_s(100), READINESS_SESSION);
    shards[1].serving = false;
    ck_assert_int_eq(after_s(100), READINESS_SESSION);
    member.sessions_up = true;
    ck_assert_int_eq(judge(), READINESS_READY); /* from now on its take-over is waited for */
}
END_TEST

START_TEST(a_session_may_be_lost_for_two_seconds)
{
    (void)judge();
    member.sessions_up = false;
    ck_assert_int_eq(after_s(2), READINESS_READY);
    ck_assert_int_eq(after_s(1), READINESS_SESSION);
    member.sessions_up = true;
    ck_assert_int_eq(judge(), READINESS_READY);
}
END_TEST

START_TEST(a_channel_that_does_not_open_means_another_node)
{
    shards[1].channel_open = false;
    (void)judge();
    ck_assert_int_eq(after_s(4), READINESS_READY);
    ck_assert_int_eq(after_s(1), READINESS_CHANNEL);
    ck_assert(verdict.move);
    ck_assert_uint_eq(verdict.shard, 1);
    ck_assert_str_eq(said(), "RabbitMQ opens no channel (shard 1)\n");
    ck_assert_int_eq(after_s(1), READINESS_CHANNEL);
    ck_assert(!verdict.move); /* once */
}
END_TEST

START_TEST(a_channel_of_a_shard_that_is_not_assigned_to_us_is_not_waited_for)
{
    shards[0].channel_open = false;
    ck_assert_int_eq(after_s(100), READINESS_READY);
}
END_TEST

START_TEST(an_assigned_owner_that_the_broker_does_not_feed_goes_to_another_node)
{
    ck_assert_int_eq(after_s(10), READINESS_READY);
    lose_to_another();
    ck_assert_int_eq(after_s(1), READINESS_UNFED);
    ck_assert(verdict.move);
    ck_assert_uint_eq(verdict.shard, 1);
    ck_assert_int_eq(after_s(1), READINESS_READY); /* the first time costs a connection */
}
END_TEST

START_TEST(the_loss_is_judged_when_the_table_shows_to_whom)
{
    ck_assert_int_eq(after_s(10), READINESS_READY);
    readiness_fenced(&readiness, 1, shards[1].epoch, now_ms);
    ck_assert_int_eq(after_s(1), READINESS_READY); /* as it was before */
    shards[1].epoch++;
    shards[1].serving = false;
    shards[1].elsewhere = true;
    ck_assert_int_eq(after_s(1), READINESS_UNFED);
}
END_TEST

START_TEST(a_loss_that_has_another_reason_proves_nothing)
{
    for (int reason = 0; reason < 4; reason++) {
        teardown();
        setup();
        (void)after_s(10);
        lose_to_another();
        member.observed = reason != 0;     /* they may have taken us for dead */
        shards[1].assigned = reason != 1;  /* it was not for us to keep */
        shards[1].elsewhere = reason != 2; /* nobody lives who could have been fed */
        if (reason == 3)
            shards[1].epoch--; /* an old reading of the table */
        ck_assert_int_eq(after_s(1), READINESS_READY);
        if (reason == 3)
            continue;
        shards[1].assigned = true;
        shards[1].elsewhere = true;
        member.observed = true;
        ck_assert_int_eq(after_s(1), READINESS_READY); /* it was judged */
    }
}
END_TEST

START_TEST(a_channel_that_was_just_opened_may_be_second_in_line_once)
{
    (void)after_s(2);
    lose_to_another();
    ck_assert_int_eq(after_s(6), READINESS_READY);
    shards[1].channel_open = false; /* it stands behind again */
    (void)after_s(1);
    shards[1].channel_open = true;
    get_back();
    ck_assert_int_eq(after_s(1), READINESS_READY);
    lose_to_another();
    ck_assert_int_eq(after_s(1), READINESS_UNFED); /* twice in a row */
}
END_TEST

START_TEST(two_hand_overs_in_the_same_moment_prove_nothing)
{
    (void)after_s(1);
    lose_to_another();
    (void)after_s(1);
    get_back();
    (void)after_s(1);
    lose_to_another();
    ck_assert_int_eq(after_s(1), READINESS_READY);
}
END_TEST

START_TEST(a_delivery_in_between_shows_that_we_are_fed)
{
    (void)after_s(2);
    lose_to_another();
    (void)after_s(6);
    shards[1].channel_open = false;
    (void)after_s(1);
    shards[1].channel_open = true;
    get_back();
    shards[1].fed = true;
    (void)after_s(1);
    shards[1].fed = false;
    lose_to_another();
    ck_assert_int_eq(after_s(1), READINESS_READY);
}
END_TEST

START_TEST(a_shard_that_is_ours_to_take_is_taken_within_ten_seconds)
{
    shards[1].serving = false;
    (void)judge();
    ck_assert_int_eq(after_s(9), READINESS_READY);
    ck_assert_int_eq(after_s(1), READINESS_NOT_TAKEN);
    ck_assert(!verdict.move);
    shards[1].elsewhere = true; /* another member has it now */
    ck_assert_int_eq(after_s(1), READINESS_READY);
}
END_TEST

START_TEST(work_without_a_commit_for_ten_seconds)
{
    shards[0].stalled_ms = 9999;
    ck_assert_int_eq(after_s(1), READINESS_READY);
    shards[0].stalled_ms = 10000;
    ck_assert_int_eq(after_s(1), READINESS_STALLED);
    ck_assert_uint_eq(verdict.shard, 0);
    ck_assert(!verdict.move);
    shards[0].stalled_ms = 0;
    ck_assert_int_eq(after_s(1), READINESS_READY);
}
END_TEST

START_TEST(who_stalls_again_soon_stays_away_longer_each_time)
{
    static const unsigned holds_s[] = {0, 30, 60, 120, 240, 480, 600, 600};
    for (size_t i = 0; i < sizeof holds_s / sizeof holds_s[0]; i++) {
        shards[1].stalled_ms = 10000;
        ck_assert_int_eq(after_s(1), READINESS_STALLED);
        shards[1].stalled_ms = 0;
        if (holds_s[i] > 1)
            ck_assert_int_eq(after_s(holds_s[i] - 1), READINESS_STALLED);
        ck_assert_int_eq(after_s(2), READINESS_READY);
    }
}
END_TEST

START_TEST(what_is_long_past_counts_no_more)
{
    shards[1].stalled_ms = 10000;
    (void)after_s(1);
    shards[1].stalled_ms = 0;
    (void)after_s(601);
    shards[1].stalled_ms = 10000;
    (void)after_s(1);
    shards[1].stalled_ms = 0;
    ck_assert_int_eq(after_s(1), READINESS_READY);
}
END_TEST

START_TEST(trouble_that_goes_on_is_tried_at_another_node_ever_more_rarely)
{
    unsigned moves = 0;
    for (int second = 0; second < 600; second++) {
        shards[1].channel_open = false;
        ck_assert_int_ne(after_s(1) == READINESS_READY && second > 6, true);
        moves += verdict.move;
    }
    ck_assert_uint_ge(moves, 3);
    ck_assert_uint_le(moves, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("readiness");
    TCase *tcase = tcase_create("readiness");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, all_is_well);
    tcase_add_test(tcase, who_leaves_is_not_ready);
    tcase_add_test(tcase, without_the_broker_it_is_not_ready_and_with_it_at_once);
    tcase_add_test(tcase,
                   a_lost_server_is_the_cause_whatever_follows_from_it_and_is_not_held_against_us);
    tcase_add_test(tcase, before_its_sessions_stand_it_is_not_ready);
    tcase_add_test(tcase, a_session_may_be_lost_for_two_seconds);
    tcase_add_test(tcase, a_channel_that_does_not_open_means_another_node);
    tcase_add_test(tcase, a_channel_of_a_shard_that_is_not_assigned_to_us_is_not_waited_for);
    tcase_add_test(tcase, an_assigned_owner_that_the_broker_does_not_feed_goes_to_another_node);
    tcase_add_test(tcase, the_loss_is_judged_when_the_table_shows_to_whom);
    tcase_add_test(tcase, a_loss_that_has_another_reason_proves_nothing);
    tcase_add_test(tcase, a_channel_that_was_just_opened_may_be_second_in_line_once);
    tcase_add_test(tcase, two_hand_overs_in_the_same_moment_prove_nothing);
    tcase_add_test(tcase, a_delivery_in_between_shows_that_we_are_fed);
    tcase_add_test(tcase, a_shard_that_is_ours_to_take_is_taken_within_ten_seconds);
    tcase_add_test(tcase, work_without_a_commit_for_ten_seconds);
    tcase_add_test(tcase, who_stalls_again_soon_stays_away_longer_each_time);
    tcase_add_test(tcase, what_is_long_past_counts_no_more);
    tcase_add_test(tcase, trouble_that_goes_on_is_tried_at_another_node_ever_more_rarely);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
