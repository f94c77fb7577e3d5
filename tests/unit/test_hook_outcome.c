/* What follows from an attempt to deliver a webhook, and when the next one comes. */
#include "notifier/hooks/hook_outcome.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

static const struct {
    struct curl_response response;
    enum dispatch_end end;
    const char *problem;
    int64_t hold_ms;
} cases[] = {
    {{.status = 200}, DISPATCH_SENT, "", 0},
    {{.status = 204}, DISPATCH_SENT, "", 0},
    {{.status = 299}, DISPATCH_SENT, "", 0},
    {{.status = 199}, DISPATCH_AGAIN, "answered 199", 0},
    {{.status = 301}, DISPATCH_AGAIN, "answered 301", 0},
    {{.status = 400}, DISPATCH_AGAIN, "answered 400", 0},
    {{.status = 410}, DISPATCH_AGAIN, "answered 410", 0},
    {{.status = 429}, DISPATCH_AGAIN, "answered 429", 5000},
    {{.status = 429, .retry_after_s = 7}, DISPATCH_AGAIN, "answered 429", 7000},
    {{.status = 500}, DISPATCH_AGAIN, "answered 500", 0},
    {{.status = 502}, DISPATCH_AGAIN, "answered 502", 5000},
    {{.status = 503, .retry_after_s = 60}, DISPATCH_AGAIN, "answered 503", 60000},
    {{.status = 504}, DISPATCH_AGAIN, "answered 504", 5000},
    {{.code = ERR_TIMEOUT, .connected = true, .reason = "timeout"}, DISPATCH_AGAIN, "timeout", 0},
    {{.code = ERR_UNAVAILABLE, .reason = "address_refused"},
     DISPATCH_UNAVAILABLE,
     "address_refused",
     0},
};

START_TEST(what_follows_from_an_attempt)
{
    char problem[DISPATCH_PROBLEM_SIZE] = "";
    enum dispatch_end end = hook_end_of(&cases[_i].response);
    if (end != DISPATCH_SENT)
        hook_problem_of(&cases[_i].response, problem);
    ck_assert_int_eq(end, cases[_i].end);
    ck_assert_str_eq(problem, cases[_i].problem);
    ck_assert_int_eq(hook_hold_ms(&cases[_i].response), cases[_i].hold_ms);
}
END_TEST

static const int64_t steps_s[] = {5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400};

START_TEST(the_pauses_grow_up_to_a_day)
{
    static const uint64_t randoms[] = {0, 1, 12345678901, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(randoms); i++) {
        for (size_t n = 0; n < ARRAY_LEN(steps_s); n++) {
            int64_t ms = hook_retry_ms((int64_t)n + 1, randoms[i]);
            ck_assert_int_ge(ms, steps_s[n] * 500);
            ck_assert_int_le(ms, steps_s[n] * 1000);
        }
        ck_assert_int_le(hook_retry_ms(INT64_MAX, randoms[i]), INT64_C(86400000));
        ck_assert_int_le(hook_retry_ms(0, randoms[i]), 5000);
    }
}
END_TEST

START_TEST(an_attempt_that_would_be_too_late_fails)
{
    struct dispatch_attempt attempt = {0};
    dispatch_attempt_end(&attempt, DISPATCH_AGAIN, 1000, 8999, 10000);
    ck_assert(attempt.ended);
    ck_assert_int_eq(attempt.end, DISPATCH_AGAIN);
    dispatch_attempt_end(&attempt, DISPATCH_UNAVAILABLE, 1000, 9001, 10000);
    ck_assert_int_eq(attempt.end, DISPATCH_FAILED);
    ck_assert_str_eq(dispatch_state_word(DISPATCH_UNAVAILABLE), "due");
}
END_TEST

START_TEST(an_answer_is_kept_as_visible_ascii)
{
    char text[HOOK_ANSWER_SIZE];
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    hook_answer_of("a\0b\xc3\xa4\n~ ", 8, text);
    ck_assert_str_eq(text, "a?b???~ ");
    hook_answer_of(longer, sizeof longer, text);
    ck_assert_uint_eq(strlen(text), HOOK_ANSWER_SIZE - 1);
    hook_answer_of("", 0, text);
    ck_assert_str_eq(text, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hook_outcome");
    TCase *tests = tcase_create("hook_outcome");
    tcase_add_loop_test(tests, what_follows_from_an_attempt, 0, ARRAY_LEN(cases));
    tcase_add_test(tests, the_pauses_grow_up_to_a_day);
    tcase_add_test(tests, an_attempt_that_would_be_too_late_fails);
    tcase_add_test(tests, an_answer_is_kept_as_visible_ascii);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
