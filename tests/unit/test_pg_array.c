#include <check.h>
#include <stdlib.h>

#include "common/net/pg/pg.h"

static struct buf out;

static void set_up(void)
{
    buf_init(&out, 1024);
    pg_array_begin(&out);
}

static void tear_down(void)
{
    buf_free(&out);
}

static void expect(const char *literal)
{
    pg_array_end(&out);
    ck_assert_str_eq(buf_text(&out), literal);
}

START_TEST(an_empty_array)
{
    expect("{}");
}
END_TEST

START_TEST(texts_are_always_quoted)
{
    pg_array_text(&out, "plain");
    pg_array_text(&out, "");
    pg_array_text(&out, "NULL"); /* the word, not the null */
    pg_array_text(&out, "a,b {c} d");
    expect("{\"plain\",\"\",\"NULL\",\"a,b {c} d\"}");
}
END_TEST

START_TEST(quotes_and_backslashes_are_escaped)
{
    pg_array_text(&out, "\"");
    pg_array_text(&out, "\\");
    pg_array_text(&out, "say \"x\\y\"");
    expect("{\"\\\"\",\"\\\\\",\"say \\\"x\\\\y\\\"\"}");
}
END_TEST

START_TEST(a_text_that_ends_in_a_brace_does_not_look_like_a_beginning)
{
    pg_array_text(&out, "{");
    pg_array_text(&out, "{");
    expect("{\"{\",\"{\"}");
}
END_TEST

START_TEST(nulls)
{
    pg_array_null(&out);
    pg_array_text(&out, NULL);
    expect("{NULL,NULL}");
}
END_TEST

START_TEST(numbers)
{
    pg_array_int(&out, 0);
    pg_array_int(&out, -1);
    pg_array_int(&out, INT64_MAX);
    pg_array_int(&out, INT64_MIN);
    expect("{0,-1,9223372036854775807,-9223372036854775808}");
}
END_TEST

START_TEST(other_bytes_pass_as_they_are)
{
    pg_array_text(&out, "caf\xc3\xa9\n\t");
    expect("{\"caf\xc3\xa9\n\t\"}");
}
END_TEST

/* A parameter that does not fit is never sent cut: the buffer says so. */
START_TEST(a_literal_that_does_not_fit_is_a_failed_buffer)
{
    struct buf small;
    for (size_t room = 0; room < 20; room++) { /* {"a\"b",NULL,-7} has 16 bytes */
        buf_init(&small, room);
        pg_array_begin(&small);
        pg_array_text(&small, "a\"b");
        pg_array_null(&small);
        pg_array_int(&small, -7);
        pg_array_end(&small);
        ck_assert_int_eq(small.failed, room < 16);
        if (!small.failed)
            ck_assert_str_eq(buf_text(&small), "{\"a\\\"b\",NULL,-7}");
        buf_free(&small);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pg_array");
    TCase *tests = tcase_create("literals");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, an_empty_array);
    tcase_add_test(tests, texts_are_always_quoted);
    tcase_add_test(tests, quotes_and_backslashes_are_escaped);
    tcase_add_test(tests, a_text_that_ends_in_a_brace_does_not_look_like_a_beginning);
    tcase_add_test(tests, nulls);
    tcase_add_test(tests, numbers);
    tcase_add_test(tests, other_bytes_pass_as_they_are);
    tcase_add_test(tests, a_literal_that_does_not_fit_is_a_failed_buffer);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
