#include "consumer/gateway/window.h"

#include <check.h>
#include <stdlib.h>

#define FIRST 16
#define MAX 64

static struct window window;
static uint64_t now;

/* A gateway that takes so many calls a second; 0: any number. */
static struct {
    unsigned limit;
    unsigned refused;
    unsigned served;
} gateway;

static void setup(void)
{
    window_init(&window, FIRST, MAX);
    now = 1000000;
    gateway.limit = gateway.refused = gateway.served = 0;
}

/* Calls as many as it may, each answered at once, through this second; at most `calls`. */
static void second(unsigned calls)
{
    unsigned taken = 0;
    unsigned made = 0;
    for (int ms = 0; ms < 1000; ms++, now++) {
        for (int once = 0; once < 4 && made < calls && window_lets(&window, 0, now); once++) {
            made++;
            window_called(&window, false, now);
            if (gateway.limit != 0 && taken == gateway.limit) {
                gateway.refused++;
                window_refused(&window, now, now);
            } else {
                taken++;
                gateway.served++;
                window_served(&window, 1, now);
            }
        }
    }
}

START_TEST(so_many_are_in_flight_at_first)
{
    ck_assert(window_lets(&window, FIRST - 1, now));
    ck_assert(!window_lets(&window, FIRST, now));
}
END_TEST

START_TEST(each_full_round_of_answers_adds_one_up_to_the_most)
{
    for (unsigned size = FIRST; size < MAX; size++) {
        ck_assert(!window_lets(&window, size, now));
        for (unsigned i = 0; i < size; i++)
            window_served(&window, size, now);
        ck_assert(window_lets(&window, size, now));
    }
    for (unsigned i = 0; i < 10 * MAX; i++)
        window_served(&window, MAX, now);
    ck_assert(!window_lets(&window, MAX, now));
}
END_TEST

START_TEST(answers_add_nothing_while_places_are_free)
{
    for (unsigned i = 0; i < 10 * FIRST; i++)
        window_served(&window, FIRST - 1, now);
    ck_assert(!window_lets(&window, FIRST, now));
}
END_TEST

START_TEST(a_refusal_now_and_then_means_nothing)
{
    for (unsigned i = 0; i < 2000; i++, now += 5) {
        window_called(&window, false, now);
        if (i % 40 == 0)
            window_refused(&window, now, now);
        else
            window_served(&window, 1, now);
    }
    ck_assert(!window.limited);
    ck_assert(window_lets(&window, FIRST - 1, now));
}
END_TEST

START_TEST(a_round_that_is_refused_halves_it_at_most)
{
    for (unsigned i = 0; i < 30; i++)
        window_called(&window, false, now);
    for (unsigned i = 0; i < 30; i++)
        window_refused(&window, now - 1, now);
    ck_assert(window.limited);
    ck_assert_uint_eq(window.size, 15);
}
END_TEST

START_TEST(a_limit_is_found_and_kept_to_with_few_refusals)
{
    gateway.limit = 25;
    for (int i = 0; i < 24; i++)
        second(1000);
    ck_assert(window.limited);
    ck_assert_uint_lt(gateway.refused, 60);
    ck_assert_uint_ge(gateway.served * 12, 24 * 25 * 10);
}
END_TEST

START_TEST(a_limit_that_falls_is_followed_and_one_that_rises_too)
{
    gateway.limit = 60;
    for (int i = 0; i < 10; i++)
        second(1000);
    gateway.limit = 10;
    for (int i = 0; i < 5; i++)
        second(1000);
    ck_assert_uint_le(window.size, 12);
    gateway.limit = 40;
    for (int i = 0; i < 35; i++)
        second(1000);
    ck_assert_uint_ge(window.size, 36);
}
END_TEST

START_TEST(nothing_at_all_leaves_one_call_a_second)
{
    for (int i = 0; i < 2000; i++, now += 10) {
        if (!window_lets(&window, 0, now))
            continue;
        window_called(&window, false, now);
        window_refused(&window, now, now);
    }
    ck_assert_uint_eq(window.size, 1);
    now += 1100;
    ck_assert(window_lets(&window, 1000, now));
}
END_TEST

START_TEST(after_a_minute_without_many_refusals_calls_in_flight_count_again)
{
    gateway.limit = 25;
    second(1000);
    ck_assert(window.limited);
    gateway.limit = 0;
    for (int i = 0; i < 61; i++)
        second(5);
    ck_assert(!window.limited);
    ck_assert(!window_lets(&window, window.size, now));
}
END_TEST

START_TEST(looks_have_a_fifth_of_the_places)
{
    ck_assert(window_lets_look(&window, FIRST / 5 - 1, false, now));
    ck_assert(!window_lets_look(&window, FIRST / 5, false, now));
    window_init(&window, 1, MAX);
    ck_assert(window_lets_look(&window, 0, false, now)); /* one always may */
}
END_TEST

START_TEST(and_of_the_calls_while_others_wait)
{
    unsigned looks = 0;
    for (unsigned i = 0; i < 1000; i++) {
        bool look = window_lets_look(&window, 0, true, now);
        ck_assert(look == window_look_is_due(&window));
        looks += look;
        window_called(&window, look, now);
    }
    ck_assert_uint_eq(looks, 200);
}
END_TEST

START_TEST(and_of_those_in_a_second_where_there_is_a_limit)
{
    gateway.limit = 25;
    for (int i = 0; i < 10; i++)
        second(100);
    ck_assert(window.limited);
    unsigned looks = 0;
    for (int ms = 0; ms < 1000; ms++, now++) {
        if (window_lets(&window, 0, now) && window_lets_look(&window, 0, false, now)) {
            window_called(&window, true, now);
            window_served(&window, 1, now);
            looks++;
        }
    }
    ck_assert_uint_ge(looks, 3);
    ck_assert_uint_le(looks, 25 / 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("window");
    TCase *tcase = tcase_create("window");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, so_many_are_in_flight_at_first);
    tcase_add_test(tcase, each_full_round_of_answers_adds_one_up_to_the_most);
    tcase_add_test(tcase, answers_add_nothing_while_places_are_free);
    tcase_add_test(tcase, a_refusal_now_and_then_means_nothing);
    tcase_add_test(tcase, a_round_that_is_refused_halves_it_at_most);
    tcase_add_test(tcase, a_limit_is_found_and_kept_to_with_few_refusals);
    tcase_add_test(tcase, a_limit_that_falls_is_followed_and_one_that_rises_too);
    tcase_add_test(tcase, nothing_at_all_leaves_one_call_a_second);
    tcase_add_test(tcase, after_a_minute_without_many_refusals_calls_in_flight_count_again);
    tcase_add_test(tcase, looks_have_a_fifth_of_the_places);
    tcase_add_test(tcase, and_of_the_calls_while_others_wait);
    tcase_add_test(tcase, and_of_those_in_a_second_where_there_is_a_limit);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
