#include "producer/orders/line_paces.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "tests/fake/fake_loop.h"

#define HAT "checkout:line:hat"
#define NEWS "{\"version\":1,\"head\":2,\"next\":9,\"waiting\":5,\"behind_ms\":0,\"pace_ms\":1500}"
#define UNKNOWN_PACE "{\"version\":1,\"head\":2,\"next\":9,\"waiting\":5,\"behind_ms\":0}"
#define STANDS "{\"version\":1,\"head\":2,\"next\":9,\"waiting\":5,\"pace_ms\":1500}"

static struct loop *loop;
static struct line_paces *paces;
static size_t channels;
static int refusal;
static char last[128];

static int listen_to(const char *channel, void *arg)
{
    (void)arg;
    (void)snprintf(last, sizeof last, "%s", channel);
    channels += refusal == 0;
    return refusal;
}

static void leave(const char *channel, void *arg)
{
    (void)arg;
    (void)snprintf(last, sizeof last, "left %s", channel);
    channels--;
}

static void setup(void)
{
    const struct line_paces_channels redis = {listen_to, leave, NULL};
    fake_loop_reset();
    loop = loop_new();
    paces = line_paces_new(loop, &redis);
    ck_assert_ptr_nonnull(paces);
    channels = 0;
    refusal = 0;
}

static void teardown(void)
{
    line_paces_free(paces);
    ck_assert_uint_eq(fake_loop_timers(), 0);
    loop_free(loop);
}

static int64_t wait_s(int64_t place)
{
    return line_paces_wait_s(paces, "hat", place);
}

static void hear(const char *message)
{
    line_paces_heard(paces, HAT, strlen(HAT), message, strlen(message));
}

START_TEST(the_first_question_listens_and_later_ones_are_answered)
{
    hear(NEWS); /* of an item that nobody asked about */
    ck_assert_int_eq(wait_s(3), 0);
    ck_assert_str_eq(last, HAT);
    hear(NEWS);
    ck_assert_int_eq(wait_s(3), 5); /* 4.5 s */
    ck_assert_int_eq(wait_s(1), 2);
    ck_assert_int_eq(line_paces_wait_s(paces, "cap", 1), 0);
    ck_assert_uint_eq(channels, 2);
}
END_TEST

START_TEST(nothing_is_said_of_what_stands_or_is_not_known)
{
    (void)wait_s(1);
    static const char *const messages[] = {STANDS, UNKNOWN_PACE};
    for (size_t i = 0; i < 2; i++) {
        hear(NEWS);
        ck_assert_int_eq(wait_s(3), 5);
        hear(messages[i]);
        ck_assert_int_eq(wait_s(3), 0);
    }
    hear(NEWS);
    hear("{");
    ck_assert_int_eq(wait_s(3), 5);
    ck_assert_int_eq(wait_s(INT64_MAX), 0);
}
END_TEST

START_TEST(what_was_said_long_ago_counts_no_more)
{
    (void)wait_s(1);
    hear(NEWS);
    fake_loop_run(LINE_PACES_OLD_MS);
    ck_assert_int_eq(wait_s(3), 5);
    fake_loop_run(1);
    ck_assert_int_eq(wait_s(3), 0);
    hear(NEWS);
    ck_assert_int_eq(wait_s(3), 5);
}
END_TEST

START_TEST(an_item_that_nobody_asks_about_is_left)
{
    (void)wait_s(1);
    for (int i = 0; i < 3; i++) {
        fake_loop_run(LINE_PACES_KEEP_MS);
        ck_assert_int_eq(wait_s(1), 0);
        ck_assert_uint_eq(channels, 1);
    }
    fake_loop_run(LINE_PACES_KEEP_MS + 20000);
    ck_assert_str_eq(last, "left " HAT);
    ck_assert_uint_eq(channels, 0);
    (void)wait_s(1);
    ck_assert_uint_eq(channels, 1);
}
END_TEST

START_TEST(items_are_bounded)
{
    char sku[80];
    for (int i = 0; i < LINE_PACES_MAX + 10; i++) {
        (void)snprintf(sku, sizeof sku, "sku-%d", i);
        ck_assert_int_eq(line_paces_wait_s(paces, sku, 1), 0);
    }
    ck_assert_uint_eq(channels, LINE_PACES_MAX);
    fake_loop_run(LINE_PACES_KEEP_MS + 20000);
    ck_assert_uint_eq(channels, 0);
    refusal = ERR_NOMEM;
    ck_assert_int_eq(wait_s(1), 0);
    refusal = 0;
    (void)wait_s(1);
    ck_assert_uint_eq(channels, 1);
    memset(sku, 'x', sizeof sku - 1);
    sku[sizeof sku - 1] = '\0';
    ck_assert_int_eq(line_paces_wait_s(paces, sku, 1), 0);
    ck_assert_uint_eq(channels, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("line_paces");
    TCase *tests = tcase_create("line_paces");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_first_question_listens_and_later_ones_are_answered);
    tcase_add_test(tests, nothing_is_said_of_what_stands_or_is_not_known);
    tcase_add_test(tests, what_was_said_long_ago_counts_no_more);
    tcase_add_test(tests, an_item_that_nobody_asks_about_is_left);
    tcase_add_test(tests, items_are_bounded);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
