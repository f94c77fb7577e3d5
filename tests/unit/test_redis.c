/* Connections to a Redis that refuses, dies, lies or keeps silent, in each phase; the server is a
 * script. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/net/redis/redis.h"
#include "common/net/redis/redis_impl.h"
#include "tests/fake/stage_words.h"

#define PING EXPECT("*1\r\n$4\r\nPING\r\n")
#define HELLO EXPECT("*1\r\n$5\r\nHELLO\r\n")
#define PONG SAY("+PONG\r\n")
#define ROLE(word, length)                                                                         \
    SAY("*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$4\r\nrole\r\n$" length "\r\n" word "\r\n")
#define MASTER ROLE("master", "6")
#define REPLICA ROLE("replica", "7")
/* Database 0, no password: nothing but this is said. */
#define LOGIN ACCEPT, PING, HELLO, PONG, MASTER
#define GET EXPECT("*2\r\n$3\r\nGET\r\n$1\r\nx\r\n")

static struct redis *redis;
static struct redis_subscriber *subscriber;

static void answered(const struct redis_reply *reply, void *arg)
{
    (void)arg;
    say(reply->type == REDIS_LOST ? "lost" : reply->str);
}

static void message_came(const char *channel, size_t channel_len, const char *message,
                         size_t message_len, void *arg)
{
    char text[64];
    (void)arg;
    (void)snprintf(text, sizeof text, "%.*s on %.*s", (int)message_len, message, (int)channel_len,
                   channel);
    say(text);
}

static void subscribed(const char *channel, size_t channel_len, void *arg)
{
    char text[64];
    (void)arg;
    (void)snprintf(text, sizeof text, "subscribed %.*s", (int)channel_len, channel);
    say(text);
}

static void refused(const char *channel, size_t channel_len, const char *problem, void *arg)
{
    char text[64];
    (void)arg;
    (void)snprintf(text, sizeof text, "refused %.*s: %s", (int)channel_len, channel, problem);
    say(text);
}

static void turn_over(void *arg)
{
    loop_stop(arg);
}

/* Runs the loop until `*counter` is `value`: for what no callback tells. */
static void run_until(const unsigned *counter, unsigned value)
{
    struct loop_timer *turn = loop_timer_new(words.loop, turn_over, words.loop);
    words.wanted = UINT_MAX;
    loop_timer_start(turn, 1, 1);
    while (*counter != value)
        loop_run(words.loop);
    loop_timer_free(turn);
}

static void run_until_done(size_t steps)
{
    struct loop_timer *turn = loop_timer_new(words.loop, turn_over, words.loop);
    words.wanted = UINT_MAX;
    loop_timer_start(turn, 1, 1);
    while (fake_server_done(words.server) < steps)
        loop_run(words.loop);
    loop_timer_free(turn);
}

/* The server is asked once more than it may leave unanswered. */
static void tick_until_given_up(const char *text)
{
    words.wanted = UINT_MAX;
    while (buf_text(&words.heard)[0] == '\0')
        redis_tick(redis);
    ck_assert_str_eq(buf_text(&words.heard), text);
    buf_reset(&words.heard);
}

static const char *url_of(const char *login, const char *path)
{
    static char url[128];
    (void)snprintf(url, sizeof url, "redis://%s127.0.0.1:%u%s", login,
                   fake_server_port(words.server), path);
    return url;
}

static void set_up(void)
{
    words_begin();
    redis = NULL;
    subscriber = NULL;
}

static void tear_down(void)
{
    redis_close(redis);
    redis_subscriber_close(subscriber);
    words_end();
}

static void open_at(const char *url)
{
    redis = redis_open(words.loop, &(struct redis_server){.url = url}, 8, say_changed, NULL);
    ck_assert_ptr_nonnull(redis);
}

static void ask(void)
{
    const char *const argv[] = {"GET", "x"};
    const size_t len[] = {3, 1};
    ck_assert_int_eq(redis_command(redis, 2, argv, len, answered, NULL), 0);
}

/* ---- connecting ---- */

START_TEST(a_refused_connect_is_told_once_and_tried_again)
{
    char said[128];
    open_at(url_of("", ""));
    (void)snprintf(said, sizeof said, "cannot connect: 127.0.0.1:%u: Connection refused; ",
                   fake_server_port(words.server));
    expect(1, said);
    ck_assert_int_eq(redis_fault(redis), ERR_UNAVAILABLE);
    FOLLOW(LOGIN, HOLD);
    expect(1, "up; ");
    ck_assert_int_eq(redis_fault(redis), 0);
}
END_TEST

START_TEST(it_dies_in_the_login_and_comes_back)
{
    FOLLOW(ACCEPT, PING, CLOSE, ACCEPT, PING, HELLO, SAY("+PON"), RESET, LOGIN, HOLD);
    open_at(url_of("", "/0"));
    expect(3, "connection lost: Server closed the connection; connection lost: Connection reset by "
              "peer; up; ");
}
END_TEST

START_TEST(a_mute_server_is_given_up)
{
    FOLLOW(ACCEPT, PING, HOLD, LOGIN, HOLD);
    open_at(url_of("", ""));
    run_until_done(2);
    tick_until_given_up("no answer within 2 s; ");
    expect(1, "up; ");
}
END_TEST

START_TEST(a_refused_login_is_no_outage)
{
    FOLLOW(ACCEPT, EXPECT("*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$5\r\nwrong\r\n"),
           EXPECT("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"), PING, HELLO,
           SAY("-WRONGPASS invalid username-password pair\r\n"), HOLD);
    open_at(url_of("ann:wrong@", "/3"));
    expect(1, "Redis refused the login: WRONGPASS invalid username-password pair; ");
    ck_assert_int_eq(redis_fault(redis), ERR_AUTH);
}
END_TEST

START_TEST(a_loading_server_is_an_outage)
{
    FOLLOW(ACCEPT, PING, HELLO, SAY("-LOADING Redis is loading the dataset in memory\r\n"), HOLD,
           LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(1, "Redis refused the login: LOADING Redis is loading the dataset in memory; ");
    ck_assert_int_eq(redis_fault(redis), ERR_UNAVAILABLE);
    expect(1, "up; ");
}
END_TEST

START_TEST(one_that_does_not_tell_its_role_is_taken)
{
    FOLLOW(ACCEPT, PING, HELLO, PONG, SAY("-ERR unknown command 'HELLO'\r\n"), PING, PONG, HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    redis_tick(redis);
    run_until(&redis->silent_ticks, 0);
}
END_TEST

/* ---- while connected ---- */

START_TEST(it_dies_inside_an_answer)
{
    FOLLOW(LOGIN, GET, SAY("$10\r\nabc"), CLOSE, LOGIN, GET, SAY("$3\r\nabc\r\n"), HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    ask();
    expect(3, "lost; connection lost: Server closed the connection; up; ");
    ask();
    expect(1, "abc; ");
}
END_TEST

START_TEST(what_is_no_reply_ends_the_connection)
{
    FOLLOW(LOGIN, GET, SAY("HTTP/1.1 400 Bad Request\r\n"), HOLD, LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    ask();
    expect(3, "lost; Redis sent an invalid reply: Protocol error, got \"H\" as reply type byte; "
              "up; ");
}
END_TEST

START_TEST(an_answer_that_never_comes_ends_the_connection)
{
    FOLLOW(LOGIN, HOLD, LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    ask();
    tick_until_given_up("lost; no answer within 2 s; ");
    expect(1, "up; ");
}
END_TEST

/* ---- a master that is none any more ---- */

START_TEST(a_replica_is_left)
{
    FOLLOW(ACCEPT, PING, HELLO, PONG, REPLICA, HOLD, LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(2, "this Redis is a replica; up; ");
}
END_TEST

START_TEST(a_demoted_master_is_noticed_by_its_ping)
{
    FOLLOW(LOGIN, HELLO, MASTER, HELLO, REPLICA, HOLD, LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    redis_tick(redis);
    run_until(&redis->silent_ticks, 0);
    redis_tick(redis);
    expect(2, "this Redis is a replica now; up; ");
}
END_TEST

START_TEST(a_refused_write_ends_the_connection)
{
    FOLLOW(LOGIN, GET, SAY("-READONLY You can't write against a read only replica.\r\n"), HOLD,
           LOGIN, HOLD);
    open_at(url_of("", ""));
    expect(1, "up; ");
    ask();
    expect(3, "READONLY You can't write against a read only replica.; this Redis takes no writes: "
              "it is a replica; up; ");
}
END_TEST

/* ---- subscriptions ---- */

#define SUBSCRIBE(channel) EXPECT("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\n" channel "\r\n")
#define UNSUBSCRIBE(channel) EXPECT("*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\n" channel "\r\n")
#define SUBSCRIBED(channel) SAY("*3\r\n$9\r\nsubscribe\r\n$1\r\n" channel "\r\n:1\r\n")
#define UNSUBSCRIBED(channel) SAY("*3\r\n$11\r\nunsubscribe\r\n$1\r\n" channel "\r\n:0\r\n")
#define MESSAGE(channel, text) SAY("*3\r\n$7\r\nmessage\r\n$1\r\n" channel "\r\n$2\r\n" text "\r\n")

static void open_subscriber(void)
{
    const struct redis_subscriber_events events = {message_came, subscribed, refused, say_changed};
    subscriber = redis_subscriber_open(words.loop, &(struct redis_server){.url = url_of("", "")},
                                       &events, NULL);
    ck_assert_ptr_nonnull(subscriber);
}

START_TEST(a_refused_subscription_is_told)
{
    FOLLOW(LOGIN, SUBSCRIBE("a"), SUBSCRIBE("b"), SUBSCRIBED("a"), MESSAGE("a", "m1"),
           SAY("-NOPERM no\r\n"), MESSAGE("a", "m2"), HOLD);
    open_subscriber();
    expect(1, "up; ");
    ck_assert_int_eq(redis_subscribe(subscriber, "a"), 0);
    ck_assert_int_eq(redis_subscribe(subscriber, "b"), 0);
    expect(4, "subscribed a; m1 on a; refused b: NOPERM no; m2 on a; ");
}
END_TEST

START_TEST(what_was_refused_is_asked_for_again)
{
    FOLLOW(LOGIN, SUBSCRIBE("a"), SAY("-NOPERM no\r\n"), UNSUBSCRIBE("a"), SUBSCRIBE("a"),
           UNSUBSCRIBED("a"), SUBSCRIBED("a"), CLOSE, LOGIN, SUBSCRIBE("a"), SUBSCRIBED("a"), HOLD);
    open_subscriber();
    expect(1, "up; ");
    ck_assert_int_eq(redis_subscribe(subscriber, "a"), 0);
    expect(1, "refused a: NOPERM no; ");
    redis_unsubscribe(subscriber, "a");
    ck_assert_int_eq(redis_subscribe(subscriber, "a"), 0);
    expect(4, "subscribed a; connection lost: Server closed the connection; up; subscribed a; ");
}
END_TEST

START_TEST(only_the_newest_of_two_subscriptions_counts)
{
    FOLLOW(LOGIN, SUBSCRIBE("a"), UNSUBSCRIBE("a"), SUBSCRIBE("a"), SUBSCRIBED("a"),
           UNSUBSCRIBED("a"), SUBSCRIBED("a"), MESSAGE("a", "m1"), HOLD);
    open_subscriber();
    expect(1, "up; ");
    ck_assert_int_eq(redis_subscribe(subscriber, "a"), 0);
    redis_unsubscribe(subscriber, "a");
    ck_assert_int_eq(redis_subscribe(subscriber, "a"), 0);
    expect(2, "subscribed a; m1 on a; ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redis");
    TCase *tests = tcase_create("a scripted server");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, a_refused_connect_is_told_once_and_tried_again);
    tcase_add_test(tests, it_dies_in_the_login_and_comes_back);
    tcase_add_test(tests, a_mute_server_is_given_up);
    tcase_add_test(tests, a_refused_login_is_no_outage);
    tcase_add_test(tests, a_loading_server_is_an_outage);
    tcase_add_test(tests, one_that_does_not_tell_its_role_is_taken);
    tcase_add_test(tests, it_dies_inside_an_answer);
    tcase_add_test(tests, what_is_no_reply_ends_the_connection);
    tcase_add_test(tests, an_answer_that_never_comes_ends_the_connection);
    tcase_add_test(tests, a_replica_is_left);
    tcase_add_test(tests, a_demoted_master_is_noticed_by_its_ping);
    tcase_add_test(tests, a_refused_write_ends_the_connection);
    tcase_add_test(tests, a_refused_subscription_is_told);
    tcase_add_test(tests, what_was_refused_is_asked_for_again);
    tcase_add_test(tests, only_the_newest_of_two_subscriptions_counts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
