#include "deploy/sandbox/form.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "deploy/sandbox/request.h"

static struct form form;
static char text[4096];

static int parse(const char *body, size_t len)
{
    ck_assert_uint_lt(len, sizeof text);
    memcpy(text, body, len);
    text[len] = '\0';
    return form_parse(text, len, &form);
}

static void read_form(const char *body)
{
    ck_assert_msg(parse(body, strlen(body)) == 0, "%s", body);
}

START_TEST(fields_are_decoded)
{
    read_form("amount=4900&metadata[order_id]=a%20b+c&metadata%5Bshard%5D=3&empty=&bare&&e=%C3%A9");
    ck_assert_uint_eq(form.count, 6);
    ck_assert_str_eq(form_get(&form, "amount"), "4900");
    ck_assert_str_eq(form_get(&form, "metadata[order_id]"), "a b c");
    ck_assert_str_eq(form_get(&form, "metadata[shard]"), "3");
    ck_assert_str_eq(form_get(&form, "empty"), "");
    ck_assert_str_eq(form_get(&form, "bare"), "");
    ck_assert_str_eq(form_get(&form, "e"), "\xc3\xa9");
    ck_assert_ptr_null(form_get(&form, "absent"));
}
END_TEST

START_TEST(nothing_is_a_form_too)
{
    read_form("");
    ck_assert_uint_eq(form.count, 0);
    read_form("&&");
    ck_assert_uint_eq(form.count, 0);
}
END_TEST

START_TEST(a_value_may_hold_what_separates)
{
    read_form("a=b=c%26d%3D");
    ck_assert_str_eq(form_get(&form, "a"), "b=c&d=");
}
END_TEST

static const struct {
    const char *body;
    size_t len;
} wrong[] = {
    {"a=%", 3},    {"a=%4", 4},     {"a=%4g", 5},    {"a=%zz", 5},           {"a=%00", 5},
    {"a=b\0c", 5}, {"%00=b", 5},    {"=b", 2},       {"a=1&a=2", 7},         {"a=1&%61=2", 9},
    {"a=\xff", 3}, {"a=%FF", 5},    {"a=%C0%80", 8}, {"a=%ED%A0%80", 11},    {"a=%F5%80%80%80", 14},
    {"a=%C3", 5},  {"a=%E2%82", 8}, {"\x80=1", 3},   {"a=%F4%90%80%80", 14}, {"a=%E0%80%80", 11},
    {"a=%C3b", 6},
};

START_TEST(what_is_no_form_is_refused)
{
    ck_assert_int_eq(parse(wrong[_i].body, wrong[_i].len), ERR_PARSE);
}
END_TEST

START_TEST(fields_have_a_bound)
{
    char body[FORM_FIELDS_MAX * 6 + 8];
    size_t len = 0;
    for (int i = 0; i < FORM_FIELDS_MAX; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "f%d=&", i);
    ck_assert_int_eq(parse(body, len), 0);
    ck_assert_uint_eq(form.count, FORM_FIELDS_MAX);
    len += (size_t)snprintf(body + len, sizeof body - len, "g=");
    ck_assert_int_eq(parse(body, len), ERR_FULL);
}
END_TEST

START_TEST(members_of_a_prefix_are_found)
{
    size_t len;
    const struct form_field member = {"metadata[order_id]", ""};
    const char *name = form_member(&member, "metadata", &len);
    ck_assert_uint_eq(len, 8);
    ck_assert_int_eq(strncmp(name, "order_id", len), 0);
    static const char *const others[] = {"metadata",     "metadata[]", "metadata[x",
                                         "metadatax[y]", "other[y]",   "m"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct form_field field = {others[i], ""};
        ck_assert_ptr_null(form_member(&field, "metadata", &len));
    }
}
END_TEST

static uint64_t fingerprint(const char *body, const char *target)
{
    read_form(body);
    return form_fingerprint(&form, target);
}

START_TEST(a_fingerprint_knows_fields_but_not_their_order)
{
    uint64_t first = fingerprint("a=1&b=2", "/x");
    ck_assert(fingerprint("b=2&a=1", "/x") == first);
    ck_assert(fingerprint("b=%32&a=1", "/x") == first);
    static const char *const others[] = {"a=2&b=1", "a=1", "a=1&b=2&c=", "a=1&b=3", "", "ab=12"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert(fingerprint(others[i], "/x") != first);
    ck_assert(fingerprint("a=1&b=2", "/y") != first);
}
END_TEST

/* ---- what a form asks for ---- */

#define GOOD "amount=4900&currency=EUR&payment_method=pm_card_visa&confirm=true"

static int charge(const char *body, struct intent *intent, struct answer_error *error)
{
    static struct buf metadata = {.max = 8192};
    struct card card;
    read_form(body);
    return request_charge(&form, &metadata, intent, &card, error);
}

START_TEST(a_charge_is_read)
{
    struct intent intent;
    struct answer_error error;
    ck_assert_int_eq(charge(GOOD "&metadata[order_id]=o%221&metadata[shard]=3&receipt_email=a@b"
                                 "&description=Order",
                            &intent, &error),
                     0);
    ck_assert_int_eq(intent.amount, 4900);
    ck_assert_str_eq(intent.currency, "eur");
    ck_assert_str_eq(intent.method, "pm_card_visa");
    ck_assert_str_eq(intent.receipt_email, "a@b");
    ck_assert_str_eq(intent.description, "Order");
    ck_assert_str_eq(intent.metadata, "{\"order_id\":\"o\\\"1\",\"shard\":\"3\"}");
    ck_assert_int_eq(intent.status, INTENT_SUCCEEDED);
    ck_assert_int_eq(charge("amount=1&currency=eur&confirm=true&payment_method="
                            "pm_card_authenticationRequired",
                            &intent, &error),
                     0);
    ck_assert_int_eq(intent.status, INTENT_REQUIRES_ACTION);
    ck_assert_str_eq(intent.metadata, "{}");
}
END_TEST

#define CARD "&currency=eur&payment_method=pm_card_visa&confirm=true"

static const struct {
    const char *body;
    const char *code;
    const char *param;
} refused[] = {
    {"currency=eur&payment_method=pm_card_visa&confirm=true", "parameter_missing", "amount"},
    {"amount=1&payment_method=pm_card_visa&confirm=true", "parameter_missing", "currency"},
    {"amount=1&currency=eur&confirm=true", "parameter_missing", "payment_method"},
    {"amount=1&currency=eur&payment_method=pm_card_visa", "parameter_missing", "confirm"},
    {"amount=1&currency=eur&payment_method=pm_card_visa&confirm=1", "parameter_missing", "confirm"},
    {"amount=1&currency=euro&payment_method=pm_card_visa&confirm=true", "parameter_invalid_string",
     "currency"},
    {"amount=1&currency=eur&payment_method=pm_nope&confirm=true", "resource_missing",
     "payment_method"},
    {"amount=1&currency=eur&payment_method=pm_sandbox_nope&confirm=true", "resource_missing",
     "payment_method"},
    {"amount=1" CARD "&receipt_email=nobody", "email_invalid", "receipt_email"},
    {"amount=1" CARD "&surprise=1", "parameter_unknown", "surprise"},
    {"amount=" CARD, "parameter_invalid_integer", "amount"},
    {"amount=1.5" CARD, "parameter_invalid_integer", "amount"},
    {"amount=-1" CARD, "parameter_invalid_integer", "amount"},
    {"amount=+1" CARD, "parameter_invalid_integer", "amount"},
    {"amount=1x" CARD, "parameter_invalid_integer", "amount"},
    {"amount=0" CARD, "amount_too_small", "amount"},
    {"amount=100000000" CARD, "amount_too_large", "amount"},
    {"amount=99999999999999999999" CARD, "amount_too_large", "amount"},
};

START_TEST(a_charge_with_a_wrong_field_is_refused)
{
    struct intent intent;
    struct answer_error error;
    ck_assert_int_eq(charge(refused[_i].body, &intent, &error), ERR_INVALID);
    ck_assert_uint_eq(error.status, 400);
    ck_assert_str_eq(error.code, refused[_i].code);
    ck_assert_str_eq(error.param, refused[_i].param);
}
END_TEST

static int refund(const char *body, enum intent_status status, int64_t refunded,
                  struct refund *ret_refund, struct answer_error *error)
{
    static struct buf metadata = {.max = 8192};
    const struct intent intent = {.status = status, .amount = 100, .refunded = refunded};
    read_form(body);
    return request_refund(&form, &intent, &metadata, ret_refund, error);
}

START_TEST(a_refund_takes_what_is_left_at_most)
{
    struct refund made;
    struct answer_error error;
    ck_assert_int_eq(refund("payment_intent=pi_1", INTENT_SUCCEEDED, 0, &made, &error), 0);
    ck_assert_int_eq(made.amount, 100);
    ck_assert_int_eq(refund("payment_intent=pi_1", INTENT_SUCCEEDED, 30, &made, &error), 0);
    ck_assert_int_eq(made.amount, 70);
    ck_assert_int_eq(refund("payment_intent=pi_1&amount=70&reason=duplicate", INTENT_SUCCEEDED, 30,
                            &made, &error),
                     0);
    ck_assert_str_eq(made.reason, "duplicate");
    ck_assert_int_eq(refund("payment_intent=pi_1&amount=71", INTENT_SUCCEEDED, 30, &made, &error),
                     ERR_INVALID);
    ck_assert_str_eq(error.code, "amount_too_large");
    ck_assert_int_eq(refund("payment_intent=pi_1", INTENT_SUCCEEDED, 100, &made, &error),
                     ERR_INVALID);
    ck_assert_str_eq(error.code, "charge_already_refunded");
    ck_assert_int_eq(refund("payment_intent=pi_1", INTENT_CANCELED, 0, &made, &error), ERR_INVALID);
    ck_assert_str_eq(error.code, "payment_intent_unexpected_state");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sandbox_form");
    TCase *tcase = tcase_create("sandbox_form");
    tcase_add_test(tcase, fields_are_decoded);
    tcase_add_test(tcase, nothing_is_a_form_too);
    tcase_add_test(tcase, a_value_may_hold_what_separates);
    tcase_add_loop_test(tcase, what_is_no_form_is_refused, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    tcase_add_test(tcase, fields_have_a_bound);
    tcase_add_test(tcase, members_of_a_prefix_are_found);
    tcase_add_test(tcase, a_fingerprint_knows_fields_but_not_their_order);
    tcase_add_test(tcase, a_charge_is_read);
    tcase_add_loop_test(tcase, a_charge_with_a_wrong_field_is_refused, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(tcase, a_refund_takes_what_is_left_at_most);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
