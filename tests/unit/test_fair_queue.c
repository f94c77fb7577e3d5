#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/shop/job.h"
#include "consumer/gateway/fair_queue.h"
#include "tests/fake/fake_memory.h"

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

START_TEST(who_is_taken_or_gone_cannot_be_removed)
{
    push(0, "dress");
    push(1, "dress");
    ck_assert_int_eq(take(), 0);
    fair_queue_remove(queue, &entries[0]); /* it is called: only its answer ends that */
    ck_assert_int_eq(entries[0].place, FAIR_QUEUE_TAKEN);
    fair_queue_remove(queue, &entries[1]);
    fair_queue_remove(queue, &entries[1]);
    ck_assert_int_eq(entries[1].place, FAIR_QUEUE_NONE);
    ck_assert_int_eq(take(), -1);
    fair_queue_done(queue, &entries[0]);
    ck_assert_int_eq(fair_queue_push(queue, &entries[0], "dress", true), 0);
    fair_queue_remove(queue, &entries[0]);
    ck_assert_int_eq(take(), -1);
}
END_TEST

/* Items leave the turns from the first place, the middle and the last. */
START_TEST(the_turn_of_an_item_goes_with_its_last_entry)
{
    static const char *const skus[] = {"a", "b", "c"};
    for (size_t gone = 0; gone < 3; gone++) {
        for (size_t i = 0; i < 3; i++)
            push(i, skus[i]);
        fair_queue_remove(queue, &entries[gone]);
        for (size_t i = 0; i < 3; i++) {
            if (i == gone)
                continue;
            ck_assert_int_eq(take(), (int)i);
            fair_queue_done(queue, &entries[i]);
        }
        ck_assert_int_eq(take(), -1);
    }
}
END_TEST

START_TEST(a_name_that_no_item_has_is_refused)
{
    char sku[JOB_SKU_MAX + 2];
    memset(sku, 'a', sizeof sku);
    sku[JOB_SKU_MAX + 1] = '\0';
    ck_assert_int_eq(fair_queue_push(queue, &entries[0], sku, false), ERR_NOMEM);
    ck_assert_ptr_null(entries[0].item);
    sku[JOB_SKU_MAX] = '\0';
    push(0, sku);
    ck_assert_int_eq(take(), 0);
}
END_TEST

/* More items than the table has places: each is found, and all of them are freed. */
START_TEST(thousands_of_items_take_turns)
{
    static struct fair_queue_entry many[5000];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        char sku[16];
        (void)snprintf(sku, sizeof sku, "item-%zu", i);
        ck_assert_int_eq(fair_queue_push(queue, &many[i], sku, false), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(many) / 2; i++) {
        ck_assert_ptr_eq(fair_queue_first(queue), &many[i]);
        fair_queue_take(queue);
        if (i % 2 == 0)
            fair_queue_done(queue, &many[i]);
    }
}
END_TEST

static int push_two(void)
{
    struct fair_queue *small = fair_queue_new(1);
    struct fair_queue_entry first = {0}, second = {0};
    int code = small == NULL ? ERR_NOMEM : fair_queue_push(small, &first, "a", false);
    if (code == 0)
        code = fair_queue_push(small, &second, "b", true);
    MUST(code == 0 || second.item == NULL);
    MUST(first.item == NULL || fair_queue_first(small) == &first);
    fair_queue_free(small);
    return code;
}

START_TEST(without_memory_an_entry_is_not_queued)
{
    ck_assert_uint_eq(fake_memory_run(push_two), 3);
}
END_TEST

/* A mix of steps against a plain model: per item a list and a count. */
static void mix(unsigned seed)
{
    static const char *const skus[] = {"a", "b", "c"};
    unsigned random = seed * 2654435761U + 1;
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

START_TEST(every_entry_is_called_once_whatever_the_order)
{
    for (unsigned seed = 0; seed < 500; seed++) { /* one process: a fork for each took a minute */
        mix(seed);
        teardown();
        setup();
    }
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
    tcase_add_test(tcase, who_is_taken_or_gone_cannot_be_removed);
    tcase_add_test(tcase, the_turn_of_an_item_goes_with_its_last_entry);
    tcase_add_test(tcase, a_name_that_no_item_has_is_refused);
    tcase_add_test(tcase, thousands_of_items_take_turns);
    tcase_add_test(tcase, without_memory_an_entry_is_not_queued);
    tcase_add_test(tcase, every_entry_is_called_once_whatever_the_order);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
