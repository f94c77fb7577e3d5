#include "producer/orders/order_request.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define GOOD "{\"sku\":\"dress\",\"quantity\":1,\"payment_method\":\"pm_card_visa\"}"

static struct ids *ids;
static struct order_request input;
static struct job job;
static struct problem problem;
static char scratch[ORDER_REQUEST_SCRATCH];
static char told[4096]; /* the problem's JSON */

static void setup(void)
{
    ids = ids_new(SECRET, strlen(SECRET));
    input = (struct order_request){.user = "ann",
                                   .kind = {.content_type = "application/json", .content_types = 1},
                                   .key = "key",
                                   .key_count = 1,
                                   .now_ms = 1800000000123};
}

static void teardown(void)
{
    ids_free(ids);
}

static int accept_n(const char *body, size_t len)
{
    input.body = body;
    input.body_len = len;
    problem = (struct problem){0};
    int code = order_request_read(ids, &input, scratch, &job, &problem);
    told[0] = '\0';
    if (code == ERR_INVALID) {
        struct buf out = {.data = told, .cap = sizeof told, .max = sizeof told - 1};
        problem_encode(&out, &problem);
        json_t *value =
            json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        ck_assert_msg(value != NULL, "not JSON: %s", told);
        ck_assert_int_eq(json_integer_value(json_object_get(value, "status")),
                         problem_status(problem.type));
        json_decref(value);
    }
    return code;
}

static int accept_text(const char *body)
{
    return accept_n(body, strlen(body));
}

/* The body is refused, and the only thing wrong is at `pointer`. */
static void refused_at(const char *body, const char *pointer)
{
    char wanted[256];
    ck_assert_msg(accept_text(body) == ERR_INVALID, "%s is accepted", body);
    ck_assert_int_eq(problem.type, PROBLEM_INVALID_REQUEST);
    ck_assert_msg(problem.error_count == 1, "%s: %s", body, told);
    (void)snprintf(wanted, sizeof wanted, "\"pointer\":\"%s\"}]", pointer);
    ck_assert_msg(strstr(told, wanted) != NULL, "%s: %s", body, told);
}

static void refused_member(const char *name, const char *value)
{
    char body[5000];
    char pointer[64];
    const char *rest = strcmp(name, "sku") == 0        ? "\"quantity\":1,\"payment_method\":\"p\""
                       : strcmp(name, "quantity") == 0 ? "\"sku\":\"a\",\"payment_method\":\"p\""
                       : strcmp(name, "payment_method") == 0
                           ? "\"sku\":\"a\",\"quantity\":1"
                           : "\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\"";
    (void)snprintf(body, sizeof body, "{\"%s\":%s,%s}", name, value, rest);
    (void)snprintf(pointer, sizeof pointer, "/%s", name);
    refused_at(body, pointer);
}

START_TEST(a_good_order)
{
    ck_assert_int_eq(accept_text(GOOD), 0);
    ck_assert_str_eq(job.user_id, "ann");
    ck_assert_str_eq(job.sku, "dress");
    ck_assert_int_eq(job.quantity, 1);
    ck_assert_str_eq(job.payment_method, "pm_card_visa");
    ck_assert_ptr_null(job.receipt_email);
    ck_assert_ptr_null(job.reference);
    ck_assert_ptr_null(job.traceparent);
    ck_assert(!job.has_unit_price);
    ck_assert_str_eq(job.accepted_at, "2027-01-15T08:00:00.123Z");
    ck_assert(ids_verify(ids, "ann", job.order_id));
    char id[IDS_ORDER_SIZE];
    ck_assert_int_eq(ids_order(ids, "ann", "key", id), 0);
    ck_assert_str_eq(job.order_id, id);
}
END_TEST

START_TEST(an_order_with_everything)
{
    input.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    ck_assert_int_eq(accept_text("{\"reference\":\"cart-7\",\"unit_price\":99999999999,"
                                 "\"receipt_email\":\"ann@example.org\",\"payment_method\":\"pm\","
                                 "\"quantity\":100,\"sku\":\"A.b_c-9\"}"),
                     0);
    ck_assert_str_eq(job.reference, "cart-7");
    ck_assert_str_eq(job.receipt_email, "ann@example.org");
    ck_assert(job.has_unit_price);
    ck_assert_int_eq(job.unit_price, 99999999999);
    ck_assert_int_eq(job.quantity, 100);
    ck_assert_str_eq(job.traceparent, input.traceparent);
    input.traceparent = "00-broken";
    ck_assert_int_eq(accept_text(GOOD), 0);
    ck_assert_ptr_null(job.traceparent);
}
END_TEST

START_TEST(the_order_of_members_changes_nothing)
{
    ck_assert_int_eq(accept_text(GOOD), 0);
    char first[IDS_FINGERPRINT_SIZE];
    memcpy(first, job.fingerprint, sizeof first);
    ck_assert_int_eq(
        accept_text(
            " {\"payment_method\":\"pm_card_\\u0076isa\",\"quantity\":1,\"sku\":\"dress\"}"),
        0);
    ck_assert_str_eq(job.fingerprint, first);
    ck_assert_int_eq(
        accept_text("{\"sku\":\"dress\",\"quantity\":2,\"payment_method\":\"pm_card_visa\"}"), 0);
    ck_assert_str_ne(job.fingerprint, first);
}
END_TEST

START_TEST(quantity)
{
    static const char *const bad[] = {"0",
                                      "-1",
                                      "-0",
                                      "1.5",
                                      "1.0",
                                      "1e2",
                                      "101",
                                      "1e400",
                                      "-1e400",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "18446744073709551617",
                                      "100000000000000000000000000000000000000001",
                                      "\"1\"",
                                      "null",
                                      "true",
                                      "[1]",
                                      "{}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused_member("quantity", bad[i]);
}
END_TEST

START_TEST(sku)
{
    static const char *const bad[] = {"\"\"",
                                      "\"a b\"",
                                      "\"../../etc/passwd\"",
                                      "\"a/b\"",
                                      "\"a\\u0000\"",
                                      "\"\\u0000\"",
                                      "\"a\\n\"",
                                      "\"\xc3\xa9\"",
                                      "\"a;drop table\"",
                                      "7",
                                      "null",
                                      "[\"a\"]",
                                      "\"a\\u002fb\"",
                                      "\".\"",
                                      "\"..\"",
                                      "\"-a\""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused_member("sku", bad[i]);
    char text[80];
    (void)snprintf(text, sizeof text, "\"%065d\"", 0);
    refused_member("sku", text);
    char body[200];
    (void)snprintf(body, sizeof body, "{\"sku\":\"%064d\",\"quantity\":1,\"payment_method\":\"p\"}",
                   0);
    ck_assert_int_eq(accept_text(body), 0);
}
END_TEST

START_TEST(other_members)
{
    static const char *const names[] = {"payment_method", "receipt_email", "reference",
                                        "unit_price"};
    static const char *const bad[] = {"null", "true",    "[]",          "{}",
                                      "\"\"", "\"a b\"", "\"\\u0000\"", "\"a\\u0000b\"",
                                      "-1",   "1.5",     "1e400",       "9223372036854775808"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t j = 0; j < ARRAY_LEN(bad); j++)
            refused_member(names[i], bad[j]);
    refused_member("unit_price", "100000000000");
    refused_member("receipt_email", "\"no-at\"");
    refused_member("receipt_email", "\"two@at@signs\"");
    char text[400];
    (void)snprintf(text, sizeof text, "\"%065d\"", 0);
    refused_member("reference", text);
    (void)snprintf(text, sizeof text, "\"%0256d\"", 0);
    refused_member("payment_method", text);
    (void)snprintf(text, sizeof text, "\"a@%0253d\"", 0);
    refused_member("receipt_email", text);
}
END_TEST

START_TEST(the_number_of_a_card_is_no_payment_method)
{
    static const char *const cards[] = {"\"4242424242424242\"", "\"4000-0000-0000-3220\"",
                                        "\"378282246310005\"", "\"6759649826438453\""};
    static const char *const others[] = {"4242424242424241", "42424242424", "pm_4242424242424242",
                                         "42424242424242424242", "-"};
    char body[256];
    for (size_t i = 0; i < ARRAY_LEN(cards); i++)
        refused_member("payment_method", cards[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        (void)snprintf(body, sizeof body,
                       "{\"sku\":\"dress\",\"quantity\":1,\"payment_method\":\"%s\"}", others[i]);
        ck_assert_int_eq(accept_text(body), 0);
        ck_assert_str_eq(job.payment_method, others[i]);
    }
}
END_TEST

START_TEST(members_that_are_missing_unknown_or_twice)
{
    refused_at("{\"quantity\":1,\"payment_method\":\"p\"}", "/sku");
    refused_at("{\"sku\":\"a\",\"payment_method\":\"p\"}", "/quantity");
    refused_at("{\"sku\":\"a\",\"quantity\":1}", "/payment_method");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"price\":1}", "/price");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"Sku\":\"a\"}", "/Sku");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"sku\":\"a\"}", "/sku");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"a/b~\":1}", "/a~1b~0");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"sku\\u0000\":1}",
               "/sku\\u0000");
    refused_at("{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"\":1}", "/");
}
END_TEST

START_TEST(what_is_no_json)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "null",
                                      GOOD "x",
                                      GOOD GOOD,
                                      "{\"sku\":\"a\"",
                                      "{\"sku\":\"\xff\"}",
                                      "{\"sku\":[[[[[[1]]]]]]}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        refused_at(bad[i], "");
    ck_assert_int_eq(accept_n(GOOD "\0", sizeof GOOD), ERR_INVALID);
}
END_TEST

START_TEST(several_errors_are_told_together)
{
    input.key = "";
    ck_assert_int_eq(accept_text("{\"sku\":\"\",\"quantity\":0,\"x\":1}"), ERR_INVALID);
    ck_assert_uint_eq(problem.error_count, 5);
    ck_assert_ptr_nonnull(strstr(told, "\"header\":\"Idempotency-Key\""));
    ck_assert_ptr_nonnull(strstr(told, "\"pointer\":\"/sku\""));
    ck_assert_ptr_nonnull(strstr(told, "\"pointer\":\"/quantity\""));
    ck_assert_ptr_nonnull(strstr(told, "\"pointer\":\"/x\""));
    ck_assert_ptr_nonnull(strstr(told, "\"pointer\":\"/payment_method\""));
}
END_TEST

START_TEST(errors_are_bounded)
{
    char body[ORDER_REQUEST_BODY_MAX + 1] = "{";
    for (int i = 0; i < 30; i++) {
        char member[200];
        (void)snprintf(member, sizeof member, "%s\"%0120d%d\":1", i == 0 ? "" : ",", 0, i);
        (void)strcat(body, member);
    }
    (void)strcat(body, "}");
    ck_assert_int_eq(accept_text(body), ERR_INVALID);
    ck_assert_uint_eq(problem.error_count, PROBLEM_ERRORS_MAX);
}
END_TEST

START_TEST(a_long_name_is_cut_between_characters)
{
    char body[1000] = "{\"sku\":\"a\",\"quantity\":1,\"payment_method\":\"p\",\"x";
    for (int i = 0; i < 100; i++)
        (void)strcat(body, "\xe2\x82\xac");
    (void)strcat(body, "\":1}");
    ck_assert_int_eq(accept_text(body), ERR_INVALID); /* accept_n has read it as UTF-8 */
}
END_TEST

START_TEST(a_body_that_is_no_json_by_its_headers)
{
    input.kind.content_type = "text/plain";
    ck_assert_int_eq(accept_text(GOOD), ERR_INVALID);
    ck_assert_int_eq(problem.type, PROBLEM_UNSUPPORTED_MEDIA_TYPE);
}
END_TEST

START_TEST(a_body_that_is_too_large)
{
    input.body_too_large = true;
    ck_assert_int_eq(accept_text(""), ERR_INVALID);
    ck_assert_int_eq(problem.type, PROBLEM_TOO_LARGE);
}
END_TEST

START_TEST(a_key_that_is_missing_or_there_twice)
{
    input.key_count = 2;
    ck_assert_int_eq(accept_text(GOOD), ERR_INVALID);
    input.key_count = 0;
    input.key = NULL;
    ck_assert_int_eq(accept_text(GOOD), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(told, "\"header\":\"Idempotency-Key\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accept");
    TCase *tc = tcase_create("accept");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_good_order);
    tcase_add_test(tc, an_order_with_everything);
    tcase_add_test(tc, the_order_of_members_changes_nothing);
    tcase_add_test(tc, quantity);
    tcase_add_test(tc, sku);
    tcase_add_test(tc, other_members);
    tcase_add_test(tc, the_number_of_a_card_is_no_payment_method);
    tcase_add_test(tc, members_that_are_missing_unknown_or_twice);
    tcase_add_test(tc, what_is_no_json);
    tcase_add_test(tc, several_errors_are_told_together);
    tcase_add_test(tc, errors_are_bounded);
    tcase_add_test(tc, a_long_name_is_cut_between_characters);
    tcase_add_test(tc, a_body_that_is_no_json_by_its_headers);
    tcase_add_test(tc, a_body_that_is_too_large);
    tcase_add_test(tc, a_key_that_is_missing_or_there_twice);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
