#include "notifier/shop.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define FIRST_MS 500
#define ASK_MS 5000

static struct loop *loop;
static struct pg *pg;
static struct metrics *metrics;
static struct shop *shop;
static struct buf out;

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    pg = fake_pg_new();
    fake_pg_up(pg);
    metrics = metrics_new();
    buf_init(&out, 65536);
    shop = shop_new(loop, pg, metrics);
    ck_assert_ptr_nonnull(shop);
}

static void teardown(void)
{
    shop_free(shop);
    pg_close(pg);
    metrics_free(metrics);
    buf_free(&out);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static void expect(const char *line)
{
    buf_reset(&out);
    ck_assert_int_eq(metrics_render(metrics, &out), 0);
    ck_assert_msg(strstr(buf_text(&out), line) != NULL, "no \"%s\" in\n%s", line, buf_text(&out));
}

static void answer(const char *lines, const char *hot, const char *sums, const char *owed,
                   const char *daemons)
{
    fake_pg_answer(pg, "lines_now", lines);
    fake_pg_answer(pg, "hot_items", hot);
    fake_pg_answer(pg, "shop_now", sums);
    fake_pg_answer(pg, "refunds_owed", owed);
    fake_pg_answer(pg, "count_daemons", daemons);
}

START_TEST(what_the_database_says_is_shown)
{
    fake_loop_run(FIRST_MS);
    answer("0|400|4700;1|0|0", "70|12;3|0", "1|2|3|61000", "5", "producer|2|1|0;consumer|0|0|4");
    expect("checkout_waiting_orders{shard=\"0\"} 400\n");
    expect("checkout_waiting_oldest_seconds{shard=\"0\"} 4.7\n");
    expect("checkout_waiting_orders{shard=\"1\"} 0\n");
    expect("checkout_shards_unserved 1\n");
    expect("checkout_shards_payments_stopped 2\n");
    expect("checkout_unclear_payments 3\n");
    expect("checkout_unclear_oldest_seconds 61\n");
    expect("checkout_refunds_owed 5\n");
    expect("checkout_daemons{program=\"producer\",state=\"ready\"} 2\n");
    expect("checkout_daemons{program=\"producer\",state=\"not_ready\"} 1\n");
    expect("checkout_daemons{program=\"consumer\",state=\"dead\"} 4\n");
    expect("checkout_hot_item_orders{rank=\"1\"} 70\n");
    expect("checkout_hot_item_waiting{rank=\"1\"} 12\n");
    expect("checkout_hot_item_orders{rank=\"2\"} 3\n");
    expect("checkout_hot_item_orders{rank=\"5\"} 0\n");
    fake_loop_run(ASK_MS);
    answer("0|0|0;1|0|0", "", "0|0|0|0", "0", "producer|3|0|0;consumer|4|0|0");
    expect("checkout_waiting_orders{shard=\"0\"} 0\n");
    expect("checkout_refunds_owed 0\n");
    expect("checkout_daemons{program=\"consumer\",state=\"dead\"} 0\n");
    expect("checkout_hot_item_orders{rank=\"1\"} 0\n");
    expect("checkout_hot_item_waiting{rank=\"1\"} 0\n");
}
END_TEST

START_TEST(shards_that_are_no_more_have_no_line)
{
    fake_loop_run(FIRST_MS);
    answer("0|1|100;1|7|2000;2|0|0", "", "0|0|0|0", "0", "");
    fake_loop_run(ASK_MS);
    answer("0|8|100", "", "0|0|0|0", "0", "");
    expect("checkout_waiting_orders{shard=\"0\"} 8\n");
    expect("checkout_waiting_orders{shard=\"1\"} 0\n");
    expect("checkout_waiting_oldest_seconds{shard=\"1\"} 0\n");
}
END_TEST

START_TEST(a_slow_database_is_asked_seldom)
{
    fake_loop_run(FIRST_MS);
    fake_loop_run(1000); /* so long did it take */
    answer("", "", "0|0|0|0", "0", "");
    fake_loop_run(ASK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(20000 - ASK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "lines_now");
}
END_TEST

START_TEST(it_goes_on_after_a_refusal_and_after_a_lost_session)
{
    fake_loop_run(FIRST_MS);
    fake_pg_refuse(pg, "lines_now", "42501");
    fake_pg_down(pg);
    fake_loop_run(ASK_MS);
    fake_pg_up(pg);
    fake_loop_run(ASK_MS);
    answer("0|1|0", "", "0|0|0|0", "0", "");
    expect("checkout_waiting_orders{shard=\"0\"} 1\n");
}
END_TEST

START_TEST(it_may_be_freed_while_it_asks)
{
    fake_loop_run(FIRST_MS);
    shop_free(shop);
    shop = NULL;
    answer("0|1|0", "", "0|0|0|0", "0", "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shop");
    TCase *tcase = tcase_create("shop");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_the_database_says_is_shown);
    tcase_add_test(tcase, shards_that_are_no_more_have_no_line);
    tcase_add_test(tcase, a_slow_database_is_asked_seldom);
    tcase_add_test(tcase, it_goes_on_after_a_refusal_and_after_a_lost_session);
    tcase_add_test(tcase, it_may_be_freed_while_it_asks);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
