/* The clock of acceptance: what a measure says, which of two counts, and what is on sale by it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "producer/accept_clock.h"
#include "producer/sale_windows.h"

#define NOON 1764158400000

START_TEST(unmeasured_it_is_the_hosts)
{
    struct accept_clock clock = {0};
    ck_assert_int_eq(accept_clock_now(&clock, 5000, NOON), NOON);
    ck_assert_int_eq(accept_clock_drift(&clock, 5000, NOON), 0);
}
END_TEST

START_TEST(measured_it_goes_on_by_the_monotonic_clock)
{
    struct accept_clock clock = {0};
    accept_clock_measured(&clock, 1000, 1010, NOON);
    ck_assert(clock.known);
    ck_assert_int_eq(accept_clock_now(&clock, 1005, 7), NOON);
    ck_assert_int_eq(accept_clock_now(&clock, 61005, 7), NOON + 60000); /* whatever the host says */
    ck_assert_int_eq(accept_clock_drift(&clock, 1005, NOON + 3600000), 3600000);
    ck_assert_int_eq(accept_clock_drift(&clock, 1005, NOON - 1500), -1500);
}
END_TEST

START_TEST(a_slow_answer_says_nothing)
{
    struct accept_clock clock = {0};
    accept_clock_measured(&clock, 1000, 1000 + ACCEPT_CLOCK_MEASURE_MAX_MS + 1, NOON);
    ck_assert(!clock.known);
    accept_clock_measured(&clock, 1000, 1000 + ACCEPT_CLOCK_MEASURE_MAX_MS, NOON);
    ck_assert(clock.known);
}
END_TEST

START_TEST(the_quicker_measure_counts)
{
    struct accept_clock clock = {0};
    accept_clock_measured(&clock, 1000, 1400, NOON); /* at 1200, or 200 off */
    accept_clock_measured(&clock, 2000, 2002, NOON + 900);
    ck_assert_int_eq(accept_clock_now(&clock, 2001, 0), NOON + 900);
    accept_clock_measured(&clock, 3000, 3400,
                          NOON + 2000); /* at 3200: 101 apart, within its error */
    ck_assert_int_eq(accept_clock_now(&clock, 2001, 0), NOON + 900);
}
END_TEST

START_TEST(a_measure_that_contradicts_counts_at_once)
{
    struct accept_clock clock = {0};
    accept_clock_measured(&clock, 1000, 1002, NOON);
    accept_clock_measured(&clock, 2000, 2100,
                          NOON + 1049 + 52); /* within the errors and rounding */
    ck_assert_int_eq(accept_clock_now(&clock, 2050, 0), NOON + 1049);
    accept_clock_measured(&clock, 2000, 2100, NOON + 1049 + 53); /* another server */
    ck_assert_int_eq(accept_clock_now(&clock, 2050, 0), NOON + 1049 + 53);
    accept_clock_measured(&clock, 3000, 3002, NOON - 5000); /* set back */
    ck_assert_int_eq(accept_clock_now(&clock, 3001, 0), NOON - 5000);
}
END_TEST

START_TEST(an_old_measure_gives_way)
{
    struct accept_clock clock = {0};
    uint64_t later = 1002 + ACCEPT_CLOCK_MEASURE_LIFE_MS;
    accept_clock_measured(&clock, 1000, 1002, NOON);
    accept_clock_measured(&clock, later - 101, later - 1, NOON + 60000);
    ck_assert_int_eq(accept_clock_now(&clock, 1001, 0), NOON);
    accept_clock_measured(&clock, later - 100, later, NOON + 60000);
    ck_assert_int_eq(accept_clock_now(&clock, later - 50, 0), NOON + 60000);
}
END_TEST

static void put(struct sale_window *at, const char *sku, int64_t opens_ms, int64_t closes_ms)
{
    *at = (struct sale_window){.opens_ms = opens_ms, .closes_ms = closes_ms};
    memcpy(at->sku, sku, strlen(sku) + 1);
}

START_TEST(windows_are_judged_by_the_time_of_acceptance)
{
    struct sale_windows windows = {0};
    int64_t opens_ms = 0;
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", NOON, 0, &opens_ms), SALE_OPEN);
    struct sale_window *list = sale_windows_room(3);
    put(&list[0], "vinyl", 0, NOON);
    put(&list[1], "dress", NOON, NOON + 100);
    put(&list[2], "ages", NOON, 0);
    sale_windows_replace(&windows, list, 3, 1000);
    ck_assert_int_eq(sale_windows_judge(&windows, "other", NOON, 1000, &opens_ms), SALE_OPEN);
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", NOON - 1, 1000, &opens_ms),
                     SALE_NOT_OPEN_YET);
    ck_assert_int_eq(opens_ms, NOON);
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", NOON, 1000, &opens_ms), SALE_OPEN);
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", NOON + 99, 1000, &opens_ms), SALE_OPEN);
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", NOON + 100, 1000, &opens_ms),
                     SALE_CLOSED);
    ck_assert_int_eq(sale_windows_judge(&windows, "vinyl", NOON - 1, 1000, &opens_ms), SALE_OPEN);
    ck_assert_int_eq(sale_windows_judge(&windows, "vinyl", NOON, 1000, &opens_ms), SALE_CLOSED);
    ck_assert_int_eq(sale_windows_judge(&windows, "ages", NOON + 1, 1000, &opens_ms), SALE_OPEN);
    sale_windows_free(&windows);
}
END_TEST

START_TEST(windows_that_are_old_say_nothing)
{
    struct sale_windows windows = {0};
    int64_t opens_ms;
    struct sale_window *list = sale_windows_room(1);
    put(list, "dress", NOON, 0);
    sale_windows_replace(&windows, list, 1, 1000);
    ck_assert_int_eq(
        sale_windows_judge(&windows, "dress", 0, 999 + SALE_WINDOWS_LIFE_MS, &opens_ms),
        SALE_NOT_OPEN_YET);
    ck_assert_int_eq(
        sale_windows_judge(&windows, "dress", 0, 1000 + SALE_WINDOWS_LIFE_MS, &opens_ms),
        SALE_OPEN);
    sale_windows_replace(&windows, sale_windows_room(0), 0, 9000);
    ck_assert_int_eq(sale_windows_judge(&windows, "dress", 0, 9000, &opens_ms), SALE_OPEN);
    sale_windows_free(&windows);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accept clock");
    TCase *tests = tcase_create("all");
    tcase_add_test(tests, unmeasured_it_is_the_hosts);
    tcase_add_test(tests, measured_it_goes_on_by_the_monotonic_clock);
    tcase_add_test(tests, a_slow_answer_says_nothing);
    tcase_add_test(tests, the_quicker_measure_counts);
    tcase_add_test(tests, a_measure_that_contradicts_counts_at_once);
    tcase_add_test(tests, an_old_measure_gives_way);
    tcase_add_test(tests, windows_are_judged_by_the_time_of_acceptance);
    tcase_add_test(tests, windows_that_are_old_say_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
