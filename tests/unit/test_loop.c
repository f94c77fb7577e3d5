#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/loop.h"

static struct loop *loop;
static struct loop_watch *watch;
static struct loop_timer *limit;
static int pair[2]; /* a TCP connection: ours, the peer's */
static int bytes, errors;

static void too_late(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void setup(void)
{
    loop = loop_new();
    limit = loop_timer_new(loop, too_late, NULL);
    loop_timer_start(limit, 2000, 0);
    bytes = errors = 0;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(pair[0], (struct sockaddr *)&address, size), 0);
    pair[1] = accept(listener, NULL, NULL);
    ck_assert_int_ge(pair[1], 0);
    (void)close(listener);
}

static void teardown(void)
{
    loop_watch_free(watch);
    loop_timer_free(limit);
    loop_free(loop);
    (void)close(pair[0]);
}

static void read_one_byte(int events, void *arg)
{
    (void)events;
    (void)arg;
    char byte;
    if (recv(pair[0], &byte, 1, MSG_DONTWAIT) == 1) {
        bytes++;
        return;
    }
    errors++;
    loop_stop(loop);
}

/* What a killed server leaves: some last words, and a reset behind them. The reader takes a byte at
 * a time and must be called until it meets the end. */
START_TEST(a_reset_behind_data_is_met_after_the_data)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    ck_assert_int_eq(send(pair[1], "words", 5, 0), 5);
    ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    (void)close(pair[1]);
    watch = loop_watch_new(loop, pair[0], read_one_byte, NULL);
    loop_watch_set(watch, LOOP_READ | LOOP_WRITE);
    loop_run(loop);
    ck_assert_int_eq(errors, 1);
}
END_TEST

START_TEST(an_end_behind_data_is_met_after_the_data)
{
    ck_assert_int_eq(send(pair[1], "words", 5, 0), 5);
    (void)close(pair[1]);
    watch = loop_watch_new(loop, pair[0], read_one_byte, NULL);
    loop_watch_set(watch, LOOP_READ);
    loop_run(loop);
    ck_assert_int_eq(bytes, 5);
    ck_assert_int_eq(errors, 1);
}
END_TEST

static int turns;

static void free_itself(void *arg)
{
    struct loop_timer **timer = arg;
    turns++;
    loop_timer_free(*timer);
    *timer = NULL;
    loop_stop(loop);
}

START_TEST(a_timer_may_free_itself)
{
    struct loop_timer *timer = NULL;
    timer = loop_timer_new(loop, free_itself, &timer);
    loop_timer_start(timer, 1, 1);
    loop_run(loop);
    ck_assert_int_eq(turns, 1);
    watch = NULL;
    (void)close(pair[1]);
}
END_TEST

/* ---- the end of a turn ---- */

static struct loop_deferred *first, *second, *third;
static int order[16];
static size_t calls;

static void called(int who)
{
    if (calls < sizeof order / sizeof order[0])
        order[calls++] = who;
}

static void call_first(void *arg)
{
    (void)arg;
    called(1);
}

static void ask_all_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        loop_defer(first);
        loop_defer(second);
    }
    called(0);
}

static void call_second_and_stop(void *arg)
{
    (void)arg;
    called(2);
    loop_stop(loop);
}

START_TEST(what_is_deferred_is_done_once_at_the_end_of_the_turn)
{
    calls = 0;
    first = loop_deferred_new(loop, call_first, NULL);
    second = loop_deferred_new(loop, call_second_and_stop, NULL);
    struct loop_timer *timer = loop_timer_new(loop, ask_all_often, NULL);
    loop_timer_start(timer, 1, 0);
    loop_run(loop);
    ck_assert_uint_eq(calls, 3);
    ck_assert_int_eq(order[0], 0);
    ck_assert_int_eq(order[1], 1);
    ck_assert_int_eq(order[2], 2);
    loop_timer_free(timer);
    loop_deferred_free(first);
    loop_deferred_free(second);
    loop_deferred_free(NULL);
}
END_TEST

static void again_until_a_byte_comes(void *arg)
{
    (void)arg;
    called(1);
    if (calls == 3)
        ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
    if (calls < 1000)
        loop_defer(first);
}

static void byte_came(int events, void *arg)
{
    (void)events;
    (void)arg;
    called(9);
    loop_stop(loop);
}

/* It does not wait, and it does not keep the loop from its sockets either. */
START_TEST(what_defers_itself_leaves_a_turn_to_the_others)
{
    calls = 0;
    first = loop_deferred_new(loop, again_until_a_byte_comes, NULL);
    watch = loop_watch_new(loop, pair[0], byte_came, NULL);
    loop_watch_set(watch, LOOP_READ);
    loop_defer(first);
    loop_run(loop);
    ck_assert_uint_ge(calls, 4);
    ck_assert_uint_le(calls, 6); /* the kernel may need a turn */
    ck_assert_int_eq(order[calls - 1], 9);
    loop_deferred_free(first);
}
END_TEST

static void free_others(void *arg)
{
    (void)arg;
    called(1);
    loop_deferred_free(second);
    loop_deferred_cancel(third);
    loop_deferred_free(first); /* its own */
    loop_stop(loop);
}

START_TEST(a_call_may_free_and_cancel_what_is_due_itself_included)
{
    calls = 0;
    first = loop_deferred_new(loop, free_others, NULL);
    second = loop_deferred_new(loop, call_first, NULL);
    third = loop_deferred_new(loop, call_first, NULL);
    loop_defer(first);
    loop_defer(second);
    loop_defer(third);
    loop_run(loop);
    ck_assert_uint_eq(calls, 1);
    loop_defer(third); /* a loop may go with calls that are due */
    loop_deferred_cancel(third);
    loop_defer(third);
    loop_deferred_free(third);
}
END_TEST

static void long_after(void *arg)
{
    called(7);
    loop_stop(arg);
}

START_TEST(with_nothing_due_the_loop_waits)
{
    calls = 0;
    first = loop_deferred_new(loop, call_first, NULL);
    struct loop_timer *timer = loop_timer_new(loop, long_after, loop);
    loop_timer_start(timer, 50, 0);
    loop_defer(first);
    clock_t before = clock();
    loop_run(loop);
    ck_assert_int_lt((int)((clock() - before) * 1000 / CLOCKS_PER_SEC), 25); /* it does not spin */
    ck_assert_uint_eq(calls, 2);
    loop_timer_free(timer);
    loop_deferred_free(first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tests = tcase_create("loop");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_reset_behind_data_is_met_after_the_data);
    tcase_add_test(tests, an_end_behind_data_is_met_after_the_data);
    tcase_add_test(tests, a_timer_may_free_itself);
    tcase_add_test(tests, what_is_deferred_is_done_once_at_the_end_of_the_turn);
    tcase_add_test(tests, what_defers_itself_leaves_a_turn_to_the_others);
    tcase_add_test(tests, a_call_may_free_and_cancel_what_is_due_itself_included);
    tcase_add_test(tests, with_nothing_due_the_loop_waits);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
