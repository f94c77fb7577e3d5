#include "consumer/shard/patience.h"

#include <check.h>
#include <stdlib.h>

START_TEST(it_is_short_for_a_while_after_a_timeout)
{
    struct patience patience = {0};
    ck_assert_uint_eq(patience_ms(&patience, 5000), PATIENCE_USUAL_MS);
    patience_timeout(&patience, 5000);
    ck_assert_uint_eq(patience_ms(&patience, 5000), PATIENCE_SHORT_MS);
    ck_assert_uint_eq(patience_ms(&patience, 4999 + PATIENCE_WHILE_MS), PATIENCE_SHORT_MS);
    ck_assert_uint_eq(patience_ms(&patience, 5000 + PATIENCE_WHILE_MS), PATIENCE_USUAL_MS);
}
END_TEST

/* Otherwise a slow database would never get done with anything. */
START_TEST(it_grows_until_what_is_slow_passes)
{
    struct patience patience = {0};
    uint64_t now_ms = 1;
    uint32_t longest_ms = 0;
    for (int tries = 0; tries < 20; tries++) {
        patience_timeout(&patience, now_ms);
        patience_grow(&patience);
        ck_assert_uint_ge(patience_ms(&patience, now_ms), longest_ms);
        longest_ms = patience_ms(&patience, now_ms);
        now_ms += longest_ms; /* the next one ends */
    }
    ck_assert_uint_eq(longest_ms, PATIENCE_MAX_MS);
    now_ms += PATIENCE_WHILE_MS; /* it has recovered */
    patience_timeout(&patience, now_ms);
    ck_assert_uint_eq(patience_ms(&patience, now_ms), PATIENCE_SHORT_MS);
}
END_TEST

START_TEST(it_shrinks_with_what_passes)
{
    struct patience patience = {0};
    patience_timeout(&patience, 1);
    for (int i = 0; i < 10; i++)
        patience_grow(&patience);
    patience_passed(&patience, 400);
    ck_assert_uint_eq(patience_ms(&patience, 1), 800);
    patience_passed(&patience, 700);
    ck_assert_uint_eq(patience_ms(&patience, 1), 800);
    patience_passed(&patience, 3);
    ck_assert_uint_eq(patience_ms(&patience, 1), PATIENCE_SHORT_MS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patience");
    TCase *tests = tcase_create("patience");
    tcase_add_test(tests, it_is_short_for_a_while_after_a_timeout);
    tcase_add_test(tests, it_grows_until_what_is_slow_passes);
    tcase_add_test(tests, it_shrinks_with_what_passes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
