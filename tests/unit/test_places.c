#include "notifier/places.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_ws.h"

#define SOCKETS 600
#define TELL_MAX 512
#define TICK_MS 500
#define READ_EACH_MS 2000

struct socket {
    struct session session;
    struct ws ws;
};

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct pg *pg;
static struct places *places;
static struct socket *sockets;
static int listening;
static int listen_code;

static int listen_to(const char *sku, void *arg)
{
    (void)sku;
    (void)arg;
    listening++;
    return listen_code;
}

static void unlisten(const char *sku, void *arg)
{
    (void)sku;
    (void)arg;
    listening--;
}

static void setup(void)
{
    fake_loop_reset();
    loop = loop_new();
    metrics = metrics_new();
    stats_init(&stats, metrics);
    pg = fake_pg_new();
    fake_pg_up(pg);
    listening = 0;
    listen_code = 0;
    const struct places_channels channels = {.listen = listen_to, .unlisten = unlisten};
    places = places_new(loop, pg, &channels, &stats);
    ck_assert_ptr_nonnull(places);
    sockets = calloc(SOCKETS, sizeof *sockets);
    for (size_t i = 0; i < SOCKETS; i++)
        sockets[i].session = (struct session){.ws = &sockets[i].ws, .stats = &stats};
}

static void teardown(void)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        places_forget(places, &sockets[i].session);
        fake_ws_clear(&sockets[i].ws);
    }
    ck_assert_int_eq(listening, 0);
    pg_close(pg); /* what is asked is lost */
    places_free(places);
    free(sockets);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static struct envelope event_of(size_t number, const char *status, int64_t sequence, int64_t place)
{
    struct envelope envelope = {.sequence = sequence, .id = 4000 + (int64_t)number, .place = place};
    envelope.order[14] = (unsigned char)(number / 256);
    envelope.order[15] = (unsigned char)number;
    envelope_set_line(&envelope, status, "hat");
    return envelope;
}

static void pushed(size_t number, const char *status, int64_t sequence, int64_t place)
{
    const struct envelope envelope = event_of(number, status, sequence, place);
    places_pushed(places, &sockets[number].session, &envelope);
}

static void heard(int head, int next, int waiting)
{
    char text[128];
    int len = snprintf(text, sizeof text,
                       "{\"version\":1,\"head\":%d,\"next\":%d,\"waiting\":%d,\"behind_ms\":0}",
                       head, next, waiting);
    places_heard(places, "hat", 3, text, (size_t)len);
    fake_loop_run(1);
}

static void answer(const char *query, const char *rows)
{
    fake_pg_answer(pg, query, rows);
    fake_loop_run(1);
}

/* The last thing that a socket was told has this in it. */
static void assert_told(size_t number, size_t count, const char *what)
{
    const struct ws *ws = &sockets[number].ws;
    ck_assert_uint_eq(ws->count, count);
    if (count > 0)
        ck_assert_msg(strstr(ws->sent[count - 1], what) != NULL, "%s", ws->sent[count - 1]);
}

/* Three wait with the tickets 5, 6 and 7, which is known. */
static void three_wait(void)
{
    for (size_t i = 0; i < 3; i++)
        pushed(i, "waiting", 1, (int64_t)i + 1);
    fake_loop_run(TICK_MS);
    answer("tickets", "1|5|1000000;2|6|1000000;3|7|1000000");
    ck_assert_str_eq(fake_pg_param(pg, 0), "hat");
    answer("line", "5|8|3|0|5+3");
    assert_told(2, 1, "\"place_in_line\":3,\"expires_at\":");
}

START_TEST(who_waits_is_told_its_place_while_it_falls)
{
    three_wait();
    ck_assert_int_eq(listening, 1);
    heard(6, 8, 2);
    assert_told(1, 2, "\"place_in_line\":1");
    assert_told(2, 2, "\"place_in_line\":2");
    heard(6, 9, 3); /* somebody came behind */
    assert_told(2, 2, "\"place_in_line\":2");
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(whose_order_has_moved_on_is_told_no_more)
{
    three_wait();
    pushed(2, "rejected", 2, 0);
    heard(6, 8, 1);
    assert_told(2, 1, "\"place_in_line\":3");
    pushed(0, "reserved", 2, 0);
    pushed(1, "cancelled", 2, 0);
    ck_assert_int_eq(listening, 0);
    heard(8, 8, 0);
    assert_told(1, 2, "\"place_in_line\":1");
}
END_TEST

START_TEST(a_gap_in_the_middle_has_the_line_read_again_but_not_at_once)
{
    three_wait();
    heard(5, 8, 2);
    assert_told(2, 2, "\"place_in_line\":2"); /* no more than wait at all */
    fake_loop_run(READ_EACH_MS - TICK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(TICK_MS);
    answer("line", "6|8|2|0|6+2");
    assert_told(1, 2, "\"place_in_line\":1");
    assert_told(2, 2, "\"place_in_line\":2");
    fake_loop_run(READ_EACH_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(who_connects_again_is_told_by_a_newer_reading)
{
    three_wait();
    heard(5, 8, 3);
    pushed(3, "waiting", 1, 0); /* replayed: an older socket may know more than the last reading */
    fake_loop_run(TICK_MS);
    answer("tickets", "1|7|1000000");
    assert_told(3, 0, NULL);
    fake_loop_run(READ_EACH_MS);
    assert_told(3, 0, NULL);
    answer("line", "5|8|2|0|5+1 7+1");
    assert_told(3, 1, "\"place_in_line\":2");
}
END_TEST

START_TEST(a_reading_that_was_under_way_is_not_new_enough)
{
    pushed(0, "waiting", 1, 0);
    fake_loop_run(TICK_MS);
    answer("tickets", "1|5|1000000");
    pushed(1, "waiting", 1, 0);
    answer("line", "5|8|3|0|5+3");
    assert_told(0, 1, "\"place_in_line\":1");
    fake_loop_run(READ_EACH_MS);
    answer("tickets", "1|6|1000000");
    assert_told(1, 0, NULL);
    answer("line", "5|8|3|0|5+3");
    assert_told(1, 1, "\"place_in_line\":2");
}
END_TEST

START_TEST(where_redis_is_silent_the_line_is_read)
{
    listen_code = ERR_NOMEM;
    three_wait();
    fake_loop_run(6 * 1000);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(2 * TICK_MS);
    answer("line", "7|8|1|null|7+1");
    assert_told(2, 2, "\"place_in_line\":1}}");
    fake_loop_run(4900);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(TICK_MS);
    answer("line", "7|8|1|0|7+1");
    assert_told(2, 3, "\"place_in_line\":1,\"expires_at\"");
}
END_TEST

START_TEST(who_reads_slowly_or_is_in_a_replay_is_told_later)
{
    three_wait();
    sockets[1].ws.buffered = WS_BUFFER_LOW + 1;
    sockets[2].session.holding = true;
    heard(6, 8, 2);
    assert_told(1, 1, "\"place_in_line\":2");
    assert_told(2, 1, "\"place_in_line\":3");
    sockets[1].ws.buffered = 0;
    sockets[2].session.holding = false;
    fake_loop_run(TICK_MS);
    assert_told(1, 2, "\"place_in_line\":1");
    assert_told(2, 2, "\"place_in_line\":2");
}
END_TEST

START_TEST(an_order_that_does_not_wait_any_more_has_no_ticket)
{
    pushed(0, "waiting", 1, 1);
    fake_loop_run(TICK_MS);
    answer("tickets", "");
    ck_assert_int_eq(listening, 0);
    answer("line", "8|8|0|0|null");
    assert_told(0, 0, NULL);
}
END_TEST

START_TEST(what_was_lost_is_asked_again)
{
    pushed(0, "waiting", 1, 1);
    fake_loop_run(TICK_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "tickets");
    fake_pg_down(pg);
    fake_loop_run(10 * TICK_MS);
    fake_pg_up(pg);
    fake_loop_run(TICK_MS);
    fake_pg_refuse(pg, "tickets", "57014");
    fake_pg_refuse(pg, "line", "57014");
    fake_loop_run(READ_EACH_MS);
    answer("tickets", "1|5|1000000");
    answer("line", "5|8|3|0|what"); /* not understood */
    fake_loop_run(READ_EACH_MS);
    answer("line", "");
    fake_loop_run(READ_EACH_MS);
    answer("line", "5|6|1|0|5+1");
    assert_told(0, 1, "\"place_in_line\":1");
}
END_TEST

START_TEST(a_session_ends_while_it_is_asked_for)
{
    pushed(0, "waiting", 1, 1);
    pushed(1, "waiting", 1, 2);
    fake_loop_run(TICK_MS);
    places_forget(places, &sockets[0].session);
    answer("tickets", "1|5|1000000;2|6|1000000;9|1|1");
    places_forget(places, &sockets[1].session);
    ck_assert_int_eq(listening, 0);
    answer("line", "5|8|3|0|5+3");
    heard(5, 8, 3);
    assert_told(1, 0, NULL);
}
END_TEST

START_TEST(many_are_told_in_turns_of_the_loop_and_cost_no_question)
{
    char rows[256 * 24];
    for (size_t i = 0; i < SOCKETS; i++)
        pushed(i, "waiting", 1, (int64_t)i + 1);
    for (int asked = 0; asked < SOCKETS; asked += 256) {
        size_t len = 0;
        rows[0] = '\0';
        fake_loop_run(TICK_MS);
        for (int n = 1; n <= 256 && asked + n <= SOCKETS; n++)
            len += (size_t)snprintf(rows + len, sizeof rows - len, "%s%d|%d|1000000",
                                    n == 1 ? "" : ";", n, asked + n);
        answer("tickets", rows);
        if (asked == 0)
            answer("line", "1|601|600|0|1+600");
    }
    fake_loop_run(TICK_MS);
    assert_told(SOCKETS - 1, 1, "\"place_in_line\":600");
    heard(2, 601, 599);
    assert_told(TELL_MAX - 1, 2, "\"place_in_line\":511");
    places_forget(places, &sockets[TELL_MAX].session); /* who would have been next */
    fake_loop_run(1);
    assert_told(TELL_MAX, 1, "\"place_in_line\":513");
    assert_told(SOCKETS - 1, 2, "\"place_in_line\":599");
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(a_message_that_is_no_line_harms_nobody)
{
    three_wait();
    places_heard(places, "hat", 3, "x", 1);
    places_heard(places, "cap", 3, "x", 1);
    ck_assert(metric_value(stats.unreadable) == 1);
    heard(6, 8, 2);
    assert_told(2, 2, "\"place_in_line\":2");
}
END_TEST

START_TEST(a_buyer_of_very_many_orders_is_told_of_some)
{
    for (size_t i = 0; i < 2 * PLACES_OF_SESSION; i++) {
        const struct envelope envelope = event_of(i, "waiting", 1, 1);
        places_pushed(places, &sockets[0].session, &envelope);
    }
    size_t count = 0;
    for (size_t i = 0; i < 2 * PLACES_OF_SESSION; i++) {
        const struct envelope envelope = event_of(i, "rejected", 2, 0);
        places_pushed(places, &sockets[0].session, &envelope);
        count += listening == 1;
    }
    ck_assert_uint_eq(count, PLACES_OF_SESSION - 1);
}
END_TEST

START_TEST(an_item_without_a_name_has_no_line)
{
    struct envelope envelope = event_of(0, "waiting", 1, 1);
    envelope_set_line(&envelope, "waiting", NULL);
    places_pushed(places, &sockets[0].session, &envelope);
    envelope_set_line(&envelope, "waiting", "no name");
    places_pushed(places, &sockets[0].session, &envelope);
    ck_assert_int_eq(listening, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("places");
    TCase *tests = tcase_create("places");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, who_waits_is_told_its_place_while_it_falls);
    tcase_add_test(tests, whose_order_has_moved_on_is_told_no_more);
    tcase_add_test(tests, a_gap_in_the_middle_has_the_line_read_again_but_not_at_once);
    tcase_add_test(tests, who_connects_again_is_told_by_a_newer_reading);
    tcase_add_test(tests, a_reading_that_was_under_way_is_not_new_enough);
    tcase_add_test(tests, where_redis_is_silent_the_line_is_read);
    tcase_add_test(tests, who_reads_slowly_or_is_in_a_replay_is_told_later);
    tcase_add_test(tests, an_order_that_does_not_wait_any_more_has_no_ticket);
    tcase_add_test(tests, what_was_lost_is_asked_again);
    tcase_add_test(tests, a_session_ends_while_it_is_asked_for);
    tcase_add_test(tests, many_are_told_in_turns_of_the_loop_and_cost_no_question);
    tcase_add_test(tests, a_message_that_is_no_line_harms_nobody);
    tcase_add_test(tests, a_buyer_of_very_many_orders_is_told_of_some);
    tcase_add_test(tests, an_item_without_a_name_has_no_line);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
