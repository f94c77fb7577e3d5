#include "consumer/money/outcomes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct outcomes endings;

static void add(int n, const char *ref)
{
    char id[IDS_ORDER_SIZE];
    (void)snprintf(id, sizeof id, "order-%030d", n);
    ck_assert_int_eq(outcomes_add(&endings, id, n, "captured", ref, 0, ""), 0);
}

static void begin(void)
{
    endings = (struct outcomes){0};
}

static void end(void)
{
    outcomes_free(&endings);
}

START_TEST(they_go_in_their_order_and_those_that_came_meanwhile_stay)
{
    for (int n = 0; n < OUTCOMES_MAX + 5; n++)
        add(n, "pi");
    ck_assert_uint_eq(outcomes_begin(&endings), OUTCOMES_MAX);
    add(1000, "pi");
    outcomes_recorded(&endings);
    ck_assert_uint_eq(endings.count, 6);
    ck_assert_int_eq(endings.items[0].attempt, OUTCOMES_MAX);
    ck_assert_int_eq(endings.items[5].attempt, 1000);
}
END_TEST

START_TEST(what_was_not_recorded_goes_again)
{
    add(1, "pi");
    add(2, "pi");
    ck_assert_uint_eq(outcomes_begin(&endings), 2);
    outcomes_again(&endings);
    ck_assert_uint_eq(outcomes_begin(&endings), 2);
    ck_assert_int_eq(endings.items[0].attempt, 1);
}
END_TEST

START_TEST(one_that_is_refused_loses_its_texts_and_then_its_place)
{
    for (int n = 0; n < 3; n++)
        add(n, "pi");
    ck_assert_uint_eq(outcomes_begin(&endings), 3);
    outcomes_refused(&endings);
    ck_assert_uint_eq(outcomes_begin(&endings), 1); /* which one it is, shows */
    outcomes_refused(&endings);
    ck_assert_ptr_null(endings.items[0].intent);
    ck_assert_uint_eq(endings.count, 3);
    ck_assert_uint_eq(outcomes_begin(&endings), 1);
    outcomes_refused(&endings);
    ck_assert_uint_eq(endings.count, 2);
    ck_assert_int_eq(endings.items[0].attempt, 1);
    ck_assert_uint_eq(outcomes_begin(&endings), 1);
    outcomes_recorded(&endings);
    ck_assert_uint_eq(outcomes_begin(&endings), 1);
    outcomes_recorded(&endings);
    ck_assert_uint_eq(outcomes_begin(&endings), 0);
}
END_TEST

START_TEST(what_is_forgotten_while_it_is_in_flight_stays_forgotten)
{
    add(1, "pi");
    ck_assert_uint_eq(outcomes_begin(&endings), 1);
    outcomes_forget(&endings);
    add(2, "pi");
    outcomes_again(&endings);
    ck_assert_uint_eq(endings.count, 1);
    ck_assert_int_eq(endings.items[0].attempt, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("endings");
    TCase *tcase = tcase_create("endings");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, they_go_in_their_order_and_those_that_came_meanwhile_stay);
    tcase_add_test(tcase, what_was_not_recorded_goes_again);
    tcase_add_test(tcase, one_that_is_refused_loses_its_texts_and_then_its_place);
    tcase_add_test(tcase, what_is_forgotten_while_it_is_in_flight_stays_forgotten);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
