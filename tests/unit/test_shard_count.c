#include "producer/shard_count.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "producer/publish/publisher.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define DATABASE_FIRST_MS 2000
#define QUESTIONS 11 /* 1, 2, 4, … 1,024 shards */

static struct metrics *metrics;
static struct api api;
static struct broker *broker;

static void no_fate(void *waiter, enum batch_fate fate, void *arg)
{
    (void)waiter;
    (void)fate;
    (void)arg;
}

static void begin(uint32_t setting)
{
    const struct publisher_options options = {
        .broker = {.urls = "amqp://a", .heartbeat_s = 4}, .shards = setting, .inflight_max = 8};
    api.publisher = publisher_open(api.loop, &options, &api.stats, no_fate, NULL);
    api.shard_count = shard_count_new(&api, setting);
    broker = fake_broker(0);
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_pg_reset();
    metrics = metrics_new();
    api = (struct api){.loop = loop_new()};
    stats_init(&api.stats, metrics);
    api.sessions.reads = fake_pg_new();
}

static void teardown(void)
{
    pg_close(api.sessions.reads);
    publisher_close(api.publisher);
    shard_count_free(api.shard_count);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(api.loop);
}

static void broker_comes(void)
{
    fake_broker_up(broker);
    fake_channel_open(fake_broker_channel(broker, 0));
}

static void database_comes(const char *serving)
{
    fake_pg_up(api.sessions.reads);
    shard_count_connected(api.shard_count);
    fake_pg_answer(api.sessions.reads, "shards_serving", serving);
}

/* RabbitMQ has the exchanges of these numbers alone. */
static void broker_has(uint32_t one, uint32_t other)
{
    fake_loop_run(DATABASE_FIRST_MS + 1000);
    for (uint32_t n = 1, asked = 0; asked < QUESTIONS; n *= 2, asked++)
        fake_broker_answer(broker, n == one || n == other ? 0 : ERR_NOT_FOUND);
}

static const char *lacks(void)
{
    const char *why = "";
    return publisher_ready(api.publisher, &why) ? "" : why;
}

/* The exchange that is checked next: that of the shards in use. */
static const char *used(void)
{
    return fake_broker_asked(broker);
}

START_TEST(it_follows_the_number_in_service)
{
    begin(0);
    broker_comes();
    ck_assert_ptr_nonnull(strstr(lacks(), "how many shards"));
    database_comes("16");
    ck_assert_str_eq(lacks(), "");
    ck_assert_str_eq(used(), "checkout.jobs.16");
}
END_TEST

START_TEST(none_in_service_are_waited_for)
{
    begin(0);
    broker_comes();
    database_comes("");
    ck_assert_ptr_nonnull(strstr(lacks(), "checkoutctl topology"));
    fake_loop_run(1000);
    fake_pg_answer(api.sessions.reads, "shards_serving", "4");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(without_postgresql_the_only_topology_counts)
{
    begin(0);
    broker_comes();
    fake_loop_run(DATABASE_FIRST_MS - 600);
    ck_assert_str_eq(fake_broker_asked(broker), ""); /* PostgreSQL may still come */
    broker_has(16, 0);
    ck_assert_str_eq(lacks(), "");
    database_comes("16");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(of_two_topologies_none_is_chosen)
{
    begin(0);
    broker_comes();
    broker_has(4, 16);
    ck_assert_ptr_nonnull(strstr(lacks(), "of 4 shards and of 16"));
    database_comes("16");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(no_topology_at_all_is_waited_for)
{
    begin(0);
    broker_comes();
    broker_has(0, 0);
    ck_assert_ptr_nonnull(strstr(lacks(), "no queues of ours"));
    broker_has(8, 0);
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(a_broker_that_goes_while_it_is_asked_is_asked_again)
{
    begin(0);
    broker_comes();
    fake_loop_run(DATABASE_FIRST_MS + 1000);
    fake_broker_answer(broker, ERR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(lacks(), "how many shards"));
    broker_has(8, 0);
    ck_assert_str_eq(lacks(), "");
}
END_TEST

/* PostgreSQL came while the broker was asked: it knows better. */
START_TEST(the_broker_s_late_answer_changes_nothing)
{
    begin(0);
    broker_comes();
    fake_loop_run(DATABASE_FIRST_MS + 1000);
    database_comes("16");
    for (uint32_t n = 1, asked = 0; asked < QUESTIONS; n *= 2, asked++)
        fake_broker_answer(broker, n == 8 ? 0 : ERR_NOT_FOUND);
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(a_found_number_gives_way_to_postgresql_s)
{
    begin(0);
    broker_comes();
    broker_has(8, 0);
    database_comes("16");
    ck_assert_str_eq(lacks(), "");
    ck_assert_str_eq(used(), "checkout.jobs.8"); /* the check of it is still under way */
    fake_broker_answer(broker, 0);
    while (strcmp(used(), "checkout.jobs.16") != 0 && used()[0] != '\0')
        fake_broker_answer(broker, 0);
    ck_assert_str_eq(used(), "checkout.jobs.16");
}
END_TEST

START_TEST(it_follows_a_number_that_changes)
{
    begin(0);
    broker_comes();
    database_comes("4");
    fake_loop_run(600);
    fake_pg_answer(api.sessions.reads, "shards_serving", "8");
    ck_assert_uint_eq(publisher_shards(api.publisher), 8);
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(a_setting_serves_at_once)
{
    begin(8);
    broker_comes();
    ck_assert_str_eq(lacks(), "");
    ck_assert_str_eq(used(), "checkout.jobs.8");
    database_comes("8");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(a_setting_that_postgresql_denies_stops_the_orders)
{
    begin(8);
    broker_comes();
    database_comes("16");
    ck_assert_str_eq(lacks(), "CHECKOUT_SHARDS is 8, and 16 are in service");
    fake_pg_down(api.sessions.reads); /* restored from a backup, say */
    database_comes("8");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

START_TEST(a_setting_serves_where_nothing_is_in_service)
{
    begin(8);
    broker_comes();
    database_comes("");
    ck_assert_str_eq(lacks(), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard_count");
    TCase *tc = tcase_create("shard_count");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, it_follows_the_number_in_service);
    tcase_add_test(tc, none_in_service_are_waited_for);
    tcase_add_test(tc, without_postgresql_the_only_topology_counts);
    tcase_add_test(tc, of_two_topologies_none_is_chosen);
    tcase_add_test(tc, no_topology_at_all_is_waited_for);
    tcase_add_test(tc, a_broker_that_goes_while_it_is_asked_is_asked_again);
    tcase_add_test(tc, the_broker_s_late_answer_changes_nothing);
    tcase_add_test(tc, a_found_number_gives_way_to_postgresql_s);
    tcase_add_test(tc, it_follows_a_number_that_changes);
    tcase_add_test(tc, a_setting_serves_at_once);
    tcase_add_test(tc, a_setting_that_postgresql_denies_stops_the_orders);
    tcase_add_test(tc, a_setting_serves_where_nothing_is_in_service);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
