/* What a consumer remembers of the events that it has published. */
#include "consumer/milestones/announced.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 3

static struct announced *announced;
static struct announced_database database;
static struct buf out;

static void setup(void)
{
    announced = announced_new(SHARDS);
    ck_assert_ptr_nonnull(announced);
    database =
        (struct announced_database){.generation = 2, .timeline = 5, .system = "71", .shop = "f00d"};
    buf_init(&out, 4096);
}

static void teardown(void)
{
    announced_free(announced);
    buf_free(&out);
}

static const char *encoded(void)
{
    buf_reset(&out);
    announced_encode(announced, &database, &out);
    return buf_text(&out);
}

#define OF_DATABASE "{\"generation\":2,\"system\":\"71\",\"timeline\":5,\"shop\":\"f00d\","

START_TEST(a_shard_that_never_was_ours_says_nothing)
{
    announced_see(announced, 0, 0, 0);
    announced_see(announced, 1, 0, 40); /* published for an owner that is forgotten */
    ck_assert_str_eq(encoded(),
                     OF_DATABASE "\"epochs\":[null,null,null],\"events\":[null,null,null]}");
}
END_TEST

START_TEST(a_shard_that_was_given_away_is_remembered)
{
    announced_see(announced, 1, 7, 40);
    announced_see(announced, 1, 0, 44); /* the end of what was under way */
    announced_see(announced, 2, 9, 0);
    ck_assert_str_eq(encoded(), OF_DATABASE "\"epochs\":[null,7,9],\"events\":[null,44,0]}");
    announced_see(announced, 1, 12, 44);
    ck_assert_str_eq(encoded(), OF_DATABASE "\"epochs\":[null,12,9],\"events\":[null,44,0]}");
}
END_TEST

START_TEST(a_database_that_was_not_compared_has_no_milestone)
{
    announced_see(announced, 0, 1, 1);
    database.system[0] = '\0';
    ck_assert_str_eq(encoded(), "");
}
END_TEST

START_TEST(a_shop_without_a_fingerprint_is_null)
{
    database.shop[0] = '\0';
    ck_assert_ptr_nonnull(strstr(encoded(), "\"shop\":null,"));
}
END_TEST

/* The restored database may lack them for good: whoever named them later would call it behind. */
START_TEST(events_of_before_a_restore_do_not_count_after_it)
{
    announced_see(announced, 0, 7, 40);
    announced_void(announced, 0, 41);
    ck_assert_str_eq(encoded(),
                     OF_DATABASE "\"epochs\":[null,null,null],\"events\":[null,null,null]}");
    announced_see(announced, 0, 9, 41); /* ours again, and nothing published since */
    ck_assert_str_eq(encoded(), OF_DATABASE "\"epochs\":[9,null,null],\"events\":[0,null,null]}");
    announced_see(announced, 0, 9, 1000042);
    ck_assert_str_eq(encoded(),
                     OF_DATABASE "\"epochs\":[9,null,null],\"events\":[1000042,null,null]}");
}
END_TEST

START_TEST(a_milestone_that_does_not_fit_has_failed)
{
    struct buf small;
    buf_init(&small, 16);
    announced_encode(announced, &database, &small);
    ck_assert(small.failed);
    buf_free(&small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("announced");
    TCase *tcase = tcase_create("announced");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_shard_that_never_was_ours_says_nothing);
    tcase_add_test(tcase, a_shard_that_was_given_away_is_remembered);
    tcase_add_test(tcase, a_database_that_was_not_compared_has_no_milestone);
    tcase_add_test(tcase, a_shop_without_a_fingerprint_is_null);
    tcase_add_test(tcase, events_of_before_a_restore_do_not_count_after_it);
    tcase_add_test(tcase, a_milestone_that_does_not_fit_has_failed);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
