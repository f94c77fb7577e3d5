/* Sessions behind a pooler of connections: one that gives each client a session of its own, one
 * that shares them, and one that is full. The server and the pooler are one script. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/net/pg/pg.h"
#include "common/net/pg/pg_impl.h"
#include "tests/fake/pg_script.h"
#include "tests/fake/stage_words.h"

#define SHARED "a connection pooler shares sessions between clients"
/* A login as the backend 9, and one whose process id the pooler has made up. */
#define LOGIN_AT_9 ACCEPT, STARTUP, SAY(GREETING WRITABLE "K\0\0\0\x0c\0\0\0\x09\0\0\0\x01" READY)
#define POOLED LOGIN, QUERY, IDENTITY("9")
/* The second session, up to what its first statement is answered. */
#define SECOND ALSO, STARTUP, SAY(GREETING WRITABLE READY), QUERY
#define SETTLED(backend) QUERY, ROW(backend)

static struct pg_cluster *cluster;
static struct pg *pg;

static void open_session(void)
{
    char url[128];
    (void)snprintf(url, sizeof url, "postgresql://ann:word@127.0.0.1:%u/x?sslmode=disable",
                   fake_server_port(words.server));
    cluster = pg_cluster_new(words.loop, url, PG_SCRIPT_SESSION);
    const struct pg_options options = {.url = url,
                                       .cluster = cluster,
                                       .application_name = PG_SCRIPT_SESSION,
                                       .statement_timeout_ms = 4000,
                                       .pending_max = 4};
    pg = pg_open(words.loop, &options, say_changed, NULL);
    ck_assert_ptr_nonnull(pg);
}

static void tear_down(void)
{
    pg_close(pg);
    pg_cluster_free(cluster);
    words_end();
}

static void expect_fault(int fault, const char *reason)
{
    hear(1);
    ck_assert_int_eq(pg_fault(pg), fault);
    ck_assert_msg(strstr(buf_text(&words.heard), reason) != NULL, "heard: %s",
                  buf_text(&words.heard));
    ck_assert(!pg_is_up(pg));
    ck_assert(!pg_pooled(pg));
}

/* ---- each client has a session of its own ---- */

START_TEST(without_a_pooler_there_is_no_second_session)
{
    FOLLOW(LOGIN_AT_9, QUERY, IDENTITY("9"), HOLD);
    open_session();
    expect(1, "up; ");
    ck_assert(!pg_pooled(pg));
    ck_assert_int_eq(pg_backend_pid(pg), 9);
}
END_TEST

START_TEST(its_settings_are_set_and_its_backend_is_known)
{
    FOLLOW(POOLED, SECOND, IDENTITY("8"), HOLD, BACK, UNTIL("statement_timeout"), UNTIL("4000"),
           SETTLED("9"), SETTLED("9"), HOLD);
    open_session();
    expect(1, "up; ");
    ck_assert(pg_pooled(pg));
    ck_assert_int_eq(pg_backend_pid(pg), 9);
}
END_TEST

START_TEST(settings_that_are_refused_are_told)
{
    FOLLOW(POOLED, SECOND, IDENTITY("8"), HOLD, BACK, QUERY, ERROR("ERROR", "42501", "\x1e"),
           SAY(READY), HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, "its settings are refused");
}
END_TEST

/* ---- sessions are shared ---- */

START_TEST(one_backend_for_two_sessions)
{
    FOLLOW(POOLED, SECOND, IDENTITY("9"), HOLD, BACK, HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

START_TEST(the_second_finds_a_statement_of_others)
{
    FOLLOW(POOLED, SECOND, ERROR("ERROR", "42P05", "\x1e"), SAY(READY), HOLD, BACK, HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

START_TEST(the_first_finds_a_statement_of_others)
{
    FOLLOW(LOGIN, QUERY, ERROR("ERROR", "42P05", "\x1e"), SAY(READY), HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

START_TEST(another_backend_at_the_next_look)
{
    FOLLOW(POOLED, SECOND, IDENTITY("8"), HOLD, BACK, SETTLED("7"), HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

START_TEST(a_statement_of_others_at_the_next_look)
{
    FOLLOW(POOLED, SECOND, IDENTITY("8"), HOLD, BACK, QUERY, ERROR("ERROR", "42P05", "\x1e"),
           SAY(READY), HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

START_TEST(two_backends_in_turn)
{
    FOLLOW(POOLED, SECOND, IDENTITY("8"), HOLD, BACK, SETTLED("9"), SETTLED("8"), HOLD);
    open_session();
    expect_fault(ERR_CONFLICT, SHARED);
}
END_TEST

/* ---- nothing is known of it ---- */

/* Until the second session waits for its first answer. */
static void run_until_it_waits(void)
{
    struct loop_timer *turn = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(turn, 1, 1);
    while (pg->pooler.probe == NULL || pg->pooler.probe->phase != PG_PHASE_GREETING)
        loop_run(words.loop);
    loop_timer_free(turn);
}

START_TEST(without_a_place_for_the_second_the_first_is_not_used)
{
    FOLLOW(POOLED, SECOND, HOLD, BACK, HOLD, POOLED, SECOND, IDENTITY("8"), HOLD, BACK,
           SETTLED("9"), SETTLED("9"), HOLD);
    open_session();
    run_until_it_waits();
    words.wanted = 9;
    pg_timer_fired(pg); /* its 5 s are over */
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "gives a second session no place"));
    ck_assert_int_eq(pg_fault(pg), ERR_UNAVAILABLE);
    expect(1, "up; ");
}
END_TEST

START_TEST(why_the_second_was_not_let_in_is_told)
{
    FOLLOW(POOLED, ALSO, STARTUP, ERROR("FATAL", "08P01", "\x1e"), CLOSE, BACK, HOLD, POOLED,
           SECOND, IDENTITY("8"), HOLD, BACK, SETTLED("9"), SETTLED("9"), HOLD);
    open_session();
    expect_fault(ERR_UNAVAILABLE, "gives no second session");
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), ": no"));
    expect(1, "up; ");
}
END_TEST

START_TEST(it_may_be_closed_while_the_second_waits)
{
    FOLLOW(POOLED, SECOND, HOLD, BACK, HOLD);
    open_session();
    run_until_it_waits();
    pg_close(pg);
    pg = NULL;
    ck_assert_str_eq(buf_text(&words.heard), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_pooler");
    TCase *tests = tcase_create("a scripted pooler");
    tcase_add_checked_fixture(tests, words_begin, tear_down);
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, without_a_pooler_there_is_no_second_session);
    tcase_add_test(tests, its_settings_are_set_and_its_backend_is_known);
    tcase_add_test(tests, settings_that_are_refused_are_told);
    tcase_add_test(tests, one_backend_for_two_sessions);
    tcase_add_test(tests, the_second_finds_a_statement_of_others);
    tcase_add_test(tests, the_first_finds_a_statement_of_others);
    tcase_add_test(tests, another_backend_at_the_next_look);
    tcase_add_test(tests, a_statement_of_others_at_the_next_look);
    tcase_add_test(tests, two_backends_in_turn);
    tcase_add_test(tests, without_a_place_for_the_second_the_first_is_not_used);
    tcase_add_test(tests, why_the_second_was_not_let_in_is_told);
    tcase_add_test(tests, it_may_be_closed_while_the_second_waits);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
