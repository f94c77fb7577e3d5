/* A connection to a RabbitMQ that refuses, dies, is mute, blocks or closes, in each phase; the
 * server is a script. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/net/amqp/broker.h"
#include "common/net/amqp/broker_impl.h"
#include "tests/fake/stage_words.h"

#define MUTE_MS 15000   /* of a connection */
#define ANSWER_MS 60000 /* of a channel on a connection that lives */

/* A frame of a method: size of its payload, class, method, arguments. */
#define METHOD(channel, size, id, arguments) "\1\0" channel "\0\0\0" size "\0" id arguments "\xce"
#define START                                                                                      \
    METHOD("\0", "\x1c", "\x0a\0\x0a",                                                             \
           "\0\x09\0\0\0\0\0\0\0\5PLAIN\0\0\0\5"                                                   \
           "en_US")
#define TUNE METHOD("\0", "\x0c", "\x0a\0\x1e", "\0\x08\0\0\x80\0\0\x0a")
#define OPEN_OK METHOD("\0", "\5", "\x0a\0\x29", "\0")
#define REFUSAL                                                                                    \
    METHOD("\0", "\x19", "\x0a\0\x32",                                                             \
           "\1\x93\x0e"                                                                            \
           "ACCESS_REFUSED\0\0\0\0")
#define FORCED                                                                                     \
    METHOD("\0", "\x1c", "\x0a\0\x32",                                                             \
           "\1\x40\x11"                                                                            \
           "CONNECTION_FORCED\0\0\0\0")
#define FORCED_OK METHOD("\0", "\4", "\x0a\0\x33", "")
#define BLOCKED METHOD("\0", "\x0b", "\x0a\0\x3c", "\6memory")
#define UNBLOCKED METHOD("\0", "\4", "\x0a\0\x3d", "")
#define CHANNEL_OPEN(number) METHOD(number, "\5", "\x14\0\x0a", "\0")
#define CHANNEL_OPEN_OK(number) METHOD(number, "\x08", "\x14\0\x0b", "\0\0\0\0")
#define CONFIRM(number) METHOD(number, "\5", "\x55\0\x0a", "\0")
#define CONFIRM_OK(number) METHOD(number, "\4", "\x55\0\x0b", "")
#define CHANNEL_CLOSE_BEGINS "\1\0\1\0\0\0\x0b\0\x14\0\x28"
#define GREETING "AMQP\0\0\x09\1"

#define HELLO ACCEPT, EXPECT(GREETING)
#define START_OK UNTIL("en_US\xce")
#define LOGIN HELLO, SAY(START), START_OK, SAY(TUNE), UNTIL("\x0a\0\x28\1/"), SAY(OPEN_OK)
#define PUBLISHER(number)                                                                          \
    UNTIL(CHANNEL_OPEN(number)), UNTIL(CONFIRM(number)),                                           \
        SAY(CHANNEL_OPEN_OK(number) CONFIRM_OK(number))

static struct broker *broker;
static struct broker_channel *channel;

static void changed(enum broker_state state, const char *reason, void *arg)
{
    (void)arg;
    if (state == BROKER_UP)
        say("up");
    else
        say_of(state == BROKER_BLOCKED ? "blocked: " : "down: ", reason);
}

static void opened(void *arg)
{
    (void)arg;
    say("opened");
}

static void closed(const char *reason, void *arg)
{
    (void)arg;
    broker_channel_close(channel);
    channel = NULL;
    say_of("closed: ", reason);
}

static void expect_part(unsigned count, const char *part)
{
    hear(count);
    ck_assert_msg(strstr(buf_text(&words.heard), part) != NULL, "%s is not in: %s", part,
                  buf_text(&words.heard));
}

static void open_broker(void)
{
    char url[64];
    (void)snprintf(url, sizeof url, "amqp://127.0.0.1:%u", fake_server_port(words.server));
    const struct broker_options options = {.urls = url, .name = "phases", .heartbeat_s = 10};
    broker = broker_open(words.loop, &options, changed, NULL);
    ck_assert_ptr_nonnull(broker);
}

static void open_publisher(void)
{
    const struct broker_channel_events events = {.opened = opened, .closed = closed};
    ck_assert_int_eq(broker_publisher_open(broker, &events, NULL, &channel), 0);
}

static void set_up(void)
{
    words_begin();
    broker = NULL;
    channel = NULL;
}

static void tear_down(void)
{
    words.wanted = 0;
    if (broker != NULL)
        broker_suspend(broker, "the test ends"); /* a polite close would wait for its answer */
    broker_close(broker);
    words_end();
}

/* ---- connecting ---- */

START_TEST(a_refused_connect_has_its_reason_and_is_tried_again)
{
    open_broker();
    expect_part(1, "Connection refused");
    ck_assert_int_eq(broker_fault(broker), ERR_UNAVAILABLE);
    ck_assert_int_eq(broker_state(broker), BROKER_DOWN);
    FOLLOW(LOGIN, HOLD);
    expect(1, "up; ");
    ck_assert_int_eq(broker_fault(broker), 0);
}
END_TEST

START_TEST(it_dies_in_the_handshake_and_comes_back)
{
    FOLLOW(HELLO, CLOSE, HELLO, SAY(START), START_OK, RESET, LOGIN, PUBLISHER("\1"), HOLD);
    open_broker();
    expect_part(2, "login failed: "); /* the second failure within 10 s has no line of its own */
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "; up; "));
    open_publisher();
    expect(1, "opened; ");
}
END_TEST

START_TEST(a_server_that_is_mute_after_the_connect_is_given_up)
{
    FOLLOW(HELLO, HOLD, LOGIN, HOLD);
    uint64_t began_ms = clock_mono_ms();
    open_broker();
    expect_part(1, "login failed: ");
    ck_assert_uint_ge(clock_mono_ms() - began_ms, 4900);
    ck_assert_int_eq(broker_fault(broker), ERR_UNAVAILABLE);
    expect(1, "up; ");
}
END_TEST

START_TEST(a_refused_login_is_no_outage)
{
    FOLLOW(HELLO, SAY(START), START_OK, SAY(REFUSAL), HOLD, LOGIN, HOLD);
    open_broker();
    expect_part(1, "login failed: ACCESS_REFUSED");
    ck_assert_int_eq(broker_fault(broker), ERR_AUTH);
    expect(1, "up; ");
}
END_TEST

START_TEST(a_suspended_broker_does_not_connect_until_it_is_resumed)
{
    open_broker();
    expect_part(1, "Connection refused");
    ck_assert(loop_timer_active(broker->retry));
    broker_suspend(broker, "not now");
    ck_assert_int_eq(broker->phase, BROKER_PHASE_SUSPENDED);
    ck_assert(!loop_timer_active(broker->retry));
    FOLLOW(LOGIN, HOLD);
    broker_resume(broker);
    expect(1, "up; ");
}
END_TEST

/* ---- connected ---- */

START_TEST(a_lost_connection_ends_its_channels_with_the_reason)
{
    FOLLOW(LOGIN, PUBLISHER("\1"), RESET, LOGIN, HOLD);
    open_broker();
    expect(1, "up; ");
    open_publisher();
    expect_part(3, "closed: connection lost: ");
    ck_assert_ptr_nonnull(strstr(buf_text(&words.heard), "; down: connection lost: "));
    ck_assert_int_ne(broker->backoff.step_ms, 0); /* that login has proved nothing */
    expect(1, "up; ");
}
END_TEST

START_TEST(a_server_that_closes_is_answered_and_left)
{
    FOLLOW(LOGIN, SAY(FORCED), UNTIL(FORCED_OK), HOLD, LOGIN, HOLD);
    open_broker();
    expect(3, "up; down: closed by the broker: 320 CONNECTION_FORCED; up; ");
}
END_TEST

START_TEST(a_blocked_broker_takes_no_message_and_is_given_time)
{
    FOLLOW(LOGIN, PUBLISHER("\1"), SAY(BLOCKED), UNTIL("\x14\0\x0a"), SAY(UNBLOCKED), HOLD);
    open_broker();
    expect(1, "up; ");
    open_publisher();
    expect(2, "opened; blocked: memory; ");
    uint64_t sequence = 0;
    const struct broker_message message = {.exchange = "", .routing_key = "x", .body = ""};
    ck_assert_int_eq(broker_publish(channel, &message, &sequence), ERR_UNAVAILABLE);
    struct broker_channel *first = channel;
    open_publisher(); /* is not answered as long as the broker is blocked */
    broker_channels_look(broker, clock_mono_ms() + ANSWER_MS);
    ck_assert_int_eq(broker->phase, BROKER_PHASE_BLOCKED);
    expect(1, "up; ");
    broker_channels_look(broker, clock_mono_ms() + MUTE_MS);
    ck_assert_int_eq(broker->phase, BROKER_PHASE_UP);
    broker_channel_close(first);
}
END_TEST

/* ---- answers that never come ---- */

START_TEST(a_connection_that_answers_no_channel_is_left)
{
    FOLLOW(LOGIN, UNTIL(CONFIRM("\1")), HOLD, LOGIN, PUBLISHER("\2"), HOLD); /* a number rests */
    open_broker();
    expect(1, "up; ");
    uint64_t before_ms = clock_mono_ms();
    open_publisher();
    broker_channels_look(broker, before_ms + MUTE_MS - 1);
    ck_assert_int_eq(broker->phase, BROKER_PHASE_UP);
    broker_channels_look(broker, clock_mono_ms() + MUTE_MS);
    ck_assert_int_eq(broker->phase, BROKER_PHASE_BROKEN);
    expect(3, "closed: no answer on a channel within 15 s; "
              "down: no answer on a channel within 15 s; up; ");
    open_publisher();
    expect(1, "opened; ");
}
END_TEST

START_TEST(a_channel_without_its_answer_ends_alone)
{
    FOLLOW(LOGIN, UNTIL(CONFIRM("\1")), SAY(CHANNEL_OPEN_OK("\1")), UNTIL(CHANNEL_CLOSE_BEGINS),
           HOLD);
    open_broker();
    expect(1, "up; ");
    uint64_t before_ms = clock_mono_ms();
    open_publisher();
    struct loop_timer *turn = loop_timer_new(words.loop, (loop_cb)loop_stop, words.loop);
    loop_timer_start(turn, 1, 1);
    while (broker->answered_ms < before_ms)
        loop_run(words.loop);
    loop_timer_free(turn);
    broker_channels_look(broker, clock_mono_ms() + MUTE_MS); /* it answers something: it lives */
    ck_assert_int_eq(broker->phase, BROKER_PHASE_UP);
    ck_assert_ptr_nonnull(channel);
    buf_reset(&words.heard);
    words.wanted = 1;
    broker_channels_look(broker, clock_mono_ms() + ANSWER_MS);
    ck_assert_str_eq(buf_text(&words.heard), "closed: no answer on the channel within 60 s; ");
    ck_assert_int_eq(broker->phase, BROKER_PHASE_UP);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("broker_phases");
    TCase *tests = tcase_create("a scripted server");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 40);
    tcase_add_test(tests, a_refused_connect_has_its_reason_and_is_tried_again);
    tcase_add_test(tests, it_dies_in_the_handshake_and_comes_back);
    tcase_add_test(tests, a_server_that_is_mute_after_the_connect_is_given_up);
    tcase_add_test(tests, a_refused_login_is_no_outage);
    tcase_add_test(tests, a_suspended_broker_does_not_connect_until_it_is_resumed);
    tcase_add_test(tests, a_lost_connection_ends_its_channels_with_the_reason);
    tcase_add_test(tests, a_server_that_closes_is_answered_and_left);
    tcase_add_test(tests, a_blocked_broker_takes_no_message_and_is_given_time);
    tcase_add_test(tests, a_connection_that_answers_no_channel_is_left);
    tcase_add_test(tests, a_channel_without_its_answer_ends_alone);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
