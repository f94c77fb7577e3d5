#include "producer/limits/senders.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_redis.h"

static struct loop *loop;
static struct redis *redis;
static struct senders *senders;

static void setup(void)
{
    fake_loop_reset();
    loop = loop_new();
    redis = fake_redis_new();
    senders = senders_new(loop, redis);
    ck_assert_ptr_nonnull(senders);
    fake_redis_up(redis);
}

static void teardown(void)
{
    senders_free(senders);
    redis_close(redis);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static void saw(const char *address, int orders)
{
    for (int i = 0; i < orders; i++)
        senders_saw(senders, address);
}

/* What is told ends so; "": nothing is. */
static void tells(const char *ending)
{
    fake_loop_run(SENDERS_REPORT_MS);
    ck_assert_uint_eq(fake_redis_waiting(redis), ending[0] == '\0' ? 0 : 1);
    if (ending[0] == '\0')
        return;
    const char *command = fake_redis_command(redis, 0);
    ck_assert_uint_ge(strlen(command), strlen(ending));
    ck_assert_str_eq(command + strlen(command) - strlen(ending), ending);
    fake_redis_done(redis, 0);
}

START_TEST(those_with_the_most_orders_are_told_and_forgotten)
{
    saw("192.0.2.1", 3);
    saw("192.0.2.2", 9);
    saw("", 2);
    tells(" 1 checkout:senders:  14 192.0.2.2 9 192.0.2.1 3");
    tells("");
    saw("192.0.2.1", 1);
    tells(" checkout:senders:  1 192.0.2.1 1");
}
END_TEST

START_TEST(of_many_addresses_the_first_are_counted_and_all_are_in_the_sum)
{
    char address[24];
    for (int i = 0; i < SENDERS_MAX + 50; i++) {
        (void)snprintf(address, sizeof address, "10.0.%d.%d", i / 256, i % 256);
        saw(address, i < SENDERS_REPORTED ? 9 - i : 1);
    }
    tells("  332 10.0.0.0 9 10.0.0.1 8 10.0.0.2 7 10.0.0.3 6");
}
END_TEST

START_TEST(without_redis_they_are_forgotten)
{
    saw("192.0.2.1", 5);
    fake_redis_down(redis);
    tells("");
    fake_redis_up(redis);
    tells("");
    saw("192.0.2.1", 1);
    tells("  1 192.0.2.1 1");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("senders");
    TCase *tests = tcase_create("senders");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, those_with_the_most_orders_are_told_and_forgotten);
    tcase_add_test(tests, of_many_addresses_the_first_are_counted_and_all_are_in_the_sum);
    tcase_add_test(tests, without_redis_they_are_forgotten);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
