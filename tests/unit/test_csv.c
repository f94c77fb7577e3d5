#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "ctl/items/csv.h"

static struct csv csv;
static struct csv_row row;
static const char *problem;

static void set_up(void)
{
    csv_row_init(&row);
    problem = NULL;
}

static void tear_down(void)
{
    csv_row_free(&row);
}

static void open_text(const char *text)
{
    csv_open(&csv, text, strlen(text));
}

/* The next row must begin on `line` and hold these fields, separated by | here. */
static void expect_row(unsigned line, const char *fields)
{
    char found[512] = "";
    ck_assert_int_eq(csv_next(&csv, &row, &problem), 1);
    size_t len = 0;
    for (size_t i = 0; i < row.count && len < sizeof found; i++)
        len += (size_t)snprintf(found + len, sizeof found - len, "%s%s", i == 0 ? "" : "|",
                                row.fields[i]);
    ck_assert_str_eq(found, fields);
    ck_assert_uint_eq(row.line, line);
}

static void expect_end(void)
{
    ck_assert_int_eq(csv_next(&csv, &row, &problem), 0);
}

static void expect_problem(unsigned line, const char *text)
{
    ck_assert_int_eq(csv_next(&csv, &row, &problem), ERR_PARSE);
    ck_assert_str_eq(problem, text);
    ck_assert_uint_eq(row.line, line);
}

START_TEST(plain_rows_with_either_line_break)
{
    open_text("a,b,c\r\nd,,f\n,\ng");
    expect_row(1, "a|b|c");
    expect_row(2, "d||f");
    expect_row(3, "|");
    expect_row(4, "g");
    expect_end();
}
END_TEST

START_TEST(quoted_fields)
{
    open_text("\"a,b\",\"say \"\"hi\"\"\",\"\"\n\"two\nlines\",x\nlast,1\n");
    expect_row(1, "a,b|say \"hi\"|");
    expect_row(2, "two\nlines|x");
    expect_row(4, "last|1");
    expect_end();
}
END_TEST

START_TEST(empty_lines_and_a_byte_order_mark_are_skipped)
{
    open_text("\xef\xbb\xbf\n\r\na\n\n\nb\n\n");
    expect_row(3, "a");
    expect_row(6, "b");
    expect_end();
    expect_end();
}
END_TEST

START_TEST(nothing_at_all)
{
    open_text("");
    expect_end();
    open_text("\xef\xbb\xbf");
    expect_end();
}
END_TEST

START_TEST(a_lone_carriage_return_is_a_character)
{
    open_text("a\rb,c\r");
    expect_row(1, "a\rb|c\r");
    expect_end();
}
END_TEST

START_TEST(reading_goes_on_behind_a_bad_line)
{
    open_text("a\"b,c\nd\n\"e\"f,g\nh\n");
    expect_problem(1, "there is a quote inside a field that does not begin with one");
    expect_row(2, "d");
    expect_problem(3, "something follows a closing quote");
    expect_row(4, "h");
    expect_end();
}
END_TEST

START_TEST(an_open_quote_costs_its_own_line_only)
{
    open_text("\"a,b\nc,d\ne\n");
    expect_problem(1, "a quote is not closed");
    expect_row(2, "c|d");
    expect_row(3, "e");
    expect_end();
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
    csv_open(&csv, "a\0b,c\nd\n", 8);
    expect_problem(1, "holds a NUL byte");
    expect_row(2, "d");
    csv_open(&csv, "\"\0\"\nd\n", 6);
    expect_problem(1, "holds a NUL byte");
}
END_TEST

START_TEST(bounds)
{
    static char text[CSV_ROW_MAX + 16];
    memset(text, ',', CSV_FIELDS_MAX - 1);
    text[CSV_FIELDS_MAX - 1] = '\n';
    open_text(text);
    ck_assert_int_eq(csv_next(&csv, &row, &problem), 1);
    ck_assert_uint_eq(row.count, CSV_FIELDS_MAX);
    memset(text, ',', CSV_FIELDS_MAX);
    open_text(text);
    expect_problem(1, "has more than 64 fields");
    memset(text, 'x', sizeof text - 1);
    open_text(text);
    expect_problem(1, "is too long");
    expect_end();
}
END_TEST

/* Whatever the bytes are, reading ends, and lines only grow. */
START_TEST(every_short_text_comes_to_an_end)
{
    static const char alphabet[] = {'a', ',', '"', '\n', '\r', '\0'};
    char text[6];
    for (unsigned n = 0; n < 6 * 6 * 6 * 6 * 6 * 6; n++) {
        unsigned rest = n;
        for (size_t i = 0; i < sizeof text; i++, rest /= 6)
            text[i] = alphabet[rest % 6];
        csv_open(&csv, text, sizeof text);
        unsigned line = 0;
        int rows = 0;
        while (csv_next(&csv, &row, &problem) != 0) {
            ck_assert_int_le(++rows, 6);
            ck_assert_uint_gt(row.line, line);
            line = row.line;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *tests = tcase_create("rows");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, plain_rows_with_either_line_break);
    tcase_add_test(tests, quoted_fields);
    tcase_add_test(tests, empty_lines_and_a_byte_order_mark_are_skipped);
    tcase_add_test(tests, nothing_at_all);
    tcase_add_test(tests, a_lone_carriage_return_is_a_character);
    tcase_add_test(tests, reading_goes_on_behind_a_bad_line);
    tcase_add_test(tests, an_open_quote_costs_its_own_line_only);
    tcase_add_test(tests, a_nul_byte_is_refused);
    tcase_add_test(tests, bounds);
    tcase_add_test(tests, every_short_text_comes_to_an_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
