#include "producer/limits/open_orders.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define LOOK "producer_open_orders"

static struct loop *loop;
static struct redis *redis;
static struct sessions sessions;
static struct open_orders *open;

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    redis = fake_redis_new();
    sessions = (struct sessions){.reads = fake_pg_new()};
    open = open_orders_new(loop, redis, &sessions, 3);
    ck_assert_ptr_nonnull(open);
    fake_pg_up(sessions.reads);
    fake_redis_up(redis);
}

static void teardown(void)
{
    pg_close(sessions.reads);
    open_orders_free(open);
    redis_close(redis);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* The look that is due asks about these customers. */
static void looks_at(const char *users)
{
    fake_loop_run(OPEN_ORDERS_LOOK_MS);
    ck_assert_str_eq(fake_pg_oldest(sessions.reads), LOOK);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 0), users);
    ck_assert_str_eq(fake_pg_param(sessions.reads, 1), "3");
}

static void nothing_is_asked(void)
{
    fake_loop_run(2 * OPEN_ORDERS_LOOK_MS);
    ck_assert_str_eq(fake_pg_oldest(sessions.reads), "");
}

START_TEST(orders_that_are_open_count_again_and_again)
{
    open_orders_saw(open, "ann");
    open_orders_saw(open, "ann");
    for (int n = 0; n < 3; n++) {
        looks_at("{\"ann\"}");
        fake_pg_answer(sessions.reads, LOOK, "ann|order-1;ann|order-2");
        ck_assert_uint_eq(fake_redis_waiting(redis), 2);
        ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), " 1 checkout:open:ann order-1"));
        ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 1), " 1 checkout:open:ann order-2"));
        fake_redis_done(redis, 0);
        fake_redis_done(redis, 0);
    }
}
END_TEST

START_TEST(who_has_no_open_order_is_forgotten)
{
    open_orders_saw(open, "ann");
    open_orders_saw(open, "bob");
    looks_at("{\"ann\",\"bob\"}");
    fake_pg_answer(sessions.reads, LOOK, "bob|order-1");
    looks_at("{\"bob\"}");
    fake_pg_answer(sessions.reads, LOOK, "");
    nothing_is_asked();
    open_orders_saw(open, "ann");
    looks_at("{\"ann\"}");
    fake_pg_answer(sessions.reads, LOOK, "");
}
END_TEST

START_TEST(a_look_that_fails_is_repeated)
{
    open_orders_saw(open, "ann");
    looks_at("{\"ann\"}");
    fake_pg_refuse(sessions.reads, LOOK, "57014");
    looks_at("{\"ann\"}");
    fake_pg_answer(sessions.reads, LOOK, "");
    open_orders_saw(open, "ann");
    fake_redis_down(redis); /* there is no place to count */
    nothing_is_asked();
    fake_redis_up(redis);
    looks_at("{\"ann\"}");
    fake_pg_answer(sessions.reads, LOOK, "");
}
END_TEST

START_TEST(only_the_latest_customers_are_kept)
{
    char user[24];
    int looks = 0;
    for (int n = 0; n < OPEN_ORDERS_USERS_MAX + 10; n++) {
        (void)snprintf(user, sizeof user, "user-%05d", n);
        open_orders_saw(open, user);
    }
    for (int n = 0; n < OPEN_ORDERS_LOOK_MS * 3; n += 500) {
        fake_loop_run(500);
        if (strcmp(fake_pg_oldest(sessions.reads), LOOK) != 0)
            continue;
        ck_assert_ptr_null(strstr(fake_pg_param(sessions.reads, 0), "user-00009"));
        looks++;
        fake_pg_answer(sessions.reads, LOOK, "");
    }
    ck_assert_int_eq(looks, OPEN_ORDERS_USERS_MAX / 256);
    open_orders_saw(NULL, "ann"); /* they are not counted */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("open_orders");
    TCase *tests = tcase_create("open_orders");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, orders_that_are_open_count_again_and_again);
    tcase_add_test(tests, who_has_no_open_order_is_forgotten);
    tcase_add_test(tests, a_look_that_fails_is_repeated);
    tcase_add_test(tests, only_the_latest_customers_are_kept);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
