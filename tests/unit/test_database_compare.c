/* A consumer compares the database with the milestones, and what a session is refused with. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "common/shop/database_version.h"
#include "common/shop/shard.h"
#include "consumer/milestones/milestones.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define SHARDS 2
#define EMPTY_MS 50
#define AGAIN_MS 600
#define LOOK_MS 1000
#define BEHIND "this database lacks events"

static struct loop *loop;
static struct broker *broker; /* of the dead letters, and to keep milestones */
static size_t brokers;        /* that were opened */
static struct metrics *metrics;
static struct stats stats;
static struct pg *session, *control;
static struct milestones *milestones;
static struct buf why;

static void on_state(enum broker_state state, const char *reason, void *arg)
{
    (void)state;
    (void)reason;
    (void)arg;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_pg_reset();
    loop = loop_new();
    const struct broker_options dead = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    broker = broker_open(loop, &dead, on_state, NULL);
    fake_broker_up(broker);
    brokers = 1;
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    session = fake_pg_new();
    control = fake_pg_new();
    const struct milestones_options options = {.loop = loop,
                                               .broker = broker,
                                               .session = session,
                                               .name = "one",
                                               .stats = &stats,
                                               .shards = SHARDS};
    milestones = milestones_new(&options);
    ck_assert_ptr_nonnull(milestones);
    const struct pool_options serving = {.control = control};
    milestones_follow(milestones, NULL, &serving);
    buf_init(&why, 1024);
    fake_pg_up(session);
    fake_pg_up(control);
}

static void teardown(void)
{
    milestones_stop(milestones);
    broker_close(broker);
    pg_close(session);
    pg_close(control);
    milestones_free(milestones);
    stats_free(&stats);
    metrics_free(metrics);
    buf_free(&why);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* What its readiness says. */
static const char *said(void)
{
    buf_reset(&why);
    milestones_say(milestones, &why);
    return buf_text(&why);
}

/* The connection that was opened to read, which stands now. */
static struct broker *connected(void)
{
    ck_assert_uint_eq(fake_brokers(), ++brokers);
    struct broker *own = fake_broker(brokers - 1);
    fake_broker_up(own);
    ck_assert_str_eq(fake_broker_asked(own), SHARD_MILESTONES);
    return own;
}

/* RabbitMQ keeps nothing. */
static void read_nothing(void)
{
    struct broker *own = connected();
    fake_broker_answer_with(own, 0, 0);
    fake_loop_run(EMPTY_MS);
    fake_broker_answer_with(own, 0, 0);
}

/* The database says this of itself. */
static void judge(const char *milestones_sent, const char *row)
{
    ck_assert_str_eq(fake_pg_param(session, 0), milestones_sent);
    ck_assert_str_eq(fake_pg_param(session, 1), "one");
    fake_pg_answer(session, "judge_database", row);
}

static void become_fine(void)
{
    milestones_session_up(milestones);
    read_nothing();
    judge("{}", "null|0|71|5|f00d");
    ck_assert_str_eq(said(), "");
}

/* It asks once a second what others have found. */
static void look(const char *row)
{
    fake_loop_run(LOOK_MS);
    ck_assert_uint_eq(fake_pg_waiting(session, "database_problem"), 1);
    fake_pg_answer(session, "database_problem", row);
}

#define NOTHING_OWN                                                                                \
    "{\"{\\\"generation\\\":0,\\\"system\\\":\\\"71\\\",\\\"timeline\\\":5,\\\"shop\\\":"          \
    "\\\"f00d\\\",\\\"epochs\\\":[null,null],\\\"events\\\":[null,null]}\"}"

START_TEST(what_it_remembers_is_compared_too_when_the_session_comes_again)
{
    become_fine();
    milestones_session_lost(milestones);
    ck_assert_str_eq(said(), "");
    milestones_session_up(milestones);
    read_nothing();
    judge(NOTHING_OWN, "null|0|71|6|f00d");
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(a_database_that_is_behind_ends_the_sessions_that_serve)
{
    milestones_session_up(milestones);
    read_nothing();
    judge("{}", BEHIND "|0|71|5|f00d");
    ck_assert_str_eq(said(), BEHIND "\n");
    ck_assert_uint_eq(fake_pg_reconnects(control), 1);
    look("CK009|" BEHIND);
    ck_assert_uint_eq(fake_pg_reconnects(control), 1); /* it is known */
    milestones_session_lost(milestones);
    ck_assert_str_eq(said(), BEHIND "\n"); /* until another is compared */
}
END_TEST

START_TEST(another_consumer_finds_it_behind)
{
    become_fine();
    look("CK009|" BEHIND);
    ck_assert_str_eq(said(), BEHIND "\n");
    ck_assert_uint_eq(fake_pg_reconnects(control), 1);
}
END_TEST

START_TEST(a_database_that_has_become_another_one_is_compared_again)
{
    become_fine();
    look("null|null");
    ck_assert_uint_eq(fake_brokers(), brokers);
    look("CK008|not compared");
    read_nothing();
    judge(NOTHING_OWN, "null|0|71|5|f00d");
    ck_assert_uint_eq(fake_pg_reconnects(control), 0);
}
END_TEST

START_TEST(a_restore_that_was_finished_is_seen)
{
    milestones_session_up(milestones);
    read_nothing();
    judge("{}", BEHIND "|0|71|5|f00d");
    look("null|null");
    read_nothing();
    judge(NOTHING_OWN, "null|1|71|5|f00d");
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(without_rabbitmq_nothing_is_compared_and_it_says_so)
{
    milestones_session_up(milestones);
    fake_broker_down(connected());
    ck_assert_str_eq(said(), "milestones in RabbitMQ: the test says so\n");
    ck_assert_str_eq(fake_pg_oldest(session), "");
    fake_loop_run(AGAIN_MS);
    read_nothing();
    judge("{}", "null|0|71|5|f00d");
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(a_queue_that_is_not_there_keeps_no_database_out)
{
    milestones_session_up(milestones);
    fake_broker_answer(connected(), ERR_NOT_FOUND);
    judge("{}", "null|0|71|5|f00d");
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(a_comparison_that_fails_is_tried_again)
{
    milestones_session_up(milestones);
    read_nothing();
    fake_pg_refuse(session, "judge_database", "53200");
    ck_assert_str_ne(said(), "");
    fake_loop_run(AGAIN_MS);
    read_nothing();
    judge("{}", "null|0|71|5|f00d");
    ck_assert_str_eq(said(), "");
}
END_TEST

/* ---- the greeting of every session ---- */

static int greeted;
static bool refused;

static void on_greeting(const struct pg_result *result, void *arg)
{
    char reason[128];
    (void)arg;
    greeted = database_version_greeting.judge(result, reason, sizeof reason);
    refused = database_version_refused(result);
}

static void greet(const char *sqlstate)
{
    const struct pg_statement *statement = database_version_greeting.statement;
    ck_assert_int_eq(pg_query(control, statement, NULL, on_greeting, NULL), 0);
    fake_pg_refuse(control, statement->name, sqlstate);
}

START_TEST(a_refusal_says_whether_to_ask_again_soon)
{
    greet("CK008");
    ck_assert_int_eq(greeted, PG_SOON);
    ck_assert(!refused);
    greet("CK009");
    ck_assert_int_eq(greeted, ERR_REFUSED);
    ck_assert(refused);
    greet("CK004");
    ck_assert(refused);
    greet("53300");
    ck_assert_int_eq(greeted, ERR_UNAVAILABLE);
    ck_assert(!refused);
    greet("42883");
    ck_assert_int_eq(greeted, ERR_CONFLICT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("database compare");
    TCase *tcase = tcase_create("database compare");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_it_remembers_is_compared_too_when_the_session_comes_again);
    tcase_add_test(tcase, a_database_that_is_behind_ends_the_sessions_that_serve);
    tcase_add_test(tcase, another_consumer_finds_it_behind);
    tcase_add_test(tcase, a_database_that_has_become_another_one_is_compared_again);
    tcase_add_test(tcase, a_restore_that_was_finished_is_seen);
    tcase_add_test(tcase, without_rabbitmq_nothing_is_compared_and_it_says_so);
    tcase_add_test(tcase, a_queue_that_is_not_there_keeps_no_database_out);
    tcase_add_test(tcase, a_comparison_that_fails_is_tried_again);
    tcase_add_test(tcase, a_refusal_says_whether_to_ask_again_soon);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
