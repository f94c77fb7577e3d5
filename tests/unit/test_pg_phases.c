/* Sessions with a PostgreSQL that refuses, dies, hangs or is read-only, in each phase; the server
 * is a script. (test_pg_cut.c: one that leaves in the middle of an answer.) */
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

#define ANSWER_MS 60

static struct pg *pg;

static void answered(const struct pg_result *result, void *arg)
{
    (void)arg;
    enum pg_status status = pg_status(result);
    say(status == PG_LOST ? "lost" : status == PG_OK ? "fine" : pg_sqlstate(result));
}

static int judge(const struct pg_result *result, char *ret_reason, size_t reason_size)
{
    const char *found = pg_status(result) == PG_OK ? pg_text(result, 0, 0) : pg_sqlstate(result);
    (void)snprintf(ret_reason, reason_size, "it says %s", found);
    return strcmp(found, "7") == 0 ? 0 : ERR_CONFLICT;
}

static const struct pg_greeting *greeting;

static void open_url(uint32_t answer_ms, const char *options_of_url)
{
    char url[128];
    (void)snprintf(url, sizeof url, "postgresql://ann:word@127.0.0.1:%u/x?sslmode=disable%s",
                   fake_server_port(words.server), options_of_url);
    const struct pg_options options = {.url = url,
                                       .application_name = PG_SCRIPT_SESSION,
                                       .greeting = greeting,
                                       .answer_timeout_ms = answer_ms,
                                       .pending_max = 4};
    pg = pg_open(words.loop, &options, say_changed, NULL);
    ck_assert_ptr_nonnull(pg);
}

static void open_session(uint32_t answer_ms)
{
    open_url(answer_ms, "");
}

static void ask(void)
{
    static const struct pg_statement touch = {"touch", "select touch()", 0};
    ck_assert_int_eq(pg_query(pg, &touch, NULL, answered, NULL), 0);
}

static void set_up(void)
{
    words_begin();
    greeting = NULL;
    pg = NULL;
}

static void tear_down(void)
{
    pg_close(pg);
    words_end();
}

/* ---- connecting ---- */

START_TEST(a_refused_connect_is_told_and_tried_again)
{
    open_session(0);
    hear(1);
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "Connection refused"));
    ck_assert_int_eq(pg_fault(pg), ERR_UNAVAILABLE);
    FOLLOW(LOGIN, HOLD);
    expect(1, "up; ");
    ck_assert_int_eq(pg_fault(pg), 0);
}
END_TEST

START_TEST(it_dies_in_the_login_and_comes_back)
{
    FOLLOW(ACCEPT, STARTUP, CLOSE, ACCEPT, STARTUP, SAY(GREETING), CLOSE, LOGIN, QUERY, ANSWER,
           HOLD);
    open_session(0);
    words.wanted = 2; /* the same reason is told once */
    loop_run(words.loop);
    ck_assert_ptr_nonnull(
        strstr(buf_text(&words.heard), "server closed the connection unexpectedly"));
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "up; "));
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(a_mute_server_is_given_up)
{
    FOLLOW(ACCEPT, STARTUP, HOLD, LOGIN, HOLD);
    open_session(0);
    struct loop_timer *turn = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(turn, 1, 1);
    while (pg->phase != PG_PHASE_CONNECTING || fake_server_done(words.server) < 2)
        loop_run(words.loop);
    loop_timer_free(turn);
    words.wanted = 9;
    pg_timer_fired(pg); /* its 5 s are over */
    ck_assert_str_eq(buf_text(&words.heard), "no connection within 5 s; ");
    expect(1, "up; ");
}
END_TEST

START_TEST(a_refused_login_is_no_outage)
{
    FOLLOW(ACCEPT, STARTUP, ERROR("FATAL", "28P01", "\x1e"), CLOSE);
    open_session(0);
    hear(1);
    ck_assert_int_eq(pg_fault(pg), ERR_AUTH);
}
END_TEST

/* ---- servers that take no writes ---- */

START_TEST(a_writer_passes_a_read_only_server_over)
{
    FOLLOW(ACCEPT, STARTUP, SAY(GREETING READ_ONLY READY), HOLD, LOGIN, HOLD);
    open_session(0);
    hear(2);
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "session is read-only"));
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "up; "));
}
END_TEST

START_TEST(who_says_so_in_the_url_takes_it)
{
    FOLLOW(ACCEPT, STARTUP, SAY(GREETING READ_ONLY READY), HOLD);
    open_url(0, "&target_session_attrs=any");
    expect(1, "up; ");
}
END_TEST

START_TEST(a_server_that_became_read_only_is_left)
{
    FOLLOW(LOGIN, QUERY, ERROR("ERROR", "25006", "\x1e"), SAY(READY), HOLD, LOGIN, QUERY, ANSWER,
           HOLD);
    open_session(0);
    expect(1, "up; ");
    ask();
    expect(3, "25006; the server has become read-only; up; ");
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(another_error_ends_nothing)
{
    FOLLOW(LOGIN, QUERY, ERROR("ERROR", "40001", "\x1e"), SAY(READY), QUERY, ANSWER, HOLD);
    open_session(0);
    expect(1, "up; ");
    ask();
    expect(1, "40001; ");
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(a_server_that_shuts_down_is_left)
{
    FOLLOW(LOGIN, QUERY, ERROR("FATAL", "57P01", "\x1e"), CLOSE, LOGIN, HOLD);
    open_session(0);
    expect(1, "up; ");
    ask();
    hear(3);
    ck_assert_int_eq(strncmp(buf_text(&words.heard), "lost; ", 6), 0);
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "up; "));
}
END_TEST

/* ---- the greeting ---- */

static void greet(void)
{
    static const struct pg_statement statement = {"greet", "select greet()", 0};
    static const struct pg_greeting first = {&statement, judge};
    greeting = &first;
}

START_TEST(a_session_is_up_when_its_greeting_suits)
{
    FOLLOW(LOGIN, QUERY, ROW("7"), QUERY, ANSWER, HOLD);
    greet();
    open_session(ANSWER_MS);
    expect(1, "up; ");
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(one_that_does_not_suit_is_told_once_and_tried_again)
{
    FOLLOW(LOGIN, QUERY, ROW("6"), HOLD, LOGIN, QUERY, ROW("6"), HOLD, LOGIN, QUERY,
           ERROR("ERROR", "42883", "\x1e"), SAY(READY), HOLD, LOGIN, QUERY, ROW("7"), HOLD);
    greet();
    open_session(0);
    expect(1, "it says 6; ");
    ck_assert_int_eq(pg_fault(pg), ERR_CONFLICT);
    ck_assert(!pg_is_up(pg));
    static const struct pg_statement touch = {"touch", "select touch()", 0};
    ck_assert_int_eq(pg_query(pg, &touch, NULL, answered, NULL), ERR_UNAVAILABLE);
    expect(2, "it says 42883; up; ");
    ck_assert_int_eq(pg_fault(pg), 0);
}
END_TEST

START_TEST(it_dies_in_the_greeting_and_comes_back)
{
    FOLLOW(LOGIN, QUERY, CLOSE, LOGIN, QUERY, SAY("1\0\0\0\4"), CLOSE, LOGIN, QUERY, ROW("7"),
           HOLD);
    greet();
    open_session(0);
    hear(2);
    ck_assert_ptr_nonnull(
        strstr(buf_text(&words.heard), "server closed the connection unexpectedly"));
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "up; "));
}
END_TEST

START_TEST(a_greeting_without_an_answer_is_given_up)
{
    FOLLOW(LOGIN, QUERY, HOLD, LOGIN, QUERY, ROW("7"), HOLD);
    greet();
    open_session(0);
    struct loop_timer *turn = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(turn, 1, 1);
    while (pg->phase != PG_PHASE_GREETING)
        loop_run(words.loop);
    loop_timer_free(turn);
    words.wanted = 9;
    pg_timer_fired(pg); /* its 5 s are over */
    ck_assert_str_eq(buf_text(&words.heard), "no connection within 5 s; ");
    expect(1, "up; ");
}
END_TEST

START_TEST(it_may_be_closed_while_it_greets)
{
    FOLLOW(LOGIN, QUERY, HOLD);
    greet();
    open_session(0);
    struct loop_timer *turn = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(turn, 1, 1);
    while (pg->phase != PG_PHASE_GREETING)
        loop_run(words.loop);
    loop_timer_free(turn);
    pg_close(pg); /* its answer never comes, and is not judged */
    pg = NULL;
    ck_assert_str_eq(buf_text(&words.heard), "");
}
END_TEST

/* ---- answers that never come ---- */

START_TEST(a_query_without_an_answer_ends_the_session)
{
    FOLLOW(LOGIN, QUERY, ANSWER, QUERY, QUERY, SAY("1\0\0\0\4"), HOLD, LOGIN, QUERY, ANSWER, HOLD);
    open_session(ANSWER_MS);
    expect(1, "up; ");
    ask();
    expect(1, "fine; ");
    ask();
    ask();
    expect(4, "lost; lost; no answer to a query within 60 ms; up; ");
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(a_script_without_an_answer_ends_the_session)
{
    FOLLOW(LOGIN, UNTIL("drop everything"), HOLD, LOGIN, QUERY, ANSWER, HOLD);
    open_session(ANSWER_MS);
    expect(1, "up; ");
    ck_assert_int_eq(pg_script(pg, "drop everything", answered, NULL), 0);
    ask(); /* waits for its end */
    expect(4, "lost; lost; no answer to a query within 60 ms; up; ");
    ask();
    expect(1, "fine; ");
}
END_TEST

START_TEST(the_bound_may_change_while_a_query_waits)
{
    FOLLOW(LOGIN, QUERY, HOLD, LOGIN, QUERY, HOLD, LOGIN, HOLD);
    open_session(0);
    expect(1, "up; ");
    ask();
    pg_patience(pg, ANSWER_MS);
    expect(3, "lost; no answer to a query within 60 ms; up; ");
    ask(); /* a new session has it, too */
    expect(3, "lost; no answer to a query within 60 ms; up; ");
}
END_TEST

START_TEST(the_bound_may_be_taken_away)
{
    FOLLOW(LOGIN, QUERY, HOLD);
    open_session(ANSWER_MS);
    expect(1, "up; ");
    ask();
    pg_patience(pg, 0);
    struct loop_timer *later = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(later, (uint64_t)ANSWER_MS * 3, 0);
    words.wanted = 9;
    loop_run(words.loop);
    loop_timer_free(later);
    ck_assert_str_eq(buf_text(&words.heard), "");
}
END_TEST

START_TEST(an_answer_that_came_while_we_were_slow_counts)
{
    FOLLOW(LOGIN, QUERY, ANSWER, HOLD);
    open_session(ANSWER_MS);
    expect(1, "up; ");
    ask(); /* leaves at once */
    words.wanted = 9;
    while (!pg_wire_readable(pg->pipeline.wire))
        ;
    pg->pipeline.waits_since_ms -= ANSWER_MS * 2;
    pg_deadline_fired(pg);
    ck_assert_str_eq(buf_text(&words.heard), "fine; ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_phases");
    TCase *tests = tcase_create("a scripted server");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, a_refused_connect_is_told_and_tried_again);
    tcase_add_test(tests, it_dies_in_the_login_and_comes_back);
    tcase_add_test(tests, a_mute_server_is_given_up);
    tcase_add_test(tests, a_refused_login_is_no_outage);
    tcase_add_test(tests, a_writer_passes_a_read_only_server_over);
    tcase_add_test(tests, who_says_so_in_the_url_takes_it);
    tcase_add_test(tests, a_server_that_became_read_only_is_left);
    tcase_add_test(tests, another_error_ends_nothing);
    tcase_add_test(tests, a_server_that_shuts_down_is_left);
    tcase_add_test(tests, a_session_is_up_when_its_greeting_suits);
    tcase_add_test(tests, one_that_does_not_suit_is_told_once_and_tried_again);
    tcase_add_test(tests, it_dies_in_the_greeting_and_comes_back);
    tcase_add_test(tests, a_greeting_without_an_answer_is_given_up);
    tcase_add_test(tests, it_may_be_closed_while_it_greets);
    tcase_add_test(tests, a_query_without_an_answer_ends_the_session);
    tcase_add_test(tests, a_script_without_an_answer_ends_the_session);
    tcase_add_test(tests, the_bound_may_change_while_a_query_waits);
    tcase_add_test(tests, the_bound_may_be_taken_away);
    tcase_add_test(tests, an_answer_that_came_while_we_were_slow_counts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
