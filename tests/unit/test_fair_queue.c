#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "consumer/money/fair_queue.h"

#define ENTRIES 64

static struct fair_queue *queue;
static struct fair_queue_entry entries[ENTRIES];

static void setup(void)
{
    queue = fair_queue_new(2);
    ck_assert_ptr_nonnull(queue);
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i] = (struct fair_queue_entry){0};
}

static void teardown(void)
{
    fair_queue_free(queue);
}

static void push(size_t number, const char *sku)
{
    ck_assert_int_eq(fair_queue_push(queue, &entries[number], sku, false), 0);
}

/* The number of the first, which is taken; -1: none. */
static int take(void)
{
    struct fair_queue_entry *first = fair_queue_first(queue);
    if (first == NULL)
        return -1;
    fair_queue_take(queue);
    return (int)(first - entries);
}

START_TEST(an_empty_one_has_nobody)
{
    ck_assert_ptr_null(fair_queue_first(queue));
}
END_TEST

START_TEST(within_an_item_who_came_first_is_called_first)
{
    for (size_t i = 0; i < 6; i++)
        push(i, "dress");
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(take(), i);
        fair_queue_done(queue, &entries[i]);
    }
    ck_assert_int_eq(take(), -1);
}
END_TEST

START_TEST(within_an_item_who_was_called_already_goes_first)
{
    for (size_t i = 0; i < 4; i++)
        push(i, "dress");
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), 1);
    for (size_t i = 0; i < 2; i++) {
        fair_queue_done(queue, &entries[i]);
        ck_assert_int_eq(fair_queue_push(queue, &entries[i], "dress", true), 0);
    }
    const int turns[] = {0, 1, 2, 3, -1};
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        ck_assert_int_eq(take(), turns[i]);
        if (i < 2)
            fair_queue_done(queue, &entries[i]);
    }
}
END_TEST

START_TEST(items_take_turns)
{
    push(0, "dress");
    push(1, "dress");
    push(2, "pass");
    push(3, "shoe");
    push(4, "pass");
    const int turns[] = {0, 2, 3, 1, 4, -1};
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++)
        ck_assert_int_eq(take(), turns[i]);
}
END_TEST

START_TEST(an_item_has_at_most_so_many_calls)
{
    for (size_t i = 0; i < 4; i++)
        push(i, "slow");
    ck_assert_int_eq(take(), 0);
    ck_assert_int_eq(take(), 1);
    ck_assert_int_eq(take(), -1);
    push(4, "quick");
    ck_assert_int_eq(take(), 4);
    fair_queue_done(queue, &entries[1]);
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), -1);
    fair_queue_done(queue, &entries[0]);
    fair_queue_done(queue, &entries[2]);
    ck_assert_int_eq(take(), 3);
}
END_TEST

START_TEST(who_is_dropped_is_not_counted)
{
    for (size_t i = 0; i < 4; i++)
        push(i, "dress");
    fair_queue_remove(queue, fair_queue_first(queue));
    fair_queue_remove(queue, fair_queue_first(queue));
    ck_assert_int_eq(take(), 2);
    ck_assert_int_eq(take(), 3);
    ck_assert_ptr_null(entries[0].item);
}
END_TEST

START_TEST(who_was_called_may_come_again)
{
    push(0, "dress");
    push(1, "dress");
    ck_assert_int_eq(take(), 0);
    fair_queue_done(queue, &entries[0]);
    push(0, "dress");
    ck_assert_int_eq(take(), 1);
    ck_assert_int_eq(take(), 0);
}
END_TEST

/* Any mix of steps against a plain model: per item a list and a count. */
START_TEST(every_entry_is_called_once_whatever_the_order)
{
    static const char *const skus[] = {"a", "b", "c"};
    unsigned random = (unsigned)_i * 2654435761U + 1;
    int calling[3] = {0}, of[ENTRIES], called = 0, pushed = 0, open[ENTRIES], open_count = 0;
    int next_of[3] = {0}, order_of[3][ENTRIES], waiting[3] = {0};
    while (called < ENTRIES || open_count > 0) {
        random = random * 1103515245U + 12345U;
        unsigned step = (random >> 16) % 3;
        if (step == 0 && pushed < ENTRIES) {
            int item = (int)((random >> 20) % 3);
            of[pushed] = item;
            order_of[item][next_of[item] + waiting[item]++] = pushed;
            push((size_t)pushed++, skus[item]);
        } else if (step == 1) {
            int got = take();
            bool possible = false;
            for (int i = 0; i < 3; i++)
                possible |= waiting[i] > 0 && calling[i] < 2;
            ck_assert_int_eq(got >= 0, possible);
            if (got < 0)
                continue;
            ck_assert_int_eq(order_of[of[got]][next_of[of[got]]++], got);
            waiting[of[got]]--;
            ck_assert_int_le(++calling[of[got]], 2);
            open[open_count++] = got;
            called++;
        } else if (step == 2 && open_count > 0) {
            int at = (int)((random >> 20) % (unsigned)open_count), done = open[at];
            open[at] = open[--open_count];
            calling[of[done]]--;
            fair_queue_done(queue, &entries[done]);
        }
    }
    ck_assert_ptr_null(fair_queue_first(queue));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fair_queue");
    TCase *tcase = tcase_create("fair_queue");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, an_empty_one_has_nobody);
    tcase_add_test(tcase, within_an_item_who_came_first_is_called_first);
    tcase_add_test(tcase, within_an_item_who_was_called_already_goes_first);
    tcase_add_test(tcase, items_take_turns);
    tcase_add_test(tcase, an_item_has_at_most_so_many_calls);
    tcase_add_test(tcase, who_is_dropped_is_not_counted);
    tcase_add_test(tcase, who_was_called_may_come_again);
    tcase_add_loop_test(tcase, every_entry_is_called_once_whatever_the_order, 0, 500);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
