#include "consumer/shard/shard_writer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/service/metrics.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"

/* Rows of checkout.output. A task has 15 columns, news have 8. */
#define NO_TASK                                                                                    \
    "null|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null|null|"   \
    "null|"
#define NO_NEWS "|null|null|null|null|null|null|null|null|null|null|null|null|null|null"
#define CHARGE "charge|o1|dress|2|1000|usd|pm_1|null|null|null|7|null|captured" NO_NEWS
#define REFUND "refund|o1|dress|1|1000|usd|null|null|pi_1|key|7|null|null" NO_NEWS
#define AWAIT "await_buyer|o1|null|1|null|null|null|null|null|null|null|9000|null" NO_NEWS
#define LINE "settle_waitlist|null|dress|null|null|null|null|null|null|null|null|null|null" NO_NEWS

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct pg *session;
static struct intake intake;
static struct shard_writer writer;
static char heard[1024]; /* the events, in their order */

static void hear(const char *what, const char *detail)
{
    size_t len = strlen(heard);
    (void)snprintf(heard + len, sizeof heard - len, "%s%s%s ", what, detail[0] == '\0' ? "" : ":",
                   detail);
}

static void on_fenced(void *arg)
{
    (void)arg;
    hear("fenced", "");
}

static void on_committed(void *arg)
{
    (void)arg;
    hear("committed", "");
}

static void on_pay(const struct task *task, void *arg)
{
    static const char *const names[] = {[TASK_CHARGE] = "charge",
                                        [TASK_REFUND] = "refund",
                                        [TASK_RECONCILE] = "reconcile",
                                        [TASK_AWAIT_BUYER] = "await_buyer",
                                        [TASK_CHECK] = "check",
                                        [TASK_LOOK_AT_RETURNS] = "look_at_returns",
                                        [TASK_SETTLE_WAITLIST] = "settle_waitlist",
                                        [TASK_RUN_COMMANDS] = "run_commands",
                                        [TASK_DECIDE_ASIDE] = "decide_aside"};
    (void)arg;
    hear(names[task->kind], task->order_id);
    if (task->kind == TASK_CHARGE) {
        ck_assert_str_eq(task->payment_method, "pm_1");
        ck_assert_int_eq(task->attempt, 2);
        ck_assert_int_eq(task->amount, 1000);
        ck_assert_int_eq(task->age_ms, 7);
        ck_assert_int_eq(task->resolution, TASK_CAPTURED);
        ck_assert_ptr_null(task->receipt_email);
    } else if (task->kind == TASK_REFUND) {
        ck_assert_str_eq(task->intent_id, "pi_1");
        ck_assert_str_eq(task->key, "key");
        ck_assert_int_eq(task->resolution, TASK_UNRESOLVED);
    } else if (task->kind == TASK_AWAIT_BUYER) {
        ck_assert_int_eq(task->left_ms, 9000);
    }
}

static void on_unknown_task(const char *kind, void *arg)
{
    (void)arg;
    hear("unknown", kind);
}

static void on_item_changed(const char *sku, void *arg)
{
    (void)arg;
    hear("changed", sku);
}

static void on_batch_decided(void *arg)
{
    (void)arg;
    hear("decided", "");
}

static void on_failed(const char *why, void *arg)
{
    (void)arg;
    hear("failed", why);
}

static const struct shard_writer_events events = {.fenced = on_fenced,
                                                  .committed = on_committed,
                                                  .pay = on_pay,
                                                  .unknown_task = on_unknown_task,
                                                  .item_changed = on_item_changed,
                                                  .batch_decided = on_batch_decided,
                                                  .failed = on_failed};

static void setup(void)
{
    fake_loop_reset();
    loop = loop_new();
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, 1), 0);
    session = fake_pg_new();
    fake_pg_up(session);
    intake_init(&intake, 0, 1, NULL);
    const struct orders_db_place place = {.session = session, .shards = 1};
    ck_assert_int_eq(shard_writer_init(&writer, loop, &place, 1000, &intake, &stats, &events, NULL),
                     0);
    shard_writer_open(&writer, 7);
    shard_writer_kick(&writer);
    fake_pg_answer(session, "run_commands", "");
    heard[0] = '\0';
}

static void teardown(void)
{
    pg_close(session);
    shard_writer_free(&writer);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

/* Whether the metrics name `series`. */
static bool shown(const char *series)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    ck_assert_int_eq(metrics_render(metrics, &text), 0);
    bool found = strstr(buf_text(&text), series) != NULL;
    buf_free(&text);
    return found;
}

/* Appends the lines of the metrics that count transitions. */
static void append_transitions(struct buf *out)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    ck_assert_int_eq(metrics_render(metrics, &text), 0);
    const char *line = strstr(buf_text(&text), "checkout_order_transitions_total{");
    for (; line != NULL; line = strstr(line + 1, "checkout_order_transitions_total{"))
        ck_assert_int_eq(buf_printf(out, "%.*s\n", (int)strcspn(line, "\n"), line), 0);
    buf_free(&text);
}

/* The next transaction is committed with these rows. */
static void answer(const char *rows)
{
    ck_assert_str_ne(fake_pg_oldest(session), "");
    fake_pg_answer(session, fake_pg_oldest(session), rows);
}

START_TEST(unknown_news_are_ignored)
{
    struct buf before, after;
    buf_init(&before, (size_t)1 << 16);
    buf_init(&after, (size_t)1 << 16);
    append_transitions(&before);
    answer(NO_TASK "weather|null|dress|null|null|null|null|null;" NO_TASK
                   "weather|null|null|null|null|null|null|3");
    append_transitions(&after);
    ck_assert_str_eq(heard, "committed ");
    ck_assert(!shown("(null)"));
    ck_assert_uint_gt(before.len, 0);
    ck_assert_str_eq(buf_text(&before), buf_text(&after)); /* no series more, none counted */
    buf_free(&before);
    buf_free(&after);
}
END_TEST

START_TEST(news_without_what_they_need_are_ignored)
{
    answer(NO_TASK "transition|null|null|null|null|null|null|1;" NO_TASK
                   "command|null|null|null|null|null|4|null;" NO_TASK
                   "item_changed|null|null|null|null|null|null|null");
    ck_assert_str_eq(heard, "committed ");
    ck_assert(!shown("(null)"));
}
END_TEST

START_TEST(news_are_counted)
{
    answer(NO_TASK "transition|null|null|rejected|sold_out|null|null|3;" NO_TASK
                   "item_changed|null|dress|null|null|null|null|null;" NO_TASK
                   "command|null|hat|done|restocked|null|4|null;" NO_TASK
                   "command|o1|null|refused|too late|null|5|null");
    ck_assert_str_eq(heard, "changed:dress changed:hat committed ");
    ck_assert(shown("checkout_order_transitions_total{status=\"rejected\",reason=\"sold_out\"} 3"));
    ck_assert(shown("checkout_commands_total{state=\"refused\"} 1"));
}
END_TEST

START_TEST(tasks_go_where_they_are_done)
{
    answer(CHARGE ";" REFUND ";" AWAIT ";" LINE);
    ck_assert_str_eq(heard, "charge:o1 refund:o1 await_buyer:o1 committed ");
    ck_assert_str_eq(fake_pg_oldest(session), "settle_waitlist");
    ck_assert_str_eq(fake_pg_param(session, 3), "dress");
}
END_TEST

START_TEST(an_unknown_task_is_reported_and_its_neighbours_are_done)
{
    answer("teleport|o2|dress|1|null|null|null|null|null|null|null|null|null" NO_NEWS ";" CHARGE);
    ck_assert_str_eq(heard, "charge:o1 committed unknown:teleport ");
}
END_TEST

/* What cannot be done must not be taken for done. */
START_TEST(a_task_that_cannot_be_read_is_unknown)
{
    static const char *const rows[] = {
        "charge|o1|dress|1|1000|usd|null|null|null|null|7|null|null" NO_NEWS,
        "charge|o1|dress|1|1000|usd|pm_1|null|null|null|7|null|perhaps" NO_NEWS,
        "charge|null|dress|1|1000|usd|pm_1|null|null|null|7|null|null" NO_NEWS,
        "refund|o1|dress|1|1000|usd|null|null|pi_1|null|7|null|null" NO_NEWS,
        "settle_waitlist|null|null|null|null|null|null|null|null|null|null|null|null" NO_NEWS,
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        heard[0] = '\0';
        writer.clock_due = true;
        shard_writer_kick(&writer);
        answer(rows[i]);
        ck_assert_ptr_nonnull(strstr(heard, "committed unknown:"));
        ck_assert_ptr_null(strstr(heard, "charge:"));
        ck_assert_ptr_null(strstr(heard, "refund:"));
    }
}
END_TEST

START_TEST(a_row_that_is_neither_is_an_unknown_task)
{
    answer(NO_TASK "null|null|null|null|null|null|null|null");
    ck_assert_str_eq(heard, "committed unknown:none ");
}
END_TEST

START_TEST(a_line_that_cannot_be_settled_lets_the_next_one_pass)
{
    fake_pg_skip(session, NULL);
    shard_writer_add_waitlist(&writer, "dress");
    shard_writer_add_waitlist(&writer, "hat");
    shard_writer_kick(&writer);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(fake_pg_param(session, 3), "dress");
        fake_pg_refuse(session, "settle_waitlist", "57014");
    }
    ck_assert_str_eq(fake_pg_param(session, 4), "1"); /* from 500 rows on, by 8 */
    ck_assert_uint_eq(fake_pg_limit(session), PATIENCE_USUAL_MS);
    fake_pg_refuse(session, "settle_waitlist", "57014");
    ck_assert_str_eq(fake_pg_param(session, 3), "hat");
    shard_writer_add_waitlist(&writer, "dress"); /* by the sweep: not yet */
    fake_pg_answer(session, "settle_waitlist", "");
    ck_assert_str_eq(fake_pg_oldest(session), "");
}
END_TEST

START_TEST(what_takes_too_long_may_take_less_for_a_while)
{
    ck_assert_uint_eq(fake_pg_limit(session), PATIENCE_USUAL_MS);
    fake_pg_skip(session, NULL);
    ck_assert_ptr_null(shard_writer_why(&writer));
    shard_writer_add_expired(&writer, "dress");
    shard_writer_kick(&writer);
    fake_pg_refuse(session, "expire", "57014");
    ck_assert_uint_eq(fake_pg_limit(session), PATIENCE_SHORT_MS);
    ck_assert_str_eq(shard_writer_why(&writer), "57014: the test says so");
    fake_pg_answer(session, "expire", "");
    ck_assert_ptr_null(shard_writer_why(&writer));
}
END_TEST

START_TEST(what_was_refused_tells_nothing)
{
    fake_pg_refuse(session, fake_pg_oldest(session), "CK001");
    ck_assert_str_eq(heard, "fenced ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shard_writer");
    TCase *tests = tcase_create("shard_writer");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, unknown_news_are_ignored);
    tcase_add_test(tests, news_without_what_they_need_are_ignored);
    tcase_add_test(tests, news_are_counted);
    tcase_add_test(tests, tasks_go_where_they_are_done);
    tcase_add_test(tests, an_unknown_task_is_reported_and_its_neighbours_are_done);
    tcase_add_test(tests, a_task_that_cannot_be_read_is_unknown);
    tcase_add_test(tests, a_row_that_is_neither_is_an_unknown_task);
    tcase_add_test(tests, a_line_that_cannot_be_settled_lets_the_next_one_pass);
    tcase_add_test(tests, what_takes_too_long_may_take_less_for_a_while);
    tcase_add_test(tests, what_was_refused_tells_nothing);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
