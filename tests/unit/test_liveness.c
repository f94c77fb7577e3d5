#include <check.h>
#include <stdlib.h>

#include "consumer/pool/liveness.h"

static struct liveness members;
static uint64_t now;

static void setup(void)
{
    liveness_init(&members, 1);
    now = 100000;
}

/* One observation a second: ourselves beating, and another member as told. */
static void observe(int64_t beat_of_2, bool ready, bool locked)
{
    static int64_t own = 0;
    struct member_row rows[] = {{2, beat_of_2, ready, locked}, {1, ++own, true, true}};
    liveness_observe(&members, rows, 2, now);
    now += 1000;
}

START_TEST(a_beating_member_is_alive_and_ready)
{
    for (int beat = 0; beat < 20; beat++) {
        observe(beat, true, true);
        ck_assert(liveness_alive(&members, 2));
        ck_assert(liveness_ready(&members, 2));
    }
    int64_t ids[LIVENESS_MAX];
    ck_assert_uint_eq(liveness_assignable(&members, ids), 2);
    ck_assert_int_eq(ids[0], 1);
    ck_assert_int_eq(ids[1], 2);
}
END_TEST

START_TEST(a_counter_that_stands_still_for_five_seconds_is_dead)
{
    observe(7, true, true);
    for (int i = 0; i < 4; i++) {
        observe(7, true, true);
        ck_assert_msg(liveness_alive(&members, 2), "after %d s", i + 1);
    }
    observe(7, true, true);
    ck_assert(!liveness_alive(&members, 2));
    observe(8, true, true);
    ck_assert(liveness_alive(&members, 2)); /* it thawed, and beats */
}
END_TEST

START_TEST(a_lost_lock_at_two_beats_is_death)
{
    observe(1, true, true);
    observe(2, true, false);
    ck_assert(liveness_alive(&members, 2));
    observe(2, true, false);
    ck_assert(!liveness_alive(&members, 2));
}
END_TEST

/* The server may hold the lock of a session that is gone; another cannot have it meanwhile. */
START_TEST(who_beats_without_its_lock_lives)
{
    observe(1, true, true);
    for (int beat = 2; beat < 20; beat++) {
        observe(beat, true, false);
        ck_assert(liveness_alive(&members, 2));
    }
}
END_TEST

START_TEST(a_lock_that_comes_back_saves)
{
    observe(1, true, true);
    observe(2, true, false);
    observe(3, true, true);
    observe(4, true, false);
    ck_assert(liveness_alive(&members, 2));
}
END_TEST

START_TEST(a_gap_of_our_own_starts_the_window_afresh)
{
    observe(5, true, true);
    observe(5, true, true);
    now += 60000; /* the database stalled: nobody could beat */
    observe(5, true, true);
    ck_assert(liveness_alive(&members, 2));
    for (int i = 0; i < 4; i++)
        observe(5, true, true);
    ck_assert(liveness_alive(&members, 2));
    observe(5, true, true);
    ck_assert(!liveness_alive(&members, 2));
}
END_TEST

START_TEST(after_a_restart_of_the_database_nobody_is_dead_for_its_lock)
{
    observe(100, true, true);
    now += 10000;
    for (int i = 0; i < 4; i++) {
        observe(100, true, false); /* we were the first to come back */
        ck_assert(liveness_alive(&members, 2));
    }
    observe(101, true, true);
    ck_assert(liveness_alive(&members, 2));
}
END_TEST

START_TEST(what_a_crash_left_behind_is_no_member)
{
    observe(41, true, false);
    ck_assert(!liveness_alive(&members, 2));
    observe(41, true, false);
    ck_assert(!liveness_alive(&members, 2));
}
END_TEST

START_TEST(a_member_without_broker_is_alive_but_not_ready)
{
    observe(1, false, true);
    observe(2, false, true);
    ck_assert(liveness_alive(&members, 2));
    ck_assert(!liveness_ready(&members, 2));
}
END_TEST

START_TEST(who_has_left_is_unknown)
{
    observe(1, true, true);
    struct member_row only_us = {1, 50, true, true};
    liveness_observe(&members, &only_us, 1, now);
    ck_assert(!liveness_alive(&members, 2));
    ck_assert(liveness_alive(&members, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("members");
    TCase *tests = tcase_create("members");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, a_beating_member_is_alive_and_ready);
    tcase_add_test(tests, a_counter_that_stands_still_for_five_seconds_is_dead);
    tcase_add_test(tests, a_lost_lock_at_two_beats_is_death);
    tcase_add_test(tests, who_beats_without_its_lock_lives);
    tcase_add_test(tests, a_lock_that_comes_back_saves);
    tcase_add_test(tests, a_gap_of_our_own_starts_the_window_afresh);
    tcase_add_test(tests, after_a_restart_of_the_database_nobody_is_dead_for_its_lock);
    tcase_add_test(tests, what_a_crash_left_behind_is_no_member);
    tcase_add_test(tests, a_member_without_broker_is_alive_but_not_ready);
    tcase_add_test(tests, who_has_left_is_unknown);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
