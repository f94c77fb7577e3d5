/* Numbers as people read them, and the words of errors, shards and violations. */
#include "ctl/human.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/attrs.h"
#include "common/base/err.h"
#include "common/shop/shard.h"
#include "ctl/audit/audit_captures.h"
#include "ctl/audit/audit_kinds.h"

START_TEST(an_age_has_two_digits_that_matter)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-1, "-"},
        {0, "0ms"},
        {999, "999ms"},
        {1000, "1.0s"},
        {9999, "9.9s"},
        {10000, "10s"},
        {59999, "59s"},
        {60000, "1m00s"},
        {192000, "3m12s"},
        {3600000, "1h00m"},
        {7500000, "2h05m"},
        {86400000, "1d00h"},
        {371000000, "4d07h"},
    };
    char text[HUMAN_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        human_age(cases[i].ms, text);
        ck_assert_str_eq(text, cases[i].text);
    }
}
END_TEST

START_TEST(rates_counts_and_short_texts)
{
    char text[HUMAN_SIZE];
    human_rate(-1, text);
    ck_assert_str_eq(text, "0");
    human_rate(0.34, text);
    ck_assert_str_eq(text, "0.3");
    human_rate(1204.4, text);
    ck_assert_str_eq(text, "1204");
    human_count(-1, text);
    ck_assert_str_eq(text, "-");
    human_count(17, text);
    ck_assert_str_eq(text, "17");
    human_short("abcdef", 6, text, sizeof text);
    ck_assert_str_eq(text, "abcdef");
    human_short("abcdefg", 6, text, sizeof text);
    ck_assert_str_eq(text, "ab~efg");
}
END_TEST

START_TEST(each_error_has_words_of_its_own)
{
    ck_assert_str_eq(err_text(0), "ok");
    ck_assert_str_eq(err_text(1), "unknown error");
    ck_assert_str_eq(err_text(-10000), "unknown error");
#define CHECK_TEXT(name, text) ck_assert_str_eq(err_text(ERR_##name), text);
    ERR_MAP(CHECK_TEXT)
#undef CHECK_TEXT
}
END_TEST

START_TEST(names_of_shards)
{
    char name[SHARD_NAME_SIZE];
    shard_exchange(16, name);
    ck_assert_str_eq(name, "checkout.jobs.16");
    shard_queue(1024, 1023, name);
    ck_assert_str_eq(name, "checkout.jobs.1024.1023");
    shard_routing_key(7, name);
    ck_assert_str_eq(name, "7");
    ck_assert_uint_eq(shard_of("lamp", 4, 1), 0);
}
END_TEST

START_TEST(each_kind_of_violation_is_found_and_an_unknown_one_is_the_last)
{
    for (size_t i = 0; i < audit_kinds(); i++)
        ck_assert_uint_eq(audit_kind_of(audit_kind(i)->name), i);
    ck_assert_uint_eq(audit_kind_of("of a later version"), audit_kinds() - 1);
    ck_assert_str_eq(audit_kind(audit_kinds() - 1)->name, "unknown");
}
END_TEST

START_TEST(captures_are_found_after_any_number)
{
    struct audit_captures captures = {0};
    char id[32];
    ck_assert(!audit_captures_has(&captures, "pi_0"));
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(id, sizeof id, "pi_%d", i);
        ck_assert_int_eq(audit_captures_add(&captures, id), 0);
        ck_assert(i % 500 != 0 || audit_captures_has(&captures, id));
    }
    ck_assert(audit_captures_has(&captures, "pi_0"));
    ck_assert(audit_captures_has(&captures, "pi_2999"));
    ck_assert(!audit_captures_has(&captures, "pi_3000"));
    audit_captures_free(&captures);
}
END_TEST

START_TEST(money_by_the_minor_units_of_its_currency)
{
    char text[HUMAN_MONEY_SIZE];
    human_money("1999", "usd", text);
    ck_assert_str_eq(text, "19.99 usd");
    human_money("1999", "jpy", text);
    ck_assert_str_eq(text, "1999 jpy");
    human_money("12340", "kwd", text);
    ck_assert_str_eq(text, "12.340 kwd");
    human_money("100000", "isk", text);
    ck_assert_str_eq(text, "1000.00 isk");
    human_money("1999", "xxx", text);
    ck_assert_str_eq(text, "1999 xxx (minor units)");
    human_money(NULL, "usd", text);
    ck_assert_str_eq(text, "-");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("human");
    TCase *tests = tcase_create("human");
    tcase_add_test(tests, an_age_has_two_digits_that_matter);
    tcase_add_test(tests, money_by_the_minor_units_of_its_currency);
    tcase_add_test(tests, rates_counts_and_short_texts);
    tcase_add_test(tests, each_error_has_words_of_its_own);
    tcase_add_test(tests, names_of_shards);
    tcase_add_test(tests, each_kind_of_violation_is_found_and_an_unknown_one_is_the_last);
    tcase_add_test(tests, captures_are_found_after_any_number);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
