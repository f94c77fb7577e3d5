#include "common/base/rate.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/attrs.h"

static const struct rate rates[] = {{1, 1}, {1, 60}, {2, 60}, {7, 60}, {60, 60}, {3, 2}, {1000, 1}};

/* The same limit as a bucket that is counted: places in it, each worth rate_step_us. */
struct bucket {
    int64_t filled_us; /* how much is in it */
    int64_t at_us;
};

static bool bucket_take(const struct rate *rate, struct bucket *bucket, int64_t now_us)
{
    bucket->filled_us += now_us - bucket->at_us;
    bucket->at_us = now_us;
    if (bucket->filled_us > rate_room_us(rate))
        bucket->filled_us = rate_room_us(rate);
    if (bucket->filled_us < rate_step_us(rate))
        return false;
    bucket->filled_us -= rate_step_us(rate);
    return true;
}

START_TEST(it_is_a_token_bucket)
{
    const struct rate *rate = &rates[_i];
    struct bucket bucket = {rate_room_us(rate), 0};
    int64_t full_us = 0;
    int64_t now_us = 0;
    srand(1);
    for (int n = 0; n < 20000; n++) {
        int64_t wait_us = 0;
        int64_t before_us = full_us;
        bool expected = bucket_take(rate, &bucket, now_us);
        ck_assert_int_eq(rate_would_take(rate, now_us, full_us, &wait_us), expected);
        ck_assert_int_eq(rate_take(rate, now_us, &full_us, &wait_us), expected);
        if (!expected) { /* and it says exactly when there is a place */
            ck_assert_int_eq(full_us, before_us);
            ck_assert_int_gt(wait_us, 0);
            ck_assert(rate_would_take(rate, now_us + wait_us, full_us, &wait_us));
            ck_assert(!rate_would_take(rate, now_us + wait_us - 1, full_us, &wait_us) ||
                      wait_us == 0);
        }
        now_us += rand() % (int)(rate_step_us(rate) * 2 / (n % 3 + 1) + 1);
    }
}
END_TEST

START_TEST(so_many_at_once_and_one_more_for_each_step)
{
    const struct rate *rate = &rates[_i];
    int64_t full_us = 0;
    int64_t wait_us = -1;
    int64_t now_us = 1764000000000000;
    for (int64_t n = 0; n < rate->count; n++)
        ck_assert(rate_take(rate, now_us, &full_us, &wait_us));
    for (int n = 0; n < 50; n++) {
        ck_assert(!rate_take(rate, now_us, &full_us, &wait_us));
        ck_assert_int_eq(wait_us, rate_step_us(rate));
        ck_assert(!rate_take(rate, now_us + wait_us - 1, &full_us, &wait_us));
        ck_assert_int_eq(wait_us, 1);
        now_us += rate_step_us(rate);
        ck_assert(rate_take(rate, now_us, &full_us, &wait_us));
    }
}
END_TEST

START_TEST(a_place_that_is_put_back_can_be_taken)
{
    const struct rate *rate = &rates[_i];
    int64_t full_us = 0;
    int64_t wait_us;
    for (int64_t n = 0; n < rate->count; n++)
        ck_assert(rate_take(rate, 1000, &full_us, &wait_us));
    rate_put_back(rate, &full_us);
    ck_assert(rate_take(rate, 1000, &full_us, &wait_us));
    ck_assert(!rate_take(rate, 1000, &full_us, &wait_us));
    for (int64_t n = 0; n < 3 * rate->count; n++) /* too many: it is full, no more */
        rate_put_back(rate, &full_us);
    for (int64_t n = 0; n < rate->count; n++)
        ck_assert(rate_take(rate, 1000, &full_us, &wait_us));
    ck_assert(!rate_take(rate, 1000, &full_us, &wait_us));
}
END_TEST

START_TEST(a_clock_that_is_set_back_makes_no_wait_longer)
{
    const struct rate *rate = &rates[_i];
    int64_t full_us = 0;
    int64_t wait_us;
    ck_assert(rate_take(rate, INT64_C(2000000000000000), &full_us, &wait_us));
    int64_t now_us = 1764000000000000;
    ck_assert(!rate_take(rate, now_us, &full_us, &wait_us));
    ck_assert_int_le(wait_us, rate_step_us(rate));
}
END_TEST

START_TEST(zero_is_no_limit)
{
    const struct rate none = {0, 1};
    int64_t full_us = 0;
    int64_t wait_us;
    for (int n = 0; n < 1000; n++)
        ck_assert(rate_take(&none, 0, &full_us, &wait_us));
    rate_put_back(&none, &full_us);
    ck_assert_int_eq(full_us, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate");
    TCase *tests = tcase_create("rate");
    tcase_add_loop_test(tests, it_is_a_token_bucket, 0, ARRAY_LEN(rates));
    tcase_add_loop_test(tests, so_many_at_once_and_one_more_for_each_step, 0, ARRAY_LEN(rates));
    tcase_add_loop_test(tests, a_place_that_is_put_back_can_be_taken, 0, ARRAY_LEN(rates));
    tcase_add_loop_test(tests, a_clock_that_is_set_back_makes_no_wait_longer, 0, ARRAY_LEN(rates));
    tcase_add_test(tests, zero_is_no_limit);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
