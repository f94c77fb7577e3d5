#include "deploy/sandbox/form.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/pay/currency.h"
#include "deploy/sandbox/limit.h"
#include "deploy/sandbox/refund.h"
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

static int charge_at(const char *body, const char *version, struct request_charge *ret_charge,
                     struct answer_error *error)
{
    static struct buf metadata = {.max = 8192};
    read_form(body);
    return request_charge(&form, version, &metadata, ret_charge, error);
}

static int charge(const char *body, struct request_charge *ret_charge, struct answer_error *error)
{
    return charge_at(body, "2023-10-16", ret_charge, error);
}

START_TEST(a_charge_is_read)
{
    struct request_charge asked;
    struct answer_error error;
    ck_assert_int_eq(charge(GOOD "&metadata[order_id]=o%221&metadata[shard]=3&receipt_email=a@b"
                                 "&description=Order&customer=cus_1&setup_future_usage=off_session",
                            &asked, &error),
                     0);
    ck_assert_int_eq(asked.intent.amount, 4900);
    ck_assert_str_eq(asked.intent.currency, "eur");
    ck_assert_str_eq(asked.method, "pm_card_visa");
    ck_assert_str_eq(asked.customer, "cus_1");
    ck_assert(asked.confirm && asked.saves && !asked.intent.manual);
    ck_assert_str_eq(asked.intent.receipt_email, "a@b");
    ck_assert_str_eq(asked.intent.description, "Order");
    ck_assert_str_eq(asked.intent.metadata, "{\"order_id\":\"o\\\"1\",\"shard\":\"3\"}");
    ck_assert(asked.intent.method == RECORD_NONE && asked.intent.customer == RECORD_NONE);
    ck_assert_int_eq(charge("amount=1&currency=eur", &asked, &error), 0);
    ck_assert(!asked.confirm && asked.method == NULL);
    ck_assert_str_eq(asked.intent.metadata, "{}");
}
END_TEST

START_TEST(types_of_payment_methods_are_named_or_the_accounts)
{
    struct request_charge asked;
    struct answer_error error;
    ck_assert_int_eq(charge(GOOD "&payment_method_types[]=card", &asked, &error), 0);
    ck_assert(request_allows(&asked, "card") && !request_allows(&asked, "us_bank_account"));
    ck_assert(!asked.may_redirect);
    ck_assert_int_eq(charge(GOOD
                            "&payment_method_types[]=card&payment_method_types[]=us_bank_account",
                            &asked, &error),
                     0);
    ck_assert(request_allows(&asked, "card") && request_allows(&asked, "us_bank_account"));
    ck_assert_int_eq(charge(GOOD "&payment_method_types[0]=us_bank_account", &asked, &error), 0);
    ck_assert(!request_allows(&asked, "card") && request_allows(&asked, "us_bank_account"));
    ck_assert_int_eq(charge(GOOD "&automatic_payment_methods[enabled]=true", &asked, &error), 0);
    ck_assert(request_allows(&asked, "us_bank_account") && asked.may_redirect);
    ck_assert_int_eq(charge(GOOD "&automatic_payment_methods[enabled]=true"
                                 "&automatic_payment_methods[allow_redirects]=never",
                            &asked, &error),
                     0);
    ck_assert(request_allows(&asked, "us_bank_account") && !asked.may_redirect);
    ck_assert_int_eq(charge_at(GOOD, "2022-11-15", &asked, &error), 0);
    ck_assert(request_allows(&asked, "card") && !request_allows(&asked, "us_bank_account"));
    ck_assert_int_eq(charge_at(GOOD, "2025-03-31.basil", &asked, &error), 0);
    ck_assert(request_allows(&asked, "us_bank_account") && asked.may_redirect);
    ck_assert_int_eq(charge(GOOD
                            "&payment_method_types[]=card&automatic_payment_methods[enabled]=true",
                            &asked, &error),
                     ERR_INVALID);
}
END_TEST

#define CARD "&currency=eur&payment_method=pm_card_visa&confirm=true"

static const struct {
    const char *body;
    const char *code; /* NULL: none */
    const char *param;
} refused[] = {
    {"currency=eur&payment_method=pm_card_visa&confirm=true", "parameter_missing", "amount"},
    {"amount=1&payment_method=pm_card_visa&confirm=true", "parameter_missing", "currency"},
    {"amount=1&currency=eur&confirm=true", "parameter_missing", "payment_method"},
    {"amount=1&currency=euro&payment_method=pm_card_visa&confirm=true", NULL, "currency"},
    {"amount=1" CARD "&receipt_email=nobody", "email_invalid", "receipt_email"},
    {"amount=1" CARD "&surprise=1", "parameter_unknown", "surprise"},
    {"amount=1" CARD "&return_url=ftp://x", "url_invalid", "return_url"},
    {"amount=1&currency=eur&return_url=https://x", NULL, "return_url"},
    {"amount=" CARD, "parameter_invalid_integer", "amount"},
    {"amount=1.5" CARD, "parameter_invalid_integer", "amount"},
    {"amount=-1" CARD, "parameter_invalid_integer", "amount"},
    {"amount=+1" CARD, "parameter_invalid_integer", "amount"},
    {"amount=1x" CARD, "parameter_invalid_integer", "amount"},
    {"amount=0" CARD, "parameter_invalid_integer", "amount"},
};

START_TEST(a_charge_with_a_wrong_field_is_refused)
{
    struct request_charge asked;
    struct answer_error error;
    ck_assert_int_eq(charge(refused[_i].body, &asked, &error), ERR_INVALID);
    ck_assert_uint_eq(error.status, 400);
    ck_assert_pstr_eq(error.code, refused[_i].code);
    ck_assert_str_eq(error.param, refused[_i].param);
}
END_TEST

START_TEST(a_return_url_may_have_a_query)
{
    struct request_charge asked;
    struct answer_error error;
    ck_assert_int_eq(charge(GOOD "&return_url=https://shop/back%3Forder=1%26x=2", &asked, &error),
                     0);
    ck_assert_str_eq(asked.intent.return_url, "https://shop/back?order=1&x=2");
}
END_TEST

START_TEST(a_huge_amount_stays_huge)
{
    struct request_charge asked;
    struct answer_error error;
    ck_assert_int_eq(charge("amount=99999999999999999999" CARD, &asked, &error), 0);
    ck_assert_int_gt(asked.intent.amount, currency_find("idr")->most);
}
END_TEST

/* ---- currencies ---- */

START_TEST(currencies_are_those_of_the_documentation)
{
    ck_assert_ptr_null(currency_find("xxx"));
    ck_assert_ptr_null(currency_find("USD"));
    ck_assert_ptr_null(currency_find(""));
    ck_assert_int_eq(currency_find("usd")->least, 50);
    ck_assert_int_eq(currency_find("gbp")->least, 30);
    ck_assert_int_eq(currency_find("huf")->least, 17500);
    ck_assert_int_eq(currency_find("jpy")->least, 50);
    ck_assert_int_eq(currency_find("eur")->most, 99999999);
    ck_assert_int_eq(currency_find("kwd")->step, 10);
    ck_assert_int_eq(currency_find("isk")->step, 100);
    ck_assert_str_eq(currency_find("aed")->code, "aed"); /* the first and the last one */
    ck_assert_str_eq(currency_find("zmw")->code, "zmw");
}
END_TEST

/* ---- refunds ---- */

static int refund(const char *body, const struct intent *intent, int64_t *ret_amount,
                  struct answer_error *error)
{
    static struct buf metadata = {.max = 8192};
    struct refund made;
    read_form(body);
    int code = request_refund(&form, &metadata, &made, error);
    *ret_amount = made.amount;
    return code < 0 ? code : refund_check(intent, ret_amount, error);
}

START_TEST(a_refund_takes_what_is_left_at_most)
{
    struct intent intent = {.status = INTENT_SUCCEEDED, .amount = 100, .received = 100};
    struct answer_error error;
    int64_t amount;
    ck_assert_int_eq(refund("payment_intent=pi_1", &intent, &amount, &error), 0);
    ck_assert_int_eq(amount, 100);
    intent.refunded = 30;
    ck_assert_int_eq(refund("payment_intent=pi_1", &intent, &amount, &error), 0);
    ck_assert_int_eq(amount, 70);
    ck_assert_int_eq(
        refund("payment_intent=pi_1&amount=70&reason=duplicate", &intent, &amount, &error), 0);
    ck_assert_int_eq(amount, 70);
    ck_assert_int_eq(refund("payment_intent=pi_1&amount=71", &intent, &amount, &error),
                     ERR_INVALID);
    ck_assert_str_eq(error.param, "amount");
    intent.refunded = 100;
    ck_assert_int_eq(refund("payment_intent=pi_1", &intent, &amount, &error), ERR_INVALID);
    ck_assert_str_eq(error.code, "charge_already_refunded");
    intent = (struct intent){.status = INTENT_CANCELED, .amount = 100};
    ck_assert_int_eq(refund("payment_intent=pi_1", &intent, &amount, &error), ERR_INVALID);
    ck_assert_str_eq(error.code, "payment_intent_unexpected_state");
    intent = (struct intent){
        .status = INTENT_SUCCEEDED, .amount = 100, .received = 100, .disputed = true};
    ck_assert_int_eq(refund("payment_intent=pi_1", &intent, &amount, &error), ERR_INVALID);
    ck_assert_str_eq(error.code, "charge_disputed");
    ck_assert_int_eq(refund("amount=1", &intent, &amount, &error), ERR_INVALID);
    ck_assert_str_eq(error.param, "payment_intent");
}
END_TEST

/* ---- limits ---- */

START_TEST(no_second_sees_more_than_its_limit)
{
    static struct limit limit;
    unsigned let_in = 0;
    for (uint64_t now_ms = 1; now_ms <= 5000; now_ms += 3) {
        if (limit_allows(&limit, 25, now_ms)) {
            limit_count(&limit, now_ms);
            let_in++;
        }
    }
    ck_assert_uint_eq(let_in, 5 * 25);
    ck_assert(limit_allows(&limit, 0, 5000));
    ck_assert(!limit_allows(&limit, 25, 5000));
    ck_assert(limit_allows(&limit, 26, 5000));
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
    tcase_add_test(tcase, types_of_payment_methods_are_named_or_the_accounts);
    tcase_add_test(tcase, a_return_url_may_have_a_query);
    tcase_add_test(tcase, a_huge_amount_stays_huge);
    tcase_add_test(tcase, currencies_are_those_of_the_documentation);
    tcase_add_test(tcase, no_second_sees_more_than_its_limit);
    tcase_add_test(tcase, a_refund_takes_what_is_left_at_most);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
