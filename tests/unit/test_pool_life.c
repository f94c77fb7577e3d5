#include "consumer/pool/pool.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "consumer/shard/admission_keys.h"
#include "tests/fake/fake_broker.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_money.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define SHARDS 2
#define SECRET "a secret of thirty-two bytes, or so"

/* Two shards; member 5 is ours. Each step() is a second and its heartbeat. */
static struct metrics *metrics;
static struct stats stats;
static struct shard_context context;
static struct pool *pool;
static struct pg *heartbeat, *control, *session, *outbox;
static struct redis *redis;
static int beat;
static unsigned left;
static int64_t serving_wrong;

static void broker_changed(enum broker_state state, const char *reason, void *arg)
{
    (void)reason;
    (void)arg;
    if (state == BROKER_UP && pool != NULL)
        pool_broker_up(pool);
}

static void on_left(void *arg)
{
    (void)arg;
    left++;
}

static void on_wrong_shards(int64_t serving, void *arg)
{
    (void)arg;
    serving_wrong = serving;
}

static void setup(void)
{
    fake_loop_reset();
    fake_broker_reset();
    fake_pg_reset();
    fake_money = (struct fake_money){0};
    beat = 0;
    left = 0;
    serving_wrong = 0;
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    heartbeat = fake_pg_new();
    control = fake_pg_new();
    session = fake_pg_new();
    outbox = fake_pg_new();
    redis = fake_redis_new();
    const struct broker_options options = {.urls = "amqp://a", .name = "x", .heartbeat_s = 4};
    context = (struct shard_context){.loop = loop_new(),
                                     .ids = ids_new(SECRET, strlen(SECRET)),
                                     .stats = &stats,
                                     .shards = SHARDS};
    context.broker = broker_open(context.loop, &options, broker_changed, NULL);
    context.dead = deadletter_open(context.loop, &options, &stats);
    context.admission_keys = admission_keys_new(context.loop, SHARDS, outbox, redis, NULL);
    context.relay = relay_new(context.loop, SHARDS, outbox, redis, context.admission_keys, &stats);
    const struct pool_options pool_options = {.name = "me",
                                              .heartbeat = heartbeat,
                                              .control = control,
                                              .outbox = outbox,
                                              .sessions = &session,
                                              .session_count = 1,
                                              .wrong_shards = on_wrong_shards,
                                              .left = on_left};
    pool = pool_new(&context, &pool_options);
    ck_assert_ptr_nonnull(pool);
    fake_broker_up(context.broker);
    fake_pg_up(session);
    fake_pg_up(outbox);
    fake_pg_up(control);
    fake_pg_up(heartbeat);
}

static void teardown(void)
{
    deadletter_close(context.dead);
    pg_close(session);
    pg_close(outbox);
    pg_close(control);
    pg_close(heartbeat);
    broker_close(context.broker);
    redis_close(redis);
    pool_free(pool);
    pool = NULL;
    relay_free(context.relay);
    admission_keys_free(context.admission_keys);
    ids_free(context.ids);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(context.loop);
}

/* Answers a sweep with nothing found. */
static void answer_sweep(void)
{
    while (fake_pg_oldest(control)[0] != '\0') {
        const char *oldest = fake_pg_oldest(control);
        fake_pg_answer(control, oldest, strcmp(oldest, "place_cancels") == 0 ? "0" : "");
    }
}

/* Answers a heartbeat: `owners` are rows (shard, owner, epoch), `others` further members, each row
 * with a '#' in the place of a counter that moves. */
static void answer_heartbeat(const char *owners, const char *others)
{
    char rows[512];
    int len = snprintf(rows, sizeof rows, "5|%d|t|t%s", ++beat, others[0] == '\0' ? "" : ";");
    for (const char *c = others; *c != '\0'; c++)
        len += snprintf(rows + len, sizeof rows - (size_t)len, *c == '#' ? "%d" : "%c",
                        *c == '#' ? beat : *c);
    fake_pg_answer(heartbeat, "owners", owners);
    fake_pg_answer(heartbeat, "heartbeat", rows);
    answer_sweep();
}

static void join(void)
{
    pool_heartbeat_up(pool);
    fake_pg_answer(heartbeat, "shards_serving", "2");
    ck_assert_str_eq(fake_pg_param(heartbeat, 0), "me");
    fake_pg_answer(heartbeat, "join_pool", "5");
}

static void step(const char *owners, const char *others)
{
    fake_loop_run(1000);
    answer_heartbeat(owners, others);
}

/* How many take-overs are asked for; answers them with epoch 9. */
static unsigned take_overs(void)
{
    unsigned count = 0;
    while (fake_pg_oldest(session)[0] != '\0') {
        bool take_over = strcmp(fake_pg_oldest(session), "take_over") == 0;
        count += take_over;
        fake_pg_answer(session, fake_pg_oldest(session), take_over ? "9|0" : "");
    }
    return count;
}

static enum ownership_state state_of(uint32_t shard)
{
    return pool_routing(pool, shard)->ownership->state;
}

/* Joined, alone, and serving both shards. */
static void serve(void)
{
    join();
    answer_heartbeat("0|0|3;1|0|3", "");
    ck_assert_uint_eq(take_overs(), 2);
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING);
}

START_TEST(a_member_joins_and_takes_over_what_is_released)
{
    struct buf why;
    buf_init(&why, 1024);
    ck_assert(!pool_ready(pool, &why));
    join();
    answer_heartbeat("0|0|3;1|0|4", "");
    ck_assert(pool_ready(pool, &why));
    ck_assert_str_eq(fake_pg_oldest(session), "take_over");
    ck_assert_str_eq(fake_pg_param(session, 3), "3");
    ck_assert_uint_eq(take_overs(), 2);
    ck_assert_uint_eq(fake_broker_channels(context.broker), SHARDS);
    buf_free(&why);
}
END_TEST

START_TEST(a_heartbeat_says_that_we_are_ready_and_through_whom_we_write)
{
    join();
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 0), "5");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "true");
    char pids[32];
    (void)snprintf(pids, sizeof pids, "{%d}", pg_backend_pid(session));
    ck_assert_str_eq(fake_pg_param(heartbeat, 2), pids);
    fake_pg_answer(heartbeat, "heartbeat", "5|1|t|t");
    fake_pg_skip(heartbeat, NULL);
    fake_broker_down(context.broker);
    fake_loop_run(1000);
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "false");
}
END_TEST

/* A shard with a task that we do not know is for others; so is whatever else they are ready for. */
START_TEST(a_member_that_meets_an_unknown_task_is_not_ready)
{
    struct buf why;
    buf_init(&why, 1024);
    serve();
    fake_loop_run(1000);
    fake_pg_answer(heartbeat, "owners", "0|5|9;1|5|9");
    fake_pg_answer(heartbeat, "heartbeat", "5|77|t|t");
    fake_pg_answer(control, "place_cancels", "0");
    fake_pg_answer(control, "overdue", "1|teleport|dress;7|more|dress;0|more|hat");
    ck_assert_int_ne(state_of(1), OWNERSHIP_SERVING);
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING);
    ck_assert_uint_eq(fake_pg_waiting(session, "settle_waitlist"), 1);
    ck_assert(!pool_ready(pool, &why));
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "does not know"));
    answer_sweep();
    fake_loop_run(1000);
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "false");
    buf_free(&why);
}
END_TEST

START_TEST(shards_of_a_living_owner_are_left_and_those_of_the_dead_are_taken)
{
    join();
    answer_heartbeat("0|8|3;1|8|3", "8|#|t|t");
    ck_assert_uint_eq(take_overs(), 0);
    for (int second = 0; second < 4; second++)
        step("0|8|3;1|8|3", "8|1|t|t"); /* its counter stands still */
    ck_assert_uint_eq(take_overs(), 0);
    step("0|8|3;1|8|3", "8|1|t|t");
    ck_assert_uint_eq(take_overs(), 2);
}
END_TEST

START_TEST(a_crash_shows_at_the_second_heartbeat_without_its_lock)
{
    join();
    answer_heartbeat("0|8|3;1|8|3", "8|#|t|t");
    step("0|8|3;1|8|3", "8|1|t|f");
    ck_assert_uint_eq(take_overs(), 0);
    step("0|8|3;1|8|3", "8|1|t|f");
    ck_assert_uint_eq(take_overs(), 2);
}
END_TEST

START_TEST(a_new_member_gets_its_share_but_not_at_the_heartbeat_that_shows_it)
{
    serve();
    for (int second = 0; second < 3; second++)
        step("0|5|9;1|5|9", "");
    step("0|5|9;1|5|9", "8|#|t|t");
    ck_assert_uint_eq(fake_pg_waiting(session, "release"), 0);
    step("0|5|9;1|5|9", "8|#|t|t");
    fake_loop_run(200); /* patience with what is to be relayed */
    ck_assert_uint_ge(fake_pg_waiting(session, "release"), 1);
}
END_TEST

START_TEST(without_the_database_for_five_seconds_the_broker_must_not_feed_us)
{
    serve();
    fake_loop_run(1000);
    for (int second = 1; second < 4; second++) {
        fake_loop_run(1000);
        ck_assert(!fake_broker_suspended(context.broker));
    }
    fake_loop_run(2000);
    ck_assert(fake_broker_suspended(context.broker));
    struct buf why;
    buf_init(&why, 1024);
    ck_assert(!pool_ready(pool, &why));
    ck_assert_ptr_nonnull(strstr(buf_text(&why), "heartbeat"));
    buf_free(&why);
    answer_heartbeat("0|5|9;1|5|9", "");
    ck_assert(!fake_broker_suspended(context.broker));
    fake_broker_up(context.broker);
    answer_heartbeat("0|5|9;1|5|9", "");
    fake_loop_run(7000);
    ck_assert(fake_broker_suspended(context.broker)); /* the second time too */
}
END_TEST

START_TEST(a_member_that_was_removed_joins_again_and_takes_its_shards_anew)
{
    serve();
    fake_loop_run(1000);
    fake_pg_answer(heartbeat, "owners", "0|5|9;1|5|9");
    fake_pg_answer(heartbeat, "heartbeat", "8|1|t|t"); /* we are not in the list */
    ck_assert_int_eq(state_of(0), OWNERSHIP_NONE);
    fake_loop_run(1000);
    fake_pg_answer(heartbeat, "shards_serving", "2");
    fake_pg_answer(heartbeat, "join_pool", "6");
    fake_pg_answer(heartbeat, "owners", "0|5|9;1|5|9");
    fake_pg_answer(heartbeat, "heartbeat", "6|1|t|t");
    ck_assert_str_eq(fake_pg_oldest(session), "take_over");
    ck_assert_str_eq(fake_pg_param(session, 2), "6");
    ck_assert_str_eq(fake_pg_param(session, 3), "9"); /* only if nobody was there meanwhile */
}
END_TEST

START_TEST(a_lost_heartbeat_or_a_refused_one_changes_nothing)
{
    serve();
    fake_loop_run(1000);
    fake_pg_skip(heartbeat, "heartbeat");
    fake_pg_refuse(heartbeat, "heartbeat", "57014");
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING);
    fake_loop_run(1000);
    fake_pg_down(heartbeat);
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING);
    fake_pg_up(heartbeat);
    pool_heartbeat_up(pool);
    ck_assert_uint_eq(fake_pg_waiting(heartbeat, "heartbeat"), 1);
}
END_TEST

START_TEST(heartbeats_do_not_pile_up_before_a_silent_database)
{
    serve();
    fake_loop_run(10000);
    ck_assert_uint_eq(fake_pg_waiting(heartbeat, "heartbeat"), 1);
}
END_TEST

START_TEST(a_lost_session_is_followed_by_a_take_over_from_the_same_epoch)
{
    serve();
    fake_pg_down(session);
    pool_session_lost(pool, session);
    ck_assert_int_eq(state_of(1), OWNERSHIP_NONE);
    fake_pg_up(session);
    pool_session_up(pool, session);
    ck_assert_str_eq(fake_pg_param(session, 3), "9");
    ck_assert_uint_eq(take_overs(), 2);
}
END_TEST

START_TEST(another_number_of_shards_in_service_is_told)
{
    pool_heartbeat_up(pool);
    fake_pg_answer(heartbeat, "shards_serving", "64");
    ck_assert_int_eq(serving_wrong, 64);
    fake_pg_refuse(heartbeat, "join_pool", "42883");
    fake_loop_run(1000);
    fake_pg_answer(heartbeat, "shards_serving", ""); /* none yet: it is tried again */
    fake_pg_answer(heartbeat, "join_pool", "5");
}
END_TEST

START_TEST(a_command_is_executed_when_it_is_notified)
{
    serve();
    fake_pg_notify(control, "checkout_commands", "1");
    ck_assert_str_eq(fake_pg_oldest(session), "run_commands");
    ck_assert_str_eq(fake_pg_param(session, 1), "1");
    fake_pg_answer(session, "run_commands", "");
    fake_pg_notify(control, "checkout_commands", "7");
    fake_pg_notify(control, "checkout_commands", "x");
    fake_pg_notify(control, "checkout_commands", "");
    ck_assert_str_eq(fake_pg_oldest(session), "");
}
END_TEST

START_TEST(a_take_over_that_waits_has_the_sessions_of_a_dead_owner_ended)
{
    join();
    answer_heartbeat("0|8|3;1|0|3", "8|#|t|t");
    step("0|8|3;1|0|3", "8|1|t|f");
    step("0|8|3;1|0|3", "8|1|t|f");
    ck_assert_uint_eq(fake_pg_waiting(session, "take_over"), 2);
    fake_loop_run(1000);
    answer_heartbeat("0|8|3;1|0|3", "8|1|t|f");
    fake_loop_run(1000);
    fake_pg_skip(heartbeat, "free_shard");
    ck_assert_uint_eq(fake_pg_waiting(heartbeat, "free_shard"), 1); /* one at a time */
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", pg_backend_pid(session));
    ck_assert_str_eq(fake_pg_param(heartbeat, 0), pid);
    fake_pg_answer(heartbeat, "free_shard", "1");
}
END_TEST

START_TEST(who_leaves_releases_all_and_is_struck_off)
{
    serve();
    fake_money.calling = true;
    pool_leave(pool);
    fake_loop_run(5900); /* patience with payments in flight */
    ck_assert_uint_eq(fake_pg_waiting(session, "release"), 0);
    fake_loop_run(200);
    fake_pg_skip(session, "release");
    fake_pg_answer(session, "release", "");
    fake_pg_skip(session, "release");
    ck_assert_uint_eq(left, 0);
    fake_pg_answer(session, "release", "");
    fake_pg_skip(heartbeat, "leave_pool");
    fake_pg_answer(heartbeat, "leave_pool", "");
    ck_assert_uint_eq(left, 1);
    fake_loop_run(20000);
    ck_assert_uint_eq(left, 1);
}
END_TEST

START_TEST(leaving_ends_though_nothing_answers)
{
    serve();
    pool_leave(pool);
    pool_leave(pool);
    fake_loop_run(8999);
    ck_assert_uint_eq(left, 0);
    fake_loop_run(1);
    ck_assert_uint_eq(left, 1);
    fake_pg_skip(session, NULL); /* late */
    fake_pg_skip(heartbeat, NULL);
    ck_assert_uint_eq(left, 1);
}
END_TEST

START_TEST(who_never_joined_leaves_at_once)
{
    pool_leave(pool);
    ck_assert_uint_eq(left, 1);
}
END_TEST

START_TEST(without_a_session_that_serving_needs_a_member_is_not_ready)
{
    struct buf why;
    buf_init(&why, 1024);
    fake_pg_down(outbox);
    join();
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "false");
    ck_assert(!pool_ready(pool, &why));
    fake_pg_answer(heartbeat, "heartbeat", "5|1|f|t;8|1|t|t"); /* another member can do it */
    fake_pg_up(outbox);
    fake_loop_run(1000);
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "true");
    buf_free(&why);
}
END_TEST

START_TEST(if_no_member_is_ready_shards_are_assigned_as_if_all_were)
{
    fake_pg_down(outbox);
    join();
    fake_pg_answer(heartbeat, "owners", "0|0|3;1|0|3");
    fake_pg_answer(heartbeat, "heartbeat", "5|1|f|t");
    ck_assert_uint_eq(take_overs(), 2);
}
END_TEST

/* Opens the channels of all shards. */
static void open_channels(void)
{
    for (size_t i = 0; i < fake_broker_channels(context.broker); i++)
        fake_channel_open(fake_broker_channel(context.broker, i));
}

START_TEST(a_member_that_the_broker_does_not_feed_is_not_ready_and_goes_to_another_node)
{
    serve();
    open_channels();
    for (int second = 0; second < 7; second++)
        step("0|5|9;1|5|9", "");
    ck_assert_uint_eq(fake_broker_moves(context.broker), 0);
    step("0|5|9;1|8|10", "8|#|f|t"); /* the broker feeds another one, though it is ours */
    ck_assert_int_eq(state_of(1), OWNERSHIP_NONE);
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING);
    fake_loop_run(1000);
    ck_assert_uint_eq(fake_broker_moves(context.broker), 1);
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "false");
    struct buf why;
    buf_init(&why, 1024);
    ck_assert(!pool_ready(pool, &why));
    buf_free(&why);
    fake_pg_answer(heartbeat, "heartbeat", "5|99|f|t;8|99|f|t");
    answer_sweep();
    ck_assert_int_eq(state_of(0), OWNERSHIP_SERVING); /* settling goes on */
    fake_broker_up(context.broker);
    fake_pg_skip(heartbeat, "heartbeat");
    ck_assert_str_eq(fake_pg_param(heartbeat, 1), "true");
}
END_TEST

START_TEST(a_sweep_that_is_not_answered_is_not_followed_by_more)
{
    serve();
    for (int second = 0; second < 5; second++) {
        fake_loop_run(1000);
        fake_pg_answer(heartbeat, "owners", "0|5|9;1|5|9");
        char row[32];
        (void)snprintf(row, sizeof row, "5|%d|t|t", ++beat);
        fake_pg_answer(heartbeat, "heartbeat", row);
        ck_assert_uint_eq(fake_pg_waiting(control, "overdue"), 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool life");
    TCase *tcase = tcase_create("pool life");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_member_joins_and_takes_over_what_is_released);
    tcase_add_test(tcase, a_member_that_meets_an_unknown_task_is_not_ready);
    tcase_add_test(tcase, a_heartbeat_says_that_we_are_ready_and_through_whom_we_write);
    tcase_add_test(tcase, shards_of_a_living_owner_are_left_and_those_of_the_dead_are_taken);
    tcase_add_test(tcase, a_crash_shows_at_the_second_heartbeat_without_its_lock);
    tcase_add_test(tcase, a_new_member_gets_its_share_but_not_at_the_heartbeat_that_shows_it);
    tcase_add_test(tcase, without_the_database_for_five_seconds_the_broker_must_not_feed_us);
    tcase_add_test(tcase, a_member_that_was_removed_joins_again_and_takes_its_shards_anew);
    tcase_add_test(tcase, a_lost_heartbeat_or_a_refused_one_changes_nothing);
    tcase_add_test(tcase, heartbeats_do_not_pile_up_before_a_silent_database);
    tcase_add_test(tcase, a_lost_session_is_followed_by_a_take_over_from_the_same_epoch);
    tcase_add_test(tcase, another_number_of_shards_in_service_is_told);
    tcase_add_test(tcase, a_command_is_executed_when_it_is_notified);
    tcase_add_test(tcase, a_take_over_that_waits_has_the_sessions_of_a_dead_owner_ended);
    tcase_add_test(tcase, who_leaves_releases_all_and_is_struck_off);
    tcase_add_test(tcase, leaving_ends_though_nothing_answers);
    tcase_add_test(tcase, who_never_joined_leaves_at_once);
    tcase_add_test(tcase, without_a_session_that_serving_needs_a_member_is_not_ready);
    tcase_add_test(tcase, if_no_member_is_ready_shards_are_assigned_as_if_all_were);
    tcase_add_test(tcase,
                   a_member_that_the_broker_does_not_feed_is_not_ready_and_goes_to_another_node);
    tcase_add_test(tcase, a_sweep_that_is_not_answered_is_not_followed_by_more);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
