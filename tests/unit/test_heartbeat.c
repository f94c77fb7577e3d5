#include "common/service/heartbeat.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

#define FIRST_MS 500
#define HEARTBEAT_MS 2000
enum {
    PROGRAM,
    HOST,
    PLACE,
    PID,
    VERSION,
    READY,
    NOT_READY,
    ACCEPTED,
    SOCKETS,
    DEAD_LETTERS,
    SHARDS_SET
};

static struct loop *loop;
static struct pg *pg;
static struct metrics *metrics;
static struct metric *accepted;
static struct heartbeat *heartbeat;
static bool is_ready;
static int64_t letters;
static uint32_t shards_set;

static bool ready(void *arg, struct buf *ret_why)
{
    ck_assert_ptr_eq(arg, &is_ready);
    if (!is_ready)
        (void)buf_str(ret_why, "RabbitMQ is not connected\n");
    return is_ready;
}

static int64_t dead_letters(void *arg)
{
    ck_assert_ptr_eq(arg, &is_ready);
    return letters;
}

static void begin(const char *place)
{
    const struct heartbeat_options options = {.place = place,
                                              .program = "producer",
                                              .accepted = accepted,
                                              .shards_set = shards_set,
                                              .dead_letters = dead_letters,
                                              .ready = ready,
                                              .arg = &is_ready};
    heartbeat = heartbeat_new(loop, pg, &options);
    ck_assert_ptr_nonnull(heartbeat);
}

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    pg = fake_pg_new();
    fake_pg_up(pg);
    metrics = metrics_new();
    accepted = metrics_counter(metrics, "checkout_orders_accepted_total", "Orders.", NULL);
    is_ready = true;
    letters = -1;
    shards_set = 0;
}

static void teardown(void)
{
    heartbeat_free(heartbeat);
    pg_close(pg);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

START_TEST(it_says_who_it_is_and_how_it_is)
{
    begin("127.0.0.1:9101");
    metric_add(accepted, 7);
    fake_loop_run(FIRST_MS);
    ck_assert_str_eq(fake_pg_param(pg, PROGRAM), "producer");
    ck_assert_str_eq(fake_pg_param(pg, PLACE), "127.0.0.1:9101");
    ck_assert_str_eq(fake_pg_param(pg, READY), "t");
    ck_assert_str_eq(fake_pg_param(pg, ACCEPTED), "7");
    ck_assert_str_eq(fake_pg_param(pg, SOCKETS), "null");
    ck_assert_str_eq(fake_pg_param(pg, DEAD_LETTERS), "null");
    ck_assert_str_eq(fake_pg_param(pg, SHARDS_SET), "null");
    fake_pg_answer(pg, "daemon_heartbeat", "");
    letters = 3;
    fake_loop_run(HEARTBEAT_MS);
    ck_assert_str_eq(fake_pg_param(pg, DEAD_LETTERS), "3");
    fake_pg_answer(pg, "daemon_heartbeat", "");
    is_ready = false;
    fake_loop_run(HEARTBEAT_MS);
    ck_assert_str_eq(fake_pg_param(pg, READY), "f");
    ck_assert_str_eq(fake_pg_param(pg, NOT_READY), "RabbitMQ is not connected\n");
}
END_TEST

START_TEST(it_says_what_number_of_shards_it_insists_on)
{
    shards_set = 8;
    begin("127.0.0.1:9101");
    fake_loop_run(FIRST_MS);
    ck_assert_str_eq(fake_pg_param(pg, SHARDS_SET), "8");
}
END_TEST

START_TEST(a_port_that_the_system_chooses_names_the_process)
{
    begin("127.0.0.1:0");
    fake_loop_run(FIRST_MS);
    ck_assert_ptr_nonnull(strstr(fake_pg_param(pg, PLACE), "127.0.0.1:0#"));
}
END_TEST

START_TEST(a_slow_database_gets_one_heartbeat_and_no_more)
{
    begin("127.0.0.1:9101");
    fake_loop_run(FIRST_MS);
    fake_loop_run(HEARTBEAT_MS);
    fake_loop_run(HEARTBEAT_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "daemon_heartbeat"), 1);
    fake_pg_refuse(pg, "daemon_heartbeat", "42501");
    fake_loop_run(HEARTBEAT_MS);
    ck_assert_uint_eq(fake_pg_waiting(pg, "daemon_heartbeat"), 1);
}
END_TEST

START_TEST(who_leaves_takes_its_row_away_also_behind_another)
{
    begin("127.0.0.1:9101");
    fake_loop_run(FIRST_MS);
    heartbeat_leave(heartbeat);
    heartbeat_leave(heartbeat);
    ck_assert_uint_eq(fake_pg_waiting(pg, "daemon_heartbeat"), 2);
    fake_pg_answer(pg, "daemon_heartbeat", "");
    ck_assert_str_eq(fake_pg_param(pg, READY), "null");
    heartbeat_free(heartbeat); /* its answer is still to come */
    heartbeat = NULL;
    fake_pg_answer(pg, "daemon_heartbeat", "");
}
END_TEST

START_TEST(without_a_database_it_waits)
{
    fake_pg_down(pg);
    begin("127.0.0.1:9101");
    fake_loop_run(FIRST_MS);
    heartbeat_leave(heartbeat);
    fake_loop_run(HEARTBEAT_MS);
    fake_pg_up(pg);
    ck_assert_uint_eq(fake_pg_waiting(pg, "daemon_heartbeat"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heartbeat");
    TCase *tcase = tcase_create("heartbeat");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, it_says_who_it_is_and_how_it_is);
    tcase_add_test(tcase, it_says_what_number_of_shards_it_insists_on);
    tcase_add_test(tcase, a_port_that_the_system_chooses_names_the_process);
    tcase_add_test(tcase, a_slow_database_gets_one_heartbeat_and_no_more);
    tcase_add_test(tcase, who_leaves_takes_its_row_away_also_behind_another);
    tcase_add_test(tcase, without_a_database_it_waits);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
