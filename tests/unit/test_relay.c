#include "consumer/relay/relay.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/service/metrics.h"
#include "common/service/spans.h"
#include "tests/fake/fake_loop.h"
#include "tests/fake/fake_pg.h"
#include "tests/fake/fake_redis.h"

#define SHARDS 4
#define PAGE 256

static struct loop *loop;
static struct metrics *metrics;
static struct stats stats;
static struct pg *session, *keys_session;
static struct redis *redis, *keys_redis;
static struct admission_keys *keys;
static struct relay *relay;

static void setup(void)
{
    fake_loop_reset();
    loop = loop_new();
    metrics = metrics_new();
    ck_assert_int_eq(stats_init(&stats, metrics, SHARDS), 0);
    session = fake_pg_new();
    keys_session = fake_pg_new();
    redis = fake_redis_new();
    keys_redis = fake_redis_new();
    keys = admission_keys_new(loop, SHARDS, keys_session, keys_redis, NULL);
    relay = relay_new(loop, SHARDS, session, redis, keys, &stats);
    ck_assert_ptr_nonnull(relay);
    fake_pg_up(session);
    fake_redis_up(redis);
}

static void teardown(void)
{
    pg_close(session);
    redis_close(redis);
    relay_free(relay);
    admission_keys_free(keys);
    pg_close(keys_session);
    redis_close(keys_redis);
    stats_free(&stats);
    metrics_free(metrics);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/* Rows of events `first` to `last`. */
static const char *events(int first, int last)
{
    static char rows[PAGE * 128];
    size_t len = 0;
    rows[0] = '\0';
    for (int id = first; id <= last; id++)
        len += (size_t)snprintf(rows + len, sizeof rows - len,
                                "%s%d|1|1800000000000|order-%d|hat|1|reserved|null|null|1000|usd|"
                                "null|null|null|null|null|ann|1799999999900",
                                id == first ? "" : ";", id, id);
    return rows;
}

/* The page past `watermark` is being read: answers with those events. */
static void read_page(const char *watermark, int first, int last)
{
    ck_assert_str_eq(fake_pg_oldest(session), "unrelayed");
    ck_assert_str_eq(fake_pg_param(session, 1), watermark);
    fake_pg_answer(session, "unrelayed", first > last ? "" : events(first, last));
}

static void publish_all(void)
{
    while (fake_redis_waiting(redis) > 0)
        fake_redis_done(redis, 0);
}

static void assert_saved(const char *shards, const char *watermarks)
{
    fake_loop_run(250);
    ck_assert_str_eq(fake_pg_oldest(session), "advance_relays");
    ck_assert_str_eq(fake_pg_param(session, 0), shards);
    ck_assert_str_eq(fake_pg_param(session, 1), watermarks);
    fake_pg_answer(session, "advance_relays", "");
}

START_TEST(what_the_previous_owner_left_is_published_and_the_watermark_follows)
{
    relay_start(relay, 2, 5);
    ck_assert_str_eq(fake_pg_param(session, 0), "2");
    read_page("5", 6, 7);
    ck_assert_uint_eq(fake_redis_waiting(redis), 2);
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), "PUBLISH checkout:events:ann {"));
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0), "order-6"));
    ck_assert(!relay_idle(relay, 2));
    publish_all();
    ck_assert(relay_idle(relay, 2));
    assert_saved("{2}", "{7}");
    fake_loop_run(250);
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* once */
}
END_TEST

static struct span place; /* of the newest span that has ended */
static unsigned spans_ended;

static struct span *add_span(void *arg)
{
    (void)arg;
    spans_ended++;
    place = (struct span){0};
    return &place;
}

START_TEST(an_event_of_an_order_with_a_trace_has_a_span)
{
    struct spans spans = {.millionths = 1000000, .add = add_span};
    stats.spans = &spans;
    spans_ended = 0;
    relay_start(relay, 1, 0);
    fake_pg_answer(session, "unrelayed",
                   "1|1|1800000000000|5b1c9a70-3f0e-8a2b-9c4d-0e1f2a3b4c5d|hat|1|confirmed|null|"
                   "null|1000|usd|null|null|null|null|" TRACE "|ann|1799999999900;"
                   "2|1|1800000000000|5b1c9a70-3f0e-8a2b-9c4d-0e1f2a3b4c5e|hat|1|confirmed|null|"
                   "null|1000|usd|null|null|null|null|null|ann|1799999999900");
    ck_assert_uint_eq(spans_ended, 0);
    publish_all();
    ck_assert_uint_eq(spans_ended, 1);
    ck_assert_str_eq(place.order_id, "5b1c9a70-3f0e-8a2b-9c4d-0e1f2a3b4c5d");
    ck_assert_str_eq(place.name, "publish event");
    ck_assert_str_eq(place.notes[2].text, "confirmed");
    ck_assert(!place.failed);
}
END_TEST

START_TEST(an_order_that_ends_counts_as_open_no_more)
{
    relay_ends_open_orders(relay);
    relay_start(relay, 1, 0);
    fake_pg_answer(
        session, "unrelayed",
        "1|1|1800000000000|order-1|hat|1|reserved|null|null|1000|usd|null|null|null|null|" TRACE
        "|ann|1799999999900;"
        "2|2|1800000000000|order-1|hat|1|confirmed|null|null|1000|usd|null|null|null|null|" TRACE
        "|ann|1799999999900");
    ck_assert_uint_eq(fake_redis_waiting(redis), 3);
    ck_assert_ptr_nonnull(strstr(fake_redis_command(redis, 0),
                                 "\"sequence\":1,\"traceparent\":\"" TRACE "\",\"data\""));
    ck_assert_str_eq(fake_redis_command(redis, 2), "ZREM checkout:open:ann order-1");
    fake_redis_refuse(redis, 2); /* it expires by itself: nothing is published again */
    publish_all();
    ck_assert(relay_idle(relay, 1));
}
END_TEST

static const char *decisions(void)
{
    static char line[64];
    struct buf page;
    buf_init(&page, 65536);
    ck_assert_int_eq(metrics_render(metrics, &page), 0);
    const char *at = strstr(buf_text(&page), "checkout_decision_seconds_count");
    ck_assert_ptr_nonnull(at);
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    buf_free(&page);
    return line;
}

START_TEST(an_event_that_is_published_again_counts_once)
{
    relay_start(relay, 2, 5);
    read_page("5", 6, 7);
    fake_redis_refuse(redis, 0);
    publish_all();
    fake_loop_run(500);
    read_page("5", 6, 8);
    publish_all();
    ck_assert_str_eq(decisions(), "checkout_decision_seconds_count 3");
}
END_TEST

START_TEST(the_watermark_waits_for_every_answer_of_its_page_in_whatever_order_they_come)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, 3);
    fake_redis_done(redis, 2);
    fake_redis_done(redis, 1);
    fake_loop_run(250);
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* event 1 is not known to be out */
    fake_redis_done(redis, 0);
    assert_saved("{0}", "{3}");
}
END_TEST

START_TEST(after_a_crash_the_next_owner_publishes_the_same_events_with_the_same_ids)
{
    relay_start(relay, 1, 10);
    read_page("10", 11, 12);
    char first[1024];
    (void)snprintf(first, sizeof first, "%s", fake_redis_command(redis, 0));
    publish_all(); /* and the process dies before the watermark is written */
    relay_stop(relay, 1);
    relay_start(relay, 1, 10);
    read_page("10", 11, 12);
    ck_assert_str_eq(fake_redis_command(redis, 0), first);
    publish_all();
    assert_saved("{1}", "{12}");
}
END_TEST

START_TEST(answers_to_a_page_of_an_earlier_ownership_count_for_nothing)
{
    relay_start(relay, 1, 10);
    read_page("10", 11, 12);
    relay_stop(relay, 1); /* with both on their way */
    relay_start(relay, 1, 10);
    publish_all();
    fake_loop_run(250);
    ck_assert_uint_eq(fake_pg_waiting(session, "advance_relays"), 0);
    read_page("10", 11, 12);
    ck_assert_uint_eq(fake_redis_waiting(redis), 2);
    publish_all();
    assert_saved("{1}", "{12}");
}
END_TEST

START_TEST(of_a_shard_that_was_lost_no_watermark_is_written_any_more)
{
    relay_start(relay, 1, 10);
    read_page("10", 11, 12);
    publish_all();
    relay_stop(relay, 1); /* the database may be another when it is there again */
    fake_loop_run(250);
    ck_assert_uint_eq(fake_pg_waiting(session, "advance_relays"), 0);
}
END_TEST

START_TEST(a_page_read_for_an_earlier_ownership_is_not_published)
{
    relay_start(relay, 1, 10);
    relay_stop(relay, 1);
    read_page("10", 11, 12);
    ck_assert_uint_eq(fake_redis_waiting(redis), 0);
    ck_assert(relay_idle(relay, 1));
    relay_kick(relay, 1);
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* it is not ours */
}
END_TEST

START_TEST(a_refused_publish_holds_the_watermark_and_the_page_is_read_again)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, 2);
    fake_redis_refuse(redis, 0);
    fake_redis_done(redis, 0);
    ck_assert_str_eq(fake_pg_oldest(session), "");
    fake_loop_run(500);
    read_page("0", 1, 2);
    publish_all();
    assert_saved("{0}", "{2}");
}
END_TEST

START_TEST(a_publish_that_cannot_be_sent_holds_the_watermark_too)
{
    relay_start(relay, 0, 0);
    fake_redis_fail_after(redis, 1, ERR_FULL);
    read_page("0", 1, 3);
    ck_assert_uint_eq(fake_redis_waiting(redis), 1); /* none behind it overtakes it */
    publish_all();
    fake_loop_run(500);
    read_page("0", 1, 3);
    publish_all();
    assert_saved("{0}", "{3}");
}
END_TEST

START_TEST(a_lost_redis_is_waited_for_and_nothing_is_passed_over)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, 2);
    fake_redis_down(redis);
    fake_loop_run(2000);
    ck_assert_str_eq(fake_pg_oldest(session), "");
    ck_assert(!relay_idle(relay, 0));
    fake_redis_up(redis);
    relay_kick_all(relay);
    read_page("0", 1, 2);
    publish_all();
    assert_saved("{0}", "{2}");
}
END_TEST

START_TEST(a_lost_or_refused_read_is_repeated)
{
    relay_start(relay, 0, 0);
    fake_pg_refuse(session, "unrelayed", "57014");
    fake_loop_run(500);
    ck_assert_str_eq(fake_pg_oldest(session), "unrelayed");
    fake_pg_down(session);
    fake_loop_run(2000);
    fake_pg_up(session);
    relay_kick_all(relay);
    read_page("0", 1, 1);
    publish_all();
    assert_saved("{0}", "{1}");
}
END_TEST

START_TEST(a_full_page_is_followed_by_the_next)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, PAGE);
    publish_all();
    read_page("256", 257, 257);
    publish_all();
    ck_assert_str_eq(fake_pg_oldest(session), "");
    assert_saved("{0}", "{257}");
}
END_TEST

START_TEST(what_is_committed_while_a_page_is_out_is_read_after_it)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, 1);
    relay_kick(relay, 0);
    ck_assert_str_eq(fake_pg_oldest(session), ""); /* one page at a time */
    publish_all();
    read_page("1", 2, 1); /* nothing */
    ck_assert(relay_idle(relay, 0));
    assert_saved("{0}", "{1}");
}
END_TEST

START_TEST(a_watermark_that_was_lost_on_its_way_goes_out_with_the_next)
{
    relay_start(relay, 0, 0);
    read_page("0", 1, 1);
    publish_all();
    fake_loop_run(250);
    ck_assert_str_eq(fake_pg_oldest(session), "advance_relays");
    fake_pg_down(session);
    fake_pg_up(session);
    relay_kick(relay, 0);
    read_page("1", 2, 2);
    publish_all();
    assert_saved("{0}", "{2}");
}
END_TEST

START_TEST(shards_relay_side_by_side_and_their_watermarks_leave_together)
{
    relay_start(relay, 0, 0);
    relay_start(relay, 3, 90);
    read_page("0", 1, 1);
    read_page("90", 91, 91);
    publish_all();
    assert_saved("{0,3}", "{1,91}");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("relay");
    TCase *tcase = tcase_create("relay");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, what_the_previous_owner_left_is_published_and_the_watermark_follows);
    tcase_add_test(tcase, an_event_of_an_order_with_a_trace_has_a_span);
    tcase_add_test(tcase, an_order_that_ends_counts_as_open_no_more);
    tcase_add_test(tcase, an_event_that_is_published_again_counts_once);
    tcase_add_test(tcase,
                   the_watermark_waits_for_every_answer_of_its_page_in_whatever_order_they_come);
    tcase_add_test(tcase, after_a_crash_the_next_owner_publishes_the_same_events_with_the_same_ids);
    tcase_add_test(tcase, answers_to_a_page_of_an_earlier_ownership_count_for_nothing);
    tcase_add_test(tcase, a_page_read_for_an_earlier_ownership_is_not_published);
    tcase_add_test(tcase, of_a_shard_that_was_lost_no_watermark_is_written_any_more);
    tcase_add_test(tcase, a_refused_publish_holds_the_watermark_and_the_page_is_read_again);
    tcase_add_test(tcase, a_publish_that_cannot_be_sent_holds_the_watermark_too);
    tcase_add_test(tcase, a_lost_redis_is_waited_for_and_nothing_is_passed_over);
    tcase_add_test(tcase, a_lost_or_refused_read_is_repeated);
    tcase_add_test(tcase, a_full_page_is_followed_by_the_next);
    tcase_add_test(tcase, what_is_committed_while_a_page_is_out_is_read_after_it);
    tcase_add_test(tcase, a_watermark_that_was_lost_on_its_way_goes_out_with_the_next);
    tcase_add_test(tcase, shards_relay_side_by_side_and_their_watermarks_leave_together);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
