#include "console/change.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

#define BODY_MAX 2048

static struct change *change;
static struct problem problem;
static char scratch[BODY_MAX + 1];

static void teardown(void)
{
    change_free(change);
    change = NULL;
}

static int read_body(enum change_kind kind, const char *body)
{
    teardown();
    problem = (struct problem){.type = PROBLEM_INVALID_REQUEST};
    return change_read(kind, body, strlen(body), scratch, &change, &problem);
}

static void expect_wish(enum change_kind kind, const char *body, const char *wish)
{
    ck_assert_msg(read_body(kind, body) == 0, "%s is refused", body);
    ck_assert_str_eq(buf_text(&change->wish), wish);
}

/* Refused with one error, about this member; "": about the whole body. */
static void expect_error(enum change_kind kind, const char *body, const char *member)
{
    ck_assert_msg(read_body(kind, body) == ERR_INVALID, "%s is taken", body);
    ck_assert_uint_eq(problem.error_count, 1);
    const struct problem_error *error = &problem.errors[0];
    ck_assert_uint_eq(error->member == NULL ? 0 : error->member_len, strlen(member));
    ck_assert(error->member == NULL || memcmp(error->member, member, strlen(member)) == 0);
}

START_TEST(a_new_item_is_kept_as_it_was_asked_for)
{
    expect_wish(
        CHANGE_CREATE,
        "{\"stock\":0,\"price\":1999,\"currency\":\"USD\",\"title\":\"A \\\"b\\\"\",\"sku\":"
        "\"d-1\",\"limit_per_user\":null,\"note\":\"why\"}",
        "{\"sku\":\"d-1\",\"title\":\"A \\\"b\\\"\",\"price\":1999,\"currency\":\"usd\","
        "\"stock\":0}");
    ck_assert_str_eq(change->note, "why");
    ck_assert_uint_eq(change->argument.len, 0);
    ck_assert_int_eq(read_body(CHANGE_CREATE, "{\"sku\":\"x\"}"), ERR_INVALID);
    ck_assert_uint_eq(problem.error_count, ITEMS_REQUIRED - 1);
    ck_assert_int_eq(read_body(CHANGE_CREATE, ""), ERR_INVALID);
}
END_TEST

START_TEST(fields_change_or_go_and_no_others)
{
    expect_wish(CHANGE_SET, "{\"closes_at\":null,\"limit_per_user\":3}",
                "{\"limit_per_user\":3,\"closes_at\":null}");
    expect_error(CHANGE_SET, "{\"sku\":\"x\"}", "sku");
    expect_error(CHANGE_SET, "{\"stock\":1}", "stock");
    expect_error(CHANGE_SET, "{\"Title\":\"x\"}", "Title");
    expect_error(CHANGE_SET, "{\"title\":null}", "title");
    expect_error(CHANGE_SET, "{\"title\":\"a\\u0000b\"}", "title");
    expect_error(CHANGE_SET, "{\"price\":1.5}", "price");
    expect_error(CHANGE_SET, "{\"price\":\"1\"}", "price");
    expect_error(CHANGE_SET, "{\"price\":123456789012345678901234567890}", "price");
    expect_error(CHANGE_SET, "{\"price\":1,\"price\":2}", "price");
    expect_error(CHANGE_SET, "{}", "");
    expect_error(CHANGE_SET, "{\"note\":\"only why\"}", "");
    expect_error(CHANGE_SET,
                 "{\"opens_at\":\"2026-02-01T00:00:00Z\",\"closes_at\":\"2026-02-01T00:00:00Z\"}",
                 "closes_at");
    expect_error(CHANGE_SET, "[1]", "");
}
END_TEST

START_TEST(a_price_is_checked_with_the_currency_that_it_will_have)
{
    char rule[CURRENCY_RULE_SIZE];
    ck_assert_int_eq(read_body(CHANGE_SET, "{\"price\":199900}"), 0);
    ck_assert_int_eq(change_check_price(change, "500", "isk", rule), 0);
    ck_assert_str_eq(buf_text(&change->argument),
                     "{\"set\":{\"price\":199900},\"price\":500,\"currency\":\"isk\"}");
    ck_assert_int_eq(read_body(CHANGE_SET, "{\"price\":199950}"), 0);
    ck_assert_int_eq(change_check_price(change, "500", "isk", rule), ERR_INVALID);
    ck_assert_int_eq(change_check_price(change, "500", "usd", rule), 0);
    ck_assert_int_eq(read_body(CHANGE_SET, "{\"title\":\"x\"}"), 0);
    ck_assert_int_eq(change_check_price(change, "1", "isk", rule), 0); /* it stays as it is */
    ck_assert_int_eq(
        read_body(CHANGE_CREATE,
                  "{\"sku\":\"x\",\"title\":\"x\",\"price\":1,\"currency\":\"usd\",\"stock\":1}"),
        0);
    ck_assert_int_eq(change_check_price(change, NULL, NULL, rule), ERR_INVALID);
}
END_TEST

START_TEST(units_are_a_number_that_is_not_0)
{
    expect_wish(CHANGE_RESTOCK, "{\"units\":-3}", "{\"units\":-3}");
    ck_assert_str_eq(buf_text(&change->argument), "{\"units\":-3}");
    expect_error(CHANGE_RESTOCK, "{\"units\":0}", "units");
    expect_error(CHANGE_RESTOCK, "{\"units\":1e3}", "units");
    expect_error(CHANGE_RESTOCK, "{\"units\":2147483648}", "units");
    expect_error(CHANGE_RESTOCK, "", "units");
    expect_error(CHANGE_RESTOCK, "{\"units\":1,\"restock\":true}", "restock");
}
END_TEST

START_TEST(a_refund_says_what_becomes_of_the_units)
{
    expect_wish(CHANGE_REFUND, "",
                "{\"restock\":false,\"own\":false,\"payment\":null,\"note\":null}");
    expect_wish(CHANGE_REFUND, "{\"note\":\"torn\",\"restock\":true,\"payment\":2}",
                "{\"restock\":true,\"own\":false,\"payment\":2,\"note\":\"torn\"}");
    ck_assert_str_eq(buf_text(&change->argument), buf_text(&change->wish));
    expect_error(CHANGE_REFUND, "{\"restock\":1}", "restock");
    expect_error(CHANGE_REFUND, "{\"payment\":0}", "payment");
    expect_error(CHANGE_REFUND, "{\"amount\":1}", "amount");
}
END_TEST

START_TEST(a_payment_is_resolved_by_what_was_seen_and_where)
{
    expect_wish(CHANGE_RESOLVE, "{\"note\":\"pi_1, paid\",\"outcome\":\"captured\"}",
                "{\"outcome\":\"captured\",\"note\":\"pi_1, paid\"}");
    ck_assert_str_eq(buf_text(&change->argument), buf_text(&change->wish));
    expect_wish(CHANGE_RESOLVE, "{\"outcome\":\"not-captured\",\"note\":\"x\"}",
                "{\"outcome\":\"not-captured\",\"note\":\"x\"}");
    expect_wish(CHANGE_RESOLVE, "{\"outcome\":\"release\",\"note\":\"x\"}",
                "{\"outcome\":\"release\",\"note\":\"x\"}");
    expect_wish(CHANGE_RESOLVE, "{\"outcome\":\"refunded\",\"note\":\"x\"}",
                "{\"outcome\":\"refunded\",\"note\":\"x\"}");
    expect_wish(CHANGE_RESOLVE, "{\"payment\":2,\"outcome\":\"refunded\",\"note\":\"x\"}",
                "{\"outcome\":\"refunded\",\"note\":\"x\",\"payment\":2}");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"refunded\",\"note\":\"x\",\"payment\":0}",
                 "payment");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"release\",\"note\":\"x\",\"payment\":2}",
                 "payment");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"refunded\"}", "note");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"Captured\",\"note\":\"x\"}", "outcome");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"capture\",\"note\":\"x\"}", "outcome");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":null,\"note\":\"x\"}", "outcome");
    expect_error(CHANGE_RESOLVE, "{\"outcome\":\"release\"}", "note");
    expect_error(CHANGE_RESOLVE, "{\"note\":\"x\"}", "outcome");
    expect_error(CHANGE_REFUND, "{\"outcome\":\"release\"}", "outcome");
    ck_assert_int_eq(read_body(CHANGE_RESOLVE, ""), ERR_INVALID);
    ck_assert_uint_eq(problem.error_count, 2);
}
END_TEST

START_TEST(a_replay_says_why)
{
    expect_wish(CHANGE_REPLAY, "{\"note\":\"the secret is right again\"}", "{}");
    ck_assert_str_eq(change->note, "the secret is right again");
    ck_assert_uint_eq(change->argument.len, 0);
    expect_error(CHANGE_REPLAY, "", "note");
    expect_error(CHANGE_REPLAY, "{\"note\":\"x\",\"letter\":\"y\"}", "letter");
}
END_TEST

START_TEST(the_others_have_a_note_at_most)
{
    static const enum change_kind kinds[] = {CHANGE_PAUSE, CHANGE_RESUME, CHANGE_CANCEL};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        expect_wish(kinds[i], "", "{}");
        ck_assert(!change->has_note);
        expect_wish(kinds[i], "{\"note\":\"\xc3\xa4\"}", "{}");
        ck_assert_str_eq(change->note, "\xc3\xa4");
        expect_error(kinds[i], "{\"note\":\"a\\nb\"}", "note");
        expect_error(kinds[i], "{\"note\":\"\"}", "note");
        expect_error(kinds[i], "{\"restock\":true}", "restock");
        expect_error(kinds[i], "{", "");
    }
}
END_TEST

START_TEST(a_note_has_500_bytes_at_most)
{
    char body[BODY_MAX];
    for (size_t len = CHANGE_NOTE_MAX; len <= CHANGE_NOTE_MAX + 1; len++) {
        (void)snprintf(body, sizeof body, "{\"note\":\"%0*d\"}", (int)len, 0);
        ck_assert_int_eq(read_body(CHANGE_PAUSE, body), len > CHANGE_NOTE_MAX ? ERR_INVALID : 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("change");
    TCase *tc = tcase_create("change");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, a_new_item_is_kept_as_it_was_asked_for);
    tcase_add_test(tc, fields_change_or_go_and_no_others);
    tcase_add_test(tc, a_price_is_checked_with_the_currency_that_it_will_have);
    tcase_add_test(tc, units_are_a_number_that_is_not_0);
    tcase_add_test(tc, a_refund_says_what_becomes_of_the_units);
    tcase_add_test(tc, a_payment_is_resolved_by_what_was_seen_and_where);
    tcase_add_test(tc, a_replay_says_why);
    tcase_add_test(tc, the_others_have_a_note_at_most);
    tcase_add_test(tc, a_note_has_500_bytes_at_most);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
