/*
 * A session against a real server: that of CHECKOUT_DATABASE_URL, which
 * tests/integration/test_pg.py sets. Without one there is nothing to test.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/net/pg/pg.h"

#define TIMEOUT_MS 500
#define PENDING_MAX 64
#define LOG_SIZE 4096

static struct loop *loop;
static struct pg *pg;
static struct buf heard; /* what the callbacks heard, a word each */
static unsigned sessions;
static unsigned sessions_wanted; /* until the loop stops */
static int wait_for;             /* answers, until the loop stops */

static const struct pg_statement echo = {"echo", "select $1::text, $2::integer + 1", 2};
static const struct pg_statement broken = {"broken", "select nonsense from nowhere", 0};
static const struct pg_statement division = {"division", "select 1 / $1::integer", 1};
static const struct pg_statement sleeping = {"sleeping", "select pg_sleep(10)", 0};
static const struct pg_statement suicide = {"suicide",
                                            "select pg_terminate_backend(pg_backend_pid())", 0};

static void changed(bool up, const char *reason, void *arg)
{
    (void)arg;
    (void)buf_printf(&heard, "%s ", up ? "up" : "down");
    if (!up)
        ck_assert_ptr_nonnull(reason);
    sessions += up ? 1 : 0;
    if (up && sessions == sessions_wanted)
        loop_stop(loop);
}

static void out_of_patience(void *arg)
{
    (void)arg;
    ck_abort_msg("no answer; heard: %s", buf_text(&heard));
}

static struct loop_timer *patience;

static void set_up(void)
{
    const struct pg_options options = {.url = getenv("CHECKOUT_DATABASE_URL"),
                                       .application_name = "checkout-test",
                                       .statement_timeout_ms = TIMEOUT_MS,
                                       .idle_in_transaction_timeout_ms = 2000,
                                       .tcp_user_timeout_ms = 5000,
                                       .pending_max = PENDING_MAX};
    sessions = 0;
    sessions_wanted = 1;
    wait_for = 0;
    buf_init(&heard, LOG_SIZE);
    loop = loop_new();
    patience = loop_timer_new(loop, out_of_patience, NULL);
    loop_timer_start(patience, 10000, 0);
    pg = pg_open(loop, &options, changed, NULL);
    ck_assert_ptr_nonnull(pg);
    ck_assert_int_eq(pg_query(pg, &sleeping, NULL, NULL, NULL), ERR_UNAVAILABLE);
    loop_run(loop);
    ck_assert(pg_is_up(pg));
    ck_assert_int_gt(pg_backend_pid(pg), 0);
    buf_reset(&heard);
}

static void tear_down(void)
{
    pg_close(pg);
    loop_timer_free(patience);
    loop_free(loop);
    buf_free(&heard);
}

/* One word for an answer: its first value, its SQLSTATE, or "lost"; with the name of who asked. */
static void answered(const struct pg_result *result, void *arg)
{
    const char *name = arg == NULL ? "" : arg;
    if (pg_status(result) == PG_LOST)
        (void)buf_printf(&heard, "%slost ", name);
    else if (pg_status(result) == PG_ERROR)
        (void)buf_printf(&heard, "%s%s ", name, pg_sqlstate(result));
    else
        (void)buf_printf(&heard, "%s%s ", name, pg_rows(result) > 0 ? pg_text(result, 0, 0) : "ok");
    if (--wait_for == 0)
        loop_stop(loop);
}

static void ask(const struct pg_statement *statement, const char *param, const char *name)
{
    const char *const params[] = {param, "1"};
    ck_assert_int_eq(pg_query(pg, statement, params, answered, (void *)(uintptr_t)name), 0);
    wait_for++;
}

static void script(const char *sql, const char *name)
{
    ck_assert_int_eq(pg_script(pg, sql, answered, (void *)(uintptr_t)name), 0);
    wait_for++;
}

static void expect(const char *words)
{
    if (wait_for > 0)
        loop_run(loop);
    ck_assert_str_eq(buf_text(&heard), words);
    buf_reset(&heard);
}

static void expect_new_session(const char *words)
{
    sessions_wanted = sessions + 1;
    loop_run(loop);
    ck_assert_str_eq(buf_text(&heard), words);
    buf_reset(&heard);
}

static void look_at_values(const struct pg_result *result, void *arg)
{
    (void)arg;
    ck_assert_int_eq(pg_status(result), PG_OK);
    ck_assert_int_eq(pg_rows(result), 1);
    ck_assert_int_eq(pg_columns(result), 6);
    ck_assert_str_eq(pg_column_name(result, 1), "text");
    ck_assert_int_eq(pg_int(result, 0, 0), -5);
    ck_assert_str_eq(pg_text(result, 0, 1), "caf\xc3\xa9");
    ck_assert(pg_bool(result, 0, 2));
    ck_assert(!pg_bool(result, 0, 3));
    ck_assert(pg_null(result, 0, 4));
    ck_assert_str_eq(pg_text(result, 0, 4), "");
    ck_assert_int_eq(pg_int(result, 0, 4), 0);
    ck_assert_str_eq(pg_text(result, 0, 5), "2026-01-31 18:00:00+00");
    ck_assert_str_eq(pg_message(result), "");
    loop_stop(loop);
}

START_TEST(values)
{
    static const struct pg_statement all_kinds = {
        "values",
        "select -5::bigint as a, $1::text as text, true, false, null,"
        " '2026-01-31T19:00:00+01:00'::timestamptz",
        1};
    const char *const params[] = {"caf\xc3\xa9"};
    ck_assert_int_eq(pg_query(pg, &all_kinds, params, look_at_values, NULL), 0);
    loop_run(loop);
}
END_TEST

START_TEST(answers_come_in_order_and_an_error_harms_nobody_else)
{
    ask(&echo, "a", "");
    ask(&division, "0", "");
    ask(&division, "1", "");
    ask(&echo, "b", "");
    expect("a 22012 1 b ");
}
END_TEST

START_TEST(a_failed_preparation_does_not_harm_a_later_use)
{
    ask(&broken, NULL, "");
    ask(&broken, NULL, "");
    ask(&echo, "a", "");
    expect("42P01 42P01 a ");
    ask(&broken, NULL, "");
    expect("42P01 ");
    ck_assert_uint_eq(sessions, 1);
}
END_TEST

/* What the commit refuses must not look as if it had worked. */
START_TEST(an_error_at_the_commit_is_the_answer)
{
    static const struct pg_statement add = {"add", "insert into test_child values ($1::integer)",
                                            1};
    static const struct pg_statement count = {"count", "select count(*) from test_child", 0};
    script("create temp table test_parent (id integer primary key);"
           "create temp table test_child (id integer references test_parent deferrable initially "
           "deferred);"
           "insert into test_parent values (1)",
           "");
    ask(&add, "1", "");
    ask(&add, "2", "");
    ask(&add, "1", "");
    ask(&count, NULL, "");
    expect("ok ok 23503 ok 2 ");
}
END_TEST

START_TEST(a_script_is_one_transaction_in_its_place)
{
    static const struct pg_statement count = {"count", "select count(*) from test_s", 0};
    ask(&echo, "before", "");
    script("create temp table test_s (id integer); insert into test_s values (1); select 'done'",
           "");
    ask(&count, NULL, "");
    script("insert into test_s values (2); select 1 / 0; select 2", "");
    script("insert into test_s values (3)", "");
    ask(&count, NULL, "");
    ask(&echo, "after", "");
    ck_assert_uint_eq(pg_pending(pg), 7);
    expect("before done 1 22012 ok 2 after ");
    ck_assert_uint_eq(pg_pending(pg), 0);
}
END_TEST

START_TEST(a_lost_session_is_told_to_everybody_and_replaced)
{
    int pid = pg_backend_pid(pg);
    ask(&echo, "a", "");
    ask(&suicide, NULL, "");
    ask(&echo, "b", "");
    expect("a lost lost down ");
    expect_new_session("up ");
    ck_assert_int_ne(pg_backend_pid(pg), pid);
    ask(&echo, "c", "");
    expect("c ");
}
END_TEST

START_TEST(reconnecting_loses_what_is_pending)
{
    ask(&echo, "a", "1");
    expect("1a ");
    ask(&sleeping, NULL, "2");
    ask(&echo, "b", "3");
    pg_reconnect(pg);
    ck_assert(!pg_is_up(pg));
    ck_assert_str_eq(buf_text(&heard), ""); /* callbacks come from the loop only */
    expect("2lost 3lost down ");
    expect_new_session("up ");
    ask(&echo, "c", "");
    expect("c ");
}
END_TEST

START_TEST(a_statement_that_takes_too_long_is_ended)
{
    ask(&sleeping, NULL, "");
    ask(&echo, "a", "");
    expect("57014 a ");
}
END_TEST

START_TEST(there_is_a_bound)
{
    for (int i = 0; i < PENDING_MAX; i++)
        ask(&echo, "x", "");
    const char *const params[] = {"x", "1"};
    ck_assert_int_eq(pg_query(pg, &echo, params, answered, NULL), ERR_FULL);
    ck_assert_int_eq(pg_script(pg, "select 1", answered, NULL), ERR_FULL);
    loop_run(loop);
    ck_assert_uint_eq(pg_pending(pg), 0);
}
END_TEST

START_TEST(a_statement_outdated_by_a_change_of_tables_costs_one_session)
{
    static const struct pg_statement all = {"all", "select * from test_changing", 0};
    script("drop table if exists test_changing; create table test_changing (a integer)", "");
    ask(&all, NULL, "");
    expect("ok ok ");
    script("alter table test_changing add b text; insert into test_changing values (7, 'x')", "");
    ask(&all, NULL, "");
    loop_run(loop); /* until the answer, or until the session's end that comes with it */
    expect_new_session("ok 0A000 down up ");
    ask(&all, NULL, "");
    script("drop table test_changing", "");
    expect("7 ok ");
}
END_TEST

static void notified(const char *channel, const char *payload, void *arg)
{
    (void)arg;
    (void)buf_printf(&heard, "%s=%s ", channel, payload);
    if (--wait_for == 0)
        loop_stop(loop);
}

START_TEST(notifications)
{
    static const struct pg_statement listen = {"listen", "listen test_channel", 0};
    static const struct pg_statement notify = {"notify", "notify test_channel, 'hello'", 0};
    pg_on_notify(pg, notified, NULL);
    ask(&listen, NULL, "");
    ask(&notify, NULL, "");
    wait_for++;
    loop_run(loop);
    ck_assert_ptr_nonnull(strstr(buf_text(&heard), "test_channel=hello "));
}
END_TEST

static void look_at_many(const struct pg_result *result, void *arg)
{
    (void)arg;
    ck_assert_int_eq(pg_rows(result), 5000);
    for (int i = 0; i < 5000; i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "\"%d\" \\ , {} caf\xc3\xa9", i);
        ck_assert_str_eq(pg_text(result, i, 0), expected);
    }
    loop_stop(loop);
}

START_TEST(large_arrays_there_and_back)
{
    static const struct pg_statement many = {
        "many",
        "select x, repeat(x, 10) from unnest($1::text[]) with ordinality u(x, n) order by n", 1};
    struct buf array;
    buf_init(&array, 1024 * 1024);
    pg_array_begin(&array);
    for (int i = 0; i < 5000; i++) {
        char element[64];
        (void)snprintf(element, sizeof element, "\"%d\" \\ , {} caf\xc3\xa9", i);
        pg_array_text(&array, element);
    }
    pg_array_end(&array);
    const char *const params[] = {buf_text(&array)};
    ck_assert_int_eq(pg_query(pg, &many, params, look_at_many, NULL), 0);
    buf_free(&array); /* it was copied */
    loop_run(loop);
}
END_TEST

/* More than is sent ahead: some wait, in their place, and small ones with them. */
START_TEST(large_queries_wait_for_each_other)
{
    static const struct pg_statement length = {"length", "select length($1::text)::text", 1};
    enum { LARGE = 100000 };
    static char text[LARGE + 1];
    memset(text, 'x', LARGE);
    for (int round = 0; round < 3; round++) {
        ask(&length, "small", "");
        ask(&length, text, "");
        ask(&length, text, "");
        script("select 'script'", "");
        ask(&length, text + LARGE - 30000, "");
        ask(&length, text + LARGE - 30000, "");
        ask(&length, "tiny", "");
        expect("5 100000 100000 script 30000 30000 4 ");
    }
    ask(&length, text, "");
    ask(&length, text, "");
    ask(&length, text, "");
    pg_reconnect(pg); /* those that were held back hear of it too */
    expect("lost lost lost down ");
    expect_new_session("up ");
    ask(&length, text, "");
    expect("100000 ");
}
END_TEST

static void close_it(const struct pg_result *result, void *arg)
{
    (void)result;
    (void)arg;
    pg_close(pg);
    pg_close(NULL);
}

START_TEST(closing_inside_a_callback)
{
    const char *const params[] = {"x", "1"};
    ck_assert_int_eq(pg_query(pg, &echo, params, close_it, NULL), 0);
    ask(&echo, "a", "");
    expect("lost ");
    pg = NULL;
}
END_TEST

START_TEST(a_limit_holds_for_what_follows_it_until_the_session_ends)
{
    static const struct pg_statement show = {"limit_shown",
                                             "select current_setting('statement_timeout')", 0};
    static const struct pg_statement nap = {"nap", "select pg_sleep(0.2)", 0};
    ask(&show, NULL, "");
    ck_assert_int_eq(pg_limit(pg, 100), 0);
    ck_assert_int_eq(pg_limit(pg, 100), 0); /* sends nothing */
    ck_assert_uint_eq(pg_pending(pg), 2);
    ask(&nap, NULL, "");
    ck_assert_int_eq(pg_limit(pg, 300), 0);
    ask(&nap, NULL, "nap:");
    ask(&show, NULL, "");
    expect("500ms 57014 nap: 300ms ");
    pg_reconnect(pg);
    expect_new_session("down up ");
    ask(&show, NULL, "");
    ck_assert_int_eq(pg_limit(pg, 500), 0);
    ck_assert_uint_eq(pg_pending(pg), 1);
    expect("500ms ");
}
END_TEST

START_TEST(the_session_has_its_settings)
{
    static const struct pg_statement show = {
        "show",
        "select current_setting('statement_timeout') || ' ' || current_setting('timezone') || ' ' "
        "||"
        " current_setting('idle_in_transaction_session_timeout') || ' ' ||"
        " current_setting('application_name')",
        0};
    ask(&show, NULL, "");
    expect("500ms UTC 2s checkout-test ");
}
END_TEST

int main(void)
{
    if (getenv("CHECKOUT_DATABASE_URL") == NULL) {
        (void)puts("CHECKOUT_DATABASE_URL is not set: left out");
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("pg_session");
    TCase *tests = tcase_create("a real server");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, values);
    tcase_add_test(tests, answers_come_in_order_and_an_error_harms_nobody_else);
    tcase_add_test(tests, a_failed_preparation_does_not_harm_a_later_use);
    tcase_add_test(tests, an_error_at_the_commit_is_the_answer);
    tcase_add_test(tests, a_script_is_one_transaction_in_its_place);
    tcase_add_test(tests, a_lost_session_is_told_to_everybody_and_replaced);
    tcase_add_test(tests, reconnecting_loses_what_is_pending);
    tcase_add_test(tests, a_statement_that_takes_too_long_is_ended);
    tcase_add_test(tests, there_is_a_bound);
    tcase_add_test(tests, a_statement_outdated_by_a_change_of_tables_costs_one_session);
    tcase_add_test(tests, notifications);
    tcase_add_test(tests, large_arrays_there_and_back);
    tcase_add_test(tests, large_queries_wait_for_each_other);
    tcase_add_test(tests, closing_inside_a_callback);
    tcase_add_test(tests, a_limit_holds_for_what_follows_it_until_the_session_ends);
    tcase_add_test(tests, the_session_has_its_settings);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
