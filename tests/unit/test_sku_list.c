#include "consumer/shard/sku_list.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(each_item_stands_there_once_in_order)
{
    struct sku_list list = {0};
    sku_list_add(&list, "a", 1);
    sku_list_add(&list, "b", 1);
    sku_list_add(&list, "a", 1);
    ck_assert_uint_eq(list.count, 2);
    sku_list_drop(&list, 1);
    ck_assert_str_eq(list.skus[0], "b");
    sku_list_drop(&list, 7);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(what_does_not_fit_is_left_to_the_sweep)
{
    struct sku_list list = {0};
    char sku[JOB_SKU_MAX + 2];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(sku, sizeof sku, "item-%d", i);
        sku_list_add(&list, sku, 1);
    }
    ck_assert_uint_eq(list.count, SKU_LIST_MAX);
    list.count = 0;
    (void)snprintf(sku, sizeof sku, "%065d", 0);
    sku_list_add(&list, sku, 1);
    ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(one_that_hangs_is_passed_over_for_a_while)
{
    struct sku_list list = {0};
    sku_list_pass_over(&list, 9);
    sku_list_add(&list, "a", 1);
    sku_list_add(&list, "b", 1);
    sku_list_pass_over(&list, 100);
    ck_assert_str_eq(list.skus[0], "b");
    sku_list_add(&list, "a", 99);
    ck_assert_uint_eq(list.count, 1);
    sku_list_add(&list, "a", 100);
    ck_assert_uint_eq(list.count, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sku_list");
    TCase *tests = tcase_create("sku_list");
    tcase_add_test(tests, each_item_stands_there_once_in_order);
    tcase_add_test(tests, what_does_not_fit_is_left_to_the_sweep);
    tcase_add_test(tests, one_that_hangs_is_passed_over_for_a_while);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
