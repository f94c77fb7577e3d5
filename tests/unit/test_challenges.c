#include "producer/challenges.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct challenges challenges;

static void read_at(uint64_t mono_ms)
{
    struct challenge *list = challenges_room(2);
    ck_assert(challenges_fill(&list[0], "vinyl", "drop-8"));
    ck_assert(challenges_fill(&list[1], "dress", "drop-7"));
    challenges_replace(&challenges, list, 2, mono_ms);
}

static void teardown(void)
{
    challenges_free(&challenges);
}

START_TEST(items_are_found_and_others_ask_for_nothing)
{
    ck_assert_ptr_null(challenges_of(&challenges, "dress", 0));
    read_at(1000);
    ck_assert_str_eq(challenges_of(&challenges, "dress", 1000), "drop-7");
    ck_assert_str_eq(challenges_of(&challenges, "vinyl", 1000), "drop-8");
    ck_assert_ptr_null(challenges_of(&challenges, "dres", 1000));
    ck_assert_ptr_null(challenges_of(&challenges, "dresses", 1000));
    challenges_replace(&challenges, challenges_room(0), 0, 2000);
    ck_assert_ptr_null(challenges_of(&challenges, "dress", 2000));
}
END_TEST

START_TEST(what_was_read_long_ago_says_nothing)
{
    read_at(1000);
    ck_assert_ptr_nonnull(challenges_of(&challenges, "dress", 999 + CHALLENGES_LIFE_MS));
    ck_assert_ptr_null(challenges_of(&challenges, "dress", 1000 + CHALLENGES_LIFE_MS));
}
END_TEST

START_TEST(what_no_order_can_name_is_left_out)
{
    char text[JOB_SKU_MAX + 2];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct challenge place;
    ck_assert(!challenges_fill(&place, text, "drop"));
    ck_assert(!challenges_fill(&place, "dress", text));
    ck_assert(challenges_fill(&place, text + 1, text + 1));
    read_at(1000);
    ck_assert_ptr_null(challenges_of(&challenges, text, 1000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("challenges");
    TCase *tests = tcase_create("challenges");
    tcase_add_checked_fixture(tests, NULL, teardown);
    tcase_add_test(tests, items_are_found_and_others_ask_for_nothing);
    tcase_add_test(tests, what_was_read_long_ago_says_nothing);
    tcase_add_test(tests, what_no_order_can_name_is_left_out);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
