#include "producer/limits/limits.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "producer/limits/recent.h"

/* ---- recent ---- */

START_TEST(the_name_that_was_not_used_for_the_longest_time_makes_room)
{
    struct recent *recent = recent_new(3);
    for (int n = 0; n < 3; n++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%d", n);
        *recent_use(recent, name) = 10 + n;
    }
    ck_assert_int_eq(*recent_find(recent, "n0"), 10);
    *recent_use(recent, "n3") = 13;
    ck_assert_ptr_null(recent_find(recent, "n1"));
    ck_assert_int_eq(*recent_use(recent, "n0"), 10);
    ck_assert_int_eq(*recent_use(recent, "n1"), 0); /* anew */
    ck_assert_ptr_null(recent_find(recent, "n2"));
    recent_remove(recent, "n3");
    recent_remove(recent, "n3");
    ck_assert_ptr_null(recent_find(recent, "n3"));
    *recent_use(recent, "n4") = 14;
    ck_assert_int_eq(*recent_find(recent, "n0"), 10);
    ck_assert_int_eq(*recent_find(recent, "n4"), 14);
    recent_free(recent);
    recent_free(NULL);
}
END_TEST

/* ---- limits ---- */

static struct limits *both(void)
{
    const struct rate rates[LIMIT_KINDS] = {[LIMIT_USER] = {2, 60}, [LIMIT_ADDRESS] = {3, 3600}};
    return limits_new(rates);
}

static struct limit_refusal refusal;

static enum limits_answer ask(struct limits *limits, const char *user, const char *address,
                              const char *order, int64_t now_us)
{
    const struct limit_names names = {.of = {[LIMIT_USER] = user, [LIMIT_ADDRESS] = address}};
    return limits_ask(limits, &names, order, now_us, &refusal);
}

START_TEST(each_kind_counts_and_the_longest_wait_is_said)
{
    struct limits *limits = both();
    ck_assert_int_eq(ask(limits, "ann", "a", "1", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "a", "2", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "b", "3", 0), LIMITS_REFUSED);
    ck_assert_int_eq(refusal.kind, LIMIT_USER);
    ck_assert_int_eq(refusal.wait_us, 30000000);
    ck_assert_int_eq(ask(limits, "bob", "a", "4", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "bob", "a", "5", 0), LIMITS_REFUSED);
    ck_assert_int_eq(refusal.kind, LIMIT_ADDRESS);
    ck_assert_int_eq(refusal.wait_us, 1200000000);
    ck_assert_int_eq(ask(limits, "ann", "a", "6", 0), LIMITS_REFUSED);
    ck_assert_int_eq(refusal.kind, LIMIT_ADDRESS);
    limits_free(limits);
}
END_TEST

/* Who is refused by one kind takes no place of the other. */
START_TEST(a_refused_order_takes_no_place)
{
    struct limits *limits = both();
    ck_assert_int_eq(ask(limits, "ann", "a", "1", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "a", "2", 0), LIMITS_TAKEN);
    for (int n = 0; n < 10; n++)
        ck_assert_int_eq(ask(limits, "ann", "a", "3", 0), LIMITS_REFUSED);
    ck_assert(!limits_know(limits, "3"));
    ck_assert_int_eq(ask(limits, "bob", "a", "4", 0), LIMITS_TAKEN);
    limits_free(limits);
}
END_TEST

START_TEST(a_repeat_is_known_and_takes_none)
{
    struct limits *limits = both();
    for (int n = 0; n < 10; n++)
        ck_assert_int_eq(ask(limits, "ann", "a", "1", 0), n == 0 ? LIMITS_TAKEN : LIMITS_KNOWN);
    ck_assert_int_eq(ask(limits, "ann", "a", "2", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "a", "3", 0), LIMITS_REFUSED);
    ck_assert_int_eq(ask(limits, "ann", "a", "2", 0), LIMITS_KNOWN);
    limits_free(limits);
}
END_TEST

START_TEST(a_place_is_put_back_once)
{
    struct limits *limits = both();
    const struct limit_names names = {.of = {[LIMIT_USER] = "ann", [LIMIT_ADDRESS] = "a"}};
    ck_assert_int_eq(ask(limits, "ann", "a", "1", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "a", "2", 0), LIMITS_TAKEN);
    limits_put_back(limits, &names, "1");
    limits_put_back(limits, &names, "1");
    ck_assert_int_eq(ask(limits, "ann", "a", "3", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "a", "4", 0), LIMITS_REFUSED);
    limits_free(limits);
}
END_TEST

START_TEST(a_kind_without_a_limit_needs_no_name)
{
    const struct rate rates[LIMIT_KINDS] = {[LIMIT_USER] = {1, 60}};
    enum limit_kind kinds[LIMIT_KINDS];
    struct limits *limits = limits_new(rates);
    ck_assert_uint_eq(limits_kinds(limits, kinds), 1);
    ck_assert_int_eq(ask(limits, "ann", NULL, "1", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", NULL, "2", 0), LIMITS_REFUSED);
    limits_free(limits);
    const struct rate none[LIMIT_KINDS] = {0};
    limits = limits_new(none);
    for (int n = 0; n < 100; n++)
        ck_assert_int_eq(ask(limits, NULL, NULL, "1", 0), LIMITS_KNOWN);
    limits_free(limits);
    limits_free(NULL);
}
END_TEST

/* Many names cost no memory without end, and the busy one stays known. */
START_TEST(its_memory_is_bounded)
{
    struct limits *limits = both();
    char name[16];
    ck_assert_int_eq(ask(limits, "ann", "a", "x", 0), LIMITS_TAKEN);
    ck_assert_int_eq(ask(limits, "ann", "b", "y", 0), LIMITS_TAKEN);
    for (int n = 0; n < 50000; n++) {
        (void)snprintf(name, sizeof name, "%d", n);
        ck_assert_int_eq(ask(limits, name, name, name, 0), LIMITS_TAKEN);
        if (n % 1000 == 0)
            ck_assert_int_eq(ask(limits, "ann", "c", "z", 0), LIMITS_REFUSED);
    }
    ck_assert(!limits_know(limits, "0"));
    ck_assert(limits_know(limits, "49999"));
    limits_free(limits);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_add_test(tests, the_name_that_was_not_used_for_the_longest_time_makes_room);
    tcase_add_test(tests, each_kind_counts_and_the_longest_wait_is_said);
    tcase_add_test(tests, a_refused_order_takes_no_place);
    tcase_add_test(tests, a_repeat_is_known_and_takes_none);
    tcase_add_test(tests, a_place_is_put_back_once);
    tcase_add_test(tests, a_kind_without_a_limit_needs_no_name);
    tcase_add_test(tests, its_memory_is_bounded);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
