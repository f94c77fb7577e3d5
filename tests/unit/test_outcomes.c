#include "consumer/shard/outcomes.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/err.h"

static struct outcomes outcomes;

static struct outcome captured(int n)
{
    struct outcome o = {.kind = OUTCOME_CAPTURED, .attempt = n, .intent_id = "pi", .code = ""};
    (void)snprintf(o.order_id, sizeof o.order_id, "order-%030d", n);
    return o;
}

static void add(int n)
{
    const struct outcome o = captured(n);
    ck_assert_int_eq(outcomes_add(&outcomes, &o), 0);
}

static void begin(void)
{
    outcomes = (struct outcomes){0};
}

static void end(void)
{
    outcomes_free(&outcomes);
}

START_TEST(they_go_in_their_order_and_those_that_came_meanwhile_stay)
{
    for (int n = 0; n < OUTCOMES_BATCH + 5; n++)
        add(n);
    ck_assert_uint_eq(outcomes_begin(&outcomes), OUTCOMES_BATCH);
    add(1000);
    outcomes_recorded(&outcomes);
    ck_assert_uint_eq(outcomes.count, 6);
    ck_assert_int_eq(outcomes.items[0].attempt, OUTCOMES_BATCH);
    ck_assert_int_eq(outcomes.items[5].attempt, 1000);
}
END_TEST

START_TEST(what_was_not_recorded_goes_again)
{
    add(1);
    add(2);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 2);
    outcomes_again(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 2);
    ck_assert_int_eq(outcomes.items[0].attempt, 1);
}
END_TEST

START_TEST(one_that_is_refused_loses_its_texts_and_then_its_place)
{
    for (int n = 0; n < 3; n++)
        add(n);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 3);
    outcomes_refused(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1); /* which one it is, shows */
    outcomes_refused(&outcomes);
    ck_assert_ptr_null(outcomes.items[0].intent_id);
    ck_assert_uint_eq(outcomes.count, 3);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1);
    outcomes_refused(&outcomes);
    ck_assert_uint_eq(outcomes.count, 2);
    ck_assert_int_eq(outcomes.items[0].attempt, 1);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1);
    outcomes_recorded(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1);
    outcomes_recorded(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 0);
}
END_TEST

START_TEST(all_of_it_is_copied)
{
    char text[] = "{}";
    struct outcome o = captured(1);
    o.action = text;
    o.param = "amount";
    o.problem = PAY_WRONG_AMOUNT;
    ck_assert_int_eq(outcomes_add(&outcomes, &o), 0);
    text[0] = 'x';
    ck_assert_str_eq(outcomes.items[0].action, "{}");
    ck_assert_str_eq(outcomes.items[0].param, "amount");
    ck_assert_str_eq(outcomes.items[0].intent_id, "pi");
    ck_assert_int_eq(outcomes.items[0].problem, PAY_WRONG_AMOUNT);
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* it has an address space of its own size */
/* Without memory for a text the outcome is not added at all: one without its intent would be
 * recorded as such. */
START_TEST(it_is_added_whole_or_not_at_all)
{
    size_t size = (size_t)1 << 26;
    char *huge = malloc(size);
    ck_assert_ptr_nonnull(huge);
    memset(huge, 'x', size - 1);
    huge[size - 1] = '\0';
    struct outcome o = captured(1);
    o.intent_id = huge;
    const struct rlimit little = {(rlim_t)size + (size >> 1), RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &little), 0);
    ck_assert_int_eq(outcomes_add(&outcomes, &o), ERR_NOMEM);
    ck_assert_uint_eq(outcomes.count, 0);
    free(huge);
    add(2);
}
END_TEST
#endif

START_TEST(one_whose_rows_are_locked_is_held_and_goes_again_behind_the_others)
{
    const struct outcome a = captured(1), b = captured(2), c = captured(3);
    add(1);
    add(2);
    add(3);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 3);
    outcomes_busy(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1);
    outcomes_busy(&outcomes);
    ck_assert_uint_eq(outcomes.held_count, 1);
    ck_assert(outcomes_have(&outcomes, a.order_id));
    ck_assert_uint_eq(outcomes_begin(&outcomes), 2);
    outcomes_hold(&outcomes, b.order_id, 2);
    outcomes_recorded(&outcomes);
    ck_assert(!outcomes_have(&outcomes, c.order_id));
    ck_assert_uint_eq(outcomes.count, 0);
    outcomes_release(&outcomes);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 2);
    ck_assert_str_eq(outcomes.items[0].order_id, a.order_id);
    ck_assert_str_eq(outcomes.items[1].intent_id, "pi");
    ck_assert_uint_eq(outcomes.held_count, 0);
}
END_TEST

START_TEST(one_that_hangs_among_many_is_found_in_four_tries)
{
    for (int attempt = 1; attempt <= OUTCOMES_BATCH; attempt++)
        add(attempt);
    int hung = 0, recorded = 0;
    while (outcomes.count > 0) {
        size_t running = outcomes_begin(&outcomes);
        bool hangs = false;
        for (size_t i = 0; i < running; i++)
            hangs = hangs || outcomes.items[i].attempt == 300;
        hung += hangs;
        recorded += !hangs;
        if (hangs)
            outcomes_busy(&outcomes);
        else
            outcomes_recorded(&outcomes);
    }
    ck_assert_int_eq(hung, 4); /* all, 64, 8, and it alone, which is held */
    ck_assert_int_le(recorded, 3 * 7 + 1);
    ck_assert_uint_eq(outcomes.held_count, 1);
    ck_assert_int_eq(outcomes.held[0].attempt, 300);
}
END_TEST

START_TEST(what_is_forgotten_while_it_is_in_flight_stays_forgotten)
{
    add(1);
    ck_assert_uint_eq(outcomes_begin(&outcomes), 1);
    outcomes_forget(&outcomes);
    add(2);
    outcomes_again(&outcomes);
    ck_assert_uint_eq(outcomes.count, 1);
    ck_assert_int_eq(outcomes.items[0].attempt, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outcomes");
    TCase *tcase = tcase_create("outcomes");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, they_go_in_their_order_and_those_that_came_meanwhile_stay);
    tcase_add_test(tcase, what_was_not_recorded_goes_again);
    tcase_add_test(tcase, one_that_is_refused_loses_its_texts_and_then_its_place);
    tcase_add_test(tcase, all_of_it_is_copied);
#ifndef __SANITIZE_ADDRESS__ /* it has an address space of its own size */
    tcase_add_test(tcase, it_is_added_whole_or_not_at_all);
#endif
    tcase_add_test(tcase, one_whose_rows_are_locked_is_held_and_goes_again_behind_the_others);
    tcase_add_test(tcase, one_that_hangs_among_many_is_found_in_four_tries);
    tcase_add_test(tcase, what_is_forgotten_while_it_is_in_flight_stays_forgotten);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
