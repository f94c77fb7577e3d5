/* Keys of webhooks, their signatures (vectors of Standard Webhooks, and of RFC 8032's first key),
 * and what a webhook carries. */
#include "common/shop/hook_keys.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/shop/hook_body.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SEED "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PAIR                                                                                       \
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/"                               \
    "tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
#define PUBLIC "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define HMAC_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define ED25519_SIGNATURE                                                                          \
    "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw=="
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY "{\"test\": 2432232314}"
#define TIMESTAMP 1614265330

static const struct {
    const char *file;
    const char *signature;
    const char *shown;
} good[] = {
    {SECRET, HMAC_SIGNATURE, "a secret (whsec_), which its receiver must have\n"},
    {SECRET "\n", HMAC_SIGNATURE, "a secret (whsec_), which its receiver must have\n"},
    {SEED "\r\n", ED25519_SIGNATURE, PUBLIC "\n"},
    {PAIR, ED25519_SIGNATURE, PUBLIC "\n"},
    {"# old\n\n" SECRET "  \n# new\n" SEED "\n", HMAC_SIGNATURE " " ED25519_SIGNATURE,
     "a secret (whsec_), which its receiver must have\n" PUBLIC "\n"},
};

START_TEST(keys_sign_as_others_do)
{
    struct hook_keys *keys = NULL;
    const char *problem = NULL;
    struct buf out;
    buf_init(&out, 4096);
    ck_assert_int_eq(hook_keys_parse(good[_i].file, strlen(good[_i].file), &keys, &problem), 0);
    ck_assert_int_eq(hook_keys_sign(keys, ID, TIMESTAMP, BODY, strlen(BODY), &out), 0);
    ck_assert_str_eq(buf_text(&out), good[_i].signature);
    buf_reset(&out);
    ck_assert_int_eq(hook_keys_show(keys, &out), 0);
    ck_assert_str_eq(buf_text(&out), good[_i].shown);
    buf_free(&out);
    hook_keys_free(keys);
}
END_TEST

static const char *const bad[] = {
    "",
    "\n\n# nothing\n",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "whsec_",
    "whsec_c2hvcnQ=",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
    "whsec_"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "whsk_",
    "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    /* the halves are of two keys */
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGA==",
    SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n" SECRET,
    SECRET "\nnonsense",
};

START_TEST(what_is_no_key_is_refused)
{
    struct hook_keys *keys = NULL;
    const char *problem = NULL;
    ck_assert_int_eq(hook_keys_parse(bad[_i], strlen(bad[_i]), &keys, &problem), ERR_PARSE);
    ck_assert_ptr_nonnull(problem);
    ck_assert_ptr_null(keys);
    ck_assert_ptr_null(strstr(problem, "MfKQ"));
}
END_TEST

START_TEST(a_nul_among_keys_is_refused)
{
    struct hook_keys *keys = NULL;
    const char *problem = NULL;
    ck_assert_int_eq(hook_keys_parse(SECRET "\0", strlen(SECRET) + 1, &keys, &problem), ERR_PARSE);
}
END_TEST

START_TEST(a_new_secret_is_one_and_another_each_time)
{
    char first[HOOK_SECRET_SIZE], second[HOOK_SECRET_SIZE];
    struct hook_keys *keys = NULL;
    const char *problem = NULL;
    ck_assert_int_eq(hook_secret_new(first), 0);
    ck_assert_int_eq(hook_secret_new(second), 0);
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(hook_keys_parse(first, strlen(first), &keys, &problem), 0);
    hook_keys_free(keys);
}
END_TEST

START_TEST(a_body_has_what_is_known)
{
    const struct hook_event whole = {.event_id = 4711,
                                     .type = "order.rejected",
                                     .time_ms = INT64_C(1769860800123),
                                     .order_id = "o-1",
                                     .sequence = 2,
                                     .reason = "sold_out",
                                     .user_id = "a\"b",
                                     .sku = "dress",
                                     .quantity = 1,
                                     .has_amount = true,
                                     .amount = 0,
                                     .currency = "usd",
                                     .reference = "cart-7"};
    const struct hook_event bare = {.event_id = 1,
                                    .type = "order.disputed",
                                    .time_ms = INT64_C(1769860800000),
                                    .order_id = "o"};
    const struct hook_event test = {.type = "test", .time_ms = INT64_C(1769860800000)};
    char id[HOOK_ID_SIZE];
    struct buf out;
    buf_init(&out, HOOK_BODY_MAX);
    ck_assert_int_eq(hook_body(&whole, &out), 0);
    ck_assert_str_eq(buf_text(&out),
                     "{\"type\":\"order.rejected\",\"timestamp\":\"2026-01-31T12:00:00.123Z\","
                     "\"data\":{\"event_id\":\"4711\",\"order_id\":\"o-1\",\"sequence\":2,"
                     "\"status\":\"rejected\",\"reason\":\"sold_out\",\"user_id\":\"a\\\"b\","
                     "\"sku\":\"dress\",\"quantity\":1,\"amount\":0,\"currency\":\"usd\","
                     "\"reference\":\"cart-7\"}}");
    buf_reset(&out);
    ck_assert_int_eq(hook_body(&bare, &out), 0);
    ck_assert_str_eq(buf_text(&out),
                     "{\"type\":\"order.disputed\",\"timestamp\":\"2026-01-31T12:00:00.000Z\","
                     "\"data\":{\"event_id\":\"1\",\"order_id\":\"o\",\"status\":\"disputed\"}}");
    buf_reset(&out);
    ck_assert_int_eq(hook_body(&test, &out), 0);
    ck_assert_str_eq(buf_text(&out),
                     "{\"type\":\"test\",\"timestamp\":\"2026-01-31T12:00:00.000Z\","
                     "\"data\":{}}");
    buf_free(&out);
    hook_id(&whole, 9, id);
    ck_assert_str_eq(id, "evt_4711");
    hook_id(&test, 9, id);
    ck_assert_str_eq(id, "test_9");
}
END_TEST

START_TEST(a_body_that_is_too_long_is_refused)
{
    const struct hook_event event = {.event_id = 1, .type = "order.confirmed", .order_id = "o-1"};
    struct buf out;
    buf_init(&out, 60);
    ck_assert_int_eq(hook_body(&event, &out), ERR_FULL);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hook_keys");
    TCase *tests = tcase_create("hook_keys");
    tcase_add_loop_test(tests, keys_sign_as_others_do, 0, ARRAY_LEN(good));
    tcase_add_loop_test(tests, what_is_no_key_is_refused, 0, ARRAY_LEN(bad));
    tcase_add_test(tests, a_nul_among_keys_is_refused);
    tcase_add_test(tests, a_new_secret_is_one_and_another_each_time);
    tcase_add_test(tests, a_body_has_what_is_known);
    tcase_add_test(tests, a_body_that_is_too_long_is_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
