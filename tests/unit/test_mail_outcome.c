/* What follows from an attempt to send a mail: for it, and for how many are sent at once. */
#include "notifier/mail/mail_outcome.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "notifier/mail/mail_window.h"

static const struct {
    struct smtp_answer answer;
    enum dispatch_end end;
    const char *problem;
    bool busy;
} ends[] = {
    {{0, true, 250, "2.0.0", ""}, DISPATCH_SENT, NULL, false},
    {{ERR_REFUSED, true, 550, "5.1.1", "refused"}, DISPATCH_FAILED, "refused: 550 5.1.1", false},
    {{ERR_REFUSED, true, 554, "", "refused"}, DISPATCH_FAILED, "refused: 554", false},
    {{ERR_REFUSED, true, 451, "", "refused"}, DISPATCH_AGAIN, "refused: 451", false},
    {{ERR_REFUSED, true, 450, "4.2.0", "refused"}, DISPATCH_AGAIN, "refused: 450 4.2.0", false},
    {{ERR_REFUSED, true, 450, "4.7.1", "refused"}, DISPATCH_AGAIN, "refused: 450 4.7.1", false},
    {{ERR_REFUSED, true, 452, "4.3.1", "refused"}, DISPATCH_AGAIN, "refused: 452 4.3.1", true},
    {{ERR_REFUSED, true, 451, "4.4.5", "refused"}, DISPATCH_AGAIN, "refused: 451 4.4.5", true},
    {{ERR_REFUSED, true, 421, "", "refused"}, DISPATCH_AGAIN, "refused: 421", true},
    {{ERR_REFUSED, true, 454, "", "refused"}, DISPATCH_AGAIN, "refused: 454", true},
    {{ERR_TIMEOUT, true, 354, "", "timeout"}, DISPATCH_AGAIN, "timeout", false},
    {{ERR_CLOSED, true, 0, "", "connection_lost"}, DISPATCH_AGAIN, "connection_lost", false},
    {{ERR_AUTH, false, 535, "", "login_refused"},
     DISPATCH_UNAVAILABLE,
     "login_refused: 535",
     false},
    {{ERR_AUTH, false, 530, "5.7.0", "login_or_tls_wanted"},
     DISPATCH_UNAVAILABLE,
     "login_or_tls_wanted: 530 5.7.0",
     false},
    {{ERR_UNAVAILABLE, false, 0, "", "not_connected"},
     DISPATCH_UNAVAILABLE,
     "not_connected",
     false},
    {{ERR_UNAVAILABLE, false, 554, "", "refused"}, DISPATCH_UNAVAILABLE, "refused: 554", false},
    {{ERR_UNAVAILABLE, false, 550, "5.7.60", "sender_refused"},
     DISPATCH_UNAVAILABLE,
     "sender_refused: 550 5.7.60",
     false},
    {{ERR_UNAVAILABLE, false, 450, "4.7.1", "refused"},
     DISPATCH_UNAVAILABLE,
     "refused: 450 4.7.1",
     true},
    {{ERR_UNAVAILABLE, false, 421, "4.7.0", "refused"},
     DISPATCH_UNAVAILABLE,
     "refused: 421 4.7.0",
     true},
};

START_TEST(what_follows_from_an_attempt)
{
    char problem[DISPATCH_PROBLEM_SIZE];
    ck_assert_int_eq(mail_end_of(&ends[_i].answer), ends[_i].end);
    ck_assert_int_eq(mail_server_busy(&ends[_i].answer), ends[_i].busy);
    mail_problem_of(&ends[_i].answer, problem);
    if (ends[_i].problem != NULL)
        ck_assert_str_eq(problem, ends[_i].problem);
}
END_TEST

START_TEST(a_policy_is_told_by_its_enhanced_status)
{
    ck_assert(
        mail_refused_by_policy(&(struct smtp_answer){ERR_REFUSED, true, 554, "5.7.1", "refused"}));
    ck_assert(
        !mail_refused_by_policy(&(struct smtp_answer){ERR_REFUSED, true, 550, "5.1.1", "refused"}));
    ck_assert(
        !mail_refused_by_policy(&(struct smtp_answer){ERR_REFUSED, true, 450, "4.7.1", "refused"}));
    ck_assert(!mail_refused_by_policy(
        &(struct smtp_answer){ERR_AUTH, false, 530, "5.7.0", "login_or_tls_wanted"}));
}
END_TEST

START_TEST(the_pause_doubles_up_to_an_hour)
{
    for (uint64_t random = 0; random < 100000; random += 999) {
        ck_assert_int_ge(mail_retry_ms(1, random), 15000);
        ck_assert_int_le(mail_retry_ms(1, random), 30000);
        ck_assert_int_ge(mail_retry_ms(4, random), 120000);
        ck_assert_int_le(mail_retry_ms(4, random), 240000);
    }
    ck_assert_int_le(mail_retry_ms(INT64_MAX, UINT64_MAX), 3600000);
    ck_assert_int_ge(mail_retry_ms(INT64_MAX, 0), 1800000);
}
END_TEST

START_TEST(places_halve_and_come_back_one_by_one)
{
    struct mail_window window;
    mail_window_init(&window, 16);
    mail_window_taken(&window);
    ck_assert_uint_eq(window.now, 16);
    mail_window_busy(&window);
    mail_window_busy(&window);
    ck_assert_uint_eq(window.now, 4);
    for (int mail = 0; mail < 3; mail++)
        mail_window_taken(&window);
    ck_assert_uint_eq(window.now, 4);
    mail_window_taken(&window);
    ck_assert_uint_eq(window.now, 5);
    mail_window_close(&window);
    mail_window_busy(&window);
    ck_assert_uint_eq(window.now, 1);
    for (int mail = 0; mail < 16 * 17 / 2; mail++)
        mail_window_taken(&window);
    ck_assert_uint_eq(window.now, 16);
}
END_TEST

static const struct {
    const char *line;
    const char *detail; /* NULL: it has none */
} lines[] = {
    {"250 2.1.5 OK\r\n", "2.1.5"},
    {"450-4.7.123 come again\r\n", "4.7.123"},
    {"550 5.7.60", "5.7.60"},
    {"550 5.123.123 x", "5.123.123"},
    {"250 OK\r\n", NULL},
    {"354\r\n", NULL},
    {"", NULL},
    {"450", NULL},
    {"450 ", NULL},
    {"450_4.7.1 x", NULL},
    {"x50 4.7.1 x", NULL},
    {"450 4.7", NULL},
    {"450 4.7.", NULL},
    {"450 4.7.1x", NULL},
    {"450 44.7.1 x", NULL},
    {"450 4.7.1234 x", NULL},
    {"450 4.1234.1 x", NULL},
    {"450 4..1 x", NULL},
    {"450 192.0.2.1 x", NULL},
};

START_TEST(the_enhanced_status_of_a_reply)
{
    char detail[SMTP_DETAIL_SIZE] = "before";
    ck_assert_int_eq(smtp_reply_detail(lines[_i].line, strlen(lines[_i].line), detail),
                     lines[_i].detail != NULL);
    ck_assert_str_eq(detail, lines[_i].detail == NULL ? "before" : lines[_i].detail);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mail_outcome");
    TCase *tests = tcase_create("mail_outcome");
    tcase_add_loop_test(tests, what_follows_from_an_attempt, 0, ARRAY_LEN(ends));
    tcase_add_test(tests, a_policy_is_told_by_its_enhanced_status);
    tcase_add_test(tests, the_pause_doubles_up_to_an_hour);
    tcase_add_test(tests, places_halve_and_come_back_one_by_one);
    tcase_add_loop_test(tests, the_enhanced_status_of_a_reply, 0, ARRAY_LEN(lines));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
