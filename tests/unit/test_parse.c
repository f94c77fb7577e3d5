#include "common/base/parse.h"

#include <check.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attrs.h"
#include "common/base/err.h"

START_TEST(every_number_of_a_range_is_read_and_all_else_is_outside)
{
    for (int64_t written = -1200; written <= 1200; written++) {
        char text[32];
        int64_t number = 77777;
        (void)snprintf(text, sizeof text, "%" PRId64, written);
        int code = parse_int(text, -1000, 1000, &number);
        bool inside = written >= -1000 && written <= 1000;
        ck_assert_int_eq(code, inside ? 0 : ERR_FULL);
        ck_assert_int_eq(number, inside ? written : 77777);
        int expected = written < 0 ? ERR_PARSE : written > 1000 ? ERR_FULL : 0;
        ck_assert_int_eq(parse_int(text, 0, 1000, &number), expected);
    }
}
END_TEST

/* All texts of up to three characters out of those that might matter. */
START_TEST(all_else_is_no_number)
{
    static const char alphabet[] = "09-+ .exa\t";
    char text[4];
    for (size_t n = 0; n < 11 * 11 * 11; n++) {
        size_t at[3] = {n % 11, n / 11 % 11, n / 121};
        size_t len = 0;
        for (size_t i = 0; i < 3; i++)
            if (at[i] < 10)
                text[len++] = alphabet[at[i]];
        text[len] = '\0';
        int64_t number = 0;
        size_t minus = text[0] == '-';
        bool right = len > minus && strspn(text + minus, "09") == len - minus;
        ck_assert_int_eq(parse_int(text, INT64_MIN, INT64_MAX, &number), right ? 0 : ERR_PARSE);
        ck_assert(!right || number == strtoll(text, NULL, 10));
        ck_assert_int_eq(parse_int(text, 0, INT64_MAX, &number),
                         right && minus == 0 ? 0 : ERR_PARSE);
    }
    int64_t number;
    ck_assert_int_eq(parse_int(NULL, 0, 1, &number), ERR_PARSE);
    ck_assert_int_eq(parse_intn("1\0", 2, 0, 9, &number), ERR_PARSE);
}
END_TEST

START_TEST(the_ends_of_the_type_are_read_and_what_lies_beyond_is_not)
{
    static const struct {
        const char *text;
        int code;
        int64_t number;
    } cases[] = {
        {"9223372036854775807", 0, INT64_MAX},    {"9223372036854775808", ERR_FULL, 0},
        {"9223372036854775810", ERR_FULL, 0},     {"99999999999999999999", ERR_FULL, 0},
        {"18446744073709551616", ERR_FULL, 0},    {"-9223372036854775808", 0, INT64_MIN},
        {"-9223372036854775809", ERR_FULL, 0},    {"-99999999999999999999x", ERR_PARSE, 0},
        {"000000000000000000000000000007", 0, 7}, {"-0", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t number = 0;
        ck_assert_int_eq(parse_int(cases[i].text, INT64_MIN, INT64_MAX, &number), cases[i].code);
        ck_assert_int_eq(number, cases[i].number);
    }
}
END_TEST

START_TEST(only_the_bytes_asked_for_are_read)
{
    int64_t number;
    ck_assert_int_eq(parse_intn("12345", 3, 0, 999, &number), 0);
    ck_assert_int_eq(number, 123);
    ck_assert_int_eq(parse_intn("12345", 0, 0, 999, &number), ERR_PARSE);
}
END_TEST

START_TEST(leading_digits_are_counted_and_a_huge_number_is_the_largest)
{
    static const struct {
        const char *text;
        size_t count;
        int64_t number;
    } cases[] = {
        {"", 0, 0},
        {"x1", 0, 0},
        {"-1", 0, 0},
        {"15.4", 2, 15},
        {"007abc", 3, 7},
        {"9223372036854775807 ", 19, INT64_MAX},
        {"9223372036854775808", 19, INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t number = 5;
        ck_assert_uint_eq(parse_digits(cases[i].text, &number), cases[i].count);
        ck_assert_int_eq(number, cases[i].number);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parse");
    TCase *tests = tcase_create("parse");
    tcase_add_test(tests, every_number_of_a_range_is_read_and_all_else_is_outside);
    tcase_add_test(tests, all_else_is_no_number);
    tcase_add_test(tests, the_ends_of_the_type_are_read_and_what_lies_beyond_is_not);
    tcase_add_test(tests, only_the_bytes_asked_for_are_read);
    tcase_add_test(tests, leading_digits_are_counted_and_a_huge_number_is_the_largest);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
