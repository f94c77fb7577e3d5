#include <check.h>
#include <stdlib.h>

#include "common/base/err.h"
#include "common/pay/currency.h"

static void expect(const char *code, int64_t amount, const char *rule)
{
    char found[CURRENCY_RULE_SIZE] = "";
    ck_assert_int_eq(currency_check(code, amount, found), rule == NULL ? 0 : ERR_INVALID);
    ck_assert_str_eq(found, rule == NULL ? "" : rule);
}

START_TEST(what_the_gateway_takes)
{
    expect("usd", 50, NULL);
    expect("usd", 99999999, NULL);
    expect("jpy", 1999, NULL);
    expect("kwd", 12340, NULL);
    expect("isk", 199900, NULL);
    expect("ugx", 500000, NULL);
    expect("huf", 17550, NULL);
}
END_TEST

START_TEST(less_or_more_than_it_takes)
{
    expect("usd", 25, "is 0.25 usd; the least that the gateway takes is 0.50 usd (50)");
    expect("jpy", 25, "is 25 jpy; the least that the gateway takes is 50 jpy (50)");
    expect("kwd", 5, "is 0.005 kwd; the least that the gateway takes is 0.010 kwd (10)");
    expect("isk", 50, "is 0.50 isk; the least that the gateway takes is 1.00 isk (100)");
    expect("usd", 100000000,
           "is 1000000.00 usd; the most that the gateway takes is 999999.99 usd (99999999)");
}
END_TEST

START_TEST(zeros_at_the_end)
{
    expect("kwd", 12345, "is 12.345 kwd; the last of its three decimals must be 0: 12340 or 12350");
    expect("isk", 1999,
           "is 19.99 isk; it has no decimals, but is written with two, which must be 00: 1900 or "
           "2000");
    expect("ugx", 1999,
           "is 19.99 ugx; it has no decimals, but is written with two, which must be 00: 1900 or "
           "2000");
}
END_TEST

START_TEST(a_currency_that_it_does_not_take)
{
    expect("xxx", 1000, "the gateway takes no currency \"xxx\"");
    expect("USD", 1000, "the gateway takes no currency \"USD\"");
}
END_TEST

START_TEST(amounts_in_whole_units)
{
    ck_assert(currency_units(currency_find("usd"), 1999) == 19.99);
    ck_assert(currency_units(currency_find("jpy"), 1999) == 1999);
    ck_assert(currency_units(currency_find("kwd"), 12340) == 12.34);
    ck_assert(currency_units(currency_find("isk"), 199900) == 1999);
}
END_TEST

START_TEST(amounts_for_people)
{
    char text[CURRENCY_TEXT_SIZE];
    currency_amount(currency_find("usd"), 1999, text);
    ck_assert_str_eq(text, "19.99 usd");
    currency_amount(currency_find("jpy"), 1999, text);
    ck_assert_str_eq(text, "1999 jpy");
    currency_amount(currency_find("bhd"), 7, text);
    ck_assert_str_eq(text, "0.007 bhd");
    currency_amount(currency_find("idr"), INT64_C(999999999999), text);
    ck_assert_str_eq(text, "9999999999.99 idr");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("currency");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, what_the_gateway_takes);
    tcase_add_test(rules, less_or_more_than_it_takes);
    tcase_add_test(rules, zeros_at_the_end);
    tcase_add_test(rules, a_currency_that_it_does_not_take);
    tcase_add_test(rules, amounts_in_whole_units);
    tcase_add_test(rules, amounts_for_people);
    suite_add_tcase(suite, rules);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
