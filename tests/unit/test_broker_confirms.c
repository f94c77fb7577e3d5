#include "common/net/amqp/broker_confirms.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"

static struct broker_confirms confirms;

static void set_up(void)
{
    broker_confirms_init(&confirms);
}

static void tear_down(void)
{
    broker_confirms_free(&confirms);
}

static void publish(uint64_t expected)
{
    uint64_t sequence = 0;
    ck_assert_int_eq(broker_confirms_add(&confirms, &sequence), 0);
    ck_assert_uint_eq(sequence, expected);
}

static void publish_many(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++)
        publish(i);
}

/* One settled message, or 0; its sign tells whether it was returned. */
static int64_t take(uint64_t tag, bool multiple)
{
    uint64_t sequence = 0;
    bool returned = false;
    if (!broker_confirms_take(&confirms, tag, multiple, &sequence, &returned))
        return 0;
    return returned ? -(int64_t)sequence : (int64_t)sequence;
}

START_TEST(numbers_start_at_one_and_each_settles_once)
{
    publish_many(1, 3);
    ck_assert_int_eq(take(2, false), 2);
    ck_assert_int_eq(take(2, false), 0);
    ck_assert_int_eq(take(1, false), 1);
    ck_assert_int_eq(take(1, false), 0);
    ck_assert_int_eq(take(3, false), 3);
    ck_assert_uint_eq(confirms.count, 0);
    publish(4);
}
END_TEST

START_TEST(multiple_takes_all_before_that_still_wait)
{
    publish_many(1, 6);
    ck_assert_int_eq(take(3, false), 3);
    ck_assert_int_eq(take(5, true), 1);
    ck_assert_int_eq(take(5, true), 2);
    ck_assert_int_eq(take(5, true), 4);
    ck_assert_int_eq(take(5, true), 5);
    ck_assert_int_eq(take(5, true), 0);
    ck_assert_int_eq(take(6, false), 6);
}
END_TEST

START_TEST(a_return_marks_only_its_own_message)
{
    publish_many(1, 3);
    broker_confirms_returned(&confirms, 2);
    ck_assert_int_eq(take(3, true), 1);
    ck_assert_int_eq(take(3, true), -2);
    ck_assert_int_eq(take(3, true), 3);
}
END_TEST

START_TEST(what_the_broker_invents_settles_nothing)
{
    ck_assert_int_eq(take(1, false), 0);
    ck_assert_int_eq(take(1, true), 0);
    publish(1);
    broker_confirms_returned(&confirms, 0);
    broker_confirms_returned(&confirms, 2);
    broker_confirms_returned(&confirms, UINT64_MAX);
    ck_assert_int_eq(take(0, false), 0);
    ck_assert_int_eq(take(0, true), 0);
    ck_assert_int_eq(take(2, false), 0);
    ck_assert_int_eq(take(UINT64_MAX, false), 0);
    ck_assert_int_eq(take(UINT64_MAX, true), 1);
    broker_confirms_returned(&confirms, 1);
    ck_assert_int_eq(take(UINT64_MAX, true), 0);
}
END_TEST

START_TEST(an_undone_number_is_given_again)
{
    publish_many(1, 2);
    broker_confirms_undo(&confirms);
    ck_assert_int_eq(take(2, true), 1);
    ck_assert_int_eq(take(2, true), 0);
    publish(2);
    ck_assert_int_eq(take(2, false), 2);
}
END_TEST

START_TEST(the_ring_wraps_and_grows_in_any_phase)
{
    uint64_t next = 1;
    uint64_t settled = 0;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 7; i++)
            publish(next++);
        for (int i = 0; i < 6; i++)
            ck_assert_int_eq(take(settled + 1, i % 2 == 0), (int64_t)++settled);
    }
    while (settled < next - 1)
        ck_assert_int_eq(take(next - 1, true), (int64_t)++settled);
    ck_assert_uint_eq(confirms.count, 0);
}
END_TEST

START_TEST(the_bound_holds)
{
    publish_many(1, BROKER_CONFIRMS_MAX);
    uint64_t sequence = 0;
    ck_assert_int_eq(broker_confirms_add(&confirms, &sequence), ERR_FULL);
    ck_assert_int_eq(take(1, false), 1);
    publish(BROKER_CONFIRMS_MAX + 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_confirms");
    TCase *tcase = tcase_create("broker_confirms");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, numbers_start_at_one_and_each_settles_once);
    tcase_add_test(tcase, multiple_takes_all_before_that_still_wait);
    tcase_add_test(tcase, a_return_marks_only_its_own_message);
    tcase_add_test(tcase, what_the_broker_invents_settles_nothing);
    tcase_add_test(tcase, an_undone_number_is_given_again);
    tcase_add_test(tcase, the_ring_wraps_and_grows_in_any_phase);
    tcase_add_test(tcase, the_bound_holds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
