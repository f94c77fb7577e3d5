#include "notifier/lag.h"

#include <check.h>
#include <stdlib.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define ASK_MS 2000

static struct loop *loop;
static struct pg *pg;
static struct lag *lag;
static unsigned changes;
static bool lags;

static void changed(bool lagging, void *arg)
{
    ck_assert_ptr_eq(arg, &changes);
    changes++;
    lags = lagging;
}

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    pg = fake_pg_new();
    fake_pg_up(pg);
    changes = 0;
    lags = false;
    lag = lag_new(loop, pg, changed, &changes);
    ck_assert_ptr_nonnull(lag);
}

static void teardown(void)
{
    lag_free(lag);
    pg_close(pg);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* The next question comes, and this is the answer. */
static void answer(const char *rows)
{
    fake_loop_run(ASK_MS);
    fake_pg_answer(pg, "relay_lags", rows);
}

START_TEST(each_change_is_reported_once)
{
    answer("f");
    ck_assert_uint_eq(changes, 0);
    answer("t");
    answer("t");
    ck_assert(changes == 1 && lags);
    answer("f");
    answer("f");
    ck_assert(changes == 2 && !lags);
}
END_TEST

START_TEST(a_database_that_does_not_answer_is_asked_once)
{
    fake_loop_run(10 * ASK_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "relay_lags"), 1);
}
END_TEST

START_TEST(where_the_database_cannot_say_the_last_answer_stays)
{
    answer("t");
    fake_loop_run(ASK_MS);
    fake_pg_refuse(pg, "relay_lags", "42501");
    fake_loop_run(ASK_MS);
    fake_pg_down(pg);
    fake_loop_run(3 * ASK_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "relay_lags"), 0);
    ck_assert(changes == 1 && lags);
    fake_pg_up(pg);
    answer("f");
    ck_assert(changes == 2 && !lags);
}
END_TEST

START_TEST(an_answer_after_the_end_changes_nothing)
{
    fake_loop_run(ASK_MS);
    lag_free(lag);
    lag = NULL;
    fake_pg_answer(pg, "relay_lags", "t");
    fake_loop_run(3 * ASK_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "relay_lags"), 0);
    ck_assert_uint_eq(changes, 0);
}
END_TEST

START_TEST(a_session_that_is_closed_after_the_end_frees_an_open_question)
{
    fake_loop_run(ASK_MS);
    lag_free(lag);
    lag = NULL;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lag");
    TCase *tcase = tcase_create("lag");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_change_is_reported_once);
    tcase_add_test(tcase, a_database_that_does_not_answer_is_asked_once);
    tcase_add_test(tcase, where_the_database_cannot_say_the_last_answer_stays);
    tcase_add_test(tcase, an_answer_after_the_end_changes_nothing);
    tcase_add_test(tcase, a_session_that_is_closed_after_the_end_frees_an_open_question);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
