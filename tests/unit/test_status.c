#include "common/shop/status.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX ((size_t)256 * 1024)

static char page[PAGE_MAX];
static char list[1024];

static void read_page(const char *path)
{
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    size_t len = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[len] = '\0';
}

/* Folds all blanks into one, so that a list may be broken into lines. */
static void fold(void)
{
    char *to = page;
    for (const char *from = page; *from != '\0'; from++)
        if (strchr(" \n", *from) == NULL)
            *to++ = *from;
        else if (to > page && to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
}

typedef const char *word_of(int number);

/* "head word sep word … end", each word between quotes, from number `first` on. */
static const char *listed(const char *head, word_of *word, int first, int count, const char *quote,
                          const char *separator, const char *end)
{
    size_t len = (size_t)snprintf(list, sizeof list, "%s", head);
    for (int i = first; i < count; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s%s%s",
                                i == first ? "" : separator, quote, word(i), quote);
    (void)snprintf(list + len, sizeof list - len, "%s", end);
    return list;
}

static const char *state(int i)
{
    return order_state_word((enum order_state)i);
}

static const char *reason(int i)
{
    return order_reason_word((enum order_reason)i);
}

static const char *payment(int i)
{
    return payment_state_word((enum payment_state)i);
}

static const char *refund(int i)
{
    return refund_state_word((enum refund_state)i);
}

static const char *command(int i)
{
    return command_state_word((enum command_state)i);
}

static void expect(const char *text)
{
    ck_assert_msg(strstr(page, text) != NULL, "there is no %s", text);
}

START_TEST(each_word_is_its_own_and_no_other_is_any)
{
    static const char *const others[] = {"", "WAITING", "waiting ", "wait", "sold out", "none"};
    for (int i = 1; i < ORDER_STATE_COUNT; i++)
        ck_assert_int_eq(order_state_of(state(i)), i);
    for (int i = 1; i < ORDER_REASON_COUNT; i++)
        ck_assert_int_eq(order_reason_of(reason(i)), i);
    for (int i = 1; i < PAYMENT_STATE_COUNT; i++)
        ck_assert_int_eq(payment_state_of(payment(i)), i);
    for (int i = 1; i < REFUND_STATE_COUNT; i++)
        ck_assert_int_eq(refund_state_of(refund(i)), i);
    for (int i = 1; i < COMMAND_STATE_COUNT; i++)
        ck_assert_int_eq(command_state_of(command(i)), i);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert_int_eq(order_state_of(others[i]), 0);
        ck_assert_int_eq(order_reason_of(others[i]), 0);
        ck_assert_int_eq(payment_state_of(others[i]), 0);
        ck_assert_int_eq(refund_state_of(others[i]), 0);
        ck_assert_int_eq(command_state_of(others[i]), 0);
    }
    ck_assert_int_eq(order_state_of(NULL), 0);
    ck_assert_str_eq(state(0), "");
    ck_assert_str_eq(order_reason_meaning(ORDER_REASON_NONE), "");
}
END_TEST

START_TEST(four_states_are_final)
{
    int count = 0;
    for (int i = 0; i < ORDER_STATE_COUNT; i++)
        count += order_state_final((enum order_state)i);
    ck_assert_int_eq(count, 4);
    ck_assert(order_state_final(order_state_of("confirmed")));
    ck_assert(order_state_final(order_state_of("rejected")));
    ck_assert(order_state_final(order_state_of("cancelled")));
    ck_assert(order_state_final(order_state_of("refunded")));
}
END_TEST

START_TEST(the_tables_have_these_words)
{
    read_page("schemas/sql/010_tables.sql");
    fold();
    int stored = ORDER_STATE_QUEUED + 1; /* there is no row of a queued order */
    expect(listed("check (status in (", state, stored, ORDER_STATE_COUNT, "'", ", ", "))"));
    expect(listed("check (state in (", payment, 1, PAYMENT_STATE_COUNT, "'", ", ", "))"));
    expect(listed("check (state in (", refund, 1, REFUND_STATE_COUNT, "'", ", ", "))"));
    expect(listed("check (state in (", command, 1, COMMAND_STATE_COUNT, "'", ", ", "))"));
    read_page("schemas/sql/036_challenges.sql");
    fold();
    expect(listed("check (reason in (", reason, 1, ORDER_REASON_COUNT, "'", ", ", "))"));
}
END_TEST

START_TEST(the_schemas_have_these_words)
{
    read_page("schemas/openapi.yaml");
    fold();
    expect(listed("enum: [", state, 1, ORDER_STATE_COUNT, "", ", ", "]"));
    expect(listed("enum: - ", reason, 1, ORDER_REASON_COUNT, "", " - ", " "));
    read_page("schemas/checkout.event.v1.schema.json");
    fold();
    expect(
        listed("\"enum\": [", state, ORDER_STATE_QUEUED + 1, ORDER_STATE_COUNT, "\"", ", ", "]"));
    expect(listed("\"enum\": [", reason, 1, ORDER_REASON_COUNT, "\"", ", ", "]"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tests = tcase_create("status");
    tcase_add_test(tests, each_word_is_its_own_and_no_other_is_any);
    tcase_add_test(tests, four_states_are_final);
    tcase_add_test(tests, the_tables_have_these_words);
    tcase_add_test(tests, the_schemas_have_these_words);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
