#include "notifier/replay.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_ws.h"

#define SOCKETS 10
#define PAGE 64
#define RETRY_MS 1000

struct socket {
    struct session session;
    struct ws ws;
};

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct registry *registry;
static struct replay *replay;
static struct pg *pg;
static struct socket sockets[SOCKETS];

static void setup(void)
{
    fake_loop_reset();
    fake_pg_reset();
    loop = loop_new();
    metrics = metrics_new();
    stats_init(&stats, metrics);
    registry = registry_new(SOCKETS, SOCKETS);
    replay = replay_new(loop, "postgresql://x", registry, &stats);
    ck_assert_ptr_nonnull(replay);
    pg = fake_pg(0);
    for (size_t i = 0; i < SOCKETS; i++) {
        struct session *session = &sockets[i].session;
        bool first;
        *session = (struct session){.ws = &sockets[i].ws, .stats = &stats};
        session->member.owner = session;
        buf_init(&session->held, SESSION_HELD_MAX);
        ck_assert_int_eq(registry_join(registry, "ann", &session->member, &first), 0);
        replay_welcome(session, -1);
    }
}

static void teardown(void)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        replay_forget(replay, &sockets[i].session);
        (void)registry_leave(registry, &sockets[i].session.member);
        session_clear(&sockets[i].session);
        fake_ws_clear(&sockets[i].ws);
    }
    replay_free(replay);
    registry_free(registry);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static void up(void)
{
    fake_pg_up(pg);
    fake_pg_answer(pg, "replay_settings", "");
}

/* Rows of the events `first` to `last`, each of an order of its own. */
static const char *events(int first, int last)
{
    static char rows[PAGE * 256];
    size_t len = 0;
    rows[0] = '\0';
    for (int id = first; id <= last; id++)
        len += (size_t)snprintf(
            rows + len, sizeof rows - len,
            "%s%d|2|1800000000000|fe26c749-3126-8d97-b674-%012d|hat|1|reserved|null|null|1000|usd|"
            "null|null",
            id == first ? "" : ";", id, id);
    return rows;
}

/* A live event of order `number`. */
static void live(struct socket *socket, int number, int64_t sequence)
{
    char order[64], text[64];
    (void)snprintf(order, sizeof order, "fe26c749-3126-8d97-b674-%012d", number);
    (void)snprintf(text, sizeof text, "live %d.%d", number, (int)sequence);
    struct envelope envelope = {.sequence = sequence};
    ck_assert_int_eq(envelope_parse_order(order, envelope.order), 0);
    session_offer(&socket->session, &envelope, text, strlen(text));
}

static void request(struct socket *socket)
{
    replay_request(replay, &socket->session);
}

START_TEST(who_connects_is_told_of_its_open_orders_and_live_events_wait_for_that)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_open");
    ck_assert_str_eq(fake_pg_param(pg, 0), "ann");
    live(ann, 1, 3);
    live(ann, 2, 1); /* older than what the page has */
    ck_assert_uint_eq(ann->ws.count, 0);
    fake_pg_answer(pg, "replay_open", events(1, 2));
    ck_assert_uint_eq(ann->ws.count, 3);
    ck_assert_ptr_nonnull(strstr(ann->ws.sent[0], "000000000001"));
    ck_assert_str_eq(ann->ws.sent[2], "live 1.3");
    live(ann, 3, 1);
    ck_assert_str_eq(ann->ws.sent[3], "live 3.1"); /* at once from now on */
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(who_names_its_last_event_is_told_what_came_after)
{
    up();
    replay_welcome(&sockets[0].session, 77);
    request(&sockets[0]);
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_after");
    ck_assert_str_eq(fake_pg_param(pg, 1), "77");
    ck_assert_str_eq(fake_pg_param(pg, 2), "0");
    fake_pg_answer(pg, "replay_after", "");
    request(&sockets[0]);
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_recent"); /* the first one is done */
}
END_TEST

START_TEST(without_the_database_live_events_flow_and_the_replay_follows)
{
    struct socket *ann = &sockets[0];
    request(ann);
    live(ann, 1, 1);
    ck_assert_uint_eq(ann->ws.count, 1);
    up();
    fake_pg_answer(pg, "replay_open", events(2, 2));
    ck_assert_uint_eq(ann->ws.count, 2);
}
END_TEST

START_TEST(a_replay_that_is_lost_lets_live_events_go_and_begins_anew)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    fake_pg_answer(pg, "replay_open", events(1, PAGE));
    live(ann, 1, 9);
    ck_assert_uint_eq(ann->ws.count, PAGE); /* held: its second page is on its way */
    fake_pg_down(pg);
    ck_assert_uint_eq(ann->ws.count, PAGE + 1);
    up();
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_open");
    ck_assert_str_eq(fake_pg_param(pg, 2), "0"); /* from its beginning */
    fake_pg_answer(pg, "replay_open", events(1, 2));
    ck_assert_uint_eq(ann->ws.count, PAGE + 1); /* both were told */
}
END_TEST

START_TEST(a_queued_replay_does_not_hold_live_events_while_the_database_is_away)
{
    up();
    for (size_t i = 0; i < SOCKETS; i++)
        request(&sockets[i]);
    live(&sockets[SOCKETS - 1], 1, 1);
    ck_assert_uint_eq(sockets[SOCKETS - 1].ws.count, 0);
    fake_pg_down(pg);
    ck_assert_uint_eq(sockets[SOCKETS - 1].ws.count, 1);
}
END_TEST

START_TEST(a_crowd_is_served_a_few_at_once_and_each_in_its_turn)
{
    up();
    for (size_t i = 0; i < SOCKETS; i++)
        request(&sockets[i]);
    ck_assert_uint_eq(fake_pg_waiting(pg, "replay_open"), 8);
    request(&sockets[SOCKETS - 1]); /* not begun: it will see everything anyway */
    for (size_t i = 0; i < SOCKETS; i++)
        fake_pg_answer(pg, "replay_open", events(1, 1));
    for (size_t i = 0; i < SOCKETS; i++)
        ck_assert_uint_eq(sockets[i].ws.count, 1);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(a_long_history_waits_for_the_sockets_reader)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    ann->ws.buffered = WS_BUFFER_LOW + 1;
    fake_pg_answer(pg, "replay_open", events(1, PAGE));
    ck_assert(ann->ws.want_drained);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    ann->ws.buffered = 0;
    replay_drained(replay, &ann->session);
    ck_assert_str_eq(fake_pg_param(pg, 2), "64"); /* past the page before */
    fake_pg_answer(pg, "replay_open", events(65, 66));
    ck_assert_uint_eq(ann->ws.count, PAGE + 2);
    replay_drained(replay, &ann->session); /* later ones mean nothing */
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(a_refusal_is_tried_again_after_a_second)
{
    up();
    request(&sockets[0]);
    request(&sockets[1]);
    fake_pg_refuse(pg, "replay_open", "57014");
    fake_pg_refuse(pg, "replay_open", "57014");
    live(&sockets[0], 1, 1);
    ck_assert_uint_eq(sockets[0].ws.count, 1); /* live events flow meanwhile */
    fake_loop_run(RETRY_MS - 1);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(1);
    ck_assert_uint_eq(fake_pg_waiting(pg, "replay_open"), 2);
}
END_TEST

START_TEST(a_query_that_cannot_be_sent_is_tried_again_too)
{
    up();
    fake_pg_fail_next(pg, ERR_FULL);
    request(&sockets[0]);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
    fake_loop_run(RETRY_MS);
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_open");
}
END_TEST

START_TEST(an_answer_for_a_socket_that_is_gone_is_dropped)
{
    struct socket *ann = &sockets[0];
    up();
    for (size_t i = 0; i < SOCKETS; i++)
        request(&sockets[i]);
    replay_forget(replay, &ann->session);
    replay_forget(replay, &sockets[SOCKETS - 1].session); /* queued only */
    fake_pg_answer(pg, "replay_open", events(1, 1));
    ck_assert_uint_eq(ann->ws.count, 0);
    for (size_t i = 1; i < SOCKETS - 1; i++)
        fake_pg_answer(pg, "replay_open", "");
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(a_request_during_a_replay_is_another_replay_after_it)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    request(ann);
    request(ann);
    live(ann, 5, 1);
    fake_pg_answer(pg, "replay_open", "");
    ck_assert_uint_eq(ann->ws.count, 0); /* still held */
    fake_pg_answer(pg, "replay_recent", "");
    ck_assert_uint_eq(ann->ws.count, 1);
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

START_TEST(more_live_events_than_can_be_held_are_read_from_the_database)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    for (int i = 0; i < 2000; i++)
        live(ann, i, 1);
    fake_pg_answer(pg, "replay_open", "");
    ck_assert_uint_eq(ann->ws.count, 0);
    fake_pg_answer(pg, "replay_recent", events(1, 2));
    ck_assert_uint_eq(ann->ws.count, 2);
    ck_assert(!ann->session.holding);
}
END_TEST

START_TEST(after_a_broken_stream_only_the_time_since_then_is_read)
{
    struct socket *ann = &sockets[0];
    registry_user_set_heard(ann->session.member.user, true);
    up();
    fake_loop_run(600000);
    request(ann);
    fake_pg_answer(pg, "replay_open", "");
    fake_loop_run(900000); /* the stream stands, nothing is missed */
    replay_stream_lost(&ann->session);
    fake_loop_run(5000);
    request(ann);
    ck_assert_str_eq(fake_pg_oldest(pg), "replay_recent");
    ck_assert_str_eq(fake_pg_param(pg, 1), "65000"); /* and the minute before it */
    fake_pg_answer(pg, "replay_recent", "");
}
END_TEST

START_TEST(a_stream_that_breaks_during_a_replay_leaves_that_time_uncovered)
{
    struct socket *ann = &sockets[0];
    registry_user_set_heard(ann->session.member.user, true);
    up();
    fake_loop_run(10000);
    request(ann);
    replay_stream_lost(&ann->session);
    fake_loop_run(3000);
    fake_pg_answer(pg, "replay_open", "");
    fake_loop_run(4000);
    replay_stream_lost(&ann->session); /* again: there was nothing that it covered */
    request(ann);
    ck_assert_str_eq(fake_pg_param(pg, 1), "67000"); /* since its beginning */
    fake_pg_answer(pg, "replay_recent", "");
}
END_TEST

static void move(bool elsewhere)
{
    fake_pg_down(pg);
    fake_pg_move(pg, elsewhere);
    up();
}

/* An old primary that came back knows nothing of what happened meanwhile. */
START_TEST(at_another_server_every_socket_is_replayed_from_what_it_had_before)
{
    struct socket *ann = &sockets[0];
    up();
    request(ann);
    fake_pg_answer(pg, "replay_open", ""); /* by the wrong server */
    fake_loop_run(1000);
    move(false);
    ck_assert_str_eq(fake_pg_oldest(pg), ""); /* it is the same */
    move(true);
    live(ann, 1, 3); /* waits behind the replay */
    ck_assert_uint_eq(ann->ws.count, 0);
    ck_assert_uint_eq(fake_pg_waiting(pg, "replay_recent"), 1);
    ck_assert_uint_eq(fake_pg_waiting(pg, "replay_open"), 7); /* the others are new, 8 at once */
    ck_assert_str_eq(fake_pg_param(pg, 1), "61000");          /* since the first server */
    fake_pg_answer(pg, "replay_recent", events(1, 1));
    for (size_t i = 1; i < SOCKETS; i++)
        fake_pg_answer(pg, "replay_open", "");
    fake_pg_answer(pg, "replay_open", events(2, 2)); /* what ended before, and was never told */
    ck_assert_uint_eq(ann->ws.count, 3);
    ck_assert_str_eq(ann->ws.sent[2], "live 1.3");
    ck_assert_str_eq(fake_pg_oldest(pg), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replay");
    TCase *tcase = tcase_create("replay");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, who_connects_is_told_of_its_open_orders_and_live_events_wait_for_that);
    tcase_add_test(tcase, who_names_its_last_event_is_told_what_came_after);
    tcase_add_test(tcase, without_the_database_live_events_flow_and_the_replay_follows);
    tcase_add_test(tcase, a_replay_that_is_lost_lets_live_events_go_and_begins_anew);
    tcase_add_test(tcase, a_queued_replay_does_not_hold_live_events_while_the_database_is_away);
    tcase_add_test(tcase, a_crowd_is_served_a_few_at_once_and_each_in_its_turn);
    tcase_add_test(tcase, a_long_history_waits_for_the_sockets_reader);
    tcase_add_test(tcase, a_refusal_is_tried_again_after_a_second);
    tcase_add_test(tcase, a_query_that_cannot_be_sent_is_tried_again_too);
    tcase_add_test(tcase, an_answer_for_a_socket_that_is_gone_is_dropped);
    tcase_add_test(tcase, a_request_during_a_replay_is_another_replay_after_it);
    tcase_add_test(tcase, more_live_events_than_can_be_held_are_read_from_the_database);
    tcase_add_test(tcase, after_a_broken_stream_only_the_time_since_then_is_read);
    tcase_add_test(tcase, a_stream_that_breaks_during_a_replay_leaves_that_time_uncovered);
    tcase_add_test(tcase, at_another_server_every_socket_is_replayed_from_what_it_had_before);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
