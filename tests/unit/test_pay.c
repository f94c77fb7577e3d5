#include "common/pay/pay.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"

/* Metrics and logs tell outcomes apart by their words. */
START_TEST(each_outcome_has_a_word_of_its_own)
{
    for (int i = 0; i < PAY_OUTCOMES; i++) {
        const char *text = pay_outcome_text((enum pay_outcome)i);
        ck_assert_ptr_nonnull(text);
        ck_assert_uint_eq(strspn(text, "abcdefghijklmnopqrstuvwxyz_"), strlen(text));
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(text, pay_outcome_text((enum pay_outcome)j));
    }
    ck_assert_str_eq(pay_outcome_text(PAY_SUCCEEDED), "succeeded");
    ck_assert_str_eq(pay_outcome_text(PAY_NOT_FOUND), "not_found");
}
END_TEST

/* The words of schemas/, which the database checks too. */
START_TEST(a_problem_has_the_word_of_the_schemas)
{
    static const struct {
        enum pay_problem problem;
        const char *word;
    } words[] = {{PAY_USE_ANOTHER_METHOD, "use_another_method"},
                 {PAY_WRONG_AMOUNT, "amount"},
                 {PAY_WRONG_CURRENCY, "currency"},
                 {PAY_TRY_AGAIN, "try_again"}};
    ck_assert_ptr_null(pay_problem_text(PAY_NO_PROBLEM));
    ck_assert_uint_eq(ARRAY_LEN(words) + 1, PAY_PROBLEMS);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        ck_assert_str_eq(pay_problem_text(words[i].problem), words[i].word);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pay");
    TCase *tests = tcase_create("words");
    tcase_add_test(tests, each_outcome_has_a_word_of_its_own);
    tcase_add_test(tests, a_problem_has_the_word_of_the_schemas);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
