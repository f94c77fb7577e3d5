#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
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

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *tests = tcase_create("loop");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_reset_behind_data_is_met_after_the_data);
    tcase_add_test(tests, an_end_behind_data_is_met_after_the_data);
    tcase_add_test(tests, a_timer_may_free_itself);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
